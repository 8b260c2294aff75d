"""20 000 inputs in every run of the suite: nothing but the declared errors, whatever the bytes (`make fuzz` has ten million)."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.piles.protocols.ykc.codec import check, encode
from charging_core.piles.protocols.ykc.errors import DecodeError
from tests.fuzz.inputs import LARGEST_BODY, TYPES, Inputs, framed
from tests.fuzz.promises import examine, examine_values

SEEDS, EACH = 180, 100
"""Hypothesis draws the seeds; what they grow into is cheap enough for 18 000 inputs."""
DRAWN = 1000

frames = st.builds(
    framed,
    st.sampled_from(TYPES),
    st.binary(max_size=LARGEST_BODY),
    st.binary(min_size=2, max_size=2),
    st.sampled_from((0, 0, 0, 1)),
    reversed_crc=st.booleans(),
)


def valid(wire: bytes) -> bool:
    """Whether length and CRC are right."""
    try:
        check(wire)
    except DecodeError:
        return False
    return True


@settings(max_examples=DRAWN)
@given(frames, st.integers(0, 300))
def test_any_body_in_a_valid_frame_keeps_every_promise(wire: bytes, number: int) -> None:
    examine(wire, number)


@settings(max_examples=DRAWN)
@given(st.binary(max_size=260), st.integers(0, 300))
def test_any_bytes_keep_every_promise(wire: bytes, number: int) -> None:
    examine(wire, number)


@settings(max_examples=SEEDS)
@given(st.integers(0, 1 << 32))
def test_what_grows_from_a_seed_keeps_every_promise_and_half_of_it_is_whole(seed: int) -> None:
    inputs = Inputs(seed)
    whole = 0
    for number in range(EACH):
        wire = inputs.one()
        examine(wire, number)
        whole += valid(wire)
    assert whole >= EACH // 3  # chance moves a hundred inputs about the two thirds that thousands have


def test_more_than_half_of_all_inputs_carry_a_valid_length_and_crc() -> None:
    inputs = Inputs(1)
    assert sum(valid(inputs.one()) for _ in range(2000)) > 1000


@settings(max_examples=50)
@given(st.integers(0, 1 << 32))
def test_odd_values_make_a_frame_or_a_declared_error(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(20):
        examine_values(source)


def test_a_broken_promise_would_be_seen() -> None:
    wire = encode(0x09, {"pile_code": "31000199000017"})
    assert examine(wire, 0) != examine(wire[:-1] + bytes((wire[-1] ^ 1,)), 0)
