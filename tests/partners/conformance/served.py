"""A door on a socket of its own, for as long as a test needs it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from partners.tcec102.receive import Door, receive
from partners.tcec102.visit import InboundCall


class ServedDoor:
    """`with ServedDoor(door) as served:` then call `served.url` + base + interface."""

    def __init__(self, door: Door) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(door))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(door: Door) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # one write per answer: two would wait for the delayed ACK of the first

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            head, slash, interface = self.path.rpartition("/")
            call = InboundCall(head + slash, interface, body, self.headers.get("Authorization"), "127.0.0.1")
            payload = receive(call, door).payload
            self.send_response(200)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    return Handler
