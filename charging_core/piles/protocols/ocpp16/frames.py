"""OCPP-J frames (specs/other_pile_protocols.md 2): JSON arrays to values and back, checked by the schemas of the `ocpp` library. Pure.

Piles of the field break the schemas in small ways, and repeat for ever what is refused (section 2, "Duplicates"): so the messages
that carry money and state are taken whenever their handler can read them, and the breach is only told (`problem`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]
from ocpp.messages import MessageType, get_validator  # type: ignore[import-untyped]

from charging_core.piles.protocols.ocpp16.errors import BadMessage

VERSION = "1.6"
SUBPROTOCOL = "ocpp1.6"
MAX_BYTES = 256 * 1024
"""Of one message: a StopTransaction with a thousand sets of four values is half as long."""
_ID_LENGTH = 36
"""Characters of a message id by the standard; firmware exists that uses more, none that uses twice as many."""
_CALL, _RESULT, _ERROR = 2, 3, 4

Payload = Mapping[str, Any]

FROM_PILE = frozenset(
    {
        "Authorize", "BootNotification", "DataTransfer", "DiagnosticsStatusNotification", "FirmwareStatusNotification",
        "Heartbeat", "MeterValues", "StartTransaction", "StatusNotification", "StopTransaction",
    }
)  # fmt: skip
"""Every request that the standard lets a pile make."""
FORGIVEN = frozenset(
    {"BootNotification", "Heartbeat", "MeterValues", "StartTransaction", "StatusNotification", "StopTransaction"}
)
"""Taken in spite of a breach of the schema, when what they need can be read."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request; `problem` says in which way it breaks its schema, empty when it does not."""

    id: str
    action: str
    payload: Payload
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """A positive answer to our request `id`."""

    id: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Failure:
    """A CALLERROR to our request `id`."""

    id: str
    code: str
    text: str


Message = Call | Result | Failure


def read(text: str | bytes) -> Message:
    """What one WebSocket message says. Raises `BadMessage`; with a message id where an answer is possible."""
    items = _array(text)
    kind, message_id = items[0], str(items[1])[: 2 * _ID_LENGTH]
    if kind == _CALL and len(items) == 4:
        return _call(message_id, items[2], items[3])
    if kind == _RESULT and len(items) >= 3 and isinstance(items[2], dict):
        return Result(message_id, items[2])
    if kind == _ERROR and len(items) >= 3:
        return Failure(message_id, str(items[2])[:40], str(items[3])[:200] if len(items) > 3 else "")
    raise BadMessage("FormationViolation", "no CALL, CALLRESULT or CALLERROR", message_id if kind == _CALL else None)


def _array(text: str | bytes) -> list[Any]:
    try:
        items = json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadMessage("FormationViolation", f"no JSON: {error}") from error
    if not isinstance(items, list) or len(items) < 3 or type(items[0]) is not int or not isinstance(items[1], str):
        raise BadMessage("FormationViolation", "no OCPP-J array")
    return items


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _call(message_id: str, action: Any, payload: Any) -> Call:
    if not isinstance(action, str) or action not in FROM_PILE:
        raise BadMessage("NotImplemented", f"unknown action {str(action)[:40]!r}", message_id)
    if payload is None:
        payload = {}  # firmware exists that has nothing to say and says null
    if not isinstance(payload, dict):
        raise BadMessage("FormationViolation", "the payload is no object", message_id)
    problem = _breach(MessageType.Call, action, payload)
    if problem and action not in FORGIVEN:
        raise BadMessage("FormationViolation", problem, message_id)
    return Call(message_id, action, payload, problem)


def _breach(message_type: int, action: str, payload: Payload) -> str:
    try:
        get_validator(message_type, action, VERSION, parse_float=Decimal).validate(payload)
    except ValidationError as error:
        return f"{error.json_path}: {error.message}"[:200]
    return ""


def call(message_id: str, action: str, payload: Payload) -> str:
    """A request as text. Raises `BadMessage` when the payload does not fit the action's schema."""
    problem = _breach(MessageType.Call, action, payload)
    if problem:
        raise BadMessage("FormationViolation", problem)
    return _text([_CALL, message_id, action, payload])


def result(message_id: str, action: str, payload: Payload) -> str:
    """A positive answer as text. Raises `BadMessage` when it does not fit: an error of ours."""
    problem = _breach(MessageType.CallResult, action, payload)
    if problem:
        raise BadMessage("InternalError", problem, message_id)
    return _text([_RESULT, message_id, payload])


def failure(message_id: str, code: str, text: str) -> str:
    """A CALLERROR as text; its description may have 255 characters."""
    return _text([_ERROR, message_id, code, text[:255], {}])


def _text(items: list[Any]) -> str:
    return json.dumps(items, separators=(",", ":"), ensure_ascii=False)
