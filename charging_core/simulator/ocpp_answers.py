"""What a simulated OCPP pile answers when the platform asks: remote start and stop, configuration, availability, reset, unlock, trigger."""

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from charging_core.clock import Clock
from charging_core.simulator.ocpp_link import NOTHING, Payload
from charging_core.simulator.ocpp_parts import OcppConnector, OcppSettings


class Asked(Protocol):
    """The pile that is asked."""

    settings: OcppSettings
    clock: Clock
    connectors: list[OcppConnector]
    configuration: dict[str, str]
    resets: list[str]
    unlocked: list[int]
    out_of_service: bool
    silent: bool

    def connector(self, number: int) -> OcppConnector:
        """The connector. Raises `ActionError`."""
        ...

    def show(self, connector: OcppConnector, status: str) -> None:
        """Its status changes, and is told."""
        ...

    def end(self, connector: OcppConnector, reason: str, at: datetime | None = None) -> None:
        """End its charge, if one runs."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside, after the answer."""
        ...

    async def say(self, action: str, payload: Payload) -> None:
        """Tell the platform something that is worth telling now only."""
        ...

    async def begin_asked(self, connector: OcppConnector) -> None:
        """Begin the charge that was asked for."""
        ...

    async def restart(self, reason: str) -> None:
        """End all charges and come back."""
        ...

    def metered(self, connector: OcppConnector, at: datetime) -> dict[str, Any]:
        """A MeterValues request."""
        ...


class OcppAnswers:
    """Callable with action and payload, as the link wants it."""

    def __init__(self, pile: Asked) -> None:
        self._pile = pile

    def __call__(self, action: str, payload: Payload) -> Payload | None:
        """The answer; none: not implemented."""
        if self._pile.silent:
            return NOTHING
        answers: Mapping[str, Callable[[Payload], Payload]] = {
            "RemoteStartTransaction": self._remote_start,
            "RemoteStopTransaction": self._remote_stop,
            "ChangeConfiguration": self._change_configuration,
            "GetConfiguration": self._get_configuration,
            "ChangeAvailability": self._change_availability,
            "Reset": self._reset,
            "UnlockConnector": self._unlock,
            "TriggerMessage": self._trigger,
        }
        return answers[action](payload) if action in answers else None

    def _remote_start(self, payload: Payload) -> Payload:
        connector = self._pile.connector(int(payload["connectorId"]))
        if connector.charge is not None or self._pile.out_of_service:
            return {"status": "Rejected"}
        connector.wanted = (
            str(payload["idTag"]),
            self._pile.clock.now() + timedelta(seconds=self._pile.settings.plug_wait_s),
        )
        if connector.vehicle is not None:
            self._pile.spawn(self._pile.begin_asked(connector))
        return {"status": "Accepted"}

    def _remote_stop(self, payload: Payload) -> Payload:
        for connector in self._pile.connectors:
            if connector.charge is not None and connector.charge.id == payload["transactionId"]:
                self._pile.end(connector, "Remote")
                return {"status": "Accepted"}
        return {"status": "Rejected"}

    def _change_configuration(self, payload: Payload) -> Payload:
        if payload["key"] == "NumberOfConnectors":
            return {"status": "Rejected"}
        self._pile.configuration[payload["key"]] = payload["value"]
        return {"status": "Accepted"}

    def _get_configuration(self, payload: Payload) -> Payload:
        wanted = payload.get("key") or list(self._pile.configuration)
        known = [key for key in wanted if key in self._pile.configuration]
        listed = [
            {"key": key, "readonly": key == "NumberOfConnectors", "value": self._pile.configuration[key]}
            for key in known
        ]
        return {"configurationKey": listed, "unknownKey": [key for key in wanted if key not in known]}

    def _change_availability(self, payload: Payload) -> Payload:
        self._pile.out_of_service = payload["type"] == "Inoperative"
        for connector in self._pile.connectors:
            if connector.charge is None:
                idle = "Available" if connector.vehicle is None else "Preparing"
                self._pile.show(connector, "Unavailable" if self._pile.out_of_service else idle)
        busy = any(connector.charge is not None for connector in self._pile.connectors)
        return {"status": "Scheduled" if busy else "Accepted"}

    def _reset(self, payload: Payload) -> Payload:
        self._pile.resets.append(str(payload["type"]))
        self._pile.spawn(self._pile.restart(f"{payload['type']}Reset"))
        return {"status": "Accepted"}

    def _unlock(self, payload: Payload) -> Payload:
        connector = self._pile.connector(int(payload["connectorId"]))
        self._pile.end(connector, "UnlockCommand")
        self._pile.unlocked.append(connector.number)
        return {"status": "Unlocked"}

    def _trigger(self, payload: Payload) -> Payload:
        wanted = payload["requestedMessage"]
        number = payload.get("connectorId")
        chosen = [c for c in self._pile.connectors if number in (None, c.number)]
        if wanted == "StatusNotification":
            for connector in chosen:
                self._pile.show(connector, connector.status)
        elif wanted == "Heartbeat":
            self._pile.spawn(self._pile.say("Heartbeat", {}))
        elif wanted == "MeterValues":
            for connector in chosen:
                self._pile.spawn(self._pile.say("MeterValues", self._pile.metered(connector, self._pile.clock.now())))
        else:
            return {"status": "NotImplemented"}
        return {"status": "Accepted"}
