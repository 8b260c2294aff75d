"""A process full of simulated piles against one platform: one event loop, one agenda, one frame log, one control port."""

import asyncio
from pathlib import Path
from typing import Any

from charging_core.clock import Clock, to_china
from charging_core.simulator.agenda import Agenda
from charging_core.simulator.control import Control
from charging_core.simulator.framelog import FrameLog
from charging_core.simulator.pile import SimulatedPile
from charging_core.simulator.settings import SimulatorConfig


class SimulatorProcess:
    """All piles of a configuration. Use inside a running event loop: `start`, `wait_ready`, ..., `stop`."""

    def __init__(self, config: SimulatorConfig, clock: Clock, *, log_path: Path | None = None) -> None:
        self._clock = clock
        self._agenda = Agenda(clock)
        self._log = None if log_path is None else FrameLog(log_path, clock)
        self.piles = {
            settings.code: SimulatedPile(settings, clock, agenda=self._agenda, frame_log=self._log)
            for settings in config.piles
        }
        self._control = Control(self.piles, self.state)

    async def start(self, host: str, port: int, control_port: int = 0) -> int:
        """Open the control port, let all piles connect; returns the control port. OSError if it is taken."""
        bound = self._control.start(control_port)
        self._agenda.start()
        for pile in self.piles.values():
            await pile.start(host, port)
        return bound

    async def wait_ready(self) -> None:
        """Until every pile has logged in once."""
        await asyncio.gather(*(pile.wait_logged_in() for pile in self.piles.values()))

    async def stop(self) -> None:
        """Disconnect all piles and close everything."""
        await self._control.stop()
        await asyncio.gather(*(pile.stop() for pile in self.piles.values()))
        self._agenda.stop()
        if self._log is not None:
            self._log.close()

    def state(self) -> dict[str, Any]:
        """What `GET /state` answers."""
        return {
            "time": to_china(self._clock.now()).isoformat(timespec="milliseconds"),
            "piles": [pile.state() for pile in self.piles.values()],
        }
