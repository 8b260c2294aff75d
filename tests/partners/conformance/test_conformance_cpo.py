"""The kit against our own hub as a CPO: the partners room on a database behind HTTP; and what the kit says about a broken one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.secretbox import SecretBox
from partners.room import PartnerRoom
from partners.specs import PartnerLinkSpec, save_link
from partners.tcec102.conformance.kit import examine
from partners.tcec102.conformance.model import Report, Role, Status
from partners.tcec102.conformance.target import make_target
from partners.tcec102.contract import Contract
from partners.tcec102.memory import NoLimit
from partners.tcec102.ports import Handler, InboundLink
from partners.tcec102.receive import Door
from tests.partners.conformance.served import ServedDoor
from tests.support.seed import order_context, seed_operator

PARTNER = "MA5PARTN1"
KEYS = {
    "operator_secret": "hub-secret-0001",
    "data_secret": "hubDataKey000001",
    "data_iv": "hubInitVector001",
    "sig_secret": "hubSignKey000001",
}

NEED_A_CHARGE = ("query_start_charge/", "query_stop_charge/", "query_equip_charge_status/", "notification_")


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract.standard()


@pytest.fixture
def door(db: Database, manual_clock: ManualClock, contract: Contract) -> Iterator[tuple[Door, str]]:
    """The hub's own door on a database with one operator, and the base path of the link to the kit."""
    clock = manual_clock
    seeded = seed_operator(db, clock.now())
    box = SecretBox(["a-key-of-16-chars-or-more"])
    context, _ = order_context(clock)
    room = PartnerRoom(db, context, box, contract=contract)
    spec = PartnerLinkSpec.model_validate(
        {
            "id": "kit",
            "name": "一致性测试",
            "our_operator_id": seeded.operator_id,
            "their_operator_id": PARTNER,
            "keys": {"inbound": {name: SecretStr(text) for name, text in KEYS.items()}},
        }
    )
    with db.session(seeded.tenant_id) as session:
        save_link(session, clock, box, spec)
    room.book.refresh()
    yield room.door(NoLimit()), f"/{seeded.tenant_id}/evcs/v1"
    room.stop()


def examined(door: Door, base: str, contract: Contract) -> Report:
    with ServedDoor(door) as served:
        target = make_target({"operator_id": PARTNER, "keys": KEYS})
        return examine(Role.CPO, served.url + base, target, contract=contract, clock=door.clock)


def test_our_own_hub_passes_completely(door: tuple[Door, str], contract: Contract) -> None:
    report = examined(*door, contract)
    assert [(result.check.id, result.field, result.detail) for result in report.complaints] == []
    assert not report.with_status(Status.BLOCKED)
    not_made = {result.check.id for result in report.with_status(Status.SKIPPED)}
    assert all(check.startswith(NEED_A_CHARGE) for check in not_made)
    assert len(report.with_status(Status.PASSED)) > 65


def without(*names: str) -> Any:
    return lambda answer: {name: value for name, value in answer.items() if name not in names}


BROKEN = (
    ("query_equip_auth", lambda a: a | {"EquipAuthSeq": "somebody else's"}, "query_equip_auth/answer", "EquipAuthSeq"),
    ("query_equip_business_policy", without("SumPeriod"), "query_equip_business_policy/answer", "SumPeriod"),
    ("query_equip_business_policy", lambda a: a | {"SumPeriod": 31}, "query_equip_business_policy/answer", "SumPeriod"),
    ("query_stations_info", lambda a: a | {"ItemSize": 99}, "query_stations_info/answer", "ItemSize"),
    ("query_station_status", lambda a: a | {"StationStatusInfos": []}, "query_station_status/answer",
     "StationStatusInfos[].StationID"),
    ("query_stop_charge", lambda a: a, "", ""),
)  # fmt: skip


@pytest.mark.parametrize(("interface", "change", "check", "member"), BROKEN)
def test_a_broken_answer_is_named_with_its_member(
    door: tuple[Door, str], contract: Contract, interface: str, change: Any, check: str, member: str
) -> None:
    right = door[0].handlers[interface]

    def broken(link: InboundLink, body: dict[str, Any]) -> Any:
        return change(dict(right(link, body)))

    handlers: dict[str, Handler] = {**door[0].handlers, interface: broken}
    report = examined(replace(door[0], handlers=handlers), door[1], contract)
    wanted = [(check, member)] if check else []
    assert [(found.check.id, found.field) for found in report.complaints] == wanted
