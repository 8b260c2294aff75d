"""Checks of an examined CPO that ask and change nothing: stations, states, statistics, policies, and refusals of what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from charging_core.clock import to_china
from partners.tcec102.conformance.bench import TOKEN, Bench
from partners.tcec102.conformance.model import Check, Level, NotTried, Unmet
from partners.tcec102.conformance.seen import expect_echo, expect_equal, total
from partners.tcec102.contract import Contract
from partners.tcec102.errors import RET_BUSINESS, RET_OK

STATIONS, STATUS, STATS = "query_stations_info", "query_station_status", "query_station_stats"
AUTH, POLICY = "query_equip_auth", "query_equip_business_policy"
START, STOP, CHARGE_STATUS = "query_start_charge", "query_stop_charge", "query_equip_charge_status"
MAX_PAGES = 200
MAX_IDS = 50
"""Most ids in one query_station_status (part .2)."""
NOWHERE = "9999999999999999"
"""An id that nobody has."""
ENDED, UNKNOWN = 4, 5


def one_page(_bench: Bench) -> dict[str, Any]:
    """The harmless call on which envelopes are tried out."""
    return {"LastQueryTime": "", "PageNo": 1, "PageSize": 1}


def query_checks(contract: Contract) -> Iterator[Check]:
    """In the order in which a platform would call."""
    needs = (f"{TOKEN}/answer",)
    listed = (f"{STATIONS}/answer",)
    for name, title, run, level, needed in (
        (f"{STATIONS}/answer", "全部充电站, 逐页 / all stations, page by page", _all_stations, Level.MUST, needs),
        (
            f"{STATIONS}/beyond-the-end",
            "超出末页为空列表 / an empty page beyond the end",
            _beyond,
            Level.SHOULD,
            listed,
        ),
        (
            f"{STATIONS}/last-query-time",
            "LastQueryTime 之后无变化为空 / nothing changed since now",
            _unchanged,
            Level.SHOULD,
            listed,
        ),
        (f"{STATUS}/answer", "站内全部枪的状态 / the state of every connector", _status, Level.MUST, listed),
        (
            f"{STATUS}/unknown-station",
            "未知站不返回 / unknown stations are left out",
            _unknown_station,
            Level.MUST,
            (f"{STATUS}/answer",),
        ),
        (
            f"{STATUS}/too-many",
            "超过 50 个站 → 4004 / more than 50 ids",
            _too_many,
            Level.SHOULD,
            (f"{STATUS}/answer",),
        ),
        (f"{STATS}/answer", "统计: 分项合计等于总数 / statistics add up", _stats, Level.MUST, listed),
        (f"{AUTH}/answer", "设备认证 / a connector's readiness", _auth, Level.MUST, listed),
        (
            f"{AUTH}/unknown-connector",
            "未知枪不得通过 / an unknown connector is never ready",
            _refuses(AUTH, "EquipAuthSeq"),
            Level.MUST,
            (f"{AUTH}/answer",),
        ),
        (f"{POLICY}/answer", "计费策略 / price periods", _policy, Level.MUST, listed),
        (
            f"{POLICY}/unknown-connector",
            "未知枪无策略 / no policy for an unknown connector",
            _refuses(POLICY, "EquipBizSeq"),
            Level.MUST,
            (f"{POLICY}/answer",),
        ),
        (
            f"{START}/unknown-connector",
            "未知枪不得启动 / an unknown connector is never started",
            _refuses(START, "StartChargeSeq", QRCode=""),
            Level.MUST,
            needs,
        ),
        (
            f"{CHARGE_STATUS}/unknown-order",
            "未知订单 → 4004 或状态 5 / an unknown order",
            _unknown_order,
            Level.MUST,
            needs,
        ),
        (
            f"{STOP}/unknown-order",
            "未知订单不得停止成功 / an unknown order is never stopped",
            _unknown_stop,
            Level.MUST,
            needs,
        ),
    ):
        interface = name.partition("/")[0]
        if interface in contract:
            yield Check(name, title, contract[interface].clause, run, level, needed)


def query_bodies(contract: Contract) -> Mapping[str, Callable[[Bench], dict[str, Any]]]:
    """A right body of each interface that can be sent without changing anything."""
    bodies: dict[str, Callable[[Bench], dict[str, Any]]] = {
        STATUS: lambda bench: {"StationIDs": [bench.station()["StationID"]]},
        STATS: _stats_request,
        AUTH: lambda bench: {"EquipAuthSeq": bench.sequence(), "ConnectorID": bench.connector_id()},
        POLICY: lambda bench: {"EquipBizSeq": bench.sequence(), "ConnectorID": bench.connector_id()},
    }
    return {name: body for name, body in bodies.items() if name in contract}


# ------------------------------------------------------------------------------------------------------------- stations


def _all_stations(bench: Bench) -> None:
    found: list[dict[str, Any]] = []
    for page_no in range(1, MAX_PAGES + 1):
        page = bench.ask(STATIONS, {"LastQueryTime": "", "PageNo": page_no, "PageSize": 10})
        expect_equal(page["PageNo"], page_no, "PageNo")
        found += page["StationInfos"]
        if page_no >= page["PageCount"] or not page["StationInfos"]:
            expect_equal(len(found), page["ItemSize"], "ItemSize")
            break
    ids = [station["StationID"] for station in found]
    if len(set(ids)) != len(ids):
        raise Unmet("同一站出现两次 / a station is listed twice", "StationInfos[].StationID")
    bench.learned.stations = found


def _beyond(bench: Bench) -> None:
    page = bench.ask(STATIONS, {"LastQueryTime": "", "PageNo": 100_000, "PageSize": 10})
    expect_equal(page["StationInfos"], [], "StationInfos")
    expect_equal(page["PageNo"], 100_000, "PageNo")


def _unchanged(bench: Bench) -> None:
    moment = to_china(bench.clock.now() + timedelta(days=1))
    page = bench.ask(STATIONS, {"LastQueryTime": f"{moment:%Y-%m-%d %H:%M:%S}", "PageNo": 1, "PageSize": 10})
    expect_equal(page["StationInfos"], [], "StationInfos")
    expect_equal(page["ItemSize"], 0, "ItemSize")


# --------------------------------------------------------------------------------------------------------------- states


def _status(bench: Bench) -> None:
    stations = {station["StationID"]: station for station in bench.learned.stations[:MAX_IDS]}
    if not stations:
        raise NotTried("没有充电站 / no station is listed")
    answer = bench.ask(STATUS, {"StationIDs": list(stations)})
    found = {station["StationID"]: station for station in answer["StationStatusInfos"]}
    expect_equal(sorted(found), sorted(stations), "StationStatusInfos[].StationID")
    for station_id, station in stations.items():
        told = sorted(info["ConnectorID"] for info in found[station_id]["ConnectorStatusInfos"])
        expect_equal(told, sorted(_connector_ids(station)), "StationStatusInfos[].ConnectorStatusInfos[].ConnectorID")
    if "Total" in answer:
        expect_equal(answer["Total"], len(stations), "Total")


def _unknown_station(bench: Bench) -> None:
    known = bench.station()["StationID"]
    answer = bench.ask(STATUS, {"StationIDs": [known, NOWHERE]})
    expect_equal([station["StationID"] for station in answer["StationStatusInfos"]], [known], "StationStatusInfos")


def _too_many(bench: Bench) -> None:
    ids = [f"{NOWHERE}{number:03d}" for number in range(MAX_IDS + 1)]
    bench.send(bench.draft(STATUS, {"StationIDs": ids})).expect_ret(RET_BUSINESS)


def _stats_request(bench: Bench) -> dict[str, Any]:
    today = to_china(bench.clock.now())
    first = today - timedelta(days=2)
    return {"StationID": bench.station()["StationID"], "StartTime": f"{first:%Y-%m-%d}", "EndTime": f"{today:%Y-%m-%d}"}


def _stats(bench: Bench) -> None:
    asked = _stats_request(bench)
    stats = bench.ask(STATS, asked)["StationStats"]
    expect_echo(asked, stats, "StationID", "StartTime", "EndTime")
    parts = stats["EquipmentStatsInfos"]
    expect_equal(
        total([part["EquipmentElectricity"] for part in parts]),
        stats["StationElectricity"],
        "StationStats.StationElectricity",
    )


# ----------------------------------------------------------------------------------------------------- a connector's use


def _auth(bench: Bench) -> None:
    asked = {"EquipAuthSeq": bench.sequence(), "ConnectorID": bench.connector_id()}
    answer = bench.ask(AUTH, asked)
    expect_echo(asked, answer, "EquipAuthSeq", "ConnectorID")
    _expect_consistent(answer)


def _policy(bench: Bench) -> None:
    asked = {"EquipBizSeq": bench.sequence(), "ConnectorID": bench.connector_id()}
    answer = bench.ask(POLICY, asked)
    expect_echo(asked, answer, "EquipBizSeq", "ConnectorID")
    _expect_consistent(answer)
    periods = answer["PolicyInfos"]
    expect_equal(answer["SumPeriod"], len(periods), "SumPeriod")
    starts = [period["StartTime"] for period in periods]
    if periods and (starts[0] != "000000" or starts != sorted(set(starts))):
        raise Unmet(f"应自 000000 起递增 / must ascend from 000000: {starts}", "PolicyInfos[].StartTime")


def _expect_consistent(answer: Mapping[str, Any]) -> None:
    if (answer["SuccStat"] == 0) != (answer["FailReason"] == 0):
        raise Unmet(
            f"SuccStat {answer['SuccStat']} 与 FailReason {answer['FailReason']} 矛盾 / contradict", "FailReason"
        )


def _refuses(interface: str, sequence: str, **more: Any) -> Callable[[Bench], None]:
    """A connector that nobody has: SuccStat 1 inside Ret 0, or Ret 4004."""

    def run(bench: Bench) -> None:
        seen = bench.send(bench.draft(interface, {sequence: bench.sequence(), "ConnectorID": NOWHERE, **more}))
        seen.expect_ret(RET_OK, RET_BUSINESS)
        if seen.ret == RET_OK:
            answer = seen.opened(bench.keys, bench.contract[interface].reply)
            expect_equal(answer["SuccStat"], 1, "SuccStat")
            _expect_consistent(answer)

    return run


def _unknown_order(bench: Bench) -> None:
    seen = bench.send(bench.draft(CHARGE_STATUS, {"StartChargeSeq": bench.sequence()}))
    seen.expect_ret(RET_OK, RET_BUSINESS)
    if seen.ret == RET_OK:
        answer = seen.opened(bench.keys, bench.contract[CHARGE_STATUS].reply)
        expect_equal(answer["StartChargeSeqStat"], UNKNOWN, "StartChargeSeqStat")


def _unknown_stop(bench: Bench) -> None:
    seen = bench.send(bench.draft(STOP, {"StartChargeSeq": bench.sequence(), "ConnectorID": bench.connector_id()}))
    seen.expect_ret(RET_OK, RET_BUSINESS)
    if seen.ret == RET_OK:
        answer = seen.opened(bench.keys, bench.contract[STOP].reply)
        expect_equal(answer["SuccStat"], 1, "SuccStat")


def _connector_ids(station: Mapping[str, Any]) -> list[str]:
    return [one["ConnectorID"] for equipment in station["EquipmentInfos"] for one in equipment["ConnectorInfos"]]
