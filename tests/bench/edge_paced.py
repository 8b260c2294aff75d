"""Latencies at a fixed pace, asked by a client that never sleeps: timers of event loops are a millisecond coarse, so that calls which
are due one after the other would come in bunches, and the bunch would be measured instead of the server."""

from __future__ import annotations

import select
import socket
import time
from contextlib import ExitStack

from tests.bench.edge_serving import Asked
from tests.bench.load import HOST

_CHUNK = 256 * 1024


class _Line:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self.free = True
        self._said = b""

    def ask(self, question: bytes, due: float) -> None:
        """Questions are small: the kernel takes them at once."""
        self.socket.sendall(question)
        self.due, self.free, self._said = due, False, b""

    def hear(self) -> bool:
        """Some of the answer; true when it was the last of it."""
        self._said += self.socket.recv(_CHUNK)
        head, end, body = self._said.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode("latin-1"))
        at = head.lower().index(b"content-length:") + 15
        self.free = bool(end) and len(body) >= int(head[at:].split(b"\r", 1)[0])
        return self.free


def paced(port: int, ask: Asked, per_s: float, seconds: float) -> list[float]:
    """Sorted latencies, in seconds, of calls that are due at even distances, over as many connections as `ask` says.

    A call counts from when it was due: one that finds its connection still busy has waited.
    """
    question = ask.question
    assert isinstance(question, bytes)
    laps: list[float] = []
    with ExitStack() as closing:
        lines = [_Line(port) for _ in range(ask.connections)]
        poll = select.epoll()
        by_file = {}
        for line in lines:
            closing.callback(line.socket.close)
            by_file[line.socket.fileno()] = line
            poll.register(line.socket, select.EPOLLIN)
        closing.callback(poll.close)
        asked, total, began = 0, int(per_s * seconds), time.perf_counter()
        while len(laps) < total:
            line, due = lines[asked % len(lines)], began + asked / per_s
            if asked < total and line.free and time.perf_counter() >= due:
                line.ask(question, due)
                asked += 1
            for file, _ in poll.poll(0):
                if by_file[file].hear():
                    laps.append(time.perf_counter() - by_file[file].due)
    return sorted(laps)
