"""Control of a running simulator over HTTP with JSON, on 127.0.0.1 only: see what the piles do, act at them.

    GET  /state                     every pile
    POST /piles/CODE/plug           {"connector": 1, "vin": ..., "soc": 40, "battery_kwh": 60, "power_kw": 60}
    POST /piles/CODE/unplug         {"connector": 1}
    POST /piles/CODE/stop           {"connector": 1}
    POST /piles/CODE/condition      {"connector": 1, "condition": "normal" | "emergency" | "module_fault"}
    POST /piles/CODE/card           {"connector": 1, "card": "00000000E14C0A54", "password": ...}   starts a charge, or ends its own
    POST /piles/CODE/vin            {"connector": 1}
    POST /piles/CODE/parallel       {"connectors": [1, 2], "card": "00000000E14C0A54"}
    POST /piles/CODE/power          {"seconds": 60}   the mains fail for so long
    POST /piles/CODE/link           {"seconds": 60}   the network is away for so long
    POST /piles/CODE/faults         {"late_record": 60, ...}   the named switches are set, the others stay

Every POST answers with the pile's new state. 400: not understood, 404: no such pile or path, 409: impossible now.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from charging_core.simulator.errors import ActionError, ConfigError
from charging_core.simulator.messages import Condition
from charging_core.simulator.pile import SimulatedPile
from charging_core.simulator.settings import CardRequest, Outage, ParallelRequest, PlugRequest, validated

_HOST = "127.0.0.1"
# a request is a handful of fields; anything longer is not one
_MAX_BODY = 64 * 1024
# real seconds that the event loop may take to carry out a request, and that a client may take to send it
_TIMEOUT_S = 10.0
# how quickly the endpoint notices that it shall end
_POLL_S = 0.05

Body = Mapping[str, Any]
Answer = tuple[HTTPStatus, Any]


def _plug(pile: SimulatedPile, body: Body) -> None:
    request = validated(PlugRequest, body)
    pile.connector(request.connector).plug(request.vehicle())


def _unplug(pile: SimulatedPile, body: Body) -> None:
    pile.unplug(_connector_of(body))


def _stop(pile: SimulatedPile, body: Body) -> None:
    pile.press_stop(_connector_of(body))


def _set_condition(pile: SimulatedPile, body: Body) -> None:
    name = str(body.get("condition", "")).upper()
    if name not in Condition.__members__:
        raise ConfigError(f"condition: one of {', '.join(Condition.__members__).lower()}")
    pile.set_condition(_connector_of(body), Condition[name])


def _present_card(pile: SimulatedPile, body: Body) -> None:
    request = validated(CardRequest, body)
    pile.present_card(request.connector, request.card, request.password)


def _present_vin(pile: SimulatedPile, body: Body) -> None:
    pile.present_vin(_connector_of(body))


def _present_parallel(pile: SimulatedPile, body: Body) -> None:
    request = validated(ParallelRequest, body)
    pile.present_parallel(list(request.connectors), request.card)


def _cut_power(pile: SimulatedPile, body: Body) -> None:
    pile.cut_power(validated(Outage, body).seconds)


def _lose_link(pile: SimulatedPile, body: Body) -> None:
    pile.lose_link(validated(Outage, body).seconds)


def _change_faults(pile: SimulatedPile, body: Body) -> None:
    pile.change_faults(body)


_ACTIONS: Mapping[str, Callable[[SimulatedPile, Body], None]] = {
    "plug": _plug,
    "unplug": _unplug,
    "stop": _stop,
    "condition": _set_condition,
    "card": _present_card,
    "vin": _present_vin,
    "parallel": _present_parallel,
    "power": _cut_power,
    "link": _lose_link,
    "faults": _change_faults,
}


def _connector_of(body: Body) -> int:
    number = body.get("connector", 1)
    if type(number) is not int:
        raise ConfigError("connector: a whole number")
    return number


class Control:
    """The endpoint of one simulator process. Requests run on the event loop of the piles, one after the other."""

    def __init__(self, piles: Mapping[str, SimulatedPile], describe: Callable[[], Any]) -> None:
        self._piles = piles
        self._describe = describe
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, port: int) -> int:
        """Listen on 127.0.0.1; returns the port (0 asks for any). OSError if it is taken."""
        self._server = _Server(port, self, asyncio.get_running_loop())
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="simulator-control", daemon=True
        )
        self._thread.start()
        return self._server.server_port

    async def stop(self) -> None:
        """Stop listening; requests under way finish first, so this must not block the loop they run on."""
        if self._server is not None:
            await asyncio.to_thread(self._close, self._server)

    async def answer(self, method: str, path: str, body: Body) -> Answer:
        """Carry out one request."""
        if (method, path) == ("GET", "/state"):
            return HTTPStatus.OK, self._describe()
        match (method, *path.strip("/").split("/")):
            case ("POST", "piles", code, action) if code in self._piles and action in _ACTIONS:
                return _act(self._piles[code], _ACTIONS[action], body)
        return HTTPStatus.NOT_FOUND, {"error": "没有此桩或路径 / no such pile or path"}

    def _close(self, server: "_Server") -> None:
        server.shutdown()
        server.server_close()
        if self._thread is not None:
            self._thread.join()


def _act(pile: SimulatedPile, action: Callable[[SimulatedPile, Body], None], body: Body) -> Answer:
    try:
        action(pile, body)
    except ConfigError as error:
        return HTTPStatus.BAD_REQUEST, {"error": f"参数有误 / not valid: {error}"}
    except ActionError as error:
        return HTTPStatus.CONFLICT, {"error": f"当前无法执行 / impossible now: {error}"}
    return HTTPStatus.OK, pile.state()


class _Handler(BaseHTTPRequestHandler):
    """One request: JSON in, the loop does it, JSON out."""

    timeout = _TIMEOUT_S
    server: "_Server"

    def do_GET(self) -> None:
        self._serve({})

    def do_POST(self) -> None:
        try:
            body = self._read_body()
        except ValueError as error:
            self._reply(HTTPStatus.BAD_REQUEST, {"error": f"需要 JSON 对象 / a JSON object is needed: {error}"})
        else:
            self._serve(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name of the base class
        """Requests are not logged: their effects are."""

    def _read_body(self) -> Body:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= _MAX_BODY:
            raise ValueError(f"{length} bytes")
        body = json.loads(self.rfile.read(length) or b"{}", parse_float=Decimal)
        if not isinstance(body, dict):
            raise ValueError("not an object")
        return body

    def _serve(self, body: Body) -> None:
        request = self.server.control.answer(self.command, self.path, body)
        self._reply(*asyncio.run_coroutine_threadsafe(request, self.server.loop).result(_TIMEOUT_S))

    def _reply(self, status: HTTPStatus, content: Any) -> None:
        raw = json.dumps(content, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


class _Server(ThreadingHTTPServer):
    """The listening socket and where its requests are carried out."""

    def __init__(self, port: int, control: Control, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__((_HOST, port), _Handler)
        self.control = control
        self.loop = loop
