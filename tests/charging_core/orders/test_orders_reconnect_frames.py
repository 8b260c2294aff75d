"""Over TCP, frame by frame: a stop that waited for the link is not written before the charge shows itself again (0x36 has no number)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.monitoring.alarm import Alarm
from charging_core.orders.model import Origin
from charging_core.orders.service import request_stop
from tests.charging_core.piles.piles_support import Pile, frame_of, wait_for
from tests.charging_core.piles.starts_support import Yard, yard_of

STRANGERS = bytes.fromhex("32010600010001012603020900000007")


@pytest.fixture
def yard(db: Database, manual_clock: ManualClock) -> Iterator[Yard]:
    with yard_of(db, manual_clock) as yard:
        yield yard


def charging(yard: Yard, pile: Pile) -> bytes:
    """A card's charge; its trade number."""
    pile.raw(frame_of(0x31, yard.request()))
    pile.expect(0x32)
    trade = pile.last_body()[:16]
    pile.raw(yard.sample(trade))
    wait_for(lambda: yard.state() == "charging", "the charge is seen")
    return trade


def ask_to_stop(yard: Yard) -> None:
    with yard.db.session(yard.tenant) as session:
        request_stop(session, yard.context, yard.orders()[0].id, Origin.CONSOLE)


def away(yard: Yard) -> bool:
    return yard.orders()[0].link_lost


def alarms(yard: Yard) -> list[str]:
    with yard.db.read(yard.tenant) as session:
        return list(session.scalars(select(Alarm.kind)))


def test_after_a_reconnect_the_pile_is_asked_first_and_stopped_when_it_shows_the_charge(yard: Yard) -> None:
    with yard.login() as pile:
        trade = charging(yard, pile)
    wait_for(lambda: away(yard), "the link is lost")
    with yard.login() as pile:
        ask_to_stop(yard)
        pile.expect(0x12)
        pile.raw(yard.sample(trade))
        pile.expect(0x36)
    assert yard.state() == "stopping"


def test_a_stranger_who_charges_after_the_reconnect_is_not_stopped(yard: Yard) -> None:
    with yard.login() as pile:
        charging(yard, pile)
    wait_for(lambda: away(yard), "the link is lost")
    ask_to_stop(yard)
    with yard.login() as pile:
        pile.expect(0x12)
        pile.raw(yard.sample(STRANGERS))
        wait_for(lambda: alarms(yard) == ["other_charge"], "the stranger is seen")
        pile.expect_silence()
    assert [kind for kind, _ in yard.commands()] == ["read"]
