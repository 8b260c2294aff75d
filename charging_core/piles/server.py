"""The pile server: its own event loop in its own thread, writer threads beside it (DECISIONS 22).

`start` binds and returns the port; `stop` drains. Between them only `wake` and `links` are called from outside.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

import structlog

from charging_core.clock import Clock
from charging_core.piles import metrics
from charging_core.piles.commands import CommandDesk, CommandPump, Delivery
from charging_core.piles.context import PileContext
from charging_core.piles.errors import PortUnavailable, ServerState
from charging_core.piles.listener import ListenedLink, Listener
from charging_core.piles.ports import PilePorts
from charging_core.piles.protocols.ykc.connection import YkcConnection
from charging_core.piles.registry import LinkRegistry, LinkState
from charging_core.piles.routes import RoutePublisher
from charging_core.piles.settings import PileServerSettings
from charging_core.piles.watch import FrameWatch
from charging_core.piles.writers import WriterPool

log = structlog.get_logger()

BACKLOG = 1024
"""Sockets waiting to be accepted: after a restart all piles come within seconds (specs/ykc.md 15)."""
_JOIN_S = 5.0
"""Patience with a port that hangs in Redis or the database when the server stops; its thread dies with the process."""

_POLL_S = 0.01

T = TypeVar("T")


class PileServer:
    """Listens for YKC piles, and on a port of its own for those of one other protocol. One object serves once: start, then stop."""

    def __init__(
        self,
        host: str,
        port: int,
        ports: PilePorts,
        clock: Clock,
        settings: PileServerSettings | None = None,
        also: Listener | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="pile-loop", daemon=True)
        self._links: set[YkcConnection] = set()
        self._server: asyncio.Server | None = None
        self._also = also
        self.also_port: int | None = None
        """The port of the other protocol, once it listens."""
        self._sweeper: asyncio.Task[None] | None = None
        self._started = self._stopped = False
        self._context = self._wire(ports, clock, settings or PileServerSettings())

    def _wire(self, ports: PilePorts, clock: Clock, settings: PileServerSettings) -> PileContext:
        registry = LinkRegistry()
        pump = CommandPump(ports.commands, ports.tariffs, clock, settings.poll_s, registry.codes, self._hand_over)
        return PileContext(
            ports=ports,
            settings=settings,
            clock=clock,
            writers=WriterPool(
                ports.sink, self._report, settings.writer_threads, settings.queue_limit, settings.batch_limit
            ),
            registry=registry,
            pump=pump,
            desk=CommandDesk(pump, clock, settings.answer_timeout_s),
            routes=RoutePublisher(ports.routes, registry.codes, settings.route_refresh_s),
        )

    # -- from outside

    def start(self) -> int:
        """Bind, start all threads, and return the bound port. Raises `PortUnavailable`, or `ServerState` the second time."""
        if self._started:
            raise ServerState("the pile server was started before")
        self._started = True
        self._loop = _new_loop()
        self._thread.start()
        try:
            port = self._in_loop(self._listen())
        except PortUnavailable:
            self._in_loop(self._stop_listening())
            self._end_loop()
            raise
        self._context.writers.start()
        self._context.pump.start()
        self._context.routes.start()
        log.info("pile_server_started", host=self._host, port=port, also_port=self.also_port)
        return port

    def stop(self, drain_s: float = 10.0) -> bool:
        """Stop accepting, store and acknowledge what was received, close the links, end the threads.

        True when everything received was stored within `drain_s`; what was not is unacknowledged and comes again.
        """
        if not self._started or self._stopped:
            return True
        self._stopped = True
        deadline = time.monotonic() + drain_s
        self._context.pump.pause()
        self._drain(deadline)
        self._context.pump.stop()
        self._context.routes.stop()
        drained = self._context.writers.stop(deadline)
        self._context.pump.join(_JOIN_S)
        self._context.routes.join(_JOIN_S)
        self._end_loop()
        log.info("pile_server_stopped", drained=drained)
        return drained

    def wake(self, pile_code: str | None = None) -> None:
        """A command waits for this pile (None: for some pile). From any thread; cheap; safe to lose."""
        self._context.pump.wake(pile_code)

    def links(self) -> list[LinkState]:
        """The connected piles. From any thread."""
        return self._context.registry.states()

    @property
    def watch(self) -> FrameWatch:
        """The live traffic of piles. From any thread."""
        return self._context.watch

    def alive(self) -> bool:
        """Whether the loop and its threads run; for readiness checks."""
        return self._thread.is_alive() and self._context.pump.is_alive() and not self._stopped

    # -- the loop

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _in_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _end_loop(self) -> None:
        self._stopped = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _post(self, call: Callable[[], None]) -> None:
        """Run a call in the loop, from any thread. After the end there is nobody left to tell."""
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            log.warning("pile_loop_closed")

    def _report(self, calls: Sequence[Callable[[], None]]) -> None:
        self._post(partial(_run_all, calls))

    def _hand_over(self, delivery: Delivery) -> None:
        self._post(partial(self._deliver, delivery))

    def _deliver(self, delivery: Delivery) -> None:
        link = self._context.registry.get(delivery.command.pile_code)
        if link is None:
            self._context.desk.not_written(delivery.command)
        else:
            link.deliver(delivery)

    async def _listen(self) -> int:
        try:
            self._server = await self._loop.create_server(
                lambda: YkcConnection(self._context, self._links), self._host, self._port, backlog=BACKLOG
            )
        except OSError as error:
            raise PortUnavailable(self._host, self._port, error) from error
        if self._also is not None:
            try:
                self.also_port = await self._also.open(self._context)
            except OSError as error:
                raise PortUnavailable(self._also.host, self._also.port, error, also=True) from error
        self._sweeper = self._loop.create_task(self._sweep())
        return int(self._server.sockets[0].getsockname()[1])

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._context.settings.sweep_s)
            now = time.monotonic()
            for link in self._all_links():
                _guarded("sweep", partial(link.tick, now))
            _guarded("sweep", partial(self._context.desk.expire, now))
            metrics.QUEUE_DEPTH.set(self._context.writers.depth())
            metrics.QUEUE_AGE.set(self._context.writers.oldest_s())

    def _drain(self, deadline: float) -> None:
        """Commands stop first, then new sockets; records on their way are acknowledged before their links close."""
        self._in_loop(self._stop_listening())
        _wait_until(lambda: self._context.writers.depth() == 0, deadline)
        self._in_loop(self._close_links())
        _wait_until(lambda: not self._all_links(), deadline)
        self._in_loop(self._abort_links())

    def _all_links(self) -> list[ListenedLink]:
        return [*self._links, *(self._also.links() if self._also is not None else ())]

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._also is not None:
            self._also.close()

    async def _close_links(self) -> None:
        for link in self._all_links():
            link.close("server_stopped")

    async def _abort_links(self) -> None:
        for link in self._all_links():
            link.abort("server_stopped")
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.sleep(0)  # lets the ends be noticed, and their piles be reported off-line


def _wait_until(true: Callable[[], bool], deadline: float) -> None:
    while not true() and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where it exists: a third less CPU than the standard loop (specs/stack.md)."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _run_all(calls: Sequence[Callable[[], None]]) -> None:
    for call in calls:
        _guarded("report", call)


def _guarded(where: str, call: Callable[[], None]) -> None:
    """The loop's edge: one link's failure must not stop the others."""
    try:
        call()
    except Exception:
        metrics.LOOP_ERRORS.labels(where).inc()
        log.exception("pile_loop_call_failed", where=where)
