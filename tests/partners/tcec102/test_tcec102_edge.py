"""The edge: as a real server on a real socket, and event by event as ASGI."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import anyio
import orjson
import pytest
import requests

from partners.tcec102 import envelope
from partners.tcec102.edge import Message, Scope, TcecEdge
from partners.tcec102.keys import KeySet
from partners.tcec102.memory import MemorySink
from partners.tcec102.ports import InboundLink
from partners.tcec102.receive import MAX_BODY_BYTES, Door
from partners.tcec102.tokens import DurableTokenStore
from partners.tcec102.visit import InboundCall
from tests.partners.tcec102.served import DEADLINE_S, Serve, inner_app

BASE = "/demo/evcs/v1/"
STOP = {"StartChargeSeq": "MA5TEST02241027080000000001", "ConnectorID": "3301060001001"}

MakeDoor = Callable[..., Door]
CallFor = Callable[..., InboundCall]


# ------------------------------------------------------------------------------------------------------- a real server


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_a_whole_conversation_over_http(
    serve: Serve,
    http: requests.Session,
    make_door: MakeDoor,
    seal: Callable[..., bytes],
    keys: KeySet,
    sink: MemorySink,
) -> None:
    url = serve(TcecEdge(make_door(), inner_app)).url
    asked = seal({"OperatorID": "MA5TEST02", "OperatorSecret": "op-secret-1"})
    answer = http.post(f"{url}{BASE}query_token", data=asked)
    token = envelope.open_reply(answer.content, keys).body["AccessToken"]
    stopped = http.post(f"{url}{BASE}query_stop_charge", data=seal(STOP), headers={"Authorization": f"Bearer {token}"})
    assert (stopped.status_code, stopped.headers["content-type"]) == (200, "application/json;charset=utf-8")
    assert envelope.open_reply(stopped.content, keys).body["StartChargeSeqStat"] == 3
    assert [exchange.remote for exchange in sink.exchanges] == ["127.0.0.1", "127.0.0.1"]


def test_refusals_are_http_200_and_other_paths_go_inside(
    serve: Serve, http: requests.Session, make_door: MakeDoor, seal: Callable[..., bytes]
) -> None:
    url = serve(TcecEdge(make_door(), inner_app)).url
    refused = {
        "no token": http.post(f"{url}{BASE}query_stop_charge", data=seal(STOP)),
        "garbage": http.post(f"{url}{BASE}query_stop_charge", data=b"\xff\x00garbage"),
        "GET": http.get(f"{url}{BASE}query_stop_charge"),
        "oversize": http.post(f"{url}{BASE}query_stop_charge", data=b"x" * (MAX_BODY_BYTES + 1)),
    }
    assert {name: answer.json()["Ret"] for name, answer in refused.items()} == {
        "no token": 4002,
        "garbage": 4003,
        "GET": 4003,
        "oversize": 4003,
    }
    assert {answer.status_code for answer in refused.values()} == {200}
    for path in ("/", "/healthz", "/demo/evcs/v2/query_token", "/demo/evcs/v1"):
        assert http.post(f"{url}{path}").status_code == 418


def test_alone_it_serves_404_elsewhere(serve: Serve, http: requests.Session, make_door: MakeDoor) -> None:
    assert http.get(serve(TcecEdge(make_door())).url).status_code == 404


def test_handlers_run_beside_each_other_and_a_full_house_says_busy(
    serve: Serve, make_door: MakeDoor, call_for: CallFor, keys: KeySet
) -> None:
    entered, release = threading.Semaphore(0), threading.Event()

    def slow(_link: InboundLink, body: dict[str, Any]) -> Mapping[str, Any]:
        entered.release()
        assert release.wait(DEADLINE_S)
        return {"StartChargeSeq": body["StartChargeSeq"], "StartChargeSeqStat": 3, "SuccStat": 0, "FailReason": 0}

    edge = TcecEdge(make_door(handlers={"query_stop_charge": slow}), threads=2, max_waiting=0)
    url = serve(edge).url + BASE + "query_stop_charge"
    call = call_for("query_stop_charge", STOP)

    def post() -> int:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(url, data=call.body, headers={"Authorization": call.authorization or ""}, timeout=20)
            return envelope.open_reply(answer.content, keys).ret

    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(post())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert entered.acquire(timeout=DEADLINE_S)
    release_later = threading.Timer(DEADLINE_S / 2, release.set)
    release_later.start()
    assert _until_busy(post) == -1
    release_later.cancel()
    release.set()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert results == [0, 0]


def _until_busy(post: Callable[[], int]) -> int:
    """With two threads taken one call may wait in line; the next one is turned away."""
    found: list[int] = []
    waiting = [threading.Thread(target=lambda: found.append(post())) for _ in range(3)]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join(DEADLINE_S)
    return min(found)


# -------------------------------------------------------------------------------------------------------- event by event


def exchange(
    edge: TcecEdge, call: InboundCall, pieces: list[Message], headers: list[tuple[bytes, bytes]] | None = None
) -> list[Message]:
    """What the edge sends when the body comes in these pieces; a caller that stops sending stays silent for ever."""
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": call.base + call.interface,
        "headers": headers or [(b"authorization", (call.authorization or "").encode())],
        "client": ("192.0.2.7", 40_000),
    }
    sent: list[Message] = []
    waiting = list(pieces)

    async def receive() -> Message:
        if not waiting:
            await anyio.sleep_forever()
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        with anyio.fail_after(DEADLINE_S):
            await edge(scope, receive, send)

    asyncio.run(run())
    return sent


def piece(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def ret_of(sent: list[Message]) -> int:
    return int(orjson.loads(sent[1]["body"])["Ret"])


def test_a_body_in_pieces_is_put_together(make_door: MakeDoor, call_for: CallFor) -> None:
    call = call_for("query_stop_charge", STOP)
    pieces = [piece(call.body[i : i + 50], more=True) for i in range(0, len(call.body), 50)]
    assert ret_of(exchange(TcecEdge(make_door()), call, [*pieces, piece(b"")])) == 0


def test_an_announced_oversize_is_refused_unread(make_door: MakeDoor, call_for: CallFor, sink: MemorySink) -> None:
    call = call_for("query_stop_charge", STOP)
    sent = exchange(TcecEdge(make_door()), call, [], [(b"content-length", b"1048577")])
    assert ret_of(sent) == 4003
    assert (b"connection", b"close") in sent[0]["headers"]
    assert sink.exchanges[-1].failed_check == "size"


def test_an_unannounced_oversize_is_refused_while_reading(make_door: MakeDoor, call_for: CallFor) -> None:
    pieces = [piece(b"x" * 2**19, more=True)] * 3
    assert ret_of(exchange(TcecEdge(make_door()), call_for("query_stop_charge", STOP), pieces)) == 4003


@pytest.mark.parametrize("started", [True, False])
def test_a_body_that_never_ends_is_refused_in_time(make_door: MakeDoor, call_for: CallFor, started: bool) -> None:
    edge = TcecEdge(make_door(), body_timeout_s=0.05)
    pieces = [piece(b"{", more=True)] if started else []
    assert ret_of(exchange(edge, call_for("query_stop_charge", STOP), pieces)) == 4003


@pytest.mark.parametrize(("begun", "length"), [([b"{"], None), ([], None), ([], b"0"), ([], b"300")])
def test_nobody_is_answered_who_hung_up(
    make_door: MakeDoor, call_for: CallFor, sink: MemorySink, begun: list[bytes], length: bytes | None
) -> None:
    pieces = [*(piece(one, more=True) for one in begun), {"type": "http.disconnect"}]
    headers = None if length is None else [(b"content-length", length)]
    assert exchange(TcecEdge(make_door()), call_for("query_stop_charge", STOP), pieces, headers) == []
    assert not sink.exchanges


def test_blocking_handlers_leave_the_loop_and_inline_ones_stay(make_door: MakeDoor, call_for: CallFor) -> None:
    where: list[int] = []

    def handler(_link: InboundLink, body: dict[str, Any]) -> Mapping[str, Any]:
        where.append(threading.get_ident())
        return {"StartChargeSeq": body["StartChargeSeq"], "StartChargeSeqStat": 3, "SuccStat": 0, "FailReason": 0}

    door = make_door(handlers={"query_stop_charge": handler})
    call = call_for("query_stop_charge", STOP)
    for one in (door, replace(door, inline_handlers=frozenset({"query_stop_charge"}))):
        assert ret_of(exchange(TcecEdge(one), call, [piece(call.body)])) == 0
    assert where[0] != threading.get_ident()
    assert where[1] == threading.get_ident()


def test_a_token_that_is_not_in_memory_is_looked_up_off_the_loop(make_door: MakeDoor, call_for: CallFor) -> None:
    asked: list[int] = []

    class Records:
        rows: dict[str, float]

        def __init__(self) -> None:
            self.rows = {}

        def save(self, link_id: str, digest: str, expires_at: float) -> None:
            self.rows[digest] = expires_at

        def find(self, link_id: str, digest: str) -> float | None:
            asked.append(threading.get_ident())
            return self.rows.get(digest)

    records = Records()
    token = DurableTokenStore(records).issue("link-1", 60).token
    door = make_door(tokens=DurableTokenStore(records), inline_handlers=frozenset({"query_stop_charge"}))
    call = replace(call_for("query_stop_charge", STOP), authorization=f"Bearer {token}")
    for _ in range(2):
        assert ret_of(exchange(TcecEdge(door), call, [piece(call.body)])) == 0
    assert len(asked) == 1
    assert asked[0] != threading.get_ident()


def test_a_large_body_is_opened_off_the_loop(make_door: MakeDoor, call_for: CallFor) -> None:
    call = call_for("query_stop_charge", {**STOP, "Remark": "x" * 500_000})
    assert ret_of(exchange(TcecEdge(make_door()), call, [piece(call.body)])) == 0
