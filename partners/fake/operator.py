"""The fake operator of piles (基础设施运营商): stations to be listed, charges to be started, pushes and statements to the hub.

The counterpart of `partner.FakePartner` for a hub whose drivers charge elsewhere. Charges move when they are told to (`begin`, `sample`,
`finish`), so that a rehearsal can put them in any order.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import Field

from charging_core.clock import Clock, china_text
from partners.fake.caller import Answer
from partners.fake.command import fake_options, run_fake
from partners.fake.config import LinkConfig
from partners.fake.door import Refusal
from partners.fake.faults import Fault
from partners.fake.operator_tables import QUESTIONS, SEQUENCE_OF, operator_checker
from partners.fake.platform import EnvelopeFake, Judgement
from partners.fake.server import ControlAction

DEFAULT_PORT = 18084
STARTING, CHARGING, STOPPING, ENDED = 1, 2, 3, 4
STATION_IDS = 50
PERIODS = (
    ("000000", Decimal("0.5000"), Decimal("0.3000")),
    ("080000", Decimal("1.0000"), Decimal("0.4000")),
)
"""Start, energy price, service price."""


class OperatorConfig(LinkConfig):
    """An operator with so many stations of so many connectors."""

    stations: int = Field(default=3, ge=0)
    connectors: int = Field(default=2, ge=1)
    page_size_max: int = Field(default=50, ge=1)
    prefix: str = Field(default="77", pattern=r"^[0-9]{1,6}$", description="first digits of its ids")


@dataclass
class ForeignCharge:
    """One charge at this operator."""

    start_charge_seq: str
    connector_id: str
    asked_at: datetime
    stat: int = STARTING
    energy: Decimal = Decimal("0.00")
    ended_at: datetime | None = None
    bill: dict[str, Any] | None = None
    extras: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For the control interface."""
        return {**vars(self), "asked_at": self.asked_at.isoformat(), "ended_at": None, "extras": sorted(self.extras)}


class FakeOperator(EnvelopeFake):
    """An operator's platform on a local port."""

    def __init__(self, config: OperatorConfig | Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        self.config = config if isinstance(config, OperatorConfig) else OperatorConfig.model_validate(config)
        super().__init__(self.config, *args, **kwargs)
        self._checker = operator_checker()
        self.charges: dict[str, ForeignCharge] = {}
        self.status: dict[str, int] = {}
        self.closed: set[str] = set()

    # -- serving -----------------------------------------------------------------------------------------------------

    def interfaces(self) -> frozenset[str]:
        """The eight questions."""
        return frozenset(QUESTIONS)

    def judge(self, interface: str, body: dict[str, Any], fault: Fault | None) -> Judgement:
        """Fields by the standard's tables (4004), then the answer."""
        problems = [p for p in self._checker.check(interface, body) if p.code != "unknown"]
        if problems:
            raise Refusal(4004, ";".join(f"{problem.path}:{problem.text}" for problem in problems))
        answers: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "query_stations_info": self._stations_info,
            "query_station_status": self._station_status,
            "query_station_stats": self._station_stats,
            "query_equip_auth": self._auth,
            "query_equip_business_policy": self._policy,
            "query_start_charge": self._start,
            "query_equip_charge_status": self._charge_status,
            "query_stop_charge": self._stop,
        }
        return Judgement(answers[interface](body))

    def station_ids(self) -> list[str]:
        """The stations that are listed."""
        every = (f"{self.config.prefix}{number:04d}" for number in range(1, self.config.stations + 1))
        return [station for station in every if station not in self.closed]

    def connector_ids(self, station_id: str) -> list[str]:
        """The connectors of a station."""
        return [f"{station_id}{number:02d}" for number in range(1, self.config.connectors + 1)]

    def _stations_info(self, body: dict[str, Any]) -> dict[str, Any]:
        size = min(body.get("PageSize") or 10, self.config.page_size_max)
        number, ids = body.get("PageNo") or 1, self.station_ids()
        page = ids[(number - 1) * size : number * size]
        return {
            "PageNo": number,
            "PageCount": -(-len(ids) // size),
            "ItemSize": len(ids),
            "StationInfos": [self.station_info(station) for station in page],
        }

    def station_info(self, station_id: str) -> dict[str, Any]:
        """One station as it is listed."""
        return {
            "StationID": station_id, "OperatorID": self.link.operator_id, "EquipmentOwnerID": self.link.operator_id,
            "StationName": f"异地站 {station_id}", "CountryCode": "CN", "AreaCode": "320106", "Address": "中山路 1 号",
            "ServiceTel": "400-000-0009", "StationType": 1, "StationStatus": 50, "ParkNums": 4,
            "StationLng": Decimal("118.796877"), "StationLat": Decimal("32.060255"), "Construction": 255,
            "EquipmentInfos": [
                {
                    "EquipmentID": f"{station_id}1", "EquipmentType": 1, "Power": Decimal("120.0"),
                    "ConnectorInfos": [
                        {
                            "ConnectorID": connector, "ConnectorType": 4, "VoltageUpperLimits": 750,
                            "VoltageLowerLimits": 200, "Current": 250, "Power": Decimal("120.0"), "NationalStandard": 2,
                        }
                        for connector in self.connector_ids(station_id)
                    ],
                }
            ],
        }  # fmt: skip

    def _station_status(self, body: dict[str, Any]) -> dict[str, Any]:
        wanted = body["StationIDs"]
        if len(wanted) > STATION_IDS:
            raise Refusal(4004, f"StationIDs: 最多 {STATION_IDS} 个 at most {STATION_IDS}")
        found = [station for station in self.station_ids() if station in wanted]
        infos = [
            {
                "StationID": station,
                "ConnectorStatusInfos": [
                    {"ConnectorID": one, "Status": self.status.get(one, 2)} for one in self.connector_ids(station)
                ],
            }
            for station in found
        ]
        return {"Total": len(infos), "StationStatusInfos": infos}

    def _station_stats(self, body: dict[str, Any]) -> dict[str, Any]:
        station = body["StationID"]
        if station not in self.station_ids():
            raise Refusal(4004, "StationID: 没有这个充电站 no such station")
        sums = {one: Decimal("0.0") for one in self.connector_ids(station)}
        for charge in self.charges.values():
            if charge.bill is not None and charge.connector_id in sums:
                sums[charge.connector_id] += charge.energy.quantize(Decimal("0.1"))
        total = sum(sums.values(), Decimal("0.0"))
        connectors = [{"ConnectorID": one, "ConnectorElectricity": energy} for one, energy in sums.items()]
        equipment = {"EquipmentID": f"{station}1", "EquipmentElectricity": total, "ConnectorStatsInfos": connectors}
        named = {name: body[name] for name in ("StationID", "StartTime", "EndTime")}
        return {"StationStats": named | {"StationElectricity": total, "EquipmentStatsInfos": [equipment]}}

    def _auth(self, body: dict[str, Any]) -> dict[str, Any]:
        known = self._knows(body["ConnectorID"])
        reason = 0 if known and self.status.get(body["ConnectorID"], 2) == 2 else 1 if known else 3
        return self._echo(body, SEQUENCE_OF["query_equip_auth"]) | {"SuccStat": int(reason > 0), "FailReason": reason}

    def _policy(self, body: dict[str, Any]) -> dict[str, Any]:
        known = self._knows(body["ConnectorID"])
        periods = [{"StartTime": start, "ElecPrice": elec, "SevicePrice": service} for start, elec, service in PERIODS]
        told = periods if known else []
        return self._echo(body, SEQUENCE_OF["query_equip_business_policy"]) | {
            "SuccStat": int(not known),
            "FailReason": int(not known),
            "SumPeriod": len(told),
            "PolicyInfos": told,
        }

    def _start(self, body: dict[str, Any]) -> dict[str, Any]:
        seq, connector = body["StartChargeSeq"], body["ConnectorID"]
        charge = self.charges.get(seq)
        reason = 0
        if charge is None and not self._knows(connector):
            reason = 1
        elif charge is None:
            charge = self.charges[seq] = ForeignCharge(seq, connector, self.clock.now(), extras=dict(body))
        elif charge.connector_id != connector:
            reason = 10
        stat = ENDED if charge is None else charge.stat
        return self._echo(body, "StartChargeSeq") | {
            "StartChargeSeqStat": stat,
            "SuccStat": int(reason > 0),
            "FailReason": reason,
        }

    def _charge_status(self, body: dict[str, Any]) -> dict[str, Any]:
        charge = self.charges.get(body["StartChargeSeq"])
        if charge is None:
            raise Refusal(4004, "StartChargeSeq: 没有这个订单 no such order")
        return self.status_body(charge)

    def _stop(self, body: dict[str, Any]) -> dict[str, Any]:
        charge = self.charges.get(body["StartChargeSeq"])
        reason = 4 if charge is None else 3 if charge.stat == ENDED else 0
        if charge is not None and reason == 0:
            charge.stat = STOPPING
        return {
            "StartChargeSeq": body["StartChargeSeq"],
            "StartChargeSeqStat": 5 if charge is None else charge.stat,
            "SuccStat": int(reason > 0),
            "FailReason": reason,
        }

    def _knows(self, connector_id: str) -> bool:
        return any(connector_id in self.connector_ids(station) for station in self.station_ids())

    @staticmethod
    def _echo(body: dict[str, Any], sequence: str) -> dict[str, Any]:
        return {name: body[name] for name in (sequence, "ConnectorID")}

    # -- what the pile does, and what the hub is told ----------------------------------------------------------------

    def status_body(self, charge: ForeignCharge) -> dict[str, Any]:
        """The charge as 11.9 has it, at this instant."""
        return {
            "StartChargeSeq": charge.start_charge_seq, "StartChargeSeqStat": charge.stat,
            "ConnectorID": charge.connector_id, "ConnectorStatus": 3 if charge.stat in (CHARGING, STOPPING) else 2,
            "CurrentA": Decimal("100.0"), "VoltageA": Decimal("400.0"), "Soc": Decimal("50.00"),
            "StartTime": china_text(charge.asked_at), "EndTime": china_text(charge.ended_at or self.clock.now()),
            "TotalPower": charge.energy,
        }  # fmt: skip

    def begin(self, seq: str, stat: int = CHARGING) -> Answer:
        """The pile began (or did not, with 4): tell the hub."""
        charge = self.charges[seq]
        charge.stat = stat
        body = {"StartChargeSeq": seq, "StartChargeSeqStat": stat, "ConnectorID": charge.connector_id}
        return self.call("notification_start_charge_result", body | {"StartTime": china_text(charge.asked_at)})

    def sample(self, seq: str, energy: str) -> Answer:
        """A reading: tell the hub."""
        charge = self.charges[seq]
        charge.energy = Decimal(energy)
        return self.call("notification_equip_charge_status", self.status_body(charge))

    def stopped(self, seq: str) -> Answer:
        """The pile stopped: tell the hub."""
        charge = self.charges[seq]
        charge.stat, charge.ended_at = ENDED, self.clock.now()
        body = {"StartChargeSeq": seq, "StartChargeSeqStat": ENDED, "ConnectorID": charge.connector_id}
        return self.call("notification_stop_charge_result", body | {"SuccStat": 0, "FailReason": 0})

    def finish(self, seq: str, energy: str, **changes: Any) -> Answer:
        """The bill: one detail at the price of 08:00. `changes` replace members, for bills that are wrong."""
        charge = self.charges[seq]
        charge.stat, charge.energy = ENDED, Decimal(energy)
        charge.ended_at = charge.ended_at or self.clock.now()
        charge.bill = self._bill(charge) | changes
        return self.call("notification_charge_order_info", charge.bill)

    def _bill(self, charge: ForeignCharge) -> dict[str, Any]:
        _, elec_price, service_price = PERIODS[-1]
        fen = Decimal("0.01")
        elec, service = (charge.energy * elec_price).quantize(fen), (charge.energy * service_price).quantize(fen)
        begin, end = china_text(charge.asked_at), china_text(charge.ended_at or self.clock.now())
        detail = {
            "DetailStartTime": begin, "DetailEndTime": end, "ElecPrice": elec_price, "SevicePrice": service_price,
            "DetailPower": charge.energy, "DetailElecMoney": elec, "DetailSeviceMoney": service,
        }  # fmt: skip
        return {
            "StartChargeSeq": charge.start_charge_seq, "ConnectorID": charge.connector_id,
            "StartTime": begin, "EndTime": end, "TotalPower": charge.energy, "TotalElecMoney": elec,
            "TotalSeviceMoney": service, "TotalMoney": elec + service, "StopReason": 0, "SumPeriod": 1,
            "ChargeDetails": [detail],
        }  # fmt: skip

    def tell_status(self, connector_id: str, status: int) -> Answer:
        """A connector changed: tell the hub."""
        self.status[connector_id] = status
        info = {"ConnectorID": connector_id, "Status": status, "ParkStatus": 50, "LockStatus": 0}
        return self.call("notification_stationStatus", {"ConnectorStatusInfo": info})

    def state_day(self, day: datetime, **changes: Any) -> Answer:
        """The statement of the China day of `day`: every bill; `changes` replace members."""
        begin = china_text(day)[:10]
        items = [
            {name: charge.bill[name] for name in ("StartChargeSeq", "TotalPower", "TotalMoney")}
            for charge in self.charges.values()
            if charge.bill is not None and charge.bill["EndTime"].startswith(begin)
        ]
        body = {
            "CheckOrderSeq": f"{self.link.operator_id}{'0' * 10}{begin.replace('-', '')}",
            "StartTime": f"{begin} 00:00:00", "EndTime": f"{begin} 23:59:59", "OrderCount": len(items),
            "TotalOrderPower": sum((item["TotalPower"] for item in items), Decimal(0)),
            "TotalOrderMoney": sum((item["TotalMoney"] for item in items), Decimal(0)), "ChargeOrders": items,
        }  # fmt: skip
        return self.call("check_charge_orders", body | changes)

    # -- control -----------------------------------------------------------------------------------------------------

    def summary(self) -> dict[str, Any]:
        """Also every charge."""
        with self.books_lock:
            charges = {seq: charge.as_json() for seq, charge in self.charges.items()}
        return super().summary() | {"charges": charges}

    def reset(self) -> None:
        """Also forgets charges, states and closed stations."""
        super().reset()
        with self.books_lock:
            self.charges.clear()
            self.status.clear()
            self.closed.clear()

    def control_actions(self) -> dict[tuple[str, str], ControlAction]:
        """Also `begin`, `sample`, `stopped`, `finish` (by start_charge_seq), `status` and `statement`."""

        def about(act: Callable[[str, dict[str, Any]], Answer]) -> ControlAction:
            return lambda body: act(str(body["start_charge_seq"]), body).as_json()

        return super().control_actions() | {
            ("POST", "begin"): about(lambda seq, body: self.begin(seq, int(body.get("stat", CHARGING)))),
            ("POST", "sample"): about(lambda seq, body: self.sample(seq, str(body["energy_kwh"]))),
            ("POST", "stopped"): about(lambda seq, _: self.stopped(seq)),
            ("POST", "finish"): about(lambda seq, body: self.finish(seq, str(body["energy_kwh"]))),
            ("POST", "status"): lambda body: self.tell_status(str(body["connector_id"]), int(body["status"])).as_json(),
            ("POST", "statement"): lambda body: self.state_day(
                self.clock.now() - timedelta(days=int(body.get("days_ago", 1)))
            ).as_json(),
        }


def build(config: dict[str, Any], options: argparse.Namespace, clock: Clock, faults: list[Fault]) -> FakeOperator:
    """The fake that the configuration and the command line describe."""
    return FakeOperator(config, clock, **fake_options(options, faults))


if __name__ == "__main__":
    raise SystemExit(run_fake("partners.fake.operator", build, default_port=DEFAULT_PORT))
