"""Frames out of hex text, logs and captures: order, repetition, loss, both capture formats, and what is no frame."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.piles.protocols.capture import BadCapture, Packet, packets
from charging_core.piles.protocols.tcp import Flow, pieces
from charging_core.piles.protocols.ykc.crc import crc_bytes, looks_like_2x
from charging_core.piles.protocols.ykc.errors import NotAFrame
from charging_core.piles.protocols.ykc.reading import Found, of_capture, of_hex, of_log
from tests.charging_core.piles.piles_support import LOGIN, REALTIME, RECORD

BEAT = bytes.fromhex("680D070000033100019900001701001DAF")
UP = Flow("10.0.0.7", 40000, "10.0.0.1", 8768)


# -- captures, written here by hand


def tcp(data: bytes, sequence: int, flow: Flow = UP, *, syn: bool = False, v6: bool = False) -> bytes:
    """An IP packet with one segment."""
    flags = 0x02 if syn else 0x18
    head = struct.pack(">HHIIBBHHH", flow.source_port, flow.target_port, sequence % 2**32, 0, 5 << 4, flags, 1024, 0, 0)
    body = head + data
    if v6:
        addresses = bytes(15) + b"\x07" + bytes(15) + b"\x01"
        hop_by_hop = bytes((6, 0)) + bytes(6)
        return struct.pack(">IHBB", 6 << 28, len(body) + 8, 0, 64) + addresses + hop_by_hop + body
    addresses = b"".join(bytes(map(int, name.split("."))) for name in (flow.source, flow.target))
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 6, 0) + addresses + body


def ethernet(ip: bytes, *, tagged: bool = False) -> bytes:
    kind = b"\x86\xdd" if ip[0] >> 4 == 6 else b"\x08\x00"
    trailer = bytes(max(0, 46 - len(ip)))  # short frames are padded on the wire
    return bytes(12) + (b"\x81\x00\x00\x05" if tagged else b"") + kind + ip + trailer


def pcap(*data: bytes, link_type: int = 1, order: str = "<", magic: int = 0xA1B2C3D4) -> bytes:
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link_type)
    return out + b"".join(
        struct.pack(order + "IIII", 1_741_917_000, n * 1000, len(one), len(one)) + one for n, one in enumerate(data)
    )


def block(kind: int, body: bytes, order: str) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def pcapng(*data: bytes, order: str = "<", ticks: int = 6, simple: bool = False) -> bytes:
    out = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    out += block(1, struct.pack(order + "HHIHHBxxxHH", 1, 0, 65535, 9, 1, ticks, 0, 0), order)
    out += block(5, bytes(12), order)  # statistics: passed over
    for one in data:
        stamp = 1_741_917_000 * 10**ticks
        head = struct.pack(order + "I", len(one)) if simple else struct.pack(
            order + "IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, len(one), len(one)
        )  # fmt: skip
        out += block(3 if simple else 6, head + one, order)
    return out


def wires(found: Iterator[Found]) -> list[bytes]:
    return [one.wire for one in found if one.frame is not None]


def carried(*data: bytes) -> bytes:
    """What the up direction carried."""
    return b"".join(piece.data for piece in pieces(Packet(None, 101, one) for one in data))


# -- hex text


def test_hex_text_gives_frames_however_it_is_separated() -> None:
    text = f"{BEAT.hex()}, {LOGIN.hex(' ').upper()}\n0x{REALTIME.hex(':')}"
    assert wires(of_hex(text)) == [BEAT, LOGIN, REALTIME]


def test_a_bad_frame_is_told_with_its_place_and_the_next_is_read() -> None:
    broken = BEAT[:-1] + b"\x00"
    first, second = of_hex((broken + BEAT).hex())
    assert (first.frame, first.problem, first.position) == (None, "CRC does not fit", 15)
    assert second.wire == BEAT
    (bad,) = of_hex((LOGIN + BEAT[:9]).hex()[len(LOGIN.hex()) :])
    assert (bad.problem, bad.position) == ("length says 17 bytes, there are 9", 1)
    garbage, good = of_hex("0102" + BEAT.hex())
    assert (garbage.wire, garbage.problem, garbage.position) == (b"\x01\x02", "no frame starts here", 0)
    assert good.frame is not None
    (stub,) = of_hex("6804")
    assert (stub.problem, stub.position) == ("2 bytes are fewer than any frame has", 2)


def test_a_frame_of_protocol_2_is_recognised_but_not_read() -> None:
    covered = bytes.fromhex("0700") + bytes(7) + b"\x00\x03" + bytes.fromhex("3100019900001701 00".replace(" ", ""))
    wire = b"\x68" + len(covered).to_bytes(2, "little") + covered + crc_bytes(covered)
    found = [*of_hex(wire.hex()), *of_capture(pcap(tcp(BEAT + wire + BEAT, 1), link_type=101))]
    problems = [one.problem for one in found if one.frame is None]
    assert problems[0] == "CRC does not fit; 疑似 2.x 帧头 / 2.x header suspected"
    assert sum("2.x" in problem for problem in problems) == 2
    assert [one.wire for one in found if one.frame] == [BEAT, BEAT]
    other = bytearray(wire)
    other[-1] ^= 1
    assert not any("2.x" in one.problem for one in of_hex(other.hex()))
    for short in (b"", b"\x68\x05", b"\x68\x05\x00" + bytes(9), wire[:-1]):
        assert not looks_like_2x(short)


@pytest.mark.parametrize(("text", "position"), [("68ZZ", 1), ("680", 1), ("68 0D 0g", 2)])
def test_text_that_is_no_hex_is_refused_with_the_place(text: str, position: int) -> None:
    with pytest.raises(NotAFrame) as caught:
        of_hex(text)
    assert caught.value.position == position


def test_reversed_crc_is_refused_when_strict() -> None:
    mirrored = (BEAT[:-2] + BEAT[:-3:-1]).hex()
    assert wires(of_hex(mirrored)) == [bytes.fromhex(mirrored)]
    assert wires(of_hex(mirrored, strict_crc=True)) == []


# -- logs


def test_logs_of_all_habits_are_read() -> None:
    lines = [
        "2025-03-14 09:50:68.680 INFO started",
        f"2025-03-14 09:50:00.123 [RX] {BEAT.hex(' ').upper()}",
        f'{{"t": 1741917000, "dir": "up", "data": "{LOGIN.hex()}"}}',
        f"68 recv({len(REALTIME)}): 0x{REALTIME.hex(' ').replace(' ', ' 0x')}",
        "nothing here",
        f"two at once <{(BEAT + BEAT).hex()}>",
        f"bad: {BEAT.hex()[:-2]}00",
    ]
    found = list(of_log(lines))
    assert [(one.line, one.wire) for one in found if one.frame] == [
        (2, BEAT), (3, LOGIN), (4, REALTIME), (6, BEAT), (6, BEAT)
    ]  # fmt: skip
    assert [(one.line, one.problem) for one in found if not one.frame] == [(7, "CRC does not fit")]


# -- captures


CAPTURES = {
    "pcap": pcap(ethernet(tcp(BEAT, 1))),
    "pcap, big-endian": pcap(ethernet(tcp(BEAT, 1)), order=">"),
    "pcap, nanoseconds": pcap(ethernet(tcp(BEAT, 1)), magic=0xA1B23C4D),
    "pcap, vlan": pcap(ethernet(tcp(BEAT, 1), tagged=True)),
    "pcap, IPv6": pcap(ethernet(tcp(BEAT, 1, v6=True))),
    "pcap, raw IP": pcap(tcp(BEAT, 1), link_type=101),
    "pcap, loopback": pcap(b"\x02\0\0\0" + tcp(BEAT, 1), link_type=0),
    "pcap, cooked": pcap(bytes(16) + tcp(BEAT, 1), link_type=113),
    "pcap, cooked 2": pcap(bytes(20) + tcp(BEAT, 1), link_type=276),
    "pcapng": pcapng(ethernet(tcp(BEAT, 1))),
    "pcapng, big-endian": pcapng(ethernet(tcp(BEAT, 1)), order=">"),
    "pcapng, nanoseconds": pcapng(ethernet(tcp(BEAT, 1)), ticks=9),
    "pcapng, simple": pcapng(ethernet(tcp(BEAT, 1)), simple=True),
}


@pytest.mark.parametrize("capture", CAPTURES.values(), ids=CAPTURES)
def test_every_form_of_capture_is_read(capture: bytes) -> None:
    (found,) = of_capture(capture)
    assert found.wire == BEAT
    assert found.flow is not None
    assert (found.flow.source_port, found.flow.target_port) == (40000, 8768)
    assert found.at is None or int(found.at) == 1_741_917_000


def test_segments_out_of_order_and_repeated_are_put_right() -> None:
    stream = LOGIN + BEAT + RECORD
    cuts = [(0, 20), (20, 60), (60, 200), (200, len(stream))]
    for order in permutations(cuts):
        segments = [tcp(stream[a:b], 101 + a) for a, b in order]
        repeated = tcp(stream[10:70], 111)  # a retransmission that overlaps three segments
        capture = pcap(tcp(b"", 100, syn=True), *segments, repeated, link_type=101)
        assert wires(of_capture(capture)) == [LOGIN, BEAT, RECORD]


def test_sequence_numbers_turn_over() -> None:
    start = 2**32 - 10
    parts = [tcp(b"", start - 1, syn=True), tcp(BEAT[12:], start + 12), tcp(BEAT[:12], start)]
    assert carried(*parts) == BEAT


def test_a_piece_the_capture_lacks_is_told_and_reading_goes_on() -> None:
    parts = (tcp(BEAT, 1), tcp(LOGIN[:10], 18), tcp(REALTIME, 18 + len(LOGIN)))
    found = list(of_capture(pcap(*parts, link_type=101)))
    assert [one.wire for one in found if one.frame] == [BEAT, REALTIME]
    assert any("抓包缺失" in one.problem for one in found)


def test_a_port_used_again_is_a_new_connection() -> None:
    assert carried(tcp(b"", 0, syn=True), tcp(BEAT, 1), tcp(b"", 9_000, syn=True), tcp(LOGIN, 9_001)) == BEAT + LOGIN


def test_what_is_not_ykc_is_passed_over() -> None:
    web = Flow("10.0.0.7", 50000, "10.0.0.1", 80)
    capture = pcap(
        tcp(b"GET /h HTTP/1.1\r\n", 1, web), tcp(BEAT, 1), bytes(3), b"\x45" + bytes(30), b"\x10" * 40, link_type=101
    )
    assert [one.wire for one in of_capture(capture)] == [BEAT]


def test_a_broken_frame_between_good_ones_is_told() -> None:
    capture = pcap(tcp(BEAT + BEAT[:-1] + b"\0" + BEAT, 1), link_type=101)
    found = list(of_capture(capture))
    assert [one.wire for one in found if one.frame] == [BEAT, BEAT]
    assert "CRC does not fit" in [one.problem for one in found]


def test_other_files_are_refused_and_cut_ones_give_what_is_whole() -> None:
    for other in (b"", b"\x1f\x8b\x08\x00", b"hello"):
        with pytest.raises(BadCapture):
            packets(other)
    whole = pcap(ethernet(tcp(BEAT, 1)), ethernet(tcp(LOGIN, 18)))
    assert wires(of_capture(whole[:-5])) == [BEAT]
    whole = pcapng(ethernet(tcp(BEAT, 1)), ethernet(tcp(LOGIN, 18)))
    assert wires(of_capture(whole[:-5])) == [BEAT]


@settings(max_examples=50)
@given(st.sampled_from([pcap, pcapng]), st.lists(st.binary(max_size=90), max_size=4), st.data())
def test_captures_of_anything_never_fail(write: type, data: list[bytes], draw: st.DataObject) -> None:
    capture = bytearray(write(*data, ethernet(tcp(BEAT, 1))))
    for place in draw.draw(st.lists(st.integers(4, len(capture) - 1), max_size=4)):
        capture[place] = draw.draw(st.integers(0, 255))
    list(of_capture(bytes(capture)))
