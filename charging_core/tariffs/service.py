"""Which tariff version holds when, and which one a pile really uses (DECISIONS 14)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.errors import NotFound
from charging_core.tariffs.model import TariffVersion
from charging_core.tariffs.periods import DayPeriods


def current_version(session: HubSession, tariff_id: str, at: datetime) -> TariffVersion:
    """The version of `tariff_id` that holds at `at`; before the first one starts, the first. Raises `NotFound` without versions."""
    versions = session.scalars(
        select(TariffVersion).where(TariffVersion.tariff_id == tariff_id).order_by(TariffVersion.number)
    ).all()
    if not versions:
        raise NotFound(f"tariff {tariff_id} has no version")
    return next((version for version in reversed(versions) if version.valid_from <= at), versions[0])


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
    """The periods of a version as a value."""
    return DayPeriods.from_rows(version.periods)
