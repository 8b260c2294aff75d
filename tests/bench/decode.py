"""Decoding a frame against a bare `struct.unpack` of it, in one process: each by itself, in turns, the best turn counts.

CPU time of this thread, so that a neighbour on the core is not measured. A bill of 48 slots stands beside as an absolute figure.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from charging_core.clock import CHINA
from charging_core.orders.billing import make_bill
from charging_core.piles.protocols.ykc.codec import decode, decode_raw
from charging_core.tariffs.periods import DayPeriods, RateClass
from tests.bench.decode_floor import FRAME, unpack

TURNS = 40
CALLS = 2000
RAW_AIM, FULL_AIM, BILL_AIM_US = 6.0, 20.0, 200.0


def main() -> None:
    """Measure and print."""
    best = measure({"unpack": unpack, "raw": lambda: decode_raw(FRAME), "full": lambda: decode(FRAME)}, CALLS)
    best |= measure({"bill": day_bill()}, CALLS // 50)
    print(f"frame of {len(FRAME)} bytes (length byte 64), best of {TURNS} turns of {CALLS} calls, CPU time")
    print(f"  bare struct.unpack                  {best['unpack']:8.3f} us")
    for name, words, aim in (
        ("raw", "raw integers, CRC checked", RAW_AIM),
        ("full", "every value, CRC checked", FULL_AIM),
    ):
        ratio = best[name] / best["unpack"]
        print(
            f"  decode: {words:<27} {best[name]:8.3f} us  = {ratio:4.1f} x   aim <= {aim:.0f}: {_verdict(ratio, aim)}"
        )
    bill, words = best["bill"], "a bill of 48 slots"
    print(f"  {words:<35} {bill:8.1f} us           aim <= {BILL_AIM_US:.0f}: {_verdict(bill, BILL_AIM_US)}\n")


def measure(calls: dict[str, Callable[[], Any]], count: int) -> dict[str, float]:
    """Microseconds of one call of each: the least over all turns."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(TURNS):
        for name, call in calls.items():
            seconds = timeit.timeit(call, number=count, timer=time.thread_time)
            best[name] = min(best[name], seconds / count * 1e6)
    return best


def day_bill() -> Callable[[], Any]:
    """A charge of a whole day over 48 half hours, whose class changes at each."""
    classes = (RateClass.SHARP, RateClass.PEAK, RateClass.FLAT, RateClass.VALLEY)
    rows = [
        {
            "start": f"{slot // 2:02d}:{slot % 2 * 30:02d}",
            "class": classes[slot % 4],
            "elec_price": Decimal("1.2") - slot % 4 * Decimal("0.25"),
            "service_price": Decimal("0.4"),
        }
        for slot in range(48)
    ]
    periods = DayPeriods.from_rows(rows)
    energy = {one: Decimal("60.1234") + place for place, one in enumerate(classes)}
    start = datetime(2025, 3, 14, tzinfo=CHINA)

    def make() -> Any:
        return make_bill(energy, start, start + timedelta(days=1), periods)

    assert len(make().details) == len(rows)
    return make


def _verdict(figure: float, aim: float) -> str:
    return "reached" if figure <= aim else "NOT REACHED"


if __name__ == "__main__":
    main()
