"""Days into versions: a tariff with a calendar gets a new version at each midnight at which its prices change.

What a pile confirms, what an order is billed by, and what partners are told is always a version with the periods of one day. So a weekend
or a holiday reaches all of them by the same way as a new tariff does, and a running order keeps the one it began with (DECISIONS 14).
Versions are written some days ahead; of all versions that are valid at an instant, the one with the highest number holds.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import undefer

from charging_core.clock import CHINA, Clock, to_china
from charging_core.db import Database, HubSession
from charging_core.errors import Conflict, NotFound
from charging_core.events import record_event
from charging_core.ids import new_id
from charging_core.tariffs.model import Tariff, TariffVersion
from charging_core.tariffs.periods import DayPeriods
from charging_core.tariffs.plan import TariffPlan
from charging_core.tariffs.service import plan_of

log = structlog.get_logger()

DAYS_AHEAD = 3
"""So many days have their versions already: a scheduler that stands still over a weekend delays no price."""
_LAST_MODEL_NUMBER = 9999  # four decimal digits on the wire (`specs/ykc.md` 0x05)


def follow_calendars(db: Database, clock: Clock) -> int:
    """Write the versions of the coming days for every tariff that has a calendar; returns how many were new."""
    with db.read_system("tariff calendars") as session:
        due = [(v.tariff_id, v.tenant_id) for v in _last_versions(session) if _missing(v, clock.now())]
    made = 0
    for tariff_id, tenant_id in due:
        with db.session(tenant_id) as session:
            tariff = session.scalars(select(Tariff).where(Tariff.id == tariff_id).with_for_update()).one()
            made += extend(session, tariff, clock.now())
    return made


def extend(session: HubSession, tariff: Tariff, now: datetime, until: date | None = None) -> int:
    """Write the versions that the newest plan needs until `until` (a China date, else some days ahead); returns how many."""
    last = newest_version(session, tariff)
    missing = _missing(last, now, until)
    plan = plan_of(last)
    for day, kind in missing:
        add_version(session, tariff, plan, kind, _midnight(day), now, last.declared_from or last.valid_from)
        log.info("tariff.day_planned", tariff=tariff.code, date=day.isoformat(), day=kind)
    return len(missing)


def add_version(
    session: HubSession,
    tariff: Tariff,
    plan: TariffPlan,
    kind: str,
    valid_from: datetime,
    now: datetime,
    since: datetime,
) -> TariffVersion:
    """One more version with the periods of a kind of day, announced as `tariff.published`; `since`: when its plan takes effect.

    A pile whose tariff has the same content under another version need not tell them apart, so the model number is the same.
    """
    periods = plan.of_kind(kind).rows()
    last = session.scalar(select(func.max(TariffVersion.number)).where(TariffVersion.tariff_id == tariff.id)) or 0
    version = TariffVersion(
        id=new_id(),
        tariff_id=tariff.id,
        number=last + 1,
        model_number=_model_number_of(session, tariff, periods) or _next_model_number(session),
        valid_from=valid_from,
        periods=periods,
        day=kind if plan.calendar.rules else None,
        plan=plan.rows(),
        declared_from=since,
        created_at=now,
    )
    session.add(version)
    session.flush()
    record_event(session, "tariff.published", tariff.id, version.number, version_object(tariff, version), now)
    return version


def newest_version(session: HubSession, tariff: Tariff) -> TariffVersion:
    """The version with the highest number, valid already or not. Raises `NotFound` without one."""
    query = select(TariffVersion).where(TariffVersion.tariff_id == tariff.id).order_by(TariffVersion.number.desc())
    found = session.scalars(query.options(undefer(TariffVersion.plan)).limit(1)).one_or_none()
    if found is None:
        raise NotFound(f"tariff {tariff.code} has no version")
    return found


def version_object(tariff: Tariff, version: TariffVersion) -> dict[str, object]:
    """A version as `tariff.published` tells it."""
    names = ("number", "model_number", "valid_from", "periods")
    told = {"tariff": {"id": tariff.id, "code": tariff.code, "name": tariff.name}, "version_id": version.id}
    return told | {name: getattr(version, name) for name in names}


def _last_versions(session: HubSession) -> list[TariffVersion]:
    """The newest version of each tariff in use that has a calendar."""
    newest = (
        select(TariffVersion.tariff_id, func.max(TariffVersion.number)).group_by(TariffVersion.tariff_id).subquery()
    )
    columns = list(newest.c)
    query = (
        select(TariffVersion)
        .join(newest, (TariffVersion.tariff_id == columns[0]) & (TariffVersion.number == columns[1]))
        .join(Tariff, Tariff.id == TariffVersion.tariff_id)
        .where(TariffVersion.day.is_not(None), Tariff.enabled)
        .options(undefer(TariffVersion.plan))
    )
    return list(session.scalars(query))


def _missing(last: TariffVersion, now: datetime, until: date | None = None) -> list[tuple[date, str]]:
    """The days after `last` at whose midnight the prices change, with their kinds. Days that are over are left out."""
    if last.day is None:
        return []
    plan = plan_of(last)
    today = to_china(now).date()
    day = max(to_china(last.valid_from).date() + timedelta(days=1), today)
    end = until or today + timedelta(days=DAYS_AHEAD)
    before: DayPeriods = plan.of_kind(last.day)
    found = []
    while day <= end:
        kind = plan.calendar.kind_on(day)
        periods = plan.of_kind(kind)
        if periods.periods != before.periods:
            found.append((day, kind))
            before = periods
        day += timedelta(days=1)
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), CHINA)


def _model_number_of(session: HubSession, tariff: Tariff, periods: list[dict[str, object]]) -> str | None:
    query = select(TariffVersion).where(TariffVersion.tariff_id == tariff.id, TariffVersion.day.is_not(None))
    same = (
        v.model_number for v in session.scalars(query.order_by(TariffVersion.number.desc())) if v.periods == periods
    )
    return next(same, None)


def _next_model_number(session: HubSession) -> str:
    # Unique over all tariffs of the tenant: a pile that moves to another tariff must notice.
    used = session.scalars(select(TariffVersion.model_number).distinct()).all()
    number = max(map(int, used), default=0) + 1
    if number > _LAST_MODEL_NUMBER:
        raise Conflict("all 9999 tariff model numbers of this tenant are used")
    return f"{number:04d}"
