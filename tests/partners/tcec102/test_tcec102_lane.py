"""The hub's own lane for T/CEC calls: byte for byte what uvicorn and ASGI give, whatever a caller sends."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from partners.tcec102 import envelope
from partners.tcec102.edge import Receive, Scope, Send, TcecEdge
from partners.tcec102.keys import KeySet
from partners.tcec102.memory import MemorySink
from partners.tcec102.ports import InboundLink
from partners.tcec102.receive import MAX_BODY_BYTES, Door
from partners.tcec102.visit import InboundCall
from tests.partners.tcec102.served import DEADLINE_S, PROTOCOLS, Served, inner_app

PATH = b"/demo/evcs/v1/query_station_status"
ASKED = {"StationIDs": ["S0001"]}
INLINE = frozenset({"query_station_status"})

MakeDoor = Callable[..., Door]
CallFor = Callable[..., InboundCall]


@pytest.fixture(params=["inline", "thread"])
def door(request: pytest.FixtureRequest, make_door: MakeDoor) -> Door:
    return make_door(inline_handlers=INLINE if request.param == "inline" else frozenset())


@pytest.fixture
def call(call_for: CallFor) -> InboundCall:
    return call_for("query_station_status", ASKED)


@pytest.fixture
def both(door: Door) -> Iterator[dict[str, Served]]:
    """The same edge behind either protocol."""
    servers = {name: Served(TcecEdge(door, inner_app, body_timeout_s=0.3), name) for name in PROTOCOLS}
    yield servers
    for server in servers.values():
        server.stop()


def request(
    call: InboundCall, *more: bytes, target: bytes = PATH, method: bytes = b"POST", http: bytes = b"1.1"
) -> bytes:
    lines = [
        method + b" " + target + b" HTTP/" + http,
        b"Host: hub",
        b"Authorization: " + (call.authorization or "").encode(),
        b"Content-Length: %d" % len(call.body),
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + call.body


def chunked(call: InboundCall) -> bytes:
    head = request(replace(call, body=b""), b"Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(call.body), call.body)


def told(port: int, pieces: list[bytes], *, closes: bool) -> bytes:
    """Everything the server says to these pieces, each sent when the last has arrived; the date is left out."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            line.sendall(piece)
            threading.Event().wait(0.02)  # so that they come apart; the answers are the same if they do not
        if not closes:
            line.sendall(b"GET /end HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n")
        said = b""
        while more := line.recv(65_536):
            said += more
    return re.sub(rb"date: [^\r]+\r\n", b"", said)


OTHER = b"GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n"
WAYS: dict[str, Callable[[InboundCall], list[bytes]]] = {
    "whole": lambda call: [request(call)],
    "head and body apart": lambda call: [request(call)[: -len(call.body)], call.body],
    "byte by byte, nearly": lambda call: [request(call)[at : at + 90] for at in range(0, len(request(call)), 90)],
    "two in one packet": lambda call: [request(call) * 2],
    "ten in one packet": lambda call: [request(call) * 10],
    "one and a half": lambda call: [request(call) + request(call)[:150], request(call)[150:]],
    "another path before": lambda call: [OTHER + request(call)],
    "another path behind": lambda call: [request(call) + OTHER],
    "between others": lambda call: [OTHER + request(call) + OTHER + request(call)],
    "in chunks": lambda call: [chunked(call)],
    "in a query": lambda call: [request(call, target=PATH + b"?a=1")],
    "escaped path": lambda call: [request(call, target=PATH.replace(b"query", b"%71uery"))],
    "absolute target": lambda call: [request(call, target=b"http://hub" + PATH)],
    "unknown interface": lambda call: [request(call, target=b"/demo/evcs/v1/query_nothing")],
    "another base": lambda call: [request(call, target=b"/demo/evcs/v2/query_station_status")],
    "wrong token": lambda call: [request(replace(call, authorization="Bearer nothing"))],
    "wrong signature": lambda call: [request(replace(call, body=call.body.replace(b'"Sig":"', b'"Sig":"0')))],
    "garbage inside": lambda call: [request(replace(call, body=b"\xff\x00garbage"))],
    "nothing inside": lambda call: [request(replace(call, body=b""))],
    "GET": lambda call: [request(call, method=b"GET")],
    "PUT": lambda call: [request(call, method=b"PUT")],
}
CLOSING: dict[str, Callable[[InboundCall], list[bytes]]] = {
    "HTTP/1.0": lambda call: [request(call, http=b"1.0")],
    "to be closed": lambda call: [request(call, b"Connection: close")],
    "too large": lambda call: [request(replace(call, body=b"x" * (MAX_BODY_BYTES + 1)))[:5_000]],
    "no HTTP": lambda call: [b"\x68\x0d\x00\x00\x00\x01 what a pile says\r\n\r\n"],
    "no HTTP behind a call": lambda call: [request(call), b"\x68\x0d\x00\x00\r\n\r\n"],
    "wrong chunk": lambda call: [chunked(call).replace(b"\r\n0\r\n", b"\r\nzz\r\n")],
    "never ends": lambda call: [request(call)[:-10]],
}


def test_on_either_way_the_answer_is_the_same(both: dict[str, Served], call: InboundCall) -> None:
    said = {
        name: {way: told(server.port, pieces(call), closes=False) for way, pieces in WAYS.items()}
        for name, server in both.items()
    }
    assert said["lane"] == said["asgi"]
    assert all(answers.count(b"HTTP/1.1 ") >= 2 for answers in said["lane"].values())


def test_on_either_way_the_end_is_the_same(both: dict[str, Served], call: InboundCall) -> None:
    said = {
        name: {way: told(server.port, pieces(call), closes=True) for way, pieces in CLOSING.items()}
        for name, server in both.items()
    }
    assert said["lane"] == said["asgi"]
    assert all(said["lane"].values())


def test_a_call_that_came_whole_needs_no_asgi(door: Door, call: InboundCall) -> None:
    class Counting(TcecEdge):
        paths: ClassVar[list[str]] = []

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.paths.append(scope.get("path", "lifespan"))
            await super().__call__(scope, receive, send)

    server = Served(Counting(door, inner_app), "lane")
    told(server.port, [request(call)], closes=False)
    server.stop()
    assert Counting.paths == ["lifespan", "/end"]


def test_a_caller_that_may_send_its_body_is_told_so(both: dict[str, Served], call: InboundCall) -> None:
    head, body = request(call, b"Expect: 100-continue")[: -len(call.body)], call.body
    for server in both.values():
        assert told(server.port, [head, body], closes=False).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


def test_an_answer_nobody_fetches_holds_up_nobody_else(both: dict[str, Served], call: InboundCall) -> None:
    count = 400
    with socket.create_connection(("127.0.0.1", both["lane"].port), DEADLINE_S) as silent:
        sending = threading.Thread(target=silent.sendall, args=(request(call) * count,), daemon=True)
        sending.start()
        assert told(both["lane"].port, [request(call)], closes=False).startswith(b"HTTP/1.1 200 OK")
        said = b""
        while said.count(b"HTTP/1.1 200 OK") < count:
            more = silent.recv(65_536)
            assert more
            said += more
        sending.join(DEADLINE_S)


# ------------------------------------------------------------------------------------------------ slow handlers, ends


class Slow:
    """A handler that answers when it is let."""

    def __init__(self) -> None:
        self.entered, self.release = threading.Semaphore(0), threading.Event()

    def __call__(self, _link: InboundLink, _body: dict[str, Any]) -> Mapping[str, Any]:
        self.entered.release()
        assert self.release.wait(DEADLINE_S)
        return {"Total": 0, "StationStatusInfos": []}


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def busy(make_door: MakeDoor, slow: Slow) -> Iterator[Served]:
    server = Served(TcecEdge(make_door(handlers={"query_station_status": slow}), inner_app), "lane")
    yield server
    slow.release.set()
    server.stop()


def test_what_comes_behind_a_slow_call_waits_its_turn(busy: Served, slow: Slow, call: InboundCall) -> None:
    with socket.create_connection(("127.0.0.1", busy.port), DEADLINE_S) as line:
        line.sendall(request(call) + OTHER)
        assert slow.entered.acquire(timeout=DEADLINE_S)
        line.sendall(request(call, b"Connection: close"))
        slow.release.set()
        said = b""
        while more := line.recv(65_536):
            said += more
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200", b"418", b"200"]


def test_a_server_that_stops_answers_first(busy: Served, slow: Slow, call: InboundCall, keys: KeySet) -> None:
    with socket.create_connection(("127.0.0.1", busy.port), DEADLINE_S) as line:
        line.sendall(request(call))
        assert slow.entered.acquire(timeout=DEADLINE_S)
        busy.server.should_exit = True
        while busy.server.servers and busy.server.servers[0].is_serving():
            threading.Event().wait(0.01)
        slow.release.set()
        said = b""
        while more := line.recv(65_536):
            said += more
    head, _, body = said.partition(b"\r\n\r\n")
    assert envelope.open_reply(body, keys).ret == 0
    assert b"connection: close" in head


def test_a_caller_that_hangs_up_is_recorded_all_the_same(
    busy: Served, slow: Slow, call: InboundCall, sink: MemorySink
) -> None:
    with socket.create_connection(("127.0.0.1", busy.port), DEADLINE_S) as line:
        line.sendall(request(call))
        assert slow.entered.acquire(timeout=DEADLINE_S)
    slow.release.set()
    busy.stop()
    assert [(exchange.interface, exchange.ret) for exchange in sink.exchanges] == [("query_station_status", 0)]


# --------------------------------------------------------------------------------------------------------- who called


FORWARDED: list[tuple[list[bytes], str]] = [
    ([], "127.0.0.1"),
    ([b"X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
    ([b"X-Forwarded-For: 198.51.100.7, 203.0.113.9", b"X-Forwarded-For: 127.0.0.1"], "203.0.113.9"),
    ([b"X-Forwarded-For: "], "127.0.0.1"),
]


def test_behind_a_trusted_proxy_the_caller_is_who_the_proxy_says(
    both: dict[str, Served], call: InboundCall, sink: MemorySink
) -> None:
    for server in both.values():
        for headers, _ in FORWARDED:
            told(server.port, [request(call, *headers)], closes=False)
    assert [exchange.remote for exchange in sink.exchanges] == [remote for _, remote in FORWARDED] * 2
