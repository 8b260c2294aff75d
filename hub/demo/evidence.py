"""What the other parties say they received and answered, read from their own logs: the demo's proof (DECISIONS 31)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hub.demo.folder import DemoFolder

ORDER_PUSH = "notification_charge_order_info"
_PARTNER_PUSHES = (
    "notification_stationStatus",
    "notification_start_charge_result",
    "notification_equip_charge_status",
    "notification_stop_charge_result",
    ORDER_PUSH,
)
_REGULATOR_PUSHES = {
    "station_info": "supervise_notification_station_info",
    "connector_status": "supervise_notification_station_status",
    "charge_status": "supervise_notification_equip_charge_status",
    "order": "supervise_notification_charge_order_info",
    "realtime_power": "supervise_notification_realtime_power_info",
}

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The logs of one run, asked about one charge."""

    folder: DemoFolder
    start_charge_seq: str

    def partner_order(self) -> Entry | None:
        """The order push that the partner confirmed."""
        return next((e for e in self._pushes("partner", ORDER_PUSH) if _confirmed(e, "ConfirmResult")), None)

    def regulator_order(self) -> Entry | None:
        """The order push that the regulator confirmed."""
        pushes = self._pushes("regulator", _REGULATOR_PUSHES["order"])
        return next((e for e in pushes if _confirmed(e, "ConfirmResult")), None)

    def coupon(self) -> Entry | None:
        """The coupon that the car park accepted."""
        entries = [e for e in self.folder.journal("isecure") if str(e.get("api", "")).endswith("coupon/addition")]
        return next((e for e in entries if e.get("accepted")), None)

    def gate(self) -> Entry | None:
        """The barrier that the device opened."""
        entries = [e for e in self.folder.journal("camera") if (e.get("gate") or {}).get("action") == "open"]
        return entries[-1] if entries else None

    def stop_result(self) -> Entry | None:
        """The stop result that the partner accepted."""
        return next((e for e in self._pushes("partner", "notification_stop_charge_result") if e["accepted"]), None)

    def partner(self) -> dict[str, Any]:
        """Each push to the partner with its answers."""
        return {name: _told(self._all("partner", name)) for name in _PARTNER_PUSHES}

    def regulator(self) -> dict[str, Any]:
        """Each push to the regulator with its answers."""
        return {kind: _told(self._all("regulator", name)) for kind, name in _REGULATOR_PUSHES.items()}

    def parking(self) -> dict[str, Any]:
        """The coupon and the barrier, as the car park's side logged them."""
        coupon, gate = self.coupon(), self.gate()
        sent = ((coupon or {}).get("body") or {}).get("coupons") or [{}]
        return {
            "granted": coupon is not None,
            "coupon": sent[0] if coupon else None,
            "answer": coupon and coupon["answer"],
            "gate_opened": gate is not None,
            "gate": gate and gate["gate"],
        }

    def missing(self) -> list[str]:
        """What has not been confirmed by the party it concerns; empty when everybody confirmed."""
        partner, regulator = self.partner(), self.regulator()
        wanted = {f"partner {name}": told["accepted"] > 0 for name, told in partner.items()}
        wanted |= {f"regulator {kind}": told["accepted"] > 0 for kind, told in regulator.items()}
        wanted["partner order ConfirmResult 0"] = self.partner_order() is not None
        wanted["regulator order ConfirmResult 0"] = self.regulator_order() is not None
        wanted["parking coupon"] = self.coupon() is not None
        wanted["parking gate"] = self.gate() is not None
        return [name for name, seen in wanted.items() if not seen]

    def _pushes(self, name: str, interface: str) -> list[Entry]:
        return [e for e in self._all(name, interface) if self.start_charge_seq in (e.get("body") or {}).values()]

    def _all(self, name: str, interface: str) -> list[Entry]:
        entries = self.folder.journal(name)
        return [e for e in entries if e.get("direction") == "in" and e.get("interface") == interface]


def money_of_partner(entry: Entry) -> dict[str, Decimal]:
    """Energy and money as the partner received them."""
    body = entry["body"]
    return {
        "energy_kwh": Decimal(str(body["TotalPower"])),
        "elec_yuan": Decimal(str(body["TotalElecMoney"])),
        "service_yuan": Decimal(str(body["TotalSeviceMoney"])),
        "total_yuan": Decimal(str(body["TotalMoney"])),
    }


def _told(entries: list[Entry]) -> dict[str, Any]:
    accepted = [entry for entry in entries if entry.get("accepted")]
    last = accepted[-1] if accepted else None
    answers = Counter(str((entry.get("answer") or {}).get("Ret")) for entry in entries)
    return {
        "sent": len(entries),
        "accepted": len(accepted),
        "ret": dict(answers),
        "last_at": last and last["time"],
        "last_answer": last and last["answer"]["Data"],
    }


def _confirmed(entry: Entry, member: str) -> bool:
    data = (entry.get("answer") or {}).get("Data") or {}
    return bool(entry.get("accepted")) and data.get(member) == 0
