"""One charge as a partner platform asks for it: token, stations, status, auth, policy, start (clause 12.1), step by step."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from charging_core.clock import Clock, to_china
from partners.fake.caller import Answer
from partners.fake.journal import masked

MAX_PAGES = 1000
"""A hub that keeps announcing further pages must not keep us forever."""

STATION_IDS = 50
"""Most ids in one query_station_status (clause 11.3)."""

Call = Callable[[str, dict[str, Any]], Answer]


class Sequences:
    """Makes 27-character sequences: our OperatorID, the China time to the second, six digits. Never twice. Thread-safe."""

    def __init__(self, operator_id: str, clock: Clock) -> None:
        self._operator_id = operator_id
        self._clock = clock
        self._tail = secrets.randbelow(900_000)
        self._lock = threading.Lock()

    def next(self) -> str:
        """A fresh sequence."""
        with self._lock:
            self._tail = (self._tail + 1) % 1_000_000
            return f"{self._operator_id}{to_china(self._clock.now()):%y%m%d%H%M%S}{self._tail:06d}"


@dataclass
class Charge:
    """The calls made so far for one charge, and where they failed."""

    connector_id: str
    plate: str
    start_charge_seq: str = ""
    steps: list[dict[str, Any]] = field(default_factory=list)
    failed: str = ""
    policy: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The result for the control interface."""
        return {
            "ok": not self.failed,
            "start_charge_seq": self.start_charge_seq,
            "connector_id": self.connector_id,
            "plate": self.plate,
            "failed": self.failed,
            "steps": self.steps,
        }


class StepFailed(Exception):
    """Raised inside the sequence when a step was refused; the message names it."""


class ChargeScript:
    """Plays the sequence. `call` sends and returns the opened answer; `begin` is told before the start is asked for."""

    def __init__(self, call: Call, sequences: Sequences, page_size: int) -> None:
        self._call = call
        self._sequences = sequences
        self._page_size = page_size

    def play(self, connector_id: str, plate: str, begin: Callable[[Charge], None]) -> Charge:
        """All steps until the first failure; the charge tells how far it came."""
        charge = Charge(connector_id, plate)
        try:
            self._step(charge, "query_token", {})
            self._look_around(charge)
            self._ask_connector(charge)
            self._start(charge, begin)
        except StepFailed as failure:
            charge.failed = str(failure)
        return charge

    def _look_around(self, charge: Charge) -> None:
        stations = self._stations(charge)
        listed = {
            connector["ConnectorID"]: station["StationID"]
            for station in stations
            for equipment in station.get("EquipmentInfos", [])
            for connector in equipment.get("ConnectorInfos", [])
        }
        if charge.connector_id not in listed:
            raise StepFailed(f"query_stations_info: {charge.connector_id} is not listed")
        ids = [station["StationID"] for station in stations]
        for begin in range(0, len(ids), STATION_IDS):
            self._step(charge, "query_station_status", {"StationIDs": ids[begin : begin + STATION_IDS]})

    def _stations(self, charge: Charge) -> list[dict[str, Any]]:
        stations: list[dict[str, Any]] = []
        for page_no in range(1, MAX_PAGES + 1):
            asked = {"LastQueryTime": "", "PageNo": page_no, "PageSize": self._page_size}
            page = self._step(charge, "query_stations_info", asked)
            stations += page.get("StationInfos") or []
            if page_no >= int(page.get("PageCount", 1)) or not page.get("StationInfos"):
                break
        return stations

    def _ask_connector(self, charge: Charge) -> None:
        connector = charge.connector_id
        self._step(charge, "query_equip_auth", {"EquipAuthSeq": self._sequences.next(), "ConnectorID": connector})
        asked = {"EquipBizSeq": self._sequences.next(), "ConnectorID": connector}
        charge.policy = self._step(charge, "query_equip_business_policy", asked).get("PolicyInfos") or []

    def _start(self, charge: Charge, begin: Callable[[Charge], None]) -> None:
        charge.start_charge_seq = self._sequences.next()
        begin(charge)
        body = {"StartChargeSeq": charge.start_charge_seq, "ConnectorID": charge.connector_id, "QRCode": ""}
        self._step(charge, "query_start_charge", body | ({"PlateNum": charge.plate} if charge.plate else {}))

    def _step(self, charge: Charge, interface: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._call(interface, body)
        charge.steps.append(masked(answer.as_json()))
        if not answer.ok:
            reason = answer.error or f"Ret {answer.ret} {answer.msg} FailReason {(answer.data or {}).get('FailReason')}"
            raise StepFailed(f"{interface}: {reason}")
        return answer.data or {}
