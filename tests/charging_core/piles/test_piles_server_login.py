"""Login, refusal, replacement and the end of connections, over real TCP."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from charging_core.clock import CHINA, ManualClock
from charging_core.piles.errors import PortUnavailable, ServerState
from charging_core.piles.events import PileCurrent, PileOffline, TimeSynced
from charging_core.piles.ports import LoginDecision, PilePorts, PileProfile
from charging_core.piles.protocols.ykc.crc import CrcOrder
from charging_core.piles.server import PileServer
from tests.charging_core.piles.piles_support import (
    LOGIN,
    OTHER,
    PILE,
    START,
    House,
    MemoryCommands,
    MemoryDirectory,
    MemoryRoutes,
    MemorySink,
    MemoryTariffs,
    Pile,
    running,
    wait_for,
)

UNKNOWN_LOGIN = {
    "pile_kind": 1,
    "connector_count": 1,
    "protocol_version": 0x0F,
    "firmware": "V9",
    "network": 1,
    "sim": "0" * 20,
    "carrier": 4,
}


def counted(name: str, **labels: str) -> float:
    """A metric's value now; 0 before its first use."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_known_pile_is_let_in_and_given_the_time() -> None:
    clock = ManualClock(START + timedelta(hours=1))
    with running(clock=clock) as house, Pile(house.port) as pile:
        pile.raw(LOGIN)
        answer = pile.expect(0x02)
        assert (answer.sequence, dict(answer.fields)) == (b"\0\0", {"pile_code": PILE, "result": 0})
        assert pile.expect(0x56).fields["time"] == clock.now().astimezone(CHINA)
        (login,) = house.directory.logins
        assert (login.pile_code, login.protocol_version, login.firmware) == (PILE, "1.6", "V2.3.1")
        assert (login.current, login.connector_count, login.received_at) == (PileCurrent.DC, 2, clock.now())
        assert login.address.startswith("127.0.0.1:")
        wait_for(lambda: house.routes.here == {PILE}, "the route is announced")
        (state,) = house.server.links()
        assert (state.pile_code, state.connection_id, state.suspect) == (PILE, login.connection_id, False)


def test_the_time_is_answered_and_told() -> None:
    with running() as house, house.login() as pile:
        pile.send(0x55, {"time": START + timedelta(hours=-3)})
        wait_for(lambda: bool(house.sink.of(TimeSynced)), "the pile's time")
        assert house.sink.of(TimeSynced)[0].pile_time == START + timedelta(hours=-3)


@pytest.mark.parametrize("reason", ["unknown", "disabled"])
def test_a_refused_pile_is_told_and_cut_off(reason: str) -> None:
    with running() as house, Pile(house.port, code=OTHER) as pile:
        house.directory.known[OTHER] = LoginDecision(False, reason)
        before = counted("hub_piles_refused_logins_total", reason=reason)
        pile.send(0x01, UNKNOWN_LOGIN, b"\x12\x34")
        answer = pile.expect(0x02)
        assert (answer.sequence, answer.fields["result"]) == (b"\x12\x34", 1)
        pile.expect_close()
        assert counted("hub_piles_refused_logins_total", reason=reason) == before + 1
        assert house.directory.logins[0].firmware == "V9"
        assert house.sink.of(PileOffline) == []


def test_a_login_nobody_can_decide_is_cut_off_without_a_verdict() -> None:
    with running() as house, Pile(house.port) as pile:
        house.directory.failing = True
        pile.raw(LOGIN)
        pile.expect_close()


def test_before_the_login_heartbeats_are_answered_and_nothing_else() -> None:
    with running() as house, Pile(house.port) as pile:
        pile.heartbeat(b"\x01\x02")
        assert pile.expect(0x04).sequence == b"\x01\x02"
        pile.send(0x05, {"model_number": "0001"})
        pile.send(0x09)
        pile.expect_silence()
        assert house.sink.events == []


def test_a_repeated_login_is_answered_once_while_it_is_decided() -> None:
    with running() as house:
        gate = threading.Event()
        decide = house.directory.login

        def slowly(login: object) -> LoginDecision:
            assert gate.wait(10)
            return decide(login)  # type: ignore[arg-type]

        house.directory.login = slowly  # type: ignore[method-assign]
        with Pile(house.port) as pile:
            pile.raw(LOGIN, LOGIN)
            pile.expect_silence()
            gate.set()
            pile.expect(0x02)
            pile.expect(0x56)
            pile.expect_silence()
            assert len(house.directory.logins) == 1


def test_a_pile_may_log_in_again_on_its_connection() -> None:
    with running() as house, house.login() as pile:
        pile.raw(LOGIN)
        assert pile.expect(0x02).fields["result"] == 0
        pile.expect(0x56)
        pile.expect_silence()
        assert house.sink.of(PileOffline) == []


def test_an_ended_connection_makes_the_pile_offline() -> None:
    with running() as house:
        pile = house.login()
        pile.close()
        wait_for(lambda: bool(house.sink.of(PileOffline)), "the pile goes off-line")
        (offline,) = house.sink.of(PileOffline)
        assert (offline.pile_code, offline.connection_id) == (PILE, house.directory.logins[0].connection_id)
        wait_for(lambda: house.routes.here == set(), "the route is withdrawn")
        assert house.server.links() == []


def test_a_newer_connection_replaces_the_older_whose_end_is_no_news() -> None:
    with running() as house, house.login() as old, house.login() as new:
        old.expect_close()
        new.expect_silence()
        assert house.sink.of(PileOffline) == []
        assert [state.connection_id for state in house.server.links()] == [house.directory.logins[1].connection_id]
        new.close()
        wait_for(lambda: bool(house.sink.of(PileOffline)), "the newer one's end is news")
        assert house.sink.of(PileOffline)[0].connection_id == house.directory.logins[1].connection_id


def test_a_link_that_ends_while_its_login_is_decided_leaves_the_pile_offline() -> None:
    with running() as house:
        gate = threading.Event()
        decide = house.directory.login

        def slowly(login: object) -> LoginDecision:
            assert gate.wait(10)
            return decide(login)  # type: ignore[arg-type]

        house.directory.login = slowly  # type: ignore[method-assign]
        before = counted("hub_piles_connections")
        with Pile(house.port) as pile:
            pile.raw(LOGIN)
            pile.expect_silence()
        wait_for(lambda: counted("hub_piles_connections") == before, "the close is noticed")
        gate.set()
        wait_for(lambda: bool(house.sink.of(PileOffline)), "the accepted pile is taken back")
        assert house.server.links() == []


def test_another_pile_on_the_same_connection_is_ignored() -> None:
    with running() as house, house.login() as pile:
        house.directory.known[OTHER] = LoginDecision(True)
        pile.code = OTHER
        pile.send(0x01, UNKNOWN_LOGIN)
        pile.heartbeat()
        pile.code = PILE
        pile.expect_silence()
        assert len(house.directory.logins) == 1


def test_a_concentrator_carries_several_piles_by_setting() -> None:
    with running(concentrators=True) as house:
        house.directory.known[OTHER] = LoginDecision(True)
        with house.login() as pile:
            pile.code = OTHER
            pile.send(0x01, UNKNOWN_LOGIN)
            assert dict(pile.expect(0x02).fields) == {"pile_code": OTHER, "result": 0}
            assert pile.expect(0x56).fields["pile_code"] == OTHER
            pile.expect_silence()
            assert {state.pile_code for state in house.server.links()} == {PILE, OTHER}
        wait_for(lambda: len(house.sink.of(PileOffline)) == 2, "both go off-line")


def test_reversed_crc_is_mirrored() -> None:
    with running() as house, house.login(order=CrcOrder.REVERSED) as pile:
        pile.heartbeat()
        assert pile.expect(0x04).crc_order is CrcOrder.REVERSED


def test_a_strict_profile_refuses_the_reversed_order() -> None:
    with running() as house:
        house.directory.known[PILE] = LoginDecision(True, profile=PileProfile({"strict_crc": True}))
        with Pile(house.port, CrcOrder.REVERSED) as pile:
            pile.raw(pile.mirrored(LOGIN))
            assert pile.expect(0x02).fields["result"] == 1
            pile.expect_close()
        wait_for(lambda: bool(house.sink.of(PileOffline)), "the pile is not left online")
        with house.login() as sound:
            sound.order = CrcOrder.REVERSED
            sound.heartbeat()
            sound.order = CrcOrder.STANDARD
            sound.expect_silence()


def test_a_strict_server_sees_garbage_in_the_reversed_order() -> None:
    before = counted("hub_piles_crc_errors_total")
    with running(strict_crc=True) as house, Pile(house.port) as pile:
        pile.raw(pile.mirrored(LOGIN), b"\0" * 8)
        pile.expect_silence()
        assert house.directory.logins == []
        assert counted("hub_piles_crc_errors_total") == before + 1


# -- silence


def test_a_silent_link_is_suspected_then_closed() -> None:
    with running(suspect_s=0.1, dead_s=1.5) as house, house.login() as pile:
        wait_for(lambda: any(state.suspect for state in house.server.links()), "suspicion")
        pile.heartbeat()
        pile.expect(0x04)
        wait_for(lambda: not any(state.suspect for state in house.server.links()), "the heartbeat clears it")
        pile.expect_close()
        wait_for(lambda: bool(house.sink.of(PileOffline)), "the pile goes off-line")
        assert house.sink.of(PileOffline)[0].reason == "silent"


def test_a_socket_that_never_logs_in_is_closed_whatever_it_sends() -> None:
    with running(login_deadline_s=0.8) as house, Pile(house.port) as pile:
        pile.heartbeat()
        pile.expect(0x04)
        pile.expect_close()


def test_clocks_are_set_again_when_due() -> None:
    with running(time_sync_s=0.1) as house, house.login() as pile:
        pile.expect(0x56)
        pile.expect(0x56)


def test_too_many_connections_are_turned_away() -> None:
    with running(max_connections=1) as house, house.login() as first:
        with Pile(house.port) as second:
            second.expect_close()
        first.expect_silence()


# -- start and stop


def make_server(port: int = 0) -> PileServer:
    ports = PilePorts(MemoryDirectory(), MemorySink(), MemoryCommands(), MemoryTariffs(), MemoryRoutes())
    return PileServer("127.0.0.1", port, ports, ManualClock(START))


def test_a_busy_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortUnavailable, match=str(port)):
            make_server(port).start()


def test_a_server_serves_once() -> None:
    server = make_server()
    assert server.stop()
    server.start()
    assert server.alive()
    with pytest.raises(ServerState):
        server.start()
    assert server.stop()
    assert not server.alive()
    assert server.stop()


def test_stopping_closes_links_and_tells() -> None:
    house = House()
    with house.login() as pile:
        assert house.server.stop(10)
        pile.expect_close()
    assert [event.reason for event in house.sink.of(PileOffline)] == ["server_stopped"]
    assert house.routes.here == set()


def test_stopping_does_not_wait_for_a_database_that_hangs() -> None:
    house = House()
    with house.login() as pile:
        house.sink.free.clear()
        pile.send(0x55, {"time": None})
        assert house.sink.entered.wait(10)
        assert not house.server.stop(0.2)
        pile.expect_close()
    house.sink.free.set()


def test_redis_being_away_costs_only_the_routes() -> None:
    with running(route_refresh_s=0.1) as house:
        house.routes.failing = True
        with house.login() as pile:
            pile.expect_silence()
            house.routes.failing = False
            wait_for(lambda: house.routes.here == {PILE}, "the next refresh announces the pile")
