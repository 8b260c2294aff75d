"""`hub ykc decode|encode` as an engineer calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charging_core.piles.protocols.ykc.codec import decode, encode
from hub.cli.ykc import ykc_app
from tests.charging_core.piles.piles_support import LOGIN, REALTIME, RECORD
from tests.charging_core.piles.test_ykc_codec import EXAMPLES, OFFICIAL
from tests.charging_core.piles.test_ykc_reading import BEAT, pcap, tcp
from tests.support.cli import CliRunner

SAMPLES = [bytes.fromhex(text) for text in (*OFFICIAL.values(), *EXAMPLES.values())]


def run(*arguments: str, given: str | None = None, code: int = 0) -> str:
    result = CliRunner().invoke(ykc_app, list(arguments), input=given)
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.stdout


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_frame_is_told_with_names_values_and_units() -> None:
    (told,) = objects(run("decode", REALTIME.hex()))
    fields = {field["name"]: field for field in told["fields"]}
    assert (told["type"], told["zh"], told["en"]) == ("0x13", "实时监测数据", "realtime data")
    assert (told["sequence"], told["crc_order"], told["direction"]) == ("2A00", "standard", "up")
    assert (fields["voltage"]["value"], fields["voltage"]["unit"]) == ("412.7", "V")
    assert fields["status"]["means"] == {"zh": "充电", "en": "charging"}


def test_frames_come_one_object_a_line_from_arguments_stdin_log_and_capture(tmp_path: Path) -> None:
    log, capture = tmp_path / "pile.log", tmp_path / "pile.pcap"
    log.write_text(f"09:50:00 RX {BEAT.hex(' ')}\nnothing\n", "utf-8")
    capture.write_bytes(pcap(tcp(BEAT + LOGIN, 1), link_type=101))
    assert [one["type"] for one in objects(run("decode", BEAT.hex(), LOGIN.hex()))] == ["0x03", "0x01"]
    assert [one["line"] for one in objects(run("decode", given=f"x\n{BEAT.hex()}\n"))] == [2]
    assert [one["line"] for one in objects(run("decode", "--file", str(log)))] == [1]
    first, second = objects(run("decode", "--pcap", str(capture)))
    assert (first["from"], first["to"], first["at"]) == ("10.0.0.7:40000", "10.0.0.1:8768", "2025-03-14T09:50:00+08:00")
    assert second["type"] == "0x01"


def test_a_bad_frame_ends_with_status_1_and_says_where() -> None:
    bad, good = objects(run("decode", BEAT.hex()[:-2] + "00", BEAT.hex(), code=1))
    assert (bad["error"], bad["position"]) == ("CRC does not fit", 15)
    assert good["type"] == "0x03"
    assert objects(run("decode", "68XX", code=1)) == [{"error": "'X' 不是十六进制 / is not hexadecimal", "position": 1}]
    mirrored = (BEAT[:-2] + BEAT[:-3:-1]).hex()
    assert objects(run("decode", mirrored))[0]["crc_order"] == "reversed"
    run("decode", "--strict-crc", mirrored, code=1)


def test_finding_no_frame_at_all_is_a_failure() -> None:
    assert run("decode", given="2025-03-14 nothing\n", code=1) == ""


def test_a_dialect_may_be_named() -> None:
    fields = dict(decode(RECORD).fields) | {"physical_card": "540A4CE100000000"}
    wire = encode(0x3B, fields)
    (told,) = objects(run("decode", wire.hex()))
    assert told["fields"][-1]["value"] == "540A4CE100000000"
    (turned,) = objects(run("decode", "--dialect", '{"cards_reversed": true}', wire.hex()))
    assert turned["fields"][-1]["value"] == "00000000E14C0A54"
    for wrong in ("no json", "[]", '{"colour": 1}'):
        assert CliRunner().invoke(ykc_app, ["decode", "--dialect", wrong, wire.hex()]).exit_code == 1


@pytest.mark.parametrize("wire", SAMPLES, ids=lambda wire: f"{wire[5]:02X}")
def test_what_decode_prints_encode_makes_again(wire: bytes) -> None:
    told = run("decode", wire.hex())
    assert run("encode", given=told).strip() == wire.hex().upper()
    assert run("encode", given=run("decode", "--pretty", wire.hex())).strip() == wire.hex().upper()


def test_lists_unknown_ends_and_reversed_crc_survive_the_way_through_json() -> None:
    cards = run("encode", given=json.dumps({
        "type": "0x44", "sequence": "0102", "crc_order": "reversed", "extra": "AB",
        "fields": {"pile_code": "31000199000017", "cards": [{"logical_card": "1" * 16, "physical_card": "A" * 16}] * 2},
    }))  # fmt: skip
    told = run("decode", cards.strip())
    assert objects(told)[0]["extra"] == "AB"
    assert run("encode", given=told) == cards
    prefix = run("encode", "F0", "pile_code=31000199000017", "format=1", "prefix=https://a.example/")
    assert run("encode", given=run("decode", prefix.strip())) == prefix


def test_a_frame_is_written_from_options() -> None:
    stop = run(
        "encode", "0x36", "pile_code=31000199000017", "connector_no=01", "--sequence", "1A03", "--crc", "reversed"
    )
    frame = decode(bytes.fromhex(stop.strip()))
    assert (frame.type, frame.sequence, frame.crc_order.value) == (0x36, b"\x1a\x03", "reversed")
    clock = run("encode", "56", "pile_code=31000199000017", "time=2025-03-14T09:50:00")
    assert str(decode(bytes.fromhex(clock.strip())).fields["time"]) == "2025-03-14 09:50:00+08:00"
    model = dict(decode(bytes.fromhex(EXAMPLES["billing model"])).fields) | {"slots": "0," * 47 + "3"}
    text = run("encode", "0x58", *(f"{name}={value}" for name, value in model.items()))
    assert decode(bytes.fromhex(text.strip())).fields["slots"] == (0,) * 47 + (3,)


@pytest.mark.parametrize(
    "arguments",
    [
        ["zz"], ["0x77"], ["0x36", "pile_code"], ["0x36"], ["0x36", "pile_code=1", "connector_no=01"],
        ["0x36", "pile_code=31000199000017", "connector_no=01", "--sequence", "0g"],
        ["0x40", f"trade_number={'0' * 32}", "result=ok"], ["0x56", "pile_code=31000199000017", "time=today"],
    ],
)  # fmt: skip
def test_what_makes_no_frame_is_refused_in_words(arguments: list[str]) -> None:
    result = CliRunner().invoke(ykc_app, ["encode", *arguments])
    assert result.exit_code == 1
    assert str(result.exception)


@pytest.mark.parametrize("given", ["{", "3", '{"type": "0x36", "fields": "x"}', '{"type": "0x36", "fields": [1]}',
                                   '{"type": "0x36", "crc_order": "up"}', '{"type": "0x44", "fields": {"cards": 3}}'])  # fmt: skip
def test_json_that_makes_no_frame_is_refused(given: str) -> None:
    result = CliRunner().invoke(ykc_app, ["encode"], input=given)
    assert result.exit_code == 1
    assert not result.stdout
