"""Declaring tariffs: what `hub apply` and the console save. A changed tariff is a new version, never an edited one (DECISIONS 28)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from charging_core.changes import Action, Change, FieldChange, set_members
from charging_core.clock import Clock, china_text
from charging_core.db import HubSession
from charging_core.errors import Conflict
from charging_core.events import record_event
from charging_core.ids import new_id
from charging_core.tariffs.model import Tariff, TariffVersion
from charging_core.tariffs.periods import DayPeriods

_LAST_MODEL_NUMBER = 9999  # four decimal digits on the wire (`specs/ykc.md` 0x05)


@dataclass(frozen=True, slots=True)
class TariffSpec:
    """A tariff as declared. `valid_from` none or past means: from now on."""

    code: str
    name: str
    periods: DayPeriods
    valid_from: datetime | None = None


def save_tariff(session: HubSession, clock: Clock, spec: TariffSpec) -> list[Change]:
    """Create the tariff, or add a version when its periods differ from the newest one. Idempotent.

    A new version starts at `spec.valid_from`, never before now, and is announced as `tariff.published`.
    """
    tariff = find_tariff(session, spec.code)
    if tariff is None:
        tariff = Tariff(id=new_id(), code=spec.code, name=spec.name)
        session.add(tariff)
        session.flush()
        _publish(session, clock, tariff, spec)
        return [Change("tariff", spec.code, Action.CREATE, _words(spec))]
    fields = set_members(tariff, {"name": spec.name, "enabled": True})
    if _differs(session, clock, tariff, spec):
        version = _publish(session, clock, tariff, spec)
        text = f"{version.number} ({china_text(version.valid_from)})"
        fields = (*fields, FieldChange("version", str(version.number - 1), text), *_words(spec))
    return [Change("tariff", spec.code, Action.UPDATE, fields)] if fields else []


def find_tariff(session: HubSession, code: str) -> Tariff | None:
    """The tariff of the session's tenant with this code."""
    return session.scalars(select(Tariff).where(Tariff.code == code)).one_or_none()


def newest_version(session: HubSession, tariff: Tariff) -> TariffVersion:
    """The version declared last, valid already or not."""
    query = select(TariffVersion).where(TariffVersion.tariff_id == tariff.id).order_by(TariffVersion.number.desc())
    return session.scalars(query.limit(1)).one()


def _differs(session: HubSession, clock: Clock, tariff: Tariff, spec: TariffSpec) -> bool:
    newest = newest_version(session, tariff)
    if newest.periods != spec.periods.rows():
        return True
    pending = newest.valid_from > clock.now()
    return pending and spec.valid_from is not None and spec.valid_from != newest.valid_from


def _publish(session: HubSession, clock: Clock, tariff: Tariff, spec: TariffSpec) -> TariffVersion:
    now = clock.now()
    numbers = session.scalars(select(TariffVersion.number).where(TariffVersion.tariff_id == tariff.id)).all()
    version = TariffVersion(
        id=new_id(),
        tariff_id=tariff.id,
        number=max(numbers, default=0) + 1,
        model_number=_next_model_number(session),
        valid_from=max(now, spec.valid_from or now),
        periods=spec.periods.rows(),
        created_at=now,
    )
    session.add(version)
    session.flush()
    record_event(session, "tariff.published", tariff.id, version.number, _snapshot(tariff, version), now)
    return version


def _next_model_number(session: HubSession) -> str:
    # Unique over all tariffs of the tenant: a pile that moves to another tariff must notice.
    used = session.scalars(select(TariffVersion.model_number)).all()
    number = max(map(int, used), default=0) + 1
    if number > _LAST_MODEL_NUMBER:
        raise Conflict("all 9999 tariff model numbers of this tenant are used")
    return f"{number:04d}"


def _snapshot(tariff: Tariff, version: TariffVersion) -> dict[str, Any]:
    return {
        "tariff": {"id": tariff.id, "code": tariff.code, "name": tariff.name},
        "version_id": version.id,
        "number": version.number,
        "model_number": version.model_number,
        "valid_from": version.valid_from,
        "periods": version.periods,
    }


def _words(spec: TariffSpec) -> tuple[FieldChange, ...]:
    lines = (f"{p.start_text} {p.rate_class} {p.elec_price}+{p.service_price}" for p in spec.periods.periods)
    return (FieldChange("periods", "", ", ".join(lines)),)
