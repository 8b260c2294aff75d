"""Declaring tariffs: what `hub apply` and the console save. A changed tariff is a new version, never an edited one (DECISIONS 28)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select

from charging_core.changes import Action, Change, FieldChange, set_members
from charging_core.clock import Clock, china_text, to_china
from charging_core.db import HubSession
from charging_core.errors import InvalidInput
from charging_core.ids import new_id
from charging_core.tariffs.calendar import BASE_DAY, Calendar, DayRule
from charging_core.tariffs.model import Tariff, TariffVersion
from charging_core.tariffs.periods import DayPeriods
from charging_core.tariffs.plan import TariffPlan
from charging_core.tariffs.schedule import add_version, extend, newest_version
from charging_core.tariffs.service import plan_of
from charging_core.tariffs.terms import Terms

__all__ = ["TariffSpec", "find_tariff", "newest_version", "save_tariff"]

LONGEST_NOTICE = timedelta(days=400)
"""A tariff is published at most this long before it starts: a year, and the time to prepare for it."""


@dataclass(frozen=True, slots=True)
class TariffSpec:
    """A tariff as declared: the periods of its base day, calendar, terms. `valid_from` none or past means: from now on."""

    code: str
    name: str
    periods: DayPeriods
    valid_from: datetime | None = None
    calendar: Calendar = field(default_factory=Calendar)
    terms: Terms = field(default_factory=Terms)

    @property
    def plan(self) -> TariffPlan:
        """The declaration as a value."""
        return TariffPlan(self.periods, self.calendar, self.terms)


def save_tariff(session: HubSession, clock: Clock, spec: TariffSpec) -> list[Change]:
    """Create the tariff, or add a version when its declaration differs from the newest one. Idempotent.

    A new version starts at `spec.valid_from`, never before now, and is announced as `tariff.published`; with a calendar those of the
    coming days follow it.
    """
    tariff = find_tariff(session, spec.code)
    if tariff is None:
        tariff = Tariff(id=new_id(), code=spec.code, name=spec.name)
        session.add(tariff)
        session.flush()
        _publish(session, clock, tariff, spec)
        return [Change("tariff", spec.code, Action.CREATE, _words(spec))]
    # Held, because the scheduler writes days of the same tariff.
    session.execute(select(Tariff.id).where(Tariff.id == tariff.id).with_for_update())
    fields = set_members(tariff, {"name": spec.name, "enabled": True})
    newest = newest_version(session, tariff)
    if _differs(newest, clock, spec):
        version = _publish(session, clock, tariff, spec)
        text = f"{version.number} ({china_text(version.valid_from)})"
        fields = (*fields, FieldChange("version", str(newest.number), text), *_words(spec))
    return [Change("tariff", spec.code, Action.UPDATE, fields)] if fields else []


def find_tariff(session: HubSession, code: str) -> Tariff | None:
    """The tariff of the session's tenant with this code."""
    return session.scalars(select(Tariff).where(Tariff.code == code)).one_or_none()


def _differs(newest: TariffVersion, clock: Clock, spec: TariffSpec) -> bool:
    if plan_of(newest).rows() != spec.plan.rows():
        return True
    since = newest.declared_from or newest.valid_from
    return since > clock.now() and spec.valid_from is not None and spec.valid_from != since


def _publish(session: HubSession, clock: Clock, tariff: Tariff, spec: TariffSpec) -> TariffVersion:
    now = clock.now()
    start = max(now, spec.valid_from or now)
    if start > now + LONGEST_NOTICE:
        raise InvalidInput("valid_from", f"a tariff is published at most {LONGEST_NOTICE.days} days ahead")
    if start > now and _has_versions(session, tariff):
        # The one that holds until then keeps following its calendar: versions count by number, so its days are written first.
        extend(session, tariff, now, to_china(start).date())
    plan = spec.plan
    version = add_version(session, tariff, plan, plan.calendar.kind_on(to_china(start).date()), start, now, start)
    extend(session, tariff, now)
    return version


def _has_versions(session: HubSession, tariff: Tariff) -> bool:
    return (
        session.scalars(select(TariffVersion.id).where(TariffVersion.tariff_id == tariff.id).limit(1)).first()
        is not None
    )


def _words(spec: TariffSpec) -> tuple[FieldChange, ...]:
    fields = []
    for kind in spec.plan.kinds:
        lines = (
            f"{p.start_text} {p.rate_class} {p.elec_price}+{p.service_price}" for p in spec.plan.listed(kind).periods
        )
        fields.append(FieldChange("periods" if kind == BASE_DAY else f"periods ({kind})", "", ", ".join(lines)))
    rules = [f"{rule.day}: {_rule_words(rule)}" for rule in spec.calendar.rules]
    if rules:
        fields.append(FieldChange("calendar", "", "; ".join(rules)))
    if spec.terms.loss_percent:
        fields.append(FieldChange("loss_percent", "", str(spec.terms.loss_percent)))
    fields += [FieldChange("discount", "", one.name) for one in spec.terms.discounts]
    return tuple(fields)


def _rule_words(rule: DayRule) -> str:
    row = rule.row()
    return " ".join([*row["dates"], *([row["season"]] if row["season"] else []), *row["weekdays"]])
