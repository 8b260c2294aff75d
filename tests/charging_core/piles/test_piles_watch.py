"""Watching a pile: its frames both ways, in order, only while somebody looks, and of no other pile."""

from __future__ import annotations

import threading
from datetime import timedelta

from charging_core.piles.ports import CommandKind, PendingCommand
from charging_core.piles.protocols.ykc.codec import decode
from charging_core.piles.watch import MOST_WATCHED, RING, FrameWatch
from tests.charging_core.piles.piles_support import LOGIN, OTHER, PILE, RECORD, START, Pile, frame_of, running
from tests.charging_core.piles.test_piles_device_frames import UPDATE


def test_a_watched_pile_shows_its_frames_in_both_directions() -> None:
    with running() as house:
        assert house.server.watch.watch(PILE)
        with house.login() as pile:
            pile.heartbeat()
            pile.expect(0x04)
            pile.raw(RECORD)
            pile.expect(0x40)
            seen = house.server.watch.read(PILE, 0)
        assert [(frame.up, decode(frame.raw).type) for frame in seen] == [
            (True, 0x01), (False, 0x02), (False, 0x56), (True, 0x03), (False, 0x04), (True, 0x3B), (False, 0x40)
        ]  # fmt: skip
        assert seen[0].raw == LOGIN
        assert house.server.watch.read(PILE, seen[-2].number) == seen[-1:]
        assert house.server.watch.read(OTHER, 0) == []


def test_a_login_that_is_refused_and_a_bad_frame_are_seen_too() -> None:
    with running() as house:
        house.server.watch.watch(PILE)
        house.directory.known.clear()
        with Pile(house.port) as pile:
            pile.raw(LOGIN)
            pile.expect(0x02)
        assert [frame.up for frame in house.server.watch.read(PILE, 0)] == [True, False]
    with running() as house, house.login() as pile:
        house.server.watch.watch(PILE)
        broken = frame_of(0x03, bytes(9))[:-1] + b"\x99"
        pile.raw(broken)
        pile.expect_silence()
        assert house.server.watch.read(PILE, 0)[0].raw == broken


def test_nothing_is_kept_of_a_pile_that_nobody_watches() -> None:
    with running() as house, house.login() as pile:
        assert not house.server.watch.active
        pile.expect_silence()
        house.server.watch.watch(PILE, lasts_s=0)
        pile.expect_silence()
        pile.expect_silence()
        assert not house.server.watch.active
        assert house.server.watch.read(PILE, 0) == []


def test_the_last_frames_are_kept_and_so_many_piles_at_once() -> None:
    watch = FrameWatch()
    watch.watch(PILE)
    for number in range(RING + 20):
        watch.note((PILE, OTHER), number.to_bytes(2, "big"), START, up=True)
    kept = watch.read(PILE, 0)
    assert (len(kept), kept[0].raw, kept[-1].raw) == (RING, (20).to_bytes(2, "big"), (RING + 19).to_bytes(2, "big"))
    assert [frame.number for frame in kept] == sorted(frame.number for frame in kept)
    assert all(watch.watch(f"{number:014d}") for number in range(MOST_WATCHED - 1))
    assert not watch.watch(OTHER)
    assert watch.watch(PILE)


def test_a_reader_is_woken_by_the_next_frame() -> None:
    watch = FrameWatch()
    watch.watch(PILE)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.extend(frame.raw for frame in watch.read_all(0, 10.0)))
    reader.start()
    watch.note((PILE,), b"frame", START, up=True)
    reader.join(5)
    assert found == [b"frame"]
    assert watch.read(PILE, watch.read(PILE, 0)[0].number, wait_s=0.01) == []


def test_the_password_of_a_firmware_server_is_not_shown() -> None:
    with running() as house, house.login() as pile:
        house.server.watch.watch(PILE)
        expires_at = house.clock.now() + timedelta(minutes=1)
        house.commands.add(PendingCommand("u", None, CommandKind.UPDATE, PILE, 0, None, None, expires_at, UPDATE))
        assert pile.expect(0x94).fields["password"] == UPDATE["password"]
        (seen,) = house.server.watch.read(PILE, 0, 5.0)
        assert decode(seen.raw).fields["password"] == "***"
