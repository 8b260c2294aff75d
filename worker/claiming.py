"""The statements of a claim: which destinations have work, which of their deliveries are next, and the lease itself.

Statements on tables, not on objects, few of them, and each for many deliveries at once: a claim is part of the cost of every push.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Integer, Row, String, Table, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.elements import TextClause

from charging_core.db import Base, HubSession
from charging_core.types import UtcDateTime
from worker.api import State
from worker.model import DeliveryRow, DestinationState

Key = tuple[str, str, str]
"""Tenant, kind and id of a destination."""

DELIVERY: Table = Base.metadata.tables[DeliveryRow.__tablename__]
DESTINATION: Table = Base.metadata.tables[DestinationState.__tablename__]

_SAME = "d.tenant_id = s.tenant_id AND d.destination_kind = s.kind AND d.destination_id = s.destination_id"
_DUE = "d.state = 'waiting' AND d.next_attempt_at <= :now"
# Not EXISTS: PostgreSQL would read every due delivery of the table into a hash rather than look once per destination.
_WITH_WORK = f"""
SELECT s.tenant_id, s.kind, s.destination_id, s.concurrency, s.consecutive_failures, s.open_until, s.next_call_at
FROM destination_state s
WHERE s.kind IN :kinds AND s.held = :no AND (s.next_call_at IS NULL OR s.next_call_at <= :soon)
  AND CASE WHEN s.open_until > :now
    THEN (SELECT 1 FROM delivery d WHERE {_SAME} AND {_DUE} AND d.failure_count > 0 LIMIT 1)
    ELSE (SELECT 1 FROM delivery d WHERE {_SAME} AND {_DUE} LIMIT 1) END IS NOT NULL
ORDER BY s.kind, s.destination_id
"""  # noqa: S608 - constants only

_OF = "{one}.tenant_id = {tenant} AND {one}.destination_kind = {kind} AND {one}.destination_id = {destination}"
FREE = """NOT EXISTS (
  SELECT 1 FROM delivery e WHERE e.lane = d.lane AND e.state IN ('waiting', 'leased', 'held')
  AND (e.lane_order, e.id) < (d.lane_order, d.id))"""
# Two ordered looks, each along its own index: what is urgent (if anything is), then the rest. A failing destination only gets its
# retries. COALESCE keeps the planners from walking another index and sorting the whole backlog.
_NEXT = f"""
SELECT {{place}} AS place, 0 AS turn, urgent.* FROM (
  SELECT d.priority AS priority, d.urgent_at AS moment, d.lane_order AS lane_order, d.id AS id
  FROM delivery d WHERE {_OF.replace("{one}", "d")} AND d.state = 'waiting' AND COALESCE(d.next_attempt_at, :now) <= :now
  AND COALESCE(d.urgent_at, :now) <= :now AND d.urgent_at IS NOT NULL {{probe}} AND {FREE} AND EXISTS (
    SELECT 1 FROM delivery u WHERE {_OF.replace("{one}", "u")} AND u.state = 'waiting' AND u.urgent_at <= :now)
  ORDER BY d.priority, d.urgent_at, d.lane_order, d.id LIMIT {{limit}}) AS urgent
UNION ALL
SELECT {{place}} AS place, 1 AS turn, rest.* FROM (
  SELECT d.priority AS priority, d.next_attempt_at AS moment, 0 AS lane_order, d.id AS id
  FROM delivery d WHERE {_OF.replace("{one}", "d")} AND d.state = 'waiting' AND COALESCE(d.next_attempt_at, :now) <= :now
  AND (d.urgent_at IS NULL OR d.urgent_at > :now) {{probe}} AND {FREE}
  ORDER BY d.priority, d.next_attempt_at, d.id LIMIT {{limit}}) AS rest
"""  # noqa: S608 - constants only
_RETRIES = "AND d.failure_count > 0"
_COLUMNS = {
    "tenant": "w.tenant",
    "kind": "w.kind",
    "destination": "w.destination",
    "limit": "w.most",
    "place": "w.place",
}
_LATERAL = """
SELECT c.* FROM unnest(:tenants, :kinds, :destinations, :limits) WITH ORDINALITY
  AS w(tenant, kind, destination, most, place) CROSS JOIN LATERAL ({inner}) AS c
"""


def _timed(sql: str, *names: str) -> TextClause:
    return text(sql).bindparams(*(bindparam(name, type_=UtcDateTime()) for name in names))


_with_work = (
    _timed(_WITH_WORK, "now", "soon")
    .bindparams(bindparam("kinds", expanding=True))
    .columns(
        DESTINATION.c.tenant_id,
        DESTINATION.c.kind,
        DESTINATION.c.destination_id,
        DESTINATION.c.concurrency,
        DESTINATION.c.consecutive_failures,
        DESTINATION.c.open_until,
        DESTINATION.c.next_call_at,
    )
)
# The owner is asked for so that both planners walk the small index of leased rows.
_busy = text(
    "SELECT tenant_id, destination_kind, destination_id, lease_owner, call_id FROM delivery "
    "WHERE state = 'leased' AND lease_owner IS NOT NULL"
)
still_waiting = func.coalesce(DELIVERY.c.state, "") == State.WAITING.value
"""For rows that are found by their keys. So written that no planner takes an index of all that waits for the shorter way."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A destination that has work and may be called."""

    key: Key
    concurrency: int | None
    consecutive_failures: int
    open_until: datetime | None
    next_call_at: datetime | None

    def probing(self, now: datetime) -> bool:
        """Its breaker is open: only retries go, as probes."""
        return self.open_until is not None and self.open_until > now


@dataclass(frozen=True, slots=True)
class Share:
    """How many deliveries of one destination are wanted; `probe`: only retries."""

    key: Key
    most: int
    probe: bool


def destinations_with_work(session: HubSession, kinds: Sequence[str], now: datetime, soon: datetime) -> list[Candidate]:
    """Those that have something due, are not held, and may be called by `soon` at the latest."""
    keys = {"kinds": list(kinds), "now": now, "soon": soon, "no": False}
    found = session.connection().execute(_with_work, keys)
    return [Candidate((tenant, kind, one), *rest) for tenant, kind, one, *rest in found]


def under_way(session: HubSession) -> Iterable[tuple[Key, str | None]]:
    """Destination and owner of every call under way or at hand; there are never more than the workers have room for."""
    seen = set()
    for tenant, kind, destination, owner, call in session.connection().execute(_busy):
        if call is None or call not in seen:
            yield (tenant, kind, destination), owner
            seen.add(call)


def next_ids(session: HubSession, shares: Sequence[Share], now: datetime) -> list[str]:
    """The deliveries that go next, in the order of `shares` and inside each in the order of urgency, priority, time."""
    if session.dialect_name == "postgresql":
        rows: Sequence[Any] = [row for probe in (False, True) for row in _laterally(session, shares, probe, now)]
    else:
        keys: dict[str, Any] = {"now": now}
        for place, share in enumerate(shares):
            for name, value in zip(("tenant", "kind", "destination", "limit"), (*share.key, share.most), strict=True):
                keys[f"{name}{place}"] = value
        rows = session.connection().execute(_side_by_side(tuple(share.probe for share in shares)), keys).all()
    # (place, turn, priority, moment, lane_order, id): the two looks one after the other, each in its own order.
    taken: Counter[int] = Counter()
    picked = []
    for place, *_, found in sorted(rows):
        taken[place] += 1
        if taken[place] <= shares[place].most:
            picked.append(str(found))
    return picked


def _laterally(session: HubSession, shares: Sequence[Share], probe: bool, now: datetime) -> Sequence[Any]:
    asked = [(place, share) for place, share in enumerate(shares) if share.probe is probe]
    if not asked:
        return ()
    keys = {
        "tenants": [share.key[0] for _, share in asked],
        "kinds": [share.key[1] for _, share in asked],
        "destinations": [share.key[2] for _, share in asked],
        "limits": [share.most for _, share in asked],
        "now": now,
    }
    found = session.connection().execute(_lateral(probe), keys)
    return [(asked[place - 1][0], *rest) for place, *rest in found]


@lru_cache(maxsize=2)
def _lateral(probe: bool) -> TextClause:
    inner = _NEXT.format(**_COLUMNS, probe=_RETRIES if probe else "")
    names = (bindparam(name, type_=ARRAY(String)) for name in ("tenants", "kinds", "destinations"))
    return _timed(_LATERAL.format(inner=inner), "now").bindparams(*names, bindparam("limits", type_=ARRAY(Integer)))


@lru_cache(maxsize=256)
def _side_by_side(probes: tuple[bool, ...]) -> TextClause:
    """The looks at several destinations in one statement, for a database without LATERAL."""
    looks = []
    for place, probe in enumerate(probes):
        names = {name: f":{name}{place}" for name in ("tenant", "kind", "destination", "limit")}
        looks.append(_NEXT.format(**names, place=place, probe=_RETRIES if probe else ""))
    return _timed(" UNION ALL ".join(looks), "now")


_LEASE = (
    update(DELIVERY)
    .where(
        DELIVERY.c.id.in_(
            select(DELIVERY.c.id)
            .where(DELIVERY.c.id.in_(bindparam("ids", expanding=True)), still_waiting)
            .order_by(DELIVERY.c.id)
            .with_for_update(skip_locked=True)
        )
    )
    .values(
        state=State.LEASED.value,
        lease_owner=bindparam("owner"),
        lease_token=bindparam("token"),
        lease_until=bindparam("until", type_=UtcDateTime()),
    )
    .returning(*DELIVERY.c)
)


def lease(session: HubSession, ids: Collection[str], owner: str, token: str, until: datetime) -> Sequence[Row[Any]]:
    """Lease those of `ids` that still wait and that nobody else is leasing at this moment; their rows, in any order."""
    keys = {"ids": list(ids), "owner": owner, "token": token, "until": until}
    return session.connection().execute(_LEASE, keys).all()
