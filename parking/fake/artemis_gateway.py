"""The gateway in front of the fake platform: key, signature, time, nonce, grant, JSON, in this order (digest 4.2, 4.3)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from charging_core.clock import Clock
from parking.fake import artemis_errors as codes
from parking.fake.artemis_errors import ArtemisRefusal
from parking.fake.artemis_signature import same, signature, string_to_sign
from parking.fake.park_config import IsecureConfig
from partners.fake.httpd import Request
from partners.fake.wire import WireError, parse_json

PREFIX = "/artemis"
"""Part of every path, and of the signed path."""


class Gateway:
    """Checks every call before the platform sees it. Thread-safe."""

    def __init__(self, config: IsecureConfig, clock: Clock, apis: frozenset[str]) -> None:
        self._config = config
        self._clock = clock
        self._apis = apis
        self._nonces: set[str] = set()
        self._lock = threading.Lock()
        self._checks: tuple[tuple[str, Callable[[Request], None]], ...] = (
            ("app_key", self._app_key),
            ("signature", self._signature),
            ("time", self._time),
            ("nonce", self._nonce),
            ("granted", self._granted),
        )

    def open(self, request: Request, verdicts: dict[str, str]) -> dict[str, Any]:
        """The JSON body of a call that passes; fills `verdicts`. Raises `ArtemisRefusal` at the first check that fails."""
        for name, check in self._checks:
            try:
                check(request)
            except ArtemisRefusal as refusal:
                verdicts[name] = refusal.code
                raise
            verdicts[name] = "ok"
        return self._json(request, verdicts)

    def _app_key(self, request: Request) -> None:
        key = request.headers.get("x-ca-key", "")
        if not key:
            raise ArtemisRefusal(codes.KEY_EMPTY, "appKey is empty")
        if key != self._config.app_key:
            raise ArtemisRefusal(codes.KEY_UNKNOWN, "appKey does not exist")

    def _signature(self, request: Request) -> None:
        given = request.headers.get("x-ca-signature", "")
        if not given:
            raise ArtemisRefusal(codes.SIGNATURE_EMPTY, "signature is empty")
        signed = request.headers.get("x-ca-signature-headers", "").split(",")
        params = _parameters(request)
        text = string_to_sign(request.method, request.headers, signed, request.path, params, request.body)
        if "x-ca-key" not in signed or not same(given, signature(text, self._config.app_secret)):
            raise ArtemisRefusal(codes.SIGNATURE_WRONG, f"signature does not match, StringToSign: {text}")

    def _time(self, request: Request) -> None:
        """The machine's time or the shared clock, whichever the caller signs with: both are a legal reading of "now"."""
        stamp, window = request.headers.get("x-ca-timestamp"), self._config.timestamp_window_s
        if stamp is None or window is None:
            return
        if not stamp.isdecimal():
            raise ArtemisRefusal(codes.FORMAT, "X-Ca-Timestamp is milliseconds")
        sent = int(stamp) / 1000
        if min(abs(now - sent) for now in (time.time(), self._clock.now().timestamp())) > window:
            raise ArtemisRefusal(codes.SIGNATURE_WRONG, "X-Ca-Timestamp is outside the window")

    def _nonce(self, request: Request) -> None:
        nonce = request.headers.get("x-ca-nonce")
        with self._lock:
            if nonce in self._nonces:
                raise ArtemisRefusal(codes.SIGNATURE_WRONG, "X-Ca-Nonce was used before")
            if nonce:
                self._nonces.add(nonce)

    def _granted(self, request: Request) -> None:
        api = request.path.removeprefix(PREFIX)
        if not request.path.startswith(PREFIX + "/") or api not in self._apis or request.method != "POST":
            raise ArtemisRefusal(codes.NOT_GRANTED, f"no such API: {request.method} {request.path}")
        if self._config.granted and api not in self._config.granted:
            raise ArtemisRefusal(codes.NOT_GRANTED, f"{api} is not granted to this appKey")

    def _json(self, request: Request, verdicts: dict[str, str]) -> dict[str, Any]:
        verdicts["json"] = codes.BAD_JSON
        try:
            body = parse_json(request.body or b"{}")
        except WireError as error:
            raise ArtemisRefusal(codes.BAD_JSON, str(error)) from error
        if not isinstance(body, dict):
            raise ArtemisRefusal(codes.BAD_JSON, "an object is expected")
        verdicts["json"] = "ok"
        return body


def _parameters(request: Request) -> dict[str, str]:
    params = dict(request.query)
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        for name, value in parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True):
            params.setdefault(name, value)
    return params
