"""Profile expressions: what they compute, and everything they refuse."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.errors import ExpressionError
from worker.expressions import MAX_TEXT, compile_expression


def value(text: str, **scope: Any) -> Any:
    return compile_expression(text).evaluate(scope)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("concat(pile.code, pad(connector.number, 2))", "3201060001113101"),
        ("last(pile.code, 12)", "010600011131"),
        ("first(pile.code, 4)", "3201"),
        ("last('ab', 12)", "ab"),
        ("pad('7', 3, 'x', 'right')", "7xx"),
        ("prefix(pile.code, '440305')", "44030532010600011131"),
        ("const(999999999)", 999999999),
        ("first_nonempty(seq, '', null, number)", "N1"),
        ("owner_or('999999999')", "999999999"),
        ("upper('ab')", "AB"),
        ("length(items)", 2),
        ("items[1].name", "b"),
        ("items[9].name", None),
        ("missing.deep.member", None),
        ("-1", -1),
        ("1.50", Decimal("1.50")),
    ],
)
def test_values(text: str, expected: Any) -> None:
    scope = {
        "pile": {"code": "32010600011131"},
        "connector": {"number": 1},
        "seq": None,
        "number": "N1",
        "items": [{"name": "a"}, {"name": "b"}],
    }
    assert compile_expression(text).evaluate(scope) == expected


def test_owner_wins_over_the_default() -> None:
    assert value("owner_or('9')", owner_id="MA5XYZ") == "MA5XYZ"


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("Ret==0", True),
        ("Ret==0 and Data.OrderNo==OrderNo and Data.ConfirmResult==0", True),
        ("Ret!=0 or not Data.ConfirmResult==1", True),
        ("Ret in [0, 4002]", True),
        ("http_status >= 200 and http_status < 300", True),
        ("Data.Missing==0", False),
        ("Data.Missing<1", False),
        ("Data.OrderNo==null", False),
        ("Data.Flag==true", True),
    ],
)
def test_predicates_with_text_codes(text: str, holds: bool) -> None:
    scope = {
        "Ret": "0",
        "OrderNo": "A1",
        "http_status": 200,
        "Data": {"OrderNo": "A1", "ConfirmResult": 0, "Flag": True},
    }
    assert compile_expression(text).holds(scope) is holds


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("Ret=", 3),
        ("concat(a, __import__('os'))", 10),
        ("a.__class__", 0),
        ("Ret==0 and open('x')", 11),
        ("[x for x in y]", 0),
        ("lambda: 1", 0),
        ("2**99", 0),
        ("'a' + 'b'", 0),
        ("a if b else c", 0),
        ("f'{a}'", 0),
        ("concat(*a)", 7),
        ("concat(a, sep='b')", 0),
        ("a is b", 0),
        ("b'x'", 0),
    ],
)
def test_everything_else_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert caught.value.position == position


def test_size_is_bounded() -> None:
    for text in ("a" * (MAX_TEXT + 1), "[" * 400, "not " * 120 + "a", "1," * 130):
        with pytest.raises(ExpressionError):
            compile_expression(text)
    with pytest.raises(ExpressionError, match="0 to 2000"):
        value("pad('a', 100000)")
    with pytest.raises(ExpressionError, match="more than 2000"):
        value("concat(a, a, a)", a="x" * 900)


def test_functions_of_the_caller_must_be_announced() -> None:
    with pytest.raises(ExpressionError, match="no function assigned"):
        compile_expression("assigned('station')")
    ready = compile_expression("assigned('station')", frozenset({"assigned"}))
    assert ready.evaluate({}, {"assigned": lambda kind: f"{kind}-1"}) == "station-1"


def test_names_are_known_for_checking_a_profile() -> None:
    assert compile_expression("concat(pile.code, connector.number)").names == {"pile", "connector"}


@settings(max_examples=200)
@given(st.text(max_size=40))
def test_any_text_is_either_an_expression_or_refused(text: str) -> None:
    with contextlib.suppress(ExpressionError):
        compile_expression(text).evaluate({"a": {"b": 1}})


@settings(max_examples=60)
@given(st.text(max_size=30), st.integers(0, 40))
def test_first_and_last_cut_and_pad_fills(text: str, length: int) -> None:
    assert value("first(a, n)", a=text, n=length) == text[:length]
    assert value("last(a, n)", a=text, n=length) == (text[-length:] if length else "")
    assert len(value("pad(a, n)", a=text, n=length)) == max(len(text), length)
