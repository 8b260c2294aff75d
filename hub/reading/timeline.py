"""What happened to an order as one list in the order of time: frames of its pile, states, commands, prices, who was told, parking.

Each entry is `{at, kind, what, detail}`. Texts hold no plate, phone, VIN or card.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.members.model import MemberMovement
from charging_core.orders.bills.explain import actions_of
from charging_core.orders.bills.keep import bills_of
from charging_core.orders.model import ChargeOrder
from charging_core.piles.model import PileCommand
from charging_core.piles.protocols.ocpp16.line import frame_line as ocpp_line
from charging_core.piles.protocols.ykc.line import FrameLine, frame_line
from charging_core.piles.store.frames import frames_of
from hub.reading.values import plain, yuan

FRAME, COMMAND, STATE, PRICE, STAFF, BILL, PAYMENT, DELIVERY, ATTEMPT, PARKING = (
    "frame", "command", "state", "price", "staff", "bill", "payment", "delivery", "attempt", "parking",
)  # fmt: skip
_ORDER = (COMMAND, FRAME, STATE, PRICE, STAFF, BILL, PAYMENT, DELIVERY, ATTEMPT, PARKING)
"""Of things at the same instant."""
LINES: Mapping[str, Callable[[bytes], FrameLine]] = MappingProxyType({"ykc": frame_line, "ocpp16": ocpp_line})
"""Who reads the frames of a protocol."""
_ENDS = frozenset({"delivered", "rejected", "dead", "superseded"})

Entry = dict[str, Any]


def timeline(session: HubSession, order: ChargeOrder, trace: Mapping[str, Any]) -> list[Entry]:
    """Everything known about the order, oldest first. `trace` holds its `order`, `states`, `deliveries` and `parking`."""
    entries = [
        *_frames(session, order),
        *_commands(session, order),
        *_states(trace["states"]),
        *_prices(trace["order"]["details"]),
        *_bills(session, order),
        *_payments(session, order),
        *_deliveries(trace["deliveries"]),
        *_parking(trace["parking"]),
    ]
    return sorted(entries, key=lambda entry: (entry["at"], _ORDER.index(entry["kind"])))


def _entry(at: datetime, kind: str, what: str, detail: object = "") -> Entry:
    return {"at": at, "kind": kind, "what": what, "detail": "" if detail is None else str(detail)}


def _frames(session: HubSession, order: ChargeOrder) -> Iterator[Entry]:
    for row in frames_of(session, order):
        line_of = LINES.get(row.protocol)
        if line_of is None:  # kept by a release that knew more protocols
            yield _entry(row.at, FRAME, f"{row.protocol} 0x{row.frame_type:02X}")
            continue
        line = line_of(bytes.fromhex(row.raw))
        arrow = "←" if line.direction == "up" else "→"
        yield _entry(row.at, FRAME, f"{arrow} {line.type} {line.zh} / {line.en}", line.text)


def _commands(session: HubSession, order: ChargeOrder) -> Iterator[Entry]:
    query = select(PileCommand).where(PileCommand.order_id == order.id).order_by(PileCommand.id)
    for command in session.scalars(query):
        yield _entry(command.created_at, COMMAND, f"{command.kind} 已下达 / asked")
        if command.changed_at > command.created_at:
            yield _entry(command.changed_at, COMMAND, f"{command.kind} {command.state}", command.detail)


def _states(states: Iterable[Mapping[str, Any]]) -> Iterator[Entry]:
    for change in states:
        yield _entry(change["at"], STATE, f"{change['state']} ({change['happened']})", change["detail"])


def _prices(lines: Iterable[Mapping[str, Any]]) -> Iterator[Entry]:
    for line in lines:
        money = f"{line['energy_kwh']:f} kWh → {yuan(line['elec_fee'])} + {yuan(line['service_fee'])} 元 / yuan"
        price = f"{line['elec_price']:f} + {line['service_price']:f} 元/kWh"
        yield _entry(line["started_at"], PRICE, f"{line['class']} {price}", f"{money} ({line['basis']})")


def _bills(session: HubSession, order: ChargeOrder) -> Iterator[Entry]:
    """Versions of the bill, and what the staff did; their reasons, which are free text, stand in `explain`."""
    for bill in bills_of(session, order.id):
        back = f", 已退 / refunded {yuan(bill.refund_yuan)}" if bill.refund_yuan else ""
        yield _entry(
            bill.made_at, BILL, f"账单 / bill v{bill.number} ({bill.kind})", f"{yuan(bill.total_fee)} 元{back}"
        )
    for action in actions_of(session, order.id):
        yield _entry(action.at, STAFF, f"人工 / staff: {action.action}", action.by)


def _payments(session: HubSession, order: ChargeOrder) -> Iterator[Entry]:
    """What the bill moved on the account of the member who pays."""
    query = select(MemberMovement).where(MemberMovement.order_id == order.id).order_by(MemberMovement.id)
    for movement in session.scalars(query):
        left = f"余额 / balance {yuan(movement.balance_yuan)} 元"
        yield _entry(movement.at, PAYMENT, f"账户 / account {yuan(movement.amount_yuan)} 元 ({movement.kind})", left)


def _deliveries(deliveries: Sequence[Mapping[str, Any]]) -> Iterator[Entry]:
    for delivery in deliveries:
        name, version = f"{delivery['destination']} {delivery['interface']}", f"v{delivery['object_version']}"
        ended = delivery["finished_at"] is not None and delivery["state"] in _ENDS
        if ended and len(delivery["attempts"]) == 1:  # the usual case in one line: a charge has dozens of them
            attempt = delivery["attempts"][0]
            yield _entry(
                attempt["started_at"], DELIVERY, f"{name} {delivery['state']}", f"{version} {_answer(attempt)}"
            )
            continue
        yield _entry(delivery["occurred_at"], DELIVERY, f"{name} 已计划 / planned", version)
        for attempt in delivery["attempts"]:
            yield _entry(attempt["started_at"], ATTEMPT, name, f"{version} {_answer(attempt)}")
        if ended:
            why = " ".join(str(delivery[part]) for part in ("outcome", "code", "reason") if delivery[part])
            yield _entry(delivery["finished_at"], DELIVERY, f"{name} {delivery['state']}", f"{version} {why}")


def _answer(attempt: Mapping[str, Any]) -> str:
    said = " ".join(str(attempt[part]) for part in ("outcome", "code", "message", "error") if attempt[part])
    http = f" HTTP {attempt['http_status']}" if attempt["http_status"] else ""
    return f"#{attempt['number']} {attempt['duration_ms']} ms{http}: {said}"


def _parking(stays: Iterable[Mapping[str, Any]]) -> Iterator[Entry]:
    for stay in stays:
        park, grant = stay["park"]["name"], stay["grant"]
        for passage in stay["passages"]:
            yield _entry(passage["occurred_at"], PARKING, f"{park} {passage['kind']}", passage["lane_ref"])
        benefit = " ".join(
            str(plain(grant[part])) for part in ("benefit_kind", "benefit_value", "reason") if grant[part]
        )
        yield _entry(grant["created_at"], PARKING, f"{park} 减免 / grant", benefit)
        if grant["finished_at"] is not None:
            yield _entry(grant["finished_at"], PARKING, f"{park} 减免 / grant {grant['state']}", grant["message"])
        for command in stay["gate_commands"]:
            said = " ".join(str(command[part]) for part in ("outcome", "code", "message") if command[part])
            yield _entry(command["asked_at"], PARKING, f"{park} {command['action']} ({command['asked_by']})", said)
