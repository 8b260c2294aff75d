"""The partners room on a real database, behind a real HTTP door, with the fake partner platform on the other side."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.orders import progress
from charging_core.orders.facts import Reading, TradeFacts
from charging_core.orders.model import ChargeOrder
from charging_core.orders.ports import OrderContext
from charging_core.orders.service import find_order
from charging_core.orders.settlement import settle
from charging_core.secretbox import SecretBox
from charging_core.tariffs.periods import RateClass
from partners.fake.partner import FakePartner
from partners.links import Link
from partners.room import PartnerRoom
from partners.specs import PartnerLinkSpec, save_link
from partners.tcec102.contract import Contract
from partners.tcec102.memory import NoLimit
from partners.tcec102.receive import Door, receive
from partners.tcec102.visit import InboundCall
from tests.support.seed import Seeded, order_context, seed_operator
from worker.api import Registry
from worker.model import DeliveryRow
from worker.runtime import WorkerRuntime
from worker.settings import WorkerSettings

PARTNER = "MA5PARTN1"
OUR_KEYS = {"operator_secret": "hub-secret-0001", "data_secret": "hubDataKey000001", "data_iv": "hubInitVector001"}
OUR_KEYS |= {"sig_secret": "hubSignKey000001"}
THEIR_KEYS = {"operator_secret": "their-secret-01", "data_secret": "thrDataKey000001", "data_iv": "thrInitVector001"}
THEIR_KEYS |= {"sig_secret": "thrSignKey000001"}


def link_spec(base_url: str | None = None, **changes: Any) -> PartnerLinkSpec:
    """A link to the fake partner; `changes` replace members."""
    keys: dict[str, Any] = {"inbound": {name: SecretStr(text) for name, text in OUR_KEYS.items()}}
    if base_url:
        keys["outbound"] = {name: SecretStr(text) for name, text in THEIR_KEYS.items()}
    members = {
        "id": "demo-partner",
        "name": "演示平台",
        "our_operator_id": "MA5TEST01",
        "their_operator_id": PARTNER,
        "outbound_base": base_url,
        "keys": keys,
    }
    return PartnerLinkSpec.model_validate(members | changes)


class HttpDoor:
    """The protocol's door on a socket of its own."""

    def __init__(self, door: Door) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1  # one write per answer: two would wait for the delayed ACK of the first

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                head, slash, interface = self.path.rpartition("/")
                call = InboundCall(head + slash, interface, body, self.headers.get("Authorization"), "127.0.0.1")
                payload = receive(call, door).payload
                self.send_response(200)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class World:
    """Everything a test touches."""

    db: Database
    clock: ManualClock
    box: SecretBox
    seeded: Seeded
    context: OrderContext
    room: PartnerRoom
    door: Door
    worker: WorkerRuntime
    fake: FakePartner

    @property
    def tenant(self) -> str:
        return self.seeded.tenant_id

    @property
    def connector(self) -> str:
        return self.seeded.connectors[0]

    def save(self, spec: PartnerLinkSpec) -> Link:
        with self.db.session(self.tenant) as session:
            save_link(session, self.clock, self.box, spec)
        self.room.book.refresh()
        return self.room.book.by_slug(self.tenant, spec.id)

    def link(self, **changes: Any) -> Link:
        """Connect the fake partner."""
        return self.save(link_spec(self.fake.base_url, **changes))

    def ask(self, interface: str, body: dict[str, Any]) -> dict[str, Any]:
        """What the hub answers the fake partner; fails unless Ret is 0."""
        answer = self.fake.call(interface, body)
        assert answer.ret == 0, answer
        return dict(answer.data or {})

    def deliver(self) -> int:
        """Relay and deliver what is due now."""
        return self.worker.run_until_idle()

    def received(self, interface: str) -> list[dict[str, Any]]:
        """The bodies the fake partner has accepted, oldest first."""
        entries = [e for e in self.fake.journal.entries() if e.get("interface") == interface]
        return [entry["body"] for entry in entries if entry.get("body") is not None]

    def deliveries(self, interface: str) -> list[DeliveryRow]:
        with self.db.read(self.tenant) as session:
            found = session.query(DeliveryRow).filter(DeliveryRow.interface == interface)
            return found.order_by(DeliveryRow.id).all()

    # -- what a pile would do

    def order(self, seq: str) -> ChargeOrder:
        with self.db.read(self.tenant) as session:
            found = find_order(session, seq)
            assert found is not None
            return found

    def reading(self, seq: str, energy: str = "0", **more: Any) -> None:
        """A charging sample now."""
        values: dict[str, Any] = {"voltage_v": Decimal("402.6"), "current_a": Decimal("98.2"), "soc": 57} | more
        order_id = self.order(seq).id
        sample = Reading(
            at=self.clock.now(),
            energy_kwh=Decimal(energy),
            minutes_charged=1,
            minutes_remaining=30,
            pile_amount=Decimal(0),
            **values,
        )
        with self.db.session(self.tenant) as session:
            progress.reading_seen(session, self.context, order_id, sample)

    def record(self, seq: str, energy: dict[RateClass, str], stop_code: int = 0x40) -> None:
        """The trade record arrives now."""
        order = self.order(seq)
        energies = {rate_class: Decimal(text) for rate_class, text in energy.items()}
        total = sum(energies.values(), Decimal(0))
        facts = TradeFacts(
            energy_by_class=energies,
            started_at=order.started_at,
            ended_at=self.clock.now(),
            meter_start=Decimal(100),
            meter_end=Decimal(100) + total,
            total_energy=total,
            pile_amount=Decimal(0),
            stop_code=stop_code,
            stop_category=None,
            vin=None,
            received_at=self.clock.now(),
        )
        with self.db.session(self.tenant) as session:
            assert settle(session, self.context, order.id, facts)

    def begin(self, plate: str = "") -> str:
        """The fake partner looks at the price and starts a charge; the shortest honest way. Returns the sequence."""
        seq = f"{PARTNER}{self.clock.now():%y%m%d%H%M%S}000001"
        policy = self.ask("query_equip_business_policy", {"EquipBizSeq": seq, "ConnectorID": self.connector})
        with self.fake.books_lock:
            self.fake.books.open_page(seq, self.connector, plate, policy["PolicyInfos"])
        body = {"StartChargeSeq": seq, "ConnectorID": self.connector, "QRCode": ""}
        answer = self.ask("query_start_charge", body | ({"PlateNum": plate} if plate else {}))
        assert answer["SuccStat"] == 0
        return seq

    def play(self, plate: str = "") -> str:
        """The fake partner starts a charge; 40 minutes later it is settled. Returns the sequence."""
        seq = self.begin(plate)
        self.clock.advance(timedelta(seconds=10))
        self.reading(seq)
        self.clock.advance(timedelta(minutes=40))
        self.reading(seq, "30.5")
        self.record(seq, {RateClass.FLAT: "30.5000"})
        return seq


@pytest.fixture(scope="session")
def standard_contract() -> Contract:
    """Compiled once: it takes longer than most tests."""
    return Contract.standard()


@pytest.fixture
def world(db: Database, manual_clock: ManualClock, standard_contract: Contract) -> Iterator[World]:
    seeded = seed_operator(db, manual_clock.now())
    context, _ = order_context(manual_clock)
    box = SecretBox(["a-key-of-16-chars-or-more"])
    room = PartnerRoom(db, context, box, contract=standard_contract)
    door = room.door(NoLimit())
    registry = Registry()
    room.register(registry)
    http = HttpDoor(door)
    config = {
        "operator_id": PARTNER,
        "hub_operator_id": seeded.operator_id,
        "hub_base_url": f"{http.url}/{seeded.tenant_id}/evcs/v1",
        "keys": THEIR_KEYS,
        "hub_keys": OUR_KEYS,
    }
    worker = WorkerRuntime(db, manual_clock, registry, WorkerSettings())
    with FakePartner(config, manual_clock) as fake:
        yield World(db, manual_clock, box, seeded, context, room, door, worker, fake)
        room.stop()
    http.close()
