"""Another operator beside the world's partner: our drivers charge there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from partners.fake.operator import FakeOperator
from partners.links import Link
from partners.roaming.model import RoamingOrder
from partners.roaming.orders import RoamingStart, find_roaming_order
from tests.partners.business.conftest import OUR_KEYS, THEIR_KEYS, World, link_spec

OPERATOR = "MA5OPER01"
CONNECTOR = "77000101"


@dataclass
class Abroad:
    """The hub, the foreign operator, and the link between them."""

    world: World
    fake: FakeOperator
    link: Link

    def start(self, connector: str = CONNECTOR, **more: Any) -> RoamingOrder:
        """A driver of ours starts there."""
        return self.world.room.roaming.start(self.link, RoamingStart(connector_id=connector, **more))

    def order(self, name: str) -> RoamingOrder:
        """The roaming order as it stands."""
        with self.world.db.read(self.world.tenant) as session:
            return find_roaming_order(session, name)

    def state(self, name: str) -> str:
        """Its state."""
        return self.order(name).state

    def calls(self, interface: str) -> int:
        """How often the other side was asked so."""
        return len([entry for entry in self.fake.received(interface) if entry["accepted"]])


@contextmanager
def abroad(world: World, **changes: Any) -> Iterator[Abroad]:
    """A running foreign operator, linked, its stations read."""
    config = {
        "operator_id": OPERATOR,
        "hub_operator_id": world.seeded.operator_id,
        "hub_base_url": world.fake.config.hub_base_url,
        "keys": THEIR_KEYS,
        "hub_keys": OUR_KEYS,
    }
    with FakeOperator(config | changes, world.clock) as fake:
        spec = link_spec(fake.base_url, id="other-operator", their_operator_id=OPERATOR, role="msp")
        link = world.save(spec)
        world.room.mirror.sync(link)
        yield Abroad(world, fake, link)
