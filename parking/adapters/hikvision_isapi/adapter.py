"""The ISAPI adapter: one camera at one lane, its barrier and its plate events (`specs/parking.md` section 3)."""

from __future__ import annotations

from charging_core.clock import Clock
from parking.adapters.hikvision_isapi.client import IsapiClient
from parking.adapters.hikvision_isapi.documents import DocumentUnreadable, Members, read_document, text_of
from parking.adapters.hikvision_isapi.events import passage_kind, read_passage
from parking.adapters.hikvision_isapi.gate import IsapiGate
from parking.adapters.hikvision_isapi.settings import IsapiSettings
from parking.adapters.http import HttpAnswer
from parking.adapters.observed import observed
from parking.adapters.times import read_time
from parking.errors import AuthFailed, ConnectFailed, ReadTimedOut, TransportError
from parking.masking import xml_trace
from parking.metrics import PUSHES
from parking.port import (
    Capabilities,
    GateAction,
    GateCommand,
    GateResult,
    Health,
    InboundPush,
    Outcome,
    PassageEvent,
    Trace,
)

NAME = "hikvision_isapi"

DEVICE_INFO = "/ISAPI/System/deviceInfo"
DEVICE_TIME = "/ISAPI/System/time"
_INFO_MEMBERS = ("model", "serialNumber", "firmwareVersion", "deviceName")


def isapi_capabilities(settings: IsapiSettings) -> Capabilities:
    """Plate events of one kind, and the barrier unless the settings say there is none."""
    actions = frozenset(GateAction) if settings.gate_methods else frozenset()
    return Capabilities(gate_actions=actions, passage_kinds=frozenset({passage_kind(settings)}))


class IsapiAdapter:
    """One device. Thread-safe."""

    def __init__(self, connection_id: str, settings: IsapiSettings, clock: Clock) -> None:
        self._connection_id = connection_id
        self._settings = settings
        self._clock = clock
        self._client = IsapiClient(settings)
        self._gate = IsapiGate(settings, self._client, clock)

    @property
    def capabilities(self) -> Capabilities:
        """Gate and plate events; no grants: a camera knows no fee."""
        return isapi_capabilities(self._settings)

    def close(self) -> None:
        """Close pooled connections."""
        self._client.close()

    def health(self) -> Health:
        """Ask who the device is and, where it tells, what time it thinks it is."""
        return observed(NAME, "health", self._health)

    def operate(self, command: GateCommand) -> GateResult:
        """Open or close the barrier of this lane, now or not at all."""
        return observed(NAME, "gate", lambda: self._gate.operate(command))

    def read_push(self, push: InboundPush) -> PassageEvent | None:
        """The passage in an event that the camera posted. Raises `EventUnreadable`."""
        passage = read_passage(self._settings, self._connection_id, push)
        PUSHES.labels(NAME, "ignored" if passage is None else "passage").inc()
        return passage

    def _health(self) -> Health:
        request_text = f"GET {DEVICE_INFO}"
        try:
            answer = self._client.call("GET", DEVICE_INFO)
        except (TransportError, AuthFailed) as error:
            return Health(_outcome(error), str(error), Trace(request_text, str(error)))
        trace = Trace(request_text, xml_trace(answer.text), answer.status, answer.duration_ms)
        info = _document(answer)
        details = {name: text_of(info, name) for name in _INFO_MEMBERS if text_of(info, name)} if info else {}
        if not details:
            return Health(Outcome.UNKNOWN, f"HTTP {answer.status}: 不是设备信息 no device information", trace)
        return Health(Outcome.OK, "正常 fine", trace, self._clock_skew_s(), details)

    def _clock_skew_s(self) -> int | None:
        """Device time minus ours; None on models that do not answer, which is no fault."""
        try:
            answer = self._client.call("GET", DEVICE_TIME)
        except (TransportError, AuthFailed):
            return None
        told = read_time(text_of(_document(answer) or {}, "localTime"))
        return None if told is None else round((told - self._clock.now()).total_seconds())


def build_isapi(connection_id: str, settings: IsapiSettings, clock: Clock) -> IsapiAdapter:
    """The adapter of one connection."""
    return IsapiAdapter(connection_id, settings, clock)


def _document(answer: HttpAnswer) -> Members | None:
    try:
        return read_document(answer.body)[1] if answer.status == 200 else None
    except DocumentUnreadable:
        return None


def _outcome(error: TransportError | AuthFailed) -> Outcome:
    if isinstance(error, ConnectFailed):
        return Outcome.RETRYABLE
    if isinstance(error, ReadTimedOut):
        return Outcome.TIMEOUT
    return Outcome.CONFIGURATION if isinstance(error, AuthFailed) else Outcome.UNKNOWN
