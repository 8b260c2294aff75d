"""ASGI layers around connexion: counting, body size, start and stop of the composed hub."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub import metrics
from hub.web.titles import document

PUSHED_TYPE = b"x-pushed-content-type"
_AREAS = ("/api/console", "/api/app", "/callbacks", "/docs")


log = structlog.get_logger()


class Deferred:
    """An application that takes long to build, built beside the others' work: by whoever needs it first, or by `begin`.

    Who calls it before it is there waits. What its building raised is raised for every caller, and named by `problem`.
    """

    def __init__(self, build: Callable[[], ASGIApp]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._app: ASGIApp | None = None
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        app = self._app
        if app is None:
            app = await anyio.to_thread.run_sync(self._built)
        await app(scope, receive, send)

    @property
    def problem(self) -> str:
        """Why it could not be built; empty when it could, or has not been tried yet."""
        return f"{type(self._error).__name__}: {self._error}" if self._error else ""

    def begin(self) -> None:
        """Build it in a thread of its own."""
        self._thread = threading.Thread(target=self._try, name="web-contracts", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Wait for a building that is under way: it uses what is stopped next."""
        if self._thread is not None:
            self._thread.join()

    def _try(self) -> None:
        try:
            self._built()
        except Exception:  # the thread's edge: `problem` keeps it for the probe, and every caller gets it
            log.exception("web.contracts_not_built")

    def _built(self) -> ASGIApp:
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._app is None:
                try:
                    self._app = self._build()
                except Exception as error:
                    self._error = error
                    raise
            return self._app


class Counted:
    """Counts and times every HTTP request by area."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        area = next((name for name in _AREAS if scope["path"].startswith(name)), "other")
        metrics.IN_FLIGHT.inc()
        try:
            await self._inner(scope, receive, noting)
        finally:
            metrics.IN_FLIGHT.dec()
            metrics.REQUESTS.labels(area, str(status)).inc()
            metrics.SECONDS.labels(area).observe(time.perf_counter() - started)


class BodyLimit:
    """Reads the body up to the limit of its path before anything else sees it; a larger one is refused with 413."""

    def __init__(self, inner: ASGIApp, limit: int, callback_limit: int) -> None:
        self._inner = inner
        self._limit = limit
        self._callback_limit = callback_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        limit = self._callback_limit if scope["path"].startswith("/callbacks/") else self._limit
        body = await _read(scope, receive, limit)
        if body is None:
            await _refuse(send)
        else:
            await self._inner(scope, _replay(body, receive), send)


async def _read(scope: Scope, receive: Receive, limit: int) -> bytes | None:
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > limit:
        return None
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


async def _refuse(send: Send) -> None:
    metrics.REFUSED.labels("size").inc()
    # The rest of the body stays unread, so the connection cannot be used again.
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": document(413)})


class RawCallbacks:
    """Lets no form parser near what devices post: below `/callbacks/` every body is bytes, its own type stands in `PUSHED_TYPE`."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"].startswith("/callbacks/"):
            kept = [(name, value) for name, value in scope["headers"] if name not in (b"content-type", PUSHED_TYPE)]
            given = [(PUSHED_TYPE, value) for name, value in scope["headers"] if name == b"content-type"]
            scope = {**scope, "headers": [*kept, (b"content-type", b"application/octet-stream"), *given]}
        await self._inner(scope, receive, send)


class Lifespan:
    """Starts the hub before the first request and stops it after the last; what `start` raises ends the server."""

    def __init__(self, inner: ASGIApp, start: Callable[[], Any], stop: Callable[[], Any]) -> None:
        self.http_app = inner
        """Gets every request as it came."""
        self._start = start
        self._stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "lifespan":
            await self.http_app(scope, receive, send)
            return
        await receive()
        try:
            await anyio.to_thread.run_sync(self._start)
        except Exception as error:  # the protocol's edge: the server prints the message and exits
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await self._inside(send)
        await receive()
        await anyio.to_thread.run_sync(self._stop)
        await send({"type": "lifespan.shutdown.complete"})

    async def _inside(self, send: Send) -> None:
        await send({"type": "lifespan.startup.complete"})
