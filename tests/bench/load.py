"""A closed-loop load generator over raw sockets: so many connections, each waits for its answer before the next question.

It costs far less than any server it measures. Bounded in time; loopback only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

HOST = "127.0.0.1"
_OPENING_S = 1.0
"""Time for a log-in and all that a server says after it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Answers per second and latencies in milliseconds."""

    per_s: float
    p50_ms: float
    p99_ms: float


Opening = Callable[[int], bytes] | None
Question = bytes | Callable[[int], bytes]
"""The same for every connection, or one for each by its number."""


async def run(
    port: int,
    connections: int,
    seconds: float,
    question: Question,
    framing: str,
    opening: Opening = None,
    *,
    warm_up_s: float = 0.5,
) -> Measured:
    """Ask `question` over `connections` sockets for `seconds`; `framing` is `http` or `fixed:N` (N bytes an answer).

    `opening(i)` is said first on connection `i`; whatever is answered to it is dropped. The first `warm_up_s` are not counted.
    """
    laps: list[float] = []
    quiet = _OPENING_S if opening else 0.0
    until = time.perf_counter() + quiet + warm_up_s + seconds
    counted_from = until - seconds
    first = [opening(i) if opening else b"" for i in range(connections)]
    asked = [question if isinstance(question, bytes) else question(i) for i in range(connections)]
    tasks = [
        _client(port, ask, framing, until, counted_from, laps, said) for ask, said in zip(asked, first, strict=True)
    ]
    await asyncio.gather(*tasks)
    laps.sort()
    return Measured(len(laps) / seconds, laps[len(laps) // 2] * 1000, laps[int(len(laps) * 0.99)] * 1000)


async def _client(
    port: int, question: bytes, framing: str, until: float, counted_from: float, laps: list[float], opening: bytes
) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    if opening:
        writer.write(opening)
        await asyncio.sleep(_OPENING_S)
        await reader.read(64 * 1024)
    size = int(framing.partition(":")[2] or 0)
    while (began := time.perf_counter()) < until:
        writer.write(question)
        if size:
            await reader.readexactly(size)
        else:
            await http_answer(reader)
        if began > counted_from:
            laps.append(time.perf_counter() - began)
    writer.close()
    await writer.wait_closed()


async def http_answer(reader: asyncio.StreamReader) -> bytes:
    """The body of one answer with status 200."""
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode("latin-1"))
    at = head.lower().index(b"content-length:") + 15
    length = int(head[at : head.index(b"\r\n", at)])
    return await reader.readexactly(length)


def http_post(path: str, body: bytes, token: str) -> bytes:
    """The bytes of one keep-alive POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json;charset=utf-8\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
