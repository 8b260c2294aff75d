"""The password of 0x31 in both readings of the specification."""

from __future__ import annotations

import hashlib

import pytest

from charging_core.members.pin import hash_pin, is_pin, pin_fits

DIGEST = hashlib.md5(b"246810").digest()
HALF = DIGEST.hex()[8:24]
STORED = hash_pin("246810")


@pytest.mark.parametrize(
    ("sent", "fits"),
    [
        (HALF.encode(), True),
        (HALF.upper().encode(), True),
        (DIGEST, True),
        (hashlib.md5(b"246811").digest(), False),
        (hashlib.md5(b"246811").hexdigest()[8:24].encode(), False),
        (bytes(16), False),
        (b"", False),
        (b"246810".ljust(16, b"\0"), False),
        (HALF.encode()[:-1], False),
    ],
)
def test_both_readings_of_the_right_password_fit_and_nothing_else(sent: bytes, fits: bool) -> None:
    assert pin_fits(STORED, sent) is fits


def test_a_digest_that_looks_like_text_is_tried_both_ways() -> None:
    text = b"0123456789abcdef"  # could be a digest of these very bytes
    assert not pin_fits(STORED, text)


def test_two_hashes_of_one_pin_differ_and_both_fit() -> None:
    other = hash_pin("246810")
    assert other != STORED
    assert is_pin(other, "246810")
    assert is_pin(STORED, "246810")
    assert not is_pin(STORED, "1")
    assert not is_pin(None, "246810")


@pytest.mark.parametrize("stored", ["", "plain:246810", "scrypt1:00:"])
def test_what_was_never_a_hash_fits_nothing(stored: str) -> None:
    assert not pin_fits(stored, DIGEST)
    assert not pin_fits(stored, b"")
