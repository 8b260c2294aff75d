"""HTTP under the fakes: bytes on a socket become a `Request`, a `Reply` becomes bytes; threads that end when told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import structlog

from partners.fake.wire import to_json

log = structlog.get_logger()

MAX_BODY = 1 << 20
"""1 MiB: more than any message of the protocols; the same limit as the hub's own door."""

DRAIN_LIMIT = 16 * MAX_BODY
"""So much of an oversized body is still read, so that its sender gets the refusal instead of a reset connection."""

IDLE_S = 30
"""Real seconds after which a silent connection is closed."""

DRIPS = 10
"""Pieces of a body that drips."""

JSON_TYPE = "application/json;charset=utf-8"


@dataclass(frozen=True)
class Request:
    """One request as it came; header names are lower-case; `oversized` requests arrive with an empty body."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    target: str
    oversized: bool = False


@dataclass(frozen=True)
class Reply:
    """One answer; `drop` closes the connection without sending anything.

    `torn` closes it in the middle of the body, `twice` sends the whole answer once more. `drip_s`: the body comes in pieces over
    so many real seconds. `skew_s`: so far off is the Date header.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    drop: bool = False
    torn: bool = False
    twice: bool = False
    drip_s: float = 0.0
    skew_s: float = 0.0


def json_reply(value: object, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(status=status, body=to_json(value).encode())


class HttpServer(ThreadingMixIn, HTTPServer):
    """Threads that are joined at the end, and connections that can be hung up, so that a stop leaves nothing behind."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind without asking the name service who we are."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.socket.getsockname()[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept and remember."""
        connection, peer = super().get_request()
        with self._open_lock:
            self._open.add(connection)
        return connection, peer

    def shutdown_request(self, request: Any) -> None:
        """Forget and close."""
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Wake every thread that waits for the next request of its connection."""
        with self._open_lock:
            for connection in self._open:
                _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away in the middle is not worth a traceback."""
        log.info("fake_connection_lost")


class Handler(BaseHTTPRequestHandler):
    """Turns HTTP into `Request` and `Reply`; knows nothing of any protocol above."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = IDLE_S
    _skew_s = 0.0

    def _serve(self) -> None:
        assert isinstance(self.server, HttpServer)  # noqa: S101 - tells the type checker what the class above guarantees
        try:
            self._send(self.server.answer(self._request()))
        except ValueError:
            self.close_connection = True
            self._send(Reply(400, b"bad Content-Length", "text/plain"))
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names http.server looks for

    def _request(self) -> Request:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if length < 0:
            raise ValueError("negative Content-Length")
        body = self.rfile.read(length) if length <= MAX_BODY else self._drain(length)
        return Request(
            method=self.command,
            path=parts.path,
            query=_first_values(parts.query),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            target=self.path,
            oversized=length > MAX_BODY,
        )

    def _drain(self, length: int) -> bytes:
        self.close_connection = True
        left = min(length, DRAIN_LIMIT)
        while left > 0 and (chunk := self.rfile.read(min(left, 65536))):
            left -= len(chunk)
        return b""

    def _send(self, reply: Reply) -> None:
        if reply.drop:
            self.close_connection = True
            _cut(self.connection)
            return
        self._skew_s = reply.skew_s
        self._write(reply)
        if reply.twice:
            self._write(reply)
        if reply.torn:
            self.close_connection = True
            _cut(self.connection)

    def _write(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in (("Content-Type", reply.content_type), *reply.headers):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        for piece in _pieces(reply):
            self.wfile.write(piece)
            self.wfile.flush()

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header, by our clock of this answer."""
        return super().date_time_string(timestamp if timestamp is not None else time.time() + self._skew_s)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's signature
        """The journal tells more than an access log would."""


def _pieces(reply: Reply) -> Iterator[bytes]:
    """The body, at once, only half of it, or in `DRIPS` pieces with pauses between them."""
    if reply.torn:
        yield reply.body[: len(reply.body) // 2]
        return
    if not reply.drip_s:
        yield reply.body
        return
    length = -(-len(reply.body) // DRIPS) or 1
    for start in range(0, len(reply.body), length):
        time.sleep(reply.drip_s / DRIPS)
        yield reply.body[start : start + length]


def _first_values(query: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, value)
    return values


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # the other side was faster
        return
