"""The partners room assembled: what `hub/` wires into web, worker and scheduler processes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from charging_core.db import Database
from charging_core.orders.ports import OrderContext
from charging_core.secretbox import SecretBox
from partners.calling import Clients
from partners.exchanges import PRUNED_AT_ONCE, ExchangeRecorder, prune_exchanges
from partners.inbound import inbound_handlers
from partners.links import LinkBook
from partners.outbound import KIND, PartnerDriver
from partners.reconcile import statements
from partners.replays import SqlReplays
from partners.roaming.keeper import LOOK_S, RoamingKeeper
from partners.roaming.mirror import Mirror
from partners.roaming.orders import RoamingOrders
from partners.sweep import SWEEP_S, ChargeStatusSweep
from partners.tcec102.contract import Contract
from partners.tcec102.exchanges import Exchange
from partners.tcec102.ports import RateLimiter
from partners.tcec102.receive import Door
from partners.tcec102.tokens import DurableTokenStore
from partners.tokens import SqlTokenRecords
from worker.api import Registry

EXCHANGES_KEPT = timedelta(days=90)
"""How long exchanges stay searchable; a quarter covers every monthly settlement with its disputes."""


class PartnerRoom:
    """Links, handlers, driver and record of one process. `start` before traffic, `stop` after it."""

    def __init__(
        self,
        db: Database,
        context: OrderContext,
        box: SecretBox,
        *,
        contract: Contract | None = None,
        recorder: ExchangeRecorder | None = None,
    ) -> None:
        self._db = db
        self._context = context
        self.contract = contract or Contract.standard()
        self.book = LinkBook(db, box, context.clock)
        self.recorder = recorder or ExchangeRecorder(db)
        self.sink = self.recorder.sink(KIND, self._tenant_of)
        self.clients = Clients(context.clock, self.contract, self.sink)
        self.mirror = Mirror(db, context.clock, self.clients)
        self.roaming = RoamingOrders(db, context.clock, self.book, self.clients)
        self.keeper = RoamingKeeper(db, context.clock, self.book, self.mirror, self.roaming)
        self.tokens = DurableTokenStore(SqlTokenRecords(db, self.book))

    def door(self, limiter: RateLimiter) -> Door:
        """The protocol's door for the edge."""
        handlers = inbound_handlers(self._db, self._context, self.book, self.contract)
        replays = SqlReplays(self._db, self.book)
        clock = self._context.clock
        return Door(self.contract, self.book, self.tokens, limiter, handlers, clock, sink=self.sink, replays=replays)

    def register(self, registry: Registry, *, after_planning: Callable[[], None] | None = None) -> None:
        """Bring the driver and the jobs. `after_planning` wakes the worker when a sweep has planned something."""
        clock = self._context.clock
        registry.register(PartnerDriver(clock, self.book, self.clients))
        sweep = ChargeStatusSweep(self._db, clock, self.book)

        def run(tick: datetime) -> None:
            if sweep.run(tick) and after_planning is not None:
                after_planning()

        daily = statements.StatementSweep(self._db, clock, self.book)

        def run_daily(tick: datetime) -> None:
            if daily.run(tick) and after_planning is not None:
                after_planning()

        registry.schedule("partner_charge_status", run, every_s=SWEEP_S)
        registry.schedule("partner_roaming", self.keeper.run, every_s=LOOK_S)
        registry.schedule("partner_statements", run_daily, every_s=statements.SWEEP_S)
        registry.schedule("partner_exchange_pruning", self._prune, every_s=3600)

    def start(self) -> None:
        """Load the links and begin to record."""
        self.book.start()
        self.recorder.start()

    def stop(self) -> None:
        """Write what is queued and close connections."""
        self.keeper.stop()
        self.book.stop()
        self.recorder.stop()
        self.clients.close()

    def _tenant_of(self, exchange: Exchange) -> str | None:
        link = self.book.get(exchange.link_id) if exchange.link_id else None
        if link is not None:
            return link.tenant_id
        base, _, _ = exchange.path.rpartition("/")
        return self.book.tenant_of_base(f"{base}/")

    def _prune(self, tick: datetime) -> None:
        gone = PRUNED_AT_ONCE
        while gone == PRUNED_AT_ONCE:
            with self._db.system("exchange pruning") as session:
                gone = prune_exchanges(session, tick - EXCHANGES_KEPT)
