"""The fake partner's books: right pushes are confirmed, planted errors are caught, faults do what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from partners.fake.caller import Answer, HubCaller
from partners.fake.partner import FakePartner
from tests.fakes.calling import OTHER, control, hub_side, link_config, manual_clock

SEQ = OTHER + "260302120000000001"
CONNECTOR = "3201090000123401"
ORDER = "notification_charge_order_info"
SAMPLE = "notification_equip_charge_status"


def D(text: str) -> Decimal:  # noqa: N802 - short on purpose: it stands in every line of the bodies
    return Decimal(text)


def order_body() -> dict[str, Any]:
    """The order of the digest's clause 12.3a."""
    detail = {
        "DetailStartTime": "2026-03-02 03:04:25",
        "DetailEndTime": "2026-03-02 04:00:00",
        "ElecPrice": D("0.8000"),
        "SevicePrice": D("0.4000"),
        "DetailPower": D("26.00"),
        "DetailElecMoney": D("20.80"),
        "DetailSeviceMoney": D("10.40"),
    }
    second = detail | {
        "DetailStartTime": "2026-03-02 04:00:00",
        "DetailEndTime": "2026-03-02 04:10:00",
        "DetailPower": D("4.50"),
        "DetailElecMoney": D("3.60"),
        "DetailSeviceMoney": D("1.80"),
    }
    return {
        "StartChargeSeq": SEQ,
        "ConnectorID": CONNECTOR,
        "StartTime": "2026-03-02 03:04:25",
        "EndTime": "2026-03-02 04:10:00",
        "TotalPower": D("30.50"),
        "TotalElecMoney": D("24.40"),
        "TotalSeviceMoney": D("12.20"),
        "TotalMoney": D("36.60"),
        "StopReason": 2,
        "SumPeriod": 2,
        "ChargeDetails": [detail, second],
    }


def sample_body(stat: int = 2, at: str = "2026-03-02 03:10:00", energy: str = "1.00") -> dict[str, Any]:
    return {
        "StartChargeSeq": SEQ,
        "StartChargeSeqStat": stat,
        "ConnectorID": CONNECTOR,
        "ConnectorStatus": 3,
        "CurrentA": D("98.2"),
        "VoltageA": D("402.6"),
        "Soc": D("57"),
        "StartTime": "2026-03-02 03:04:25",
        "EndTime": at,
        "TotalPower": D(energy),
    }


def result_body(stat: int = 2) -> dict[str, Any]:
    return {
        "StartChargeSeq": SEQ,
        "StartChargeSeqStat": stat,
        "ConnectorID": CONNECTOR,
        "StartTime": "2026-03-02 03:04:25",
    }


@pytest.fixture
def partner() -> Iterator[FakePartner]:
    with FakePartner(link_config(), manual_clock()) as fake:
        fake.open_page(SEQ, CONNECTOR, "浙AD12345")
        yield fake


@pytest.fixture
def hub(partner: FakePartner) -> HubCaller:
    return hub_side(partner)


def data_of(answer: Answer) -> dict[str, Any]:
    assert answer.ret == 0, (answer.ret, answer.msg, answer.error)
    assert answer.data is not None
    return answer.data


def codes(partner: FakePartner) -> set[str]:
    return {finding.code for finding in partner.findings("violation")}


def test_a_whole_charge_is_confirmed_without_a_violation(partner: FakePartner, hub: HubCaller) -> None:
    status = {"ConnectorStatusInfo": {"ConnectorID": CONNECTOR, "Status": 3, "ParkStatus": 50}}
    assert data_of(hub.call("notification_stationStatus", status)) == {"Status": 0}
    accepted = {"StartChargeSeq": SEQ, "SuccStat": 0}
    assert data_of(hub.call("notification_start_charge_result", result_body())) == accepted | {"FailReason": 0}
    assert data_of(hub.call(SAMPLE, sample_body())) == accepted
    assert data_of(hub.call(SAMPLE, sample_body(at="2026-03-02 03:11:00", energy="2.50"))) == accepted
    stopped = {"StartChargeSeq": SEQ, "StartChargeSeqStat": 4, "ConnectorID": CONNECTOR, "SuccStat": 0, "FailReason": 0}
    assert data_of(hub.call("notification_stop_charge_result", stopped)) == accepted | {"FailReason": 0}
    confirmed = {"StartChargeSeq": SEQ, "ConnectorID": CONNECTOR, "ConfirmResult": 0}
    assert data_of(hub.call(ORDER, order_body())) == confirmed
    assert not codes(partner)
    summary = control(partner, "summary")
    assert summary["orders"][SEQ]["confirm_result"] == 0
    assert summary["orders"][SEQ]["samples"] == 2
    assert [push["ret"] for push in summary["pushes"]] == [0] * 6
    assert summary["pushes"][-1]["answer"]["ConfirmResult"] == 0
    assert summary["pushes"][-1]["body"]["TotalMoney"] == 36.6


PLANTED: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("total_money", lambda body: body.update(TotalMoney=D("36.61"))),
    ("detail_sum", lambda body: body.update(TotalElecMoney=D("24.39"), TotalMoney=D("36.59"))),
    ("detail_sum", lambda body: body.update(TotalPower=D("30.51"))),
    ("detail_sum", lambda body: body["ChargeDetails"][0].update(DetailSeviceMoney=D("10.41"))),
    ("detail_price", lambda body: body["ChargeDetails"][0].update(ElecPrice=D("0.8100"))),
    ("sum_period", lambda body: body.update(SumPeriod=3)),
    ("sum_period", lambda body: body.pop("ChargeDetails")),
    ("time_order", lambda body: body.update(EndTime="2026-03-02 03:00:00")),
    ("detail_time", lambda body: body["ChargeDetails"][1].update(DetailStartTime="2026-03-02 03:59:59")),
    ("detail_time", lambda body: body["ChargeDetails"][1].update(DetailEndTime="2026-03-02 04:10:01")),
    ("wrong_connector", lambda body: body.update(ConnectorID="3201090000123402")),
    ("unknown_order", lambda body: body.update(StartChargeSeq=OTHER + "260302120000000002")),
]


@pytest.mark.parametrize(("code", "plant"), PLANTED)
def test_an_order_with_a_planted_error_is_disputed(
    partner: FakePartner, hub: HubCaller, code: str, plant: Callable[[dict[str, Any]], object]
) -> None:
    body = order_body()
    plant(body)
    assert data_of(hub.call(ORDER, body))["ConfirmResult"] == 1
    assert code in codes(partner)


def test_energy_rounded_for_this_destination_is_no_error(partner: FakePartner, hub: HubCaller) -> None:
    """Money comes from four decimals of energy, the details show two (DECISIONS 12)."""
    body = order_body()
    body["ChargeDetails"] = [
        body["ChargeDetails"][0] | {"DetailPower": D("26.01")},
        body["ChargeDetails"][1] | {"DetailPower": D("4.49")},
    ]
    assert data_of(hub.call(ORDER, body))["ConfirmResult"] == 0
    assert not codes(partner)


def test_a_price_that_was_never_shown_is_disputed(partner: FakePartner, hub: HubCaller) -> None:
    shown = {"StartTime": "000000", "ElecPrice": D("0.8"), "SevicePrice": D("0.4")}
    partner.books.pages[SEQ].policy = [shown]
    assert data_of(hub.call(ORDER, order_body()))["ConfirmResult"] == 0
    partner.reset()
    partner.open_page(SEQ, CONNECTOR)
    partner.books.pages[SEQ].policy = [shown | {"SevicePrice": D("0.5")}]
    assert data_of(hub.call(ORDER, order_body()))["ConfirmResult"] == 1
    assert codes(partner) == {"price_not_shown"}


def test_the_same_order_twice_is_booked_once_and_a_changed_one_disputed(partner: FakePartner, hub: HubCaller) -> None:
    assert data_of(hub.call(ORDER, order_body()))["ConfirmResult"] == 0
    assert data_of(hub.call(ORDER, order_body()))["ConfirmResult"] == 0
    assert partner.books.pages[SEQ].repeats == 1
    changed = order_body() | {"StopReason": 0}
    assert data_of(hub.call(ORDER, changed))["ConfirmResult"] == 1
    assert codes(partner) == {"changed_order"}
    page = partner.books.pages[SEQ]
    assert (page.confirm_result, page.order) == (0, order_body())


def test_a_corrected_order_after_a_dispute_is_confirmed(partner: FakePartner, hub: HubCaller) -> None:
    wrong = order_body() | {"TotalMoney": D("1.00")}
    assert data_of(hub.call(ORDER, wrong))["ConfirmResult"] == 1
    assert data_of(hub.call(ORDER, order_body()))["ConfirmResult"] == 0


def test_state_and_energy_never_go_back(partner: FakePartner, hub: HubCaller) -> None:
    hub.call(SAMPLE, sample_body(stat=4, at="2026-03-02 03:10:00", energy="5.00"))
    answer = data_of(hub.call(SAMPLE, sample_body(stat=2, at="2026-03-02 03:11:00", energy="4.00")))
    assert answer["SuccStat"] == 0, "received and ignored (clause 12.3)"
    assert codes(partner) == {"state_backwards", "energy_backwards"}
    assert partner.books.pages[SEQ].stat == 4


def test_messages_that_overtake_each_other_are_only_noted(partner: FakePartner, hub: HubCaller) -> None:
    hub.call(SAMPLE, sample_body(stat=3, at="2026-03-02 03:10:00", energy="5.00"))
    hub.call(SAMPLE, sample_body(stat=2, at="2026-03-02 03:09:00", energy="4.00"))
    hub.call("notification_start_charge_result", result_body())
    assert not codes(partner)
    assert [finding.code for finding in partner.findings("note")] == ["overtaken", "overtaken"]


def test_stat_5_moves_nothing(partner: FakePartner, hub: HubCaller) -> None:
    hub.call(SAMPLE, sample_body(stat=2))
    hub.call(SAMPLE, sample_body(stat=5, at="2026-03-02 03:20:00"))
    assert partner.books.pages[SEQ].stat == 2
    assert not codes(partner)


def test_pushes_of_an_unknown_order_are_refused_inside_data(partner: FakePartner, hub: HubCaller) -> None:
    unknown = OTHER + "000000000000000000"
    for interface, body in ((SAMPLE, sample_body()), ("notification_start_charge_result", result_body())):
        assert data_of(hub.call(interface, body | {"StartChargeSeq": unknown}))["SuccStat"] == 1
    assert codes(partner) == {"unknown_order"}


def test_unknown_orders_can_be_allowed() -> None:
    with FakePartner(link_config(accept_unknown_orders=True), manual_clock()) as partner:
        assert data_of(hub_side(partner).call(ORDER, order_body()))["ConfirmResult"] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"TotalPower": "30.50"},
        {"TotalPower": D("30.501")},
        {"StopReason": "2"},
        {"StartTime": "2026-03-02T03:04:25"},
        {"StartChargeSeq": SEQ[:-1]},
        {"ChargeDetails": {}},
        {"TotalSeviceMoney": None},
    ],
)
def test_wrong_fields_of_an_order_are_4004_and_named(
    partner: FakePartner, hub: HubCaller, changes: dict[str, Any]
) -> None:
    answer = hub.call(ORDER, order_body() | changes)
    assert answer.ret == 4004
    assert next(iter(changes)) in answer.msg
    assert partner.books.pages[SEQ].order is None


def test_the_spelling_of_the_service_fee_is_the_platforms() -> None:
    with FakePartner(link_config(service_spelling="Service"), manual_clock()) as partner:
        partner.open_page(SEQ, CONNECTOR)
        hub = hub_side(partner)
        assert hub.call(ORDER, order_body()).ret == 4004
        right = order_body()
        right["TotalServiceMoney"] = right.pop("TotalSeviceMoney")
        for detail in right["ChargeDetails"]:
            detail["ServicePrice"] = detail.pop("SevicePrice")
            detail["DetailServiceMoney"] = detail.pop("DetailSeviceMoney")
        assert data_of(hub.call(ORDER, right))["ConfirmResult"] == 0


def test_unknown_members_are_noted_or_refused(partner: FakePartner, hub: HubCaller) -> None:
    body = order_body() | {"Weather": "sunny"}
    assert data_of(hub.call(ORDER, body))["ConfirmResult"] == 0
    assert [finding.code for finding in partner.findings("note")] == ["unknown_member"]
    with FakePartner(link_config(refuse_unknown=True), manual_clock()) as strict:
        strict.open_page(SEQ, CONNECTOR)
        answer = hub_side(strict).call(ORDER, body)
        assert answer.ret == 4004
        assert "Weather" in answer.msg


def test_a_statement_is_compared_with_the_books(partner: FakePartner, hub: HubCaller) -> None:
    hub.call(ORDER, order_body())
    right = {"StartChargeSeq": SEQ, "TotalPower": D("30.50"), "TotalMoney": D("36.60")}
    unknown = {"StartChargeSeq": OTHER + "9" * 18, "TotalPower": D("1.00"), "TotalMoney": D("1.00")}
    statement: dict[str, Any] = {
        "CheckOrderSeq": OTHER + "000000000020260302",
        "StartTime": "2026-03-02 00:00:00",
        "EndTime": "2026-03-02 23:59:59",
        "OrderCount": 2,
        "TotalOrderPower": D("31.5000"),
        "TotalOrderMoney": D("37.60"),
        "ChargeOrders": [right, unknown],
    }
    answer = data_of(hub.call("check_charge_orders", statement))
    assert answer["TotalDisputeOrder"] == 1
    assert [item["DisputeReason"] for item in answer["DisputeOrders"]] == [1]
    changed = deepcopy(statement)
    changed["ChargeOrders"][0]["TotalMoney"] = D("36.61")
    answer = data_of(hub.call("check_charge_orders", changed))
    assert [item["DisputeReason"] for item in answer["DisputeOrders"]] == [2, 1]
    assert codes(partner) == {"statement_sum"}


def test_fault_confirm_result(partner: FakePartner, hub: HubCaller) -> None:
    control(partner, "faults", {"faults": [{"kind": "confirm_result", "value": 1}]})
    assert data_of(hub.call(SAMPLE, sample_body()))["SuccStat"] == 0, "the fault waits for an order"
    assert data_of(hub.call(ORDER, order_body()))["ConfirmResult"] == 1
    assert data_of(hub.call(ORDER, order_body()))["ConfirmResult"] == 0


def test_fault_status(partner: FakePartner, hub: HubCaller) -> None:
    control(partner, "faults", {"faults": [{"kind": "status"}]})
    body = {"ConnectorStatusInfo": {"ConnectorID": CONNECTOR, "Status": 1}}
    assert data_of(hub.call("notification_stationStatus", body)) == {"Status": 1}


@pytest.mark.parametrize("ret", [-1, 500, 4001, 4003, 4004])
def test_fault_ret_refuses_without_booking(partner: FakePartner, hub: HubCaller, ret: int) -> None:
    hub.renew_token()
    control(partner, "faults", {"faults": [{"kind": "ret", "value": ret}]})
    answer = hub.call(ORDER, order_body())
    assert (answer.ret, answer.error, answer.data) == (ret, "", None)
    assert partner.books.pages[SEQ].order is None
    assert data_of(hub.call(ORDER, order_body()))["ConfirmResult"] == 0


def test_fault_4002_once_is_healed_by_a_new_token(partner: FakePartner, hub: HubCaller) -> None:
    hub.renew_token()
    control(partner, "faults", {"faults": [{"kind": "4002_once"}]})
    assert data_of(hub.call(ORDER, order_body()))["ConfirmResult"] == 0
    assert [entry["answer"]["Ret"] for entry in partner.received(ORDER)] == [4002, 0]


def test_fault_wrong_sig_books_but_cannot_be_trusted(partner: FakePartner, hub: HubCaller) -> None:
    hub.renew_token()
    control(partner, "faults", {"faults": [{"kind": "wrong_sig"}]})
    answer = hub.call(ORDER, order_body())
    assert "Sig" in answer.error
    assert partner.books.pages[SEQ].confirm_result == 0


def test_fault_close_after_books_once_over_the_repeat(partner: FakePartner, hub: HubCaller) -> None:
    hub.renew_token()
    control(partner, "faults", {"faults": [{"kind": "close_after"}]})
    assert hub.call(ORDER, order_body()).error
    assert data_of(hub.call(ORDER, order_body()))["ConfirmResult"] == 0
    assert partner.books.pages[SEQ].repeats == 1


def test_reset_empties_books_but_keeps_tokens(partner: FakePartner, hub: HubCaller) -> None:
    hub.call(ORDER, order_body() | {"TotalMoney": D("1.00")})
    control(partner, "reset", {})
    assert control(partner, "summary")["orders"] == {}
    assert partner.findings() == []
    control(partner, "order", {"start_charge_seq": SEQ, "connector_id": CONNECTOR})
    assert data_of(hub.call(ORDER, order_body()))["ConfirmResult"] == 0
    assert [entry["interface"] for entry in partner.received()] == [ORDER], "no new token was needed"
