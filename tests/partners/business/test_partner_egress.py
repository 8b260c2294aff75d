"""How a link gets out: through its own proxy, with its own certificate, trusting its own authorities."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from charging_core.stations.model import Connector, ConnectorState
from charging_core.stations.status import observe
from partners.errors import LinkInvalid, RoamingFailed
from partners.linktest import test_link as run_link_test
from partners.roaming.asking import ask
from partners.specs import PartnerLinkSpec
from tests.partners.business.conftest import OUR_KEYS, World, link_spec
from tests.partners.business.ways import cut_off_after_the_request, listening, make_certificate, proxy, tls_front
from worker.api import State

STATUS = "notification_stationStatus"
AWAY = "127.0.0.1"


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_certificate(tmp_path_factory.mktemp("pem"))


def push(world: World) -> list[Any]:
    """One change of status, told at once; the outcomes of all pushes so far."""
    with world.db.session(world.tenant) as session:
        connector = session.query(Connector).filter(Connector.code == world.connector).one()
        observe(session, connector, ConnectorState.FAULT, False, world.clock.now())
    world.deliver()
    return [row.state for row in world.deliveries(STATUS)]


def found_by_test(world: World) -> dict[str, str]:
    """What the link test finds, by step; the last one may have failed and then begins with a cross."""
    link = world.room.book.by_slug(world.tenant, "demo-partner")
    with world.db.read(world.tenant) as session:
        steps = run_link_test(session, link, world.room.clients, world.clock, lambda: datetime.now(UTC))
    return {step.name_en: step.detail if step.ok else f"✗ {step.detail}" for step in steps}


def secured(world: World, port: int) -> str:
    return f"https://{AWAY}:{port}{world.fake.link.base_path}"


# --------------------------------------------------------------------------------------------------------- certificates


def test_our_certificate_opens_a_door_that_demands_one(world: World, pem: dict[str, str]) -> None:
    with listening(tls_front(world.fake.port, pem, wants_certificate=True)) as port:
        link = world.link(outbound_base=secured(world, port), client_certificate=pem, ca_file=pem["cert"])
        assert link.egress.certificate == (pem["cert"], pem["key"])
        assert push(world) == [State.DELIVERED]
        found = found_by_test(world)
        world.room.clients.close()
    assert found["TLS certificate"].startswith("TLSv1.")
    assert found["harmless call"].startswith(STATUS)


def test_without_it_the_test_of_the_link_says_what_they_want(world: World, pem: dict[str, str]) -> None:
    with listening(tls_front(world.fake.port, pem, wants_certificate=True)) as port:
        world.link(outbound_base=secured(world, port), ca_file=pem["cert"])
        found = found_by_test(world)
        assert push(world) == [State.WAITING]
        world.room.clients.close()
    assert "client_certificate" in found["TLS certificate"]


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_an_authority_that_the_link_does_not_name_is_not_trusted(world: World, pem: dict[str, str]) -> None:
    with listening(tls_front(world.fake.port, pem, wants_certificate=False)) as port:
        world.link(outbound_base=secured(world, port))
        assert "证书不可信" in found_by_test(world)["TLS certificate"]
        assert push(world) == [State.WAITING]
        world.link(outbound_base=secured(world, port), verify_tls=False)
        assert found_by_test(world)["harmless call"].startswith(STATUS)
        world.room.clients.close()


@pytest.mark.parametrize("member", ["cert", "key", "ca_file"])
def test_a_file_that_is_not_there_is_refused_when_the_link_is_saved(
    world: World, pem: dict[str, str], member: str
) -> None:
    files = dict(pem, ca_file=pem["cert"])
    files[member] = str(Path(pem["cert"]).with_name("absent.pem"))
    changes = {"ca_file": files.pop("ca_file"), "client_certificate": files}
    with pytest.raises(LinkInvalid, match=r"absent\.pem") as refused:
        world.link(**changes)
    assert member in refused.value.field


def test_files_lie_beside_the_declaration(pem: dict[str, str]) -> None:
    folder = Path(pem["cert"]).parent
    spec = link_spec()
    members = spec.model_dump(exclude={"keys"}, exclude_none=True)
    keys = {"inbound": {name: SecretStr(text) for name, text in OUR_KEYS.items()}}
    files = {"client_certificate": {"cert": "cert.pem", "key": "key.pem"}, "ca_file": "cert.pem"}
    found = PartnerLinkSpec.model_validate(members | {"keys": keys} | files, context={"folder": str(folder)})
    assert found.client_certificate is not None
    assert (found.ca_file, found.client_certificate.key) == (pem["cert"], pem["key"])


def test_trust_in_somebody_and_in_everybody_is_refused(pem: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="ca_file"):
        link_spec(ca_file=pem["cert"], verify_tls=False)


def test_a_line_that_is_cut_after_the_request_may_have_been_heard(world: World, pem: dict[str, str]) -> None:
    """A start that was sent so may be charging: it is asked after, not called refused."""
    with listening(cut_off_after_the_request(pem)) as port:
        link = world.link(outbound_base=secured(world, port), ca_file=pem["cert"], role="both")
        with pytest.raises(RoamingFailed, match="ConnectionBroken") as failed:
            ask(world.room.clients, link, "query_token", {"OperatorID": "MA5TEST01", "OperatorSecret": "x"})
        world.room.clients.close()
    assert failed.value.sent


# -------------------------------------------------------------------------------------------------------------- proxies


def test_a_link_with_a_proxy_goes_out_through_it_and_the_others_do_not(world: World) -> None:
    seen: list[str] = []
    with listening(proxy(seen)) as port:
        world.link(proxy=f"http://{AWAY}:{port}")
        assert push(world) == [State.DELIVERED]
        assert [line.split()[1].rpartition("/")[2] for line in seen] == ["query_token", STATUS]
        assert "proxy" in found_by_test(world)["TCP connection"]
        before = len(seen)
        world.link()
        assert found_by_test(world)["harmless call"].startswith(STATUS)
        world.room.clients.close()
    assert len(seen) == before


def test_tls_goes_through_the_proxy_with_our_certificate(world: World, pem: dict[str, str]) -> None:
    seen: list[str] = []
    front = tls_front(world.fake.port, pem, wants_certificate=True)
    with listening(proxy(seen)) as port, listening(front) as inner:
        way = {"proxy": f"http://{AWAY}:{port}", "client_certificate": pem, "ca_file": pem["cert"]}
        world.link(outbound_base=secured(world, inner), **way)
        assert push(world) == [State.DELIVERED]
        assert found_by_test(world)["harmless call"].startswith(STATUS)
        world.room.clients.close()
    assert {line.split()[0] for line in seen} == {"CONNECT"}


def test_a_proxy_that_is_not_there_is_told(world: World) -> None:
    with socket.create_server((AWAY, 0)) as held:
        port = held.getsockname()[1]
    world.link(proxy=f"http://{AWAY}:{port}")
    assert "代理不通" in found_by_test(world)["TCP connection"]
    assert push(world) == [State.WAITING]


def test_a_proxy_with_a_password_in_clear_is_refused() -> None:
    with pytest.raises(ValidationError):
        link_spec(proxy="http://user:secret@proxy:3128")
