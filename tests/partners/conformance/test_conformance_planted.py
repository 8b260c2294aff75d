"""The kit against the fake partner: nothing to complain about when it is healthy, exactly the planted defect when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from charging_core.clock import SystemClock
from partners.fake.partner import FakePartner
from partners.tcec102.conformance.kit import examine
from partners.tcec102.conformance.model import Report, Role, Status
from partners.tcec102.conformance.target import make_target
from partners.tcec102.contract import Contract
from partners.tcec102.sending import HttpPost
from tests.partners.conformance.direct import DirectPost

KEYS = {
    "operator_secret": "partner-secret-1",
    "data_secret": "partnerDataKey01",
    "data_iv": "partnerInitVec01",
    "sig_secret": "partnerSignKey01",
}
CONNECTOR = "3201090000123401"
ORDERS = [{"start_charge_seq": f"MA00OTHER26030212000000000{n}", "connector_id": CONNECTOR} for n in (1, 2)]
STATUS, ORDER, SAMPLE = (
    "notification_stationStatus",
    "notification_charge_order_info",
    "notification_equip_charge_status",
)
START_RESULT, STOP_RESULT = "notification_start_charge_result", "notification_stop_charge_result"

Case = tuple[str, str, Any, str, str]
PLANTED: tuple[Case, ...] = (
    # kind, interface, value, the one check that complains, the member it names
    ("sig_unchecked", "*", None, "envelope/wrong-signature", "Ret"),
    ("token_unchecked", "*", None, "envelope/no-token", "Ret"),
    ("unknown_token_taken", "*", None, "envelope/unknown-token", "Ret"),
    ("operator_unchecked", "*", None, "envelope/unknown-operator", "Ret"),
    ("time_unchecked", "*", None, "envelope/bad-timestamp", "Ret"),
    ("token_first", "*", None, "envelope/signature-before-token", "Ret"),
    ("decrypt_first", "*", None, "envelope/signature-before-decryption", "Ret"),
    ("json_crash", "*", None, "envelope/half-a-body", "Ret"),
    ("decrypt_crash", "*", None, "envelope/data-not-base64", "Ret"),
    ("wrong_member_code", "*", "Seq", "envelope/missing-Seq", "Ret"),
    ("wrong_member_code", "*", "Data", "envelope/missing-Data", "Ret"),
    ("unsigned_refusals", "*", None, "envelope/refusals-are-signed", "Sig"),
    ("unknown_interface_ok", "*", None, "envelope/unknown-interface", "Ret"),
    ("lower_sig_refused", "*", None, "tolerance/lower-case-signature", "Ret"),
    ("line_breaks_refused", "*", None, "tolerance/line-breaks", "Ret"),
    ("escaped_slashes_refused", "*", None, "tolerance/escaped-slashes", "Ret"),
    ("replay_by_seq", "*", None, "tolerance/same-seq-again", "Ret"),
    ("unknown_members_refused", "*", None, "tolerance/unknown-members", "Ret"),
    ("wrong_secret_taken", "query_token", None, "query_token/wrong-secret", "AccessToken"),
    ("wrong_fail_reason", "query_token", None, "query_token/fail-reason-secret", "FailReason"),
    ("token_life", "query_token", 9_999_999, "query_token/answer", "TokenAvailableTime"),
    ("one_token", "query_token", None, "query_token/several-at-once", "AccessToken"),
    ("ret_as_text", START_RESULT, None, f"{START_RESULT}/answer", "Ret"),
    ("lower_reply_sig", STOP_RESULT, None, f"{STOP_RESULT}/answer", "Sig"),
    ("wrong_sig", STATUS, None, f"{STATUS}/answer", "Sig"),
    ("plain_reply", SAMPLE, None, f"{SAMPLE}/answer", "Data"),
    ("member_left_out", STOP_RESULT, "FailReason", f"{STOP_RESULT}/answer", "FailReason"),
    ("number_as_text", START_RESULT, "SuccStat", f"{START_RESULT}/answer", "SuccStat"),
    ("wrong_echo", SAMPLE, None, f"{SAMPLE}/answer", "StartChargeSeq"),
    ("http_500", ORDER, None, f"{ORDER}/answer", "Ret"),
    ("garbage", STOP_RESULT, None, f"{STOP_RESULT}/answer", "Ret"),
    ("close", START_RESULT, None, f"{START_RESULT}/answer", ""),
    ("confirm_result", ORDER, 1, f"{ORDER}/answer", "ConfirmResult"),
    ("fields_unchecked", ORDER, "missing", f"{ORDER}/missing-members", "ConnectorID"),
    ("fields_unchecked", STATUS, "type", f"{STATUS}/wrong-kinds", "ConnectorStatusInfo"),
    ("repeat_disputed", ORDER, None, f"{ORDER}/repeated", "ConfirmResult"),
    ("change_confirmed", ORDER, None, f"{ORDER}/changed", "ConfirmResult"),
    ("totals_unchecked", ORDER, None, f"{ORDER}/wrong-totals", "ConfirmResult"),
    ("unknown_confirmed", ORDER, None, f"{ORDER}/unknown-order", "ConfirmResult"),
    ("older_sample_refused", SAMPLE, None, f"{SAMPLE}/older-sample", "SuccStat"),
    ("disputes_dropped", "check_charge_orders", 1, "check_charge_orders/unknown-order", "DisputeOrders"),
    ("disputes_dropped", "check_charge_orders", 2, "check_charge_orders/money-differs", "DisputeOrders"),
    ("disputes_dropped", "check_charge_orders", 3, "check_charge_orders/power-differs", "DisputeOrders"),
    ("member_left_out", "check_charge_orders", "CheckOrderSeq", "check_charge_orders/empty-day", "CheckOrderSeq"),
)
OVER_HTTP = frozenset({"http_500", "garbage", "close", "json_crash", "sig_unchecked"})
"""Defects that are examined over a real connection, as is the healthy partner; the others differ inside the envelope only."""


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract.standard()


@pytest.fixture(scope="module")
def served() -> Iterator[FakePartner]:
    with FakePartner({"operator_id": "MA00OTHER", "hub_operator_id": "MA00HUB01", "keys": KEYS}, SystemClock()) as fake:
        yield fake


@pytest.fixture
def fake(served: FakePartner) -> FakePartner:
    served.reset()
    for order in ORDERS:
        served.open_page(order["start_charge_seq"], order["connector_id"])
    return served


def examined(
    fake: FakePartner, contract: Contract, orders: list[dict[str, str]] | None = None, http: HttpPost | None = None
) -> Report:
    target = make_target({"operator_id": "MA00HUB01", "keys": KEYS, "orders": ORDERS if orders is None else orders})
    return examine(Role.MSP, fake.base_url, target, contract=contract, http=http)


def test_a_healthy_partner_gets_no_complaint(fake: FakePartner, contract: Contract) -> None:
    report = examined(fake, contract)
    assert [(result.check.id, result.detail) for result in report.complaints] == []
    assert report.ok
    assert not report.with_status(Status.BLOCKED)
    assert not report.with_status(Status.SKIPPED)
    assert len(report.with_status(Status.PASSED)) > 70
    assert {result.check.level.value for result in report.with_status(Status.NOTED)} == {"may"}


@pytest.mark.parametrize(("kind", "interface", "value", "check", "member"), PLANTED)
def test_a_planted_defect_is_named_and_nothing_else(
    fake: FakePartner, contract: Contract, kind: str, interface: str, value: Any, check: str, member: str
) -> None:
    fake.faults.replace([{"kind": kind, "interface": interface, "times": None, "value": value}])
    report = examined(fake, contract, http=None if kind in OVER_HTTP else DirectPost(fake))
    assert [(found.check.id, found.field) for found in report.complaints] == [(check, member)]
    assert report.complaints[0].check.clause


def test_without_known_orders_only_what_needs_them_is_skipped(fake: FakePartner, contract: Contract) -> None:
    report = examined(fake, contract, [])
    assert report.ok
    skipped = {result.check.interface for result in report.with_status(Status.SKIPPED)}
    assert {ORDER, SAMPLE, START_RESULT, STOP_RESULT} <= skipped
    assert STATUS not in skipped
