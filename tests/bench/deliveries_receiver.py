"""The receiver of the delivery benches, a process of its own: answers every push after a while, as told, and counts.

    python -m tests.bench.deliveries_receiver ANSWER_FILE     prints its port

A path is `/DESTINATION/INTERFACE`. The answers are the lines of the file: first the one to `query_token`, then the one to everything else.
`/_set?delay_ms=50&hang=d3&down=d1` changes the behaviour, `/_count` tells the pushes answered since the last time, by destination,
and the times of arrival by the header `X-Object`. Imports nothing of the project.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
_HANG_S = 600.0


class Receiver(asyncio.Protocol):
    """One connection; `state` is shared by all."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect one request; clients do not send the next before the answer."""
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(rest) >= length:
            self.buffer = b""
            self.answer(head.split(b" ", 2)[1].decode())

    def answer(self, path: str) -> None:
        """Answer now, later, or never."""
        if path.startswith("/_"):
            self.write(self.state.control(path))
            return
        destination, _, interface = path.strip("/").partition("/")
        if interface == "query_token":
            self.write(self.state.token)
        elif destination == self.state.hang:
            asyncio.get_running_loop().call_later(_HANG_S, self.transport.close)
        elif destination == self.state.down:
            self.transport.close()
        elif self.state.delay_s:
            asyncio.get_running_loop().call_later(self.state.delay_s, self.accepted, destination)
        else:
            self.accepted(destination)

    def accepted(self, destination: str) -> None:
        """Count and answer."""
        self.state.counts[destination] += 1
        self.write(self.state.push)

    def write(self, body: bytes) -> None:
        """One HTTP answer."""
        if not self.transport.is_closing():
            self.transport.write(_HEAD % (len(body), body))


class State:
    """What all connections share."""

    def __init__(self, token: bytes, push: bytes) -> None:
        self.token, self.push = token, push
        self.delay_s = 0.05
        self.hang = self.down = ""
        self.counts: Counter[str] = Counter()

    def control(self, path: str) -> bytes:
        """`/_set` and `/_count`."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query, keep_blank_values=True).items()}
        if path.startswith("/_set"):
            self.delay_s = float(asked.get("delay_ms", self.delay_s * 1000)) / 1000
            self.hang, self.down = asked.get("hang", self.hang), asked.get("down", self.down)
            return b"{}"
        counts, self.counts = self.counts, Counter()
        return json.dumps({"at": time.time(), "counts": counts}).encode()


async def main(token: bytes, push: bytes) -> None:
    """Serve on a port of the system's choice."""
    state = State(token, push)
    server = await asyncio.get_running_loop().create_server(lambda: Receiver(state), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    token_answer, push_answer = Path(sys.argv[1]).read_bytes().splitlines()[:2]
    asyncio.run(main(token_answer, push_answer))
