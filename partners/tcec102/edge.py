"""The T/CEC 102 door as an ASGI application in front of another one (DESIGN.md section 4, DECISIONS 6).

Paths below a link's base are answered here, always with HTTP 200; everything else goes to ``inner``. Checks and crypto run on
the event loop (tens of microseconds); handlers that may block run in a bounded set of threads. When those are taken and the
waiting line is full, the caller gets Ret -1 at once instead of a time-out later.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Generator, Iterable, MutableMapping
from typing import Any

import anyio
import anyio.to_thread

from partners.tcec102 import receive as door_steps
from partners.tcec102.errors import Overloaded, OversizedBody, Refusal, SlowBody
from partners.tcec102.ports import Route
from partners.tcec102.receive import Door
from partners.tcec102.visit import InboundCall, Visit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Task = Callable[[Visit], None]

DEFAULT_THREADS = 32
"""Handlers at work at once; about what one process can use of a database pool."""
DEFAULT_MAX_WAITING = 256
"""Calls that may wait for a thread. At 10 ms a handler the last one waits 80 ms, far inside the 1 s of section 12.2."""
BODY_TIMEOUT_S = 20.0
"""Time for a body that does not come in one piece; a call of 1 MiB over a slow line needs a few seconds."""
_SWEEP_S = 1.0
"""How often slow bodies are looked for."""
INLINE_BYTES = 64 * 1024
"""Larger bodies are opened in a thread: 1 MiB of AES and JSON would hold up the event loop for tens of milliseconds."""

CONTENT_TYPE = (b"content-type", b"application/json;charset=utf-8")
_CLOSE = (b"connection", b"close")


class TcecEdge:
    """ASGI application. Build it once per process; it keeps no state of its own but its thread limit.

    :param inner: where other paths and the life-span events go; without it they get 404.
    """

    def __init__(
        self,
        door: Door,
        inner: AsgiApp | None = None,
        *,
        threads: int = DEFAULT_THREADS,
        max_waiting: int = DEFAULT_MAX_WAITING,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._door = door
        self._inner = inner or _nothing_else
        self._limiter = anyio.CapacityLimiter(threads)
        self._max_waiting = max_waiting
        self._watch = _Watch(body_timeout_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event of ASGI 3."""
        route = self.route(scope["path"]) if scope["type"] == "http" else None
        if route is None:
            await self._inner(scope, receive, send)
            return
        call = await self._read(scope, receive, route)
        if call is None:
            return
        visit = self.begin(call)
        waiting = self.without_waiting(visit)
        if waiting is not None:
            await self.in_thread(waiting, visit)
        payload = self.finish(visit)
        await send({"type": "http.response.start", "status": 200, "headers": _response_headers(call, payload)})
        await send({"type": "http.response.body", "body": payload})

    # The steps of a call, also for a server that has read all of it and needs no ASGI to hand it over.

    def route(self, path: str) -> Route | None:
        """Where a path leads; none for paths that are not below a link's base."""
        return self._door.links.resolve(path)

    @property
    def max_body_bytes(self) -> int:
        """Longest body that is read."""
        return self._door.max_body_bytes

    def begin(self, call: InboundCall) -> Visit:
        """The checks up to the signature."""
        return door_steps.begin(call, self._door)

    def without_waiting(self, visit: Visit) -> Task | None:
        """Go on as far as nothing waits; returns what is left to do `in_thread`, None when all is done."""
        if visit.open and (len(visit.call.body) > INLINE_BYTES or door_steps.may_block(visit)):
            return _proceed_and_work
        door_steps.proceed(visit)
        if visit.open and visit.name not in self._door.inline_handlers:
            return door_steps.work
        door_steps.work(visit)
        return None

    async def in_thread(self, task: Task, visit: Visit) -> None:
        """Do the rest where it may wait; a full house refuses the call."""
        if self._is_full():
            visit.refuse(Overloaded())
            door_steps.work(visit)
            return
        await anyio.to_thread.run_sync(task, visit, limiter=self._limiter)

    def finish(self, visit: Visit) -> bytes:
        """Count and record the call; returns the answer."""
        return door_steps.finish(visit).payload

    def _is_full(self) -> bool:
        limiter = self._limiter
        return limiter.available_tokens <= 0 and limiter.statistics().tasks_waiting >= self._max_waiting

    async def _read(self, scope: Scope, receive: Receive, route: Route) -> InboundCall | None:
        """The call, or None when the caller hung up before its body was complete."""
        authorization, length = essential_headers(scope["headers"])
        client = scope.get("client")
        remote = client[0] if client else ""
        first = _Started(receive())
        if (body := _whole(first.message, length, self._door.max_body_bytes)) is not None:
            # There already, in one piece, of the announced length: nearly every call. Nothing was waited for, so nothing is watched.
            return InboundCall(route.base, route.interface, body, authorization, remote)
        body = b""
        problem: Refusal | None = None
        task = self._watch.begin()
        try:
            body = await _read_body(first, receive, length, self._door.max_body_bytes)
        except OversizedBody as refusal:
            problem = refusal
        except asyncio.CancelledError:
            if not self._watch.ended(task):
                raise
            problem = SlowBody()
        except _HungUpError:
            return None
        finally:
            self._watch.end(task)
        return InboundCall(route.base, route.interface, body, authorization, remote, problem)


class _Started:
    """What `receive()` gives, asked for at once: `message` is there when nothing has to be waited for, else this is awaited.

    A server that has read the whole request hands it over without a pause, and then no watch needs to be set.
    """

    __slots__ = ("_coroutine", "_waits_for", "message")

    def __init__(self, receiving: Awaitable[Message]) -> None:
        self._coroutine = receiving.__await__()
        self._waits_for: Any = None
        self.message: Message | None = None
        try:
            self._waits_for = next(self._coroutine)
        except StopIteration as done:
            self.message = done.value

    def __await__(self) -> Generator[Any, Any, Message]:
        if self.message is not None:
            return self.message
        waits_for = self._waits_for
        while True:
            try:
                answer = yield waits_for
            except (
                BaseException
            ) as problem:  # a cancellation, above all: it is the one who waits that has to hear of it
                forward = functools.partial(self._coroutine.throw, problem)
            else:
                forward = functools.partial(self._coroutine.send, answer)
            try:
                waits_for = forward()
            except StopIteration as done:
                message: Message = done.value
                return message


class _HungUpError(Exception):
    """Raised inside this module when the caller is gone; there is nobody to answer."""


class _Watch:
    """Ends the reading of bodies that take too long. One timer for all of them, because it runs for every call and a timer
    of its own would cost as much as a check; hence an end up to ``_SWEEP_S`` late.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._ended: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> asyncio.Task[Any]:
        """The current task begins to read a body."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("the edge runs inside an asyncio task")
        self._reading[task] = loop.time() + self._seconds
        if self._timer is None or self._loop is not loop:
            self._arm(loop)
        return task

    def end(self, task: asyncio.Task[Any]) -> None:
        """The body is there, or will not come."""
        del self._reading[task]
        self._ended.discard(task)

    def ended(self, task: asyncio.Task[Any]) -> bool:
        """Was it this watch, and nobody else, that cancelled the task?"""
        if task not in self._ended:
            return False
        self._ended.discard(task)
        return task.uncancel() == 0

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer = loop.call_later(min(_SWEEP_S, self._seconds), self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        late = {task for task, deadline in self._reading.items() if deadline <= now}
        for task in late - self._ended:
            self._ended.add(task)
            task.cancel()
        if self._reading:
            self._arm(loop)


def _whole(message: Message | None, length: int, limit: int) -> bytes | None:
    """The body, if this message is all of it."""
    if message is None or not 0 < length <= limit or message.get("more_body", False):
        return None
    body: bytes = message.get("body", b"")
    return body if len(body) == length else None


async def _read_body(first: _Started, receive: Receive, length: int, limit: int) -> bytes:
    if length > limit:
        raise OversizedBody
    message = await first
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        if message["type"] == "http.disconnect":
            raise _HungUpError
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise OversizedBody
        more = message.get("more_body", False)
        if more:
            message = await receive()
    return b"".join(chunks)


def _proceed_and_work(visit: Visit) -> None:
    door_steps.proceed(visit)
    door_steps.work(visit)


def essential_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str | None, int]:
    """Authorization and the announced length, in one walk; -1 when no usable length is announced."""
    authorization, length = None, -1
    for name, value in headers:
        if name == b"authorization" and authorization is None:
            authorization = value.decode("latin-1")
        elif name == b"content-length" and value.isdigit():
            length = int(value)
    return authorization, length


def _response_headers(call: InboundCall, payload: bytes) -> list[tuple[bytes, bytes]]:
    length = (b"content-length", b"%d" % len(payload))
    return [CONTENT_TYPE, length] if call.problem is None else [CONTENT_TYPE, length, _CLOSE]


async def _nothing_else(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
    else:
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


async def _lifespan(receive: Receive, send: Send) -> None:
    event = ""
    while event != "lifespan.shutdown":
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
