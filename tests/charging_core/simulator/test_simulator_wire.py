"""The simulated pile's own codec against the valid samples and the worked examples of the specification."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_core.clock import CHINA
from charging_core.simulator.crc import check_bytes, crc16
from charging_core.simulator.errors import FrameError
from charging_core.simulator.fields import Ascii, ConnectorNumber, Cp56Time, Digits, Fixed, Uint
from charging_core.simulator.layouts import LAYOUTS, FrameType
from charging_core.simulator.wire import Frame, FrameReader, build, decode, encode, parse

PILE = "31000199000017"
TRADE = "31000199000017012503140950000001"

# ykc.md 1.2: the four official samples whose check bytes are right
OFFICIAL = [
    "680C000000025503141278230500DA4C",
    "680ECE040006550314127823050000008E2F",
    "682A000400323201020000000101201806121959578532010200000001010000000000000000000000000001E829",
    (
        "68620026009455031412782305010F003131342E35352E3131342E3137340000150073720000000000000000000000000000"
        "7372313233000000000000000000000041432D374B572F32303138303133310000000000000000000000000000000000023C"
        "7A2C"
    ),
]

# ykc.md 14
LOGIN = "6822000000013100019900001700021056322E332E3100000089860412345678901234005DAB"
LOGIN_REPLY = "680C000000023100019900001700AD87"
HEARTBEAT = "680D070000033100019900001701001DAF"
HEARTBEAT_REPLY = "680D07000004310001990000170100AC75"
MODEL = (
    "685E0300000A310001990000170100C0D40100409C0000A0860100409C000070110100409C00003075000030750000000303"
    "03030303030303030303030302020202020201010101000000000202020202020202010101010101010103030303DC00"
)
START = "68300C00003431000199000017012503140950000001310001990000170100000000000000000000000000000000881300002824"
SAMPLE = (
    "68402A0000133100019900001701250314095000000131000199000017010302011F10B5045800000000000000002F524600"
    "230020940100209401000E2A020000005AD1"
)
RECORD = (
    "68A27100003B310001990000170125031409500000013100019900001701000032090E031930750A0C0E0319007102000429"
    "000004290000A0410000E022020040E2010040E2010026A30200B0AD01001027000010270000F82A000060EA000000000000"
    "0000000000000000CEAB19060022DE1B06005432020054320200BE0F03004C54455354303030303030303030303137011879"
    "0A0C0E031940000000000000000028C9"
)
RECORD_REPLY = "681571000040310001990000170125031409500000010014DE"

WORKED = [LOGIN, LOGIN_REPLY, HEARTBEAT, HEARTBEAT_REPLY, MODEL, START, SAMPLE, RECORD, RECORD_REPLY]


@pytest.mark.parametrize("text", OFFICIAL + WORKED)
def test_valid_vectors_parse_and_build_byte_equal(text: str) -> None:
    raw = bytes.fromhex(text)
    assert build(parse(raw)) == raw


@pytest.mark.parametrize("text", [*WORKED, OFFICIAL[0], OFFICIAL[1]])
def test_bodies_decode_and_encode_byte_equal(text: str) -> None:
    frame = parse(bytes.fromhex(text))
    assert encode(frame.type, decode(frame.type, frame.body)) == frame.body


def test_check_value_and_the_worked_example() -> None:
    assert crc16(b"123456789") == 0x4B37
    heartbeat = bytes.fromhex("07000003310001990000170100")
    assert check_bytes(heartbeat, reversed_order=False) == bytes.fromhex("1DAF")
    assert check_bytes(heartbeat, reversed_order=True) == bytes.fromhex("AF1D")


def test_official_replies_mean_what_they_say() -> None:
    login, verify = (parse(bytes.fromhex(text)) for text in OFFICIAL[:2])
    assert decode(login.type, login.body) == {"pile_code": "55031412782305", "result": 0}
    assert verify.sequence == bytes.fromhex("CE04")
    assert decode(verify.type, verify.body) == {"pile_code": "55031412782305", "model_number": "0000", "result": 0}


def test_login_of_the_worked_example() -> None:
    frame = parse(bytes.fromhex(LOGIN))
    assert decode(frame.type, frame.body) == {
        "pile_code": PILE,
        "pile_type": 0,
        "connectors": 2,
        "protocol_version": 0x10,
        "software": "V2.3.1",
        "network": 0,
        "sim": "89860412345678901234",
        "carrier": 0,
    }


def test_start_of_the_worked_example() -> None:
    frame = parse(bytes.fromhex(START))
    values = decode(frame.type, frame.body)
    assert (values["trade_number"], values["connector"], values["balance"]) == (TRADE, 1, Decimal("50.00"))


def test_model_of_the_worked_example() -> None:
    values = decode(0x0A, parse(bytes.fromhex(MODEL)).body)
    assert values["rate0_electricity"] == Decimal("1.20000")
    assert [values[f"rate{i}_service"] for i in range(4)] == [Decimal(x) for x in ("0.4", "0.4", "0.4", "0.3")]
    assert bytes.fromhex(values["slots"]) == bytes([3] * 14 + [2] * 6 + [1] * 4 + [0] * 4 + [2] * 8 + [1] * 8 + [3] * 4)


def test_sample_of_the_worked_example() -> None:
    values = decode(0x13, parse(bytes.fromhex(SAMPLE)).body)
    assert (values["status"], values["homed"], values["plugged"], values["soc"]) == (3, 2, 1, 47)
    assert (values["voltage"], values["current"]) == (Decimal("412.7"), Decimal("120.5"))
    assert (values["cable_temperature"] - 50, values["battery_temperature"] - 50) == (38, 32)
    assert (values["minutes_charged"], values["minutes_remaining"]) == (70, 35)
    assert (values["energy"], values["amount"]) == (Decimal("10.3456"), Decimal("14.1838"))


def test_record_of_the_worked_example() -> None:
    values = decode(0x3B, parse(bytes.fromhex(RECORD)).body)
    assert values["started_at"] == datetime(2025, 3, 14, 9, 50, tzinfo=CHINA)
    assert values["ended_at"] == datetime(2025, 3, 14, 12, 10, 30, tzinfo=CHINA)
    assert [values[f"rate{i}_energy"] for i in range(4)] == [Decimal(x) for x in ("1.05", "12.3456", "1", "0")]
    assert (values["meter_start"], values["meter_end"]) == (Decimal("10234.5678"), Decimal("10248.9634"))
    assert (values["total_energy"], values["total_amount"]) == (Decimal("14.3956"), Decimal("20.0638"))
    assert (values["vin"], values["trade_flag"], values["stop_code"]) == ("LTEST000000000017", 1, 0x40)


@pytest.mark.parametrize("text", WORKED)
@pytest.mark.parametrize("position", [1, 2, 6, -1])
def test_a_flipped_bit_is_refused(text: str, position: int) -> None:
    raw = bytearray.fromhex(text)
    raw[position] ^= 0x10
    with pytest.raises(FrameError):
        parse(bytes(raw))


def test_the_other_order_of_check_bytes_is_refused() -> None:
    frame = Frame(type=0x03, body=bytes(9))
    with pytest.raises(FrameError):
        parse(build(frame, reversed_crc=True))
    assert parse(build(frame, reversed_crc=True), reversed_crc=True) == frame


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_frame_errors(data: bytes) -> None:
    with suppress(FrameError):
        parse(data)
    for kind in (*LAYOUTS, 0x99):
        with suppress(FrameError):
            decode(kind, data)


@given(st.lists(st.sampled_from(WORKED), max_size=6), st.data())
def test_reader_finds_every_frame_however_the_stream_is_cut(texts: list[str], data: st.DataObject) -> None:
    stream = b"".join(bytes.fromhex(text) for text in texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader = FrameReader()
    found: list[bytes] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[begin:end])
    assert [raw.hex().upper() for raw in found] == texts
    assert reader.dropped == 0


def test_reader_skips_garbage_and_damaged_frames() -> None:
    good, damaged = bytes.fromhex(HEARTBEAT_REPLY), bytearray.fromhex(LOGIN_REPLY)
    damaged[-1] ^= 1
    reader = FrameReader()
    found = reader.feed(b"\x00\xff" + bytes(damaged) + good + good)
    assert found == [good, good]
    assert reader.dropped == 2 + len(damaged)


@pytest.mark.parametrize(
    ("coder", "value"),
    [
        (Digits(2), "123"),
        (Digits(2), "12G4"),
        (Uint(2), 65536),
        (Uint(1), -1),
        (Fixed(4, 4), Decimal("0.00001")),
        (Fixed(2, 1), Decimal(7000)),
        (Ascii(2), "abc"),
        (Ascii(9), "充电"),
        (ConnectorNumber(), 100),
        (Cp56Time(), datetime(1999, 12, 31, tzinfo=UTC)),
    ],
)
def test_values_that_do_not_fit_their_field_are_refused(coder: Any, value: Any) -> None:
    with pytest.raises(FrameError):
        coder.encode(value)


def test_connector_ten_is_hex_ten() -> None:
    assert ConnectorNumber().encode(10) == b"\x10"
    assert ConnectorNumber().decode(b"\x10") == 10


def test_time_of_the_specification() -> None:
    assert Cp56Time().decode(bytes.fromhex("98B70E11100314")) == datetime(2020, 3, 16, 17, 14, 47, tzinfo=CHINA)


@pytest.mark.parametrize("raw", ["00000000000000", "60EA0E11100314", "98B78E11100314", "98B70E1F100314"])
def test_impossible_times_are_none(raw: str) -> None:
    assert Cp56Time().decode(bytes.fromhex(raw)) is None


@given(st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)))  # noqa: DTZ001 - made aware below
def test_times_survive_to_the_millisecond(naive: datetime) -> None:
    instant = naive.replace(tzinfo=CHINA)
    cut = instant - timedelta(microseconds=instant.microsecond % 1000)
    assert Cp56Time().decode(Cp56Time().encode(instant)) == cut


def test_fields_must_be_named_exactly() -> None:
    with pytest.raises(FrameError, match="result"):
        encode(FrameType.LOGIN_REPLY, {"pile_code": PILE})


def test_a_body_too_long_for_a_frame_is_refused() -> None:
    with pytest.raises(FrameError):
        build(Frame(type=0x01, body=bytes(252)))
