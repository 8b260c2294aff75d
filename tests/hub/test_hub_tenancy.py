"""Every operation of every contract is called by its owner and by another tenant (DECISIONS 33).

The cases are generated from the contracts: an operation without a sample here fails. The owner's call is the positive control; the
other tenant, with all scopes and the owner's ids, must not see or change anything of the owner's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

import openapi
from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.ids import new_id
from charging_core.orders.model import ChargeOrder, Origin
from charging_core.orders.service import StartRequest, start_order
from charging_core.orders.state import OrderState
from charging_core.stations.model import Connector, ConnectorState, RefusedLogin, Station
from hub.container import Container
from parking.model import ParkConnection
from partners.model import ExchangeRow, PartnerLink
from tests.hub.conftest import Stage, Tokens
from worker.model import DeliveryRow

CONTRACTS = ("app", "console", "callbacks")
METHODS = ("get", "post", "put", "patch", "delete")
CONNECTOR = "3201060000000101"
FREE = "3201060000000102"


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
    body: dict[str, str] | None = None
    owner: tuple[int, ...] = (200,)
    stranger: int = 404
    lists: bool = False


_LIST = Sample(lists=True, stranger=200)
_ORDER = {"order": "{order}"}
_START = {"connector": FREE, "request_id": "{request}"}
_CONSOLE, _APP = "hub.web.console", "hub.web.driver"

SAMPLES = {
    f"{_CONSOLE}.stations.list_stations": _LIST,
    f"{_CONSOLE}.stations.get_station": Sample({"station": "{station}"}),
    f"{_CONSOLE}.stations.list_piles": _LIST,
    f"{_CONSOLE}.stations.get_pile": Sample({"pile": "32010600000001"}),
    f"{_CONSOLE}.stations.list_refused_logins": _LIST,
    f"{_CONSOLE}.stations.list_connectors": _LIST,
    f"{_CONSOLE}.stations.get_connector": Sample({"connector": CONNECTOR}),
    f"{_CONSOLE}.orders.list_orders": _LIST,
    f"{_CONSOLE}.orders.start_order": Sample(body=_START, owner=(201,)),
    f"{_CONSOLE}.orders.get_order": Sample(_ORDER),
    f"{_CONSOLE}.orders.stop_order": Sample(_ORDER, owner=(202,)),
    f"{_CONSOLE}.orders.trace_order": Sample(_ORDER),
    f"{_CONSOLE}.links.list_links": _LIST,
    f"{_CONSOLE}.links.get_link": Sample({"link": "{link}"}),
    f"{_CONSOLE}.links.test_link": Sample({"link": "{link}"}),
    f"{_CONSOLE}.links.list_exchanges": _LIST,
    f"{_CONSOLE}.deliveries.list_deliveries": _LIST,
    f"{_CONSOLE}.deliveries.get_delivery": Sample({"delivery": "{delivery}"}),
    f"{_CONSOLE}.deliveries.replay_delivery": Sample({"delivery": "{delivery}"}, owner=(202,)),
    f"{_APP}.stations.list_stations": _LIST,
    f"{_APP}.stations.get_station": Sample({"station": "{station}"}),
    f"{_APP}.stations.get_connector": Sample({"connector": CONNECTOR}),
    f"{_APP}.stations.scan": Sample(query=f"text=hlht://{CONNECTOR}.MA5DEMO01/"),
    f"{_APP}.stations.quote": Sample({"connector": CONNECTOR}),
    f"{_APP}.orders.start_order": Sample(body=_START, owner=(201,)),
    f"{_APP}.orders.get_order": Sample(_ORDER),
    f"{_APP}.orders.stop_order": Sample(_ORDER, owner=(202,)),
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
def things(stage: Stage) -> dict[str, str]:
    """One of everything that belongs to `demo`, fresh for each test: earlier orders are over, connectors free."""
    hub = stage.hub
    with hub.db.session("demo") as session:
        for row in session.scalars(select(Connector)):
            row.state = ConnectorState.IDLE
        for earlier in session.scalars(select(ChargeOrder)):
            earlier.state = OrderState.SETTLED
    with hub.db.session("demo") as session:
        order = _order(session, hub)
        link = session.scalars(select(PartnerLink)).one()
        link.slug = "only-demo"  # the links of both tenants must not meet by name
        link.version += 1
        found = {
            "order": order.id,
            "seq": order.start_charge_seq or "",
            "request": new_id(),
            "station": session.scalars(select(Station)).one().id,
            "link": link.slug,
            "link_id": link.id,
            "delivery": _delivery(session, hub.clock, link.id, order.id),
            "inbound": session.scalars(select(ParkConnection.inbound_token)).first() or "",
        }
        session.add(_exchange(hub.clock, link.id))
        session.add(_refused(hub.clock))
    return found


def _order(session: HubSession, hub: Container) -> ChargeOrder:
    request = StartRequest(
        connector_code=CONNECTOR, origin=Origin.APP, link_id="app:demo", start_charge_seq=new_id(), plate="浙A12345"
    )
    order = start_order(session, hub.order_context, request).order
    assert order is not None
    return order


def _delivery(session: HubSession, clock: Clock, link_id: str, order_id: str) -> str:
    row = DeliveryRow(
        id=new_id(), destination_kind="partner", destination_id=link_id, interface="notification_charge_order_info",
        object_key=order_id, object_version=1, lane_order=1, priority=1, state="dead", next_attempt_at=clock.now(),
        snapshot={}, policy_name="p", policy_version="1", occurred_at=clock.now(), created_at=clock.now(),
    )  # fmt: skip
    session.add(row)
    return row.id


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


@pytest.fixture
def call(stage: Stage, things: dict[str, str]) -> Callable[[Operation, dict[str, str]], Any]:
    """`call(operation, headers)` with the owner's ids."""

    def run(operation: Operation, headers: dict[str, str]) -> Any:
        sample = SAMPLES[operation.id]
        path = operation.path.format(**{name: value.format(**things) for name, value in sample.path.items()})
        body = None if sample.body is None else {k: v.format(**things) for k, v in sample.body.items()}
        return stage.client.request(operation.method, f"{path}?{sample.query}", headers=headers, json=body)

    return run


def test_every_operation_has_a_sample_and_every_sample_an_operation() -> None:
    assert {operation.id for operation in OPERATIONS} == set(SAMPLES)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id.removeprefix("hub.web."))
def test_another_tenant_gets_nothing_of_the_owners(
    operation: Operation, call: Callable[..., Any], tokens: Tokens, things: dict[str, str]
) -> None:
    sample = SAMPLES[operation.id]
    answer = call(operation, tokens.other)
    assert answer.status_code == sample.stranger, answer.text
    for secret in ("MA5DEMO01", "32010600000001", "浙A12345", things["link_id"], things["station"], things["seq"]):
        assert secret not in answer.text or secret in str(answer.request.url)
    owned = call(operation, tokens.demo)
    assert owned.status_code in sample.owner, owned.text
    if sample.lists:
        assert owned.json()["items"], "the positive control is empty"


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.secured], ids=lambda operation: operation.id)
def test_nothing_is_answered_without_a_token(operation: Operation, call: Callable[..., Any]) -> None:
    answer = call(operation, {})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert call(operation, {"Authorization": f"Bearer hub_{new_id()}_guess"}).status_code == 401


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.method != "get" and o.contract == "console"],
                         ids=lambda operation: operation.id)  # fmt: skip
def test_a_reading_token_changes_nothing(operation: Operation, call: Callable[..., Any], tokens: Tokens) -> None:
    assert call(operation, tokens.reader).status_code == 403


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if o.contract == "app"], ids=lambda operation: operation.id
)
def test_a_console_token_is_not_an_app(operation: Operation, call: Callable[..., Any], tokens: Tokens) -> None:
    assert call(operation, tokens.reader).status_code == 403


def test_an_order_of_another_desk_is_unknown_to_the_app(stage: Stage, tokens: Tokens, things: dict[str, str]) -> None:
    client = stage.client
    started = client.post(
        "/api/console/v1/orders", headers=tokens.demo, json={"connector": FREE, "request_id": things["request"]}
    )
    assert started.status_code == 201, started.text
    mine = client.get(f"/api/app/v1/orders/{things['seq']}", headers=tokens.demo)
    assert mine.json()["id"] == things["order"]
    assert client.get(f"/api/app/v1/orders/{started.json()['id']}", headers=tokens.demo).status_code == 404
