"""Our drivers charge at an independent operator: the whole session of section 12.1 with the hub as the customer's side."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.operator_file import OPERATOR
from tests.e2e.programs import post
from tests.e2e.stage import Stage
from tests.interop.conftest import Connect
from tests.interop.party import CHINA_TIME, Caller, Json, Secrets, Server

CPO, LINK = "MA5FORGN1", "foreign"
HUB_ISSUED = Secrets("hub-operator-key-3", "hubDataSecret003", "hubInitVector003", "hubSignSecret0003")
OWN_ISSUED = Secrets("own-operator-key-3", "ownDataSecret003", "ownInitVector003", "ownSignSecret0003")
STATIONS = tuple(f"{number:05d}" for number in range(1, 61))
"""More than one query_station_status may ask for (11.3), and two pages."""
CONNECTOR = f"{STATIONS[0]}01"
ENERGY, ELEC, SERVICE = Decimal("10.00"), Decimal("0.8000"), Decimal("0.4000")


def station_info(station: str) -> Json:
    connector = {
        "ConnectorID": f"{station}01", "ConnectorType": 4, "VoltageUpperLimits": 750, "VoltageLowerLimits": 200,
        "Current": 250, "Power": 120.0, "NationalStandard": 2,
    }  # fmt: skip
    equipment = {"EquipmentID": station, "EquipmentType": 1, "Power": 120.0, "ConnectorInfos": [connector]}
    return {
        "StationID": station, "OperatorID": CPO, "EquipmentOwnerID": CPO, "StationName": f"异地站{station}",
        "CountryCode": "CN", "AreaCode": "310115", "Address": "浦东新区", "ServiceTel": "4008000000", "StationType": 1,
        "StationStatus": 50, "ParkNums": 4, "StationLng": 121.473701, "StationLat": 31.230416, "Construction": 255,
        "EquipmentInfos": [equipment],
    }  # fmt: skip


@dataclass
class Operator:
    """The other operator's books, by hand. Its charge began at `began`."""

    began: datetime
    stat: dict[str, int] = field(default_factory=dict)

    def at(self, minutes: int) -> str:
        """So many minutes after the beginning, China time."""
        return f"{(self.began + timedelta(minutes=minutes)).astimezone(CHINA_TIME):%Y-%m-%d %H:%M:%S}"

    def answers(self) -> dict[str, Any]:
        return {
            "query_stations_info": self.page,
            "query_station_status": lambda body: {"StationStatusInfos": [state(one) for one in body["StationIDs"]]},
            "query_station_stats": self.stats,
            "query_equip_auth": lambda body: body | {"SuccStat": 0, "FailReason": 0},
            "query_equip_business_policy": self.policy,
            "query_start_charge": self.start,
            "query_equip_charge_status": lambda body: self.sample(body["StartChargeSeq"], 10, "5.00"),
            "query_stop_charge": self.stop,
        }

    def page(self, body: Json) -> Json:
        size, number = body["PageSize"], body["PageNo"]
        part = STATIONS[(number - 1) * size : number * size]
        pages = -(-len(STATIONS) // size)
        infos = [station_info(one) for one in part]
        return {"PageNo": number, "PageCount": pages, "ItemSize": len(STATIONS), "StationInfos": infos}

    def stats(self, body: Json) -> Json:
        used = {"ConnectorID": f"{body['StationID']}01", "ConnectorElectricity": 12.5}
        pile = {"EquipmentID": body["StationID"], "EquipmentElectricity": 12.5, "ConnectorStatsInfos": [used]}
        return {"StationStats": body | {"StationElectricity": 12.5, "EquipmentStatsInfos": [pile]}}

    def policy(self, body: Json) -> Json:
        period = {"StartTime": "000000", "ElecPrice": float(ELEC), "SevicePrice": float(SERVICE)}
        return body | {"SuccStat": 0, "FailReason": 0, "SumPeriod": 1, "PolicyInfos": [period]}

    def start(self, body: Json) -> Json:
        assert len(body["StartChargeSeq"]) == 27
        assert body["StartChargeSeq"].startswith(OPERATOR)
        self.stat.setdefault(body["StartChargeSeq"], 1)
        names = {name: body[name] for name in ("StartChargeSeq", "ConnectorID")}
        return names | {"StartChargeSeqStat": 1, "SuccStat": 0, "FailReason": 0}

    def stop(self, body: Json) -> Json:
        seq = body["StartChargeSeq"]
        self.stat[seq] = 3
        return {"StartChargeSeq": seq, "StartChargeSeqStat": 3, "SuccStat": 0, "FailReason": 0}

    def sample(self, seq: str, minutes: int, energy: str) -> Json:
        return {
            "StartChargeSeq": seq, "StartChargeSeqStat": self.stat[seq], "ConnectorID": CONNECTOR, "ConnectorStatus": 3,
            "CurrentA": 100.0, "VoltageA": 400.0, "Soc": 50.0, "StartTime": self.at(0), "EndTime": self.at(minutes),
            "TotalPower": Decimal(energy),
        }  # fmt: skip

    def bill(self, seq: str, money: str = "12.00") -> Json:
        detail = {
            "DetailStartTime": self.at(0), "DetailEndTime": self.at(20), "ElecPrice": ELEC, "SevicePrice": SERVICE,
            "DetailPower": ENERGY, "DetailElecMoney": ENERGY * ELEC, "DetailSeviceMoney": ENERGY * SERVICE,
        }  # fmt: skip
        return {
            "StartChargeSeq": seq, "ConnectorID": CONNECTOR, "StartTime": self.at(0), "EndTime": self.at(20),
            "TotalPower": ENERGY, "TotalElecMoney": ENERGY * ELEC, "TotalSeviceMoney": ENERGY * SERVICE,
            "TotalMoney": Decimal(money), "StopReason": 1, "SumPeriod": 1, "ChargeDetails": [detail],
        }  # fmt: skip

    def statement(self, seq: str, money: str) -> Json:
        day, total = self.at(20)[:10], Decimal(money)
        return {
            "CheckOrderSeq": f"{CPO}{'0' * 10}{day.replace('-', '')}", "StartTime": f"{day} 00:00:00",
            "EndTime": f"{day} 23:59:59", "OrderCount": 1, "TotalOrderPower": ENERGY, "TotalOrderMoney": total,
            "ChargeOrders": [{"StartChargeSeq": seq, "TotalPower": ENERGY, "TotalMoney": total}],
        }  # fmt: skip


def state(station: str) -> Json:
    return {"StationID": station, "ConnectorStatusInfos": [{"ConnectorID": f"{station}01", "Status": 2}]}


@dataclass
class Desk:
    """What the staff of our hub do by the console."""

    stage: Stage

    def read(self, path: str) -> Any:
        return self.stage.console(path)

    def energy(self, seq: str) -> Decimal:
        return Decimal(str(self.read(f"roaming/orders/{seq}")["sample"]["energy_kwh"]))

    def ask(self, path: str, status: int, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.stage.token}", "Content-Type": "application/json"}
        answer = post(f"{self.stage.web_url}/api/console/v1/{path}", body, headers)
        assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()


@dataclass
class Session:
    """Both sides and the desk between them, for one charge."""

    desk: Desk
    server: Server
    pushes: Caller
    operator: Operator
    seq: str = ""

    def looks_around(self) -> None:
        """Two pages of stations, their status in chunks of fifty, then the newest status by push, and statistics."""
        desk = self.desk
        found = desk.ask(f"roaming/links/{LINK}/sync", 200)
        assert (found["stations"], found["connectors"]) == (60, 60)
        told = {"ConnectorStatusInfo": {"ConnectorID": CONNECTOR, "Status": 2, "ParkStatus": 50, "LockStatus": 10}}
        assert self.pushes.call("notification_stationStatus", told) == {"Status": 0}
        listed = desk.read(f"roaming/stations?link={LINK}&limit=200")["items"]
        (connector,) = [one for station in listed for one in station["connectors"] if one["connector_id"] == CONNECTOR]
        assert (connector["status"], connector["park_status"]) == (2, 50)
        stats = desk.read(f"roaming/links/{LINK}/stations/{STATIONS[0]}/stats?first=2026-03-01&last=2026-03-02")
        assert Decimal(stats["StationElectricity"]) == Decimal("12.5")

    def starts(self) -> None:
        """Ready, at this price, started once however often it is wished."""
        ready = self.desk.ask(f"roaming/links/{LINK}/connectors/{CONNECTOR}/check", 200)
        assert (ready["ready"], len(ready["periods"])) == (True, 1)
        wish = {"link": LINK, "connector": CONNECTOR, "request_id": "interop-1", "plate": "浙AD12345"}
        self.seq = self.desk.ask("roaming/orders", 201, **wish)["start_charge_seq"]
        assert self.desk.ask("roaming/orders", 201, **wish)["start_charge_seq"] == self.seq
        (asked,) = self.server.bodies("query_start_charge", self.seq)
        assert (asked["ConnectorID"], asked["PlateNum"]) == (CONNECTOR, "浙AD12345")

    def runs(self) -> None:
        """The pile begins; a sample comes, an older one after it; then silence, about which the hub asks."""
        self.operator.stat[self.seq] = 2
        assert self._told("notification_start_charge_result", StartTime=self.operator.at(0))["SuccStat"] == 0
        for minutes, energy_kwh in ((3, "4.00"), (2, "2.00")):
            sample = self.operator.sample(self.seq, minutes, energy_kwh)
            answer = self.pushes.call("notification_equip_charge_status", sample)
            assert answer == {"StartChargeSeq": self.seq, "SuccStat": 0}
        assert self.desk.energy(self.seq) == Decimal("4.00")
        self.desk.stage.charge_for(8)
        self.server.wait("query_equip_charge_status", self.seq)
        self.desk.stage.until("its answer is kept", lambda: self.desk.energy(self.seq) == Decimal("5.00"))

    def stops(self) -> None:
        """Stopped from here, billed there and confirmed; another amount afterwards is contested."""
        assert self.desk.ask(f"roaming/orders/{self.seq}/stop", 202)["state"] == "stopping"
        self.operator.stat[self.seq] = 4
        assert self._told("notification_stop_charge_result", SuccStat=0, FailReason=0)["SuccStat"] == 0
        for money, result in (("12.00", 0), ("12.00", 0), ("13.00", 1)):
            confirmed = self.pushes.call("notification_charge_order_info", self.operator.bill(self.seq, money))
            assert confirmed == {"StartChargeSeq": self.seq, "ConnectorID": CONNECTOR, "ConfirmResult": result}
        order = self.desk.read(f"roaming/orders/{self.seq}")
        assert (order["state"], Decimal(order["total_fee"])) == ("billed", Decimal(12))

    def accounts(self) -> None:
        """The statement of the day: right, then with another amount."""
        clean = self.pushes.call("check_charge_orders", self.operator.statement(self.seq, "12.00"))
        assert (clean["TotalDisputeOrder"], clean["DisputeOrders"]) == (0, [])
        (dispute,) = self.pushes.call("check_charge_orders", self.operator.statement(self.seq, "11.00"))[
            "DisputeOrders"
        ]
        assert (dispute["DisputeReason"], Decimal(dispute["TotalMoney"])) == (2, Decimal(12))
        (kept,) = self.desk.read(f"statements?link={LINK}&direction=in")["items"]
        assert kept["dispute_count"] == 1

    def hears_of_a_charge_that_nobody_started(self) -> None:
        """Neither confirmed nor believed; and what we do not serve in this role is 4004."""
        seq = f"{OPERATOR}260302090000999999"
        body = {
            "StartChargeSeq": seq,
            "StartChargeSeqStat": 2,
            "ConnectorID": CONNECTOR,
            "StartTime": "2026-03-02 09:00:00",
        }
        answer = self.pushes.call("notification_start_charge_result", body)
        assert (answer["SuccStat"], answer["FailReason"]) == (1, 1)
        assert self.pushes.call("notification_charge_order_info", self.operator.bill(seq))["ConfirmResult"] == 1
        assert self.pushes.raw("query_stations_info", {"PageNo": 1})["Ret"] == 4004

    def _told(self, interface: str, **more: Any) -> Json:
        named = {"StartChargeSeq": self.seq, "StartChargeSeqStat": self.operator.stat[self.seq]}
        return self.pushes.call(interface, named | {"ConnectorID": CONNECTOR} | more)


@pytest.mark.timeout(300)
def test_our_driver_charges_at_an_independent_operator(stage: Stage, connect: Connect) -> None:
    operator = Operator(stage.clock.now())
    with Server(OPERATOR, OWN_ISSUED, operator.answers()) as server:
        url = connect(LINK, CPO, HUB_ISSUED, OWN_ISSUED, server.base_url, role="msp")
        session = Session(Desk(stage), server, Caller(CPO, url, HUB_ISSUED), operator)
        session.looks_around()
        session.starts()
        session.runs()
        session.stops()
        session.accounts()
        session.hears_of_a_charge_that_nobody_started()
        assert server.refused == []
