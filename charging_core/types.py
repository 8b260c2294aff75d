"""Column types: scaled integers for money and energy, UTC times, JSON that keeps decimals and times exact."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator

from charging_core.money import AMOUNT_PLACES, ENERGY_PLACES, PRICE_PLACES, from_scaled, to_scaled

BigKey = BigInteger().with_variant(Integer(), "sqlite")
"""An autoincrementing key that SQLite can number too (it numbers INTEGER only)."""


class _Scaled(TypeDecorator[Decimal]):
    """A decimal kept as an integer of fixed scale: the same digits on every database."""

    impl = BigInteger
    cache_ok = True
    places: int

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        """Refuses a value with more digits than the column keeps."""
        return None if value is None else to_scaled(value, self.places)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:
        """The exact decimal."""
        return None if value is None else from_scaled(value, self.places)


class Yuan4(_Scaled):
    """Yuan at 0.0001."""

    cache_ok = True
    places = AMOUNT_PLACES


class Price5(_Scaled):
    """Yuan per kWh at 0.00001."""

    cache_ok = True
    places = PRICE_PLACES


class Kwh4(_Scaled):
    """kWh at 0.0001."""

    cache_ok = True
    places = ENERGY_PLACES


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes, stored in UTC; a naive one is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC; without zone on SQLite, which keeps none."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("stored times are aware")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """JSON text in which decimals and times survive exactly (tagged `$decimal`, `$time`)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """The text to store."""
        return None if value is None else dump_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """The value as it was given."""
        return None if value is None else load_json(value)


def dump_json(value: Any) -> str:
    """JSON text with exact decimals and times; members keep their order."""
    return json.dumps(value, default=_tag, ensure_ascii=False, separators=(",", ":"))


def load_json(text: str) -> Any:
    """The inverse of `dump_json`."""
    return json.loads(text, object_hook=_untag, parse_float=Decimal)


def _tag(value: object) -> dict[str, str]:
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def _untag(members: dict[str, Any]) -> Any:
    if len(members) == 1:
        if "$decimal" in members:
            return Decimal(members["$decimal"])
        if "$time" in members:
            return datetime.fromisoformat(members["$time"])
    return members
