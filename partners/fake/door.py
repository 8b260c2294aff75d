"""The door of a fake: every check of an incoming envelope, in the order of the standard's result codes (clause 7)."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from charging_core.clock import CHINA, Clock
from partners.fake.config import LinkConfig
from partners.fake.faults import Fault
from partners.fake.httpd import Request
from partners.fake.wire import WireError, decrypt, parse_json, signature_matches

MEMBERS = ("OperatorID", "Data", "TimeStamp", "Seq", "Sig")
TOKEN_BYTES = 24
"""192 bits; the standard asks for at least 128."""


class Refusal(Exception):
    """Raised when a request does not pass; carries `Ret`, `Msg` and whether the answer can be signed."""

    def __init__(self, ret: int, msg: str, *, signed: bool = True) -> None:
        super().__init__(msg)
        self.ret = ret
        self.msg = msg
        self.signed = signed


class Tokens:
    """The access tokens that a fake has issued. Several are valid at once; life is counted in real seconds. Thread-safe."""

    def __init__(self, ttl_s: int, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._ticks = ticks
        self._ends: dict[str, float] = {}
        self._lock = threading.Lock()

    def issue(self) -> str:
        """A fresh token."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self._lock:
            self._ends[token] = self._ticks() + self._ttl_s
        return token

    def valid(self, token: str) -> bool:
        """Whether this token was issued here and still lives."""
        with self._lock:
            return self._ends.get(token, 0.0) > self._ticks()

    def forget(self, but: str = "") -> None:
        """Make every token invalid, as a restarted platform would; `but` this one."""
        with self._lock:
            self._ends = {token: ends for token, ends in self._ends.items() if token == but}


@dataclass
class Passage:
    """One envelope on its way in: what was read so far, and the verdict of each check."""

    interface: str
    request: Request
    envelope: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    fault: Fault | None = None


Check = Callable[[Passage], None]


class Door:
    """Opens request envelopes addressed to one fake."""

    def __init__(self, config: LinkConfig, tokens: Tokens, clock: Clock) -> None:
        self._config = config
        self._tokens = tokens
        self._clock = clock
        self._checks: tuple[tuple[str, Check], ...] = (
            ("size", self._size),
            ("envelope", self._members),
            ("operator", self._operator),
            ("signature", self._signature),
            ("token", self._token),
            ("time", self._time),
            ("decrypt", self._decrypt),
        )

    def open(self, passage: Passage) -> None:
        """Run all checks; fills `body` and `verdicts`. Raises `Refusal` at the first that fails."""
        for name, check in self.plan(passage):
            try:
                check(passage)
            except Refusal as refusal:
                passage.verdicts[name] = refusal.msg
                raise
            passage.verdicts.setdefault(name, "ok")

    def plan(self, passage: Passage) -> Iterable[tuple[str, Check]]:
        """The checks of one envelope by name, in their order."""
        return self._checks

    def _size(self, passage: Passage) -> None:
        if passage.request.oversized:
            raise Refusal(4003, "请求过大 request too large", signed=False)

    def _members(self, passage: Passage) -> None:
        try:
            envelope = parse_json(passage.request.body)
        except WireError as error:
            raise Refusal(4003, "请求不是JSON request is not JSON", signed=False) from error
        if not isinstance(envelope, dict):
            raise Refusal(4003, "请求不是对象 request is not an object", signed=False)
        for member in MEMBERS:
            if not isinstance(envelope.get(member), str) or not envelope[member]:
                raise Refusal(4003, f"缺少参数:{member}", signed=False)
        passage.envelope = envelope

    def _operator(self, passage: Passage) -> None:
        if passage.envelope["OperatorID"] != self._config.hub_operator_id:
            raise Refusal(4003, "未知运营商 unknown OperatorID", signed=False)

    def _signature(self, passage: Passage) -> None:
        *parts, given = (passage.envelope[name] for name in MEMBERS)
        if not signature_matches(given, self._config.keys, *parts):
            raise Refusal(4001, "签名错误 wrong Sig")

    def _token(self, passage: Passage) -> None:
        if passage.interface == "query_token":
            passage.verdicts["token"] = "not asked"  # noqa: S105 - a verdict, not a secret
            return
        scheme, _, token = passage.request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not self._tokens.valid(token.strip()):
            raise Refusal(4002, "Token错误 token missing, unknown or expired")

    def _time(self, passage: Passage) -> None:
        stamp, seq = passage.envelope["TimeStamp"], passage.envelope["Seq"]
        try:
            sent = datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=CHINA)
        except ValueError as error:
            raise Refusal(4003, "TimeStamp应为yyyyMMddHHmmss") from error
        if len(stamp) != len("yyyyMMddHHmmss") or len(seq) != len("0001") or not seq.isdecimal():
            raise Refusal(4003, "TimeStamp或Seq长度错误 wrong length")
        window = self._config.time_window_s
        if window is not None and abs((self._clock.now() - sent).total_seconds()) > window:
            raise Refusal(4003, "TimeStamp超出时间窗 outside the window")

    def _decrypt(self, passage: Passage) -> None:
        try:
            body = parse_json(decrypt(passage.envelope["Data"], self._config.keys))
        except WireError as error:
            raise Refusal(4003, f"Data解密失败 {error}") from error
        if not isinstance(body, dict):
            raise Refusal(4003, "Data不是对象 Data is not an object")
        passage.body = body


def same_secret(given: object, expected: str) -> bool:
    """Whether a secret that came in is the expected one, in constant time."""
    return isinstance(given, str) and hmac.compare_digest(given.encode(), expected.encode())
