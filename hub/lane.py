"""uvicorn's HTTP protocol with a lane of its own for T/CEC 102.

A call that has come whole needs nothing of what ASGI is for: no task, no message passed back and forth. Where its last byte is read
it is checked, handled and answered. Everything else goes the usual way: other paths, bodies that are still coming, pipelined calls
behind an unfinished one, connections that close after the answer. What a caller sees is the same on both ways.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from partners.tcec102.edge import CONTENT_TYPE, Task, TcecEdge, essential_headers
from partners.tcec102.ports import Route
from partners.tcec102.visit import InboundCall, Visit

_STATUS = b"HTTP/1.1 200 OK\r\n"
_END = b"%b: %b\r\ncontent-length: " % CONTENT_TYPE
_FORWARDED = b"x-forwarded-for"
_NOT_PLAIN = b"?%#"
"""Characters of a target that is more than a path."""


class TcecLaneProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=…)`; looks for the edge in the application that it serves, and without one is uvicorn's own."""

    _head: ClassVar[tuple[object, bytes]] = (None, b"")
    """The beginning of every answer, made from the server's headers (the date), which are a new list each second."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        app: object = self.app
        self._proxies = app.trusted_hosts if isinstance(app, ProxyHeadersMiddleware) else None
        self._edge = edge_of(app)
        self._route: Route | None = None
        self._authorization: str | None = None
        self._pieces: list[bytes] = []
        usual = self.root_path or self.access_log or self.limit_concurrency is not None
        if usual or config.reset_contextvars:
            self._edge = None

    # ------------------------------------------------------------------------------------------------- from the parser

    def data_received(self, data: bytes) -> None:
        """Bytes from the caller."""
        super().data_received(data)
        if self._route is not None:
            self._go_the_usual_way()

    def on_headers_complete(self) -> None:
        """The lane is chosen here."""
        self._unset_keepalive_if_required()
        self._route = self._choose()
        if self._route is None:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of the body, all of it in nearly every call."""
        if self._route is None:
            super().on_body(body)
        else:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """The call is there."""
        if self._route is None:
            super().on_message_complete()
        else:
            self._serve(self._edge, self._taken(self._route))  # type: ignore[arg-type]  # a route is an edge's

    # --------------------------------------------------------------------------------------------------------- private

    def _choose(self) -> Route | None:
        """The route of a call that may take the lane."""
        edge, unanswered = self._edge, not getattr(self.cycle, "response_complete", True)
        if edge is None or unanswered or self.flow.write_paused:
            return None
        parser = self.parser
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1" or parser.should_upgrade():
            return None
        if self.expect_100_continue or not parser.should_keep_alive() or any(sign in self.url for sign in _NOT_PLAIN):
            return None
        self._authorization, length = essential_headers(self.headers)
        return edge.route(self.url.decode("latin-1")) if 0 < length <= edge.max_body_bytes else None

    def _go_the_usual_way(self) -> None:
        """The rest of the body is still on its way, or the bytes were no HTTP."""
        self._route = None
        pieces, self._pieces = self._pieces, []
        if self.transport.is_closing():
            return
        super().on_headers_complete()
        for piece in pieces:
            super().on_body(piece)

    def _taken(self, route: Route) -> InboundCall:
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._route, self._pieces = None, []
        return InboundCall(route.base, route.interface, body, self._authorization, self._caller())

    def _caller(self) -> str:
        """Address of the caller, by the rules of uvicorn's middleware where a proxy is trusted."""
        address = self.client[0] if self.client else ""
        if self._proxies is None or address not in self._proxies:
            return address
        told = [value for name, value in self.headers if name == _FORWARDED]
        if not told:
            return address
        return self._proxies.get_trusted_client_address(b", ".join(told).decode("latin-1"))[0] or address

    def _serve(self, edge: TcecEdge, call: InboundCall) -> None:
        visit = edge.begin(call)
        waiting = edge.without_waiting(visit)
        if waiting is None:
            self._write(edge.finish(visit))
            self.on_response_complete()
            return
        cycle = _Waiting()
        self.cycle = cycle  # type: ignore[assignment]  # what uvicorn asks of one while it is not complete
        task = self.loop.create_task(self._wait(edge, waiting, visit, cycle))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _wait(self, edge: TcecEdge, task: Task, visit: Visit, cycle: _Waiting) -> None:
        await edge.in_thread(task, visit)
        payload = edge.finish(visit)
        cycle.response_complete = True
        if not cycle.disconnected and not self.transport.is_closing():
            self._write(payload, last=not cycle.keep_alive)
        self.on_response_complete()

    def _write(self, payload: bytes, *, last: bool = False) -> None:
        headers = self.server_state.default_headers
        made_of, head = TcecLaneProtocol._head
        if made_of is not headers:
            head = _STATUS + b"".join(b"%b: %b\r\n" % pair for pair in headers) + _END
            TcecLaneProtocol._head = headers, head
        end = b"\r\nconnection: close\r\n\r\n" if last else b"\r\n\r\n"
        self.transport.write(b"".join((head, b"%d" % len(payload), end, payload)))
        if last:
            self.transport.close()


class _Waiting:
    """A call whose answer is being made: what uvicorn looks at, and sets, when the connection ends or the server stops."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self) -> None:
        self.response_complete = self.disconnected = False
        self.keep_alive = True
        self.message_event = _Nobody()


class _Nobody:
    """Waits for an event."""

    def set(self) -> None:
        """Nobody hears."""


def edge_of(app: object) -> TcecEdge | None:
    """The edge at the front of an application, behind wrappers that say who gets their requests as they came."""
    if isinstance(app, ProxyHeadersMiddleware):
        app = app.app
    while (inner := getattr(app, "http_app", None)) is not None:
        app = inner
    return app if isinstance(app, TcecEdge) else None
