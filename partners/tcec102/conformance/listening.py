"""Takes the pushes of an examined CPO: the door of the standard on a port of its own, which keeps every body as it came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from charging_core.clock import Clock
from partners.tcec102.contract import Contract
from partners.tcec102.envelope import open_request
from partners.tcec102.errors import RET_OK
from partners.tcec102.keys import KeySet
from partners.tcec102.memory import MemoryLinkDirectory, NoLimit
from partners.tcec102.options import BodyOptions
from partners.tcec102.ports import Handler, InboundLink
from partners.tcec102.receive import Door, receive
from partners.tcec102.tokens import MemoryTokenStore
from partners.tcec102.visit import InboundCall

BASE = "/evcs/v1/"
MAX_BODY_BYTES = 1024 * 1024
_POLL_S = 0.05

Push = tuple[str, dict[str, Any], float]
"""Interface, opened body, when it came (monotonic seconds)."""


def _received(body: dict[str, Any], *, reason: bool = True) -> dict[str, Any]:
    answer = {"StartChargeSeq": body["StartChargeSeq"], "SuccStat": 0}
    return answer | ({"FailReason": 0} if reason else {})


_ANSWERS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "notification_stationStatus": lambda _body: {"Status": 0},
    "notification_start_charge_result": _received,
    "notification_equip_charge_status": lambda body: _received(body, reason=False),
    "notification_stop_charge_result": _received,
    "notification_charge_order_info": lambda body: {
        "StartChargeSeq": body["StartChargeSeq"],
        "ConnectorID": body["ConnectorID"],
        "ConfirmResult": 0,
    },
}


class PushListener:
    """An HTTP server in threads. The examined side is told `url`; `close` ends it.

    Bodies are accepted in the tolerant reading, so that an exchange goes on after a slip; checks judge them by the letter.
    """

    def __init__(
        self, host: str, port: int, contract: Contract, clock: Clock, keys: KeySet, caller: str, own_id: str
    ) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._pushes: list[Push] = []
        link = InboundLink("conformance", (caller,), own_id, (keys,), bodies=BodyOptions.lenient())
        door = Door(
            contract=contract,
            links=MemoryLinkDirectory([(BASE, link)]),
            tokens=MemoryTokenStore(),
            limiter=NoLimit(),
            handlers={name: _handler(name) for name in _ANSWERS if name in contract},
            clock=clock,
        )
        self._server = ThreadingHTTPServer((host, port), _handler_class(door, self._keep))
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_port}{BASE}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": _POLL_S})
        self._thread.start()

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def pushes(self, interface: str, member: str, value: str) -> list[Push]:
        """What came for this interface with this value in a top member, oldest first."""
        with self._lock:
            return [push for push in self._pushes if push[0] == interface and push[1].get(member) == value]

    def wait(self, interface: str, member: str, value: str, seconds: float) -> list[Push]:
        """The same, waiting for the first one."""
        deadline = time.monotonic() + seconds
        while not (found := self.pushes(interface, member, value)) and time.monotonic() < deadline:
            threading.Event().wait(_POLL_S)
        return found

    def statuses(self, connector_id: str) -> list[dict[str, Any]]:
        """The states that were pushed of one connector, oldest first."""
        with self._lock:
            bodies = [
                body["ConnectorStatusInfo"] for name, body, _ in self._pushes if name == "notification_stationStatus"
            ]
        return [body for body in bodies if body["ConnectorID"] == connector_id]

    def _keep(self, interface: str, raw: bytes) -> None:
        """Remember an accepted push as it was sent, not as it was forgiven."""
        body = open_request(raw, self._keys)
        with self._lock:
            self._pushes.append((interface, body, time.monotonic()))


def _handler(name: str) -> Handler:
    return lambda _link, body: _ANSWERS[name](body)


def _handler_class(door: Door, keep: Callable[[str, bytes], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # one write per answer: two would wait for the delayed ACK of the first
        timeout = 30

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "0")
            size = int(length) if length.isdigit() else 0
            body = self.rfile.read(min(size, MAX_BODY_BYTES + 1))
            head, slash, interface = self.path.rpartition("/")
            call = InboundCall(head + slash, interface, body, self.headers.get("Authorization"), self.client_address[0])
            reply = receive(call, door)
            payload = reply.payload
            if reply.ret == RET_OK:
                keep(interface, body)
            self.send_response(200)
            self.send_header("Content-Type", "application/json;charset=utf-8")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    return Handler
