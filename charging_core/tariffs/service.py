"""Which tariff version holds when, and which one a pile really uses (DECISIONS 14)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from charging_core.clock import to_china
from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.tariffs.model import TariffVersion
from charging_core.tariffs.periods import DayPeriods
from charging_core.tariffs.plan import TariffPlan


def current_version(session: HubSession, tariff_id: str, at: datetime) -> TariffVersion:
    """The version of `tariff_id` that holds at `at`; before the first one starts, the first. Raises `NotFound` without versions."""
    versions = select(TariffVersion).where(TariffVersion.tariff_id == tariff_id)
    newest = versions.where(TariffVersion.valid_from <= at).order_by(TariffVersion.number.desc())
    for query in (newest, versions.order_by(TariffVersion.number)):
        found = session.scalars(query.limit(1)).one_or_none()
        if found is not None:
            return found
    raise NotFound(f"tariff {tariff_id} has no version")


def version_by_id(session: HubSession, version_id: str) -> TariffVersion:
    """One version. Raises `NotFound`."""
    version = session.scalars(select(TariffVersion).where(TariffVersion.id == version_id)).one_or_none()
    if version is None:
        raise NotFound(f"tariff version {version_id}")
    return version


def version_in_use(
    session: HubSession, confirmed_version_id: str | None, tariff_id: str, at: datetime
) -> TariffVersion:
    """The version a pile bills by: the one it last confirmed, else the one that should be valid (DECISIONS 14)."""
    if confirmed_version_id is not None:
        return version_by_id(session, confirmed_version_id)
    return current_version(session, tariff_id, at)


def periods_of(version: TariffVersion) -> DayPeriods:
    """The periods of a version as a value, at published prices."""
    return DayPeriods.from_rows(version.periods)


def plan_of(version: TariffVersion) -> TariffPlan:
    """The declaration that a version belongs to; one without calendar and terms when only periods were stored."""
    return TariffPlan(periods_of(version)) if version.plan is None else TariffPlan.from_rows(version.plan)


def periods_at(session: HubSession, tariff_id: str, at: datetime) -> tuple[TariffVersion, DayPeriods]:
    """What should hold at `at`, also on a day whose version is still to be written. Raises `NotFound` without versions."""
    version = current_version(session, tariff_id, at)
    if version.day is None:
        return version, periods_of(version)
    return version, plan_of(version).on(to_china(at).date())
