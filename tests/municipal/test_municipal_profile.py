"""The Zhejiang profile writes what the digest shows, to the letter; a wrong region profile refuses to load."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from charging_core.clock import CHINA
from municipal.documents import periods_with_ends
from municipal.fake.tables import province_checker
from municipal.mapping import body_of
from municipal.profiles.loader import RegionProfile, build_region, load_region, shipped_regions
from municipal.regulators import Regulator
from partners.profiles.engine import refresh_push_times
from partners.profiles.errors import InvalidProfile, ProfileNotAllowed, UnknownProfile
from partners.tcec102.jsonio import dumps
from tests.municipal.region_raw import changed, fields, raw

PILE = "32010900001234567890"
ORDER_NO = "MA00TEST1202501020830150000000042"


def D(text: str) -> Decimal:  # noqa: N802 - short on purpose: it stands in every line of the bodies
    return Decimal(text)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2025-01-02T{text}").replace(tzinfo=CHINA)


PLACE: dict[str, Any] = {
    "operator": {"id": "MA00TEST1", "name": "t", "tel": "1"},
    "station": {"id": "ST", "code": "S0001", "owner_id": None, "name": "s", "area_code": "330106", "extra": {}},
    "pile": {"code": PILE, "kind": "dc", "power_kw": D("60"), "extra": {}},
    "connector": {"code": f"{PILE}01", "number": 1, "state": "charging", "plugged": True, "extra": {}},
}
SAMPLE: dict[str, Any] = {
    "at": at("08:35:00"),
    "voltage_v": D("402.6"),
    "current_a": D("98.2"),
    "power_kw": D("39.5353"),
    "soc": 57,
    "energy_kwh": D("12.3"),
    "elec_fee": D("7.38"),
    "service_fee": D("4.92"),
    "total_fee": D("12.30"),
}


def order(**more: Any) -> dict[str, Any]:
    """The canonical order of Appendix B."""
    detail = {
        "number": 1,
        "started_at": at("08:30:15"),
        "ended_at": at("09:02:41"),
        "class": "flat",
        "elec_price": D("0.60000"),
        "service_price": D("0.40000"),
        "energy_kwh": D("21.4000"),
        "elec_fee": D("12.8400"),
        "service_fee": D("8.5600"),
    }
    return {
        **PLACE,
        "id": "01JGJ0000000000000000000AB",
        "state": "settled",
        "start_charge_seq": ORDER_NO,
        "started_at": at("08:30:15"),
        "ended_at": at("09:02:41"),
        "energy_kwh": D("21.4000"),
        "elec_fee": D("12.8400"),
        "service_fee": D("8.5600"),
        "total_fee": D("21.4000"),
        "stop_reason": "user",
        "stop_code": None,
        "payment": {"channel": "wechat"},
        "details": [detail],
        "sample": SAMPLE,
        "at": at("09:02:42"),
    } | more


def regulator(profile: RegionProfile | None = None, **more: Any) -> Regulator:
    facts: dict[str, Any] = {
        "id": "L",
        "tenant_id": "green",
        "slug": "zhejiang",
        "our_operator_id": "MA00TEST1",
        "their_operator_id": "330000001",
        "stations": "all",
        "wire_names": {},
        "assigned": {},
        "enabled": True,
    }
    return Regulator(**facts | more, profile=profile or load_region("zhejiang-province"))


def told(interface: str, snapshot: dict[str, Any]) -> dict[str, Any]:
    rendered = body_of(regulator(), interface, snapshot, at("09:02:43"))
    assert rendered.problems == ()
    return rendered.body


def test_the_order_of_appendix_b_to_the_letter() -> None:
    assert dumps(told("order", order())).decode() == (
        '{"OperatorID":"MA00TEST1","EquipmentOwnerID":"999999999","StationID":"S0001",'
        '"EquipmentID":"32010900001234567890","ConnectorID":"320109000012345678901",'
        '"OrderNo":"MA00TEST1202501020830150000000042","TotalMoney":21.4000,"TotalElecMoney":12.8400,'
        '"TotalServiceMoney":8.5600,"TotalElect":21.4000,"StartTime":"2025-01-02 08:30:15",'
        '"EndTime":"2025-01-02 09:02:41","PayChannel":2,"StopReason":"0","SumPeriod":1,'
        '"ChargeDetails":[{"OrderNo":"MA00TEST1202501020830150000000042","DetailStartTime":"2025-01-02 08:30:15",'
        '"DetailEndTime":"2025-01-02 09:02:41","ElecPrice":0.6000,"ServicePrice":0.4000,"DetailPower":21.4000,'
        '"DetailElecMoney":12.8400,"DetailServiceMoney":8.5600}],"PushTime":"2025-01-02 09:02:43"}'
    )


def test_the_status_of_appendix_b_to_the_letter() -> None:
    snapshot = PLACE | {"state": "charging", "plugged": True, "since": at("08:30:20"), "at": at("08:30:21")}
    assert dumps(told("connector_status", snapshot)).decode() == (
        '{"OperatorID":"MA00TEST1","EquipmentOwnerID":"999999999","StationID":"S0001",'
        '"EquipmentID":"32010900001234567890","ConnectorID":"320109000012345678901","Status":3,"ParkStatus":50,'
        '"UpdateTime":"2025-01-02 08:30:20"}'
    )


@pytest.mark.parametrize(
    ("state", "status"),
    [("offline", 0), ("idle", 1), ("plugged", 2), ("finished", 2), ("charging", 3), ("reserved", 4), ("fault", 255)],
)
def test_states_are_written_by_the_derivation_table(state: str, status: int) -> None:
    snapshot = PLACE | {"state": state, "plugged": False, "since": at("08:30:20"), "at": at("08:30:21")}
    assert told("connector_status", snapshot)["Status"] == status


def test_a_connector_that_never_reported_has_the_time_of_telling() -> None:
    snapshot = PLACE | {"state": "offline", "plugged": False, "since": None, "at": at("08:30:21")}
    assert told("connector_status", snapshot)["UpdateTime"] == "2025-01-02 08:30:21"


def test_a_sample_keeps_raw_bms_values_with_scale_and_offset() -> None:
    bms = {
        "need_voltage_v": D("420.0"),
        "need_current_a": D("120.0"),
        "cell_max_voltage_v": D("3.95"),
        "max_temperature_c": 31,
        "min_temperature_c": -4,
    }
    body = told("charge_status", order(state="charging", details=[], sample=SAMPLE | {"bms": bms}))
    assert (body["chargeVoltage"], body["chargeCurrent"]) == (4026, 4982)
    assert (body["bclNeedVoltage"], body["bclNeedCurrent"]) == (4200, 5200)
    assert (body["bcsCellMaxVoltage"], body["bsmMaxTemperature"], body["bsmMinTemperature"]) == (395, 81, 46)
    assert (body["OrderStatus"], body["ConnectorStatus"], body["SOC"]) == (2, 3, 57)
    assert (body["EndTime"], body["eventTime"]) == ("2025-01-02 08:35:00", "2025-01-02 08:35:00")
    assert dumps(body["ServiceMoney"]) == b"4.9200"
    assert province_checker().check("charge_status", body) == []


def test_the_deep_valley_is_part_of_the_valley() -> None:
    bands = {"sharp": D("1.0000"), "peak": 0, "flat": D("15.0000"), "valley": D("2.4000"), "deep_valley": D("3.0000")}
    body = told("order", order(energy_by_class=bands))
    written = [body[name] for name in ("CuspElect", "PeakElect", "FlatElect", "ValleyElect")]
    assert written == [D("1.0000"), 0, D("15.0000"), D("5.4000")]
    assert sum(written) == body["TotalElect"]


def test_a_charge_of_our_own_app_has_a_number_that_begins_with_our_id() -> None:
    body = told("order", order(start_charge_seq=None))
    assert body["OrderNo"] == "MA00TEST101JGJ0000000000000000000AB"
    assert body["ChargeDetails"][0]["OrderNo"] == body["OrderNo"]


@pytest.mark.parametrize(
    ("change", "code", "member"),
    [
        ({"elec_fee": D("12.83")}, "detail_sum", "TotalElecMoney"),
        ({"started_at": None}, "missing", "StartTime"),
        ({"plate": "浙" * 21}, "too_long", "LicensePlate"),
        ({"total_fee": D("21.40001")}, "bad_scale", "TotalMoney"),
        ({"energy_kwh": 21.4}, "bad_type", "TotalElect"),
    ],
)
def test_what_would_be_refused_is_found_at_home(change: dict[str, Any], code: str, member: str) -> None:
    problems = body_of(regulator(), "order", order(**change), at("09:02:43")).problems
    assert (code, member) in {(problem.code, problem.field) for problem in problems}


def test_the_owner_of_the_station_is_told_when_there_is_one() -> None:
    station = PLACE["station"] | {"owner_id": "MA00OWNR1"}
    assert told("order", order(station=station))["EquipmentOwnerID"] == "MA00OWNR1"


def test_a_repeat_differs_only_in_its_push_time() -> None:
    engine = regulator().profile.engine
    body = told("order", order())
    again = refresh_push_times(engine, "order", body, at("10:02:43"))
    assert {name for name in body if body[name] != again[name]} == {"PushTime"}
    assert again["PushTime"] == "2025-01-02 10:02:43"


def test_the_last_period_of_a_day_ends_at_midnight() -> None:
    periods = [{"start": "00:00"}, {"start": "08:30"}]
    assert [period["end_hhmmss"] for period in periods_with_ends(periods)] == ["083000", "240000"]
    assert periods_with_ends([]) == []


def test_a_station_wants_another_datum() -> None:
    wanted = changed(lambda raw: fields(raw, "station_info")["StationLng"].update(geo="bd09"))
    station = {**PLACE["station"], "lng": D("120.158276"), "lat": D("30.285134"), "operator": PLACE["operator"]}
    body = body_of(
        regulator(build_region(wanted)), "station_info", station | {"at": at("08:00:00")}, at("08:00:00")
    ).body
    assert (body["StationLng"], body["StationLat"]) == (D("120.164828"), D("30.285134"))


# -- loading


def part(name: str, **more: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda loaded: loaded["interfaces"][name].update(more)


def test_the_shipped_profile_is_the_one_of_the_digest() -> None:
    profile = load_region("zhejiang-province")
    assert shipped_regions() == ["zhejiang-province"]
    assert (profile.spec.version, profile.spec.status.value, profile.spec.scope.discharge) == (
        "2023",
        "partial",
        "exclude",
    )
    assert profile.names_to_give == {"station_info", "connector_status", "charge_status", "order", "realtime_power"}
    policies = {name: profile.engine.interface(name).policy for name in profile.names_to_give}
    assert (policies["connector_status"].on_change, policies["connector_status"].send_first) == (("Status",), True)
    assert policies["order"].retry.every == 3600
    assert policies["realtime_power"].coalesce == "newest"


@pytest.mark.parametrize("interface", ["station_info", "connector_status", "charge_status", "order"])
def test_every_member_of_the_published_tables_is_mapped(interface: str) -> None:
    known = {problem.path for problem in province_checker().check(interface, {}) if problem.code == "missing"}
    mapped = fields(raw(), interface)
    assert known <= {name for name, field in mapped.items() if field.get("required") or "const" in field}
    probe = dict.fromkeys(mapped, object())
    unknown = [problem for problem in province_checker().check(interface, probe) if problem.code == "unknown"]
    assert unknown == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (part("order", colour="red"), "Extra inputs"),
        (part("order", wire_name="a", source="alarm"), "pushes"),
        (
            lambda loaded: (part("order", wire_name="a")(loaded), part("charge_status", wire_name="a")(loaded)),
            "wire name a",
        ),
        (part("connector_status", requires="order"), "not a push of station information"),
        (part("connector_status", requires="nothing"), "not a push of station information"),
        (part("realtime_power", wrapper="none"), "array wrapper"),
        (part("order", batch="all_stations"), "all stations in one call"),
        (part("charge_status", trigger={"every": {"seconds": 50, "align": "clock"}}), "multiple of 60"),
        (part("charge_status", trigger={"every": {"seconds": 60, "align": "start"}}), "aligned to the clock"),
        (lambda loaded: fields(loaded, "station_info")["StationLng"].update(geo="mars"), "geo is gcj02"),
        (lambda loaded: fields(loaded, "station_info")["StationName"].update(geo="bd09"), "geo is gcj02"),
        (lambda loaded: loaded.pop("region"), "region"),
        (lambda loaded: loaded["ids"].update(station_id="summon(station.code)"), "no function summon"),
    ],
)
def test_a_wrong_profile_refuses_to_load(change: Callable[[dict[str, Any]], Any], words: str) -> None:
    with pytest.raises(InvalidProfile, match=words):
        build_region(changed(change))


def test_an_unknown_profile_is_told_so() -> None:
    with pytest.raises(UnknownProfile):
        load_region("atlantis")


def test_an_unverified_profile_refuses_production() -> None:
    profile = build_region(changed(lambda loaded: loaded.update(status="unverified")))
    profile.engine.check_allowed("test", at("08:00:00").date())
    with pytest.raises(ProfileNotAllowed, match="unverified"):
        profile.engine.check_allowed("prod", at("08:00:00").date())


@pytest.mark.parametrize(
    ("facts", "concerned"),
    [({}, True), ({"direction": "discharge"}, False), ({"station": PLACE["station"] | {"area_code": "320106"}}, False)],
)
def test_what_is_told_at_all(facts: dict[str, Any], concerned: bool) -> None:
    assert regulator().concerns(order(**facts)) is concerned


def test_an_operators_own_stations_only() -> None:
    ours, foreign = order(), order(operator={"id": "MA00OTHER"})
    assert regulator(stations="operator").concerns(ours)
    assert not regulator(stations="operator").concerns(foreign)
    assert regulator(stations="all").concerns(foreign)
