"""The edge behind a real server: uvicorn with its own HTTP protocol, and with the hub's."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hub.lane import TcecLaneProtocol
from partners.tcec102.edge import AsgiApp, Message, Receive, Scope, Send

DEADLINE_S = 10.0
PROTOCOLS: dict[str, type[asyncio.Protocol]] = {"asgi": HttpToolsProtocol, "lane": TcecLaneProtocol}


async def inner_app(scope: Scope, receive: Receive, send: Send) -> None:
    """What is behind the edge: a teapot that says how much it was sent."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    message: Message = {"more_body": True}
    size = 0
    while message.get("more_body"):
        message = await receive()
        size += len(message.get("body", b""))
    body = b"inner %d" % size
    await send({"type": "http.response.start", "status": 418, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Served:
    """A uvicorn in a thread of its own, on a port the system chose."""

    def __init__(self, app: AsgiApp, protocol: str = "asgi") -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            app, http=PROTOCOLS[protocol], log_level="error", access_log=False, lifespan="on", server_header=False
        )
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.server.run, args=([self._socket],))
        self._thread.start()
        deadline = time.monotonic() + DEADLINE_S
        while not self.server.started:
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)

    def stop(self) -> None:
        """Waits for calls under way, as the hub does at SIGTERM."""
        self.server.should_exit = True
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        self._socket.close()


Serve = Callable[[AsgiApp], Served]
