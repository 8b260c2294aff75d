"""The textbook profile: every body as `specs/tcec102.md` 10 and 11 have it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from charging_core.orders.state import OrderState, partner_stat
from partners.profiles.engine import render
from partners.profiles.loader import load_profile, shipped_profiles
from partners.profiles.profile import Profile
from partners.profiles.scope import scope_of
from partners.tcec102.contract import Contract
from tests.partners.profiles import samples


@pytest.fixture(scope="module")
def textbook() -> Profile:
    return load_profile("textbook")


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract.standard()


def test_the_order_push_is_the_example_of_the_standard(textbook: Profile, contract: Contract) -> None:
    rendered = render(textbook, "notification_charge_order_info", samples.order_scope(), samples.NOW)
    assert rendered.problems == ()
    assert rendered.body == {
        "StartChargeSeq": "987654321240102030405000001",
        "ConnectorID": "3301060000000101",
        "StartTime": "2026-03-02 10:30:00",
        "EndTime": "2026-03-02 11:10:00",
        "TotalPower": Decimal("30.50"),
        "TotalElecMoney": Decimal("24.40"),
        "TotalSeviceMoney": Decimal("12.20"),
        "TotalMoney": Decimal("36.60"),
        "StopReason": 2,
        "SumPeriod": 2,
        "ChargeDetails": [
            {
                "DetailStartTime": "2026-03-02 10:30:00",
                "DetailEndTime": "2026-03-02 10:50:00",
                "ElecPrice": Decimal("0.8000"),
                "SevicePrice": Decimal("0.4000"),
                "DetailPower": Decimal("26.00"),
                "DetailElecMoney": Decimal("20.80"),
                "DetailSeviceMoney": Decimal("10.40"),
            },
            {
                "DetailStartTime": "2026-03-02 10:50:00",
                "DetailEndTime": "2026-03-02 11:10:00",
                "ElecPrice": Decimal("0.8000"),
                "SevicePrice": Decimal("0.4000"),
                "DetailPower": Decimal("4.50"),
                "DetailElecMoney": Decimal("3.60"),
                "DetailSeviceMoney": Decimal("1.80"),
            },
        ],
    }
    # Members stand in the order of the standard's table, decimals at its scale.
    assert list(rendered.body)[:4] == ["StartChargeSeq", "ConnectorID", "StartTime", "EndTime"]
    assert str(rendered.body["TotalPower"]) == "30.50"
    assert contract["notification_charge_order_info"].request.violations(rendered.body) == []


@pytest.mark.parametrize(
    ("reason", "code"),
    [("user", 0), ("partner", 1), ("bms", 2), ("fault", 3), ("unplugged", 4), ("other", 5), (None, 5), ("new", 5)],
)
def test_stop_reasons(textbook: Profile, reason: str | None, code: int) -> None:
    scope = samples.order_scope(stop_reason=reason)
    assert render(textbook, "notification_charge_order_info", scope, samples.NOW).body["StopReason"] == code


@pytest.mark.parametrize(
    ("state", "code"),
    [("offline", 0), ("idle", 1), ("plugged", 2), ("finished", 2), ("charging", 3), ("reserved", 4), ("fault", 255)],
)
def test_connector_status_push(textbook: Profile, contract: Contract, state: str, code: int) -> None:
    scope = scope_of("connector_status", samples.connector(state))
    rendered = render(textbook, "notification_stationStatus", scope, samples.NOW)
    inner = {"ConnectorID": "3301060000000101", "Status": code, "ParkStatus": 0, "LockStatus": 0}
    assert rendered.body == {"ConnectorStatusInfo": inner}
    assert contract["notification_stationStatus"].request.violations(rendered.body) == []


@pytest.mark.parametrize("state", list(OrderState))
def test_the_profile_and_the_core_agree_on_the_order_states(textbook: Profile, state: OrderState) -> None:
    assert textbook.code("order_stat", state) == partner_stat(state)


def test_station_information(textbook: Profile, contract: Contract) -> None:
    rendered = render(textbook, "StationInfo", scope_of("station", samples.station()), samples.NOW)
    assert rendered.problems == ()
    body = rendered.body
    assert body["OperatorID"] == body["EquipmentOwnerID"] == "MA5DEMO01"
    assert str(body["StationLng"]) == "120.155070"
    assert body["Construction"] == 4
    assert "ParkFee" not in body  # empty = missing
    assert body["EquipmentInfos"][0]["Power"] == Decimal("120.0")
    assert body["EquipmentInfos"][0]["ConnectorInfos"][0]["ConnectorType"] == 4
    page = {"PageNo": 1, "PageCount": 1, "ItemSize": 1, "StationInfos": [body]}
    assert contract["query_stations_info"].reply.violations(page) == []


@pytest.mark.parametrize(
    ("owner", "told"), [(None, "MA5DEMO01"), ("91330106MA5DEMO027", "MA5DEMO02"), ("MA5DEMO03", "MA5DEMO03")]
)
def test_the_owner_is_told_by_its_nine_characters(
    textbook: Profile, contract: Contract, owner: str | None, told: str
) -> None:
    """A station may be declared with the owner's 18-character credit code; of that the characters 9-17 are the code (9.2)."""
    scope = scope_of("station", samples.station() | {"owner_id": owner})
    rendered = render(textbook, "StationInfo", scope, samples.NOW)
    assert rendered.problems == ()
    assert rendered.body["EquipmentOwnerID"] == told


def test_charge_status_while_charging(textbook: Profile, contract: Contract) -> None:
    sample = {
        "at": samples.NOW,
        "voltage_v": Decimal("402.6"),
        "current_a": Decimal("98.2"),
        "soc": 57,
        "energy_kwh": Decimal("12.3456"),
        "elec_fee": Decimal("9.88"),
        "service_fee": Decimal("4.94"),
        "total_fee": Decimal("14.82"),
    }
    running: dict[str, Any] = {
        "state": "charging",
        "ended_at": None,
        "energy_kwh": None,
        "elec_fee": None,
        "service_fee": None,
    }
    scope = scope_of("charge_sample", samples.order(**running, total_fee=None, sample=sample))
    rendered = render(textbook, "notification_equip_charge_status", scope, samples.NOW)
    assert rendered.problems == ()
    assert rendered.body["StartChargeSeqStat"] == 2
    assert rendered.body["EndTime"] == "2026-03-02 10:30:00"  # the sample's time (trap 10)
    assert rendered.body["TotalPower"] == Decimal("12.35")
    assert rendered.body["TotalMoney"] == Decimal("14.82")
    assert contract["notification_equip_charge_status"].request.violations(rendered.body) == []


def test_charge_status_before_the_first_sample_has_the_defaults(textbook: Profile) -> None:
    starting: dict[str, Any] = {
        "state": "accepted",
        "started_at": None,
        "ended_at": None,
        "energy_kwh": None,
        "total_fee": None,
    }
    scope = scope_of("charge_sample", samples.order(**starting, elec_fee=None, service_fee=None))
    body = render(textbook, "query_equip_charge_status", scope, samples.NOW).body
    assert (body["StartChargeSeqStat"], body["CurrentA"], body["Soc"]) == (1, Decimal("0.0"), Decimal("0.00"))
    assert body["StartTime"] == body["EndTime"] == "2026-03-02 10:29:40"


def test_a_failed_start_is_told_with_stat_4_and_the_time_of_the_attempt(textbook: Profile) -> None:
    scope = scope_of("start_result", samples.order(state="failed", started_at=None))
    body = render(textbook, "notification_start_charge_result", scope, samples.NOW).body
    assert (body["StartChargeSeqStat"], body["StartTime"]) == (4, "2026-03-02 10:29:40")


def test_the_stop_result_says_stopped_while_the_record_is_awaited(textbook: Profile) -> None:
    scope = scope_of("stop_result", samples.order(state="stopping", stop_asked_by="partner"))
    assert textbook.interface("notification_stop_charge_result").wanted(scope)
    body = render(textbook, "notification_stop_charge_result", scope, samples.NOW).body
    assert (body["StartChargeSeqStat"], body["SuccStat"], body["FailReason"]) == (4, 0, 0)
    by_us = scope_of("stop_result", samples.order(stop_asked_by="platform"))
    assert textbook.interface("notification_stop_charge_result").wanted(by_us)
    by_driver = scope_of("stop_result", samples.order(stop_asked_by=None))
    assert not textbook.interface("notification_stop_charge_result").wanted(by_driver)


def test_policy_periods_are_written_as_hhmmss(textbook: Profile, contract: Contract) -> None:
    scope = {
        "request": {"EquipBizSeq": "987654321240102030405000002", "ConnectorID": "3301060000000101"},
        "refusal": "none",
        "periods": [
            {"start": "00:00", "elec_price": Decimal("0.32000"), "service_price": Decimal("0.40000")},
            {"start": "08:30", "elec_price": Decimal("1.18000"), "service_price": Decimal("0.40000")},
        ],
    }
    body = render(textbook, "query_equip_business_policy", scope, samples.NOW).body
    assert [period["StartTime"] for period in body["PolicyInfos"]] == ["000000", "083000"]
    assert (body["SumPeriod"], body["PolicyInfos"][1]["ElecPrice"]) == (2, Decimal("1.1800"))
    assert contract["query_equip_business_policy"].reply.violations(body) == []


@pytest.mark.parametrize("name", shipped_profiles())
def test_every_shipped_profile_renders_a_valid_order(name: str, contract: Contract) -> None:
    rendered = render(load_profile(name), "notification_charge_order_info", samples.order_scope(), samples.NOW)
    assert rendered.problems == ()
    assert contract["notification_charge_order_info"].request.check_outgoing(rendered.body) == []
