"""Frames in words."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.piles.protocols.ykc.codec import decode, encode
from charging_core.piles.protocols.ykc.describe import describe
from charging_core.piles.protocols.ykc.tables.directory import TABLES
from tests.charging_core.piles.piles_support import PILE, REALTIME, RECORD, frame_of


def by_name(wire: bytes) -> dict[str, dict[str, Any]]:
    return {field["name"]: field for field in describe(decode(wire))["fields"]}


def test_values_have_names_units_and_meanings() -> None:
    fields = by_name(REALTIME)
    assert fields["voltage"] == {
        "name": "voltage",
        "zh": "输出电压",
        "en": "output voltage",
        "value": "412.7",
        "unit": "V",
    }
    assert fields["status"]["means"] == {"zh": "充电", "en": "charging"}
    assert not any(bit["value"] for bit in fields["faults"]["bits"])


def test_stop_codes_are_explained() -> None:
    assert by_name(RECORD)["stop_code"]["means"] == {"zh": "APP 远程停止", "en": "stopped by app"}
    assert by_name(RECORD)["started_at"]["value"] == "2025-03-14 09:50:00+08:00"


def test_bit_groups_are_taken_apart() -> None:
    body = bytes(33) + (3 << 12 | 412).to_bytes(2, "little") + bytes(9)
    voltage, group = by_name(frame_of(0x23, body))["highest_cell"]["bits"]
    assert (voltage["value"], group["value"]) == ("4.12", 3)
    permission = by_name(frame_of(0x25, bytes(30) + b"\x10"))["state"]["bits"][2]
    assert permission["means"] == {"zh": "允许", "en": "allowed"}


def test_lists_and_unknown_frames() -> None:
    cards = encode(0x46, {"pile_code": PILE, "cards": [{"physical_card": "A" * 16}]})
    assert by_name(cards)["cards"]["value"][0][0]["value"] == "A" * 16
    prefix = encode(0xF0, {"pile_code": PILE, "format": 0, "prefix": "https://a/"})
    assert by_name(prefix)["prefix"]["value"] == "https://a/"
    unknown = describe(decode(frame_of(0x77, b"\x01\x02")))
    assert (unknown["zh"], unknown["extra"], unknown["fields"]) == ("未知帧", "0102", [])


@settings(max_examples=60)
@given(st.sampled_from(list(TABLES)), st.binary(max_size=251))
def test_any_frame_can_be_described_as_json(frame_type: int, body: bytes) -> None:
    json.dumps(describe(decode(frame_of(frame_type, body))))
