"""ASGI layers around connexion: counting, body size, start and stop of the composed hub."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub import metrics
from hub.web.problems import document

PUSHED_TYPE = b"x-pushed-content-type"
_AREAS = ("/api/console", "/api/app", "/callbacks", "/docs")


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
        self._inner = inner
        self._start = start
        self._stop = stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "lifespan":
            await self._inner(scope, receive, send)
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
