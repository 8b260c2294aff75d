"""A member's card at an OCPP pile: let in by its printed number, paid by its account."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import select

from charging_core.members.service import block_card, require_card
from charging_core.orders.model import ChargeOrder
from charging_core.piles.model import PileCommand
from tests.charging_core.members.members_support import NUMBER, account, change, enrol, note
from tests.charging_core.ocpp.ocpp_support import Yard


def orders(yard: Yard) -> list[ChargeOrder]:
    with yard.db.read(yard.seeded.tenant_id) as session:
        return list(session.scalars(select(ChargeOrder)))


def authorized(yard: Yard, tag: str) -> str:
    pile = yard.piles[0]
    answer = yard.loop.wait(pile.link.call("Authorize", {"idTag": tag}))
    return str(answer["idTagInfo"]["status"])


def test_a_card_charges_and_its_account_pays(yard: Yard) -> None:
    pile = yard.pile()
    enrol(yard.db, yard.clock, yard.seeded.tenant_id)
    assert authorized(yard, NUMBER) == "Accepted"
    assert orders(yard) == []  # asking begins nothing
    yard.loop.do(lambda: pile.present_card(1, NUMBER))
    yard.until("the charge runs", lambda: [order.state for order in orders(yard)] == ["charging"])
    yard.pass_time(pile, minutes=10)
    yard.loop.do(lambda: pile.press_stop(1))
    order = yard.settled(orders(yard)[0].id)
    assert (order.origin, order.card, order.limit_yuan, order.energy_kwh) == ("card", NUMBER, Decimal(100), Decimal(10))
    assert order.review is None
    balance, moved = account(yard.db, yard.seeded.tenant_id)
    assert (balance, [kind for kind, _ in moved]) == (Decimal(89), ["opening", "debit"])
    with yard.db.read(yard.seeded.tenant_id) as session:
        assert list(session.scalars(select(PileCommand))) == []


@pytest.mark.parametrize("tag", ["04A2B3C4", "0" * 16, "x" * 20, "' OR 1=1 --"])
def test_a_strange_tag_is_invalid(yard: Yard, tag: str) -> None:
    yard.pile()
    enrol(yard.db, yard.clock, yard.seeded.tenant_id)
    assert authorized(yard, tag) == "Invalid"


def test_a_blocked_or_empty_card_is_invalid(yard: Yard) -> None:
    yard.pile()
    enrol(yard.db, yard.clock, yard.seeded.tenant_id)
    change(yard.db, yard.seeded.tenant_id, credit_yuan=Decimal(-100))
    assert authorized(yard, NUMBER) == "Invalid"
    change(yard.db, yard.seeded.tenant_id, credit_yuan=Decimal(0))
    assert authorized(yard, NUMBER) == "Accepted"
    with yard.db.session(yard.seeded.tenant_id) as session:
        block_card(session, require_card(session, NUMBER), note("挂失"), blocked=True)
    assert authorized(yard, NUMBER) == "Invalid"


def test_a_top_up_is_not_told_to_a_pile_that_knows_no_balance(yard: Yard) -> None:
    from charging_core.orders.starts.funds import top_up

    pile = yard.pile()
    member = enrol(yard.db, yard.clock, yard.seeded.tenant_id)
    yard.loop.do(lambda: pile.present_card(1, NUMBER))
    yard.until("the charge runs", lambda: [order.state for order in orders(yard)] == ["charging"])
    with yard.db.session(yard.seeded.tenant_id) as session:
        top_up(session, yard.context, member, Decimal(20), note())
        assert list(session.scalars(select(PileCommand))) == []
    assert orders(yard)[0].limit_yuan == 120
