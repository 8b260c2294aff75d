"""Pile events into the business: one durable commit per batch (DESIGN way 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import structlog
from sqlalchemy import select

from charging_core.db import Database, HubSession
from charging_core.money import ZERO
from charging_core.monitoring.alarm import clear_alarm, raise_alarm
from charging_core.orders import progress
from charging_core.orders.alarms import other_charge
from charging_core.orders.facts import Reading
from charging_core.orders.model import ChargeOrder
from charging_core.orders.ports import OrderContext
from charging_core.orders.provisional import begin_unasked
from charging_core.orders.service import open_order
from charging_core.orders.state import OrderState
from charging_core.piles.events import (
    CardsTold,
    ConnectorSample,
    ConnectorStatus,
    FrameSeen,
    GroundLockReported,
    PileEvent,
    PileOffline,
    StartAnswered,
    StartReason,
    StopAnswered,
    TariffRequested,
    TariffVerified,
    TimeSynced,
    TradeRecord,
)
from charging_core.piles.store.cards import keep_cards
from charging_core.piles.store.directory import find_pile
from charging_core.piles.store.frames import keep_frame
from charging_core.piles.store.locks import keep_lock
from charging_core.piles.store.records import has_record, take_record
from charging_core.stations.model import Connector
from charging_core.stations.service import find_connector
from charging_core.stations.status import derive_state, keep_reading, observe, pile_went_offline, shown_state

log = structlog.get_logger()


class TablePileEventSink:
    """Fills `PileEventSink`. Idempotent by trade number; an event about an unknown connector is logged and dropped."""

    def __init__(self, db: Database, context: OrderContext) -> None:
        self._db = db
        self._context = context
        self._takers: dict[type[Any], Callable[[HubSession, Any], None]] = {
            ConnectorSample: self._sample,
            StartAnswered: self._start_answered,
            StopAnswered: self._stop_answered,
            TradeRecord: self._record,
            PileOffline: self._offline,
            TariffVerified: self._tariff_verified,
            TariffRequested: _nothing,
            TimeSynced: self._time_synced,
            FrameSeen: keep_frame,
            GroundLockReported: keep_lock,
            CardsTold: partial(keep_cards, clock=context.clock),
        }

    def handle(self, batch: Sequence[PileEvent]) -> None:
        """Store all events of the batch, in order, in one transaction."""
        with self._db.system("pile events") as session:
            for event in batch:
                with _named(event):
                    self._takers[type(event)](session, event)

    def _sample(self, session: HubSession, sample: ConnectorSample) -> None:
        connector = _connector(session, sample.pile_code, sample.connector_no)
        if connector is None or sample.status is ConnectorStatus.UNKNOWN:
            return
        named = _order_of(session, sample.trade_number, connector)
        if sample.status is ConnectorStatus.CHARGING and named is not None and named.state == OrderState.SETTLED:
            # A replayed sample of a finished charge says nothing about now (P10); an order without a record may really be charging.
            return
        if named is None and sample.status is ConnectorStatus.CHARGING and sample.live:
            named = self._unasked(session, sample, connector)
        self._tell_order(session, sample, connector, named)
        if not sample.live:
            return
        _keep_sample(connector, sample)
        plugged = connector.plugged if sample.plugged is None else sample.plugged
        state = derive_state(sample.status, plugged, connector.state)
        observe(session, connector, shown_state(connector, state), plugged, sample.received_at)

    def _unasked(self, session: HubSession, sample: ConnectorSample, connector: Connector) -> ChargeOrder | None:
        """A charge under a number that is nobody's: an order of its own, or an alarm when an order holds the connector (P7).

        One whose record is here is over: its samples are replayed (P10). One that has drawn nothing may just have been refused by us.
        """
        number = sample.trade_number
        if number is None or not sample.energy_kwh or has_record(session, number, sample.pile_code):
            return None
        holder = open_order(session, connector.id)
        if holder is not None:
            other_charge(session, holder, number, sample.received_at)
            return None
        return begin_unasked(session, self._context, connector, number)

    def _tell_order(
        self, session: HubSession, sample: ConnectorSample, connector: Connector, named: ChargeOrder | None
    ) -> None:
        if sample.status is ConnectorStatus.CHARGING and named is not None:
            progress.reading_seen(session, self._context, named.id, _reading(sample))
        elif sample.status is ConnectorStatus.IDLE:
            running = open_order(session, connector.id, lock=True)
            if running is not None:
                progress.idle_seen(session, self._context, running)
        elif named is not None:
            progress.trouble_seen(session, self._context, named, sample.status, sample.faults)

    def _start_answered(self, session: HubSession, answer: StartAnswered) -> None:
        connector = _connector(session, answer.pile_code, answer.connector_no)
        order = _order_of(session, answer.trade_number, connector) if connector else None
        if order is None:
            return
        needs_plug = answer.reason is StartReason.NOT_PLUGGED
        progress.start_answered(
            session, self._context, order.id, ok=answer.ok, needs_plug=needs_plug, reason=answer.reason
        )

    def _stop_answered(self, session: HubSession, answer: StopAnswered) -> None:
        connector = _connector(session, answer.pile_code, answer.connector_no)
        if connector is None:
            return
        order = _order_of(session, answer.trade_number, connector) or open_order(session, connector.id, lock=True)
        if order is not None:
            progress.stop_answered(session, self._context, order, ok=answer.ok, reason=answer.reason)

    def _record(self, session: HubSession, record: TradeRecord) -> None:
        pile = find_pile(session, record.pile_code)
        if pile is None:
            log.warning("pile.record.unknown_pile")
            return
        take_record(session, self._context, record, pile.tenant_id)

    def _offline(self, session: HubSession, offline: PileOffline) -> None:
        pile = find_pile(session, offline.pile_code, lock=True)
        if pile is None or pile.connection_id != offline.connection_id:
            return
        pile_went_offline(session, pile, offline.received_at)
        for connector in pile.connectors:
            running = open_order(session, connector.id, lock=True)
            if running is not None:
                progress.link_lost(running)

    def _tariff_verified(self, session: HubSession, verified: TariffVerified) -> None:
        pile = find_pile(session, verified.pile_code)
        if pile is None:
            return
        if verified.matches:
            clear_alarm(session, pile.tenant_id, "tariff_mismatch", pile.code, verified.received_at)
            return
        if verified.model_number is None:  # it has none yet and asks for it next: no mismatch
            return
        message = (
            f"桩 {pile.code} 计费模型 {verified.model_number} 与应生效版本不一致; pile runs another tariff version"
        )
        raise_alarm(session, pile.tenant_id, "tariff_mismatch", pile.code, message, verified.received_at)

    def _time_synced(self, session: HubSession, synced: TimeSynced) -> None:
        if synced.pile_time is not None:
            skew = abs((synced.pile_time - synced.received_at).total_seconds())
            log.info("pile.time", skew_s=round(skew, 1))


@contextmanager
def _named(event: PileEvent) -> Iterator[None]:
    """Every log line meanwhile names the pile and the trade, and the order as soon as it is known (`_order_of`)."""
    trade_number = getattr(event, "trade_number", None)
    trade = {"trade_number": trade_number} if trade_number else {}
    try:
        with structlog.contextvars.bound_contextvars(pile_code=event.pile_code, **trade):
            yield
    finally:
        structlog.contextvars.unbind_contextvars("order_id")


def _nothing(_session: HubSession, _event: object) -> None:
    """A request that the server has answered itself."""


def _connector(session: HubSession, pile_code: str, number: int) -> Connector | None:
    connector = find_connector(session, f"{pile_code}{number:02d}", lock=True)
    if connector is None:
        log.warning("pile.event.unknown_connector", connector=number)
    return connector


def _order_of(session: HubSession, trade_number: str | None, connector: Connector) -> ChargeOrder | None:
    """The order of a trade number, only if it belongs to this connector; its row is held."""
    if trade_number is None:
        return None
    query = select(ChargeOrder).where(
        ChargeOrder.trade_number == trade_number, ChargeOrder.connector_id == connector.id
    )
    held = query.with_for_update(of=ChargeOrder, key_share=True).execution_options(populate_existing=True)
    order = session.scalars(held).one_or_none()
    if order is not None:
        structlog.contextvars.bind_contextvars(order_id=order.id)
    return order


def _reading(sample: ConnectorSample) -> Reading:
    return Reading(
        at=sample.measured_at or sample.received_at,
        voltage_v=sample.voltage_v or ZERO,
        current_a=sample.current_a or ZERO,
        soc=sample.soc or 0,
        energy_kwh=sample.energy_kwh,
        minutes_charged=sample.minutes_charged or 0,
        minutes_remaining=sample.minutes_remaining or 0,
        pile_amount=sample.amount_yuan or ZERO,
    )


def _keep_sample(connector: Connector, sample: ConnectorSample) -> None:
    voltage, current = sample.voltage_v or ZERO, sample.current_a or ZERO
    reading = {
        "at": sample.received_at,
        "voltage_v": voltage,
        "current_a": current,
        "power_kw": (voltage * current / 1000).quantize(Decimal("0.0001")),
        "soc": sample.soc or 0,
        "energy_kwh": sample.energy_kwh or ZERO,
        "faults": list(sample.faults),
    }
    keep_reading(connector, reading, sample.received_at)
