"""The stream parser: every rule of specs/ykc.md 1.3, and that no cutting of the stream loses a good frame."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.piles.protocols.ykc.codec import encode
from charging_core.piles.protocols.ykc.crc import CrcOrder
from charging_core.piles.protocols.ykc.framing import CrcError, FrameSplitter, Garbage, Hopeless, Stale

PILE = {"pile_code": "31000199000017"}
BEAT = encode(0x03, {**PILE, "connector_no": "01", "connector_state": 0}, b"\x07\x00")
ASK = encode(0x09, PILE, b"\x01\x00")
INSIDE = encode(0x05, {**PILE, "model_number": "6868"}, b"\x68\x68")
REVERSED = encode(0x09, PILE, b"\x01\x00", CrcOrder.REVERSED)
BAD = BEAT[:-1] + bytes((BEAT[-1] ^ 1,))


def test_one_read_one_frame() -> None:
    assert FrameSplitter().feed(BEAT, 0) == [BEAT]


def test_glued_frames_come_apart_and_start_bytes_inside_do_not_split() -> None:
    assert FrameSplitter().feed(BEAT + INSIDE + ASK, 0) == [BEAT, INSIDE, ASK]


def test_a_frame_cut_at_every_byte_is_put_together() -> None:
    splitter = FrameSplitter()
    out = [item for byte in INSIDE for item in splitter.feed(bytes((byte,)), 0)]
    assert out == [INSIDE]


def test_garbage_before_a_frame_is_skipped_and_counted() -> None:
    assert FrameSplitter().feed(b"\x00\x01GET /" + BEAT, 0) == [Garbage(7), BEAT]


def test_an_impossible_length_costs_one_byte() -> None:
    assert FrameSplitter().feed(b"\x68\x03" + BEAT, 0) == [Garbage(2), BEAT]


def test_a_wrong_crc_drops_the_start_byte_only() -> None:
    swallowing = bytes((0x68, len(BEAT) + 2)) + b"\x00" * 4 + BEAT  # a false frame that holds a good one
    out = FrameSplitter().feed(swallowing, 0)
    assert out == [CrcError(swallowing), Garbage(6), BEAT]


def test_a_stray_start_byte_holds_frames_back_but_loses_none() -> None:
    splitter = FrameSplitter()
    assert splitter.feed(b"\x68" + BEAT, 0) == []
    out = [item for _ in range(6) for item in splitter.feed(BEAT, 1)]
    assert [item for item in out if isinstance(item, bytes)] == [BEAT] * 7


def test_an_old_partial_frame_gives_way_to_the_good_one_behind_it() -> None:
    splitter = FrameSplitter(partial_frame_s=10)
    assert splitter.feed(b"\x68" + BEAT, 0) == []
    assert splitter.feed(b"", 9.9) == []
    assert splitter.feed(b"", 10) == [Stale(18), Garbage(1), BEAT]


def test_everything_stale_goes_at_once() -> None:
    splitter = FrameSplitter(partial_frame_s=10)
    splitter.feed(b"\x68\x50\x68\x50\x68", 0)
    out = splitter.feed(b"", 10)
    assert sum(item.count for item in out if isinstance(item, Garbage)) == 5
    assert splitter.feed(BEAT, 10) == [BEAT]


def test_a_frame_finished_late_is_still_good() -> None:
    splitter = FrameSplitter(partial_frame_s=10)
    splitter.feed(BEAT[:5], 0)
    assert splitter.feed(BEAT[5:], 11) == [BEAT]


def test_age_counts_from_the_first_byte_however_slowly_the_rest_drips() -> None:
    splitter = FrameSplitter(partial_frame_s=10)
    for second in range(10):
        assert splitter.feed(b"\x68\x80"[second : second + 1] or b"\x00", second) == []
    assert Stale(10) in splitter.feed(b"", 10)


def test_five_bad_frames_in_a_row_are_hopeless() -> None:
    splitter = FrameSplitter()
    out = [item for _ in range(5) for item in splitter.feed(BAD, 0)]
    assert out.count(Hopeless("crc")) == 1
    assert sum(isinstance(item, CrcError) for item in out) == 5


def test_a_good_frame_between_resets_the_count() -> None:
    splitter = FrameSplitter()
    out = [item for _ in range(9) for item in splitter.feed(BAD + BAD + BEAT, 0)]
    assert Hopeless("crc") not in out
    assert out.count(BEAT) == 9


def test_start_bytes_inside_one_bad_frame_count_as_one_failure() -> None:
    bad = bytes((0x68, 60)) + b"\x68\x04" * 31
    splitter = FrameSplitter(crc_failure_limit=2)
    out = splitter.feed(bad + BEAT, 0)
    assert sum(isinstance(item, CrcError) for item in out) > 2
    assert Hopeless("crc") not in out
    assert out[-1] == BEAT


def test_too_much_garbage_before_a_login_is_hopeless() -> None:
    splitter = FrameSplitter(garbage_limit=100)
    assert splitter.feed(b"\x00" * 100, 0) == [Garbage(100)]
    assert splitter.feed(b"\x00", 0) == [Garbage(1), Hopeless("garbage")]


def test_a_trusted_link_may_babble() -> None:
    splitter = FrameSplitter(garbage_limit=100)
    splitter.trusted = True
    assert splitter.feed(b"\x00" * 500, 0) == [Garbage(500)]


def test_the_crc_order_that_works_is_remembered() -> None:
    splitter = FrameSplitter()
    assert splitter.feed(REVERSED, 0) == [REVERSED]
    assert splitter.crc_order is CrcOrder.REVERSED


def test_a_crc_of_two_equal_bytes_says_nothing_about_the_order() -> None:
    candidates = (encode(0x09, PILE, n.to_bytes(2, "big")) for n in range(1 << 16))
    equal = next(frame for frame in candidates if frame[-1] == frame[-2])
    splitter = FrameSplitter()
    splitter.feed(REVERSED, 0)
    assert splitter.feed(equal, 0) == [equal]
    assert splitter.crc_order is CrcOrder.REVERSED


def test_strict_refuses_the_reversed_order() -> None:
    out = FrameSplitter(strict_crc=True).feed(REVERSED, 0)
    assert out[0] == CrcError(REVERSED)


@settings(max_examples=60)
@given(st.lists(st.sampled_from([BEAT, ASK, INSIDE, REVERSED]), min_size=1, max_size=8), st.data())
def test_however_the_stream_is_cut_the_frames_are_the_same(frames: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frames)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    splitter = FrameSplitter()
    out = []
    for start, end in pairwise([0, *sorted(cuts), len(stream)]):
        out += splitter.feed(stream[start:end], 0)
    assert out == frames


@settings(max_examples=60)
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([BEAT, BAD, INSIDE])), max_size=12))
def test_whatever_comes_between_no_good_frame_is_lost_in_the_end(chunks: list[bytes]) -> None:
    splitter = FrameSplitter()
    out = []
    for chunk in chunks:
        out += splitter.feed(chunk, 0)
    out += splitter.feed(b"", 20)
    found = [item for item in out if isinstance(item, bytes)]
    for good in (BEAT, INSIDE):
        assert found.count(good) >= chunks.count(good)
    skipped = sum(item.count for item in out if isinstance(item, Garbage))
    assert skipped + sum(map(len, found)) == sum(map(len, chunks))
