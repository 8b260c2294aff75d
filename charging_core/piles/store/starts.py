"""The start desk on the database: one short transaction per card or vehicle, in the scope of the pile's tenant (DECISIONS 24)."""

from __future__ import annotations

from sqlalchemy import select

from charging_core.db import Database, HubSession
from charging_core.errors import Conflict
from charging_core.orders.ports import OrderContext
from charging_core.orders.starts import desk
from charging_core.orders.starts.facts import StartAsked, StartDecision, StartRefusal
from charging_core.orders.starts.groups import ParallelOutcome, ParallelRequest, start_parallel
from charging_core.piles.store.commands import PILE_CODE_DIGITS, YKC
from charging_core.stations.model import Pile


class TableStartDesk:
    """Fills `StartDesk`."""

    def __init__(self, db: Database, context: OrderContext) -> None:
        self._db = db
        self._context = context

    def decide(self, asked: StartAsked) -> StartDecision:
        """The order of an acceptance is committed before this returns."""
        tenant_id = self._tenant(asked)
        if tenant_id is None:
            return StartDecision(StartRefusal.PILE_DISABLED)
        with self._db.session(tenant_id) as session:
            return desk.decide(session, self._context, asked)

    def may_charge(self, asked: StartAsked) -> bool:
        """Whether it would be let in now; nothing begins."""
        tenant_id = self._tenant(asked)
        if tenant_id is None:
            return False
        with self._db.read(tenant_id) as session:
            return desk.may_charge(session, asked)

    def _tenant(self, asked: StartAsked) -> str | None:
        pile_code = asked.connector_code[:PILE_CODE_DIGITS]
        with self._db.read_system("start at a pile") as session:
            return session.scalars(select(Pile.tenant_id).where(Pile.code == pile_code)).one_or_none()


def start_together(session: HubSession, context: OrderContext, request: ParallelRequest) -> ParallelOutcome:
    """`start_parallel` for piles whose protocol can do it. Raises `Conflict` for others, else as it does."""
    pile_code = request.connectors[0][:PILE_CODE_DIGITS] if request.connectors else ""
    protocol = session.scalars(select(Pile.protocol).where(Pile.code == pile_code)).one_or_none()
    if protocol not in (None, YKC):
        raise Conflict(f"{pile_code}: 协议 {protocol} 不支持并充 / its protocol has no parallel charging")
    return start_parallel(session, context, request)
