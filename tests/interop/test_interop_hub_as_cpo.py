"""An independent customer platform charges at the hub: the whole session of section 12.1, both directions, in one go."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.e2e.operator_file import OPERATOR
from tests.e2e.programs import post
from tests.e2e.stage import Stage
from tests.interop.conftest import Connect
from tests.interop.party import CHINA_TIME, Caller, Json, NotAsAgreed, Secrets, Server

MSP = "MA5INTER1"
HUB_ISSUED = Secrets("hub-operator-key-1", "hubDataSecret001", "hubInitVector001", "hubSignSecret0001")
OWN_ISSUED = Secrets("own-operator-key-1", "ownDataSecret001", "ownInitVector001", "ownSignSecret0001")
SEQ = MSP + "240102030405000001"


def received(body: Json) -> Json:
    return {"StartChargeSeq": body["StartChargeSeq"], "SuccStat": 0, "FailReason": 0}


def confirmed(body: Json) -> Json:
    return {"StartChargeSeq": body["StartChargeSeq"], "ConnectorID": body["ConnectorID"], "ConfirmResult": 0}


def agreed(body: Json) -> Json:
    """A statement whose own figures are right is never contested here."""
    orders = body["ChargeOrders"]
    sums = body["OrderCount"], body["TotalOrderPower"], body["TotalOrderMoney"]
    parts = (sum(Decimal(one[name]) for one in orders) for name in ("TotalPower", "TotalMoney"))
    if sums != (len(orders), *parts):
        raise NotAsAgreed(f"sums {sums}")
    named = {name: body[name] for name in ("CheckOrderSeq", "StartTime", "EndTime")}
    return named | {"TotalDisputeOrder": 0, "TotalDisputePower": 0, "TotalDisputeMoney": 0, "DisputeOrders": []}


PUSHES = {
    "notification_stationStatus": lambda _body: {"Status": 0},
    "notification_start_charge_result": received,
    "notification_equip_charge_status": received,
    "notification_stop_charge_result": received,
    "notification_charge_order_info": confirmed,
    "check_charge_orders": agreed,
}


def station_of(hub: Caller, connector: str) -> str:
    """The station that lists this connector, page by page."""
    page_no = 1
    while True:
        page = hub.call("query_stations_info", {"LastQueryTime": "", "PageNo": page_no, "PageSize": 1})
        for station in page["StationInfos"]:
            piles = station["EquipmentInfos"]
            if connector in [one["ConnectorID"] for pile in piles for one in pile["ConnectorInfos"]]:
                return str(station["StationID"])
        assert page_no < page["PageCount"], f"{connector} is not listed"
        page_no += 1


def look_at(hub: Caller, station: str, connector: str) -> None:
    """Its live status, and its energy of the last days."""
    (found,) = hub.call("query_station_status", {"StationIDs": [station, "nowhere"]})["StationStatusInfos"]
    states = {one["ConnectorID"]: one["Status"] for one in found["ConnectorStatusInfos"]}
    assert (found["StationID"], states[connector]) == (station, 2)
    asked = {"StationID": station, "StartTime": "2026-03-01", "EndTime": "2026-03-02"}
    stats = hub.call("query_station_stats", asked)["StationStats"]
    piles = stats["EquipmentStatsInfos"]
    assert stats["StationElectricity"] == sum(one["EquipmentElectricity"] for one in piles)


def told_states(pushes: Server, connector: str) -> list[int]:
    """The states of a connector in the order in which they were pushed."""
    told = pushes.bodies_of("notification_stationStatus")
    return [one["ConnectorStatusInfo"]["Status"] for one in told if connector in str(one)]


def check_bill(order: Json, policy: Json) -> None:
    details = order["ChargeDetails"]
    assert order["SumPeriod"] == len(details)
    assert Decimal(order["TotalMoney"]) == Decimal(order["TotalElecMoney"]) + Decimal(order["TotalSeviceMoney"])
    for whole, part in (("TotalPower", "DetailPower"), ("TotalElecMoney", "DetailElecMoney")):
        assert sum(Decimal(detail[part]) for detail in details) == Decimal(order[whole])
    shown = {(Decimal(row["ElecPrice"]), Decimal(row["SevicePrice"])) for row in policy["PolicyInfos"]}
    assert {(Decimal(one["ElecPrice"]), Decimal(one["SevicePrice"])) for one in details} <= shown


@pytest.mark.timeout(300)
def test_a_whole_session_from_token_to_bill(stage: Stage, connect: Connect) -> None:
    with Server(OPERATOR, OWN_ISSUED, PUSHES) as pushes:
        hub = Caller(MSP, connect("independent", MSP, HUB_ISSUED, OWN_ISSUED, pushes.base_url), HUB_ISSUED)
        connector = stage.free_connector()
        stage.plug(connector)
        station = station_of(hub, connector)
        look_at(hub, station, connector)
        ready = hub.call("query_equip_auth", {"EquipAuthSeq": SEQ, "ConnectorID": connector})
        assert (ready["SuccStat"], ready["FailReason"]) == (0, 0)
        policy = hub.call("query_equip_business_policy", {"EquipBizSeq": SEQ, "ConnectorID": connector})
        assert policy["SumPeriod"] == len(policy["PolicyInfos"]) > 0

        asked = {"StartChargeSeq": SEQ, "ConnectorID": connector, "QRCode": ""}
        started = hub.call("query_start_charge", asked)
        assert (started["SuccStat"], started["FailReason"]) == (0, 0)
        assert hub.call("query_start_charge", asked)["SuccStat"] == 0
        result = pushes.wait("notification_start_charge_result", SEQ)
        assert (result["StartChargeSeqStat"], result["ConnectorID"]) == (2, connector)
        sample = pushes.wait("notification_equip_charge_status", SEQ)
        assert sample["StartChargeSeqStat"] == 2
        running = hub.call("query_equip_charge_status", {"StartChargeSeq": SEQ})
        assert running["StartChargeSeqStat"] == 2
        # A status that is overtaken by a newer one is not told any more; at the speed of the charge that may be before it was sent.
        stage.until("the status of a running charge was told", lambda: 3 in told_states(pushes, connector))
        stage.charge_for(12)

        stopped = hub.call("query_stop_charge", {"StartChargeSeq": SEQ, "ConnectorID": connector})
        assert (stopped["SuccStat"], stopped["FailReason"]) == (0, 0)
        ended = pushes.wait("notification_stop_charge_result", SEQ)
        assert (ended["SuccStat"], ended["StartChargeSeqStat"]) == (0, 4)
        order = pushes.wait("notification_charge_order_info", SEQ)
        check_bill(order, policy)
        assert hub.call("query_equip_charge_status", {"StartChargeSeq": SEQ})["StartChargeSeqStat"] == 4
        stage.until("the hub has noted the confirmation", lambda: stage.order_state(SEQ) == "settled")
        assert pushes.bodies("notification_charge_order_info", SEQ) == [order]
        day = f"{stage.clock.now().astimezone(CHINA_TIME) - timedelta(days=1):%Y-%m-%d}"
        made = post(f"{stage.web_url}/api/console/v1/statements", {"link": "independent", "day": day}, bearer(stage))
        assert made.status_code == 201, made.text
        stage.until("the statement is answered", lambda: statement_state(stage, "independent") == "answered")
        assert pushes.bodies_of("check_charge_orders")[-1]["StartTime"] == f"{day} 00:00:00"
        assert pushes.refused == []
        refusals(hub)


def refusals(hub: Caller) -> None:
    """What is not served is 4004 in a signed answer; a wrong key is refused in one that is signed with the right one."""
    assert hub.raw("query_nothing", {})["Ret"] == 4004
    wrong = Secrets(HUB_ISSUED.operator, HUB_ISSUED.data, HUB_ISSUED.iv, "another-sig-secret")
    with pytest.raises(NotAsAgreed, match="signature"):
        Caller(MSP, hub.base_url, wrong).raw("query_token", {})


def bearer(stage: Stage) -> dict[str, str]:
    return {"Authorization": f"Bearer {stage.token}"}


def statement_state(stage: Stage, link: str) -> str:
    return str(stage.console(f"statements?link={link}")["items"][0]["state"])
