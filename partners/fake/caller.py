"""The other direction: a fake calling the hub. Seals, sends, verifies and opens; keeps one token; never retries by itself."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import requests

from charging_core.clock import Clock, to_china
from partners.fake.config import LinkConfig
from partners.fake.faults import Fault
from partners.fake.misspeaking import NO_TOKEN_OF_THEIRS, WRONG_TOKEN, misspoken
from partners.fake.wire import Keys, WireError, decrypt, parse_json, seal_request, signature_matches, to_json

TOKEN_MARGIN_S = 60
"""A token is renewed so many real seconds before its end (clause 8)."""

LONGEST_TOKEN_S = 604800
"""Seven days; a longer life is a millisecond time or another slip and counts as the usual two hours."""


@dataclass
class Answer:
    """What came back: result code, text and opened body, or `error` in words when no valid answer came."""

    interface: str
    ret: int | None = None
    msg: str = ""
    data: dict[str, Any] | None = None
    http_status: int | None = None
    duration_ms: int = 0
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the hub answered Ret 0 and does not report a business failure inside Data."""
        return self.ret == 0 and not self.error and (self.data or {}).get("SuccStat", 0) == 0

    def as_json(self) -> dict[str, Any]:
        """The answer for journal and control interface."""
        return {**vars(self), "ok": self.ok}


class HubCaller:
    """Calls the hub's interfaces with the keys that the hub issued. Thread-safe."""

    def __init__(self, config: LinkConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._token_ends = 0.0
        self._stamp = ""
        self._seq = 0

    def call(self, interface: str, body: dict[str, Any], fault: Fault | None = None) -> Answer:
        """One interface; gets a token before when needed, and renews it once on 4002. Failures come back as `error`.

        `fault`: one of `misspeaking.CALL_KINDS` to be put into this call.
        """
        if interface == "query_token":
            return self.renew_token(fault)
        answer = self._with_token(interface, body, fault)
        if answer.ret == 4002 and fault is None:
            self.forget_token()
            answer = self._with_token(interface, body, None)
        return answer

    def renew_token(self, fault: Fault | None = None) -> Answer:
        """Ask for a token and keep it."""
        body = {"OperatorID": self._config.operator_id, "OperatorSecret": self._keys().operator_secret}
        answer = self._send("query_token", body, "", fault)
        if answer.ok and answer.data and answer.data.get("AccessToken"):
            life_s = float(answer.data.get("TokenAvailableTime") or 300)
            life_s = 7200.0 if life_s > LONGEST_TOKEN_S else life_s
            self._token = str(answer.data["AccessToken"])
            self._token_ends = time.monotonic() + max(life_s - TOKEN_MARGIN_S, life_s / 2)
        return answer

    def forget_token(self) -> None:
        """The next call asks for a new token."""
        self._token = ""

    def _with_token(self, interface: str, body: dict[str, Any], fault: Fault | None) -> Answer:
        if not self._token or time.monotonic() > self._token_ends:
            answer = self.renew_token()
            if not answer.ok:
                answer.error = answer.error or f"no token: Ret {answer.ret} {answer.msg} {answer.data}"
                return answer
        wrong = fault is not None and fault.kind == WRONG_TOKEN
        return self._send(interface, body, NO_TOKEN_OF_THEIRS if wrong else self._token, fault)

    def _keys(self) -> Keys:
        if self._config.hub_keys is None or not self._config.hub_base_url:
            raise ValueError("hub_keys and hub_base_url are needed to call the hub")
        return self._config.hub_keys

    def _send(self, interface: str, body: dict[str, Any], token: str, fault: Fault | None) -> Answer:
        keys = self._keys()
        sealed = seal_request(self._config.operator_id, body, keys, *self._stamp_and_seq())
        envelope = misspoken(sealed, fault, keys)
        headers = {"Content-Type": "application/json;charset=utf-8"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        url = self._config.hub_base_url.rstrip("/") + "/" + interface
        answer, begun = Answer(interface), time.monotonic()
        try:
            with requests.Session() as session:
                session.trust_env = False
                reply = session.post(url, to_json(envelope).encode(), headers=headers, timeout=self._config.timeout_s)
            answer.http_status = reply.status_code
            self._open(answer, reply.content)
        except requests.RequestException as error:
            answer.error = f"{type(error).__name__}: {error}"
        answer.duration_ms = round((time.monotonic() - begun) * 1000)
        return answer

    def _open(self, answer: Answer, content: bytes) -> None:
        try:
            envelope = parse_json(content)
            answer.ret, answer.msg = int(envelope["Ret"]), str(envelope.get("Msg") or "")
            data, sig = envelope.get("Data") or "", envelope.get("Sig") or ""
            if sig or answer.ret == 0:
                self._verify(answer, data, sig)
            if data and not answer.error:
                answer.data = self._opened(data)
        except (WireError, KeyError, TypeError, ValueError, AttributeError) as error:
            answer.error = f"not a valid answer: {type(error).__name__}: {error}"

    def _opened(self, data: str) -> dict[str, Any]:
        body = parse_json(decrypt(data, self._keys()))
        if not isinstance(body, dict):
            raise WireError("Data is not an object")
        return body

    def _verify(self, answer: Answer, data: str, sig: str) -> None:
        if not signature_matches(sig, self._keys(), str(answer.ret), answer.msg, data):
            answer.error = "应答签名错误 the answer's Sig is wrong"

    def _stamp_and_seq(self) -> tuple[str, str]:
        with self._lock:
            stamp = to_china(self._clock.now()).strftime("%Y%m%d%H%M%S")
            self._seq = self._seq % 9999 + 1 if stamp == self._stamp else 1
            self._stamp = stamp
            return stamp, f"{self._seq:04d}"
