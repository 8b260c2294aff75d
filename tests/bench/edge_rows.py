"""Rows of `make bench` about the T/CEC edge: its floor and a peer, two processes, latency under load, live data, start-up.

Every side is pinned to one core and the load comes from another. "Per core" figures are answers per second of CPU time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from partners.tcec102.envelope import seal_request
from partners.tcec102.keys import KeySet
from tests.bench import floor_http, load
from tests.bench.edge_live import ASKED_PAGE, ASKED_STATIONS
from tests.bench.edge_paced import paced
from tests.bench.edge_serving import LANE, Asked, Rounds, Server, Side, Slice, compared, ratio, served, told, turn

BASE = "/demo/evcs/v1/"
ROUNDS, SECONDS = 12, 0.5
"""Many short turns: two sides of one turn see the same machine, and a disturbance spoils one of many."""
LIVE_ROUNDS = 7
STARTS = 3
PACED_SHARE = 0.8
PACED_ROUNDS = 40
PACED_S = 0.2
"""Short, right after its own full speed: what a machine with neighbours can do changes within a second, and at four fifths of what it
could do a moment ago it may be overrun. A pause of the machine spoils the turn that it falls into; the latencies of all turns together,
pauses included, are printed beside, for the bare handler as well."""

FLOOR = Side("tests.bench.floor_http:app")
EDGE = Side("tests.bench.edge_http:app", http=LANE)
STOCK = Side("tests.bench.stock_http:app")


def main() -> None:
    """Measure and print every row."""
    bare()
    under_load()
    live_status()
    pages()
    start_up()


def bare() -> None:
    """The edge without a database, as the hub serves it, against its floor, against stock connexion, against itself behind uvicorn's
    own protocol, and against two processes of itself."""
    ask = Asked(sealed("query_station_status", {"StationIDs": ["S0001"]}))
    sides = {
        "floor": FLOOR,
        "edge": EDGE,
        "edge x 2": replace(EDGE, workers=2),
        "edge, plain ASGI": replace(EDGE, http=FLOOR.http),
        "stock connexion": STOCK,
    }
    rounds = compared(sides, ask, ROUNDS, SECONDS)
    told("T/CEC edge / bare ASGI with the same crypto, per core", ratio(rounds, "edge", "floor", per_core), 0.9)
    told(
        "T/CEC edge without its lane, as plain ASGI / bare ASGI",
        ratio(rounds, "edge, plain ASGI", "floor", per_core),
        None,
    )
    told("T/CEC edge / stock connexion, per core", ratio(rounds, "edge", "stock connexion", per_core), None)
    told(
        "T/CEC edge, CPU-seconds per request with two processes / with one",
        1 / ratio(rounds, "edge x 2", "edge", per_core),
        -1.15,
    )


def live_status() -> None:
    """Status of 50 stations from the database, against the same with the answer ready in memory."""
    rounds = _live(("live", "canned"), "query_station_status", ASKED_STATIONS)
    told("query_station_status of 50 stations, live / without database", ratio(rounds, "live", "canned", per_core), 0.7)


def pages() -> None:
    """A page of 50 of 500 stations: pieces kept, against the same handler that makes every body from its rows."""
    rounds = _live(("live", "rendering"), "query_stations_info", ASKED_PAGE)
    told("query_stations_info, kept pieces / from rows each time", ratio(rounds, "live", "rendering", per_core), 3)
    told("query_stations_info, pages/s per core", statistics.median(each["live"].per_cpu_s for each in rounds), 200)


def under_load() -> None:
    """Latencies at four fifths of the most that it can answer just then; the floor's beside them show what the machine adds."""
    ask = Asked(sealed("query_station_status", {"StationIDs": ["S0001"]}))
    for name, side, aim in (("bare ASGI", FLOOR, None), ("T/CEC edge", EDGE, -4)):
        with served(side) as server:
            turns = [_paced_turn(server, ask) for _ in range(PACED_ROUNDS)]
        together = sorted(lap for laps in turns for lap in laps)
        p50, p99 = at_share(together, 0.5), at_share(together, 0.99)
        print(f"  {name:<26} {len(together):>9,} answers, all turns together   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")
        ratios = [at_share(laps, 0.99) / at_share(laps, 0.5) for laps in turns]
        told(
            f"{name} at {PACED_SHARE:.0%} load, p99 / p50, median of {len(turns)} turns", statistics.median(ratios), aim
        )


def _paced_turn(server: Server, ask: Asked) -> list[float]:
    pace = turn(server, ask, PACED_S).per_s * PACED_SHARE
    return paced(server.port, ask, pace, PACED_S)


def at_share(laps: Sequence[float], share: float) -> float:
    """The latency, in milliseconds, that so great a share of the sorted ones do not exceed."""
    return laps[int(len(laps) * share)] * 1000


def start_up() -> None:
    """From the start of a process until `/readyz` says so."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    environment = {
        "HUB_DATABASE_URL": f"sqlite:///{folder / 'hub.db'}",
        "HUB_SECRET_KEY": "a-key-for-the-bench-0123456789",
        "HUB_PILE_PORT": "0",
        "HUB_OCPP_PORT": "0",
        "HUB_LOG_LEVEL": "warning",
        # Compiled modules are kept, as they are where the hub is installed; the first start, which is not counted, makes them.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
    }
    side = Side("wsgi:app", ready="/readyz", environment=environment, http=LANE)
    migrate = [str(Path(sys.executable).with_name("hub")), "migrate"]
    subprocess.run(migrate, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
    times, spent = [], []
    for counted in (False, *[True] * STARTS):
        began = time.perf_counter()
        with served(side) as server:
            if counted:
                times.append(time.perf_counter() - began)
                spent.append(server.cpu_s())
    print(f"  start-up                   {statistics.median(spent):.2f} CPU-seconds")
    told("start-up of a web process until it is ready, seconds", statistics.median(times), -2.0)


def sealed(interface: str, body: Mapping[str, Any]) -> bytes:
    """One right call."""
    secret = floor_http.KEY.decode()
    keys = KeySet(secret, secret, secret, secret)
    envelope = seal_request(body, floor_http.OPERATOR, keys, "20260302120000", "0001")
    return load.http_post(BASE + interface, orjson.dumps(envelope), floor_http.TOKEN)


def per_core(one: Slice) -> float:
    """Answers per second of CPU time."""
    return one.per_cpu_s


def _live(modes: tuple[str, ...], interface: str, body: Mapping[str, Any]) -> Rounds:
    sides = {mode: Side("tests.bench.edge_live:app", environment={"BENCH_MODE": mode}, http=LANE) for mode in modes}
    return compared(sides, Asked(sealed(interface, body)), LIVE_ROUNDS, SECONDS)
