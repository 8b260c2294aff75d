"""Rules of the conversation that the text of the protocol leaves to experience (specs/ykc.md 1.1, 1.3, 5, 6; DECISIONS 16)."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from charging_core.piles.events import StopAnswered
from charging_core.piles.ports import CommandKind, CommandState, PendingCommand
from charging_core.piles.protocols.ykc.crc import crc_bytes
from charging_core.piles.settings import PileServerSettings
from tests.charging_core.piles.piles_support import (
    LOGIN,
    OTHER,
    PILE,
    RECORD,
    TRADE,
    House,
    Pile,
    running,
    wait_for,
)

ODD = b"\xce\x04"
"""As an official sample writes a sequence: neither byte order makes it small."""


def stop(house: House, id_: str, connector: int, pile: str = PILE) -> None:
    expires_at = house.clock.now() + timedelta(minutes=1)
    house.commands.add(PendingCommand(id_, "o", CommandKind.STOP, pile, connector, TRADE, None, expires_at))
    house.server.wake(pile)


def test_every_reply_echoes_the_sequence_verbatim() -> None:
    with running() as house, Pile(house.port) as pile:
        pile.send(0x01, {"pile_kind": 0, "connector_count": 2, "protocol_version": 0x10, "firmware": "V1",
                         "network": 0, "sim": "0" * 20, "carrier": 4}, ODD)  # fmt: skip
        assert pile.expect(0x02).sequence == ODD
        pile.expect(0x56)
        pile.heartbeat(ODD)
        assert pile.expect(0x04).sequence == ODD
        for kind, fields, answer in ((0x05, {"model_number": "0000"}, 0x06), (0x09, {}, 0x0A)):
            pile.send(kind, fields, ODD)
            assert pile.expect(answer).sequence == ODD
        pile.raw(_numbered(RECORD, ODD))
        assert pile.expect(0x40).sequence == ODD


def _numbered(frame: bytes, sequence: bytes) -> bytes:
    covered = sequence + frame[4:-2]
    return frame[:2] + covered + crc_bytes(covered)


def test_our_own_frames_are_counted_from_zero_on_every_connection() -> None:
    with running() as house:
        for _ in range(2):
            with Pile(house.port) as pile:
                pile.raw(LOGIN)
                pile.expect(0x02)
                assert pile.expect(0x56).sequence == b"\x00\x00"
                stop(house, f"s{time.monotonic_ns()}", 1)
                assert pile.expect(0x36).sequence == b"\x01\x00"


def test_an_answer_is_matched_by_type_pile_and_connector_never_by_sequence() -> None:
    with running() as house, house.login() as pile:
        stop(house, "first", 1)
        first = pile.expect(0x36)
        stop(house, "second", 2)
        second = pile.expect(0x36)
        assert (first.fields["connector_no"], second.fields["connector_no"]) == ("01", "02")
        # the answer for connector 2 carries the number of the command to connector 1, as some firmware does
        pile.send(0x35, {"connector_no": "02", "result": 1, "reason": 0}, first.sequence)
        wait_for(lambda: house.commands.states["second"] is CommandState.ACKNOWLEDGED, "the second is answered")
        assert house.commands.states["first"] is CommandState.SENT
        # an answer of another type acknowledges nothing, whatever its number
        pile.send(0x57, {"result": 1}, first.sequence)
        pile.send(0x35, {"connector_no": "01", "result": 0, "reason": 2}, b"\0\0")
        wait_for(lambda: house.commands.states["first"] is CommandState.FAILED, "the first is answered")
        wait_for(lambda: len(house.sink.of(StopAnswered)) == 2, "both are told")


def test_the_gap_between_unsolicited_frames_is_at_least_200_ms_by_default() -> None:
    settings = PileServerSettings()
    assert settings.downlink_gap_s >= 0.2
    with running(downlink_gap_s=settings.downlink_gap_s) as house, house.login() as pile:
        stop(house, "first", 1)
        stop(house, "second", 2)
        pile.expect(0x36)
        before = time.monotonic()
        pile.expect(0x36)
        assert time.monotonic() - before >= 0.19  # the first may have been read a little late


@pytest.mark.parametrize("connector", ["01", "02", "00", "10"])
def test_heartbeats_per_connector_and_per_pile_are_both_answered(connector: str) -> None:
    with running() as house, house.login() as pile:
        pile.send(0x03, {"connector_no": connector, "connector_state": 1})
        answer = pile.expect(0x04)
        assert (answer.fields["connector_no"], answer.fields["answer"]) == (connector, 0)


def test_any_connectors_heartbeat_proves_the_link() -> None:
    with running(suspect_s=0.1, dead_s=30) as house, house.login() as pile:
        wait_for(lambda: any(link.suspect for link in house.server.links()), "suspicion")
        pile.send(0x03, {"connector_no": "02", "connector_state": 0})
        wait_for(lambda: not any(link.suspect for link in house.server.links()), "the heartbeat clears it")


def test_a_link_is_suspect_after_30_s_and_closed_after_90_s_and_clocks_are_set_daily() -> None:
    settings = PileServerSettings()
    assert (settings.suspect_s, settings.dead_s, settings.time_sync_s) == (30.0, 90.0, 86_400.0)
    assert not settings.concentrators


def test_a_command_goes_to_its_own_pile_of_a_concentrator() -> None:
    with running(concentrators=True) as house, house.login() as pile:
        house.directory.known[OTHER] = house.directory.known[PILE]
        pile.code = OTHER
        pile.raw(LOGIN[:6] + _body_of(OTHER))
        assert pile.expect(0x02).fields["pile_code"] == OTHER
        assert pile.expect(0x56).fields["pile_code"] == OTHER
        stop(house, "other", 1, OTHER)
        assert pile.expect(0x36).fields["pile_code"] == OTHER
        pile.code = PILE
        pile.send(0x35, {"connector_no": "01", "result": 1, "reason": 0})
        pile.expect_silence()
        assert house.commands.states["other"] is CommandState.SENT
        pile.code = OTHER
        pile.send(0x35, {"connector_no": "01", "result": 1, "reason": 0})
        wait_for(lambda: house.commands.states["other"] is CommandState.ACKNOWLEDGED, "the right pile has answered")


def _body_of(code: str) -> bytes:
    covered = LOGIN[2:6] + bytes.fromhex(code) + LOGIN[13:-2]
    return covered[4:] + crc_bytes(covered)
