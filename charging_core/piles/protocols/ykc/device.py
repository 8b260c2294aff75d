"""The device conversation: work parameters, time, reboot, firmware, ground locks, QR prefix — commands and their answers."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from charging_core.piles.commands import Delivery
from charging_core.piles.events import GroundLockReported, LockPosition, TimeSynced
from charging_core.piles.ports import CommandKind, PendingCommand
from charging_core.piles.protocols.ykc.codec import Frame
from charging_core.piles.protocols.ykc.talk import Handler, Talk
from charging_core.piles.writers import Room

RAISE, LOWER = 0x55, 0xFF
_NOW, _WHEN_IDLE = 1, 2
_DC, _AC = 1, 2
"""桩型号 of 0x94; the login says 0 and 1 for the same (trap 21)."""
_POSITIONS = {0x00: LockPosition.BETWEEN, RAISE: LockPosition.RAISED, LOWER: LockPosition.LOWERED}
_LOCK_ALARMS = {0x55: "arm_out_of_position", 0xFF: "arm_damaged"}
_UPDATE_PROBLEMS = {1: "wrong pile code", 2: "the program does not match the model", 3: "the download timed out"}
_FULL_BATTERY = 100

Fields = Mapping[str, Any]


def _work(command: PendingCommand) -> Fields:
    parameters = command.parameters
    return {"out_of_service": int(parameters["out_of_service"]), "max_power": parameters["max_power_percent"]}


def _when(command: PendingCommand) -> int:
    return _WHEN_IDLE if command.parameters["when_idle"] else _NOW


def _update(command: PendingCommand) -> Fields:
    parameters = command.parameters
    return {
        "pile_model": _AC if parameters["current"] == "ac" else _DC,
        "power": parameters["power_kw"],
        "server": parameters["server"],
        "port": parameters["port"],
        "user": parameters["user"],
        "password": parameters.get("password"),
        "path": parameters["path"],
        "when": _when(command),
        "timeout": parameters["timeout_min"],
    }


def _qr(command: PendingCommand) -> Fields:
    return {"format": int(command.parameters["with_connector"]), "prefix": command.parameters["prefix"]}


def _lock(command: PendingCommand) -> Fields:
    return {"connector_no": command.connector_no, "command": RAISE if command.parameters["raise"] else LOWER}


_FRAMES: Mapping[CommandKind, tuple[int, Callable[[PendingCommand], Fields]]] = MappingProxyType(
    {
        CommandKind.SET_WORK: (0x52, _work),
        CommandKind.REBOOT: (0x92, lambda command: {"when": _when(command)}),
        CommandKind.UPDATE: (0x94, _update),
        CommandKind.LOCK: (0x62, _lock),
        CommandKind.SET_QR: (0xF0, _qr),
    }
)


def deliver(talk: Talk, delivery: Delivery) -> None:
    """Write a device command in its turn; the time is asked only when it is."""
    command = delivery.command
    code = command.pile_code
    if command.kind is CommandKind.SYNC_TIME:
        talk.link.send(0x56, lambda: {"pile_code": code, "time": talk.link.now()}, delivery)
    elif command.kind in _FRAMES:
        frame_type, fields = _FRAMES[command.kind]
        talk.link.send(frame_type, lambda: {"pile_code": code, **fields(command)}, delivery)
    else:
        talk.context.desk.refused(command, f"no frame for {command.kind}")


def answers(kind: CommandKind, ok: int, problems: Mapping[int, str] = MappingProxyType({})) -> Handler:
    """The handler of an answer whose result `ok` means "done"; the polarity differs between frames (trap 4)."""

    def answered(talk: Talk, frame: Frame, _raw: bytes) -> None:
        result = frame.fields["result"]
        detail = "" if result == ok else problems.get(result, f"the pile refused (result {result})")
        talk.context.desk.answered(kind, frame.fields["pile_code"], 0, None, result == ok, detail)

    return answered


work_answered = answers(CommandKind.SET_WORK, 1)
reboot_answered = answers(CommandKind.REBOOT, 1)
update_answered = answers(CommandKind.UPDATE, 0, _UPDATE_PROBLEMS)


def lock_answered(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0x63: matched by pile and connector."""
    fields = frame.fields
    ok = fields["result"] == 1
    detail = "" if ok else "the pile refused"
    talk.context.desk.answered(CommandKind.LOCK, fields["pile_code"], fields["connector_no"], None, ok, detail)


def qr_answered(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0xF1: its polarity is not settled; where the pile's dialect does not say, any answer counts and the number is kept."""
    code, result = frame.fields["pile_code"], frame.fields["result"]
    expected = talk.piles[code].dialect.qr_ok
    ok = expected is None or result == expected
    talk.context.desk.answered(CommandKind.SET_QR, code, 0, None, ok, f"result {result}")


def time_answered(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0x55: the pile's clock as it is now; some firmware only echoes ours."""
    code = frame.fields["pile_code"]
    talk.context.desk.answered(CommandKind.SYNC_TIME, code, 0, None, ok=True)
    talk.offer(code, TimeSynced(code, frame.fields.get("time"), talk.link.now()), Room.SAMPLE)


def lock_reported(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0x61: on change and every five minutes; never answered (P13)."""
    fields = frame.fields
    bay, battery, alarm = fields.get("bay"), fields.get("battery"), fields.get("alarm", 0)
    event = GroundLockReported(
        pile_code=fields["pile_code"],
        connector_no=fields["connector_no"],
        position=_POSITIONS.get(fields["lock"], LockPosition.UNKNOWN),
        occupied=None if bay is None else bay != 0,
        battery_percent=battery if battery is not None and battery <= _FULL_BATTERY else None,
        alarm=_LOCK_ALARMS.get(alarm, f"code_{alarm}") if alarm else None,
        received_at=talk.link.now(),
    )
    talk.offer(event.pile_code, event, Room.SAMPLE)
