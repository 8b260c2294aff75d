"""What happens to the link and the mains of a pile: losses, half-open and second connections, power cuts, restarts."""

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from charging_core.simulator.charge import StopCode
from charging_core.simulator.connector import Connector
from charging_core.simulator.host import Host, Phase
from charging_core.simulator.linkkeeper import LinkKeeper


class Struck(Host, Protocol):
    """The pile it happens to."""

    connectors: dict[int, Connector]

    def count(self, name: str) -> None:
        """Count something worth showing."""
        ...


class Incidents:
    """Of one pile."""

    def __init__(self, pile: Struck, keeper: LinkKeeper) -> None:
        self._pile = pile
        self._keeper = keeper
        self._reboots_when_idle = False

    def lose_link(self, seconds: float) -> None:
        """The network is away for a while; charges go on."""
        self._pile.count("link_losses")
        self._keeper.lose(timedelta(seconds=seconds))

    def cut_power(self, seconds: float) -> None:
        """Dark for a while; what is stored for good (model, cards, records) is still there afterwards, the QR prefix is not."""
        self._pile.count("restarts")
        self._reboots_when_idle = False
        self._keeper.lose(timedelta(seconds=seconds))
        for connector in self._pile.connectors.values():
            connector.end_charge(StopCode.POWER_LOST)
        self._pile.equipment.qr_prefix = None

    def reboot(self, *, when_idle: bool) -> None:
        """Restart now, which ends charges with 0x83, or as soon as nothing charges."""
        if when_idle and self._busy():
            self._reboots_when_idle = True
        else:
            self.cut_power(self._pile.settings.periods.restart_s)

    def charge_ended(self) -> None:
        """The restart that waited for it."""
        if self._reboots_when_idle and not self._busy():
            self.reboot(when_idle=False)

    def charge_began(self, connector: Connector) -> None:
        """Plan what the switches want to happen to the link during this charge."""
        faults = self._pile.faults
        plans: tuple[tuple[int | None, Callable[[], None]], ...] = (
            (faults.link_loss_after, lambda: self.lose_link(self._pile.faults.link_loss_for)),
            (faults.half_open_after, self._leave_open),
            (faults.second_connection_after, self._connect_again),
        )
        for after, act in plans:
            if after is not None:
                self._during_charge(connector, after, act)

    def _during_charge(self, connector: Connector, after: int, act: Callable[[], None]) -> None:
        """Do it that long after the charge began, if the same charge still runs and there is a link."""
        trade_number = connector.trade_number

        def now() -> None:
            same = connector.phase is Phase.CHARGING and connector.trade_number == trade_number
            if same and self._keeper.current is not None:
                act()

        self._pile.agenda.after(timedelta(seconds=after), now)

    def _leave_open(self) -> None:
        self._pile.count("half_open_links")
        self._keeper.leave_open(timedelta(seconds=self._pile.faults.link_loss_for))

    def _connect_again(self) -> None:
        self._pile.count("second_connections")
        self._keeper.connect_again()

    def _busy(self) -> bool:
        return any(connector.phase is not Phase.FREE for connector in self._pile.connectors.values())
