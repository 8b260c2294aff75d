"""The device conversation: what an OCPP pile can be asked besides charging, and what its answers mean."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from charging_core.piles.commands import Delivery
from charging_core.piles.ports import CommandKind, PendingCommand
from charging_core.piles.protocols.ocpp16 import charge
from charging_core.piles.protocols.ocpp16.errors import BadMessage
from charging_core.piles.protocols.ocpp16.frames import Payload
from charging_core.piles.protocols.ocpp16.talk import Talk

_FULL_POWER = 100
_DONE = frozenset({"Accepted", "Scheduled", "Unlocked", "RebootRequired"})
"""Answers that mean "done, or as good as done"; all others are refusals, and told word for word."""

Request = tuple[str, Payload]


def deliver(talk: Talk, delivery: Delivery) -> None:
    """Send a command in its turn; one that this protocol has no message for is refused."""
    command = delivery.command
    match command.kind:
        case CommandKind.START:
            charge.start(talk, delivery)
        case CommandKind.STOP:
            charge.stop(talk, delivery)
        case _:
            _ask(talk, delivery)


def _ask(talk: Talk, delivery: Delivery) -> None:
    command = delivery.command
    make = _REQUESTS.get(command.kind)
    if make is None:
        talk.context.desk.refused(command, f"OCPP 1.6 has no message for {command.kind}")
        return
    try:
        action, payload = make(command)
    except BadMessage as error:
        talk.context.desk.refused(command, error.problem)
        return

    def answered(answer: Payload | None, problem: str) -> None:
        ok, detail = _verdict(command, answer, problem)
        talk.context.desk.answered(command.kind, talk.code, command.connector_no, None, ok, detail)

    talk.link.ask(action, payload, answered, delivery)


def _verdict(command: PendingCommand, answer: Payload | None, problem: str) -> tuple[bool, str]:
    if answer is None:
        return False, problem
    if "status" not in answer:
        return _configured(command, answer)
    status = str(answer["status"])
    return status in _DONE, "" if status == "Accepted" else status


def _configured(command: PendingCommand, answer: Payload) -> tuple[bool, str]:
    """GetConfiguration: the value of the key, as far as a command's detail goes."""
    keys = [one for one in answer.get("configurationKey") or () if isinstance(one, Mapping)]
    wanted = command.parameters.get("key")
    found = next((one for one in keys if one.get("key") == wanted), None)
    if found is None:
        return False, "the pile does not know this key"
    only = " (read-only)" if found.get("readonly") is True else ""
    return True, f"{wanted}={found.get('value', '')}{only}"


def _read(command: PendingCommand) -> Request:
    # Its state, not its meter: readings that name no transaction would be taken for those of one that has ended without our knowing.
    return "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": command.connector_no}


def _work(command: PendingCommand) -> Request:
    if command.parameters["max_power_percent"] != _FULL_POWER:
        raise BadMessage("NotSupported", "OCPP 1.6 limits power by charging profiles, not by percent")
    kind = "Inoperative" if command.parameters["out_of_service"] else "Operative"
    return "ChangeAvailability", {"connectorId": 0, "type": kind}


def _sync_time(_command: PendingCommand) -> Request:
    return "TriggerMessage", {"requestedMessage": "Heartbeat"}


def _reboot(command: PendingCommand) -> Request:
    return "Reset", {"type": "Soft" if command.parameters["when_idle"] else "Hard"}


def _unlock(command: PendingCommand) -> Request:
    return "UnlockConnector", {"connectorId": command.connector_no}


def _configure(command: PendingCommand) -> Request:
    key, value = command.parameters["key"], command.parameters.get("value")
    if value is None:
        return "GetConfiguration", {"key": [key]}
    return "ChangeConfiguration", {"key": key, "value": value}


_REQUESTS: Mapping[CommandKind, Callable[[PendingCommand], Request]] = MappingProxyType(
    {
        CommandKind.READ: _read,
        CommandKind.SET_WORK: _work,
        CommandKind.SYNC_TIME: _sync_time,
        CommandKind.REBOOT: _reboot,
        CommandKind.UNLOCK: _unlock,
        CommandKind.CONFIGURE: _configure,
    }
)
