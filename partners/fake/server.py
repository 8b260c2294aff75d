"""The small HTTP server under every fake: threads, faults, journal, and the `/control/` interface.

A fake subclasses `FakeServer`, names its interfaces and answers them; everything that goes wrong on purpose before or after
the answer happens here, so that all fakes misbehave alike.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import structlog

from charging_core.clock import Clock, SystemClock
from partners.fake.faults import COMMON_KINDS, Fault, FaultError, FaultPlan
from partners.fake.httpd import HttpServer, Reply, Request, json_reply
from partners.fake.journal import Journal
from partners.fake.wire import WireError, parse_json

log = structlog.get_logger()


@dataclass
class Served:
    """A reply and what the journal says about it."""

    reply: Reply
    entry: dict[str, Any] = field(default_factory=dict)


ControlAction = Callable[[dict[str, Any]], object]


class FakeServer:
    """Base of all fakes: `with Fake(...) as fake:` serves on 127.0.0.1 until the block ends.

    Subclasses give `fault_kinds` (beside the common ones), `serve`, and further `control_actions`.
    """

    fault_kinds: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        log_file: Path | None = None,
        faults: Iterable[Fault | Mapping[str, Any]] = (),
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.faults = FaultPlan([*COMMON_KINDS, *self.fault_kinds])
        self.faults.replace(faults)
        self.journal = Journal(self.clock, log_file)
        self.stopping = threading.Event()
        self._address = (host, port)
        self._server: HttpServer | None = None
        self._thread: threading.Thread | None = None

    # -- what a fake says about itself -------------------------------------------------------------------------------

    def interface_of(self, request: Request) -> str:
        """The name by which faults and journal know this request; by default the last part of the path."""
        return request.path.rsplit("/", 1)[-1]

    def fault_fits(self, kind: str, interface: str) -> bool:
        """Whether a fault of this kind makes sense for this interface."""
        return True

    def pick_fault(self, request: Request, interface: str) -> Fault | None:
        """The fault that this request suffers, if any; a turn of it is used up."""
        return self.faults.take(interface, self.fault_fits)

    def serve(self, request: Request, interface: str, fault: Fault | None) -> Served:
        """Answer one request; `fault` is one of the fake's own kinds, or None."""
        raise LookupError(f"{type(self).__name__} serves nothing under {request.path} ({interface}, {fault})")

    def summary(self) -> dict[str, Any]:
        """Figures for `GET /control/summary`."""
        received = self.journal.entries(direction="in")
        accepted = sum(1 for entry in received if entry.get("accepted"))
        return {
            "received": len(received),
            "accepted": accepted,
            "refused": len(received) - accepted,
            "faults": self.faults.describe(),
        }

    def reset(self) -> None:
        """Back to the state after the start: no entries, no books, no faults."""
        self.faults.replace([])
        self.journal.clear()

    def control_actions(self) -> dict[tuple[str, str], ControlAction]:
        """What `/control/NAME` can do: (method, name) to a function of the JSON body (or the query, for GET)."""
        return {
            ("GET", "received"): lambda query: {"received": self.received(**query)},
            ("GET", "summary"): lambda _: self.summary(),
            ("GET", "faults"): lambda _: {
                "faults": self.faults.describe(),
                "kinds": {**COMMON_KINDS, **self.fault_kinds},
            },
            ("POST", "faults"): self._set_faults,
            ("POST", "reset"): self._reset,
        }

    # -- for tests in the same process -------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port that is served; known after the start."""
        if self._server is None:
            raise RuntimeError("the fake is not running")
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT` without a slash at the end."""
        return f"http://{self._address[0]}:{self.port}"

    def received(self, interface: str | None = None) -> list[dict[str, Any]]:
        """Everything that came in, accepted or refused, oldest first."""
        wanted = {"direction": "in"} | ({"interface": interface} if interface else {})
        return self.journal.entries(**wanted)

    def start(self) -> Self:
        """Bind and serve in threads; returns at once. Raises `OSError` when the port is taken."""
        self._server = HttpServer(self._address, self.answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, name=f"{type(self).__name__}-accept"
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """End every request and connection, then close. Idempotent."""
        self.stopping.set()
        if self._server and self._thread:
            self._server.shutdown()
            self._thread.join()
            self._server.hang_up()
            self._server.server_close()
            self._server = None
        self.journal.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- one request -------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Reply:
        """The whole way of one request: control, faults before, serving, faults after, journal."""
        if request.path.startswith("/control/"):
            return self._control(request)
        begun = time.monotonic()
        interface = self.interface_of(request)
        fault = self.pick_fault(request, interface)
        served = self._before(fault) or self._guarded(request, interface, fault)
        if fault and fault.kind == "close_after":
            served.reply = Reply(drop=True)
        if fault and fault.kind in ("close_body", "twice"):
            served.reply = replace(served.reply, torn=fault.kind == "close_body", twice=fault.kind == "twice")
        if fault and fault.kind == "slow_body":
            served.reply = replace(served.reply, drip_s=fault.seconds)
        entry: dict[str, Any] = {
            "direction": "in",
            "interface": interface,
            "method": request.method,
            "path": request.path,
        }
        entry |= {"accepted": False, "fault": fault.kind if fault else None} | served.entry
        self.journal.add(entry | {"duration_ms": round((time.monotonic() - begun) * 1000)})
        return served.reply

    def _before(self, fault: Fault | None) -> Served | None:
        kind = fault.kind if fault else ""
        if fault and kind in ("hang", "slow"):
            self.stopping.wait(fault.seconds)
        if kind in ("hang", "close"):
            return Served(Reply(drop=True))
        if kind == "http_500":
            return Served(Reply(500, b"<html><body>Internal Server Error</body></html>", "text/html"))
        if kind == "garbage":
            return Served(Reply(200, b"\x00<<< not an answer >>>", "text/plain"))
        return None

    def _guarded(self, request: Request, interface: str, fault: Fault | None) -> Served:
        try:
            return self.serve(request, interface, fault)
        except (
            Exception
        ) as error:  # the edge of the request loop: a defect of the fake must be seen, not end the thread
            log.exception("fake_request_failed", fake=type(self).__name__, interface=interface)
            return Served(Reply(500, b"fake failed", "text/plain"), {"crash": repr(error)})

    def _control(self, request: Request) -> Reply:
        action = self.control_actions().get((request.method, request.path.removeprefix("/control/").rstrip("/")))
        if action is None:
            return json_reply({"error": f"no such control: {request.method} {request.path}"}, 404)
        try:
            return json_reply(action(_control_input(request)))
        except (WireError, FaultError, ValueError, KeyError, TypeError) as error:
            return json_reply({"error": f"{type(error).__name__}: {error}"}, 400)

    def _reset(self, _: dict[str, Any]) -> object:
        self.reset()
        return {"reset": True}

    def _set_faults(self, body: dict[str, Any]) -> object:
        self.faults.replace(body["faults"])
        return {"faults": self.faults.describe()}


def _control_input(request: Request) -> dict[str, Any]:
    if request.method == "GET":
        return dict(request.query)
    value = parse_json(request.body or b"{}")
    if isinstance(value, list):
        value = {"faults": value}
    if not isinstance(value, dict):
        raise ValueError("a JSON object is expected")
    return value
