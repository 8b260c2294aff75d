"""Moving an order through its table: one place that changes a state, logs the change and tells the outbox."""

from __future__ import annotations

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.events import record_event
from charging_core.orders import alarms
from charging_core.orders.model import FAILURE_LENGTH, ChargeOrder, OrderTransition
from charging_core.orders.ports import OrderContext
from charging_core.orders.snapshot import order_snapshot
from charging_core.orders.state import BEFORE_CHARGE, OrderEvent, OrderState, advance


def lock_order(session: HubSession, order_id: str) -> ChargeOrder | None:
    """The order as committed last, its row held until the transaction ends (SQLite has one writer anyway).

    Whoever waited for the row sees what the other one did, even when this session had loaded the order before. Rows are held in
    one sequence everywhere, so that nobody waits in a circle: pile, connector, order, command. They are held without their keys
    (`key_share`): PostgreSQL checks an order's foreign key again when a transaction updates it twice.
    """
    query = select(ChargeOrder).where(ChargeOrder.id == order_id).with_for_update(of=ChargeOrder, key_share=True)
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def move(
    session: HubSession, context: OrderContext, order: ChargeOrder, happened: OrderEvent, detail: str | None = None
) -> bool:
    """Apply `happened`; false when the table says that it changes nothing in this state."""
    before = order.current_state
    after = advance(before, happened)
    if after is None:
        return False
    now = context.clock.now()
    order.state = after
    order.state_since = now
    session.add(
        OrderTransition(
            tenant_id=order.tenant_id, order_id=order.id, at=now, happened=happened, state=after, detail=detail
        )
    )
    if after is OrderState.FAILED and (before in BEFORE_CHARGE or before is OrderState.STOPPING):
        order.failure = order.failure or (detail or happened.value)[:FAILURE_LENGTH]
        publish(session, context, order, "order.start_failed")
    if after in (OrderState.SETTLED, OrderState.FAILED):
        alarms.order_over(session, order, now)
    return True


def publish(session: HubSession, context: OrderContext, order: ChargeOrder, kind: str) -> None:
    """Write the fact `kind` with the order as it stands now."""
    order.version += 1
    session.flush()
    snapshot = order_snapshot(session, order)
    record_event(session, kind, order.id, order.version, snapshot, context.clock.now(), order.tenant_id)


def tell_stopped(session: HubSession, context: OrderContext, order: ChargeOrder) -> None:
    """Say once that charging has ended, at the first sign of it."""
    if order.stop_told or order.started_at is None:
        return
    order.stop_told = True
    order.ended_at = order.ended_at or context.clock.now()
    publish(session, context, order, "order.stopped")
