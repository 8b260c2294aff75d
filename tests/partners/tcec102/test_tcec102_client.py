"""The client against a small server that seals its answers by hand and misbehaves on demand."""

from __future__ import annotations

import base64
import hmac
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
from Crypto.Cipher import AES
from Crypto.Util.Padding import pad, unpad

from charging_core.clock import ManualClock
from partners.tcec102.client import OutboundLink, TcecClient
from partners.tcec102.contract import Contract
from partners.tcec102.errors import (
    ConfigurationError,
    ConnectFailed,
    ConnectionBroken,
    GarbledReply,
    HttpFailure,
    InvalidReplyBody,
    ReplySignatureMismatch,
    ReplyUndecryptable,
    TimedOut,
    TokenRejected,
    UnwritableBody,
)
from partners.tcec102.keys import KeySet
from partners.tcec102.memory import MemorySink
from partners.tcec102.options import EnvelopeOptions, Verify
from partners.tcec102.sending import ThreadSessions, new_session
from partners.tcec102.tokens import TokenCache

KEYS = KeySet("their-secret", "9f3c1b7e5a2d4860", "0123456789abcdef", "7c1e9a4b3d5f6082")
STATUS = {"ConnectorStatusInfo": {"ConnectorID": "3301060001000101", "Status": 3}}
GRANT = {
    "OperatorID": "MA5TEST01",
    "SuccStat": 0,
    "AccessToken": "token-1",
    "TokenAvailableTime": 7200,
    "FailReason": 0,
}


def seal(ret: int, body: Mapping[str, Any] | None, msg: str = "", key: str = KEYS.sig_secret) -> bytes:
    """An answer made without the code under test."""
    data = ""
    if body is not None:
        cipher = AES.new(KEYS.data_secret.encode(), AES.MODE_CBC, KEYS.data_iv.encode())
        data = base64.b64encode(cipher.encrypt(pad(json.dumps(body).encode(), 16))).decode()
    signature = hmac.new(key.encode(), f"{ret}{msg}{data}".encode(), "md5").hexdigest().upper()
    return json.dumps({"Ret": ret, "Msg": msg, "Data": data, "Sig": signature}).encode()


class Partner:
    """Answers each call by the next scripted answer of its interface; the last one stays."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Callable[[BaseHTTPRequestHandler], None]]] = {}
        self.calls: list[tuple[str, str | None, dict[str, Any]]] = []
        self.release = threading.Event()
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1  # one write per answer: two would wait for the delayed ACK of the first

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                name = self.path.rpartition("/")[2]
                partner.calls.append((self.path, self.headers["Authorization"], json.loads(raw)))
                script = partner.scripts[name]
                (script.pop(0) if len(script) > 1 else script[0])(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/evcs/v1/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.say("query_token", answer(seal(0, GRANT)))

    def say(self, interface: str, *script: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.scripts[interface] = list(script)

    def asked(self, interface: str) -> list[tuple[str, str | None, dict[str, Any]]]:
        return [call for call in self.calls if call[0].endswith(f"/{interface}")]

    def stop(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.thread.join(10)
        self.server.server_close()


def answer(payload: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def write(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(payload)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(payload)

    return write


@pytest.fixture
def partner() -> Iterator[Partner]:
    running = Partner()
    yield running
    running.stop()


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with new_session() as session:
        yield session


@pytest.fixture
def client_for(http: requests.Session, contract: Contract, sink: MemorySink) -> Callable[..., TcecClient]:
    def make(url: str, **link: Any) -> TcecClient:
        options = {"read_timeout_s": 5.0, **link}
        outbound = OutboundLink("link-1", "MA5TEST01", url, KEYS, **options)
        clock = ManualClock(datetime(2024, 10, 27, tzinfo=UTC))
        return TcecClient(outbound, http, TokenCache(), clock, contract, sink=sink)

    return make


ClientFor = Callable[..., TcecClient]


# ---------------------------------------------------------------------------------------------------------- happy path


def test_a_call_fetches_a_token_once_and_opens_the_answer(
    partner: Partner, client_for: ClientFor, sink: MemorySink
) -> None:
    partner.say("notification_stationStatus", answer(seal(0, {"Status": 1})))
    client = client_for(partner.url)
    results = [client.call("notification_stationStatus", STATUS) for _ in range(2)]
    assert [(result.ok, result.body, result.verified, result.http_status) for result in results] == [
        (True, {"Status": 1}, True, 200)
    ] * 2
    assert len(partner.asked("query_token")) == 1
    path, authorization, sent = partner.asked("notification_stationStatus")[1]
    assert (path, authorization) == ("/evcs/v1/notification_stationStatus", "Bearer token-1")
    assert (sent["OperatorID"], sent["TimeStamp"]) == ("MA5TEST01", "20241027080000")
    assert [call[2]["Seq"] for call in partner.calls] == ["0001", "0002", "0003"]
    assert [(one.interface, one.ret) for one in sink.exchanges] == [
        ("query_token", 0),
        ("notification_stationStatus", 0),
        ("notification_stationStatus", 0),
    ]


def test_what_is_sent_is_signed_and_encrypted_with_exact_decimals(partner: Partner, client_for: ClientFor) -> None:
    partner.say(
        "notification_charge_order_info",
        answer(seal(0, {"StartChargeSeq": "1", "ConnectorID": "1", "ConfirmResult": 0})),
    )
    order = {
        "StartChargeSeq": "987654321240102030405000001",
        "ConnectorID": "0000000000000101",
        "StartTime": "2024-01-02 03:04:25",
        "EndTime": "2024-01-02 04:10:00",
        "TotalPower": Decimal("30.5"),
        "TotalElecMoney": Decimal("24.4"),
        "TotalSeviceMoney": Decimal("12.2"),
        "TotalMoney": Decimal("36.6"),
        "StopReason": 2,
    }
    assert client_for(partner.url).call("notification_charge_order_info", order).body == {
        "StartChargeSeq": "1",
        "ConnectorID": "1",
        "ConfirmResult": 0,
    }
    sent = partner.asked("notification_charge_order_info")[0][2]
    message = sent["OperatorID"] + sent["Data"] + sent["TimeStamp"] + sent["Seq"]
    assert hmac.new(KEYS.sig_secret.encode(), message.encode(), "md5").hexdigest().upper() == sent["Sig"]
    cipher = AES.new(KEYS.data_secret.encode(), AES.MODE_CBC, KEYS.data_iv.encode())
    plain = unpad(cipher.decrypt(base64.b64decode(sent["Data"])), 16)
    assert b'"TotalPower":30.50,"TotalElecMoney":24.40' in plain


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("/notification_stationStatus", "/notification_stationStatus"),
        ("push/notification_stationStatus", "/push/notification_stationStatus"),
        (None, "/evcs/v1/notification_stationStatus"),
    ],
)
def test_paths_per_interface(partner: Partner, client_for: ClientFor, override: str | None, path: str) -> None:
    partner.say("notification_stationStatus", answer(seal(0, {"Status": 0})))
    paths = {} if override is None else {"notification_stationStatus": override}
    client_for(partner.url, paths=paths).call("notification_stationStatus", STATUS)
    assert partner.asked("notification_stationStatus")[0][0] == path


def test_a_business_refusal_is_a_result_and_is_sent_once(partner: Partner, client_for: ClientFor) -> None:
    partner.say("notification_stationStatus", answer(seal(4004, {"Reason": "x"}, "参数错误")))
    result = client_for(partner.url).call("notification_stationStatus", STATUS)
    assert (result.ret, result.msg, result.body, result.ok) == (4004, "参数错误", {"Reason": "x"}, False)
    assert len(partner.asked("notification_stationStatus")) == 1


def test_an_envelope_counts_whatever_the_http_status(partner: Partner, client_for: ClientFor) -> None:
    partner.say("notification_stationStatus", answer(seal(500, None), status=500))
    result = client_for(partner.url).call("notification_stationStatus", STATUS)
    assert (result.ret, result.http_status) == (500, 500)


# --------------------------------------------------------------------------------------------------------------- token


def test_a_token_error_renews_once_and_repeats_once(partner: Partner, client_for: ClientFor) -> None:
    partner.say("query_token", answer(seal(0, GRANT)), answer(seal(0, {**GRANT, "AccessToken": "token-2"})))
    partner.say("notification_stationStatus", answer(seal(4002, None)), answer(seal(0, {"Status": 0})))
    assert client_for(partner.url).call("notification_stationStatus", STATUS).ok
    assert [call[1] for call in partner.asked("notification_stationStatus")] == ["Bearer token-1", "Bearer token-2"]


def test_a_second_token_error_is_the_result(partner: Partner, client_for: ClientFor) -> None:
    partner.say("notification_stationStatus", answer(seal(4002, None)))
    assert client_for(partner.url).call("notification_stationStatus", STATUS).ret == 4002
    assert len(partner.asked("notification_stationStatus")) == 2
    assert len(partner.asked("query_token")) == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_gateway_that_refuses_the_token_without_an_envelope(
    partner: Partner, client_for: ClientFor, status: int
) -> None:
    partner.say("notification_stationStatus", answer(b"<html>", status), answer(seal(0, {"Status": 0})))
    assert client_for(partner.url).call("notification_stationStatus", STATUS).ok
    partner.say("notification_stationStatus", answer(b"<html>", status))
    with pytest.raises(HttpFailure) as caught:
        client_for(partner.url).call("notification_stationStatus", STATUS)
    assert caught.value.status == status
    assert len(partner.asked("notification_stationStatus")) == 4


@pytest.mark.parametrize(
    ("reply", "ret", "reason"),
    [
        (seal(0, {**GRANT, "SuccStat": 1, "AccessToken": "", "FailReason": 2}), 0, 2),
        (seal(4003, None), 4003, None),
        (seal(0, {**GRANT, "AccessToken": ""}), 0, 0),
        (seal(0, {**GRANT, "AccessToken": "bad\ntoken"}), 0, 0),
    ],
)
def test_no_token_no_call(partner: Partner, client_for: ClientFor, reply: bytes, ret: int, reason: int | None) -> None:
    partner.say("query_token", answer(reply))
    with pytest.raises(TokenRejected) as caught:
        client_for(partner.url).call("notification_stationStatus", STATUS)
    assert (caught.value.ret, caught.value.fail_reason) == (ret, reason)
    assert [call[0] for call in partner.calls] == ["/evcs/v1/query_token"]


def test_neither_secret_nor_token_is_recorded(partner: Partner, client_for: ClientFor, sink: MemorySink) -> None:
    assert client_for(partner.url).fetch_token() == "token-1"
    recorded = f"{sink.exchanges[0].request_body} {sink.exchanges[0].reply_body}"
    assert "their-secret" not in recorded
    assert "token-1" not in recorded


# ------------------------------------------------------------------------------------------------------------ failures


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"hello", GarbledReply),
        (b'{"code":0}', GarbledReply),
        (seal(0, {"Status": 0}, key="k" * 16), ReplySignatureMismatch),
        (seal(0, {"Status": 0}).replace(b'"Sig": "', b'"Sig": "0'), ReplySignatureMismatch),
        (seal(0, {}), InvalidReplyBody),
        (seal(0, {"Status": "done"}), InvalidReplyBody),
        (seal(0, None), InvalidReplyBody),
    ],
)
def test_answers_that_cannot_be_used(
    partner: Partner, client_for: ClientFor, sink: MemorySink, reply: bytes, error: type[Exception]
) -> None:
    partner.say("notification_stationStatus", answer(reply))
    with pytest.raises(error) as caught:
        client_for(partner.url).call("notification_stationStatus", STATUS)
    assert caught.value.attempt.reply_raw == reply  # type: ignore[attr-defined]  # every one of them carries it
    assert sink.exchanges[-1].failed_check == error.__name__
    assert len(partner.asked("notification_stationStatus")) == 1


def test_an_answer_under_another_data_key_is_undecryptable(partner: Partner, client_for: ClientFor) -> None:
    data = base64.b64encode(b"\x00" * 32).decode()
    signature = hmac.new(KEYS.sig_secret.encode(), f"0{data}".encode(), "md5").hexdigest()
    reply = json.dumps({"Ret": 0, "Msg": "", "Data": data, "Sig": signature}).encode()
    partner.say("notification_stationStatus", answer(reply))
    with pytest.raises(ReplyUndecryptable):
        client_for(partner.url).call("notification_stationStatus", STATUS)


def test_a_link_may_forgive_wrong_signatures(partner: Partner, client_for: ClientFor) -> None:
    partner.say("notification_stationStatus", answer(seal(0, {"Status": 0}, key="k" * 16)))
    partner.say("query_token", answer(seal(0, GRANT, key="k" * 16)))
    options = EnvelopeOptions(verify_response=Verify.WARN)
    result = client_for(partner.url, envelope=options).call("notification_stationStatus", STATUS)
    assert (result.ok, result.verified) == (True, False)


@pytest.mark.parametrize("status", [302, 404, 500, 502])
def test_a_bad_status_without_an_envelope(partner: Partner, client_for: ClientFor, status: int) -> None:
    partner.say("notification_stationStatus", answer(b"<html>oops</html>", status, Location="http://127.0.0.1:1/"))
    with pytest.raises(HttpFailure) as caught:
        client_for(partner.url).call("notification_stationStatus", STATUS)
    assert caught.value.status == status
    assert len(partner.asked("notification_stationStatus")) == 1


def test_no_answer_in_time(partner: Partner, client_for: ClientFor, sink: MemorySink) -> None:
    def stay_silent(_handler: BaseHTTPRequestHandler) -> None:
        assert partner.release.wait(10)

    partner.say("notification_stationStatus", stay_silent)
    with pytest.raises(TimedOut):
        client_for(partner.url, read_timeout_s=0.1).call("notification_stationStatus", STATUS)
    assert (sink.exchanges[-1].ret, sink.exchanges[-1].failed_check) == (None, "TimedOut")
    assert len(partner.asked("notification_stationStatus")) == 1


def test_an_answer_that_drips_is_ended_by_the_total_time(partner: Partner, client_for: ClientFor) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        try:
            while not partner.release.wait(0.02):
                handler.wfile.write(b"x")
                handler.wfile.flush()
        except OSError:
            handler.close_connection = True

    partner.say("notification_stationStatus", drip)
    with pytest.raises(TimedOut):
        client_for(partner.url, total_timeout_s=0.2).call("notification_stationStatus", STATUS)


def test_a_connection_that_breaks_off(partner: Partner, client_for: ClientFor) -> None:
    def half(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"Ret":0')
        handler.close_connection = True

    partner.say("notification_stationStatus", half)
    with pytest.raises(ConnectionBroken):
        client_for(partner.url).call("notification_stationStatus", STATUS)


def test_nobody_there(client_for: ClientFor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectFailed):
        client_for(f"http://127.0.0.1:{port}/evcs/v1/").call("notification_stationStatus", STATUS)


def test_bodies_and_interfaces_that_cannot_be_sent(partner: Partner, client_for: ClientFor) -> None:
    client = client_for(partner.url)
    with pytest.raises(UnwritableBody):
        client.call("notification_stationStatus", {"ConnectorStatusInfo": {"ConnectorID": "1", "Status": 1.5}})
    with pytest.raises(ConfigurationError):
        client.call("notification_nothing", {})
    with pytest.raises(ConfigurationError):
        client_for("ftp://127.0.0.1/")
    assert partner.calls == []


def test_threads_have_their_own_sessions_and_share_one_token(partner: Partner, contract: Contract) -> None:
    partner.say("notification_stationStatus", answer(seal(0, {"Status": 0})))
    sessions = ThreadSessions()
    link = OutboundLink("link-1", "MA5TEST01", partner.url, KEYS)
    client = TcecClient(link, sessions, TokenCache(), ManualClock(datetime(2024, 10, 27, tzinfo=UTC)), contract)
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(client.call("notification_stationStatus", STATUS).ok))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    sessions.close()
    assert results == [True] * 4
    assert len(partner.asked("query_token")) == 1
    sequence = [call[2]["Seq"] for call in partner.calls]
    assert len(set(sequence)) == len(sequence)
