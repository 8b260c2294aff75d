"""The workflow of a contested order: open → explained → corrected or accepted (`specs/partners.md` 6.6).

A case is opened by a bill that was answered with ConfirmResult 1 or by a line of a statement's answer. It closes by itself when the
partner confirms the bill after all (`accepted`) or a newer one (`corrected`), or when a person closes it. A closed case that is contested
again opens anew, with its history.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.ids import new_id
from partners import metrics
from partners.reconcile.model import DisputeState, PartnerDispute
from worker import repair
from worker.api import Destination, State
from worker.model import DeliveryRow

KIND = "partner"
BILL, STATEMENT = "bill", "statement"
BILL_INTERFACE = "notification_charge_order_info"
OPEN_STATES = (DisputeState.OPEN, DisputeState.EXPLAINED)
CLOSED_STATES = (DisputeState.CORRECTED, DisputeState.ACCEPTED)
LONGEST_TEXT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """What a partner contests. Figures as text with their decimals; None where nobody told them."""

    link_id: str
    start_charge_seq: str
    source: str
    order_id: str | None = None
    delivery_id: str | None = None
    statement_id: str | None = None
    object_version: int = 0
    energy_kwh: str | None = None
    total_yuan: str | None = None
    their_kwh: str | None = None
    their_yuan: str | None = None
    reason_code: int | None = None
    reason: str | None = None
    judgement: str | None = None


def contest(session: HubSession, case: Contest, now: datetime) -> PartnerDispute:
    """Open a case, or go on with the one that this order has already."""
    row = _of_order(session, case.link_id, case.start_charge_seq)
    told = {name: getattr(case, name) for name in Contest.__slots__}
    if row is None:
        metrics.DISPUTES.inc()
        row = PartnerDispute(
            id=new_id(), tenant_id=session.tenant_id, state=DisputeState.OPEN, opened_at=now, history=[], **told
        )
        session.add(row)
    else:
        _take_over(row, told)
    _note(row, now, f"contested_in_{case.source}", case.reason or case.judgement or "")
    session.flush()
    return row


def bill_confirmed(session: HubSession, link_id: str, seq: str, version: int, now: datetime) -> PartnerDispute | None:
    """The partner has confirmed the bill of this order in this version; closes its case, if it has an open one."""
    row = _of_order(session, link_id, seq)
    if row is None or row.state not in OPEN_STATES:
        return None
    corrected = version > row.object_version
    _close(row, DisputeState.CORRECTED if corrected else DisputeState.ACCEPTED, now, "confirmed by the partner")
    return row


def no_longer_contested(session: HubSession, link_id: str, seq: str, now: datetime) -> None:
    """A repeated statement was answered without this order; closes a case that a statement had opened."""
    row = _of_order(session, link_id, seq)
    if row is not None and row.state in OPEN_STATES and row.source == STATEMENT:
        _close(row, DisputeState.ACCEPTED, now, "no longer contested")


def explain(session: HubSession, clock: Clock, dispute_id: str, text: str, who: str) -> PartnerDispute:
    """Write down our view; the case stays open for the partner's. Raises `NotFound`, `Conflict` when closed, `InvalidInput`."""
    row = _open(session, dispute_id)
    words = text.strip()
    if not 0 < len(words) <= LONGEST_TEXT:
        raise InvalidInput("text", f"1–{LONGEST_TEXT} 个字符 / 1 to {LONGEST_TEXT} characters")
    row.explanation, row.state = words, DisputeState.EXPLAINED
    _note(row, clock.now(), "explained", words, who)
    return row


def repush(session: HubSession, clock: Clock, dispute_id: str, who: str) -> PartnerDispute:
    """Send the order's newest bill again, from the start of its ladder. Raises `NotFound`, `Conflict` when it is under way or absent."""
    row = _open(session, dispute_id)
    bill = newest_bill(session, row.link_id, row.order_id)
    if bill is None:
        raise Conflict("没有可重推的账单 / there is no bill to send again")
    if bill.state in (State.WAITING, State.LEASED, State.HELD):
        raise Conflict("账单正在推送 / the bill is under way already")
    repair.replay(session, bill.id, clock, who)
    _note(row, clock.now(), "repushed", f"version {bill.object_version}", who)
    return row


def close(
    session: HubSession, clock: Clock, dispute_id: str, outcome: DisputeState, note: str, who: str
) -> PartnerDispute:
    """End a case by hand, `corrected` or `accepted`. Raises `NotFound`, `Conflict` when closed, `InvalidInput` for another outcome."""
    row = _open(session, dispute_id)
    if outcome not in CLOSED_STATES:
        raise InvalidInput("outcome", "corrected 或 accepted / corrected or accepted")
    _close(row, outcome, clock.now(), note[:LONGEST_TEXT], who)
    return row


def find_dispute(session: HubSession, dispute_id: str) -> PartnerDispute:
    """One case of the session's tenant. Raises `NotFound`."""
    row = session.scalars(select(PartnerDispute).where(PartnerDispute.id == dispute_id)).one_or_none()
    if row is None:
        raise NotFound(f"dispute {dispute_id}")
    return row


def newest_bill(session: HubSession, link_id: str, order_id: str | None) -> DeliveryRow | None:
    """The newest bill delivery of an order on this link; superseded ones do not count."""
    if order_id is None:
        return None
    which = repair.Selection(Destination(KIND, link_id), BILL_INTERFACE, object_key=order_id)
    found = [row for row in repair.find(session, which) if row.state != State.SUPERSEDED]
    return max(found, key=lambda row: row.object_version, default=None)


def _of_order(session: HubSession, link_id: str, seq: str) -> PartnerDispute | None:
    query = select(PartnerDispute).where(PartnerDispute.link_id == link_id, PartnerDispute.start_charge_seq == seq)
    return session.scalars(query.with_for_update()).one_or_none()


def _open(session: HubSession, dispute_id: str) -> PartnerDispute:
    row = session.scalars(select(PartnerDispute).where(PartnerDispute.id == dispute_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"dispute {dispute_id}")
    if row.state not in OPEN_STATES:
        raise Conflict(f"争议已结案 / this dispute is closed: {row.state}")
    return row


def _take_over(row: PartnerDispute, told: dict[str, Any]) -> None:
    for name, value in told.items():
        if value is not None:
            setattr(row, name, value)
    if row.state in CLOSED_STATES:
        row.state, row.closed_at = DisputeState.OPEN, None


def _close(row: PartnerDispute, outcome: DisputeState, now: datetime, note: str, who: str = "") -> None:
    row.state, row.closed_at = outcome, now
    _note(row, now, outcome.value, note, who)


def _note(row: PartnerDispute, now: datetime, what: str, text: str = "", who: str = "") -> None:
    entry = {"at": now, "what": what, "text": text[:LONGEST_TEXT], "who": who}
    row.history = [*(row.history or []), {name: value for name, value in entry.items() if value}]
