"""Plate events of a camera: the ANPR alert, turned into a neutral passage (`specs/parking.md` 3.4.1, 3.4.4). Pure."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from parking.adapters.hikvision_isapi.documents import DocumentUnreadable, Members, read_document, text_of
from parking.adapters.hikvision_isapi.multipart import split_push
from parking.adapters.hikvision_isapi.settings import IsapiSettings
from parking.adapters.times import read_time
from parking.errors import EventUnreadable
from parking.plates import normalise
from parking.port import InboundPush, PassageEvent, PassageKind

_ROOT = "EventNotificationAlert"
_PLATE_EVENT = "anpr"
_HISTORY = "1"
_NO_ID = ("", "0", "00000000-0000-0000-0000-000000000000")
_KINDS = {
    ("entry", "seen"): PassageKind.ENTRY_SEEN,
    ("entry", "passed"): PassageKind.ENTERED,
    ("exit", "seen"): PassageKind.EXIT_SEEN,
    ("exit", "passed"): PassageKind.EXITED,
}
_DEFAULT_MEANING = {"entry": "passed", "exit": "seen"}


def passage_kind(settings: IsapiSettings) -> PassageKind:
    """What a plate read by this device stands for: its configured direction and meaning."""
    meaning = settings.plate_read_means or _DEFAULT_MEANING[settings.direction]
    return _KINDS[settings.direction, meaning]


def read_passage(settings: IsapiSettings, connection_id: str, push: InboundPush) -> PassageEvent | None:
    """The passage in a push; None for heartbeats and other event types. Raises `EventUnreadable`."""
    parts = split_push(_header(push, "content-type"), push.body)
    try:
        root, alert = read_document(parts.document)
    except DocumentUnreadable as error:
        raise EventUnreadable("bad_document", str(error)) from error
    if root not in (_ROOT, "") or text_of(alert, "eventType").lower() != _PLATE_EVENT:
        return None
    anpr = alert.get("ANPR")
    if not isinstance(anpr, dict):
        raise EventUnreadable("no_anpr", "an ANPR event without its ANPR block")
    plate_raw = text_of(anpr, "licensePlate", "plateNumber", "plate", "originalLicensePlate")
    event_id = text_of(alert, "UUID")
    return PassageEvent(
        kind=passage_kind(settings),
        connection_id=connection_id,
        lane_ref=settings.lane_ref,
        plate_raw=plate_raw,
        plate=normalise(plate_raw),
        occurred_at=read_time(text_of(alert, "dateTime")) or push.received_at,
        received_at=push.received_at,
        is_replay=_is_replay(alert, anpr),
        source_event_id=None if event_id in _NO_ID else event_id,
        device_ref=text_of(alert, "macAddress", "deviceID", "deviceUUID") or None,
        plate_color=text_of(anpr, "plateColor") or None,
        confidence=_confidence(text_of(anpr, "confidenceLevel")),
        pictures=parts.pictures,
    )


def _is_replay(alert: Members, anpr: Members) -> bool:
    resent = text_of(alert, "isDataRetransmission").lower() in ("true", "1")
    return resent or text_of(anpr, "alarmDataType") == _HISTORY


def _confidence(text: str) -> Decimal | None:
    try:
        level = Decimal(text)
    except InvalidOperation:
        return None
    return level if 0 <= level <= 100 else None


def _header(push: InboundPush, name: str) -> str:
    return next((value for key, value in push.headers.items() if key.lower() == name), "")
