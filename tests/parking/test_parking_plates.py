"""Plates: one normal form, never cut, compared in levels (`specs/parking.md` 7.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.plates import Likeness, Plate, compare, mask_plate, normalise

PLATE_TEXT = st.text(alphabet="京浙沪粤ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", min_size=1, max_size=9)


def plate(text: str) -> Plate:
    found = normalise(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("浙AD12345", "浙AD12345"),
        (" 浙a·d12345 ", "浙AD12345"),
        ("浙-A12345", "浙A12345"),
        ("浙A.12 345", "浙A12345"),
        ("浙ＡＤ１２３４５", "浙AD12345"),
        ("浙\u3000A－12345", "浙A12345"),
        ("粤Z1234港", "粤Z1234港"),
    ],
)
def test_normal_form(raw: str, text: str) -> None:
    found = plate(raw)
    assert found.text == text
    assert found.raw == raw
    assert found.usable


@pytest.mark.parametrize("raw", [None, "", "  ", "unknown", "Unknown", "UNKNOWN", "无车牌", " · "])
def test_markers_of_no_plate(raw: str | None) -> None:
    assert normalise(raw) is None


def test_eight_characters_are_kept_and_known_as_new_energy() -> None:
    assert plate("浙AD12345").new_energy
    assert not plate("浙A12345").new_energy


@pytest.mark.parametrize("raw", ["A12345", "浙AD123456", "浙"])
def test_an_odd_length_is_shown_but_not_usable(raw: str) -> None:
    assert plate(raw).text == raw
    assert not plate(raw).usable


@pytest.mark.parametrize(
    ("one", "other", "likeness"),
    [
        ("浙AD12345", "浙 AD12345", Likeness.EXACT),
        ("浙AD12345", "沪AD12345", Likeness.EXCEPT_PROVINCE),
        ("浙AD12345", "浙AD12346", Likeness.NEAR),
        ("浙AD12345", "浙A12345", Likeness.NEAR),
        ("浙AD12345", "浙AD12354", Likeness.DIFFERENT),
        ("浙AD12345", "沪AD12346", Likeness.DIFFERENT),
        ("浙AD12345", "浙A1234", Likeness.DIFFERENT),
    ],
)
def test_likeness(one: str, other: str, likeness: Likeness) -> None:
    assert compare(plate(one), plate(other)) is likeness
    assert compare(plate(other), plate(one)) is likeness


@given(st.text(max_size=20))
def test_the_normal_form_is_stable_and_keeps_every_letter(raw: str) -> None:
    found = normalise(raw)
    if found is not None:
        assert normalise(found.text) == Plate(found.text, found.text)
        assert sum(char.isalnum() for char in found.text) >= sum(char.isalnum() for char in raw)


@given(PLATE_TEXT, st.integers(0, 8), st.sampled_from("ABC123"))
def test_one_changed_character_is_never_exact_nor_different(text: str, at: int, char: str) -> None:
    at %= len(text)
    changed = text[:at] + char + text[at + 1 :]
    one, other = plate(text), plate(changed)
    expected = {Likeness.EXACT} if changed == text else {Likeness.NEAR, Likeness.EXCEPT_PROVINCE}
    assert compare(one, other) in expected


@pytest.mark.parametrize(("text", "masked"), [("浙AD12345", "浙A****45"), ("浙A", "**"), ("", ""), (None, "")])
def test_masked_for_logs(text: str | None, masked: str) -> None:
    assert mask_plate(text) == masked


def test_a_plate_does_not_print_itself() -> None:
    assert "12345" not in repr(plate("浙AD12345"))
