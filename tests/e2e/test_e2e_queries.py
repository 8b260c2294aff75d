"""Asked from outside (DESIGN way 4): what a partner and a driver are shown is what the operator declared."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.e2e.operator_file import OPERATOR, PERIODS, STATION
from tests.e2e.stage import Stage

pytestmark = pytest.mark.timeout(300)  # the first test sets the stage

NOBODYS = "99999999999999"
_SEQ = "MA5PARTN1260302000000000001"


def test_stations_are_shown_as_declared(stage: Stage) -> None:
    answer = stage.partner.call("query_stations_info", {"LastQueryTime": "", "PageNo": 1, "PageSize": 10})
    assert answer.ok
    assert answer.data is not None
    assert (answer.data["ItemSize"], answer.data["PageCount"]) == (2, 1)
    station = next(info for info in answer.data["StationInfos"] if info["StationID"] == STATION)
    assert station["OperatorID"] == OPERATOR
    assert (station["StationLng"], station["StationLat"]) == (Decimal("120.130663"), Decimal("30.276694"))
    shown = [c["ConnectorID"] for pile in station["EquipmentInfos"] for c in pile["ConnectorInfos"]]
    assert sorted(shown) == [f"{code}01" for code in stage.pile_codes]


def test_a_plugged_car_is_seen_by_everybody(stage: Stage) -> None:
    connector = stage.free_connector()
    stage.plug(connector)
    answer = stage.partner.call("query_station_status", {"StationIDs": [STATION]})
    assert answer.data is not None
    infos = answer.data["StationStatusInfos"][0]["ConnectorStatusInfos"]
    assert {info["ConnectorID"]: info["Status"] for info in infos}[connector] == 2
    asked = stage.partner.call("query_equip_auth", {"EquipAuthSeq": _SEQ, "ConnectorID": connector})
    assert asked.ok
    stage.until("the partner was told", lambda: stage.partner.books.connector_status.get(connector) == 2)
    by_number = f"{connector[:14]}1"
    stage.until("the regulator was told", lambda: stage.regulator.summary()["connector_status"].get(by_number) == 2)


def test_the_policy_is_the_tariff(stage: Stage) -> None:
    asked = {"EquipBizSeq": _SEQ, "ConnectorID": f"{stage.pile_codes[0]}01"}
    answer = stage.partner.call("query_equip_business_policy", asked)
    assert answer.ok
    assert answer.data is not None
    shown = [(p["StartTime"], p["ElecPrice"], p["SevicePrice"]) for p in answer.data["PolicyInfos"]]
    assert shown == [
        (f"{p['start'].replace(':', '')}00", _four(p["elec_price"]), _four(p["service_price"])) for p in PERIODS
    ]


def test_what_does_not_exist_is_a_business_answer(stage: Stage) -> None:
    start = stage.partner.call("query_start_charge", {"StartChargeSeq": _SEQ, "ConnectorID": NOBODYS, "QRCode": ""})
    assert (start.ret, start.data and (start.data["SuccStat"], start.data["FailReason"])) == (0, (1, 1))
    assert stage.partner.call("query_equip_charge_status", {"StartChargeSeq": "MA5PARTN1999999"}).ret == 4004


def test_the_link_test_finds_nothing_wrong(stage: Stage) -> None:
    told = stage.command("link", "test", "platform")
    assert told["ok"], told["steps"]


def _four(price: str) -> Decimal:
    """The standard shows prices with four decimals."""
    return round(Decimal(price), 4)
