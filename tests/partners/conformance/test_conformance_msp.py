"""The kit against our own hub as the customer's side: a charge of one of our drivers, told and billed by the kit."""

from __future__ import annotations

from datetime import timedelta

from pydantic import SecretStr

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.ids import new_id
from charging_core.secretbox import SecretBox
from partners.roaming.model import RoamingOrder
from partners.room import PartnerRoom
from partners.specs import PartnerLinkSpec, save_link
from partners.tcec102.conformance.kit import examine
from partners.tcec102.conformance.model import Role, Status
from partners.tcec102.conformance.target import make_target
from partners.tcec102.contract import Contract
from partners.tcec102.memory import NoLimit
from tests.partners.conformance.served import ServedDoor
from tests.support.seed import order_context, seed_operator

OPERATOR = "MA5OPER01"
KEYS = {
    "operator_secret": "hub-secret-0001",
    "data_secret": "hubDataKey000001",
    "data_iv": "hubInitVector001",
    "sig_secret": "hubSignKey000001",
}
CONNECTOR = "3201090000123401"
ORDERS = [{"start_charge_seq": f"MA5TEST0126030212000000000{n}", "connector_id": CONNECTOR} for n in (1, 2)]


def test_our_own_hub_passes_completely_as_the_customers_side(db: Database, manual_clock: ManualClock) -> None:
    contract, clock = Contract.standard(), manual_clock
    seeded = seed_operator(db, clock.now())
    box, (context, _) = SecretBox(["a-key-of-16-chars-or-more"]), order_context(clock)
    room = PartnerRoom(db, context, box, contract=contract)
    secrets = {name: SecretStr(text) for name, text in KEYS.items()}
    spec = PartnerLinkSpec.model_validate(
        {
            "id": "kit",
            "name": "一致性测试",
            "our_operator_id": seeded.operator_id,
            "their_operator_id": OPERATOR,
            "role": "msp",
            "outbound_base": "http://127.0.0.1:9/evcs/v1",
            "keys": {"inbound": secrets, "outbound": secrets},
        }
    )
    with db.session(seeded.tenant_id) as session:
        save_link(session, clock, box, spec)
    room.book.refresh()
    link = room.book.by_slug(seeded.tenant_id, "kit")
    asked_at = clock.now() - timedelta(hours=3)
    with db.session(seeded.tenant_id) as session:
        for order in ORDERS:
            session.add(
                RoamingOrder(id=new_id(), link_id=link.id, state="starting", created_at=asked_at, history=[], **order)
            )
    with ServedDoor(room.door(NoLimit())) as served:
        target = make_target({"operator_id": OPERATOR, "keys": KEYS, "orders": ORDERS})
        url = f"{served.url}/{seeded.tenant_id}/evcs/v1"
        report = examine(Role.MSP, url, target, contract=contract, clock=clock)
    room.stop()
    assert [(result.check.id, result.field, result.detail) for result in report.complaints] == []
    assert not report.with_status(Status.BLOCKED)
    assert not report.with_status(Status.SKIPPED)
    assert len(report.with_status(Status.PASSED)) > 70
    with db.read(seeded.tenant_id) as session:
        states = [row.state for row in session.query(RoamingOrder).order_by(RoamingOrder.start_charge_seq)]
    assert states == ["billed", "disputed"]
