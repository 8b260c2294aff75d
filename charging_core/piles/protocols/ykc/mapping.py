"""YKC frames to neutral events, and neutral values to the fields of frames we send. Pure.

Missing fields of short frames become None; what firmware puts where a value is unknown (zeros, 0xFF) becomes None too.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any

from charging_core.piles.events import (
    ConnectorSample,
    ConnectorStatus,
    PileCurrent,
    PileLogin,
    RateClass,
    RateReading,
    StartReason,
    StopCategory,
    StopReason,
    TradeRecord,
)
from charging_core.piles.ports import PendingCommand, PileTariff
from charging_core.piles.protocols.ykc.codec import Frame
from charging_core.piles.protocols.ykc.codes import fault_names, stop_category

NO_CARD = "0" * 16
NO_TRADE = "0" * 32
NO_MODEL = "0000"
_MOST_BALANCE = Decimal(2**32 - 1) / 100
UNPLUGGED_REASON = 5
"""The one refusal in 0x33 that is not final: the pile may still start when it is plugged in within 60 s."""

_STATUS = {
    0: ConnectorStatus.OFFLINE,
    1: ConnectorStatus.FAULT,
    2: ConnectorStatus.IDLE,
    3: ConnectorStatus.CHARGING,
}
_CURRENT = {0: PileCurrent.DC, 1: PileCurrent.AC}
_START_REASONS = {
    0: StartReason.NONE,
    1: StartReason.WRONG_PILE,
    2: StartReason.BUSY,
    3: StartReason.FAULT,
    4: StartReason.OFFLINE,
    UNPLUGGED_REASON: StartReason.NOT_PLUGGED,
}
_STOP_REASONS = {0: StopReason.NONE, 1: StopReason.WRONG_PILE, 2: StopReason.NOT_CHARGING}
_RATE_NAMES = ("sharp", "peak", "flat", "valley")


def connector_number(digits: str) -> int:
    """The number of a connector: BCD by the text, but firmware that sends it binary betrays itself by the digits A–F."""
    return int(digits) if digits.isdecimal() else int(digits, 16)


def connector_digits(number: int) -> str:
    """Two BCD digits."""
    return f"{number:02d}"


def known_trade(digits: str | None) -> str | None:
    """A trade number; None when it is all zeros."""
    return None if digits is None or digits == NO_TRADE else digits


def login(frame: Frame, connection_id: str, address: str, received_at: datetime) -> PileLogin:
    """What 0x01 says. Only the pile code must be whole; the version byte is kept, never judged (5, trap of 0x01)."""
    fields = frame.fields
    version = fields.get("protocol_version")
    sim = fields.get("sim", "").strip("0")
    return PileLogin(
        pile_code=fields["pile_code"],
        connection_id=connection_id,
        protocol="ykc",
        protocol_version="" if version is None else f"{version // 10}.{version % 10}",
        firmware=_printable(fields.get("firmware")) or None,
        current=_CURRENT.get(fields.get("pile_kind", -1), PileCurrent.UNKNOWN),
        connector_count=fields.get("connector_count"),
        sim=fields["sim"] if sim else None,
        address=address,
        received_at=received_at,
    )


def sample(frame: Frame, received_at: datetime) -> ConnectorSample:
    """What 0x13 says; the status must be whole."""
    fields = frame.fields
    plugged = fields.get("plugged")
    return ConnectorSample(
        pile_code=fields["pile_code"],
        connector_no=connector_number(fields["connector_no"]),
        trade_number=known_trade(fields["trade_number"]),
        status=_STATUS.get(fields["status"], ConnectorStatus.UNKNOWN),
        plugged=None if plugged is None else plugged == 1,
        voltage_v=fields.get("voltage"),
        current_a=fields.get("current"),
        soc=fields.get("soc"),
        energy_kwh=fields.get("energy"),
        energy_with_loss_kwh=fields.get("energy_with_loss"),
        amount_yuan=fields.get("amount"),
        minutes_charged=fields.get("minutes_charged"),
        minutes_remaining=fields.get("minutes_remaining"),
        faults=fault_names(fields.get("faults", 0)),
        received_at=received_at,
    )


def record(frame: Frame, raw: bytes, received_at: datetime) -> TradeRecord:
    """What 0x3B (or 1.7's 0x3D) says; trade number, pile and connector must be whole."""
    fields = frame.fields
    stop_code = fields.get("stop_code")
    return TradeRecord(
        trade_number=fields["trade_number"],
        pile_code=fields["pile_code"],
        connector_no=connector_number(fields["connector_no"]),
        started_at=fields.get("started_at"),
        ended_at=fields.get("ended_at"),
        rates=_rates(fields),
        meter_start_kwh=fields.get("meter_start"),
        meter_end_kwh=fields.get("meter_end"),
        total_energy_kwh=fields.get("total_energy"),
        total_energy_with_loss_kwh=fields.get("total_energy_with_loss"),
        total_amount_yuan=fields.get("total_amount"),
        vin=known_vin(fields.get("vin")),
        trade_flag=fields.get("trade_flag"),
        stop_code=stop_code,
        stop_category=StopCategory.UNKNOWN if stop_code is None else stop_category(stop_code),
        card=_known_card(fields.get("physical_card")),
        trade_time=fields.get("trade_time"),
        complete=not frame.short,
        raw=raw.hex().upper(),
        received_at=received_at,
    )


def _rates(fields: Mapping[str, Any]) -> tuple[RateReading, ...]:
    return tuple(
        RateReading(
            RateClass(name),
            fields[f"{name}_price"],
            fields[f"{name}_energy"],
            fields[f"{name}_energy_with_loss"],
            fields[f"{name}_amount"],
        )
        for name in _RATE_NAMES
        if f"{name}_amount" in fields
    )


def known_vin(text: str | None) -> str | None:
    """A VIN; None for what firmware sends when it has none: nothing, 17 zeros, 17 × 0xFF (3)."""
    vin = _printable(text)
    return vin if vin.strip("0") else None


def _printable(text: str | None) -> str:
    """Without padding and other bytes that are no text: PostgreSQL refuses a zero byte, and nobody could read them anyway."""
    return "".join(c for c in text or "" if c.isascii() and c.isprintable()).strip()


def _known_card(digits: str | None) -> str | None:
    return None if digits in (None, NO_CARD) else digits


def start_reason(code: int) -> StartReason:
    """Why 0x33 refuses."""
    return _START_REASONS.get(code, StartReason.OTHER)


def stop_reason(code: int) -> StopReason:
    """Why 0x35 refuses."""
    return _STOP_REASONS.get(code, StopReason.OTHER)


def start_type(command: PendingCommand) -> int:
    """0x34, or 0xA4 for one of several connectors of a parallel charge."""
    return 0xA4 if "parallel_number" in command.parameters else 0x34


def start_fields(command: PendingCommand) -> dict[str, Any]:
    """Fields of 0x34 and 0xA4. No card is named, so only the platform, the pile's limits or the driver at the pile can end it."""
    parallel = {name: command.parameters[name] for name in ("parallel_number",) if name in command.parameters}
    return {
        "trade_number": command.trade_number or NO_TRADE,
        "pile_code": command.pile_code,
        "connector_no": connector_digits(command.connector_no),
        "logical_card": NO_CARD,
        "physical_card": NO_CARD,
        "balance": balance_field(command.balance_yuan or Decimal(0)),
        **parallel,
    }


def balance_field(amount: Decimal) -> Decimal:
    """Yuan as 0x32, 0x34 and 0x42 carry them: whole fen, never more than is there, and what four bytes hold."""
    return max(Decimal(0), min(amount, _MOST_BALANCE)).quantize(Decimal("0.01"), ROUND_DOWN)


def tariff_fields(pile_code: str, tariff: PileTariff) -> dict[str, Any]:
    """Fields of 0x0A and 0x58. The loss ratio stays 0: losses are priced, not metered away."""
    fields: dict[str, Any] = {
        "pile_code": pile_code,
        "model_number": tariff.model_number,
        "loss_ratio": 0,
        "slots": tariff.slots,
    }
    for name, price in zip(_RATE_NAMES, tariff.prices, strict=True):
        fields[f"{name}_energy_price"] = price.energy
        fields[f"{name}_service_price"] = price.service
    return fields
