"""Keys change while everything runs: no message fails, whichever side is early or late (`specs/tcec102.md` 3)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Lock, Semaphore
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import select

from charging_core.stations.model import Connector, ConnectorState
from charging_core.stations.status import observe
from partners.calling import call_in_turn
from partners.fake.caller import HubCaller
from partners.fake.httpd import Reply, Request
from partners.fake.wire import Keys
from partners.model import PartnerLink
from partners.specs import PartnerLinkSpec
from tests.partners.business.conftest import OUR_KEYS, THEIR_KEYS, World
from worker.api import State
from worker.model import DestinationState

STATUS = "notification_stationStatus"
NEXT_KEYS = {"operator_secret": "next-secret-001", "data_secret": "nxtDataKey000001", "data_iv": "nxtInitVector001"}
NEXT_KEYS |= {"sig_secret": "nxtSignKey000001"}


def secret(keys: dict[str, str]) -> dict[str, Any]:
    return {name: SecretStr(text) for name, text in keys.items()}


def scheduled(world: World, at: datetime) -> dict[str, Any]:
    """The link's keys with the partner's next set due at that instant."""
    return {"inbound": secret(OUR_KEYS), "outbound": secret(THEIR_KEYS) | {"next": secret(NEXT_KEYS) | {"from": at}}}


def push(world: World, number: int) -> None:
    """One more change of status, told at once."""
    state = ConnectorState.FAULT if number % 2 else ConnectorState.IDLE
    with world.db.session(world.tenant) as session:
        connector = session.query(Connector).filter(Connector.code == world.connector).one()
        observe(session, connector, state, False, world.clock.now())
    world.deliver()


@pytest.mark.parametrize("theirs_after_min", [3, 10, 17], ids=["they are early", "at the hour", "they are late"])
def test_no_push_fails_while_the_outbound_set_changes(world: World, theirs_after_min: int) -> None:
    world.link(keys=scheduled(world, world.clock.now() + timedelta(minutes=10)))
    for minute in range(20):
        if minute == theirs_after_min:
            world.fake.link.keys = Keys(**NEXT_KEYS)  # they keep one set only: the worst case
            world.fake.tokens.forget()
        push(world, minute)
        world.clock.advance(timedelta(minutes=1))
    rows = world.deliveries(STATUS)
    assert [(row.state, row.attempt_count) for row in rows] == [(State.DELIVERED, 1)] * 20
    with world.db.read(world.tenant) as session:
        assert not session.query(DestinationState).one().held


def test_after_the_switch_the_new_set_is_used_first(world: World) -> None:
    link = world.link(keys=scheduled(world, world.clock.now() + timedelta(minutes=10)))
    first = [one.keys.operator_secret for one in link.sets_at(world.clock.now())]
    after = [one.keys.operator_secret for one in link.sets_at(world.clock.now() + timedelta(minutes=10))]
    assert (first, after) == (["their-secret-01", "next-secret-001"], ["next-secret-001", "their-secret-01"])
    long_before = link.sets_at(world.clock.now() - timedelta(days=30))
    assert [one.keys.operator_secret for one in long_before] == ["their-secret-01"]


def test_a_set_that_both_sides_refuse_still_holds_the_link(world: World) -> None:
    world.link(keys=scheduled(world, world.clock.now()))
    world.fake.link.keys = Keys(**{name: text[::-1] for name, text in NEXT_KEYS.items()})
    push(world, 1)
    with world.db.read(world.tenant) as session:
        assert session.query(DestinationState).one().held


def test_no_call_of_theirs_fails_while_the_inbound_set_changes(world: World) -> None:
    world.link()
    outcomes = []
    for step in range(9):
        if step == 3:  # we issue a new set, the old one is good for an hour
            until = world.clock.now() + timedelta(hours=1)
            keys = {"inbound": secret(NEXT_KEYS), "inbound_previous": secret(OUR_KEYS) | {"until": until}}
            world.link(keys=keys | {"outbound": secret(THEIR_KEYS)})
        if step == 6:  # they take it into use
            world.fake.link.hub_keys = Keys(**NEXT_KEYS)
            world.fake.hub.forget_token()
        outcomes.append(world.fake.call("query_stations_info", {"PageNo": 1}).ret)
        world.clock.advance(timedelta(minutes=2))
    assert outcomes == [0] * 9


def test_the_replaced_inbound_set_ends_at_its_hour_without_anybody_touching_the_link(world: World) -> None:
    until = world.clock.now() + timedelta(hours=1)
    keys = {"inbound": secret(NEXT_KEYS), "inbound_previous": secret(OUR_KEYS) | {"until": until}}
    world.link(keys=keys | {"outbound": secret(THEIR_KEYS)})
    assert world.fake.call("query_token", {}).ret == 0
    world.clock.advance(timedelta(hours=1))
    world.room.book.refresh()
    assert world.fake.call("query_token", {}).ret == 4001


def test_the_next_set_is_sealed_and_the_diff_hides_it(world: World) -> None:
    link = world.link(keys=scheduled(world, world.clock.now()))
    assert link.outbound_next is not None
    assert "nxtSignKey000001" not in repr(link) + str(link.facts())
    with world.db.read(world.tenant) as session:
        stored = str(session.execute(select(PartnerLink.outbound_next_keys, PartnerLink.options)).all())
    assert "nxtSignKey000001" not in stored


# ------------------------------------------------------------------------------------------------------ environments


def both_environments(wanted: str) -> dict[str, Any]:
    test = {
        "outbound_base": "http://127.0.0.1:1/test",
        "keys": {"inbound": secret(OUR_KEYS), "outbound": secret(THEIR_KEYS)},
    }
    prod = {
        "outbound_base": "https://127.0.0.1:1/prod",
        "keys": {"inbound": secret(NEXT_KEYS), "outbound": secret(NEXT_KEYS)},
    }
    members = {"id": "two", "name": "双环境", "our_operator_id": "MA5TEST01", "their_operator_id": "MA5PARTN1"}
    return members | {"environment": wanted, "environments": {"test": test, "prod": prod}}


def test_test_and_production_have_their_own_addresses_and_keys(world: World) -> None:
    for wanted, secret_text in (("test", "their-secret-01"), ("prod", "next-secret-001")):
        link = world.save(PartnerLinkSpec.model_validate(both_environments(wanted)))
        assert link.outbound is not None
        assert (link.environment, link.outbound.keys.operator_secret) == (wanted, secret_text)
        assert link.outbound.base_url.endswith(wanted)


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": "staging"},
        {"environments": {"prod": {}}},
        {"environments": {"test": {"profile": "xiaoju"}}},
        {"environments": []},
    ],
)
def test_a_wrong_choice_of_environments_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PartnerLinkSpec.model_validate(both_environments("test") | changes)


def test_no_message_fails_while_both_sets_change_under_traffic(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four senders of ours and two of theirs go on without a pause; everybody changes at a moment of his own."""
    switch = world.clock.now() + timedelta(minutes=10)
    world.link(keys=scheduled(world, switch))
    turnstile = Lock()
    answer = world.fake.answer

    def one_by_one(request: Request) -> Reply:
        with turnstile:  # so that their set changes between two requests, not inside one
            return answer(request)

    monkeypatch.setattr(world.fake._server, "answer", one_by_one)
    progress = Semaphore(0)

    def pushing(_: int) -> list[int]:
        results = []
        for _number in range(24):
            clients = world.room.clients.in_turn(world.room.book.by_slug(world.tenant, "demo-partner"))
            body = {"ConnectorStatusInfo": {"ConnectorID": world.connector, "Status": 1}}
            results.append(call_in_turn(clients, STATUS, body).ret)
            progress.release()
        return results

    def asking(change_at: int) -> list[int | None]:
        config = world.fake.link.model_copy()
        caller, results = HubCaller(config, world.clock), []
        for number in range(24):
            if number == change_at:
                config.hub_keys = Keys(**NEXT_KEYS)
                caller.forget_token()
            results.append(caller.call("query_stations_info", {"PageNo": 1}).ret)
        return results

    def after(count: int) -> None:
        for _ in range(count):
            progress.acquire(timeout=20)

    # Our new inbound set is declared before anybody begins: a partner cannot use what it does not have.
    ours = {"inbound": secret(NEXT_KEYS), "inbound_previous": secret(OUR_KEYS) | {"until": switch + timedelta(days=1)}}
    world.link(keys=scheduled(world, switch) | ours)
    with ThreadPoolExecutor(6) as pool:
        pushes = [pool.submit(pushing, number) for number in range(4)]
        asked = [pool.submit(asking, change_at) for change_at in (8, 16)]
        after(20)
        with turnstile:  # they change early …
            world.fake.link.keys = Keys(**NEXT_KEYS)
            world.fake.tokens.forget()
        after(30)
        world.clock.advance(timedelta(minutes=10))  # … we at the hour
    assert [future.result() for future in pushes] == [[0] * 24] * 4
    assert [future.result() for future in asked] == [[0] * 24] * 2
    world.room.clients.close()
