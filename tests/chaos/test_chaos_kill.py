"""kill -9 where it hurts most (DECISIONS 32): afterwards exactly one bill, and everybody who is to know it does.

The process stands still at a named fault point, SIGKILL lands there, and both sides are counted: the hub's ledger by what the console
shows, the other side by the fakes' own logs and the simulator's frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.e2e.programs import HubProgram
from tests.e2e.simulated import RECORD, RECORD_CONFIRMED
from tests.e2e.stage import FAST, ORDER_PUSH, SLOW, Stage
from tests.support.waiting import wait_until

LADDER_S = 180
"""Longer than the steps of the ladder that an order push can have reached within seconds (5, 20, 60, 150)."""
LEASE_S = 60.0
"""Real seconds in which a cluster takes back the delivery of a worker that was killed: the attempt's timeout and a margin."""

pytestmark = pytest.mark.timeout(300)


@contextmanager
def standing_still(stage: Stage, role: str, point: str, folder: Path) -> Iterator[Path]:
    """The process of `role` with a fault point set; at the end a healthy one runs, whatever happened. Gives the marker file."""
    program, marker = stage.program(role), folder / "marker"
    program.stop()
    restart(program, HUB_FAULT_POINT=point, HUB_FAULT_MARKER=str(marker))
    try:
        yield marker
        program.kill()
    finally:
        if program.alive():
            program.kill()
        restart(program)
        stage.until("the piles are back", stage.all_online)


def restart(program: HubProgram, **environment: str) -> None:
    """Start it and wait until it is ready."""
    program.start(**environment)
    program.wait_ready()


def test_a_worker_killed_between_push_and_ledger_tells_the_same_bill_again(stage: Stage, tmp_path: Path) -> None:
    seq = settled_but_not_told(stage)
    with standing_still(stage, "worker", f"worker.after_send:{ORDER_PUSH}", tmp_path) as marker:
        stage.until("its push stands at the fault point", lambda: _under_way(stage, seq) and marker.exists())
        stage.until("the partner got the push", lambda: len(_taken(stage, seq)) == 1)
        assert not _delivered(stage, seq)
    order = stage.until("the partner confirmed the order", lambda: stage.confirmed(seq), LEASE_S)
    stage.until("the ledger says so too", lambda: _delivered(stage, seq), LEASE_S)
    pushes = _taken(stage, seq)
    assert len(pushes) == 2
    assert all(push["body"] == order for push in pushes), "two different facts were told"
    (delivery,) = _order_deliveries(stage, seq)
    assert [attempt["error"] for attempt in delivery["attempts"]][-2:] == ["interrupted", None]
    assert _billed_once(stage, seq)
    stage.until_reported(seq, LEASE_S)


def settled_but_not_told(stage: Stage) -> str:
    """A charge whose bill is made and whose order push is due again: the partner answered 500 and is healthy now.

    The worker is stopped then, so that the push is the first thing that the next one does.
    """
    stage.partner.faults.replace([{"kind": "http_500", "interface": ORDER_PUSH, "times": None}])
    seq = stage.whole_charge(stage.free_connector(), minutes=2)
    stage.until("the partner answered 500", lambda: any(d["attempts"] for d in _order_deliveries(stage, seq)))
    stage.program("worker").stop()
    stage.partner.faults.replace([])
    due = stage.clock.now() + timedelta(seconds=LADDER_S)
    stage.speed(FAST)
    wait_until(lambda: stage.clock.now() > due, "the push to be due")
    stage.speed(SLOW)
    return seq


def test_a_pile_server_killed_between_record_and_acknowledgement_bills_once(stage: Stage, tmp_path: Path) -> None:
    connector = stage.free_connector()
    stage.plug(connector)
    seq = stage.start(connector)
    with standing_still(stage, "piles", "piles.record.committed", tmp_path) as marker:
        stage.until("the piles are back", stage.all_online)
        stage.charge_for(2)
        assert stage.partner.stop_charge(seq).ok
        stage.until("the record is on disk", marker.exists)
        trade_number = stage.trace(seq)["order"]["trade_number"]
        assert stage.piles.frames(RECORD, trade_number) >= 1
        assert stage.piles.frames(RECORD_CONFIRMED, trade_number) == 0
        sent_before = stage.piles.frames(RECORD, trade_number)
    stage.until("the pile sent its record again", lambda: stage.piles.frames(RECORD, trade_number) > sent_before)
    stage.until("the pile forgot its record", lambda: not stage.piles.state(connector)["unconfirmed_records"])
    order = stage.until_confirmed(seq)
    resent = stage.piles.frames(RECORD, trade_number) - sent_before
    assert 1 <= stage.piles.frames(RECORD_CONFIRMED, trade_number) <= resent
    # On SQLite the killed program was also the worker: a push on its way may come again, with the same content.
    assert all(push["body"] == order for push in _taken(stage, seq)), "two different facts were told"
    assert _billed_once(stage, seq)


@pytest.mark.postgresql(reason="SQLite runs without Redis: there is nothing to flush")
def test_flushing_redis_in_the_middle_loses_nothing(stage: Stage) -> None:
    connector = stage.free_connector()
    stage.plug(connector)
    flush(stage)
    seq = stage.start(connector)
    flush(stage)
    stage.charge_for(3)
    flush(stage)
    stage.stop(seq)
    flush(stage)
    stage.until_confirmed(seq)
    stage.until("the ledger says so too", lambda: _delivered(stage, seq))
    stage.until_reported(seq)
    assert _billed_once(stage, seq)
    stage.until("no order delivery is left over", lambda: _nothing_open(stage, seq))


def flush(stage: Stage) -> None:
    """FLUSHALL, as somebody would type it."""
    with redis.Redis.from_url(stage.environment["HUB_REDIS_URL"]) as client:
        client.flushall()


def _order_deliveries(stage: Stage, seq: str) -> list[dict[str, Any]]:
    """To the partner; the regulator's order push has another name."""
    return [delivery for delivery in stage.trace(seq)["deliveries"] if delivery["interface"] == ORDER_PUSH]


def _under_way(stage: Stage, seq: str) -> bool:
    """The push is leased and counts an attempt that has no result yet, so it has passed everything up to the fault point."""
    return any(
        push["state"] == "leased" and push["attempt_count"] > len(push["attempts"])
        for push in _order_deliveries(stage, seq)
    )


def _taken(stage: Stage, seq: str) -> list[dict[str, Any]]:
    """Order pushes that the partner read; those answered 500 were not."""
    return [push for push in stage.order_pushes(seq) if push["accepted"]]


def _delivered(stage: Stage, seq: str) -> bool:
    pushes = _order_deliveries(stage, seq)
    return bool(pushes) and all(push["state"] == "delivered" for push in pushes)


def _nothing_open(stage: Stage, seq: str) -> bool:
    return all(d["state"] in ("delivered", "superseded") for d in stage.trace(seq)["deliveries"])


def _billed_once(stage: Stage, seq: str) -> bool:
    trace = stage.trace(seq)
    settled = [change for change in trace["states"] if change["state"] == "settled"]
    return len(settled) == 1 and len({push["object_version"] for push in _order_deliveries(stage, seq)}) == 1
