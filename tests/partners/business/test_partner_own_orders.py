"""What must hold for an order once a partner has started it, whatever happens to link, station or connector meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from charging_core.events import DomainEvent
from charging_core.orders import progress
from charging_core.orders.life import lock_order, publish
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.service import request_stop
from charging_core.stations.model import Connector, ConnectorState, Pile, Station
from charging_core.stations.status import observe
from charging_core.tariffs.periods import RateClass
from partners.errors import LinkUnusable
from partners.links import LinkBook
from partners.model import PartnerLink
from partners.outbound import PartnerDriver
from tests.partners.business.conftest import PARTNER, World
from worker.api import State

SEQ = f"{PARTNER}260302080000000001"
OTHER_SEQ = f"{PARTNER}260302080000000002"
STATUS = "notification_stationStatus"
STARTED = "notification_start_charge_result"
STOPPED = "notification_stop_charge_result"
ORDER = "notification_charge_order_info"


def start(world: World, connector: str | None = None, seq: str = SEQ, **more: Any) -> dict[str, Any]:
    body = {"StartChargeSeq": seq, "ConnectorID": connector or world.connector, "QRCode": ""}
    return world.ask("query_start_charge", body | more)


def stop(world: World, connector: str | None = None) -> dict[str, Any]:
    return world.ask("query_stop_charge", {"StartChargeSeq": SEQ, "ConnectorID": connector or world.connector})


def states(world: World, interface: str) -> list[str]:
    return [row.state for row in world.deliveries(interface)]


# ------------------------------------------------------------------------------------------ repeats and withdrawn rights


def test_a_conflicting_repeat_does_not_say_that_the_running_charge_has_ended(world: World) -> None:
    """Stat 4 is final for a partner: said about a sequence whose charge runs, it would close and refund it."""
    world.link()
    start(world)
    world.reading(SEQ)
    answer = start(world, world.seeded.connectors[1])
    assert (answer["SuccStat"], answer["FailReason"], answer["StartChargeSeqStat"]) == (1, 10, 2)
    answer = start(world, "0000000000000000")
    assert (answer["SuccStat"], answer["FailReason"], answer["StartChargeSeqStat"]) == (1, 10, 2)


@pytest.mark.parametrize("withdrawn", ["link", "connector", "station"])
def test_a_repeated_start_gets_its_first_answer_although_the_right_was_withdrawn(world: World, withdrawn: str) -> None:
    world.link()
    first = start(world)
    withdraw(world, withdrawn)
    assert start(world) == first


@pytest.mark.parametrize("withdrawn", ["link", "connector", "station"])
def test_a_running_charge_can_be_stopped_although_the_right_was_withdrawn(world: World, withdrawn: str) -> None:
    world.link()
    start(world)
    world.reading(SEQ)
    withdraw(world, withdrawn)
    answer = stop(world)
    assert (answer["StartChargeSeqStat"], answer["SuccStat"], answer["FailReason"]) == (3, 0, 0)


def withdraw(world: World, what: str) -> None:
    if what == "link":
        world.link(stations=[])
        return
    with world.db.session(world.tenant) as session:
        row = (
            session.query(Connector).filter_by(code=world.connector) if what == "connector" else session.query(Station)
        )
        row.one().enabled = False


def test_a_connector_that_another_order_holds_is_not_ready(world: World) -> None:
    """Between the start and the first sample the connector still reads "plugged", but no second charge can begin."""
    world.link()
    start(world)
    answer = world.ask("query_equip_auth", {"EquipAuthSeq": OTHER_SEQ, "ConnectorID": world.connector})
    assert (answer["SuccStat"], answer["FailReason"]) == (1, 5)
    assert start(world, seq=OTHER_SEQ)["FailReason"] == 5


# ----------------------------------------------------------------------------------------------- pushes are never lost


def test_orders_that_settle_while_the_link_is_disabled_are_told_when_it_is_back(world: World) -> None:
    world.link()
    seq = world.begin()
    world.reading(seq)
    world.link(enabled=False)
    world.clock.advance(timedelta(minutes=10))
    world.record(seq, {RateClass.FLAT: "1.0000"})
    world.deliver()
    assert states(world, ORDER) == [State.WAITING]
    world.link()
    world.clock.advance(timedelta(minutes=5))
    world.deliver()
    assert [body["StartChargeSeq"] for body in world.received(ORDER)] == [seq]


def test_a_disabled_link_is_not_told_of_connectors(world: World) -> None:
    world.link(enabled=False)
    change_state(world, ConnectorState.FAULT)
    world.deliver()
    assert world.deliveries(STATUS) == []


def test_an_event_of_a_link_that_this_process_has_not_seen_yet_is_planned_all_the_same(world: World) -> None:
    """The worker's picture of links is up to two seconds old; an order may fail faster than that."""
    link = world.link()
    stale = LinkBook(world.db, world.box)
    driver = PartnerDriver(world.clock, stale, world.room.clients)
    world.play()
    with world.db.read(world.tenant) as session:
        planned = [plan for event in order_events(session) for plan in driver.plan(session, event)]
    assert {plan.destination.id for plan in planned} == {link.id}
    assert ORDER in {plan.interface for plan in planned}


def test_an_event_of_a_link_that_cannot_be_opened_waits_instead_of_vanishing(world: World) -> None:
    world.link()
    world.play()
    with world.db.session(world.tenant) as session:
        row = session.query(PartnerLink).one()
        row.inbound_keys, row.version = ["k1:00000000:AAAA"], 9
    world.room.book.refresh()
    driver = PartnerDriver(world.clock, world.room.book, world.room.clients)
    with world.db.read(world.tenant) as session, pytest.raises(LinkUnusable):
        [list(driver.plan(session, event)) for event in order_events(session)]


def test_an_order_of_something_that_is_no_partner_link_is_nobodys_business_here(world: World) -> None:
    world.link()
    seq = world.begin()
    with world.db.session(world.tenant) as session:
        session.query(ChargeOrder).one().link_id = "A-REGULATOR"
    world.reading(seq)
    world.deliver()
    assert world.deliveries(STARTED) == []


def order_events(session: Any) -> list[Any]:
    found: list[Any] = (
        session.query(DomainEvent).filter(DomainEvent.type.like("order.%")).order_by(DomainEvent.id).all()
    )
    return found


def test_a_partner_that_stops_a_charge_which_is_stopping_already_still_gets_its_result(world: World) -> None:
    """Its stop was answered with success, so it waits for a result, whoever asked first."""
    world.link()
    seq = world.begin()
    world.reading(seq)
    with world.db.session(world.tenant) as session:
        request_stop(session, world.context, world.order(seq).id, Origin.PLATFORM)
    assert (world.fake.stop_charge(seq).data or {})["SuccStat"] == 0
    world.record(seq, {RateClass.FLAT: "1.0000"})
    world.deliver()
    assert [body["StartChargeSeq"] for body in world.received(STOPPED)] == [seq]


def test_a_newer_bill_replaces_one_that_still_waits(world: World) -> None:
    """An outdated bill that arrives first would be confirmed, and the right one disputed (12.4)."""
    world.link()
    seq = world.play()
    world.worker.relay.run_batch()
    with world.db.session(world.tenant) as session:
        order = lock_order(session, world.order(seq).id)
        assert order is not None
        publish(session, world.context, order, "order.resettled")
    world.deliver()
    assert states(world, ORDER) == [State.SUPERSEDED, State.DELIVERED]
    assert len(world.received(ORDER)) == 1


@pytest.mark.parametrize("disabled", [Connector, Pile, Station])
def test_disabled_equipment_is_not_pushed_either(world: World, disabled: type[Any]) -> None:
    world.link()
    with world.db.session(world.tenant) as session:
        rows = session.query(disabled)
        for row in rows.filter_by(code=world.connector) if disabled is Connector else rows:
            row.enabled = False
    change_state(world, ConnectorState.IDLE)
    world.deliver()
    assert world.deliveries(STATUS) == []


def change_state(world: World, state: ConnectorState) -> None:
    with world.db.session(world.tenant) as session:
        connector = session.query(Connector).filter(Connector.code == world.connector).one()
        observe(session, connector, state, True, world.clock.now())


def test_a_failed_start_is_told_once(world: World) -> None:
    world.link()
    start(world)
    with world.db.session(world.tenant) as session:
        progress.start_not_delivered(session, world.context, world.order(SEQ).id, "offline")
    world.fake.books.open_page(SEQ, world.connector, "", [])
    world.deliver()
    assert [body["StartChargeSeqStat"] for body in world.received(STARTED)] == [4]
    assert world.received(ORDER) == world.received(STOPPED) == []
