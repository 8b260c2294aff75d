"""What a declaration may not contradict in the database: things that belong to another tenant, and tariffs that piles cannot hold."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute

from charging_core.db import Database, HubSession
from charging_core.stations.model import Pile, Station
from charging_core.tariffs.catalog import newest_version
from charging_core.tariffs.model import Tariff
from charging_core.tariffs.service import plan_of
from charging_core.tenants import Operator
from hub.apply.document import Declaration, day_path, why_piles_cannot
from hub.apply.marks import Path
from hub.errors import Problem
from partners.model import PartnerLink

_IN_ONE_QUERY = 500  # below every database's limit of parameters


def foreign_owners(db: Database, declaration: Declaration) -> list[Problem]:
    """Operators and piles of the file that another tenant has already: their codes are unique in the whole hub."""
    document, marked = declaration.document, declaration.marked
    operators: dict[str, Path] = {o.id: ("operators", i, "id") for i, o in enumerate(document.operators)}
    piles: dict[str, Path] = {
        pile.code: ("stations", i, "piles", j, "code")
        for i, station in enumerate(document.stations)
        for j, pile in enumerate(station.piles)
    }
    with db.read_system("apply: codes of other tenants") as session:
        taken = {
            **{code: operators[code] for code in _others(session, Operator.operator_id, operators, document.tenant.id)},
            **{code: piles[code] for code in _others(session, Pile.code, piles, document.tenant.id)},
            **_taken_routes(session, declaration),
        }
    text = "属于另一个租户 / {} belongs to another tenant"
    return [marked.problem(path, text.format(code)) for code, path in taken.items()]


def _taken_routes(session: HubSession, declaration: Declaration) -> dict[str, Path]:
    """Inbound routes (path, OperatorID) that a link of another tenant has: each selects exactly one link (DECISIONS 8)."""
    tenant_id = declaration.document.tenant.id
    query = select(PartnerLink).where(PartnerLink.enabled, PartnerLink.tenant_id != tenant_id)
    taken = {
        (base, caller)
        for link in session.scalars(query)
        for base in link.inbound_bases
        for caller in link.their_operator_ids
    }
    found: dict[str, Path] = {}
    for index, link in enumerate(declaration.document.partners):
        members = link.members(tenant_id)
        routes = {(base, caller) for base in members["inbound_bases"] for caller in members["their_operator_ids"]}
        found |= {f"{base} + {caller}": ("partners", index, "inbound_base") for base, caller in routes & taken}
    return found


def _others(session: HubSession, column: InstrumentedAttribute[str], codes: Iterable[str], tenant_id: str) -> list[str]:
    listed = list(codes)
    found: list[str] = []
    model = column.class_
    for start in range(0, len(listed), _IN_ONE_QUERY):
        part = listed[start : start + _IN_ONE_QUERY]
        query = select(column).where(column.in_(part), model.tenant_id != tenant_id)
        found += session.scalars(query)
    return found


def unfit_tariffs(session: HubSession, declaration: Declaration) -> list[Problem]:
    """Tariffs of stations with YKC piles, stored ones included, that such piles cannot hold."""
    query = (
        select(Tariff)
        .where(Tariff.id.in_(select(Station.tariff_id).join(Pile).where(Pile.protocol == "ykc", Pile.enabled)))
        .order_by(Tariff.code)
    )
    indices = {tariff.code: index for index, tariff in enumerate(declaration.document.tariffs)}
    problems = []
    for tariff in session.scalars(query).all():
        for kind, reason in why_piles_cannot(plan_of(newest_version(session, tariff))):
            index = indices.get(tariff.code)
            path: Path = ("stations",) if index is None else ("tariffs", index, *day_path(kind))
            problems.append(declaration.marked.problem(path, f"{tariff.code}: {reason}"))
    return problems
