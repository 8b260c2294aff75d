"""A thread that keeps the routing entries of connected piles alive; Redis may be slow or away without anybody noticing here."""

import threading
import time
from collections.abc import Callable, Collection

import structlog

from charging_core.piles import metrics
from charging_core.piles.ports import RouteTable

log = structlog.get_logger()


class RoutePublisher(threading.Thread):
    """Announces piles when they log in and every `refresh_s`, withdraws them when they leave."""

    def __init__(self, table: RouteTable, connected: Callable[[], Collection[str]], refresh_s: float) -> None:
        super().__init__(name="pile-routes", daemon=True)
        self._table = table
        self._connected = connected
        self._refresh_s = refresh_s
        self._came: set[str] = set()
        self._went: set[str] = set()
        self._stopping = False
        self._changed = threading.Condition()

    def announce(self, pile_code: str) -> None:
        """The pile is here. From the event loop; does not block."""
        with self._changed:
            self._came.add(pile_code)
            self._went.discard(pile_code)
            self._changed.notify()

    def withdraw(self, pile_code: str) -> None:
        """The pile is no longer here. From the event loop; does not block."""
        with self._changed:
            self._went.add(pile_code)
            self._came.discard(pile_code)
            self._changed.notify()

    def stop(self) -> None:
        """Tell what is left to tell, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def run(self) -> None:
        """Until stopped."""
        refresh_at = time.monotonic() + self._refresh_s
        while True:
            came, went = self._wait(refresh_at)
            if time.monotonic() >= refresh_at:
                came = set(self._connected()) - went
                refresh_at = time.monotonic() + self._refresh_s
            self._tell(came, went)
            if self._stopping and not (self._came or self._went):
                return

    def _wait(self, refresh_at: float) -> tuple[set[str], set[str]]:
        with self._changed:
            if not (self._came or self._went or self._stopping):
                self._changed.wait(max(0.0, refresh_at - time.monotonic()))
            came, went = self._came, self._went
            self._came, self._went = set(), set()
            return came, went

    def _tell(self, came: Collection[str], went: Collection[str]) -> None:
        try:
            if went:
                self._table.withdraw(went)
            if came:
                self._table.announce(came)
        except Exception:
            metrics.PORT_ERRORS.labels("routes").inc()
            log.exception("pile_routes_failed", came=len(came), went=len(went))
