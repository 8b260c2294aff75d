"""Forgets what has ended long ago: attempts first, then the deliveries, each kind of destination after its own time.

Bodies hold personal data (plates, phones), so history has an end. Whole months of attempts are dropped where history is partitioned
(`history.py`); everything else is deleted in small transactions, oldest first, so that claiming goes on beside it. Kept as long as it has
a use: the newest acceptance of an object that other deliveries require.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import ColumnElement, Table, and_, delete, exists, select
from sqlalchemy.orm import aliased

from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from worker import history
from worker.api import State
from worker.metrics import FORGOTTEN, MONTHS_DROPPED
from worker.model import DeliveryAttempt, DeliveryRow
from worker.settings import Keep

__all__ = ["Keep", "Retention"]

log = structlog.get_logger()

TOGETHER = 500
"""Deliveries per transaction: a lock of some 20 ms."""
PAGE = 2000
"""Attempts looked at by one statement."""
_ORPHAN = "unknown"


@dataclass
class Retention:
    """`keep` by kind of destination; `default` for those not named."""

    db: Database
    clock: Clock
    default: Keep = field(default_factory=Keep)
    keep: Mapping[str, Keep] = field(default_factory=dict)

    def run(self) -> tuple[int, int]:
        """Make the coming months and forget everything that is due. Safe to repeat.

        Returns how many deliveries lost attempts by deletion (whole months are not counted) and how many deliveries went.
        """
        now = self.clock.now()
        history.make_ahead(self.db, now)
        with self.db.read_system("retention") as session:
            kinds = session.scalars(select(DeliveryRow.destination_kind).distinct()).all()
            required = _required_interfaces(session)
        kept = {kind: self.keep.get(kind, self.default) for kind in kinds}
        stripped = self._forget_attempts({kind: now - keep.attempts for kind, keep in kept.items()})
        gone = sum(self._remove(kind, now - keep.deliveries, required.get(kind, [])) for kind, keep in kept.items())
        if stripped or gone:
            log.info("ledger_history_forgotten", attempts_of=stripped, deliveries=gone)
        return stripped, gone

    def _forget_attempts(self, kept_since: Mapping[str, datetime]) -> int:
        if not kept_since:
            return 0
        if not history.partitioned(self.db):
            return self._strip(history.part(history.ATTEMPTS), kept_since)
        dropped, still_held = history.drop_ended(self.db, kept_since)
        MONTHS_DROPPED.inc(len(dropped))
        tables = [history.REST, *(month.table_name for month in still_held)]
        stripped = sum(self._strip(history.part(name), kept_since) for name in tables)
        # Kinds that are kept longest go with their months; the others cannot wait for them.
        sooner = {kind: since for kind, since in kept_since.items() if since > min(kept_since.values())}
        return stripped + (self._strip(history.part(history.ATTEMPTS), sooner) if sooner else 0)

    def _strip(self, table: Table, kept_since: Mapping[str, datetime]) -> int:
        """Delete attempts of deliveries that ended before their kind's instant. Ids grow with time, so the end comes early."""
        newest, after, counted = max(kept_since.values()), "", Counter[str]()
        while page := self._attempts(table, after):
            due = [one for one in page if _is_over(one, kept_since)]
            self._delete(table, [attempt for attempt, *_ in due])
            counted.update({delivery: kind or _ORPHAN for _, delivery, _, kind, _ in due}.values())
            after = page[-1][0]
            if all(started >= newest for _, _, started, _, _ in page):
                break
        for kind, count in counted.items():
            FORGOTTEN.labels(kind, "attempts").inc(count)
        return counted.total()

    def _attempts(self, table: Table, after: str) -> Sequence[_Attempt]:
        columns = (table.c.id, table.c.delivery_id, table.c.started_at)
        statement = (
            select(*columns, DeliveryRow.destination_kind, DeliveryRow.finished_at)
            .join_from(table, DeliveryRow, DeliveryRow.id == table.c.delivery_id, isouter=True)
            .where(table.c.id > after)
            .order_by(table.c.id)
            .limit(PAGE)
        )
        with self.db.read_system("retention") as session:
            return [tuple(row) for row in session.connection().execute(statement)]

    def _delete(self, table: Table, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), TOGETHER):
            with self.db.system("retention") as session:
                session.connection().execute(delete(table).where(table.c.id.in_(ids[start : start + TOGETHER])))

    def _remove(self, kind: str, before: datetime, required: Sequence[str]) -> int:
        total = 0
        while ids := self._ids(and_(_ended(kind, before), ~_still_required(required))):
            with self.db.system("retention") as session:
                for model, column in ((DeliveryAttempt, DeliveryAttempt.delivery_id), (DeliveryRow, DeliveryRow.id)):
                    gone = delete(model).where(column.in_(ids))
                    session.execute(gone.execution_options(synchronize_session=False))
            total += len(ids)
        FORGOTTEN.labels(kind, "deliveries").inc(total)
        return total

    def _ids(self, which: ColumnElement[bool]) -> Sequence[str]:
        with self.db.read_system("retention") as session:
            return session.scalars(
                select(DeliveryRow.id).where(which).order_by(DeliveryRow.finished_at).limit(TOGETHER)
            ).all()


_Attempt = tuple[str, str, datetime, str | None, datetime | None]
"""Id, delivery, beginning; kind and end of the delivery, None when it is gone or open."""


def _is_over(attempt: _Attempt, kept_since: Mapping[str, datetime]) -> bool:
    _, _, _, kind, finished = attempt
    if kind is None:
        return True
    return finished is not None and kind in kept_since and finished < kept_since[kind]


def _ended(kind: str, before: datetime) -> ColumnElement[bool]:
    return and_(DeliveryRow.destination_kind == kind, DeliveryRow.finished_at < before)


def _still_required(interfaces: Sequence[str]) -> ColumnElement[bool]:
    newer = aliased(DeliveryRow)
    later = exists().where(
        newer.tenant_id == DeliveryRow.tenant_id,
        newer.destination_kind == DeliveryRow.destination_kind,
        newer.destination_id == DeliveryRow.destination_id,
        newer.interface == DeliveryRow.interface,
        newer.object_key == DeliveryRow.object_key,
        newer.object_version > DeliveryRow.object_version,
        newer.state == State.DELIVERED.value,
    )
    accepted = DeliveryRow.state == State.DELIVERED.value
    return and_(DeliveryRow.interface.in_(list(interfaces)), accepted, ~later)


def _required_interfaces(session: HubSession) -> dict[str, list[str]]:
    row = DeliveryRow
    statement = select(row.destination_kind, row.requires_interface).where(row.requires_interface.is_not(None))
    found: dict[str, list[str]] = {}
    for kind, interface in session.execute(statement.distinct()):
        found.setdefault(kind, []).append(str(interface))
    return found
