"""An independent customer platform charges at the hub: the whole session of section 12.1, both directions, in one go."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.e2e.operator_file import OPERATOR
from tests.e2e.stage import Stage
from tests.interop.conftest import Connect
from tests.interop.party import Caller, Json, Secrets, Server

MSP = "MA5INTER1"
HUB_ISSUED = Secrets("hub-operator-key-1", "hubDataSecret001", "hubInitVector001", "hubSignSecret0001")
OWN_ISSUED = Secrets("own-operator-key-1", "ownDataSecret001", "ownInitVector001", "ownSignSecret0001")
SEQ = MSP + "240102030405000001"


def received(body: Json) -> Json:
    return {"StartChargeSeq": body["StartChargeSeq"], "SuccStat": 0, "FailReason": 0}


def confirmed(body: Json) -> Json:
    return {"StartChargeSeq": body["StartChargeSeq"], "ConnectorID": body["ConnectorID"], "ConfirmResult": 0}


PUSHES = {
    "notification_stationStatus": lambda _body: {"Status": 0},
    "notification_start_charge_result": received,
    "notification_equip_charge_status": received,
    "notification_stop_charge_result": received,
    "notification_charge_order_info": confirmed,
}


def listed(hub: Caller) -> list[str]:
    """Every connector the hub lists, page by page."""
    found, page_no = [], 1
    while True:
        page = hub.call("query_stations_info", {"LastQueryTime": "", "PageNo": page_no, "PageSize": 1})
        for station in page["StationInfos"]:
            found += [one["ConnectorID"] for pile in station["EquipmentInfos"] for one in pile["ConnectorInfos"]]
        if page_no >= page["PageCount"]:
            return found
        page_no += 1


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
        assert connector in listed(hub)
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
        assert pushes.refused == []


def test_the_independent_party_is_refused_with_a_wrong_key_and_an_unknown_interface(
    stage: Stage, connect: Connect
) -> None:
    url = connect("independent-2", "MA5INTER2", HUB_ISSUED, OWN_ISSUED, "http://127.0.0.1:9/evcs/v2/")
    hub = Caller("MA5INTER2", url, HUB_ISSUED)
    hub.call("query_stations_info", {"PageNo": 1, "PageSize": 1})
    assert hub.raw("query_nothing", {})["Ret"] == 4004
    wrong = Secrets(HUB_ISSUED.operator, HUB_ISSUED.data, HUB_ISSUED.iv, "another-sig-secret")
    with pytest.raises(AssertionError, match="signature"):
        Caller("MA5INTER2", url, wrong).raw("query_token", {})
