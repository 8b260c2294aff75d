"""`hub tcec …` as a partner's engineer meets it: standard input, standard output, exit status. No settings, no database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charging_core.clock import SystemClock
from hub.cli.tcec import tcec_app
from partners.fake.partner import FakePartner
from tests.support.cli import CliRunner
from tests.support.logs import plain_logs

SECRETS = ("--data-secret", "1234567890abcdef", "--data-iv", "1234567890abcdef", "--sig-secret", "1234567890abcdef")
KEYS = {
    "operator_secret": "partner-secret-1",
    "data_secret": "partnerDataKey01",
    "data_iv": "partnerInitVec01",
    "sig_secret": "partnerSignKey01",
}
FAKE_SECRETS = tuple(word for name, text in KEYS.items() for word in (f"--{name.replace('_', '-')}", text))
STANDARD_DATA = (
    "il7B0BSEjFdzpyKzfOFpvg/Se1CP802RItKYFPfSLRxJ3jf0bVl9hvYOEktPAYW2nd7S8MBcyHYyacHKbISq5iTmDzG+ivnR+SZJv3USNTYVMz9rCQVSxd0cLlqs"
    "Jauko79NnwQJbzDTyLooYoIwz75qBOH2/xOMirpeEqRJrF/EQjWekJmGk9RtboXePu2rka+Xm51syBPhiXJAq0GfbfaFu9tNqs/e2Vjja/ltE1M0lqvxfXQ6da6H"
    "rThsm5id4ClZFIi0acRfrsPLRixS/IQYtksxghvJwbqOsbIsITail9Ayy4tKcogeEZiOO+4Ed264NSKmk7l3wKwJLAFjCFogBx8GE3OBz4pqcAn/ydA="
)
STANDARD = {"OperatorID": "123456789", "Data": STANDARD_DATA, "TimeStamp": "20160729142400", "Seq": "0001"}


def run(words: tuple[str, ...], given: Any = None, status: int = 0) -> str:
    text = given if isinstance(given, str) else json.dumps(given)
    result = CliRunner().invoke(tcec_app, list(words), input=text)
    assert result.exit_code == status, result.output + repr(result.exception)
    return result.stdout


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    yield
    plain_logs()


@pytest.fixture
def fake() -> Iterator[FakePartner]:
    config = {"operator_id": "MA00OTHER", "hub_operator_id": "MA00HUB01", "keys": KEYS}
    with FakePartner(config, SystemClock()) as fake:
        yield fake


def test_sign_gives_the_signature_of_the_standards_own_example() -> None:
    assert run(("sign", "--sig-secret", "1234567890abcdef"), STANDARD).strip() == "745166E8C43C84D37FFEC0F529C4136F"
    answer = {"Ret": 0, "Msg": None, "Data": STANDARD_DATA}
    found = run(("sign", "--sig-secret", "1234567890abcdef", "--response"), answer)
    assert found.strip() == "155C6CFF63CEF658B526E1958C4846BD"


def test_what_was_sealed_opens_with_its_decimals_as_they_were() -> None:
    sealed = run(("seal", *SECRETS, "--operator-id", "123456789"), '{"站": "示例", "Money": 1.20}')
    assert set(json.loads(sealed)) == {"OperatorID", "Data", "TimeStamp", "Seq", "Sig"}
    assert run(("open", *SECRETS, "--operator-id", "123456789"), sealed) == '{"站":"示例","Money":1.20}\n'
    answer = run(("seal", *SECRETS, "--response", "--msg", "成功"), {"Status": 0})
    assert run(("open", *SECRETS, "--response"), answer) == '{"Status":0}\n'


def test_secrets_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TCEC_DATA_SECRET", "TCEC_DATA_IV", "TCEC_SIG_SECRET"):
        monkeypatch.setenv(name, "1234567890abcdef")
    sealed = run(("seal", "--operator-id", "123456789"), {"a": 1})
    assert run(("open",), sealed) == '{"a":1}\n'


@pytest.mark.parametrize(
    ("change", "ret", "check", "field"),
    [
        ({"Seq": "0002"}, 4001, "signature", "Sig"),
        ({"Sig": ""}, 4003, "members", "Sig"),
        ({"OperatorID": "987654321"}, 4003, "operator", "OperatorID"),
        # The example of the standard is not strict JSON, so its signature holds and its inside is refused.
        ({}, 4003, "decrypt", "Data"),
    ],
)
def test_what_is_refused_ends_with_one_and_names_code_check_and_member(
    change: dict[str, str], ret: int, check: str, field: str
) -> None:
    message = STANDARD | {"Sig": "745166E8C43C84D37FFEC0F529C4136F"} | change
    refused = json.loads(run(("open", *SECRETS, "--operator-id", "123456789"), message, status=1))
    assert (refused["ret"], refused["check"], refused["field"]) == (ret, check, field)


@pytest.mark.parametrize("given", ["", "[]", "{'a': 1}"])
def test_what_is_no_envelope_is_4003(given: str) -> None:
    assert json.loads(run(("open", *SECRETS), given, status=1))["ret"] == 4003
    assert json.loads(run(("open", *SECRETS, "--response"), given, status=1))["ret"] == 4003
    assert json.loads(run(("sign", "--sig-secret", "1234567890abcdef"), given, status=1))["ret"] == 4003


def test_an_answer_with_a_wrong_signature_is_4001() -> None:
    answer = json.loads(run(("seal", *SECRETS, "--response"), {"Status": 0}))
    refused = json.loads(run(("open", *SECRETS, "--response"), answer | {"Msg": "other"}, status=1))
    assert refused["ret"] == 4001


def test_keys_that_cannot_be_are_told_before_anything_is_read() -> None:
    run(("open", "--data-secret", "short", "--data-iv", "1234567890abcdef", "--sig-secret", "1234567890abcdef"), "", 2)
    run(("seal", *SECRETS), {"a": 1}, status=2)
    run(("seal", *SECRETS, "--operator-id", "123456789"), "not json", status=2)


def test_call_fetches_a_token_and_shows_the_opened_answer(fake: FakePartner) -> None:
    words = ("call", fake.base_url, "notification_stationStatus", "--operator-id", "MA00HUB01", *FAKE_SECRETS)
    body = {"ConnectorStatusInfo": {"ConnectorID": "0000000000000101", "Status": 1}}
    answer = json.loads(run(words, body))
    assert (answer["ret"], answer["data"]) == (0, {"Status": 0})
    assert json.loads(run(words, {"Nothing": 1}, status=1))["ret"] == 4004
    fake.faults.replace([{"kind": "http_500", "times": None}])
    assert json.loads(run(words, body, status=1))["check"] == "HttpFailure"


def test_call_with_a_wrong_operator_secret_says_so(fake: FakePartner) -> None:
    words = ["call", fake.base_url, "query_token", "--operator-id", "MA00HUB01", *FAKE_SECRETS]
    assert json.loads(run(tuple(words), ""))["data"]["SuccStat"] == 0
    words[words.index(KEYS["operator_secret"])] = "wrong"
    words[2] = "notification_stationStatus"
    refused = json.loads(run(tuple(words), {}, status=1))
    assert refused["check"] == "token"
    assert "FailReason 2" in refused["msg"]


def test_conformance_prints_writes_reports_and_fails_when_something_failed(fake: FakePartner, tmp_path: Path) -> None:
    target = tmp_path / "target.yaml"
    target.write_text(yaml.safe_dump({"operator_id": "MA00HUB01", "keys": KEYS}))
    page, junit = tmp_path / "out.html", tmp_path / "out.xml"
    words = ("conformance", "--url", fake.base_url, "--keys", str(target), "--role", "msp")
    said = run((*words, "--report", str(page), "--junit", str(junit)))
    assert "notification_stationStatus" in said
    assert "notification_stationStatus" in page.read_text()
    assert "<testsuite " in junit.read_text()
    fake.faults.replace([{"kind": "sig_unchecked", "times": None}])
    said = run(words, status=1)
    assert "envelope/wrong-signature" in said
    assert "4001" in said


def test_conformance_says_what_is_wrong_with_its_file(tmp_path: Path) -> None:
    target = tmp_path / "target.yaml"
    target.write_text(yaml.safe_dump({"operator_id": "MA00HUB01", "keys": KEYS}))
    words = ("conformance", "--url", "http://127.0.0.1:9/", "--role", "cpo", "--keys", str(target))
    run((*words, "--listen", "127.0.0.1:0"), status=2)
    run((*words[:-1], str(tmp_path / "absent.yaml")), status=2)
    assert "没有应答" in run(words, status=1)
