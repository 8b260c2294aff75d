"""One message and its answer, for the record that the operator searches when something went wrong."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import structlog

from partners.tcec102 import masking, metrics

log = structlog.get_logger()


class Direction(StrEnum):
    """Who called."""

    IN = "in"
    OUT = "out"


class Exchange(Protocol):
    """Raw and opened, both ways. Bodies come out masked; masking happens when they are read, off the hot path.

    ``ret`` is None when no envelope came back. ``failed_check`` names the check that refused an inbound call, or the class of
    the exception that ended an outbound one; empty = none. An inbound call is its own record (``visit.Visit``): it runs so often that
    a copy of its sixteen facts would be felt.
    """

    @property
    def direction(self) -> Direction: ...
    @property
    def interface(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def duration_ms(self) -> float: ...
    @property
    def ret(self) -> int | None: ...
    @property
    def msg(self) -> str: ...
    @property
    def failed_check(self) -> str: ...
    @property
    def http_status(self) -> int | None: ...
    @property
    def link_id(self) -> str | None: ...
    @property
    def operator_id(self) -> str: ...
    @property
    def remote(self) -> str: ...
    @property
    def request_raw(self) -> bytes: ...
    @property
    def request_body(self) -> Any: ...
    @property
    def reply_raw(self) -> bytes: ...
    @property
    def reply_body(self) -> Any: ...


class FinishedExchange:
    """An exchange whose facts are given one by one."""

    __slots__ = (
        "_reply_body", "_reply_raw", "_request_body", "_request_raw", "at", "direction", "duration_ms", "failed_check",
        "http_status", "interface", "link_id", "msg", "operator_id", "path", "remote", "ret",
    )  # fmt: skip

    def __init__(
        self,
        *,
        direction: Direction,
        interface: str,
        path: str,
        at: datetime,
        duration_ms: float,
        ret: int | None,
        msg: str = "",
        failed_check: str = "",
        http_status: int | None = 200,
        link_id: str | None = None,
        operator_id: str = "",
        remote: str = "",
        request_raw: bytes = b"",
        request_body: Any = None,
        reply_raw: bytes = b"",
        reply_body: Any = None,
    ) -> None:
        self.direction = direction
        self.interface = interface
        self.path = path
        self.at = at
        self.duration_ms = duration_ms
        self.ret = ret
        self.msg = msg
        self.failed_check = failed_check
        self.http_status = http_status
        self.link_id = link_id
        self.operator_id = operator_id
        self.remote = remote
        self._request_raw = request_raw
        self._request_body = request_body
        self._reply_raw = reply_raw
        self._reply_body = reply_body

    def __repr__(self) -> str:
        return f"Exchange({self.direction.value}, {self.interface}, link={self.link_id}, ret={self.ret})"

    @property
    def request_raw(self) -> bytes:
        """The request as it went over the wire; plain business content in it is masked."""
        return masking.mask_raw(self._request_raw)

    @property
    def reply_raw(self) -> bytes:
        """The answer as it went over the wire, masked likewise."""
        return masking.mask_raw(self._reply_raw)

    @property
    def request_body(self) -> Any:
        """The opened request, masked; None when it was never opened."""
        return masking.mask(self._request_body)

    @property
    def reply_body(self) -> Any:
        """The opened answer, masked; None when there is none."""
        return masking.mask(self._reply_body)


class ExchangeSink(Protocol):
    """Where exchanges go. Called on the hot path: put it into a queue and return."""

    def record(self, exchange: Exchange) -> None:
        """Take one exchange. An exception is logged and counted, and does not change the answer."""
        ...  # pragma: no cover


def record_safely(sink: ExchangeSink | None, exchange: Exchange) -> None:
    """Hand ``exchange`` to ``sink``; a failing sink never fails the call."""
    if sink is None:
        return
    try:
        sink.record(exchange)
    except Exception:
        metrics.SINK_FAILURES.inc()
        log.exception("tcec102_exchange_not_recorded", interface=exchange.interface, link_id=exchange.link_id)
