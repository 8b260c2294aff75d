"""The HTTP server under every fake: control interface, common faults, journal, an end that leaves nothing behind."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from partners.fake.faults import Fault, FaultError, FaultPlan, fault_from_text
from partners.fake.httpd import DRAIN_LIMIT, MAX_BODY, Request, json_reply
from partners.fake.journal import Journal
from partners.fake.server import FakeServer, Served
from tests.fakes.calling import control, get_json, manual_clock, post


class Echo(FakeServer):
    """Answers what it got; `boom` is a defect."""

    def serve(self, request: Request, interface: str, fault: Fault | None) -> Served:
        if interface == "boom":
            raise LookupError("a defect")
        answer = {"got": request.body.decode(), "query": dict(request.query), "oversized": request.oversized}
        return Served(json_reply(answer), {"accepted": True, "body": answer, "AccessToken": "visible?"})


def test_it_serves_and_keeps_what_came() -> None:
    with Echo(manual_clock()) as fake:
        assert post(f"{fake.url}/a/hello?x=1&x=2&y=", b"hi").json()["query"] == {"x": "1", "y": ""}
        [entry] = control(fake, "received")["received"]
        assert entry["interface"] == "hello"
        assert entry["time"].startswith("2026-03-02T12:00:00")
        assert entry["AccessToken"] == "***"
        assert control(fake, "summary")["accepted"] == 1


def test_received_can_be_narrowed_to_one_interface() -> None:
    with Echo() as fake:
        post(f"{fake.url}/one", b"")
        post(f"{fake.url}/two", b"")
        assert [e["interface"] for e in get_json(f"{fake.url}/control/received?interface=two")["received"]] == ["two"]


def test_an_oversized_body_is_read_away_and_reported() -> None:
    with Echo() as fake:
        answer = post(f"{fake.url}/big", b"x" * (MAX_BODY + 1)).json()
        assert answer == {"got": "", "query": {}, "oversized": True}
        assert DRAIN_LIMIT > MAX_BODY


def test_a_defect_of_the_fake_is_an_http_500_and_visible() -> None:
    with Echo() as fake:
        assert post(f"{fake.url}/boom", b"").status_code == 500
        assert "a defect" in fake.received()[0]["crash"]


def test_two_requests_share_a_connection() -> None:
    with Echo() as fake, requests.Session() as session:
        session.trust_env = False
        for text in ("first", "second"):
            assert session.post(f"{fake.url}/x", text, timeout=5).json()["got"] == text


@pytest.mark.parametrize(
    ("kind", "status", "marker"), [("http_500", 500, b"<html>"), ("garbage", 200, b"not an answer")]
)
def test_a_fault_that_answers_wrongly(kind: str, status: int, marker: bytes) -> None:
    with Echo(faults=[{"kind": kind}]) as fake:
        answer = post(f"{fake.url}/x", b"")
        assert answer.status_code == status
        assert marker in answer.content
        assert fake.received()[0]["fault"] == kind
        assert post(f"{fake.url}/x", b"").json()["got"] == "", "the fault had one turn only"


@pytest.mark.parametrize(("kind", "processed"), [("close", False), ("close_after", True)])
def test_a_fault_that_closes_the_connection(kind: str, processed: bool) -> None:
    with Echo(faults=[{"kind": kind, "times": None}]) as fake:
        with pytest.raises(requests.ConnectionError):
            post(f"{fake.url}/x", b"")
        assert fake.received()[0]["accepted"] is processed


def test_an_answer_torn_in_the_middle_was_processed_all_the_same() -> None:
    with Echo(faults=[{"kind": "close_body"}]) as fake:
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
            post(f"{fake.url}/x", b"hi")
        assert fake.received()[0]["accepted"]


def test_an_answer_sent_twice_stands_twice_on_the_wire() -> None:
    with Echo(faults=[{"kind": "twice"}]) as fake, socket.create_connection(("127.0.0.1", fake.port), 5) as caller:
        caller.sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
        assert b"".join(iter(lambda: caller.recv(4096), b"")).count(b'"got":"hi"') == 2


def test_hang_outlasts_the_caller_and_does_not_delay_the_end() -> None:
    begun = time.monotonic()
    with Echo(faults=[{"kind": "hang", "value": 60}]) as fake, pytest.raises(requests.Timeout):
        post(f"{fake.url}/x", b"", timeout=0.3)
    assert time.monotonic() - begun < 10


def test_slow_answers_late_but_rightly() -> None:
    with Echo(faults=[{"kind": "slow", "value": 0.2}]) as fake:
        begun = time.monotonic()
        assert post(f"{fake.url}/x", b"ok").json()["got"] == "ok"
        assert time.monotonic() - begun >= 0.2


def test_faults_are_set_seen_and_healed_over_http() -> None:
    with Echo() as fake:
        plan = [{"kind": "http_500", "interface": "pay", "times": 2}]
        assert control(fake, "faults", {"faults": plan})["faults"][0]["times"] == 2
        assert post(f"{fake.url}/other", b"").status_code == 200
        assert [post(f"{fake.url}/pay", b"").status_code for _ in range(3)] == [500, 500, 200]
        assert "close" in control(fake, "faults")["kinds"]
        assert control(fake, "faults", [{"kind": "close", "times": None}])["faults"][0]["kind"] == "close"
        control(fake, "reset", {})
        assert control(fake, "summary") == {"received": 0, "accepted": 0, "refused": 0, "faults": []}


@pytest.mark.parametrize(
    "bad",
    [
        {"faults": [{"kind": "earthquake"}]},
        {"faults": [{"kind": "slow", "value": "long"}]},
        {"faults": [{"what": 1}]},
        {},
    ],
)
def test_an_impossible_fault_is_refused_and_changes_nothing(bad: dict[str, Any]) -> None:
    with Echo(faults=[{"kind": "close"}]) as fake:
        answer = post(f"{fake.url}/control/faults", bad)
        assert answer.status_code == 400
        assert "error" in answer.json()
        assert [fault["kind"] for fault in control(fake, "faults")["faults"]] == ["close"]


def test_unknown_control_is_404() -> None:
    with Echo() as fake:
        assert post(f"{fake.url}/control/nothing", {}).status_code == 404


def test_the_first_fitting_fault_with_turns_left_is_taken() -> None:
    plan = FaultPlan(["a", "b", "never"])
    plan.replace([{"kind": "never"}, {"kind": "a", "interface": "x"}, {"kind": "b", "times": None}])

    def kind(interface: str) -> str:
        fault = plan.take(interface, lambda kind, _: kind != "never")
        return fault.kind if fault else ""

    assert [kind("y"), kind("x"), kind("x"), kind("x")] == ["b", "a", "b", "b"]


def test_faults_of_the_command_line() -> None:
    assert fault_from_text("500") == Fault(kind="http_500", times=None)
    assert fault_from_text("ret=-1") == Fault(kind="ret", value=-1, times=None)
    assert fault_from_text("slow=0.5") == Fault(kind="slow", value=0.5, times=None)
    assert fault_from_text("query_token:close") == Fault(kind="close", interface="query_token", times=None)
    assert fault_from_text("code=0x02401033").value == "0x02401033"
    with pytest.raises(FaultError):
        fault_from_text("=5")


def test_the_journal_file_is_one_json_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with Echo(log_file=path) as fake:
        post(f"{fake.url}/a", "充电".encode())
        control(fake, "reset", {})
        post(f"{fake.url}/b", b"")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["interface"] for line in lines] == ["a", "b"]
    assert lines[0]["body"]["got"] == "充电"


def test_secrets_are_masked_at_any_depth() -> None:
    journal = Journal(manual_clock())
    entry = journal.add({"body": {"OperatorSecret": "s", "list": [{"AccessToken": "t"}, {"AccessToken": ""}]}})
    assert entry["body"] == {"OperatorSecret": "***", "list": [{"AccessToken": "***"}, {"AccessToken": ""}]}


def test_the_end_closes_idle_connections_and_the_port() -> None:
    threads = threading.active_count()
    with Echo() as fake:
        port = fake.port
        idle = socket.create_connection(("127.0.0.1", port), timeout=5)
        post(f"{fake.url}/x", b"")
    with idle:
        assert idle.recv(1) == b""
    assert threading.active_count() == threads
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()


@pytest.mark.parametrize("length", ["-1", "many"])
def test_a_wrong_content_length_is_400(length: str) -> None:
    with Echo() as fake, socket.create_connection(("127.0.0.1", fake.port), timeout=5) as raw:
        raw.sendall(f"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        assert raw.recv(64).startswith(b"HTTP/1.1 400")


def test_a_caller_that_sends_nonsense_does_not_hurt() -> None:
    with Echo() as fake:
        with socket.create_connection(("127.0.0.1", fake.port), timeout=5) as rude:
            rude.sendall(b"\x16\x03\x01 garbage\r\n\r\n")
            rude.recv(4096)
        assert post(f"{fake.url}/x", b"fine").json()["got"] == "fine"
