"""The codec: official samples, worked examples, tables against the digest, round trips, and what arbitrary bytes may do."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.clock import CHINA
from charging_core.piles.protocols.ykc import cp56
from charging_core.piles.protocols.ykc.codec import decode, decode_raw, encode
from charging_core.piles.protocols.ykc.crc import CrcOrder, checksum, crc_bytes
from charging_core.piles.protocols.ykc.errors import (
    BadValue,
    CrcMismatch,
    DecodeError,
    EncodeError,
    FrameTooLong,
    LengthMismatch,
    MissingField,
    NotAFrame,
    UnknownField,
    UnknownFrameType,
)
from charging_core.piles.protocols.ykc.fields import Field, FrameTable, Kind
from charging_core.piles.protocols.ykc.layout import Layout
from charging_core.piles.protocols.ykc.tables.directory import TABLES
from tests.charging_core.piles.piles_support import frame_of

# specs/ykc.md 1.2: the only official samples whose CRC is right
OFFICIAL = {
    0x02: "680C000000025503141278230500DA4C",
    0x06: "680ECE0400065503141278230500 00008E2F",
    0x32: "682A00040032320102000000010120180612195957853201020000000101000000000000000000000000 0001E829",
    0x94: "6862002600945503141278230501 0F00 3131342E35352E3131342E3137340000 1500"
    "73720000000000000000000000000000 73723132330000000000000000000000"
    "41432D374B572F32303138303133310000000000000000000000000000000000 02 3C 7A2C",
}
# specs/ykc.md 14
EXAMPLES = {
    "login": "6822000000013100019900001700021056322E332E3100000089860412345678901234005DAB",
    "login reply": "680C000000023100019900001700AD87",
    "heartbeat": "680D070000033100019900001701001DAF",
    "heartbeat reply": "680D07000004310001990000170100AC75",
    "billing model": "685E0300000A310001990000170100C0D40100409C0000A0860100409C000070110100409C000030750000307500"
    "0000030303030303030303030303030302020202020201010101000000000202020202020202010101010101010103030303DC00",
    "start": "68300C00003431000199000017012503140950000001310001990000170100000000000000000000000000000000881300002824",
    "realtime": "68402A0000133100019900001701250314095000000131000199000017010302011F10B5045800000000000000002F5246"
    "00230020940100209401000E2A020000005AD1",
    "record": "68A27100003B310001990000170125031409500000013100019900001701000032090E031930750A0C0E031900710200042900"
    "0004290000A0410000E022020040E2010040E2010026A30200B0AD01001027000010270000F82A000060EA0000000000000000000000"
    "000000CEAB19060022DE1B06005432020054320200BE0F03004C544553543030303030303030303031370118790A0C0E031940000000"
    "000000000028C9",
    "confirm": "681571000040310001990000170125031409500000010014DE",
}
# specs/ykc.md 4 and 5: body lengths of all frames without a list
_SIZES = (
    "01:30 02:8 03:9 04:9 05:9 06:10 09:7 0A:90 12:8 13:60 15:73 17:45 19:39 1B:32 1D:28 21:28 23:44 25:31 31:51 32:38 "
    "33:26 34:44 35:10 36:8 3B:158 3D:201 40:17 41:16 42:20 43:9 51:8 52:9 55:14 56:14 57:8 58:90 61:16 62:13 63:13 "
    "91:8 92:8 93:8 94:94 A1:58 A2:44 A3:33 A4:50 F1:8"
)
BODY_SIZES = {int(pair[:2], 16): int(pair[3:]) for pair in _SIZES.split()}
LISTS = {0x44, 0x45, 0x46, 0x47, 0x48, 0xF0}


@pytest.mark.parametrize("sample", [*OFFICIAL.values(), *EXAMPLES.values()], ids=[*map(hex, OFFICIAL), *EXAMPLES])
def test_published_frames_decode_and_encode_to_the_same_bytes(sample: str) -> None:
    wire = bytes.fromhex(sample)
    frame = decode(wire)
    assert (frame.known, frame.short, frame.extra, frame.invalid) == (True, False, b"", ())
    assert frame.crc_order is CrcOrder.STANDARD
    assert encode(frame.type, frame.fields, frame.sequence) == wire


def test_crc_check_value_and_worked_register() -> None:
    assert checksum(b"123456789") == 0x4B37
    assert crc_bytes(bytes.fromhex("07000003310001990000170100")) == bytes.fromhex("1DAF")
    assert crc_bytes(bytes.fromhex("07000003310001990000170100"), CrcOrder.REVERSED) == bytes.fromhex("AF1D")


def test_login_example_says_what_the_digest_says() -> None:
    fields = decode(bytes.fromhex(EXAMPLES["login"])).fields
    assert fields["pile_code"] == "31000199000017"
    assert (fields["pile_kind"], fields["connector_count"], fields["protocol_version"]) == (0, 2, 0x10)
    assert fields["firmware"] == "V2.3.1"
    assert fields["sim"] == "89860412345678901234"


def test_realtime_example_says_what_the_digest_says() -> None:
    fields = decode(bytes.fromhex(EXAMPLES["realtime"])).fields
    assert (fields["status"], fields["homed"], fields["plugged"]) == (3, 2, 1)
    assert (fields["voltage"], fields["current"]) == (Decimal("412.7"), Decimal("120.5"))
    assert (fields["cable_temperature"], fields["soc"], fields["battery_temperature"]) == (38, 47, 32)
    assert (fields["minutes_charged"], fields["minutes_remaining"]) == (70, 35)
    assert (str(fields["energy"]), str(fields["amount"])) == ("10.3456", "14.1838")


def test_record_example_says_what_the_digest_says() -> None:
    fields = decode(bytes.fromhex(EXAMPLES["record"])).fields
    assert fields["started_at"] == datetime(2025, 3, 14, 9, 50, tzinfo=CHINA)
    assert fields["ended_at"] == datetime(2025, 3, 14, 12, 10, 30, tzinfo=CHINA)
    assert (fields["sharp_price"], fields["sharp_energy"], fields["sharp_amount"]) == (
        Decimal("1.6"),
        Decimal("1.05"),
        Decimal("1.68"),
    )
    assert (fields["meter_start"], fields["meter_end"]) == (Decimal("10234.5678"), Decimal("10248.9634"))
    assert (fields["total_energy"], fields["total_amount"]) == (Decimal("14.3956"), Decimal("20.0638"))
    assert (fields["vin"], fields["trade_flag"], fields["stop_code"]) == ("LTEST000000000017", 1, 0x40)


def test_billing_model_example_says_what_the_digest_says() -> None:
    fields = decode(bytes.fromhex(EXAMPLES["billing model"])).fields
    assert [fields[f"{rate}_energy_price"] for rate in ("sharp", "peak", "flat", "valley")] == [
        Decimal("1.2"),
        Decimal("1.0"),
        Decimal("0.7"),
        Decimal("0.3"),
    ]
    assert fields["slots"] == (3,) * 14 + (2,) * 6 + (1,) * 4 + (0,) * 4 + (2,) * 8 + (1,) * 8 + (3,) * 4


def test_every_frame_of_the_directory_has_a_table_of_the_published_size() -> None:
    assert set(TABLES) == set(BODY_SIZES) | LISTS
    assert {kind: Layout(TABLES[kind].fields).size for kind in BODY_SIZES} == BODY_SIZES


def test_answers_go_the_other_way() -> None:
    for table in TABLES.values():
        assert table.answer is None or TABLES[table.answer].from_pile is not table.from_pile


def test_field_names_are_unique_within_a_frame() -> None:
    for table in TABLES.values():
        names = [field.name for field in table.fields]
        assert len(names) == len(set(names)), hex(table.type)


def test_reversed_crc_is_told_and_can_be_refused() -> None:
    wire = encode(0x09, {"pile_code": "31000199000017"}, crc_order=CrcOrder.REVERSED)
    assert decode(wire).crc_order is CrcOrder.REVERSED
    with pytest.raises(CrcMismatch):
        decode(wire, strict_crc=True)


@pytest.mark.parametrize(
    ("wire", "error", "position"),
    [
        (b"", NotAFrame, 0),
        (bytes.fromhex("690D070000033100019900001701001DAF"), NotAFrame, 0),
        (bytes.fromhex("680C070000033100019900001701001DAF"), LengthMismatch, 1),
        (bytes.fromhex("680D070000033100019900001701001DAE"), CrcMismatch, 15),
    ],
)
def test_broken_frames_say_where(wire: bytes, error: type[DecodeError], position: int) -> None:
    with pytest.raises(error) as caught:
        decode(wire)
    assert caught.value.position == position


def test_longer_bodies_keep_the_rest_and_encode_again() -> None:
    wire = frame_of(0x03, bytes.fromhex("310001990000170100") + b"\x2a\x2b")
    frame = decode(wire)
    assert (frame.extra, frame.short) == (b"\x2a\x2b", False)
    assert encode(0x03, frame.fields, extra=frame.extra) == wire


def test_shorter_bodies_give_whole_fields_only() -> None:
    whole = bytes.fromhex(EXAMPLES["record"])[6:-2]
    frame = decode(frame_of(0x3B, whole[:104]))
    assert frame.short
    assert frame.fields["valley_amount"] == 0
    assert "meter_start" not in frame.fields


def test_unknown_types_and_enciphered_bodies_are_kept_undecoded() -> None:
    unknown = decode(frame_of(0x77, b"abc"))
    assert (unknown.known, unknown.fields, unknown.extra) == (False, {}, b"abc")
    enciphered = decode(frame_of(0x03, b"secret", encrypt=1))
    assert (enciphered.known, enciphered.encrypt, enciphered.fields, enciphered.extra) == (True, 1, {}, b"secret")


def test_a_decipher_can_be_plugged_in() -> None:
    wire = frame_of(0x09, bytes(b ^ 0x55 for b in bytes.fromhex("31000199000017")), encrypt=1)
    frame = decode(wire, decipher=lambda _type, body: bytes(b ^ 0x55 for b in body))
    assert frame.fields == {"pile_code": "31000199000017"}


def test_vin_is_reversed_in_start_requests_only() -> None:
    body = bytes.fromhex("31000199000017" + "01" + "03" + "00" + "00" * 24) + b"71000000000TSETLA"
    assert decode(frame_of(0x31, body)).fields["vin"] == "ALTEST00000000017"


def test_currents_of_the_vehicle_side_have_their_offset() -> None:
    values = decode(frame_of(0x23, bytes(24) + bytes.fromhex("a00f" + "a00f" + "02") + bytes(15))).fields
    assert values["demand_voltage"] == Decimal("400.0")
    assert values["demand_current"] == Decimal("0.0")


def test_card_lists_carry_their_own_count() -> None:
    cards = [{"logical_card": f"{n:016d}", "physical_card": f"{n:016X}"} for n in range(11)]
    frame = decode(encode(0x44, {"pile_code": "31000199000017", "cards": cards}))
    assert frame.fields["card_count"] == 11
    assert list(frame.fields["cards"]) == cards
    uncounted = decode(frame_of(0x47, bytes.fromhex("31000199000017") + bytes(9) * 3 + b"\x01"))
    assert (len(uncounted.fields["cards"]), uncounted.extra) == (3, b"\x01")


def test_a_list_that_ends_before_its_count_is_short() -> None:
    frame = decode(frame_of(0x46, bytes.fromhex("31000199000017") + b"\x03" + bytes(16)))
    assert (frame.short, len(frame.fields["cards"])) == (True, 2)


def test_qr_prefix_is_text_of_its_own_length() -> None:
    frame = decode(encode(0xF0, {"pile_code": "31000199000017", "format": 1, "prefix": "https://a.example/"}))
    assert (frame.fields["prefix"], frame.fields["prefix_length"]) == ("https://a.example/", 18)


# -- time


def test_the_example_time_of_the_digest() -> None:
    assert cp56.read(bytes.fromhex("98B70E11100314")) == datetime(2020, 3, 16, 17, 14, 47, tzinfo=CHINA)


def test_week_day_and_summer_bits_are_masked() -> None:
    assert cp56.read(bytes.fromhex("98B70E91F0F394")) == datetime(2020, 3, 16, 17, 14, 47, tzinfo=CHINA)


@pytest.mark.parametrize("wire", ["00" * 7, "FF" * 7, "98B78E11100314", "98B70E19100314", "FFFF0E11100314"])
def test_impossible_or_invalid_times_are_none_and_named(wire: str) -> None:
    frame = decode(frame_of(0x55, bytes.fromhex("31000199000017" + wire)))
    assert (frame.fields["time"], frame.invalid) == (None, ("time",))


def test_times_are_written_in_china_time() -> None:
    wire = encode(0x56, {"pile_code": "31000199000017", "time": datetime(2025, 3, 14, 1, 50, 0, 7000, tzinfo=UTC)})
    assert wire[13:20] == bytes.fromhex("07003209 0E0319".replace(" ", ""))


# -- what cannot be encoded


@pytest.mark.parametrize(
    ("frame_type", "fields", "error"),
    [
        (0x77, {}, UnknownFrameType),
        (0x09, {}, MissingField),
        (0x09, {"pile_code": "31000199000017", "gun": 1}, UnknownField),
        (0x09, {"pile_code": "3100019900001"}, BadValue),
        (0x09, {"pile_code": "3100019900001Z"}, BadValue),
        (0x09, {"pile_code": 31000199000017}, BadValue),
        (0x40, {"trade_number": "0" * 32, "result": 256}, BadValue),
        (0x40, {"trade_number": "0" * 32, "result": -1}, BadValue),
        (0x40, {"trade_number": "0" * 32, "result": 0.0}, BadValue),
        (0x40, {"trade_number": "0" * 32, "result": True}, BadValue),
        (0x40, {"trade_number": "0" * 32, "result": Decimal("NaN")}, BadValue),
        (0x40, {"trade_number": "0" * 32, "result": Decimal("0.5")}, BadValue),
        (0x56, {"pile_code": "31000199000017", "time": "now"}, BadValue),
        (0x56, {"pile_code": "31000199000017", "time": datetime(2025, 1, 1)}, BadValue),  # noqa: DTZ001
        (0x56, {"pile_code": "31000199000017", "time": datetime(1999, 1, 1, tzinfo=CHINA)}, BadValue),
        (0x46, {"pile_code": "31000199000017"}, MissingField),
        (0x46, {"pile_code": "31000199000017", "cards": 3}, BadValue),
        (0x46, {"pile_code": "31000199000017", "cards": ["A"]}, BadValue),
        (0x46, {"pile_code": "31000199000017", "cards": [{"physical_card": "0" * 16, "x": 1}]}, UnknownField),
        (0x46, {"pile_code": "31000199000017", "cards": [{"physical_card": "0" * 16}] * 40}, FrameTooLong),
        (0xF0, {"pile_code": "31000199000017", "format": 0, "prefix": "二维码"}, BadValue),
    ],
)
def test_values_that_do_not_fit_are_refused(frame_type: int, fields: dict[str, Any], error: type[EncodeError]) -> None:
    with pytest.raises(error):
        encode(frame_type, fields)


def test_text_and_octets_that_do_not_fit_are_refused() -> None:
    login = dict(decode(bytes.fromhex(EXAMPLES["login"])).fields)
    for firmware in ("V2.3.1.456", "版本", 7):
        with pytest.raises(BadValue):
            encode(0x01, {**login, "firmware": firmware})
    model = dict(decode(bytes.fromhex(EXAMPLES["billing model"])).fields)
    for slots in ((0,) * 47, (256,) * 48, None, 48, 1 << 90):
        with pytest.raises(BadValue):
            encode(0x0A, {**model, "slots": slots})


def test_a_sequence_has_two_bytes() -> None:
    with pytest.raises(BadValue):
        encode(0x09, {"pile_code": "31000199000017"}, b"\0")


def test_the_callers_decimal_context_changes_nothing() -> None:
    with localcontext() as context:
        context.prec = 3
        frame = decode(bytes.fromhex(EXAMPLES["record"]))
        assert str(frame.fields["meter_end"]) == "10248.9634"
        assert encode(0x3B, frame.fields, frame.sequence) == bytes.fromhex(EXAMPLES["record"])


def test_raw_decoding_gives_wire_integers() -> None:
    raw = decode_raw(bytes.fromhex(EXAMPLES["realtime"]))
    assert (raw[6], raw[7], raw[14]) == (4127, 1205, 103456)
    for wire in (b"h", frame_of(0x77, b""), frame_of(0x13, b"short"), frame_of(0x09, bytes(7))[:-1] + b"x"):
        with pytest.raises(DecodeError):
            decode_raw(wire)


# -- properties


def field_values(field: Field) -> st.SearchStrategy[Any]:
    """Values a field can carry exactly."""
    match field.kind:
        case Kind.NUMBER:
            raws = st.integers(0, (1 << 8 * field.length) - 1)
            if field.places == 0:
                return raws.map(lambda raw: raw + field.offset)
            return raws.map(lambda raw: Decimal(raw).scaleb(-field.places) + field.offset)
        case Kind.BCD | Kind.RAW:
            return st.text("0123456789ABCDEF", min_size=2 * field.length, max_size=2 * field.length)
        case Kind.TEXT | Kind.REVERSED_TEXT:
            return st.text(string.ascii_letters + string.digits, max_size=field.length)
        case Kind.TIME:
            minutes = st.integers(0, 100 * 365 * 24 * 60 * 60)
            return minutes.map(lambda s: datetime(2000, 1, 1, tzinfo=CHINA) + timedelta(seconds=s))
        case Kind.OCTETS:
            return st.binary(min_size=field.length, max_size=field.length).map(tuple)


@st.composite
def tables_with_values(draw: st.DrawFn) -> tuple[FrameTable, dict[str, Any]]:
    table = draw(st.sampled_from(list(TABLES.values())))
    values = {field.name: draw(field_values(field)) for field in table.fields}
    if table.tail is not None and table.tail.fields:
        entry = st.fixed_dictionaries({field.name: field_values(field) for field in table.tail.fields})
        values[table.tail.name] = tuple(draw(st.lists(entry, max_size=11)))
    elif table.tail is not None:
        values[table.tail.name] = draw(st.text(string.ascii_letters, max_size=200))
    if table.tail is not None and table.tail.count_field is not None:
        values[table.tail.count_field] = len(values[table.tail.name])
    return table, values


@settings(max_examples=150)
@given(tables_with_values(), st.binary(min_size=2, max_size=2), st.sampled_from(CrcOrder))
def test_what_is_encoded_decodes_to_the_same(
    drawn: tuple[FrameTable, dict[str, Any]], sequence: bytes, order: CrcOrder
) -> None:
    table, values = drawn
    frame = decode(encode(table.type, values, sequence, order))
    assert frame.fields == values
    assert (frame.type, frame.sequence, frame.short, frame.extra) == (table.type, sequence, False, b"")
