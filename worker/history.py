"""The attempts' history, cut into months: made ahead of time, dropped whole when nobody keeps it any longer.

On PostgreSQL `delivery_attempt` is partitioned by the month (UTC) in which an attempt began. The program's role may not create or
drop tables, so it calls two functions of the owner that `hub migrate` installs. What lies outside of all months (a clock that jumped,
months in which no scheduler ran) is kept in `REST` and moved when its month is made. SQLite has one table, and rows are deleted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

import structlog
from sqlalchemy import MetaData, Table, and_, case, exists, or_, select, text

from charging_core.db import Base, Database, HubSession
from worker.model import DeliveryAttempt, DeliveryRow

log = structlog.get_logger()

ATTEMPTS = DeliveryAttempt.__tablename__
REST = f"{ATTEMPTS}_rest"
ADD_MONTH, DROP_MONTH = "hub_add_attempt_month", "hub_drop_attempt_month"
"""Functions of the owner; each takes the first day of a month."""
AHEAD = 2
"""Months made before they begin: the daily job may fail for weeks before anything is kept in `REST`."""
_NAME = re.compile(rf"{ATTEMPTS}_y(\d{{4}})m(\d{{2}})")
_PARTITIONS = text(
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
    "WHERE i.inhparent = 'delivery_attempt'::regclass ORDER BY c.relname"
)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of attempts by its first day; its times are UTC."""

    first: date

    @property
    def table_name(self) -> str:
        """The partition that holds it."""
        return f"{ATTEMPTS}_y{self.first:%Y}m{self.first:%m}"

    @property
    def begin(self) -> datetime:
        """Its first instant."""
        return datetime(self.first.year, self.first.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first instant of the next one."""
        return self.next.begin

    @property
    def next(self) -> Month:
        """The following month."""
        return Month((self.first + timedelta(days=31)).replace(day=1))


def month_of(instant: datetime) -> Month:
    """The month in which an attempt of that instant is kept."""
    return Month(instant.astimezone(UTC).date().replace(day=1))


def months_ahead(now: datetime) -> list[Month]:
    """The months that should exist at `now`: the present one and the next `AHEAD`."""
    found = [month_of(now)]
    for _ in range(AHEAD):
        found.append(found[-1].next)
    return found


def is_partition(table_name: str) -> bool:
    """Whether a table is a part of the history and not one of the models."""
    return table_name == REST or _NAME.fullmatch(table_name) is not None


def partitioned(db: Database) -> bool:
    """Whether this database keeps the history in months."""
    return db.dialect == "postgresql"


def part(table_name: str) -> Table:
    """The columns of the history on one of its partitions."""
    return _part(table_name)


def months(session: HubSession) -> list[Month]:
    """The months that exist, oldest first (PostgreSQL)."""
    names = session.connection().execute(_PARTITIONS).scalars()
    found = (_NAME.fullmatch(name) for name in names)
    return [Month(date(int(one[1]), int(one[2]), 1)) for one in found if one]


def make_ahead(db: Database, now: datetime) -> int:
    """Make the months that should exist and do not; returns how many. Does nothing where history is not partitioned."""
    if not partitioned(db):
        return 0
    with db.read_system("history") as session:
        missing = sorted({*months_ahead(now)} - {*months(session)})
    for month in missing:
        _call(db, ADD_MONTH, month)
    return len(missing)


def drop_ended(db: Database, kept_since: Mapping[str, datetime]) -> tuple[list[Month], list[Month]]:
    """Drop the months of which nothing is kept any longer; returns them, and those that are over but still hold something.

    `kept_since`: of deliveries of a kind that ended before that instant no attempts are kept.
    """
    if not partitioned(db) or not kept_since:
        return [], []
    with db.read_system("history") as session:
        over = [month for month in months(session) if month.end <= min(kept_since.values())]
        holding = [month for month in over if _holds_kept(session, month, kept_since)]
    gone = [month for month in over if month not in holding]
    for month in gone:
        _call(db, DROP_MONTH, month)
        log.info("attempt_month_dropped", month=f"{month.first:%Y-%m}")
    return gone, holding


def _holds_kept(session: HubSession, month: Month, kept_since: Mapping[str, datetime]) -> bool:
    attempt, row = part(month.table_name), DeliveryRow
    since = case(kept_since, value=row.destination_kind, else_=month.begin)
    kept = or_(row.finished_at.is_(None), row.finished_at >= since)
    found = select(exists().where(and_(attempt.c.delivery_id == row.id, kept)))
    return bool(session.connection().execute(found).scalar())


def _call(db: Database, function: str, month: Month) -> None:
    with db.system("history") as session:
        session.connection().execute(text(f"SELECT {function}(:month)"), {"month": month.first})


@cache
def _part(table_name: str) -> Table:
    return Base.metadata.tables[ATTEMPTS].to_metadata(MetaData(), name=table_name)
