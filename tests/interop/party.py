"""A T/CEC 102 party written from the standard alone, by hand: it shares no line with `partners/`, neither the hub's nor the fakes'.

One party calls the other side and serves its calls. It is deliberately plain: one thread per call, no retries, every slip an error.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import itertools
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from Crypto.Cipher import AES

CHINA_TIME = timezone(timedelta(hours=8))
Json = dict[str, Any]


class NotAsAgreed(AssertionError):
    """The other side did what the standard does not allow."""


@dataclass(frozen=True)
class Secrets:
    """The four secrets that one side issues."""

    operator: str
    data: str
    iv: str
    sig: str

    def encrypt(self, body: Json) -> str:
        plain = json.dumps(body, ensure_ascii=False, default=_number).encode()
        fill = 16 - len(plain) % 16
        cipher = AES.new(self.data.encode(), AES.MODE_CBC, self.iv.encode())
        return base64.b64encode(cipher.encrypt(plain + bytes([fill] * fill))).decode()

    def decrypt(self, data: str) -> Json:
        cipher = AES.new(self.data.encode(), AES.MODE_CBC, self.iv.encode())
        plain = cipher.decrypt(base64.b64decode(data, validate=True))
        if plain[-plain[-1] :] != bytes([plain[-1]] * plain[-1]):
            raise NotAsAgreed("padding")
        body = json.loads(plain[: -plain[-1]], parse_float=Decimal)
        if not isinstance(body, dict):
            raise NotAsAgreed("the body is no object")
        return body

    def sign(self, text: str) -> str:
        return hmac.new(self.sig.encode(), text.encode(), hashlib.md5).hexdigest().upper()


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value))


class Caller:
    """Calls the other side with the secrets that the other side issued."""

    def __init__(self, own_id: str, base_url: str, issued: Secrets) -> None:
        self._own_id = own_id
        self.base_url = base_url
        self._at = urlsplit(base_url.rstrip("/"))
        self._issued = issued
        self._token = ""
        self._seq = itertools.count(1)

    def call(self, interface: str, body: Json) -> Json:
        """The opened answer of a call that must succeed."""
        if not self._token and interface != "query_token":
            self._log_in()
        answer = self.raw(interface, body)
        if answer["Ret"] != 0:
            raise NotAsAgreed(f"{interface}: {answer}")
        return self._issued.decrypt(answer["Data"])

    def raw(self, interface: str, body: Json) -> Json:
        """The answer's envelope, its signature proven."""
        data, stamp = self._issued.encrypt(body), datetime.now(CHINA_TIME).strftime("%Y%m%d%H%M%S")
        seq = f"{next(self._seq) % 10000:04d}"
        sig = self._issued.sign(self._own_id + data + stamp + seq)
        sent = {"OperatorID": self._own_id, "Data": data, "TimeStamp": stamp, "Seq": seq, "Sig": sig}
        status, raw = self._post(interface, json.dumps(sent).encode())
        answer = json.loads(raw)
        if status != 200 or set(answer) < {"Ret", "Msg", "Data", "Sig"}:
            raise NotAsAgreed(f"{interface}: HTTP {status} {answer}")
        if answer["Sig"] != self._issued.sign(f"{answer['Ret']}{answer['Msg']}{answer['Data']}"):
            raise NotAsAgreed(f"{interface}: the signature of the answer")
        return dict(answer)

    def _log_in(self) -> None:
        answer = self.call("query_token", {"OperatorID": self._own_id, "OperatorSecret": self._issued.operator})
        if answer["SuccStat"] != 0 or not 0 < answer["TokenAvailableTime"] <= 604800:
            raise NotAsAgreed(f"query_token: {answer}")
        self._token = answer["AccessToken"]

    def _post(self, interface: str, body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json;charset=utf-8"}
        if interface != "query_token":
            headers["Authorization"] = f"Bearer {self._token}"
        connection = http.client.HTTPConnection(self._at.hostname or "", self._at.port or 80, timeout=15)
        try:
            connection.request("POST", f"{self._at.path}/{interface}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


class Server:
    """Serves the other side's calls with the secrets that we issued. `handlers` answer opened bodies by interface."""

    def __init__(self, their_id: str, issued: Secrets, handlers: dict[str, Callable[[Json], Json]]) -> None:
        self._their_id = their_id
        self._issued = issued
        self._handlers = {**handlers, "query_token": self._give_token}
        self._tokens: set[str] = set()
        self._lock = threading.Lock()
        self.received: list[tuple[str, Json]] = []
        self.refused: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._http.server_port}/evcs/v2/"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def bodies(self, interface: str, seq: str) -> list[Json]:
        """What was pushed about one order, oldest first."""
        with self._lock:
            return [body for name, body in self.received if name == interface and body.get("StartChargeSeq") == seq]

    def bodies_of(self, interface: str) -> list[Json]:
        """Everything that came by this interface, oldest first."""
        with self._lock:
            return [body for name, body in self.received if name == interface]

    def wait(self, interface: str, seq: str, seconds: float = 60) -> Json:
        """The newest push of this interface about an order."""
        until = time.monotonic() + seconds
        while not (found := self.bodies(interface, seq)):
            if time.monotonic() > until:
                raise NotAsAgreed(f"no {interface} within {seconds} s; refused: {self.refused}")
            time.sleep(0.05)
        return found[-1]

    def answer(self, path: str, authorization: str, raw: bytes) -> Json:
        """One call: checked, opened, answered."""
        interface = path.rpartition("/")[2]
        try:
            body = self._opened(interface, authorization, json.loads(raw))
            reply = self._handlers[interface](body)
        except (NotAsAgreed, KeyError, ValueError) as error:
            with self._lock:
                self.refused.append(f"{interface}: {error!r}")
            return self._sealed(4003, repr(error), "")
        with self._lock:
            self.received.append((interface, body))
        return self._sealed(0, "", self._issued.encrypt(reply))

    def _opened(self, interface: str, authorization: str, sent: Json) -> Json:
        signed = sent["OperatorID"] + sent["Data"] + sent["TimeStamp"] + sent["Seq"]
        if sent["OperatorID"] != self._their_id or sent["Sig"] != self._issued.sign(signed):
            raise NotAsAgreed("OperatorID or Sig")
        if interface != "query_token" and authorization.removeprefix("Bearer ") not in self._tokens:
            raise NotAsAgreed("token")
        datetime.strptime(sent["TimeStamp"], "%Y%m%d%H%M%S").replace(tzinfo=CHINA_TIME)
        if len(sent["Seq"]) != 4 or not sent["Seq"].isdigit():
            raise NotAsAgreed("Seq")
        return self._issued.decrypt(sent["Data"])

    def _sealed(self, ret: int, msg: str, data: str) -> Json:
        return {"Ret": ret, "Msg": msg, "Data": data, "Sig": self._issued.sign(f"{ret}{msg}{data}")}

    def _give_token(self, body: Json) -> Json:
        right = body["OperatorSecret"] == self._issued.operator
        token = secrets.token_hex(16) if right else ""
        self._tokens.add(token or secrets.token_hex(16))
        return {
            "OperatorID": body["OperatorID"],
            "SuccStat": 0 if right else 1,
            "AccessToken": token,
            "TokenAvailableTime": 3600 if right else 0,
            "FailReason": 0 if right else 2,
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        party = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1  # one write per answer: two would wait for the delayed ACK of the first

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                answer = party.answer(self.path, self.headers.get("Authorization", ""), raw)
                payload = json.dumps(answer, ensure_ascii=False).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json;charset=utf-8")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *args: Any) -> None:
                """Quiet."""

        return Handler
