"""The engine: types, decimals, local validation, lists, wrappers, derivations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partners.profiles.engine import Rendered, refresh_push_times, render, render_many
from partners.profiles.loader import build_profile
from partners.profiles.profile import Profile
from partners.profiles.scope import scope_of
from tests.partners.profiles import samples

HEAD = {"id": "test", "version": "1", "display_name": {"zh": "测试", "en": "test"}, "status": "verified"}


def profile(fields: Sequence[dict[str, Any]], **options: Any) -> Profile:
    interface = {"direction": "push", "source": "plain", "fields": list(fields)} | options.pop("interface", {})
    return build_profile(HEAD | {"interfaces": {"push": interface}} | options)


def rendered(fields: Sequence[dict[str, Any]], scope: dict[str, Any], **options: Any) -> Rendered:
    return render(profile(fields, **options), "push", scope, samples.NOW)


def value(field: dict[str, Any], raw: Any) -> Any:
    result = rendered([{"to": "X", "from": "x"} | field], {"x": raw})
    assert result.problems == ()
    return result.body.get("X")


def problem(field: dict[str, Any], raw: Any) -> str:
    result = rendered([{"to": "X", "from": "x"} | field], {"x": raw})
    assert "X" not in result.body
    return result.problems[0].code


@pytest.mark.parametrize(
    ("field", "raw", "written"),
    [
        ({"type": "int"}, Decimal("3.5"), 4),
        ({"type": "int"}, "17", 17),
        ({"type": "number:2"}, Decimal("1.005"), Decimal("1.01")),
        ({"type": "string:4"}, Decimal("0.8"), "0.8000"),
        ({"type": "string"}, 42, "42"),
        ({"type": "datetime"}, samples.NOW, "2026-03-02 10:30:00"),
        ({"type": "date"}, samples.NOW, "2026-03-02"),
        ({"type": "date"}, "2024-12-31", "2024-12-31"),
        ({"type": "hhmmss"}, "22:30", "223000"),
        ({"type": "hhmmss"}, samples.NOW, "103000"),
        ({"type": "hhmm"}, "07:05", "07:05"),
        ({"type": "bool01"}, True, 1),
        ({"type": "any"}, [1, "a"], [1, "a"]),
        ({"type": "string", "enum": {"user": 0, "else": 5}}, "user", "0"),
        ({"type": "int", "enum": {"a": 7}}, "a", 7),
        ({"type": "int", "unit": "kW>W"}, Decimal("7.04"), 7040),
        ({"type": "int", "unit": "s>min"}, 90, 2),
        ({"type": "int", "scale": "0.1", "offset": -400}, Decimal("98.2"), 4982),
        ({"max_len": 3, "on_too_long": "truncate"}, "充电站名", "充电站"),
        ({"default": 0, "type": "number:1"}, None, Decimal("0.0")),
        ({"default": "无"}, "", "无"),
        ({}, None, None),
    ],
)
def test_values_are_written_as_their_field_says(field: dict[str, Any], raw: Any, written: Any) -> None:
    result = value(field, raw)
    assert (result, type(result)) == (written, type(written))


@pytest.mark.parametrize(
    ("field", "raw", "code"),
    [
        ({"required": True}, None, "missing"),
        ({"required": True}, "", "missing"),
        ({"type": "int"}, "x", "bad_type"),
        ({"type": "int"}, True, "bad_type"),
        ({"type": "number:2"}, 1.5, "bad_type"),
        ({"type": "number:2"}, Decimal("NaN"), "bad_type"),
        ({"type": "datetime"}, "2024-01-01", "bad_type"),
        ({"type": "datetime"}, samples.NOW.replace(tzinfo=None), "bad_type"),
        ({"type": "hhmmss"}, "25:00", "bad_type"),
        ({"type": "bool01"}, "yes", "bad_type"),
        ({"type": "string"}, ["a"], "bad_type"),
        ({"type": "money"}, Decimal("1.005"), "bad_scale"),
        ({"type": "int", "enum": {"a": 1}}, "b", "bad_enum"),
        ({"max_len": 3}, "abcd", "too_long"),
        ({"len": 9}, "MA5", "bad_length"),
    ],
)
def test_a_value_that_does_not_fit_is_a_problem_and_stays_out(field: dict[str, Any], raw: Any, code: str) -> None:
    assert problem(field, raw) == code


def test_problems_name_the_place_inside_lists() -> None:
    items = [{"to": "Name", "from": "one.name", "required": True}]
    result = rendered(
        [{"to": "List", "from": "many", "as": "one", "type": "array", "items": items}],
        {"many": [{"name": "a"}, {"name": None}]},
    )
    assert [str(found) for found in result.problems] == ["List[1].Name: missing (a required member has no value)"]


def test_null_members_are_left_out_unless_the_profile_wants_them() -> None:
    fields: list[dict[str, Any]] = [
        {"to": "Gone", "from": "x"},
        {"to": "Null", "from": "x", "omit_if_null": False},
        {"to": "Empty", "from": "x", "omit_if_null": False, "null_as": ""},
        {"to": "Absent", "from": "x", "when": "y == 1"},
    ]
    assert rendered(fields, {"x": None, "y": 2}).body == {"Null": None, "Empty": ""}


def test_objects_nest_with_and_without_a_name() -> None:
    fields: list[dict[str, Any]] = [
        {"to": "Flat", "type": "object", "items": [{"to": "A", "from": "a"}]},
        {"to": "Named", "type": "object", "from": "inner", "as": "it", "items": [{"to": "B", "from": "it.b"}]},
        {"to": "None", "type": "object", "from": "missing", "as": "it", "items": [{"to": "B", "from": "it.b"}]},
    ]
    assert rendered(fields, {"a": "1", "inner": {"b": "2"}}).body == {"Flat": {"A": "1"}, "Named": {"B": "2"}}


def test_push_times_are_the_only_thing_a_resend_changes() -> None:
    fields: list[dict[str, Any]] = [
        {"to": "Id", "from": "x"},
        {"to": "PushTime", "push_time": True, "type": "datetime"},
    ]
    wrapped = profile(fields, interface={"wrapper": {"key": "Infos", "kind": "array"}})
    body = render(wrapped, "push", {"x": "1"}, samples.NOW).body
    assert body == {"Infos": [{"Id": "1", "PushTime": "2026-03-02 10:30:00"}]}
    later = refresh_push_times(wrapped, "push", body, samples.NOW + timedelta(hours=1))
    assert later == {"Infos": [{"Id": "1", "PushTime": "2026-03-02 11:30:00"}]}
    assert body["Infos"][0]["PushTime"] == "2026-03-02 10:30:00"


def test_many_objects_share_one_message() -> None:
    wrapped = profile([{"to": "Id", "from": "x"}], interface={"wrapper": {"key": "Infos", "kind": "array"}})
    both = render_many(wrapped, "push", [{"x": "1"}, {"x": "2"}], samples.NOW)
    assert both.body == {"Infos": [{"Id": "1"}, {"Id": "2"}]}


def test_ids_are_derived_by_expressions_and_codes_of_the_other_side() -> None:
    ids = {
        "connector_id": "concat(last(pile.code, 12), text(connector.number))",
        "station_id": "assigned('station')",
        "equipment_id": "pad(pile.code, 23)",
    }
    fields: list[dict[str, Any]] = [
        {"to": "C", "id": "connector_id"},
        {"to": "S", "id": "station_id", "required": True},
        {"to": "E", "id": "equipment_id"},
        {"to": "Owner", "expr": "owner_or('999999999')"},
    ]
    scope = scope_of("connector_status", samples.connector(), assigned={"station": {"330106001": "33010600001"}})
    assert rendered(fields, scope, ids=ids).body == {
        "C": "0106000000011",
        "S": "33010600001",
        "E": "00000000033010600000001",
        "Owner": "999999999",
    }
    without = scope_of("connector_status", samples.connector())
    assert [found.code for found in rendered(fields, without, ids=ids).problems] == ["id_not_assigned"]


def test_a_converter_of_a_room_above_sees_the_whole_scope() -> None:
    raw = HEAD | {
        "interfaces": {
            "push": {
                "direction": "push",
                "source": "plain",
                "fields": [{"to": "Lng", "from": "lng", "type": "number:6", "convert": "shifted"}],
            }
        }
    }
    made = build_profile(raw, converters={"shifted": lambda lng, scope: lng + scope["lat"]})
    scope = {"lng": Decimal("120"), "lat": Decimal("0.5")}
    assert render(made, "push", scope, samples.NOW).body == {"Lng": Decimal("120.500000")}


def test_a_failing_expression_is_a_problem_not_a_crash() -> None:
    result = rendered([{"to": "X", "expr": "pad(x, 5, 'ab')"}], {"x": "1"})
    assert [found.code for found in result.problems] == ["bad_expression"]


def test_totals_that_are_not_the_sum_of_their_details_never_go_out() -> None:
    items = [{"to": "Part", "from": "p.v", "type": "number:2"}]
    fields: list[dict[str, Any]] = [
        {"to": "Total", "from": "t", "type": "number:2", "sum_of": ["Parts.Part"]},
        {"to": "Parts", "from": "parts", "as": "p", "type": "array", "items": items},
    ]
    right = {"t": Decimal("3.00"), "parts": [{"v": Decimal(1)}, {"v": Decimal(2)}]}
    assert rendered(fields, right).problems == ()
    wrong = rendered(fields, right | {"t": Decimal("3.01")})
    assert [(found.code, found.field) for found in wrong.problems] == [("detail_sum", "Total")]


AMOUNT = st.integers(0, 99_999).map(lambda fen: Decimal(fen).scaleb(-2))
ENERGY = st.integers(1, 9_999_999).map(lambda units: Decimal(units).scaleb(-4))
LINES = st.lists(st.tuples(ENERGY, AMOUNT, AMOUNT), min_size=1, max_size=12)


@cache
def with_numbers(style: str, places: int) -> Profile:
    numbers = {"energy": f"{style}:{places}", "money": f"{style}:2"}
    return build_profile(HEAD | {"extends": "textbook", "numbers": numbers})


@settings(max_examples=50, deadline=None)
@given(lines=LINES, places=st.sampled_from([2, 3, 4]), style=st.sampled_from(["number", "string"]))
def test_in_every_rendering_the_totals_are_the_sums_of_the_details(
    lines: list[tuple[Decimal, Decimal, Decimal]], places: int, style: str
) -> None:
    details = [samples.detail(str(energy), str(elec), str(service)) for energy, elec, service in lines]
    order = samples.order(details)
    result = render(
        with_numbers(style, places), "notification_charge_order_info", scope_of("order", order), samples.NOW
    )
    assert result.problems == ()
    body = result.body

    def total(name: str) -> Decimal:
        return sum((Decimal(item[name]) for item in body["ChargeDetails"]), Decimal(0))

    assert Decimal(body["TotalPower"]) == total("DetailPower")
    assert Decimal(body["TotalElecMoney"]) == total("DetailElecMoney") == order["elec_fee"]
    assert Decimal(body["TotalSeviceMoney"]) == total("DetailSeviceMoney") == order["service_fee"]
    assert Decimal(body["TotalMoney"]) == order["elec_fee"] + order["service_fee"]
    unit = Decimal(1).scaleb(-places)
    assert abs(Decimal(body["TotalPower"]) - order["energy_kwh"]) <= unit / 2
    for item, line in zip(body["ChargeDetails"], details, strict=True):
        assert abs(Decimal(item["DetailPower"]) - line["energy_kwh"]) < unit


def test_a_detail_without_its_energy_is_reported_not_guessed() -> None:
    details = [
        samples.detail("1.0000", "1.00", "1.00"),
        samples.detail("2.0000", "1.00", "1.00") | {"energy_kwh": None},
    ]
    scope = scope_of("order", samples.order(details[:1]) | {"details": details})
    found = render(with_numbers("number", 2), "notification_charge_order_info", scope, samples.NOW).problems
    assert ("missing", "ChargeDetails[1].DetailPower") in {(one.code, one.field) for one in found}


def test_ids_that_collide_are_found() -> None:
    made = profile([{"to": "X", "from": "x"}], ids={"connector_id": "last(code, 2)"})
    assert made.collisions("connector_id", [{"code": "101"}, {"code": "201"}, {"code": "302"}]) == {"01": 2}
