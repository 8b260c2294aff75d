"""A member's money: the balance is the sum of its movements, none happens twice, and none by halves."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.members.catalog import disable_members_except
from charging_core.members.ledger import charge_for, correct, top_up
from charging_core.members.model import MemberAction, MemberCard, MovementKind
from charging_core.members.service import (
    block_card,
    block_member,
    find_by_card,
    find_by_number,
    find_by_vin,
    require_card,
    require_member,
)
from charging_core.tenants import Tenant
from tests.charging_core.members.members_support import (
    FLEET,
    NUMBER,
    PHYSICAL,
    SECOND,
    VIN,
    account,
    enrol,
    note,
)

TENANT = "green"


@pytest.fixture
def member(db: Database, manual_clock: ManualClock) -> str:
    with db.system("test data") as session:
        for tenant in (TENANT, "blue"):
            session.add(Tenant(id=tenant, name=tenant, created_at=manual_clock.now()))
    return enrol(db, manual_clock, TENANT)


def test_money_moves_with_its_movement_only_and_once(db: Database, member: str) -> None:
    with db.session(TENANT) as session:
        movement, fresh = top_up(session, member, Decimal("50.00"), note(reference="pos-1"))
        assert (fresh, movement.balance_yuan) == (True, Decimal(150))
    with db.session(TENANT) as session:
        again, fresh = top_up(session, member, Decimal("50.00"), note(reference="pos-1"))
        assert (fresh, again.id) == (False, movement.id)
        with pytest.raises(Conflict):
            top_up(session, member, Decimal("60.00"), note(reference="pos-1"))
        correct(session, member, Decimal("-0.01"), note("误差"))
    assert account(db, TENANT) == (
        Decimal("149.99"),
        [("opening", Decimal(100)), ("top_up", Decimal(50)), ("correction", Decimal("-0.01"))],
    )


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "NaN", "1000000.01"])
def test_an_amount_of_no_use_is_refused(db: Database, member: str, amount: str) -> None:
    with db.session(TENANT) as session, pytest.raises(InvalidInput):
        top_up(session, member, Decimal(amount), note())
    assert account(db, TENANT)[0] == 100


def test_a_correction_needs_a_reason_and_a_member(db: Database, member: str) -> None:
    with db.session(TENANT) as session:
        with pytest.raises(InvalidInput):
            correct(session, member, Decimal(1), note(None))
        with pytest.raises(NotFound):
            top_up(session, "nobody", Decimal(1), note())


def test_a_bill_is_debited_once_and_a_new_version_moves_the_difference(db: Database, member: str) -> None:
    steps = [
        (1, "12.34", MovementKind.DEBIT),
        (1, "12.34", MovementKind.DEBIT),
        (2, "10.00", MovementKind.CORRECTION),
        (3, "10.00", MovementKind.CORRECTION),
        (4, "0.00", MovementKind.REFUND),
    ]
    for number, total, kind in steps:
        with db.session(TENANT) as session:
            charge_for(session, member, "order", number, Decimal(total), kind, note())
    moved = [
        ("opening", Decimal(100)),
        ("debit", Decimal("-12.34")),
        ("correction", Decimal("2.34")),
        ("refund", Decimal(10)),
    ]
    assert account(db, TENANT) == (Decimal(100), moved)


def test_top_ups_at_the_same_instant_all_count(db: Database, member: str) -> None:
    ready = threading.Barrier(4)

    def pay(number: int) -> None:
        ready.wait()
        with db.session(TENANT) as session:
            top_up(session, member, Decimal(number), note(reference=f"r{number % 3}"))

    with ThreadPoolExecutor(4) as threads:
        outcomes = [threads.submit(pay, number) for number in (1, 2, 3, 3)]
    assert all(outcome.exception() is None for outcome in outcomes)
    assert account(db, TENANT)[0] == 106


def test_whoever_shows_something_is_found_in_his_own_tenant_only(db: Database, member: str) -> None:
    with db.read_system("test") as session:
        for tenant, found in ((TENANT, True), ("blue", False)):
            shown = (
                find_by_card(session, tenant, PHYSICAL.lower()),
                find_by_number(session, tenant, NUMBER),
                find_by_vin(session, tenant, VIN),
            )
            assert [one is not None for one in shown] == [found] * 3
        for nothing in ("", "0" * 17, "\xff" * 17):
            assert find_by_vin(session, TENANT, nothing) is None
        assert find_by_number(session, TENANT, "' or 1=1") is None


def test_what_is_applied_twice_changes_nothing_and_never_a_balance(
    db: Database, member: str, manual_clock: ManualClock
) -> None:
    from charging_core.members.catalog import CardSpec, save_member

    with db.session(TENANT) as session:
        assert save_member(session, manual_clock, FLEET) == []
        changed = FLEET.__class__(
            code="fleet", name="新名", opening_balance=Decimal(999), cards=(CardSpec(NUMBER, PHYSICAL),), vins=()
        )
        shown = [(c.kind, c.key, c.action.value) for c in save_member(session, manual_clock, changed)]
    assert shown == [
        ("member", "fleet", "update"),
        ("card", SECOND, "disable"),
        ("vehicle", VIN, "disable"),
    ]
    assert account(db, TENANT)[0] == 100
    with db.session(TENANT) as session:
        assert not require_card(session, SECOND).usable
        disable_members_except(session, [])
        assert not require_card(session, NUMBER).usable


def test_a_card_of_another_member_is_not_taken_over(db: Database, member: str, manual_clock: ManualClock) -> None:
    from charging_core.members.catalog import CardSpec, MemberSpec, save_member

    for spec in (CardSpec(NUMBER, "00000000000000AA"), CardSpec("3201020000000199", PHYSICAL)):
        with db.session(TENANT) as session, pytest.raises(Conflict):
            save_member(session, manual_clock, MemberSpec("other", "别人", cards=(spec,)))
    with db.session(TENANT) as session, pytest.raises(Conflict):
        save_member(session, manual_clock, MemberSpec("other", "别人", vins=(VIN,)))
    with db.session("blue") as session:
        assert save_member(session, manual_clock, FLEET)  # another operator may have the same numbers


def test_blocks_need_a_reason_and_stay_in_the_record(db: Database, member: str) -> None:
    with db.session(TENANT) as session:
        card = require_card(session, NUMBER.lstrip("0"))
        with pytest.raises(InvalidInput):
            block_card(session, card, note(" "), blocked=True)
        assert block_card(session, card, note("挂失"), blocked=True)
        assert not block_card(session, card, note("挂失"), blocked=True)
        assert not card.usable
        assert block_card(session, card, note("找回"), blocked=False)
        assert block_member(session, require_member(session, "fleet"), note("欠费"), blocked=True)
        assert not card.usable
        rows = session.scalars(select(MemberAction).order_by(MemberAction.id))
        kept = [(row.action, row.card_id == card.id, row.by, row.reason) for row in rows]
    assert kept == [
        ("block", True, "token:desk", "挂失"),
        ("unblock", True, "token:desk", "找回"),
        ("block", False, "token:desk", "欠费"),
    ]


def test_no_pin_is_stored(db: Database, member: str) -> None:
    import hashlib

    from tests.charging_core.members.members_support import PIN

    with db.read(TENANT) as session:
        stored = session.scalars(select(MemberCard.pin_hash).where(MemberCard.number == SECOND)).one() or ""
    assert stored
    assert PIN not in stored
    assert hashlib.md5(PIN.encode()).hexdigest()[8:24] not in stored
