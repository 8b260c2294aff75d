"""The fake regulator: right pushes are accepted, wrong ones refused with the field, disagreements end up in its books."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from municipal.fake.config import DEFAULT_NAMES
from municipal.fake.regulator import FakeRegulator
from partners.fake.caller import Answer, HubCaller
from tests.fakes.calling import HUB, control, hub_side, link_config, manual_clock

ORDER_NO = "MA00TEST1202501020830150000000042"
PILE = "32010900001234567890"
CONNECTOR = PILE + "1"
KEYS5 = {
    "OperatorID": HUB,
    "EquipmentOwnerID": "999999999",
    "StationID": "S0001",
    "EquipmentID": PILE,
    "ConnectorID": CONNECTOR,
}


def D(text: str) -> Decimal:  # noqa: N802 - short on purpose: it stands in every line of the bodies
    return Decimal(text)


def status_body(status: int = 3, at: str = "2025-01-02 08:30:20") -> dict[str, Any]:
    return KEYS5 | {"Status": status, "ParkStatus": 50, "UpdateTime": at}


def order_body() -> dict[str, Any]:
    """The order of the digest's appendix B."""
    detail = {
        "OrderNo": ORDER_NO,
        "DetailStartTime": "2025-01-02 08:30:15",
        "DetailEndTime": "2025-01-02 09:02:41",
        "ElecPrice": D("0.6000"),
        "ServicePrice": D("0.4000"),
        "DetailPower": D("21.4000"),
        "DetailElecMoney": D("12.8400"),
        "DetailServiceMoney": D("8.5600"),
    }
    return KEYS5 | {
        "OrderNo": ORDER_NO,
        "TotalMoney": D("21.4000"),
        "TotalElecMoney": D("12.8400"),
        "TotalServiceMoney": D("8.5600"),
        "TotalElect": D("21.4000"),
        "StartTime": "2025-01-02 08:30:15",
        "EndTime": "2025-01-02 09:02:41",
        "PayChannel": 2,
        "StopReason": "0",
        "SumPeriod": 1,
        "ChargeDetails": [detail],
        "PushTime": "2025-01-02 09:02:43",
    }


def sample_body(
    pushed: str = "2025-01-02 08:30:16", sampled: str = "2025-01-02 08:30:15", **more: Any
) -> dict[str, Any]:
    return (
        KEYS5
        | {
            "OrderNo": ORDER_NO,
            "OrderStatus": 2,
            "PushTimeStamp": pushed,
            "ConnectorStatus": 3,
            "CurrentA": D("98.2"),
            "VoltageA": D("402.6"),
            "SOC": 57,
            "StartTime": "2025-01-02 08:30:15",
            "EndTime": sampled,
            "TotalPower": D("1.2345"),
            "eventTime": sampled,
            "chargeVoltage": 4026,
            "chargeCurrent": 4982,
        }
        | more
    )


def power_body(**more: Any) -> dict[str, Any]:
    at = "2025-01-02 08:45:00"
    rows = [
        {"ConnectorID": CONNECTOR, "DataTime": at, "ConnectorRealTimePower": D("39.5353")},
        {"ConnectorID": PILE + "2", "DataTime": at, "ConnectorRealTimePower": 0},
    ]
    equipment = {"EquipmentID": PILE, "DataTime": at, "EquipRealTimePower": D("39.5353"), "ConnectorPowerInfos": rows}
    station = {name: KEYS5[name] for name in ("OperatorID", "EquipmentOwnerID", "StationID")} | {
        "DataTime": at,
        "StationRealTimePower": D("39.5353"),
        "EquipmentPowerInfos": [equipment],
    }
    return {"SupStationPowerInfos": [station | more]}


def station_body(station_id: str = "S0001", connectors: int = 2) -> dict[str, Any]:
    connector_infos = [
        {
            "ConnectorID": f"{PILE}{number}",
            "ConnectorType": 4,
            "VoltageUpperLimits": 750,
            "VoltageLowerLimits": 200,
            "Current": 250,
            "Power": D("120.0"),
            "NationalStandard": 4,
        }
        for number in range(1, connectors + 1)
    ]
    return {
        "OperatorID": HUB,
        "EquipmentOwnerID": "999999999",
        "StationID": station_id,
        "StationName": "示例站",
        "CountryCode": "CN",
        "AreaCode": "330106",
        "Address": "示例路1号",
        "ServiceTel": "4000000000",
        "StationType": 104,
        "StationStatus": 50,
        "ParkNums": 10,
        "StationLng": D("120.158276"),
        "StationLat": D("30.285134"),
        "Construction": 15,
        "AreaCodeCountryside": "330106001002",
        "PolicyInfos": [
            {"StartTime": "000000", "EndTime": "240000", "ElecFee": D("0.6000"), "ServiceFee": D("0.4000")}
        ],
        "EquipmentInfos": [
            {"EquipmentID": PILE, "EquipmentType": 6, "Power": D("120.0"), "ConnectorInfos": connector_infos}
        ],
    }


@pytest.fixture
def regulator() -> Iterator[FakeRegulator]:
    with FakeRegulator(link_config(), manual_clock()) as fake:
        yield fake


@pytest.fixture
def push(regulator: FakeRegulator) -> Callable[[str, dict[str, Any]], Answer]:
    hub: HubCaller = hub_side(regulator)
    return lambda kind, body: hub.call(DEFAULT_NAMES[kind], body)  # type: ignore[index]


Push = Callable[[str, dict[str, Any]], Answer]


def codes(regulator: FakeRegulator, level: Any = "violation") -> list[str]:
    return [finding.code for finding in regulator.findings(level)]


def test_one_of_each_push_is_accepted_without_a_finding(regulator: FakeRegulator, push: Push) -> None:
    for kind, body in (
        ("station_info", station_body()),
        ("connector_status", status_body()),
        ("charge_status", sample_body()),
        ("realtime_power", power_body()),
    ):
        answer = push(kind, body)
        assert (answer.ret, answer.data) == (0, {"Status": 0}), (kind, answer)
    assert push("order", order_body()).data == {"OrderNo": ORDER_NO, "ConfirmResult": 0}
    assert regulator.findings() == []
    summary = control(regulator, "summary")
    assert summary["stations"] == ["S0001"]
    assert summary["connector_status"] == {CONNECTOR: 3}
    assert summary["orders"][ORDER_NO]["confirm_result"] == 0
    assert len(summary["pushes"]) == 5


MISSING = [(kind, name) for kind in ("connector_status", "charge_status", "order") for name in KEYS5] + [
    ("order", "PushTime"),
    ("order", "TotalElect"),
    ("charge_status", "eventTime"),
    ("charge_status", "chargeVoltage"),
    ("connector_status", "UpdateTime"),
    ("station_info", "EquipmentInfos"),
    ("realtime_power", "SupStationPowerInfos"),
]
BODIES: dict[str, Callable[[], dict[str, Any]]] = {
    "connector_status": status_body,
    "charge_status": sample_body,
    "order": order_body,
    "station_info": station_body,
    "realtime_power": power_body,
}


@pytest.mark.parametrize(("kind", "name"), MISSING)
def test_a_missing_member_is_4003_and_named(push: Push, kind: str, name: str) -> None:
    body = BODIES[kind]()
    del body[name]
    answer = push(kind, body)
    assert answer.ret == 4003
    assert answer.msg == f"缺少必填项:{name}"


WRONG: list[tuple[str, str, dict[str, Any]]] = [
    ("order", "StopReason", {"StopReason": 0}),
    ("order", "TotalElect", {"TotalElect": D("21.40001")}),
    ("order", "TotalMoney", {"TotalMoney": "21.4"}),
    ("order", "PayChannel", {"PayChannel": 7}),
    ("order", "TotalSeviceMoney", {"TotalSeviceMoney": D("8.56")}),
    ("order", "EndTime", {"EndTime": "2025-1-2 09:02:41"}),
    ("charge_status", "SeviceMoney", {"SeviceMoney": D("1.0000")}),
    ("charge_status", "OrderStatus", {"OrderStatus": 8}),
    ("charge_status", "CurrentA", {"CurrentA": D("98.25")}),
    ("charge_status", "chargeCurrent", {"chargeCurrent": D("4982.5")}),
    ("connector_status", "Status", {"Status": True}),
    ("connector_status", "OperatorID", {"OperatorID": HUB + "0"}),
    ("station_info", "Construction", {"Construction": 16}),
]


@pytest.mark.parametrize(("kind", "name", "changes"), WRONG)
def test_a_wrong_member_is_4004_and_named(push: Push, kind: str, name: str, changes: dict[str, Any]) -> None:
    answer = push(kind, BODIES[kind]() | changes)
    assert answer.ret == 4004
    assert name in answer.msg


def test_a_misspelled_service_fee_in_a_detail_is_refused(push: Push) -> None:
    body = order_body()
    body["ChargeDetails"][0]["DetailSeviceMoney"] = body["ChargeDetails"][0].pop("DetailServiceMoney")
    answer = push("order", body)
    assert answer.ret == 4004
    assert "ChargeDetails[0].DetailSeviceMoney" in answer.msg


PLANTED: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("total_money", lambda body: body.update(TotalMoney=D("21.4100"))),
    ("detail_sum", lambda body: body.update(TotalElect=D("21.4001"))),
    ("detail_sum", lambda body: body.update(TotalElecMoney=D("12.83"), TotalMoney=D("21.39"))),
    ("detail_price", lambda body: body["ChargeDetails"][0].update(ServicePrice=D("0.4100"))),
    ("sum_period", lambda body: body.update(SumPeriod=2)),
    ("detail_order_no", lambda body: body["ChargeDetails"][0].update(OrderNo="X")),
    ("band_sum", lambda body: body.update(PeakElect=D("21.4000"), ValleyElect=D("0.0001"))),
    ("time_order", lambda body: body.update(EndTime="2025-01-02 08:00:00")),
    ("foreign_operator", lambda body: body.update(OperatorID="MA00ELSE1")),
]


@pytest.mark.parametrize(("code", "plant"), PLANTED)
def test_an_order_with_a_planted_error_is_not_confirmed(
    regulator: FakeRegulator, push: Push, code: str, plant: Callable[[dict[str, Any]], object]
) -> None:
    body = order_body()
    plant(body)
    assert push("order", body).data == {"OrderNo": ORDER_NO, "ConfirmResult": 1}
    assert code in codes(regulator)


def test_bands_that_leave_the_deep_valley_out_are_fine(regulator: FakeRegulator, push: Push) -> None:
    answer = push("order", order_body() | {"PeakElect": D("1.4000"), "ValleyElect": D("19.0000")})
    assert answer.data == {"OrderNo": ORDER_NO, "ConfirmResult": 0}
    assert codes(regulator) == []


def test_an_order_at_another_connector_than_its_samples_is_a_violation(regulator: FakeRegulator, push: Push) -> None:
    push("charge_status", sample_body())
    push("order", order_body() | {"ConnectorID": PILE + "2"})
    assert codes(regulator) == ["moved_order"]


def test_a_resend_differs_only_in_its_push_time(regulator: FakeRegulator, push: Push) -> None:
    push("order", order_body())
    answer = push("order", order_body() | {"PushTime": "2025-01-02 10:02:43"})
    assert answer.data == {"OrderNo": ORDER_NO, "ConfirmResult": 0}
    assert codes(regulator) == []
    answer = push("order", order_body() | {"StopReason": "4"})
    assert answer.data == {"OrderNo": ORDER_NO, "ConfirmResult": 1}
    assert codes(regulator) == ["changed_order"]


def test_a_duplicate_can_be_answered_4015() -> None:
    with FakeRegulator(link_config(duplicate_ret=4015), manual_clock()) as regulator:
        hub = hub_side(regulator)
        assert hub.call(DEFAULT_NAMES["order"], order_body()).ret == 0
        assert hub.call(DEFAULT_NAMES["order"], order_body()).ret == 4015


def test_only_changes_of_status_may_be_pushed(regulator: FakeRegulator, push: Push) -> None:
    push("connector_status", status_body(1, "2025-01-02 08:00:00"))
    push("connector_status", status_body(3, "2025-01-02 08:30:20"))
    assert codes(regulator) == []
    push("connector_status", status_body(3, "2025-01-02 08:30:20"))
    assert codes(regulator) == [], "an identical re-send is no violation"
    assert codes(regulator, "note") == ["repeated_status"]
    push("connector_status", status_body(3, "2025-01-02 08:31:00"))
    assert codes(regulator) == ["unchanged_status"]
    push("connector_status", status_body(1, "2025-01-02 08:29:00"))
    assert codes(regulator) == ["unchanged_status", "status_out_of_order"]


def test_samples_on_the_clock_are_punctual(regulator: FakeRegulator, push: Push) -> None:
    push("charge_status", sample_body())
    push("charge_status", sample_body("2025-01-02 08:35:01", "2025-01-02 08:34:50", TotalPower=D("3.0000")))
    push("charge_status", sample_body("2025-01-02 08:40:00", "2025-01-02 08:39:50", TotalPower=D("6.0000")))
    assert regulator.findings() == []


@pytest.mark.parametrize(
    ("code", "pushed", "sampled"),
    [
        ("off_clock", "2025-01-02 08:37:00", "2025-01-02 08:35:00"),
        ("gap", "2025-01-02 08:40:00", "2025-01-02 08:39:50"),
        ("stale_sample", "2025-01-02 08:40:00", "2025-01-02 08:34:50"),
    ],
)
def test_unpunctual_samples_cost_points_only(
    regulator: FakeRegulator, push: Push, code: str, pushed: str, sampled: str
) -> None:
    push("charge_status", sample_body())
    answer = push("charge_status", sample_body(pushed, sampled, TotalPower=D("3.0000")))
    assert answer.data == {"Status": 0}
    assert codes(regulator) == []
    assert codes(regulator, "late") == [code]


def test_a_late_first_sample_is_noticed(regulator: FakeRegulator, push: Push) -> None:
    push("charge_status", sample_body("2025-01-02 08:33:00", "2025-01-02 08:32:55"))
    assert codes(regulator, "late") == ["late_first_sample"]


def test_samples_never_go_back(regulator: FakeRegulator, push: Push) -> None:
    push("charge_status", sample_body(OrderStatus=4))
    push("charge_status", sample_body("2025-01-02 08:35:00", "2025-01-02 08:34:50", TotalPower=D("1.0000")))
    assert codes(regulator) == ["state_backwards", "energy_backwards"]
    push("charge_status", sample_body())
    assert codes(regulator, "note") == ["overtaken_sample"]


def test_power_must_add_up(regulator: FakeRegulator, push: Push) -> None:
    push("realtime_power", power_body(StationRealTimePower=D("40.0000")))
    assert codes(regulator) == ["power_sum"]


def test_power_tells_every_connector_of_every_station(regulator: FakeRegulator, push: Push) -> None:
    push("station_info", station_body(connectors=3))
    push("station_info", station_body("S0002"))
    push("realtime_power", power_body())
    found = [(finding.code, finding.subject) for finding in regulator.findings("violation")]
    assert found == [("missing_connector", PILE + "3"), ("missing_station", "S0002")]


def test_power_off_the_quarter_hour_is_late(regulator: FakeRegulator, push: Push) -> None:
    push("realtime_power", power_body(DataTime="2025-01-02 08:50:00"))
    assert codes(regulator, "late") == ["off_clock"]


def test_wire_names_are_configured() -> None:
    names = {"order": "notify_order"}
    with FakeRegulator(link_config(names=names), manual_clock()) as regulator:
        hub = hub_side(regulator)
        assert hub.call("notify_order", order_body()).ret == 0
        assert hub.call(DEFAULT_NAMES["order"], order_body()).ret == 4004
        assert control(regulator, "summary")["names"]["order"] == "notify_order"
    with pytest.raises(ValidationError, match="same wire name"):
        FakeRegulator(link_config(names={"order": DEFAULT_NAMES["station_info"]}))


@pytest.mark.parametrize(
    ("fault", "kind", "expected"),
    [
        ({"kind": "confirm_result", "value": 1}, "order", {"OrderNo": ORDER_NO, "ConfirmResult": 1}),
        ({"kind": "status", "value": 1}, "connector_status", {"Status": 1}),
    ],
)
def test_business_faults(regulator: FakeRegulator, push: Push, fault: Any, kind: str, expected: dict[str, Any]) -> None:
    control(regulator, "faults", {"faults": [fault]})
    assert push(kind, BODIES[kind]()).data == expected


def test_a_fault_for_one_wire_name_spares_the_others(regulator: FakeRegulator, push: Push) -> None:
    control(regulator, "faults", {"faults": [{"kind": "ret", "value": 4015, "interface": DEFAULT_NAMES["order"]}]})
    assert push("connector_status", status_body()).ret == 0
    assert push("order", order_body()).ret == 4015


def test_reset_forgets_books_and_findings(regulator: FakeRegulator, push: Push) -> None:
    push("station_info", station_body())
    push("order", order_body() | {"SumPeriod": 2})
    control(regulator, "reset", {})
    summary = control(regulator, "summary")
    assert (summary["orders"], summary["stations"], summary["violations"]) == ({}, [], [])
