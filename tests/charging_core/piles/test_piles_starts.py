"""Cards and vehicles at a real pile server on a real database, byte by byte: from the card until the account is debited."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from decimal import Decimal

import pytest
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.members.catalog import CardSpec
from charging_core.orders.model import Origin
from charging_core.orders.starts.facts import StartAsked, StartDecision, StartRefusal
from charging_core.orders.starts.funds import top_up
from charging_core.orders.starts.groups import ParallelRequest
from charging_core.piles.model import PileCard, PileCommand, PileFrame
from charging_core.piles.protocols.ykc.codec import decode
from charging_core.piles.protocols.ykc.crc import CrcOrder
from charging_core.piles.protocols.ykc.private import without_pin
from charging_core.piles.store.cards import CardDesk
from charging_core.piles.store.device import Asked
from charging_core.piles.store.starts import TableStartDesk, start_together
from tests.charging_core.members.members_support import (
    NUMBER,
    PHYSICAL,
    PIN,
    SECOND_PHYSICAL,
    VIN,
    account,
    enrol,
    note,
)
from tests.charging_core.piles.piles_support import DEADLINE_S, Pile, frame_of, wait_for
from tests.charging_core.piles.starts_support import Yard, yard_of

ZERO_CARD = bytes(8)


@pytest.fixture
def yard(db: Database, manual_clock: ManualClock) -> Iterator[Yard]:
    with yard_of(db, manual_clock) as yard:
        yield yard


def test_from_the_card_to_the_debit(yard: Yard) -> None:
    with yard.login() as pile:
        pile.raw(frame_of(0x31, yard.request(), b"\x05\x01"))
        answer = pile.expect(0x32)
        body = pile.last_body()
        trade = body[:16]
        assert answer.sequence == b"\x05\x01"
        assert trade.hex().startswith(yard.code + "01")
        # logical card, 100.00 yuan, accepted, no reason
        assert (
            body[16:]
            == yard.code_bytes + b"\x01" + bytes.fromhex(NUMBER) + (10_000).to_bytes(4, "little") + b"\x01\x00"
        )
        assert yard.state() == "starting"  # on disk before the answer left
        pile.raw(yard.sample(trade))
        wait_for(lambda: yard.state() == "charging", "the charge is seen")
        for _ in range(2):
            pile.raw(yard.record(trade))
            assert pile.expect(0x40).fields == {"trade_number": trade.hex(), "result": 0}
    order = yard.orders()[0]
    assert (order.state, order.total_fee, order.review) == ("settled", Decimal("11.00"), None)
    assert account(yard.db, yard.tenant) == (Decimal(89), [("opening", Decimal(100)), ("debit", Decimal(-11))])
    assert yard.commands() == []  # nothing was ever sent besides answers
    with yard.db.read(yard.tenant) as session:
        kept = list(session.scalars(select(PileFrame.frame_type).where(PileFrame.order_id == order.id)))
    assert {0x32, 0x13, 0x3B, 0x40} <= set(kept)


def test_a_vehicle_is_read_backwards_and_fillers_are_none(yard: Yard) -> None:
    with yard.login() as pile:
        for vin, reason in (
            (b"0" * 17, 9),
            (bytes(17), 9),
            (b"\xff" * 17, 9),
            (VIN.encode(), 9),
            (VIN[::-1].encode(), 0),
        ):
            pile.raw(frame_of(0x31, yard.request(mode=3, card=ZERO_CARD, vin=vin)))
            answer = pile.expect(0x32).fields
            assert (answer["result"], answer["reason"]) == (int(reason == 0), reason)
            assert answer["logical_card"] == "0" * 16
    assert yard.orders()[0].vin == VIN


def test_an_account_is_nobodys_and_a_refusal_names_no_trade(yard: Yard) -> None:
    with yard.login() as pile:
        pile.raw(frame_of(0x31, yard.request(mode=2)))
        assert (pile.expect(0x32).fields["reason"], pile.last_body()[:16]) == (1, bytes(16))
    assert yard.orders() == []


def test_both_codings_of_the_password_and_no_trace_of_it(yard: Yard) -> None:
    digest = hashlib.md5(PIN.encode()).digest()
    half = digest.hex()[8:24].encode()
    card = bytes.fromhex(SECOND_PHYSICAL)
    with yard.login() as pile:
        for password, reason in ((b"", 7), (b"wrong", 7), (half, 0), (digest, 0)):
            pile.raw(frame_of(0x31, yard.request(card=card, password=password)))
            assert pile.expect(0x32).fields["reason"] == reason
        pile.expect_silence()
    yard.server.stop(DEADLINE_S)  # all that waited is stored
    with yard.db.read(yard.tenant) as session:
        kept = list(session.scalars(select(PileFrame.raw).where(PileFrame.frame_type == 0x31)))
    assert kept
    assert not [raw for raw in kept if digest.hex() in raw.lower() or half.hex() in raw.lower()]


def test_a_pile_that_sends_cards_backwards(yard: Yard) -> None:
    yard.options(cards_reversed=True)
    with yard.login() as pile:
        pile.raw(frame_of(0x31, yard.request(card=bytes.fromhex(PHYSICAL)[::-1])))
        assert pile.expect(0x32).fields["result"] == 1


def test_a_pile_model_without_cards(yard: Yard) -> None:
    yard.options(cards=False)
    with yard.login() as pile:
        pile.raw(frame_of(0x31, yard.request()))
        assert pile.expect(0x32).fields["reason"] == 0x0B


def test_what_cannot_be_decided_is_refused(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_self: TableStartDesk, _asked: StartAsked) -> StartDecision:
        raise ConnectionError("the database is away")

    monkeypatch.setattr(TableStartDesk, "decide", fails)
    with yard.login() as pile:
        pile.raw(frame_of(0x31, yard.request()))
        assert (pile.expect(0x32).fields["result"], pile.last_body()[-1]) == (0, 5)


def test_a_new_balance_is_told_during_the_charge(yard: Yard) -> None:
    with yard.login() as pile:
        pile.raw(frame_of(0x31, yard.request()))
        trade = bytes.fromhex(pile.expect(0x32).fields["trade_number"])
        pile.raw(yard.sample(trade))
        wait_for(lambda: yard.state() == "charging", "the charge is seen")
        with yard.db.session(yard.tenant) as session:
            top_up(session, yard.context, yard.member, Decimal("50.00"), note())
        pile.expect(0x42)
        assert pile.last_body() == yard.code_bytes + b"\x01" + bytes.fromhex(PHYSICAL) + (15_000).to_bytes(4, "little")
        pile.raw(frame_of(0x41, yard.code_bytes + bytes.fromhex(PHYSICAL) + b"\x00"))
        wait_for(lambda: yard.commands() == [("balance", "acknowledged")], "the answer is stored")


# -- parallel charging

GROUP = bytes.fromhex("260302080000")


def test_a_parallel_charge_asked_by_the_pile(yard: Yard) -> None:
    with yard.login() as pile:
        for connector, role in ((1, 0), (2, 1)):
            pile.raw(frame_of(0xA1, yard.request(connector, tail=bytes((role,)) + GROUP)))
            answer = pile.expect(0xA2).fields
            assert (answer["result"], answer["balance"], pile.last_body()[-6:]) == (1, Decimal(50), GROUP)
        one, two = yard.orders()
        assert one.group_id == two.group_id
        with yard.db.session(yard.tenant) as session:
            top_up(session, yard.context, yard.member, Decimal(50), note())
        for connector in (1, 2):
            assert (pile.expect(0x42).fields["balance"], pile.last_body()[7]) == (Decimal(75), connector)
        for result in (0, 2):
            pile.raw(frame_of(0x41, yard.code_bytes + bytes.fromhex(PHYSICAL) + bytes((result,))))
        answered = [("balance", "acknowledged"), ("balance", "failed")]
        wait_for(lambda: yard.commands() == answered, "each answer finds its own")


def test_a_parallel_charge_started_from_outside(yard: Yard) -> None:
    wish = ParallelRequest(
        connectors=yard.seeded.connectors, origin=Origin.APP, link_id="app", request_id="p", limit_yuan=Decimal(60)
    )
    with yard.login() as pile:
        with yard.db.session(yard.tenant) as session:
            start_together(session, yard.context, wish)
        bodies = []
        for _ in range(2):
            pile.expect(0xA4)
            bodies.append(pile.last_body())
        assert [body[23] for body in bodies] == [1, 2]
        assert {body[-6:] for body in bodies} == {GROUP}
        assert {body[24:44] for body in bodies} == {bytes(16) + (3000).to_bytes(4, "little")}
        for role, body in enumerate(bodies):
            pile.raw(frame_of(0xA3, body[:24] + b"\x01\x00" + bytes((role,)) + GROUP))
        wait_for(lambda: [order.state for order in yard.orders()] == ["accepted"] * 2, "both answers are stored")
    assert yard.commands() == [("start", "acknowledged")] * 2


# -- the card list


def cards(count: int) -> tuple[CardSpec, ...]:
    return tuple(CardSpec(f"{n:016d}", f"{n:014d}AA", offline=True) for n in range(1, count + 1))


def sync(yard: Yard, *, whole: bool = False) -> list[PileCommand]:
    with yard.db.session(yard.tenant) as session:
        return CardDesk(yard.clock, yard.wakes).sync(session, yard.code, Asked("cli:li", "开站"), whole=whole)


def on_pile(yard: Yard) -> dict[str, tuple[bool, bool | None, str | None]]:
    with yard.db.read(yard.tenant) as session:
        return {row.physical: (row.wanted, row.present, row.problem) for row in session.scalars(select(PileCard))}


def settled(yard: Yard) -> bool:
    return all(state == "acknowledged" for _, state in yard.commands())


def test_the_card_list_is_brought_to_a_pile_in_parts(yard: Yard) -> None:
    enrol(yard.db, yard.clock, yard.tenant, cards=cards(25))
    with yard.login() as pile:
        sync(yard)
        for count in (11, 11, 3):
            pile.expect(0x44)
            body = pile.last_body()
            assert (body[7], len(body)) == (count, 8 + 16 * count)
            assert body[8:24] == bytes.fromhex(on_wire(yard, body))
            pile.raw(frame_of(0x43, yard.code_bytes + b"\x01\x00"))
        wait_for(lambda: all(row == (True, True, None) for row in on_pile(yard).values()), "all are confirmed")
        wait_for(lambda: settled(yard), "all answers are stored")
        assert len(on_pile(yard)) == 25
        assert sync(yard) == []
        # One card is lost, one belongs to nobody any more: both leave the list.
        enrol(yard.db, yard.clock, yard.tenant, cards=cards(23))
        sync(yard)
        pile.expect(0x46)
        body = pile.last_body()
        gone = sorted((body[8:16], body[16:24]))
        assert (body[7], len(body)) == (2, 24)
        cleared = b"".join(card + result for card, result in zip(gone, (b"\x01\x00", b"\x00\x01"), strict=True))
        pile.raw(frame_of(0x45, yard.code_bytes + cleared))
        wait_for(lambda: yard.commands()[-1] == ("clear_cards", "failed"), "the answer is stored")
        kept = gone[1].hex().upper()
        wait_for(lambda: on_pile(yard)[kept] == (False, True, "the pile did not clear it"), "and why")
        listed = on_pile(yard)
    assert listed[gone[0].hex().upper()] == (False, False, None)


def on_wire(yard: Yard, body: bytes) -> str:
    """Number and physical number of the first card of a 0x44, as they were declared."""
    physical = body[16:24].hex().upper()
    with yard.db.read(yard.tenant) as session:
        return session.scalars(select(PileCard.number).where(PileCard.physical == physical)).one() + physical


def test_a_pile_is_asked_which_cards_it_has(yard: Yard) -> None:
    enrol(yard.db, yard.clock, yard.tenant, cards=cards(24))
    with yard.login() as pile:
        with yard.db.session(yard.tenant) as session:
            CardDesk(yard.clock, yard.wakes).query(session, yard.code, Asked("cli:li"))
        for count in (23, 1):
            pile.expect(0x48)
            body = pile.last_body()
            assert (body[7], len(body)) == (count, 8 + 8 * count)
            told = [body[8 + 8 * n : 16 + 8 * n] + bytes((n % 2,)) for n in range(count)]
            pile.raw(frame_of(0x47, yard.code_bytes + b"".join(told)))
        wait_for(lambda: settled(yard), "all answers are stored")
        wait_for(lambda: None not in {present for _, present, _ in on_pile(yard).values()}, "all are told")
    assert sum(present is True for _, present, _ in on_pile(yard).values()) == 11


def test_a_full_pile_says_so_and_is_not_asked_again(yard: Yard) -> None:
    enrol(yard.db, yard.clock, yard.tenant, cards=cards(2))
    with yard.login() as pile:
        sync(yard)
        pile.expect(0x44)
        pile.raw(frame_of(0x43, yard.code_bytes + b"\x00\x02"))
        wait_for(lambda: yard.commands() == [("sync_cards", "failed")], "the answer is stored")
        wait_for(lambda: {problem for _, _, problem in on_pile(yard).values()} == {"no space on the pile"}, "and why")
        pile.expect_silence()


def test_the_reasons_on_the_wire_are_those_of_the_text() -> None:
    from charging_core.piles.protocols.ykc.cards import _REASONS
    from charging_core.piles.protocols.ykc.tables.charge import _START_REFUSED

    words = {reason: _START_REFUSED[number][1] for reason, number in _REASONS.items()}
    assert words == {
        StartRefusal.UNKNOWN_ACCOUNT: "account does not exist",
        StartRefusal.FROZEN: "account frozen",
        StartRefusal.NO_MONEY: "balance too low",
        StartRefusal.CARD_UNSETTLED: "card has an unsettled record",
        StartRefusal.PILE_DISABLED: "pile disabled",
        StartRefusal.NOT_ALLOWED_HERE: "account not allowed on this pile",
        StartRefusal.WRONG_PIN: "wrong password",
        StartRefusal.NO_CAPACITY: "station capacity exceeded",
        StartRefusal.UNKNOWN_VIN: "VIN unknown",
        StartRefusal.PILE_UNSETTLED: "pile has an unsettled record",
        StartRefusal.NO_CARDS: "pile does not support cards",
    }


@pytest.mark.parametrize("order", CrcOrder)
@pytest.mark.parametrize("frame_type", [0x31, 0xA1])
def test_a_frame_is_shown_without_its_password(order: CrcOrder, frame_type: int) -> None:
    body = (
        bytes.fromhex("32010600010001")
        + b"\x01\x01\x01"
        + b"C" * 8
        + b"P" * 16
        + bytes(17 + (7 if frame_type == 0xA1 else 0))
    )
    whole = frame_of(frame_type, body)
    frame = whole if order is CrcOrder.STANDARD else Pile.mirrored(whole)
    shown = decode(without_pin(frame_type, frame, order))
    assert (shown.crc_order, shown.fields["password"], shown.fields["account"]) == (order, "0" * 32, "43" * 8)
    assert without_pin(0x13, frame, order) is frame
    short = frame_of(frame_type, body[:20])
    assert decode(without_pin(frame_type, short, order)).short
