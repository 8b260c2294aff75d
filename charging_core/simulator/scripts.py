"""Vehicles that come and leave by themselves, as `auto_plug` of the settings says."""

from datetime import timedelta

from charging_core.simulator.agenda import Agenda
from charging_core.simulator.connector import Connector
from charging_core.simulator.host import Phase
from charging_core.simulator.settings import AutoPlug


class AutoPlugs:
    """The scripted vehicles of one pile."""

    def __init__(self, scripts: tuple[AutoPlug, ...], connectors: dict[int, Connector], agenda: Agenda) -> None:
        self._scripts = scripts
        self._connectors = connectors
        self._agenda = agenda

    def play(self) -> None:
        """Plan every vehicle; after the first login."""
        for script in self._scripts:
            self._plan(script)

    def charge_ended(self, connector: Connector) -> None:
        """A vehicle that wants to leave after its charge does."""
        for script in self._scripts:
            if script.connector == connector.number and script.unplug_after_end_s is not None:
                self._agenda.after(timedelta(seconds=script.unplug_after_end_s), lambda: _leave(connector))

    def _plan(self, script: AutoPlug) -> None:
        connector = self._connectors[script.connector]
        self._agenda.after(timedelta(seconds=script.after_s), lambda: connector.plug(script.vehicle()))


def _leave(connector: Connector) -> None:
    if connector.vehicle is not None and connector.phase is Phase.FREE:
        connector.unplug()
