"""The open points of specs/ykc.md 16 as settings of a pile's model: each turned, and the default that leaves frames alone."""

from __future__ import annotations

from typing import Any

import pytest

from charging_core.piles.events import TradeRecord
from charging_core.piles.ports import LoginDecision, PileProfile
from charging_core.piles.protocols.ykc.codec import Frame, decode
from charging_core.piles.protocols.ykc.describe import describe
from charging_core.piles.protocols.ykc.dialect import TEXTBOOK, Dialect, read_options
from charging_core.piles.protocols.ykc.errors import BadOption
from tests.charging_core.piles.piles_support import LOGIN, PILE, RECORD, Pile, frame_of, make_tariff, running, wait_for

PREFIX = bytes.fromhex("31000199000017012503140950000001" + PILE + "01")


def record(card: str) -> Frame:
    return decode(frame_of(0x3B, RECORD[6:-10] + bytes.fromhex(card)))


def test_without_options_a_frame_stays_as_it_is() -> None:
    frame = record("E14C0A5400000000")
    assert read_options({}) == TEXTBOOK
    assert TEXTBOOK.textbook(frame) is frame


def test_cards_may_come_last_byte_first() -> None:
    turned = Dialect(cards_reversed=True).textbook(record("540A4CE100000000"))
    assert turned.fields["physical_card"] == "00000000E14C0A54"
    request = decode(frame_of(0x31, bytes.fromhex(PILE + "01" + "01" + "00" + "540A4CE100000000") + bytes(33)))
    assert Dialect(cards_reversed=True).textbook(request).fields["account"] == "00000000E14C0A54"


def test_the_vin_of_the_handshake_may_be_reversed() -> None:
    body = PREFIX + bytes(24) + b"71000000000TSETL1" + bytes(8)
    turned = Dialect(handshake_vin_reversed=True).textbook(decode(frame_of(0x15, body)))
    assert turned.fields["vin"] == "1LTEST00000000017"
    assert Dialect(handshake_vin_reversed=True).textbook(record("00" * 8)).fields["vin"] == "LTEST000000000017"


def test_two_bit_groups_may_be_counted_from_the_highest() -> None:
    # fault of 0x1D: byte 1 "insulation" first, byte 2 "battery temperature" first; 01 = fault
    frame = decode(frame_of(0x1D, PREFIX + bytes((0b11000000, 0b01000000, 0b00010000, 0))))
    turned = Dialect(pairs_highest_first=True).textbook(frame)
    assert turned.fields["reason"] == 0b00000011
    (fault,) = [field for field in describe(turned)["fields"] if field["name"] == "fault"]
    assert [bits["name"] for bits in fault["bits"] if bits["value"] == 1] == ["insulation", "hv_relay"]


@pytest.mark.parametrize(
    "options", [{"card_reversed": True}, {"cards_reversed": "yes"}, {"qr_ok": 2}, {"qr_ok": True}, {"strict_crc": 1}]
)
def test_options_nobody_can_mean_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadOption):
        read_options(options)


def test_a_piles_options_reach_its_session() -> None:
    with running() as house:
        options = {"cards_reversed": True, "verify_with_own_number": True}
        house.directory.known[PILE] = LoginDecision(True, profile=PileProfile(options), tariff=make_tariff("0007"))
        house.tariffs.tariffs[PILE] = make_tariff("0007")
        with house.login() as pile:
            pile.send(0x05, {"model_number": "0001"})
            assert pile.expect(0x06).fields["model_number"] == "0007"
            pile.raw(frame_of(0x3B, RECORD[6:-10] + bytes.fromhex("540A4CE100000000")))
            pile.expect(0x40)
        (kept,) = house.sink.of(TradeRecord)
        assert kept.card == "00000000E14C0A54"


def test_by_default_the_piles_own_number_is_echoed() -> None:
    with running() as house, house.login() as pile:
        pile.send(0x05, {"model_number": "00AB"})
        assert pile.expect(0x06).fields["model_number"] == "00AB"


def test_options_nobody_can_read_do_not_keep_a_pile_out() -> None:
    with running() as house:
        house.directory.known[PILE] = LoginDecision(True, profile=PileProfile({"no_such": 1}))
        with house.login() as pile:
            pile.expect_silence()


def test_a_record_nobody_can_read_is_refused_only_where_that_is_set() -> None:
    with running() as house:
        house.directory.known[PILE] = LoginDecision(True, profile=PileProfile({"reject_undecodable_records": True}))
        with house.login() as pile:
            pile.raw(frame_of(0x3B, bytes.fromhex("31000199000017012503140950000001")))
            answer = pile.expect(0x40).fields
            assert (answer["trade_number"], answer["result"]) == ("31000199000017012503140950000001", 1)
    with running() as house, house.login() as pile:
        pile.raw(frame_of(0x3B, bytes.fromhex("31000199000017012503140950000001")))
        pile.expect_silence()


def test_a_new_connection_reads_the_options_anew() -> None:
    with running() as house:
        with house.login() as pile:
            pile.expect_silence()
        house.directory.known[PILE] = LoginDecision(True, profile=PileProfile({"strict_crc": True}))
        wait_for(lambda: not house.server.links(), "the first link ends")
        with Pile(house.port) as pile:
            pile.raw(Pile.mirrored(LOGIN))
            assert pile.receive() is not None
            pile.expect_close()
