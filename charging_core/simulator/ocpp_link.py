"""The simulated OCPP pile's end of a WebSocket: JSON arrays, one request outstanding per direction. Plain JSON, no library of messages."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

CALL, RESULT, ERROR = 2, 3, 4
_OPEN_S, _CLOSE_S = 10.0, 1.0
_LOG_LENGTH = 10_000
"""Messages remembered for whoever looks."""

Payload = Mapping[str, Any]
Handler = Callable[[str, Payload], Payload | None]
"""Answers a request of the platform; None: not implemented; `NOTHING`: no answer at all."""
NOTHING: Payload = MappingProxyType({"": ""})


class NoAnswer(Exception):
    """The platform did not answer: no link, it ended, it took too long, or it answered by CALLERROR."""


class OcppLink:
    """One connection at a time to one platform."""

    def __init__(self, url: str, identity: str, password: str | None, handler: Handler, answer_s: float) -> None:
        self._url = f"{url.rstrip('/')}/{quote(identity, safe='')}"
        self._headers = {}
        if password is not None:
            token = base64.b64encode(f"{identity}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
        self._handler = handler
        self._answer_s = answer_s
        self._socket: ClientConnection | None = None
        self._numbers = 0
        self._turn = asyncio.Lock()
        self._awaited: dict[str, asyncio.Future[Payload]] = {}
        self.log: list[tuple[str, list[Any]]] = []

    @property
    def connected(self) -> bool:
        """Whether there is a link."""
        return self._socket is not None

    async def run(self, connected: Callable[[], Awaitable[None]]) -> None:
        """Connect, tell `connected` (beside the reading), and read until the link ends. Raises what `websockets` raises."""
        async with connect(
            self._url,
            subprotocols=[Subprotocol("ocpp1.6")],
            additional_headers=self._headers,
            compression=None,
            open_timeout=_OPEN_S,
            close_timeout=_CLOSE_S,
            proxy=None,
        ) as socket:
            self._socket = socket
            greeting = asyncio.ensure_future(connected())
            try:
                async for text in socket:
                    await self._take(json.loads(text))
            except ConnectionClosed:
                return
            finally:
                self._socket = None
                greeting.cancel()
                self._let_go()

    def _let_go(self) -> None:
        for future in self._awaited.values():
            if not future.done():
                future.set_exception(NoAnswer("the link ended"))
        self._awaited.clear()

    async def call(self, action: str, payload: Payload) -> Payload:
        """Ask the platform, after the question before it is answered. Raises `NoAnswer`."""
        async with self._turn:
            if self._socket is None:
                raise NoAnswer("no link")
            self._numbers += 1
            number = f"m{self._numbers}"
            answer = self._awaited[number] = asyncio.get_running_loop().create_future()
            try:
                await self._send([CALL, number, action, dict(payload)])
                async with asyncio.timeout(self._answer_s):
                    told: Payload = await answer
                    return told
            except (TimeoutError, ConnectionClosed) as error:
                raise NoAnswer(action) from error
            finally:
                self._awaited.pop(number, None)

    async def raw(self, items: list[Any]) -> None:
        """Send anything, without waiting."""
        await self._send(items)

    async def drop(self) -> None:
        """Cut the link without a word."""
        if self._socket is not None:
            self._socket.transport.abort()
            await self._socket.wait_closed()

    async def _send(self, items: list[Any]) -> None:
        if self._socket is not None:
            self._note("out", items)
            await self._socket.send(json.dumps(items))

    def _note(self, way: str, items: list[Any]) -> None:
        if len(self.log) < _LOG_LENGTH:
            self.log.append((way, items))

    async def _take(self, items: list[Any]) -> None:
        self._note("in", items)
        if items[0] == CALL:
            answer = self._handler(items[2], items[3])
            if answer is NOTHING:
                return
            if answer is None:
                await self._send([ERROR, items[1], "NotImplemented", "", {}])
            else:
                await self._send([RESULT, items[1], dict(answer)])
            return
        future = self._awaited.get(items[1])
        if future is None or future.done():
            return
        if items[0] == RESULT:
            future.set_result(items[2])
        else:
            future.set_exception(NoAnswer(f"{items[2]} {items[3]}"))
