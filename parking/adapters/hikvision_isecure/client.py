"""Signed calls to the artemis gateway: POST, JSON, one envelope back (`specs/parking.md` 4.1-4.3)."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from charging_core.clock import Clock
from parking.adapters.hikvision_isecure import codes
from parking.adapters.hikvision_isecure.settings import IsecureSettings
from parking.adapters.hikvision_isecure.signing import content_md5, signature_headers
from parking.adapters.http import HttpAnswer, HttpCaller
from parking.errors import AnswerBroken, ConnectFailed, ReadTimedOut, TlsFailed, TransportError
from parking.masking import MAX_TRACE_TEXT, json_trace, scrub
from parking.port import Outcome, Trace

_PARALLEL = 4
_CONTENT_TYPE = "application/json;charset=UTF-8"
_BY_TRANSPORT: dict[type[TransportError], Outcome] = {
    ConnectFailed: Outcome.RETRYABLE,
    TlsFailed: Outcome.CONFIGURATION,
    ReadTimedOut: Outcome.TIMEOUT,
    AnswerBroken: Outcome.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class ArtemisAnswer:
    """What came back: outcome class, vendor code, words, and the `data` member (None unless the outcome is `ok`)."""

    outcome: Outcome
    code: str
    message: str
    data: Any
    trace: Trace


class ArtemisClient:
    """Calls one gateway with one AK/SK pair. Thread-safe."""

    def __init__(self, settings: IsecureSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._http = HttpCaller(
            settings.base_url, settings.tls, connect_timeout_s=settings.connect_timeout_s, parallel=_PARALLEL
        )

    def post(self, api_path: str, members: dict[str, Any]) -> ArtemisAnswer:
        """Call `api_path` (`/api/…`, without the prefix). Never raises for what the gateway or the network does."""
        body = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
        target = self._settings.path_prefix + api_path
        request_text = f"POST {target}\n{json_trace(members)}"[:MAX_TRACE_TEXT]
        try:
            answer = self._http.call(
                "POST", target, self._headers(target, body), body, read_timeout_s=self._settings.read_timeout_s
            )
        except TransportError as error:
            return _not_answered(error, request_text)
        return self._open(answer, request_text)

    def close(self) -> None:
        """Close pooled connections."""
        self._http.close()

    def _headers(self, target: str, body: bytes) -> dict[str, str]:
        headers = {
            # Sent and signed explicitly: HTTP libraries add their own Accept otherwise, which would not be signed.
            "Accept": "*/*",
            "Content-Type": _CONTENT_TYPE,
            "X-Ca-Key": self._settings.app_key,
            "X-Ca-Nonce": str(uuid.uuid4()),
            "X-Ca-Timestamp": str(int(self._clock.now().timestamp() * 1000)),
        }
        if self._settings.content_md5:
            headers["Content-MD5"] = content_md5(body)
        return signature_headers("POST", headers, target, self._settings.app_secret.get_secret_value())

    def _open(self, answer: HttpAnswer, request_text: str) -> ArtemisAnswer:
        envelope = _envelope(answer.body)
        if envelope is None:
            return self._unreadable(answer, request_text)
        code = str(envelope.get("code", ""))
        message = self._scrub(str(envelope.get("msg") or envelope.get("message") or ""))
        # The trace shows the message from the scrubbed text: a wrong signature is answered with key material in it.
        trace = Trace(request_text, self._scrub(json_trace(envelope)), answer.status, answer.duration_ms)
        if code == codes.SUCCESS:
            return ArtemisAnswer(Outcome.OK, code, message, envelope.get("data"), trace)
        known = codes.meaning_of(code)
        return ArtemisAnswer(known.outcome, code, f"{known.meaning}: {message}", None, trace)

    def _unreadable(self, answer: HttpAnswer, request_text: str) -> ArtemisAnswer:
        trace = Trace(request_text, self._scrub(answer.text[:MAX_TRACE_TEXT]), answer.status, answer.duration_ms)
        if answer.status in (401, 403, 404):
            return ArtemisAnswer(
                Outcome.CONFIGURATION, f"HTTP_{answer.status}", "地址或权限错误 wrong address or no right", None, trace
            )
        return ArtemisAnswer(
            Outcome.UNKNOWN, f"HTTP_{answer.status}", "应答不是网关格式 not an answer of the gateway", None, trace
        )

    def _scrub(self, text: str) -> str:
        return scrub(text, [self._settings.app_secret.get_secret_value(), self._settings.app_key])


def _not_answered(error: TransportError, request_text: str) -> ArtemisAnswer:
    outcome = _BY_TRANSPORT[type(error)]
    return ArtemisAnswer(outcome, type(error).__name__, str(error), None, Trace(request_text, str(error)))


def _envelope(body: bytes) -> dict[str, Any] | None:
    try:
        opened = json.loads(body, parse_float=Decimal)
    except ValueError:
        return None
    return opened if isinstance(opened, dict) and "code" in opened else None
