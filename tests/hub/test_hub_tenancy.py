"""Every operation of every contract is called by its owner and by another tenant (DECISIONS 33).

The cases are generated from the contracts: an operation without a sample here fails. The owner's call is the positive control; the
other tenant, with all scopes and the owner's ids, must not see or change anything of the owner's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

import openapi
from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.ids import new_id
from charging_core.members.model import MemberCard
from charging_core.monitoring.alarm import raise_alarm
from charging_core.orders.facts import TradeFacts
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.reservations.keeping import Holder
from charging_core.orders.reservations.model import Reservation, ReservationState
from charging_core.orders.reservations.service import Wish, reserve
from charging_core.orders.service import StartRequest, start_order
from charging_core.orders.settlement import settle
from charging_core.orders.state import OrderState
from charging_core.piles.events import StopCategory, TradeRecord
from charging_core.piles.model import FirmwareRollout, GroundLock, TradeRecordRow
from charging_core.piles.ports import CommandKind
from charging_core.piles.store.cards import want_cards
from charging_core.piles.store.device import Asked, Request, ask
from charging_core.piles.store.firmware import Package, Plan
from charging_core.piles.store.records import take_record
from charging_core.stations.model import Connector, ConnectorState, RefusedLogin, Station
from charging_core.tariffs.periods import RateClass
from hub.container import Container
from hub.reading.devices import require_pile
from municipal.model import RegulatorLink
from parking.model import ParkConnection
from partners.model import ExchangeRow, PartnerLink
from partners.reconcile.disputes import Contest, contest
from partners.reconcile.model import PartnerStatement
from partners.roaming.model import RoamingConnector, RoamingOrder, RoamingStation
from tests.hub.conftest import Stage, Tokens
from worker.model import DeliveryRow, DestinationState
from worker.repair import hold_delivery

CONTRACTS = ("app", "console", "callbacks")
METHODS = ("get", "post", "put", "patch", "delete")
CONNECTOR = "3201060000000101"
FREE = "3201060000000102"
PILE, SECOND, THIRD = "32010600000001", "32010600000002", "32010600000003"


@dataclass(frozen=True)
class Operation:
    """One operation of a contract."""

    contract: str
    method: str
    path: str
    id: str
    secured: bool


@dataclass(frozen=True)
class Sample:
    """How an operation is called: members of the path, query and body by name, `{…}` filled from the owner's things."""

    path: dict[str, str] = field(default_factory=dict)
    query: str = ""
    body: dict[str, Any] | None = None
    owner: tuple[int, ...] = (200,)
    stranger: int = 404
    lists: bool = False


_LIST = Sample(lists=True, stranger=200)
_ORDER = {"order": "{order}"}
_BILLED, _TARIFF, _REASON = {"order": "{billed}"}, {"tariff": "city-2026"}, {"reason": "核对 / checked"}
_WHY = {"why": "对方升级 / their upgrade"}
_DISPUTE, _ROAMING = {"dispute": "{dispute}"}, {"order": "{roaming_order}"}
_START = {"connector": FREE, "request_id": "{request}"}
_RESERVE = _START | {"minutes": 15, "plate": "浙A12345"}
_TOGETHER: dict[str, Any] = {"connectors": [SECOND + "01", SECOND + "02"], "request_id": "{request}"}
_MEMBER = {"member": "{member}"}
_MONEY = {"amount": "1.00", "request_id": "{request}"}
_PACKAGE = {"server": "10.1.2.3", "path": "fw.bin", "user": "ftp", "password": "secret"}
_FIRMWARE: dict[str, Any] = {"name": "V3", "piles": [SECOND], "package": _PACKAGE}
_CONSOLE, _APP = "hub.web.console", "hub.web.driver"

SAMPLES = {
    f"{_CONSOLE}.stations.list_stations": _LIST,
    f"{_CONSOLE}.stations.get_station": Sample({"station": "{station}"}),
    f"{_CONSOLE}.stations.list_piles": _LIST,
    f"{_CONSOLE}.stations.get_pile": Sample({"pile": "32010600000001"}),
    f"{_CONSOLE}.stations.list_refused_logins": _LIST,
    f"{_CONSOLE}.stations.list_connectors": _LIST,
    f"{_CONSOLE}.stations.get_connector": Sample({"connector": CONNECTOR}),
    f"{_CONSOLE}.piles.list_commands": Sample({"pile": PILE}, lists=True),
    f"{_CONSOLE}.piles.ask_pile": Sample({"pile": PILE}, body={"kind": "sync_time"}, owner=(202,)),
    f"{_CONSOLE}.piles.get_command": Sample({"command": "{command}"}),
    f"{_CONSOLE}.piles.watch_pile": Sample({"pile": PILE}),
    f"{_CONSOLE}.piles.list_tariff_rollout": _LIST,
    # Without piles named, all of the caller's that are behind: the other tenant's own are not the owner's.
    f"{_CONSOLE}.piles.push_tariffs": Sample(body={"reason": "调价"}, owner=(202,), stranger=202),
    f"{_CONSOLE}.piles.list_firmware_rollouts": _LIST,
    f"{_CONSOLE}.piles.begin_firmware_rollout": Sample(body=_FIRMWARE, owner=(201,)),
    f"{_CONSOLE}.piles.get_firmware_rollout": Sample({"rollout": "{rollout}"}),
    f"{_CONSOLE}.piles.change_firmware_rollout": Sample({"rollout": "{rollout}"}, body={"state": "paused"}),
    f"{_CONSOLE}.piles.list_ground_locks": _LIST,
    f"{_CONSOLE}.members.list_members": _LIST,
    f"{_CONSOLE}.members.get_member": Sample(_MEMBER),
    f"{_CONSOLE}.members.list_movements": Sample(_MEMBER, lists=True),
    f"{_CONSOLE}.members.top_up_member": Sample(_MEMBER, body=_MONEY, owner=(201,)),
    f"{_CONSOLE}.members.correct_member": Sample(_MEMBER, body=_MONEY | _REASON, owner=(201,)),
    f"{_CONSOLE}.members.change_block": Sample(_MEMBER, body=_REASON | {"blocked": False}),
    f"{_CONSOLE}.members.list_cards": _LIST,
    f"{_CONSOLE}.members.get_card": Sample({"card": "{card}"}),
    f"{_CONSOLE}.members.change_card_block": Sample({"card": "{card}"}, body=_REASON | {"blocked": False}),
    f"{_CONSOLE}.members.list_pile_cards": Sample({"pile": PILE}, lists=True),
    f"{_CONSOLE}.members.sync_pile_cards": Sample({"pile": SECOND}, body={"action": "sync"}, owner=(202,)),
    f"{_CONSOLE}.orders.start_parallel": Sample(body=_TOGETHER, owner=(201,)),
    f"{_CONSOLE}.orders.list_orders": _LIST,
    f"{_CONSOLE}.orders.start_order": Sample(body=_START, owner=(201,)),
    f"{_CONSOLE}.orders.get_order": Sample(_ORDER),
    f"{_CONSOLE}.orders.stop_order": Sample(_ORDER, owner=(202,)),
    f"{_CONSOLE}.orders.trace_order": Sample(_ORDER),
    f"{_CONSOLE}.review.explain_order": Sample(_BILLED),
    f"{_CONSOLE}.review.list_review": _LIST,
    f"{_CONSOLE}.review.get_review": Sample(_BILLED),
    f"{_CONSOLE}.review.accept_review": Sample(_BILLED, body=_REASON),
    f"{_CONSOLE}.review.end_order": Sample(_ORDER, body=_REASON),
    f"{_CONSOLE}.review.close_order": Sample(_ORDER, body=_REASON),
    f"{_CONSOLE}.review.resettle_order": Sample(_BILLED, body=_REASON | {"energies": {"flat": "11.5"}}),
    f"{_CONSOLE}.review.refund_order": Sample(_BILLED, body=_REASON | {"amount": "1.00"}),
    f"{_CONSOLE}.records.list_records": _LIST,
    f"{_CONSOLE}.records.get_record": Sample({"record": "{record}"}),
    f"{_CONSOLE}.records.attach_record": Sample({"record": "{record}"}, body=_REASON | {"order": "{order}"}),
    f"{_CONSOLE}.records.dismiss_record": Sample({"record": "{record}"}, body=_REASON, owner=(200, 409)),
    f"{_CONSOLE}.records.list_alarms": _LIST,
    f"{_CONSOLE}.reservations.list_reservations": _LIST,
    f"{_CONSOLE}.reservations.reserve": Sample(body=_RESERVE, owner=(201,)),
    f"{_CONSOLE}.reservations.cancel_reservation": Sample({"reservation": "{reservation}"}),
    f"{_CONSOLE}.tariffs.list_tariffs": _LIST,
    f"{_CONSOLE}.tariffs.get_tariff": Sample(_TARIFF, stranger=200),
    f"{_CONSOLE}.tariffs.simulate_tariff": Sample(_TARIFF, "since=2026-01-01", stranger=200, lists=True),
    f"{_CONSOLE}.tariffs.quote_station": Sample({"station": "{station}"}, "energy=30"),
    f"{_CONSOLE}.links.list_links": _LIST,
    f"{_CONSOLE}.links.get_link": Sample({"link": "{link}"}),
    f"{_CONSOLE}.links.test_link": Sample({"link": "{link}"}),
    f"{_CONSOLE}.links.list_exchanges": _LIST,
    f"{_CONSOLE}.deliveries.list_deliveries": _LIST,
    f"{_CONSOLE}.deliveries.get_delivery": Sample({"delivery": "{delivery}"}),
    f"{_CONSOLE}.deliveries.replay_delivery": Sample({"delivery": "{delivery}"}, owner=(202,)),
    f"{_CONSOLE}.deliveries.hold_delivery": Sample({"delivery": "{waiting}"}, body=_WHY, owner=(202,)),
    f"{_CONSOLE}.deliveries.release_delivery": Sample({"delivery": "{held}"}, owner=(202,)),
    f"{_CONSOLE}.deliveries.discard_delivery": Sample({"delivery": "{waiting}"}, body=_WHY, owner=(202,)),
    f"{_CONSOLE}.deliveries.list_stats": Sample(lists=True, stranger=200),
    f"{_CONSOLE}.deliveries.list_actions": Sample(lists=True, stranger=200),
    f"{_CONSOLE}.deliveries.replay_selection": Sample(body={"destination": "partner:{link}"}, owner=(202,)),
    f"{_CONSOLE}.deliveries.recover": Sample(
        body={"destination": "partner:{link}", "since": "2026-01-05T00:00:00+08:00"}, owner=(202,)
    ),
    f"{_CONSOLE}.deliveries.hold_destination": Sample({"destination": "{link}"}, body=_WHY),
    f"{_CONSOLE}.deliveries.release_destination": Sample({"destination": "{regulator_id}"}),
    f"{_CONSOLE}.reconcile.list_statements": _LIST,
    f"{_CONSOLE}.reconcile.get_statement": Sample({"statement": "{statement}"}),
    f"{_CONSOLE}.reconcile.send_statement": Sample(body={"link": "{link}", "day": "2026-01-05"}, owner=(201,)),
    f"{_CONSOLE}.reconcile.list_disputes": _LIST,
    f"{_CONSOLE}.reconcile.get_dispute": Sample(_DISPUTE),
    f"{_CONSOLE}.reconcile.explain_dispute": Sample(_DISPUTE, body={"text": "以电表为准"}),
    f"{_CONSOLE}.reconcile.repush_dispute": Sample(_DISPUTE, owner=(202,)),
    f"{_CONSOLE}.reconcile.close_dispute": Sample(_DISPUTE, body={"outcome": "accepted"}),
    f"{_CONSOLE}.roaming.list_stations": _LIST,
    # The other operator is not there: 502 is what the owner gets, who is let through to it.
    f"{_CONSOLE}.roaming.sync_link": Sample({"link": "{link}"}, owner=(502,)),
    f"{_CONSOLE}.roaming.list_orders": _LIST,
    f"{_CONSOLE}.roaming.get_order": Sample(_ROAMING),
    f"{_CONSOLE}.roaming.start_order": Sample(
        body={"link": "{link}", "connector": "{roaming_connector}", "request_id": "r-1"}, owner=(201,)
    ),
    f"{_CONSOLE}.roaming.check_connector": Sample({"link": "{link}", "connector": "{roaming_connector}"}, owner=(502,)),
    f"{_CONSOLE}.roaming.station_stats": Sample(
        {"link": "{link}", "station": "770001"}, query="first=2026-01-05&last=2026-01-05", owner=(502,)
    ),
    f"{_CONSOLE}.roaming.stop_order": Sample(_ROAMING, owner=(502,)),
    f"{_APP}.stations.list_stations": _LIST,
    f"{_APP}.stations.get_station": Sample({"station": "{station}"}),
    f"{_APP}.stations.get_connector": Sample({"connector": CONNECTOR}),
    f"{_APP}.stations.scan": Sample(query=f"text=hlht://{CONNECTOR}.MA5DEMO01/"),
    f"{_APP}.stations.quote": Sample({"connector": CONNECTOR}),
    f"{_APP}.orders.start_order": Sample(body=_START, owner=(201,)),
    f"{_APP}.orders.start_parallel": Sample(body=_TOGETHER, owner=(201,)),
    f"{_APP}.orders.get_order": Sample(_ORDER),
    f"{_APP}.orders.stop_order": Sample(_ORDER, owner=(202,)),
    f"{_APP}.reservations.reserve": Sample(body=_RESERVE, owner=(201,)),
    f"{_APP}.reservations.get_reservation": Sample({"reservation": "{reservation}"}),
    f"{_APP}.reservations.cancel_reservation": Sample({"reservation": "{reservation}"}),
    # Not by token: the path's random part names one connection of one tenant, whoever calls.
    "hub.web.callbacks.receive_parking_push": Sample({"inbound_token": "{inbound}"}, stranger=200),
}


def operations() -> Iterator[Operation]:
    for contract in CONTRACTS:
        document = openapi.load(contract)
        base = document["servers"][0]["url"]
        for path, item in document["paths"].items():
            for method in METHODS:
                if method in item:
                    known = item[method]["operationId"]
                    yield Operation(contract, method, base + path, known, "security" in document)


OPERATIONS = list(operations())


@pytest.fixture
def tokens(stage: Stage) -> Tokens:
    return stage.tokens


@pytest.fixture
def things(stage: Stage, request: pytest.FixtureRequest) -> dict[str, str]:
    """Fresh for each test that may change something; reading changes nothing."""
    called = request.node.callspec.params.get("operation") if hasattr(request.node, "callspec") else None
    if called is not None and called.method == "get":
        return dict(request.getfixturevalue("standing"))
    return _things(stage.hub)


@pytest.fixture(scope="module")
def standing(stage: Stage) -> dict[str, str]:
    """Made once, for the tests in which nobody is let in."""
    return _things(stage.hub)


def _things(hub: Container) -> dict[str, str]:
    """One of everything that belongs to `demo`: earlier orders are over, connectors free."""
    with hub.db.session("demo") as session:
        for row in session.scalars(select(Connector)):
            row.state, row.reserved_until = ConnectorState.IDLE, None
        session.execute(update(Reservation).values(state=ReservationState.CANCELLED))
        for earlier in session.scalars(select(ChargeOrder)):
            earlier.state = OrderState.SETTLED
        session.flush()
        order = _order(session, hub)
        link = session.scalars(select(PartnerLink)).one()
        link.slug = "only-demo"  # the links of both tenants must not meet by name
        link.options = {**link.options, "role": "both"}
        link.version += 1
        found = {
            "order": order.id,
            "seq": order.start_charge_seq or "",
            "request": new_id(),
            "station": session.scalars(select(Station)).one().id,
            "link": link.slug,
            "link_id": link.id,
            "delivery": _delivery(session, hub.clock, link.id, order.id),
            **_open_deliveries(session, hub.clock, link.id),
            "regulator_id": _destinations(session, hub.clock, link.id),
            "inbound": session.scalars(select(ParkConnection.inbound_token)).first() or "",
        }
        found["billed"] = _billed(session, hub)
        found |= _accounts(session, hub.clock, link.id, order)
        found |= _devices(session, hub)
        found |= _accounts_of_members(session, hub)
        found |= _abroad(session, hub.clock, link.id)
        found |= _kept(session, hub)
        session.add(_exchange(hub.clock, link.id))
        session.add(_refused(hub.clock))
    return found


def _order(session: HubSession, hub: Container) -> ChargeOrder:
    request = StartRequest(
        connector_code=CONNECTOR, origin=Origin.APP, link_id="app:demo", start_charge_seq=new_id(), plate="浙A12345"
    )
    outcome = start_order(session, hub.order_context, request)
    order = outcome.order
    assert order is not None, outcome
    return order


def _billed(session: HubSession, hub: Container) -> str:
    """A settled order whose pile says another sum than our bill."""
    now = hub.clock.now()
    request = StartRequest(
        connector_code=THIRD + "01", origin=Origin.APP, link_id="app:demo", start_charge_seq=new_id()
    )
    outcome = start_order(session, hub.order_context, request)
    order = outcome.order
    assert order is not None, outcome
    record = TradeFacts(
        {RateClass.FLAT: Decimal(10)}, now - timedelta(hours=1), now, Decimal(0), Decimal(0), Decimal(10), Decimal(99),
        0x40, None, None, now,
    )  # fmt: skip
    settle(session, hub.order_context, order.id, record)
    return order.id


def _delivery(session: HubSession, clock: Clock, link_id: str, order_id: str) -> str:
    row = DeliveryRow(
        id=new_id(), destination_kind="partner", destination_id=link_id, interface="notification_charge_order_info",
        object_key=order_id, object_version=1, lane_order=1, priority=1, state="dead", next_attempt_at=clock.now(),
        snapshot={}, policy_name="p", policy_version="1", occurred_at=clock.now(), created_at=clock.now(),
    )  # fmt: skip
    session.add(row)
    return row.id


def _open_deliveries(session: HubSession, clock: Clock, link_id: str) -> dict[str, str]:
    """One that waits and one that is held, which also makes an entry in the record of actions."""
    found = {}
    for name in ("waiting", "held"):
        row = session.get_one(DeliveryRow, _delivery(session, clock, link_id, new_id()))
        row.state = "waiting"
        found[name] = row.id
    session.flush()
    hold_delivery(session, found["held"], "li", "wait", clock)
    return found


def _destinations(session: HubSession, clock: Clock, link_id: str) -> str:
    """The partner's link is served, the regulator's is held."""
    regulator_id = session.scalars(select(RegulatorLink.id)).one()
    for kind, key, held in (("partner", link_id, False), ("regulator", regulator_id, True)):
        session.merge(DestinationState(tenant_id="demo", kind=kind, destination_id=key, held=held, hold_reason="why"))
    return regulator_id


def _devices(session: HubSession, hub: Container) -> dict[str, str]:
    for earlier in session.scalars(select(FirmwareRollout)):
        earlier.state = "cancelled"
    session.flush()
    asked = Asked("test")
    rollout = hub.firmware.begin(session, Package("10.1.2.3", "fw.bin", "ftp", "secret"), Plan("V2", [THIRD]), asked)
    command = ask(session, hub.clock, hub.waker, Request(CommandKind.SYNC_TIME, PILE), asked)
    lock = GroundLock(
        connector_code=CONNECTOR, tenant_id="demo", position="raised", occupied=False, battery_percent=80, alarm=None,
        reported_at=hub.clock.now(),
    )  # fmt: skip
    session.merge(lock)
    return {"rollout": rollout.id, "command": command.id}


def _kept(session: HubSession, hub: Container) -> dict[str, str]:
    """A connector kept for a user of the app, a record of nobody, an alarm."""
    now = hub.clock.now()
    wish = Wish(
        connector_code=THIRD + "01", desk="app:demo", request_id=new_id(), minutes=15, asked_by="test",
        payer=Holder(plate="浙A12345"),
    )  # fmt: skip
    reservation = reserve(session, hub.order_context, wish).reservation
    assert reservation is not None
    record = TradeRecord(
        new_id(), PILE, 1, now - timedelta(hours=1), now, (), None, None, Decimal(10), None, Decimal(11), None, 1, 0x40,
        StopCategory.REMOTE, None, None, True, "68", now,
    )  # fmt: skip
    take_record(session, hub.order_context, record, "demo")
    row = session.scalars(select(TradeRecordRow).where(TradeRecordRow.trade_number == record.trade_number)).one()
    raise_alarm(session, "demo", "charge_interrupted", new_id(), f"{PILE} 充电中断", now)
    return {"reservation": reservation.id, "record": row.id}


def _accounts_of_members(session: HubSession, hub: Container) -> dict[str, str]:
    """The member of the example, under names that the other tenant's has not; its card waits to be on a pile's list."""
    card = session.scalars(select(MemberCard).where(MemberCard.offline)).one()
    card.member.code = "only-demo-fleet"
    session.flush()
    pile = require_pile(session, PILE)
    want_cards(session, pile, hub.clock.now())
    return {"member": card.member.code, "card": card.id}


def _accounts(session: HubSession, clock: Clock, link_id: str, order: ChargeOrder) -> dict[str, str]:
    now, seq = clock.now(), order.start_charge_seq or ""
    statement = PartnerStatement(
        id=new_id(), link_id=link_id, direction="out", check_seq=new_id(), starts_at=now, ends_at=now, order_count=1,
        energy_kwh=Decimal(1), total_yuan=Decimal(1), state="answered", answer={}, created_at=now,
    )  # fmt: skip
    case = Contest(link_id=link_id, start_charge_seq=seq, source="statement", order_id=order.id)
    session.add(statement)
    return {"statement": statement.id, "dispute": contest(session, case, now).id}


def _abroad(session: HubSession, clock: Clock, link_id: str) -> dict[str, str]:
    now = clock.now()
    station = RoamingStation(
        id=new_id(), link_id=link_id, operator_id="MA5OPER01", station_id=new_id(), name="异地站", info={},
        seen_at=now, changed_at=now,
    )  # fmt: skip
    connector = RoamingConnector(
        id=new_id(), link_id=link_id, station_row_id=station.id, connector_id=new_id(), equipment_id="1", info={}
    )
    order = RoamingOrder(
        id=new_id(), link_id=link_id, start_charge_seq=new_id(), connector_id=connector.connector_id, state="charging",
        plate="浙A12345", created_at=now, queries=0, history=[],
    )  # fmt: skip
    session.add(station)
    session.flush()
    session.add_all([connector, order])
    return {"roaming_connector": connector.connector_id, "roaming_order": order.id}


def _exchange(clock: Clock, link_id: str) -> ExchangeRow:
    return ExchangeRow(
        id=new_id(), kind="partner", link_id=link_id, direction="in", interface="query_token", at=clock.now(),
        duration_ms=1, path="/demo/evcs/v1/query_token",
    )  # fmt: skip


def _refused(clock: Clock) -> RefusedLogin:
    return RefusedLogin(
        id=new_id(), pile_code="32010600000001", address=new_id(), protocol="ykc", reason="disabled",
        tenant_id="demo", first_at=clock.now(), last_at=clock.now(),
    )  # fmt: skip


def call(stage: Stage, operation: Operation, headers: dict[str, str], things: dict[str, str]) -> Any:
    """One call with the owner's ids."""
    sample = SAMPLES[operation.id]
    path = operation.path.format(**{name: value.format(**things) for name, value in sample.path.items()})
    body = None if sample.body is None else {k: _filled(v, things) for k, v in sample.body.items()}
    return stage.client.request(operation.method, f"{path}?{sample.query}", headers=headers, json=body)


def _filled(value: Any, things: dict[str, str]) -> Any:
    return value.format(**things) if isinstance(value, str) else value


def test_every_operation_has_a_sample_and_every_sample_an_operation() -> None:
    assert {operation.id for operation in OPERATIONS} == set(SAMPLES)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id.removeprefix("hub.web."))
def test_another_tenant_gets_nothing_of_the_owners(
    stage: Stage, operation: Operation, tokens: Tokens, things: dict[str, str]
) -> None:
    sample = SAMPLES[operation.id]
    answer = call(stage, operation, tokens.other, things)
    assert answer.status_code == sample.stranger, answer.text
    for secret in ("MA5DEMO01", "32010600000001", "浙A12345", things["link_id"], things["station"], things["seq"]):
        assert secret not in answer.text or secret in str(answer.request.url)
    owned = call(stage, operation, tokens.demo, things)
    assert owned.status_code in sample.owner, owned.text
    if sample.lists:
        assert owned.json()["items"], "the positive control is empty"


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.secured], ids=lambda operation: operation.id)
def test_nothing_is_answered_without_a_token(stage: Stage, operation: Operation, standing: dict[str, str]) -> None:
    answer = call(stage, operation, {}, standing)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    guess = {"Authorization": f"Bearer hub_{new_id()}_guess"}
    assert call(stage, operation, guess, standing).status_code == 401


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.method != "get" and o.contract == "console"],
                         ids=lambda operation: operation.id)  # fmt: skip
def test_a_reading_token_changes_nothing(
    stage: Stage, operation: Operation, tokens: Tokens, standing: dict[str, str]
) -> None:
    assert call(stage, operation, tokens.reader, standing).status_code == 403


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if o.contract == "app"], ids=lambda operation: operation.id
)
def test_a_console_token_is_not_an_app(
    stage: Stage, operation: Operation, tokens: Tokens, standing: dict[str, str]
) -> None:
    assert call(stage, operation, tokens.reader, standing).status_code == 403


def test_an_order_of_another_desk_is_unknown_to_the_app(stage: Stage, tokens: Tokens, things: dict[str, str]) -> None:
    client = stage.client
    started = client.post(
        "/api/console/v1/orders", headers=tokens.demo, json={"connector": FREE, "request_id": things["request"]}
    )
    assert started.status_code == 201, started.text
    mine = client.get(f"/api/app/v1/orders/{things['seq']}", headers=tokens.demo)
    assert mine.json()["id"] == things["order"]
    assert client.get(f"/api/app/v1/orders/{started.json()['id']}", headers=tokens.demo).status_code == 404
