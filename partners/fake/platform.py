"""A fake that speaks the envelope: door, tokens, field check, books, sealed answer, and calls to the hub.

Partner platform and regulator differ only in their interfaces and books; what they share is here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from charging_core.clock import Clock, SystemClock
from partners.fake.caller import Answer, HubCaller
from partners.fake.config import LinkConfig
from partners.fake.door import Door, Passage, Refusal, Tokens, same_secret
from partners.fake.faults import Fault
from partners.fake.httpd import Reply, Request, json_reply
from partners.fake.journal import masked
from partners.fake.misspeaking import CALL_KINDS, LATE, NO_TOKEN_OF_THEIRS, TWICE, cut
from partners.fake.server import ControlAction, FakeServer, Served
from partners.fake.skew import SkewedClock
from partners.fake.wire import seal_reply, sign

Level = Literal["violation", "late", "note"]


class Finding(NamedTuple):
    """Something the books noticed about an accepted message: a violation of the rules, bad timing, or worth a note."""

    level: Level
    code: str
    subject: str
    text: str


@dataclass
class Judgement:
    """The business answer to an opened body; without `data` the envelope's Data stays empty."""

    data: dict[str, Any] | None
    ret: int = 0
    msg: str = ""
    findings: list[Finding] = field(default_factory=list)


class EnvelopeFake(FakeServer):
    """Base of the fakes behind an envelope. Subclasses give `interfaces` and `judge`, and extend `summary`."""

    fault_kinds: ClassVar[Mapping[str, str]] = {
        "wrong_sig": "processed, but the answer carries a wrong signature",
        "ret": "the envelope is checked, then refused with Ret `value` (default -1, busy); nothing is processed",
        "4002_once": "every issued token is forgotten, so that this request meets 4002 and a renewal helps",
        "confirm_result": "orders are answered with ConfirmResult `value` (default 1)",
        "status": "pushes answered with Status get `value` (default 1: ignored, do not retry)",
        "truncated": "processed, but Data of the answer is cut short; its signature fits",
        "wrong_token": "query_token gives a token that is not taken afterwards",
        **CALL_KINDS,
    }

    def __init__(
        self,
        config: LinkConfig,
        clock: Clock | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        log_file: Path | None = None,
        faults: Iterable[Fault | Mapping[str, Any]] = (),
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._skewed = SkewedClock(clock or SystemClock())
        super().__init__(self._skewed, host=host, port=port, log_file=log_file, faults=faults)
        self.link = config
        self.tokens = Tokens(config.token_ttl_s, ticks)
        self.hub = HubCaller(config, self.clock)
        self._door = Door(config, self.tokens, self.clock)
        self._findings: list[Finding] = []
        self._held: list[tuple[str, dict[str, Any]]] = []
        self.books_lock = threading.RLock()

    # -- given by the subclass ---------------------------------------------------------------------------------------

    def interfaces(self) -> frozenset[str]:
        """The wire names served beside `query_token`."""
        return frozenset()

    def judge(self, interface: str, body: dict[str, Any], fault: Fault | None) -> Judgement:
        """Check and book one opened body. Raises `Refusal` when its fields are wrong. Called under `books_lock`."""
        raise LookupError(f"{interface} is announced but not judged ({len(body)} members, {fault})")

    # -- the way of one request --------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """What the hub is told as our address: up to and including the version segment."""
        return self.url + self.link.base_path

    def interface_of(self, request: Request) -> str:
        """The path after the base path; the whole path when it lies elsewhere."""
        base = self.link.base_path
        return request.path.removeprefix(base) if request.path.startswith(base) else request.path

    def fault_fits(self, kind: str, interface: str) -> bool:
        """What calls us cannot be spoilt before it is there; a token call cannot fail for want of a token."""
        if kind in CALL_KINDS or (kind == "wrong_token" and interface != "query_token"):
            return False
        return not (kind == "4002_once" and interface == "query_token")

    def serve(self, request: Request, interface: str, fault: Fault | None) -> Served:
        """Door, judgement, sealed answer; the journal gets the verdict of each check."""
        if interface.startswith("/"):
            return Served(
                json_reply({"error": "no such path"}, 404), {"checks": {"path": "outside " + self.link.base_path}}
            )
        passage = Passage(interface, request, fault=fault)
        signed = True
        try:
            judgement = self._judged(passage, fault)
        except Refusal as refusal:
            judgement, signed = Judgement(None, refusal.ret, refusal.msg), refusal.signed
        with self.books_lock:
            self._findings.extend(judgement.findings)
        reply = self._reply(judgement, signed=signed, spoiled=fault.kind if fault else "")
        return Served(reply, self._entry(passage, judgement))

    def _judged(self, passage: Passage, fault: Fault | None) -> Judgement:
        if passage.request.method != "POST":
            raise Refusal(4003, "只支持POST only POST", signed=False)
        kind = fault.kind if fault else ""
        if kind == "4002_once":
            self.tokens.forget()
        self._door.open(passage)
        if fault and kind == "ret":
            raise Refusal(fault.number, "按要求拒绝 refused on demand")
        if passage.interface == "query_token":
            return _with_wrong_token(self._token(passage)) if kind == "wrong_token" else self._token(passage)
        if passage.interface not in self.interfaces():
            passage.verdicts["interface"] = "unknown"
            raise Refusal(4004, f"未实现的接口 {passage.interface}")
        return self._booked(passage, fault)

    def _booked(self, passage: Passage, fault: Fault | None) -> Judgement:
        try:
            with self.books_lock:
                judgement = self.judge(passage.interface, passage.body, fault)
        except Refusal as refusal:
            passage.verdicts["fields"] = refusal.msg
            raise
        passage.verdicts["fields"] = "ok"
        return judgement

    def _token(self, passage: Passage) -> Judgement:
        body = passage.body
        known = body.get("OperatorID") == self.link.hub_operator_id
        right = same_secret(body.get("OperatorSecret"), self.link.keys.operator_secret)
        fail_reason = 0 if known and right else (2 if known else 1)
        passage.verdicts["secret"] = ("ok", "unknown OperatorID", "wrong OperatorSecret")[fail_reason]
        data = {
            "OperatorID": self.link.hub_operator_id,
            "SuccStat": 1 if fail_reason else 0,
            "AccessToken": "" if fail_reason else self.tokens.issue(),
            "TokenAvailableTime": 0 if fail_reason else self.link.token_ttl_s,
            "FailReason": fail_reason,
        }
        return Judgement(data)

    def _reply(self, judgement: Judgement, *, signed: bool, spoiled: str) -> Reply:
        envelope = seal_reply(judgement.ret, judgement.msg, judgement.data, self.link.keys)
        if spoiled == "truncated" and envelope["Data"]:
            data = cut(str(envelope["Data"]))
            envelope |= {"Data": data, "Sig": sign(self.link.keys, str(judgement.ret), judgement.msg, data)}
        if not signed:
            envelope["Sig"] = ""
        elif spoiled == "wrong_sig":
            sig = str(envelope["Sig"])
            envelope["Sig"] = ("0" if sig[0] != "0" else "1") + sig[1:]
        return replace(json_reply(envelope), skew_s=self._skewed.skew_s)

    def _entry(self, passage: Passage, judgement: Judgement) -> dict[str, Any]:
        refused_inside = passage.verdicts.get("secret", "ok") != "ok"
        return {
            "operator_id": passage.envelope.get("OperatorID"),
            "timestamp": passage.envelope.get("TimeStamp"),
            "seq": passage.envelope.get("Seq"),
            "checks": passage.verdicts,
            "accepted": judgement.ret == 0 and not refused_inside,
            "body": passage.body or None,
            "findings": [finding._asdict() for finding in judgement.findings],
            "answer": {"Ret": judgement.ret, "Msg": judgement.msg, "Data": judgement.data},
        }

    # -- calls to the hub and control --------------------------------------------------------------------------------

    def call(self, interface: str, body: dict[str, Any]) -> Answer:
        """Call one interface of the hub (a token is fetched when needed) and write it into the journal.

        Faults of `CALL_KINDS` are taken here. A call that is kept back has no answer yet.
        """
        fault = self.faults.take(interface, lambda kind, _: kind in CALL_KINDS)
        if fault is not None and fault.kind == LATE:
            self._held.append((interface, body))
            return Answer(interface, error="按要求押后 kept back on demand")
        answer = self._said(interface, body, fault)
        if fault is not None and fault.kind == TWICE:
            self._said(interface, body, None)
        while self._held:
            self._said(*self._held.pop(0), None)
        return answer

    def _said(self, interface: str, body: dict[str, Any], fault: Fault | None) -> Answer:
        answer = self.hub.call(interface, body, fault)
        entry = {"direction": "out", "interface": interface, "body": body, "answer": answer.as_json()}
        self.journal.add(entry | {"fault": fault.kind if fault else None})
        return answer

    def findings(self, level: Level | None = None) -> list[Finding]:
        """What the books noticed so far, oldest first."""
        with self.books_lock:
            return [finding for finding in self._findings if level in (None, finding.level)]

    def summary(self) -> dict[str, Any]:
        """Counts, each push with its answer, and what the books noticed."""
        pushes = [_push(entry) for entry in self.received() if entry["interface"] in self.interfaces()]
        grouped = {f"{level}s": [item._asdict() for item in self.findings(level)] for level in _LEVELS}
        return super().summary() | {"pushes": pushes} | grouped

    def reset(self) -> None:
        """Also forgets what the books noticed and what is kept back, and sets the clock right."""
        super().reset()
        self._skewed.skew_s = 0.0
        self._held.clear()
        with self.books_lock:
            self._findings.clear()

    def control_actions(self) -> dict[tuple[str, str], ControlAction]:
        """Also `call {interface, body}`: call the hub, answer what it answered, decrypted; `clock {skew_s}`: go wrong by so much."""

        def call(body: dict[str, Any]) -> object:
            return masked(self.call(str(body["interface"]), dict(body.get("body") or {})).as_json())

        def clock(body: dict[str, Any]) -> object:
            self.skew(float(body["skew_s"]))
            return {"skew_s": self._skewed.skew_s}

        return super().control_actions() | {("POST", "call"): call, ("POST", "clock"): clock}

    def skew(self, seconds: float) -> None:
        """Let our clock be wrong by so many seconds: TimeStamp of our calls, the window for theirs, the Date header."""
        self._skewed.skew_s = seconds


_LEVELS: tuple[Level, ...] = ("violation", "late", "note")


def _push(entry: dict[str, Any]) -> dict[str, Any]:
    answer = entry.get("answer") or {}
    return {
        "no": entry["no"],
        "time": entry["time"],
        "interface": entry["interface"],
        "accepted": entry["accepted"],
        "fault": entry["fault"],
        "ret": answer.get("Ret"),
        "answer": answer.get("Data"),
        "body": entry.get("body"),
    }


def forced(fault: Fault | None, kind: str) -> int | None:
    """The business code that a fault of this kind demands, or None."""
    return fault.number if fault and fault.kind == kind else None


def _with_wrong_token(judgement: Judgement) -> Judgement:
    if judgement.data and judgement.data["AccessToken"]:
        judgement.data["AccessToken"] = NO_TOKEN_OF_THEIRS
    return judgement
