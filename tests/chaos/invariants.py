"""What must hold after a storm, counted on both sides: the hub's ledger in its database, and the others' own logs.

Every due delivery is delivered or visibly ended with its reason; no lane is out of order; no object was told as two different facts;
nothing waits without a next attempt; every charge is billed exactly once; both sides know the same orders.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import Select, func, select

from charging_core.db import HubSession
from charging_core.events import DONE, DomainEvent
from charging_core.orders.model import ChargeOrder, OrderTransition
from charging_core.orders.state import OPEN_STATES, OrderState
from charging_core.piles.model import APPLIED, TradeRecordRow
from partners.model import PartnerLink
from tests.e2e.operator_file import STATION
from tests.e2e.stage import ORDER_PUSH, Stage
from worker.api import State
from worker.model import OPEN_STATES as OPEN_DELIVERIES
from worker.model import DeliveryAttempt, DeliveryRow, DestinationState

MOST_AHEAD = timedelta(days=2)
"""Nothing is planned farther ahead: a statement of yesterday in tonight's window at most."""
TO_PARTNER = "partner"
PLATFORM = "platform"
"""The stage's own partner link."""
MAY_OVERTAKE = frozenset({("partner", "state_backwards")})
"""Pushes of one order through different interfaces may overtake each other (specs/tcec102.md 12.3): a status that is sent again after
a fault comes behind the bill. Within one lane nothing may, which `_out_of_order` checks."""


@dataclass(frozen=True)
class Storm:
    """What a storm touched: the charges the partner asked for, and since when (business time)."""

    seqs: Sequence[str]
    until: datetime


def unfinished(session: HubSession, storm: Storm) -> list[str]:
    """What is not at its end yet: open orders, events not relayed, deliveries of the storm that are due or were tried."""
    orders = select(ChargeOrder.id).where(ChargeOrder.state.in_(OPEN_STATES))
    events = select(DomainEvent.id).where(DomainEvent.state != DONE)
    waiting = select(DeliveryRow).where(
        DeliveryRow.state.in_([state.value for state in OPEN_DELIVERIES]),
        DeliveryRow.occurred_at <= storm.until,
        (DeliveryRow.attempt_count > 0) | (DeliveryRow.next_attempt_at <= storm.until),
        DeliveryRow.destination_id.not_in(_strangers()),
    )
    found = {name: len(session.scalars(query).all()) for name, query in (("orders", orders), ("events", events))}
    left = [f"{count} {name}" for name, count in found.items() if count]
    return left + [_described(session, row) for row in session.scalars(waiting)]


def _described(session: HubSession, row: DeliveryRow) -> str:
    there = session.get(DestinationState, (row.tenant_id, row.destination_kind, row.destination_id))
    held = f"destination held: {there.hold_reason}" if there and there.held else ""
    closed = f"destination closed until {there.open_until}" if there and there.open_until else ""
    return (
        f"{row.destination_kind} {row.interface} {row.object_key} v{row.object_version} {row.state}, {row.attempt_count} attempts, "
        f"next {row.next_attempt_at}, leased until {row.lease_until}, {row.reason or ''} {held} {closed}"
    )


def next_due(session: HubSession, storm: Storm) -> datetime | None:
    """When the next tried delivery of the storm goes again."""
    return session.scalar(
        select(func.min(DeliveryRow.next_attempt_at)).where(
            DeliveryRow.state == State.WAITING.value,
            DeliveryRow.occurred_at <= storm.until,
            DeliveryRow.attempt_count > 0,
            DeliveryRow.destination_id.not_in(_strangers()),
        )
    )


def _strangers() -> Select[str]:
    """Links that other tests declared on the shared stage; who stood behind them is gone."""
    return select(PartnerLink.id).where(PartnerLink.slug != PLATFORM)


def broken(session: HubSession, stage: Stage, storm: Storm, now: datetime) -> list[str]:
    """Every invariant that does not hold, in words; empty when all do."""
    rows = session.scalars(select(DeliveryRow)).all()
    return [
        *_without_reason(rows),
        *_without_next_attempt(rows, now),
        *_out_of_order(session, rows),
        *_billed_otherwise(session),
        *_known_otherwise(session, stage, rows, storm),
        *_two_facts(stage, rows),
        *_refused_by_the_others(stage),
    ]


def counts(session: HubSession, stage: Stage, storm: Storm) -> dict[str, int]:
    """What a storm came to, for people."""
    states = session.execute(select(DeliveryRow.state, func.count()).group_by(DeliveryRow.state))
    settled = ChargeOrder.state == OrderState.SETTLED
    attempts = session.scalars(select(DeliveryAttempt.error)).all()
    return {
        "charges asked for": len(storm.seqs),
        "orders": session.scalar(select(func.count()).select_from(ChargeOrder)) or 0,
        "orders settled": session.scalar(select(func.count()).where(settled)) or 0,
        **{f"deliveries {state}": count for state, count in sorted(states)},
        "attempts": len(attempts),
        "attempts interrupted": sum(error == "interrupted" for error in attempts),
        "order pushes that the partner took": len(_taken(stage)),
        "of them again": len(_taken(stage)) - len({body["StartChargeSeq"] for body in _taken(stage)}),
    }


def _without_reason(rows: Iterable[DeliveryRow]) -> Iterator[str]:
    for row in rows:
        if row.state in (State.DEAD, State.REJECTED) and not (row.code or row.reason or row.outcome):
            yield f"{row.interface} {row.id} is {row.state} without a reason"
        if row.state not in OPEN_DELIVERIES and row.finished_at is None:
            yield f"{row.interface} {row.id} is {row.state} without an end"


def _without_next_attempt(rows: Iterable[DeliveryRow], now: datetime) -> Iterator[str]:
    for row in rows:
        if row.state == State.WAITING and not row.next_attempt_at <= now + MOST_AHEAD:
            yield f"{row.interface} {row.id} waits until {row.next_attempt_at}"
        if row.state == State.LEASED and row.lease_until is None:
            yield f"{row.interface} {row.id} is leased for ever"


def _out_of_order(session: HubSession, rows: Iterable[DeliveryRow]) -> Iterator[str]:
    """A later delivery of a lane may be tried only when the earlier ones have had their last attempt (ids are in real time)."""
    tried: dict[str, list[str]] = defaultdict(list)
    for delivery_id, attempt_id in session.execute(select(DeliveryAttempt.delivery_id, DeliveryAttempt.id)):
        tried[delivery_id].append(attempt_id)
    lanes: dict[str, list[DeliveryRow]] = defaultdict(list)
    for row in rows:
        if row.lane is not None and row.id in tried:
            lanes[row.lane].append(row)
    for lane, members in lanes.items():
        members.sort(key=lambda row: (row.lane_order, row.id))
        for before, after in pairwise(members):
            if max(tried[before.id]) > min(tried[after.id]):
                yield f"lane {lane}: {before.interface} {before.id} was tried after {after.interface} {after.id}"


def _billed_otherwise(session: HubSession) -> Iterator[str]:
    settled = select(OrderTransition.order_id).where(OrderTransition.state == OrderState.SETTLED.value)
    bills = Counter(session.scalars(settled))
    records = Counter(session.scalars(select(TradeRecordRow.order_id).where(TradeRecordRow.state == APPLIED)))
    query = select(ChargeOrder.id, ChargeOrder.state, ChargeOrder.energy_kwh)
    for order_id, state, energy in session.execute(query):
        expected = int(state == OrderState.SETTLED)
        # A charge that never began may leave a record without energy: taken, and nothing to bill.
        fits = records[order_id] == 1 if expected else records[order_id] <= 1 and not energy
        if bills[order_id] != expected or not fits:
            yield f"order {order_id} is {state}: {bills[order_id]} bills of {records[order_id]} records, {energy} kWh"


def _known_otherwise(session: HubSession, stage: Stage, rows: Iterable[DeliveryRow], storm: Storm) -> Iterator[str]:
    """Settled orders and their pushes against the partner's and the regulator's books."""
    ends = {
        row.object_key: row.state for row in rows if row.interface == ORDER_PUSH and row.destination_kind == TO_PARTNER
    }
    partner, regulator = stage.partner.summary()["orders"], stage.regulator.summary()["orders"]
    query = select(ChargeOrder.id, ChargeOrder.start_charge_seq, ChargeOrder.state)
    for order_id, seq, state in session.execute(query.where(ChargeOrder.start_charge_seq.in_(storm.seqs))):
        page = partner.get(seq) or {}
        if state == OrderState.SETTLED and order_id not in ends:
            yield f"order {seq} is settled and nobody was to be told"
        if ends.get(order_id) == State.DELIVERED and page.get("confirm_result") != 0:
            yield f"order {seq} is delivered for us, the partner confirmed {page.get('confirm_result')}"
        if ends.get(order_id) == State.REJECTED and page.get("confirm_result") is None:
            yield f"order {seq} is rejected for us, the partner never saw it"
        if state == OrderState.SETTLED and not (regulator.get(seq) or {}).get("order"):
            yield f"order {seq} is settled and the regulator does not know it"


def _two_facts(stage: Stage, rows: Iterable[DeliveryRow]) -> Iterator[str]:
    """As many contents as versions at most, by the partner's own log."""
    versions = Counter(
        row.object_key for row in rows if row.interface == ORDER_PUSH and row.destination_kind == TO_PARTNER
    )
    most = max(versions.values(), default=1)
    contents: dict[str, set[str]] = defaultdict(set)
    for body in _taken(stage):
        contents[body["StartChargeSeq"]].add(json.dumps(body, sort_keys=True, default=str))
    for seq, told in contents.items():
        if len(told) > most:
            yield f"order {seq} was told as {len(told)} different facts"


def _refused_by_the_others(stage: Stage) -> Iterator[str]:
    """Their books judge every message: totals, order of states and samples, changes after a confirmation."""
    for name, other in (("partner", stage.partner), ("regulator", stage.regulator)):
        for finding in other.summary()["violations"]:
            if (name, finding["code"]) in MAY_OVERTAKE:
                continue
            yield f"{name}: {finding['code']} {finding['subject']} {finding['text']}"


def another_last_word(stage: Stage) -> Iterator[str]:
    """What the others were told last of a connector must be what the hub answers when it is asked, as soon as nothing changes."""
    answer = stage.partner.call("query_station_status", {"StationIDs": [STATION]})
    if answer.data is None:
        yield f"the hub does not answer: {answer}"
        return
    infos = answer.data["StationStatusInfos"][0]["ConnectorStatusInfos"]
    regulator = stage.regulator.summary()["connector_status"]
    for info in infos:
        connector, status = info["ConnectorID"], info["Status"]
        by_number = f"{connector[:14]}{int(connector[14:])}"
        told = {"partner": stage.partner.books.connector_status.get(connector), "regulator": regulator.get(by_number)}
        for name, last in told.items():
            if last not in (None, status):
                yield f"{connector} is {status}, the {name} was told {last} last"


def _taken(stage: Stage) -> list[dict[str, Any]]:
    return [entry["body"] for entry in stage.partner.received(ORDER_PUSH) if entry["accepted"]]
