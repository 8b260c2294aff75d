"""`make bench`: what the product costs over the bare limit, as ratios measured in one run on this machine.

    python -m tests.bench [edge] [piles]        (without a name: both)
    python -m tests.bench deliveries [...]      (five to six minutes; further words as in `tests.bench.deliveries`)

Nothing here fails a test; a ratio below its aim is printed as such.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import fastcrc

from tests.bench import deliveries, edge_rows
from tests.bench.edge_serving import Asked, Side, compared, pin_here, ratio, told

PILES = 32
HEARTBEAT_BYTES = 17
"""The length of a heartbeat and of its answer."""
ROUNDS, SECONDS = 3, 2.0
"""Fewer and longer turns than for the edge: each begins with the log-in of every pile, a second during which nothing is counted."""


def main(chosen: Sequence[str]) -> None:
    """Run the named comparisons and print them."""
    if "deliveries" in chosen[:1]:
        deliveries.main(chosen[1:])
        return
    rows = {"edge": edge_rows.main, "piles": piles}
    if unknown := sorted(set(chosen) - set(rows)):
        sys.exit(f"no such bench: {', '.join(unknown)}; there are {', '.join(rows)}")
    pin_here()
    for name in chosen or rows:
        print(f"{name}: servers on one core, load on another, sides asked in turn, medians\n")
        rows[name]()


def piles() -> None:
    """Frames of the pile server against an echo of the same frames."""
    ask = Asked(_heartbeat, PILES, f"fixed:{HEARTBEAT_BYTES}", _login)
    sides = {"bare asyncio echo": Side("tests.bench.floor_echo", module=True)}
    sides["pile server"] = Side("tests.bench.pile_frames", module=True)
    rounds = compared(sides, ask, ROUNDS, SECONDS)
    told(
        "pile server / bare asyncio echo",
        ratio(rounds, "pile server", "bare asyncio echo", lambda one: one.per_s),
        None,
    )


def _login(number: int) -> bytes:
    """The log-in of a pile of its own for each connection (a second log-in of one code would replace the first)."""
    return _frame(0x01, _code(number) + bytes.fromhex("000210") + b"V2.3.1\0\0" + b"\0" * 12)


def _heartbeat(number: int) -> bytes:
    """Connector 1 of that pile is well."""
    return _frame(0x03, _code(number) + b"\x01\0")


def _code(number: int) -> bytes:
    return bytes.fromhex(f"31000199{number:06d}")


def _frame(kind: int, body: bytes) -> bytes:
    covered = bytes([0, 0, 0, kind]) + body
    return bytes([0x68, len(covered)]) + covered + fastcrc.crc16.modbus(covered).to_bytes(2, "little")


if __name__ == "__main__":
    main(sys.argv[1:])
