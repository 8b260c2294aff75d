"""Target files and reports: what people and build servers read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from partners.tcec102.conformance import report as reports
from partners.tcec102.conformance.kit import checks_of
from partners.tcec102.conformance.model import Check, Level, Report, Result, Role, Status
from partners.tcec102.conformance.target import read_target
from partners.tcec102.contract import Contract
from partners.tcec102.errors import ConfigurationError

KEYS = {
    "operator_secret": "secret-1",
    "data_secret": "1234567890abcdef",
    "data_iv": "1234567890abcdef",
    "sig_secret": "signature-secret",
}


def result(name: str, status: Status, detail: str = "", field: str = "") -> Result:
    level = Level.MUST if status is Status.FAILED else Level.SHOULD
    return Result(Check(name, "标题 / title", "T/CEC 102.4", lambda _bench: None, level), status, detail, field, 0.012)


@pytest.fixture
def report() -> Report:
    results = (
        result("query_token/answer", Status.PASSED),
        result("query_token/wrong-secret", Status.FAILED, "<b>token\x00 given</b>", "AccessToken"),
        result("envelope/no-token", Status.WARNED, "Ret 0", "Ret"),
        result("tolerance/bare-token", Status.NOTED, "Ret 4002", "Ret"),
        result("query_stop_charge/answer", Status.SKIPPED, "start_charge is not set"),
        result("query_stop_charge/again", Status.BLOCKED, "needs first"),
    )
    return Report(Role.CPO, "http://127.0.0.1:1/evcs/v1", datetime(2026, 3, 2, tzinfo=UTC), results)


def test_lines_give_pass_or_fail_per_interface_with_field_and_clause(report: Report) -> None:
    text = "\n".join(reports.lines(report))
    assert "不通过 FAILED" in text.splitlines()[0]
    assert "query_token  (1/2)" in text.splitlines()[0]
    assert "AccessToken: " in text
    assert "[T/CEC 102.4]" in text
    assert "query_token/answer" not in text
    assert not report.ok


def test_the_page_needs_no_other_host_and_escapes_what_the_other_side_sent(report: Report) -> None:
    page = reports.html(report)
    assert "<b>token" not in page
    assert "&lt;b&gt;token" in page
    assert "http" not in page.replace("http://127.0.0.1:1/evcs/v1", "")
    assert "does not conform" in page


def test_junit_counts_failures_and_skips(report: Report) -> None:
    root = ElementTree.fromstring(reports.junit(report))
    suites = {suite.get("name"): suite for suite in root}
    assert (suites["query_token"].get("tests"), suites["query_token"].get("failures")) == ("2", "1")
    assert suites["query_stop_charge"].get("skipped") == "2"
    failure = suites["query_token"].find("testcase/failure")
    assert failure is not None
    assert "AccessToken" in str(failure.get("message"))


@pytest.mark.parametrize("role", list(Role))
def test_every_check_has_its_own_id_a_clause_and_needs_that_come_before(role: Role) -> None:
    contract = Contract.standard()
    checks = checks_of(role, contract)
    ids = [check.id for check in checks]
    assert len(set(ids)) == len(ids)
    assert all(check.clause and " / " in check.title for check in checks)
    for number, check in enumerate(checks):
        assert set(check.needs) <= set(ids[:number]), check.id
    implementers = {"cpo": "server", "msp": "client"}
    ours = {name for name in contract if contract[name].side.value in (implementers[role.value], "both")}
    assert {"query_token"} <= ours & {check.interface for check in checks}


def test_a_target_file_takes_secrets_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "target.yaml"
    keys = KEYS | {"operator_secret": {"env": "KIT_SECRET"}}
    path.write_text(yaml.safe_dump({"operator_id": "MA5PARTN1", "keys": keys}))
    with pytest.raises(ConfigurationError, match="KIT_SECRET"):
        read_target(path)
    monkeypatch.setenv("KIT_SECRET", "from-outside")
    assert read_target(path).keys.operator_secret == "from-outside"
    assert "from-outside" not in repr(read_target(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "mapping"),
        ("{: ", "ParserError"),
        ("operator_id: short\nkeys: {}", "operator_id"),
        (yaml.safe_dump({"operator_id": "MA5PARTN1", "keys": KEYS | {"data_secret": "too-short-1"}}), "data_secret"),
        (yaml.safe_dump({"operator_id": "MA5PARTN1", "keys": KEYS, "surplus": 1}), "surplus"),
    ],
)
def test_a_wrong_target_file_is_told_without_its_secrets(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "target.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=said) as told:
        read_target(path)
    assert "too-short-1" not in str(told.value)
