"""From a stored connection to a working adapter: secrets opened, one adapter per connection and version, kept between calls."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.secretbox import SecretBox
from parking.adapters.registry import adapter_kind
from parking.model import ParkConnection, Role
from parking.port import ParkingAdapter


def seal_secrets(box: SecretBox, connection_id: str, hidden: Mapping[str, str]) -> str:
    """The sealed text of a connection's secret settings."""
    return box.seal(json.dumps(dict(hidden), ensure_ascii=False, sort_keys=True), _context(connection_id))


def open_secrets(box: SecretBox, row: ParkConnection) -> dict[str, str]:
    """The secret settings of a connection. Raises `SecretError` when no key fits."""
    opened: dict[str, str] = json.loads(box.open(row.secrets, _context(row.id)))
    return opened


def connection_of(session: HubSession, park_id: str, role: Role) -> ParkConnection | None:
    """The enabled connection of a park that has `role`; the first by code."""
    query = select(ParkConnection).where(ParkConnection.park_id == park_id, ParkConnection.enabled.is_(True))
    rows = session.scalars(query.order_by(ParkConnection.code))
    return next((row for row in rows if role in row.roles), None)


class AdapterPool:
    """Adapters by connection. Thread-safe; a changed connection gets a new adapter at its next use."""

    def __init__(self, db: Database, box: SecretBox, clock: Clock) -> None:
        self._db = db
        self._box = box
        self._clock = clock
        self._lock = threading.Lock()
        self._adapters: dict[str, tuple[int, ParkingAdapter]] = {}

    def of(self, row: ParkConnection) -> ParkingAdapter:
        """The adapter of a connection. Raises `SettingsError` or `SecretError` when it cannot be made."""
        with self._lock:
            version, adapter = self._adapters.get(row.id, (0, None))
            if adapter is not None and version == row.version:
                return adapter
            fresh = self._make(row)
            self._adapters[row.id] = (row.version, fresh)
        if adapter is not None:
            adapter.close()
        return fresh

    def named(self, tenant_id: str, connection_id: str) -> ParkingAdapter | None:
        """The adapter of an enabled connection by its id; opens and ends its own read."""
        with self._db.read(tenant_id) as session:
            query = select(ParkConnection).where(ParkConnection.id == connection_id, ParkConnection.enabled.is_(True))
            row = session.scalars(query).one_or_none()
        return None if row is None else self.of(row)

    def drop(self, connection_id: str) -> None:
        """Forget an adapter and what it remembers of its device, such as refused credentials."""
        with self._lock:
            _version, adapter = self._adapters.pop(connection_id, (0, None))
        if adapter is not None:
            adapter.close()

    def close(self) -> None:
        """Close every adapter."""
        with self._lock:
            adapters = [adapter for _version, adapter in self._adapters.values()]
            self._adapters.clear()
        for adapter in adapters:
            adapter.close()

    def _make(self, row: ParkConnection) -> ParkingAdapter:
        values: dict[str, Any] = {**row.settings, **open_secrets(self._box, row)}
        return adapter_kind(row.adapter).create(row.id, values, self._clock)


def _context(connection_id: str) -> str:
    return f"park_connection:{connection_id}"
