"""Keys change while everything runs: no message fails, whichever side is early or late (`specs/tcec102.md` 3)."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr, ValidationError
from sqlalchemy import select

from charging_core.stations.model import Connector, ConnectorState
from charging_core.stations.status import observe
from partners.errors import LinkInvalid
from partners.fake.wire import Keys
from partners.model import PartnerLink
from partners.specs import PartnerLinkSpec
from partners.tcec102.sending import new_session
from tests.partners.business.conftest import OUR_KEYS, THEIR_KEYS, World, link_spec
from worker.api import State
from worker.model import DestinationState

STATUS = "notification_stationStatus"
NEXT_KEYS = {"operator_secret": "next-secret-001", "data_secret": "nxtDataKey000001", "data_iv": "nxtInitVector001"}
NEXT_KEYS |= {"sig_secret": "nxtSignKey000001"}


def secret(keys: dict[str, str]) -> dict[str, Any]:
    return {name: SecretStr(text) for name, text in keys.items()}


def scheduled(world: World, at: datetime) -> dict[str, Any]:
    """The link's keys with the partner's next set due at that instant."""
    return {"inbound": secret(OUR_KEYS), "outbound": secret(THEIR_KEYS) | {"next": secret(NEXT_KEYS) | {"from": at}}}


def push(world: World, number: int) -> None:
    """One more change of status, told at once."""
    state = ConnectorState.FAULT if number % 2 else ConnectorState.IDLE
    with world.db.session(world.tenant) as session:
        connector = session.query(Connector).filter(Connector.code == world.connector).one()
        observe(session, connector, state, False, world.clock.now())
    world.deliver()


@pytest.mark.parametrize("theirs_after_min", [3, 10, 17], ids=["they are early", "at the hour", "they are late"])
def test_no_push_fails_while_the_outbound_set_changes(world: World, theirs_after_min: int) -> None:
    world.link(keys=scheduled(world, world.clock.now() + timedelta(minutes=10)))
    for minute in range(20):
        if minute == theirs_after_min:
            world.fake.link.keys = Keys(**NEXT_KEYS)  # they keep one set only: the worst case
            world.fake.tokens.forget()
        push(world, minute)
        world.clock.advance(timedelta(minutes=1))
    rows = world.deliveries(STATUS)
    assert [(row.state, row.attempt_count) for row in rows] == [(State.DELIVERED, 1)] * 20
    with world.db.read(world.tenant) as session:
        assert not session.query(DestinationState).one().held


def test_after_the_switch_the_new_set_is_used_first(world: World) -> None:
    link = world.link(keys=scheduled(world, world.clock.now() + timedelta(minutes=10)))
    first = [one.keys.operator_secret for one in link.sets_at(world.clock.now())]
    after = [one.keys.operator_secret for one in link.sets_at(world.clock.now() + timedelta(minutes=10))]
    assert (first, after) == (["their-secret-01", "next-secret-001"], ["next-secret-001", "their-secret-01"])
    long_before = link.sets_at(world.clock.now() - timedelta(days=30))
    assert [one.keys.operator_secret for one in long_before] == ["their-secret-01"]


def test_a_set_that_both_sides_refuse_still_holds_the_link(world: World) -> None:
    world.link(keys=scheduled(world, world.clock.now()))
    world.fake.link.keys = Keys(**{name: text[::-1] for name, text in NEXT_KEYS.items()})
    push(world, 1)
    with world.db.read(world.tenant) as session:
        assert session.query(DestinationState).one().held


def test_no_call_of_theirs_fails_while_the_inbound_set_changes(world: World) -> None:
    world.link()
    outcomes = []
    for step in range(9):
        if step == 3:  # we issue a new set, the old one is good for an hour
            until = world.clock.now() + timedelta(hours=1)
            keys = {"inbound": secret(NEXT_KEYS), "inbound_previous": secret(OUR_KEYS) | {"until": until}}
            world.link(keys=keys | {"outbound": secret(THEIR_KEYS)})
        if step == 6:  # they take it into use
            world.fake.link.hub_keys = Keys(**NEXT_KEYS)
            world.fake.hub.forget_token()
        outcomes.append(world.fake.call("query_stations_info", {"PageNo": 1}).ret)
        world.clock.advance(timedelta(minutes=2))
    assert outcomes == [0] * 9


def test_the_replaced_inbound_set_ends_at_its_hour_without_anybody_touching_the_link(world: World) -> None:
    until = world.clock.now() + timedelta(hours=1)
    keys = {"inbound": secret(NEXT_KEYS), "inbound_previous": secret(OUR_KEYS) | {"until": until}}
    world.link(keys=keys | {"outbound": secret(THEIR_KEYS)})
    assert world.fake.call("query_token", {}).ret == 0
    world.clock.advance(timedelta(hours=1))
    world.room.book.refresh()
    assert world.fake.call("query_token", {}).ret == 4001


def test_the_next_set_is_sealed_and_the_diff_hides_it(world: World) -> None:
    link = world.link(keys=scheduled(world, world.clock.now()))
    assert link.outbound_next is not None
    assert "nxtSignKey000001" not in repr(link) + str(link.facts())
    with world.db.read(world.tenant) as session:
        stored = str(session.execute(select(PartnerLink.outbound_next_keys, PartnerLink.options)).all())
    assert "nxtSignKey000001" not in stored


# ------------------------------------------------------------------------------------------------------ environments


def both_environments(wanted: str) -> dict[str, Any]:
    test = {
        "outbound_base": "http://127.0.0.1:1/test",
        "keys": {"inbound": secret(OUR_KEYS), "outbound": secret(THEIR_KEYS)},
    }
    prod = {
        "outbound_base": "https://127.0.0.1:1/prod",
        "keys": {"inbound": secret(NEXT_KEYS), "outbound": secret(NEXT_KEYS)},
    }
    members = {"id": "two", "name": "双环境", "our_operator_id": "MA5TEST01", "their_operator_id": "MA5PARTN1"}
    return members | {"environment": wanted, "environments": {"test": test, "prod": prod}}


def test_test_and_production_have_their_own_addresses_and_keys(world: World) -> None:
    for wanted, secret_text in (("test", "their-secret-01"), ("prod", "next-secret-001")):
        link = world.save(PartnerLinkSpec.model_validate(both_environments(wanted)))
        assert link.outbound is not None
        assert (link.environment, link.outbound.keys.operator_secret) == (wanted, secret_text)
        assert link.outbound.base_url.endswith(wanted)


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": "staging"},
        {"environments": {"prod": {}}},
        {"environments": {"test": {"profile": "xiaoju"}}},
        {"environments": []},
    ],
)
def test_a_wrong_choice_of_environments_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PartnerLinkSpec.model_validate(both_environments("test") | changes)


# ------------------------------------------------------------------------------------------------------ the way out


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_link_with_a_proxy_goes_out_through_it_and_the_others_do_not(world: World) -> None:
    seen: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name: self.headers[name] for name in ("Content-Type", "Authorization") if name in self.headers}
            with new_session() as http:
                answer = http.post(self.path, data=body, headers=headers, timeout=5)
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    with serving(Proxy) as port:
        world.link(proxy=f"http://127.0.0.1:{port}")
        push(world, 1)
        assert [path.rpartition("/")[2] for path in seen] == ["query_token", STATUS]
        world.link()
        push(world, 2)
    assert len(seen) == 2
    assert [row.state for row in world.deliveries(STATUS)] == [State.DELIVERED] * 2


def test_a_proxy_with_a_password_in_clear_is_refused() -> None:
    with pytest.raises(ValidationError):
        link_spec(proxy="http://user:secret@proxy:3128")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate for both sides, signed by itself."""
    folder = tmp_path_factory.mktemp("pem")
    files = {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    openssl = shutil.which("openssl")
    assert openssl, "the openssl program makes the test's certificate"
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, *subject, "-keyout", files["key"], "-out", files["cert"]], check=True, capture_output=True
    )
    return files


def test_our_certificate_is_shown_to_a_partner_that_wants_it(pem: dict[str, str]) -> None:
    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem["cert"], pem["key"])
    context.load_verify_locations(pem["cert"])
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(Door, context) as port:
        url = f"https://127.0.0.1:{port}/"
        with new_session(certificate=(pem["cert"], pem["key"])) as http:
            assert http.post(url, data=b"", verify=pem["cert"], timeout=5).status_code == 204
        with new_session() as http, pytest.raises(requests.ConnectionError):
            http.post(url, data=b"", verify=pem["cert"], timeout=5)


def test_a_certificate_that_is_not_there_is_refused_when_the_link_is_saved(world: World, pem: dict[str, str]) -> None:
    link = world.link(client_certificate=pem)
    assert link.egress.certificate == (pem["cert"], pem["key"])
    missing = {"cert": str(Path(pem["cert"]).with_name("absent.pem")), "key": pem["key"]}
    with pytest.raises(LinkInvalid, match="absent"):
        world.link(client_certificate=missing)
