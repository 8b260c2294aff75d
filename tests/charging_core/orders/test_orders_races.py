"""Web, pile servers and scheduler at one order in the same instant, with real threads on a real database.

On SQLite one writer goes after the other; on PostgreSQL they meet at the rows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.events import DomainEvent
from charging_core.ids import new_id
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.service import Refusal, find_order, request_stop
from charging_core.orders.state import OrderState
from charging_core.orders.sweep import sweep_orders
from charging_core.piles.events import ConnectorStatus, PileCurrent, PileLogin, PileOffline
from charging_core.piles.model import PileCommand
from charging_core.piles.ports import CommandState
from charging_core.piles.store.directory import TablePileDirectory
from charging_core.piles.store.sink import TablePileEventSink
from charging_core.stations.model import Pile
from tests.charging_core.orders.orders_support import Bench

ROUNDS = 8
"""How often a race is run: with the defects in place each of these tests failed within three rounds."""


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Bench:
    return Bench(db, manual_clock)


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run all calls at the same instant; their answers, or the first one's exception."""
    ready = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        ready.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(run, call) for call in calls]]


def versions(bench: Bench, subject: str) -> list[int]:
    with bench.db.read(bench.seeded.tenant_id) as session:
        query = select(DomainEvent.version).where(DomainEvent.subject_id == subject)
        return sorted(session.scalars(query))


def test_of_many_starts_on_one_connector_one_wins_and_the_others_are_busy(bench: Bench) -> None:
    outcomes = together(*[partial(bench.start, f"SEQ{n}") for n in range(6)])
    assert sorted(str(outcome.refusal) for outcome in outcomes) == ["None", *["busy"] * 5]


def test_one_sequence_at_two_connectors_starts_one_of_them(bench: Bench) -> None:
    for n in range(ROUNDS):
        outcomes = together(*[partial(bench.start, f"SEQ{n}", c) for c in bench.seeded.connectors])
        assert sorted(str(outcome.refusal) for outcome in outcomes) == ["None", Refusal.CONFLICTING_REPEAT]
        order = next(outcome.order for outcome in outcomes if outcome.order is not None)
        bench.stop(order)


def test_one_request_sent_twice_at_once_is_one_order(bench: Bench) -> None:
    outcomes = together(*[bench.start] * 4)
    assert len({outcome.order.id for outcome in outcomes if outcome.order}) == 1
    assert sorted(outcome.repeated for outcome in outcomes) == [False, True, True, True]


def test_a_stop_and_the_sending_of_the_start_never_wait_in_a_circle(bench: Bench) -> None:
    for n in range(ROUNDS):
        order = bench.started(seq=f"SEQ{n}")
        command = bench.source.pending([bench.seeded.pile_code])[0]
        sent, _ = together(
            partial(bench.source.mark, command.id, CommandState.SENT, ""),
            partial(bench.stop, order),
        )
        assert bench.state(order) == (OrderState.STOPPING if sent else OrderState.FAILED)
        if sent:
            assert bench.deliver_commands() == ["stop"]
            bench.tell(bench.record(order, "0"))


def test_a_time_out_and_the_first_sample_leave_one_story(bench: Bench) -> None:
    for n in range(ROUNDS):
        order = bench.started(seq=f"SEQ{n}")
        bench.deliver_commands()
        bench.tell(bench.answer(order))
        bench.clock.advance(timedelta(seconds=91))
        sample = bench.sample(order)
        together(
            partial(sweep_orders, bench.db, bench.context),
            partial(bench.tell, sample),
        )
        state = bench.state(order)
        assert state in (OrderState.FAILED, OrderState.CHARGING)
        assert versions(bench, order.id) == [1]
        bench.tell(bench.record(order), bench.sample(None, status=ConnectorStatus.IDLE))
        assert versions(bench, order.id) == [1, 2, 3]


def test_one_record_at_two_pile_servers_is_one_bill(bench: Bench) -> None:
    other = TablePileEventSink(bench.db, bench.context)
    for n in range(ROUNDS):
        order = bench.charging(seq=f"SEQ{n}")
        record = bench.record(order)
        together(partial(bench.sink.handle, [record]), partial(other.handle, [record]))
        assert (bench.state(order), versions(bench, order.id)) == (OrderState.SETTLED, [1, 2, 3])
        bench.tell(bench.sample(None, status=ConnectorStatus.IDLE))


def test_a_connector_seen_by_two_pile_servers_has_versions_without_gap_or_double(bench: Bench) -> None:
    other = TablePileEventSink(bench.db, bench.context)
    faulty, idle = (bench.sample(None, status=status) for status in (ConnectorStatus.FAULT, ConnectorStatus.IDLE))
    for _ in range(ROUNDS):
        together(partial(bench.sink.handle, [faulty]), partial(other.handle, [idle]))
    with bench.db.read(bench.seeded.tenant_id) as session:
        subject = session.scalars(select(DomainEvent.subject_id).limit(1)).one()
    told = versions(bench, subject)
    assert told == list(range(1, len(told) + 1))


def test_the_end_of_an_old_connection_never_hides_the_new_one(bench: Bench) -> None:
    directory = TablePileDirectory(bench.db, bench.clock)
    code, numbers = bench.seeded.pile_code, count()

    def login() -> PileLogin:
        connection = f"c{next(numbers)}"
        return PileLogin(code, connection, "ykc", "1.6", None, PileCurrent.DC, 2, None, "10.0.0.1:1", bench.clock.now())

    old = login()
    directory.login(old)
    for _ in range(ROUNDS):
        new = login()
        gone = PileOffline(code, old.connection_id, "closed", bench.clock.now())
        together(
            partial(bench.sink.handle, [gone]),
            partial(directory.login, new),
        )
        with bench.db.read(bench.seeded.tenant_id) as session:
            pile = session.scalars(select(Pile)).one()
            assert (pile.online, pile.connection_id) == (True, new.connection_id)
        old = new


@pytest.mark.postgresql(reason="on SQLite no other transaction can write while this one is open")
def test_an_order_loaded_before_its_lock_is_read_again_under_it(bench: Bench) -> None:
    order = bench.charging()
    with bench.db.session(bench.seeded.tenant_id) as session:
        seen = find_order(session, order.id)
        assert seen is not None
        assert seen.state == OrderState.CHARGING
        bench.tell(bench.record(order))
        outcome = request_stop(session, bench.context, order.id, Origin.APP)
        assert outcome is not None
        assert (outcome.refusal, seen.state) == (Refusal.ALREADY_ENDED, OrderState.SETTLED)
    with bench.db.read(bench.seeded.tenant_id) as reading:
        assert reading.scalars(select(PileCommand.kind).where(PileCommand.kind == "stop")).all() == []


def test_no_order_is_open_twice_on_a_connector_after_all_that(bench: Bench) -> None:
    """Starts, stops, samples and timers of one connector at once; afterwards at most one order holds it."""
    for n in range(ROUNDS // 2):
        bench.clock.advance(timedelta(seconds=1))
        order = bench.start(f"SEQ{new_id()}").order
        calls: list[Callable[[], object]] = [
            partial(bench.start, f"OTHER{n}"),
            partial(sweep_orders, bench.db, bench.context),
            bench.deliver_commands,
        ]
        if order is not None:
            calls.append(partial(bench.stop, order))
            calls.append(partial(bench.tell, bench.sample(order)))
        together(*calls)
        with bench.db.read(bench.seeded.tenant_id) as session:
            states = session.execute(select(ChargeOrder.id, ChargeOrder.state)).all()
        assert sum(state not in ("failed", "settled", "abnormal") for _, state in states) <= 1
        bench.tell(*[bench.sample(None, status=ConnectorStatus.IDLE)] * 2)
        bench.pass_time(200)
        bench.pass_time(200)


def test_the_charges_of_one_second_have_different_numbers(bench: Bench) -> None:
    """A charge that failed at once may be followed by another at the same connector; so may many, for our own tests."""
    commands = bench.context.commands
    with bench.db.session(bench.seeded.tenant_id) as session:
        numbers = {commands.number_for(session, bench.connector) for _ in range(2_000)}
    assert len(numbers) == 2_000
    assert {len(number) for number in numbers} == {32}
