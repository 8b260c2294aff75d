"""What may go wrong with a charge of the soak: fault switches of the pile, and what people and the mains do. Pure tables."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Any

SWITCHES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "none": {},
        "reversed CRC": {"reversed_crc": True},
        "random sequence": {"sequence": "random"},
        "zero sequence": {"sequence": "zero"},
        "swapped echo": {"echo": "swapped"},
        "no echo": {"echo": "none"},
        "split writes": {"split_writes": True},
        "glued writes": {"glued_writes": True},
        "frame gap": {"frame_gap_ms": 3},
        "extra bytes": {"extra_bytes": 5},
        "link loss": {"link_loss_after": 40, "link_loss_for": 60},
        "long link loss": {"link_loss_after": 30, "link_loss_for": 400},
        "half-open link": {"half_open_after": 40, "link_loss_for": 20},
        "second connection": {"second_connection_after": 40},
        "no 0x33": {"no_start_reply": True},
        "late 0x33": {"late_start_reply": 20},
        "never charges": {"never_charges": True},
        "start fails": {"start_failure": 0x57},
        "aborts": {"ends_after": 70, "end_code": 0x79},
        "ignores stops": {"ignored_stops": 1},
        "idle glitch": {"idle_glitch": 1},
        "two idle glitches": {"idle_glitch": 2},
        "idle trade number": {"idle_trade_number": True},
        "duplicate 0x3B": {"duplicate_record": 2},
        "late 0x3B": {"late_record": 200},
        "0x3B before 0x35": {"record_before_stop_reply": True},
        "changed 0x3B": {"changed_amounts": True, "duplicate_record": 1, "ignored_confirmations": 1},
        "lost 0x40": {"ignored_confirmations": 1},
        "forgets its record": {"late_record": 60, "start_drops_record": True},
        "zero meter": {"zero_meter": True},
        "cut amounts": {"cut_amounts": True},
        "unknown flag": {"trade_flag": 9},
        "deaf clock": {"deaf_to_time": True},
    }
)
"""Each is on for one charge; "deaf clock" also sets the pile's clock five hours off."""

ENDINGS = (
    "stop",
    "stop",
    "stop",
    "button",
    "unplug",
    "emergency",
    "module",
    "power cut",
    "full",
    "balance",
    "twice stopped",
)
"""How a charge ends, if nothing ends it before."""

WAYS = ("app", "app", "app", "app", "card", "card", "vin", "off-line card")
"""How a charge begins."""
NOT_OFFLINE = frozenset({"unknown flag", "forgets its record", "never charges", "start fails"})
"""Troubles that would leave an off-line charge without anything to know it by, or that need the hub's start."""

RECONNECTING = frozenset({"reversed CRC"})
"""Troubles that take effect with the next connection only."""


def pick(random: Random) -> str:
    """A trouble; every kind as often as any other, and none at all four times as often."""
    names = list(SWITCHES)
    return random.choice([*names, "none", "none", "none"])
