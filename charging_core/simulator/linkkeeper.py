"""How a pile keeps its connection: connects, comes back after a loss, and loses it in the ways that its fault switches ask for."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import structlog

from charging_core.simulator.agenda import Agenda
from charging_core.simulator.crc import crc16
from charging_core.simulator.faults import Faults
from charging_core.simulator.link import Link
from charging_core.simulator.settings import PileSettings
from charging_core.simulator.wire import Frame

_log = structlog.get_logger()


class Owner(Protocol):
    """Whose connection it is."""

    settings: PileSettings
    agenda: Agenda
    faults: Faults

    def count(self, name: str) -> None:
        """Count something worth showing."""
        ...

    def connected(self, link: Link) -> None:
        """This connection is the current one from now on."""
        ...

    def received(self, frame: Frame) -> None:
        """A frame came over the current connection."""
        ...

    def disconnected(self, link: Link) -> None:
        """The current connection is gone."""
        ...


class LinkKeeper:
    """At most one current connection; an older one that is still open is not listened to."""

    def __init__(self, owner: Owner, observe: Callable[[str, bytes], None]) -> None:
        self.current: Link | None = None
        self._owner = owner
        self._observe = observe
        self._open: set[Link] = set()
        self._allowed = asyncio.Event()
        self._allowed.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._tries = 0
        self._where = ("", 0)

    def start(self, host: str, port: int) -> None:
        """Begin to connect, and to reconnect after 3-5 real seconds whenever the connection is gone."""
        self._where = (host, port)
        self._tasks.append(asyncio.create_task(self._keep_connected()))

    async def stop(self) -> None:
        """Disconnect for good."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for link in list(self._open):
            link.drop()
            await link.gone.wait()

    def lose(self, period: timedelta) -> None:
        """The link breaks and cannot come back for `period` of the pile's clock."""
        self._stay_away(period)
        if self.current is not None:
            self.current.drop()

    def leave_open(self, period: timedelta) -> None:
        """The way to the platform is gone without a word: its side stays open, and a new connection comes after `period`."""
        self._stay_away(period)
        if self.current is not None:
            self.current.abandon()

    def connect_again(self) -> None:
        """Open a second connection beside the one that is well."""
        self._tasks.append(asyncio.create_task(self._connect()))

    # --- for links ----------------------------------------------------------------------------------------------

    def link_opened(self, link: Link) -> None:
        """A new connection is the current one."""
        self._open.add(link)
        if self.current is not None:
            self._owner.disconnected(self.current)
        self.current = link
        self._owner.connected(link)

    def link_received(self, link: Link, frame: Frame) -> None:
        """A frame of the platform."""
        if link is self.current:
            self._owner.received(frame)

    def link_closed(self, link: Link) -> None:
        """No longer usable."""
        if link is self.current:
            self.current = None
            self._owner.disconnected(link)

    def link_gone(self, link: Link) -> None:
        """The socket does not exist any more."""
        self._open.discard(link)

    # --- inside -------------------------------------------------------------------------------------------------

    def _stay_away(self, period: timedelta) -> None:
        self._allowed.clear()
        self._owner.agenda.after(period, self._allowed.set)

    async def _keep_connected(self) -> None:
        while True:
            await self._allowed.wait()
            await self._connect()
            while self.current is not None:
                await self.current.closed.wait()
            await asyncio.sleep(self._pause_s())

    async def _connect(self) -> None:
        self._tries += 1
        self._owner.count("connections_tried")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._owner.settings.periods.real_connect_timeout_s):
                await loop.create_connection(self._new_link, *self._where)
        except OSError as error:
            _log.info("simulator_connect_failed", pile=self._owner.settings.code, error=str(error))

    def _new_link(self) -> Link:
        return Link(self, lambda: self._owner.faults, self._owner.settings.periods, self._observe)

    def _pause_s(self) -> float:
        """Between the two bounds, different for each pile and attempt so that a thousand do not come back at once."""
        low, high = self._owner.settings.periods.real_reconnect_s
        attempt = f"{self._owner.settings.code}/{self._tries}"
        return low + (high - low) * crc16(attempt.encode("ascii")) / 0xFFFF
