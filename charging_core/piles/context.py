"""What every connection shares with its server: bundled, so that a session can be built in a test with any part replaced."""

from dataclasses import dataclass, field

from charging_core.clock import Clock
from charging_core.piles.commands import CommandDesk, CommandPump
from charging_core.piles.ports import PilePorts
from charging_core.piles.registry import LinkRegistry
from charging_core.piles.routes import RoutePublisher
from charging_core.piles.settings import PileServerSettings
from charging_core.piles.watch import FrameWatch
from charging_core.piles.writers import WriterPool


@dataclass(frozen=True, slots=True)
class PileContext:
    """The shared parts. Everything here is used from the event loop unless its own words say otherwise."""

    ports: PilePorts
    settings: PileServerSettings
    clock: Clock
    writers: WriterPool
    registry: LinkRegistry
    pump: CommandPump
    desk: CommandDesk
    routes: RoutePublisher
    watch: FrameWatch = field(default_factory=FrameWatch)
