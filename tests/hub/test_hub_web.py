"""The edge: probes that tell the truth, problem documents, limits, pages that load nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, select, text
from starlette.testclient import TestClient

from charging_core.access import Scope, create_token, revoke_token
from charging_core.ids import new_id
from charging_core.stations.model import Connector, ConnectorState
from hub.container import Container, Role
from hub.edge import build_edge
from hub.limits import LocalRateLimiter
from hub.web.pages import DOCUMENTS
from parking.model import ParkConnection, Passage
from tests.hub.conftest import Stage, Tokens, make_tokens
from tests.hub.hub_rig import example_text, other_tenant_text

CONNECTOR = "3201060000000101"


@pytest.fixture
def client(stage: Stage) -> TestClient:
    return stage.client


@pytest.fixture
def tokens(stage: Stage) -> Tokens:
    return stage.tokens


@pytest.fixture
def shared(stage: Stage) -> Container:
    """The hub behind `client`."""
    return stage.hub


def test_alive_and_ready(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"]["database"].endswith("schema at head")


def test_ready_is_false_with_reasons_when_the_schema_is_not_ours(hub: Container) -> None:
    engine = create_engine(hub.settings.owner_url)
    with TestClient(build_edge(hub, {Role.WEB})) as client:
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM alembic_version"))
            connection.execute(text("INSERT INTO alembic_version VALUES ('older')"))
        engine.dispose()
        answer = client.get("/readyz")
        alive = client.get("/healthz")
    assert answer.status_code == 503
    assert "older" in answer.json()["reasons"][0]
    assert alive.status_code == 200


def test_ready_is_false_before_the_parts_are_started(hub: Container) -> None:
    unstarted = TestClient(build_edge(hub, {Role.WEB}))
    answer = unstarted.get("/readyz")
    assert answer.status_code == 503
    assert any("not started" in reason for reason in answer.json()["reasons"])


def test_metrics_count_requests(client: TestClient) -> None:
    client.get("/api/console/v1/stations")
    assert 'hub_web_requests_total{area="/api/console",status="401"}' in client.get("/metrics").text


@pytest.mark.parametrize("path", ["/", "/docs", *(f"/docs/{name}/" for name in DOCUMENTS)])
def test_pages_load_nothing_from_other_hosts(client: TestClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page.text)
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for asset in re.findall(r'(?:src|href)="(/[^"]+\.(?:js|css))"', page.text):
        assert client.get(asset).status_code == 200


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_can_be_shown(client: TestClient, name: str) -> None:
    assert client.get(f"/docs/{name}/openapi.json").json()["openapi"].startswith("3.0")
    assert f"/docs/{name}/openapi.json" in client.get(f"/docs/{name}/start.js").text


def test_unknown_paths_and_documents_are_404(client: TestClient) -> None:
    assert client.get("/nowhere").headers["content-type"] == "application/problem+json"
    assert client.get("/docs/nothing/").status_code == 404
    assert client.get("/nowhere").status_code == 404


@pytest.mark.parametrize(
    ("request_line", "field"),
    [
        ("/stations?limit=9999", "limit"),
        ("/stations?limit=0", "limit"),
        ("/orders?created_from=yesterday", "created_from"),
        ("/deliveries?state=lost", "state"),
        ("/piles/123", "pile"),
    ],
)
def test_a_wrong_parameter_is_named(client: TestClient, tokens: Tokens, request_line: str, field: str) -> None:
    answer = client.get(f"/api/console/v1{request_line}", headers=tokens.demo)
    assert answer.status_code in {400, 422}
    assert answer.json()["field"] == field


def test_a_misspelt_parameter_is_refused(client: TestClient, tokens: Tokens) -> None:
    assert client.get("/api/console/v1/stations?limti=5", headers=tokens.demo).status_code == 400


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"connector": CONNECTOR}, "request_id"),
        ({"connector": CONNECTOR, "request_id": "a", "limit_yuan": "1.234"}, "limit_yuan"),
        ({"connector": CONNECTOR, "request_id": "a", "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_member_is_named(client: TestClient, tokens: Tokens, body: dict[str, str], field: str) -> None:
    answer = client.post("/api/app/v1/orders", headers=tokens.demo, json=body)
    assert answer.status_code == 400
    assert answer.json()["field"] == field


def test_a_start_is_answered_with_its_reason(client: TestClient, tokens: Tokens) -> None:
    answer = client.post(
        "/api/app/v1/orders", headers=tokens.demo, json={"connector": "3201060000000301", "request_id": "offline"}
    )
    assert (answer.status_code, answer.json()["reason"]) == (409, "offline")


def test_a_repeated_start_gets_the_same_order(shared: Container, client: TestClient, tokens: Tokens) -> None:
    with shared.db.session("demo") as session:
        session.scalars(select(Connector).where(Connector.code == CONNECTOR)).one().state = ConnectorState.IDLE
    body = {"connector": CONNECTOR, "request_id": "r1", "limit_yuan": "50.00"}
    first = client.post("/api/app/v1/orders", headers=tokens.demo, json=body)
    again = client.post("/api/app/v1/orders", headers=tokens.demo, json=body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    elsewhere = client.post("/api/app/v1/orders", headers=tokens.demo, json=body | {"connector": CONNECTOR[:-1] + "2"})
    assert elsewhere.json()["reason"] == "conflicting_repeat"


def test_pages_of_a_list_follow_each_other(client: TestClient, tokens: Tokens) -> None:
    seen: list[str] = []
    after = ""
    while True:
        page = client.get(f"/api/console/v1/connectors?limit=2{after}", headers=tokens.demo).json()
        seen += [item["code"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen)) == 5


def test_stations_come_nearest_first(client: TestClient, tokens: Tokens) -> None:
    near = client.get("/api/app/v1/stations?lng=120.130663&lat=30.276694", headers=tokens.demo).json()["items"]
    assert near[0]["distance_km"] == "0.00"
    far = client.get("/api/app/v1/stations?lng=116.4&lat=39.9&within_km=100", headers=tokens.demo).json()["items"]
    assert far == []


def test_a_revoked_or_expired_token_is_refused(shared: Container, client: TestClient, tokens: Tokens) -> None:
    now = shared.clock.now()
    with shared.db.session("demo") as session:
        row, plaintext = create_token(session, "short", [Scope.CONSOLE_READ], now)
        _expired, old = create_token(session, "old", [Scope.CONSOLE_READ], now, now - timedelta(seconds=1))
    header = {"Authorization": f"Bearer {plaintext}"}
    assert client.get("/api/console/v1/stations", headers=header).status_code == 200
    with shared.db.session("demo") as session:
        assert revoke_token(session, row.id, now)
    assert client.get("/api/console/v1/stations", headers=header).status_code == 401
    assert client.get("/api/console/v1/stations", headers={"Authorization": f"Bearer {old}"}).status_code == 401


def test_a_caller_beyond_its_budget_gets_429(hub: Container, apply_text: Callable[..., object]) -> None:
    apply_text(example_text())
    apply_text(other_tenant_text())
    tokens = make_tokens(hub)
    hub.limiter = LocalRateLimiter(3)
    with TestClient(build_edge(hub, {Role.WEB})) as client:
        statuses = [client.get("/api/console/v1/stations", headers=tokens.demo).status_code for _ in range(4)]
        other = client.get("/api/console/v1/stations", headers=tokens.other).status_code
    assert statuses == [200, 200, 200, 429]
    assert other == 200


def test_a_budget_begins_anew_every_minute() -> None:
    now = [0.0]
    limiter = LocalRateLimiter(1, lambda: now[0])
    assert [limiter.allow("a"), limiter.allow("a"), limiter.allow("b")] == [True, False, True]
    now[0] = 60.0
    assert limiter.allow("a")


def test_a_body_beyond_the_limit_is_refused_before_the_token(shared: Container, client: TestClient) -> None:
    answer = client.post("/api/app/v1/orders", content=b"x" * (shared.settings.max_body_bytes + 1))
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_a_streamed_body_beyond_the_limit_is_refused(shared: Container, client: TestClient) -> None:
    chunks = (b"x" * 65_536 for _ in range(shared.settings.max_body_bytes // 65_536 + 1))
    assert client.post("/api/app/v1/orders", content=chunks).status_code == 413


ANPR = """<?xml version="1.0" encoding="UTF-8"?>
<EventNotificationAlert version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">
<ipAddress>127.0.0.1</ipAddress><channelID>1</channelID><dateTime>{now}</dateTime><eventType>ANPR</eventType>
<eventState>active</eventState><eventDescription>ANPR</eventDescription><UUID>{uuid}</UUID>
<ANPR><licensePlate>{plate}</licensePlate><confidenceLevel>98</confidenceLevel><direction>forward</direction></ANPR>
</EventNotificationAlert>"""


@pytest.mark.parametrize(
    ("kind", "plate"),
    [
        ("application/xml", "浙AD12341"),
        ("multipart", "浙AD12342"),
        ("application/x-www-form-urlencoded", "浙AD12343"),
        ("", "浙AD12344"),
    ],
)
def test_a_passage_pushed_by_a_camera_is_stored(
    shared: Container, client: TestClient, tokens: Tokens, kind: str, plate: str
) -> None:
    with shared.db.read("demo") as session:
        query = select(ParkConnection.inbound_token).where(ParkConnection.code == "entry-camera")
        path = f"/callbacks/parking/{session.scalars(query).one()}"
    xml = ANPR.format(now=shared.clock.now().isoformat(timespec="seconds"), uuid=new_id(), plate=plate).encode()
    if kind == "multipart":
        answer = client.post(path, files={"anpr.xml": ("anpr.xml", xml, "application/xml")})
    else:
        answer = client.post(path, content=xml, headers={"content-type": kind})
    assert (answer.status_code, answer.json()) == (200, {"result": "recorded"})
    with shared.db.read("demo") as session:
        assert plate in {row.plate for row in session.scalars(select(Passage))}


def test_an_unknown_path_of_a_camera_is_404(client: TestClient) -> None:
    assert client.post(f"/callbacks/parking/{'x' * 32}", content=b"<a/>").status_code == 404


def test_a_partner_is_answered_at_its_own_door(client: TestClient) -> None:
    answer = client.post("/demo/evcs/v1/query_token", content=b"{}")
    assert (answer.status_code, answer.json()["Ret"]) == (200, 4003)
