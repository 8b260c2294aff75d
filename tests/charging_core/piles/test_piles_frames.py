"""The frames of a charge are kept for people: which ones, beside which order, for how long, and how they read."""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.orders.model import ChargeOrder
from charging_core.piles.events import FrameSeen
from charging_core.piles.model import PileFrame
from charging_core.piles.protocols.ykc.codec import decode, encode
from charging_core.piles.protocols.ykc.line import frame_line
from charging_core.piles.store.frames import FrameRetention, frames_of
from tests.charging_core.orders.orders_support import Bench
from tests.charging_core.piles.piles_support import PILE, REALTIME, RECORD, START, TRADE, running, wait_for


def test_what_begins_and_ends_a_charge_is_kept_and_samples_are_thinned() -> None:
    clock = ManualClock(START)
    with running(clock=clock, keep_frames=True) as house, house.login() as pile:
        charging = {**decode(REALTIME).fields, "trade_number": TRADE, "status": 3}
        for _ in range(3):
            pile.send(0x13, charging)
        pile.send(0x03, {"connector_no": "01", "connector_state": 0})
        pile.expect(0x04)
        clock.advance(timedelta(minutes=5))
        pile.send(0x13, charging)
        pile.send(0x13, {**charging, "status": 2})
        pile.send(0x13, {**charging, "status": 2})
        pile.raw(RECORD)
        pile.expect(0x40)
        wait_for(lambda: any(seen.frame_type == 0x40 for seen in house.sink.of(FrameSeen)), "the confirmation")
        kept = house.sink.of(FrameSeen)
        assert [seen.frame_type for seen in kept] == [0x01, 0x02, 0x13, 0x13, 0x13, 0x3B, 0x40]
        assert {seen.pile_code for seen in kept} == {PILE}
        assert kept[-1].trade_number is not None


def test_nothing_is_kept_unless_wanted() -> None:
    with running() as house, house.login() as pile:
        pile.raw(RECORD)
        pile.expect(0x40)
        assert house.sink.of(FrameSeen) == []


def test_frames_stand_beside_their_order_until_their_time_is_over(db: Database, manual_clock: ManualClock) -> None:
    bench = Bench(db, manual_clock)
    order = bench.charging()
    code = bench.seeded.pile_code
    seen = [
        (None, None, 0x01),
        (None, 1, 0x36),
        (order.trade_number, 1, 0x13),
        ("9" * 32, 1, 0x3B),
        (order.trade_number, None, 0x40),
    ]
    for trade, connector, kind in seen:
        bench.tell(FrameSeen(code, connector, trade, "ykc", kind, REALTIME.hex(), manual_clock.now()))
    bench.tell(FrameSeen("99999999999999", None, None, "ykc", 0x01, "", manual_clock.now()))
    with db.read(bench.seeded.tenant_id) as session:
        found = frames_of(session, session.get_one(ChargeOrder, order.id))
        assert [row.frame_type for row in found] == [0x01, 0x36, 0x13, 0x40]
        assert len(session.scalars(select(PileFrame)).all()) == len(seen), "a stranger's frame was kept"
    retention = FrameRetention(db, manual_clock, timedelta(days=90))
    assert retention.run() == 0
    manual_clock.advance(timedelta(days=91))
    assert (retention.run(), retention.run()) == (len(seen), 0)


def test_every_line_about_an_event_names_its_pile_trade_and_order(db: Database, manual_clock: ManualClock) -> None:
    bench = Bench(db, manual_clock)
    order = bench.charging()
    lines: list[structlog.typing.EventDict] = []

    def keep(_logger: object, _name: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        lines.append(dict(line))
        raise structlog.DropEvent

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep])
    try:
        bench.tell(bench.record(order, complete=False))
    finally:
        structlog.configure(processors=before)
    (line,) = [line for line in lines if line["event"] == "pile.record.parked"]
    assert line["pile_code"] == bench.seeded.pile_code
    assert (line["order_id"], line["trade_number"]) == (order.id, order.trade_number)
    assert structlog.contextvars.get_contextvars() == {}


def test_a_frame_reads_as_one_line_without_personal_data() -> None:
    line = frame_line(RECORD)
    assert (line.type, line.direction, line.zh, line.en) == ("0x3B", "up", "交易记录", "trade record")
    assert "total_energy=" in line.text
    assert "stop_code=" in line.text
    assert "vin" not in line.text
    sample = frame_line(REALTIME)
    assert "status=" in sample.text
    assert "/charging" in sample.text or "/idle" in sample.text
    assert frame_line(encode(0x36, {"pile_code": PILE, "connector_no": "01"}, b"\0\0")).text == ""
    assert frame_line(b"\x68\x01").type == "?"
