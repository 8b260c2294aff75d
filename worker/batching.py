"""Several deliveries in one call: when a batch is full, and who goes along with a delivery whose turn has come.

A delivery that may share its call waits until the batch is old enough (its `next_attempt_at`); `hasten_full` makes that moment now when
enough of them are there. A claim leases the one that leads the call, `gather` those that go along: under the same token and a common
`call_id`, so that they are one call for the limits of their destination and one claim on their way through the broker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, TextClause, bindparam, select, text, update

from charging_core.db import HubSession
from charging_core.ids import new_id
from charging_core.types import UtcDateTime
from worker.claiming import DELIVERY, FREE, lease, still_waiting
from worker.policy import fit_window

if TYPE_CHECKING:
    from worker.planning import NewRow

Group = tuple[str, str, str, str]
"""Tenant, kind and id of a destination, and the interface."""

_GROUP = ("tenant_id", "destination_kind", "destination_id", "interface")
_SAME_GROUP = " AND ".join(f"d.{name} = :{name}" for name in _GROUP)
_GATHERING = f"""
SELECT d.id FROM delivery d WHERE {_SAME_GROUP} AND d.state = 'waiting' AND d.failure_count = 0
AND d.batch_from <= :now AND d.next_attempt_at > :now ORDER BY d.next_attempt_at, d.id
"""  # noqa: S608 - constants only
# Fresh ones may go before their time, those that failed wait for their own step of the ladder.
_COMPANIONS = f"""
SELECT d.id FROM delivery d WHERE {_SAME_GROUP} AND d.state = 'waiting' AND d.batch_from <= :now
AND (d.next_attempt_at <= :now OR d.failure_count = 0) AND {FREE}
ORDER BY d.next_attempt_at, d.id LIMIT :most
"""  # noqa: S608 - constants only
_HASTEN = (
    update(DELIVERY)
    .where(
        DELIVERY.c.id.in_(
            select(DELIVERY.c.id)
            .where(DELIVERY.c.id.in_(bindparam("ids", expanding=True)), still_waiting)
            .order_by(DELIVERY.c.id)
            .with_for_update(skip_locked=True)
        )
    )
    .values(next_attempt_at=bindparam("now", type_=UtcDateTime()))
)
_JOIN = (
    update(DELIVERY)
    .where(DELIVERY.c.id.in_(bindparam("ids", expanding=True)))
    .values(call_id=bindparam("call"))
    .returning(*DELIVERY.c)
)


def hasten_full(session: HubSession, added: Iterable[NewRow], now: datetime) -> None:
    """Let full batches among the groups of these new rows go now; what is left over goes on gathering.

    Two planners that commit at the same moment may each see less than is there: then age decides.
    """
    newest = {tuple(new.row[name] for name in _GROUP): new.plan.policy for new in added}
    for group, policy in newest.items():
        if policy.batch is None or fit_window(policy, now) != now:
            continue
        keys = dict(zip(_GROUP, group, strict=True)) | {"now": now}
        gathering = session.connection().execute(_timed(_GATHERING), keys).scalars().all()
        full = len(gathering) // policy.batch.count * policy.batch.count
        if full:
            session.connection().execute(_HASTEN, {"ids": list(gathering[:full]), "now": now})


def gather(
    session: HubSession, leaders: Sequence[Row[Any]], now: datetime, owner: str, token: str, until: datetime
) -> list[list[Row[Any]]]:
    """The calls that leased rows with a `batch_count` come to: each with what goes along, leased now, the leader first."""
    groups: dict[Group, list[Row[Any]]] = defaultdict(list)
    for row in leaders:
        groups[row.tenant_id, row.destination_kind, row.destination_id, row.interface].append(row)
    calls = []
    for group, rows in groups.items():
        most = rows[0].batch_count
        for start in range(0, len(rows), most):
            call = rows[start : start + most]
            missing = most - len(call)
            more = _lease_companions(session, group, now, missing, owner, token, until) if missing else ()
            calls.append(_joined(session, [*call, *more]))
    return calls


def _lease_companions(
    session: HubSession, group: Group, now: datetime, most: int, owner: str, token: str, until: datetime
) -> list[Row[Any]]:
    keys = dict(zip(_GROUP, group, strict=True)) | {"now": now, "most": most}
    ids = session.connection().execute(_timed(_COMPANIONS), keys).scalars().all()
    leased = {row.id: row for row in lease(session, ids, owner, token, until)} if ids else {}
    return [leased[found] for found in ids if found in leased]


def _joined(session: HubSession, rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    if len(rows) == 1:
        return list(rows)
    keys = {"ids": sorted(row.id for row in rows), "call": new_id()}
    joined = {row.id: row for row in session.connection().execute(_JOIN, keys)}
    return [joined[row.id] for row in rows]


@cache
def _timed(sql: str) -> TextClause:
    return text(sql).bindparams(bindparam("now", type_=UtcDateTime()))
