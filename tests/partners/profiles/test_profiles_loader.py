"""Profile files: inherited, patched, checked, refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from partners.profiles.errors import InvalidProfile, ProfileNotAllowed, UnknownProfile
from partners.profiles.loader import build_profile, load_profile, shipped_profiles
from partners.profiles.profile import Profile

HEAD: dict[str, Any] = {
    "id": "child",
    "version": "1",
    "display_name": {"zh": "子", "en": "child"},
    "status": "partial",
    "extends": "textbook",
}
ORDER = "notification_charge_order_info"


def child(**members: Any) -> Profile:
    return build_profile(HEAD | members)


def names(profile: Profile, interface: str) -> list[str]:
    return [field.spec.to for field in profile.interface(interface).fields]


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profiles_load_and_say_how_sure_they_are(name: str) -> None:
    profile = load_profile(name)
    assert profile.id == name
    assert profile.spec.evidence
    assert (profile.spec.status == "verified") == (name == "textbook")


def test_a_child_inherits_and_replaces_single_options() -> None:
    profile = child(timing={"order_s": 30}, enums={"stop_reason": {"user": 7}}, interfaces={ORDER: {"when": "true"}})
    assert (profile.spec.timing.order_s, profile.spec.timing.start_result_s) == (30, 50)
    assert (profile.code("stop_reason", "user"), profile.code("stop_reason", "bms")) == (7, 2)
    assert profile.spec.status == "partial"
    assert profile.interface(ORDER).spec.when == "true"
    assert names(profile, ORDER) == names(load_profile("textbook"), ORDER)
    assert load_profile("textbook").code("stop_reason", "user") == 0


def test_a_profile_can_lie_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("{id: mine, version: '2', display_name: {zh: 我, en: mine}, status: unverified, extends: textbook}")
    assert load_profile(str(path)).id == "mine"


def test_patches_rename_drop_set_and_add_by_wire_name() -> None:
    added = [
        {"to": "Vin", "from": "order.vin"},
        {"in": "ChargeDetails", "to": "Basis", "from": "detail.basis"},
    ]
    patch = {
        "rename": {"TotalSeviceMoney": "TotalServiceMoney", "ChargeDetails.SevicePrice": "ServicePrice"},
        "drop": ["SumPeriod"],
        "set": {"TotalPower": {"type": "number:3"}, "StopReason": {"default": None}},
        "add": added,
    }
    profile = child(patches={ORDER: patch})
    fields = {field.spec.to: field for field in profile.interface(ORDER).fields}
    assert {"TotalServiceMoney", "Vin"} <= set(fields)
    assert not {"TotalSeviceMoney", "SumPeriod"} & set(fields)
    assert (fields["TotalPower"].places, fields["StopReason"].spec.default) == (3, None)
    below = [field.spec.to for field in fields["ChargeDetails"].items]
    assert ("ServicePrice" in below, "SevicePrice" in below, below[-1]) == (True, False, "Basis")
    assert fields["TotalMoney"].spec.sum_of == ["TotalElecMoney", "TotalServiceMoney"]


def test_grandchildren_apply_the_patches_of_all_generations(tmp_path: Path) -> None:
    path = tmp_path / "mid.yaml"
    path.write_text(
        "{id: mid, version: '1', display_name: {zh: 中, en: mid}, status: partial, extends: xiaoju-1.4.0,"
        f" patches: {{{ORDER}: {{drop: [SumPeriod]}}}}}}"
    )
    profile = build_profile(HEAD | {"extends": str(path), "patches": {ORDER: {"rename": {"StopReason": "Why"}}}})
    found = names(profile, ORDER)
    assert "Why" in found
    assert "TotalServiceMoney" in found
    assert "SumPeriod" not in found


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"surprise": 1}, "surprise"),
        ({"status": "sure"}, "status"),
        ({"timing": {"order": 1}}, "order"),
        ({"envelope": {"hex_case": "upper"}}, "hex_case"),
        ({"envelope": {"hex_case_out": "mixed"}}, "hex_case_out"),
        ({"body": {"text_number": True}}, "text_number"),
        ({"numbers": {"money": "float"}}, "money"),
        ({"extends": "nobody"}, "no such profile"),
        ({"ids": {"connector_id": "__import__('os')"}}, "no function"),
        ({"ids": {"connector_id": "pile.__class__"}}, "not allowed"),
        ({"patches": {"nothing": {"drop": ["X"]}}}, "no such interface"),
        ({"patches": {ORDER: {"remove": ["X"]}}}, "rename"),
        ({"patches": {ORDER: {"rename": {"Nowhere": "X"}}}}, "Nowhere"),
        ({"patches": {ORDER: {"rename": {"StartTime": "EndTime"}}}}, "EndTime twice"),
        ({"interfaces": {ORDER: {"fields": "$nothing"}}}, r"\$nothing"),
        ({"interfaces": {ORDER: {"delivery": {"retries": 3}}}}, "retries"),
        ({"interfaces": {ORDER: {"delivery": {"success": "Ret = 0"}}}}, "success"),
        ({"interfaces": {"x": {"direction": "push", "source": "s", "fields": [{"to": "A"}]}}}, "exactly one"),
    ],
)
def test_a_wrong_profile_is_refused_with_the_reason(members: dict[str, Any], words: str) -> None:
    with pytest.raises((InvalidProfile, UnknownProfile), match=words):
        child(**members)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"from": "a", "const": 1}, "exactly one"),
        ({"from": "a", "type": "float"}, "not a field type"),
        ({"from": "a", "type": "array", "items": [{"to": "B", "from": "b"}]}, "names its item"),
        ({"from": "a", "type": "array", "as": "b"}, "needs items"),
        ({"id": "station_id", "on_too_long": "truncate"}, "never truncated"),
        ({"id": "unknown_id"}, "no id derivation"),
        ({"from": "a", "enum": "$nothing"}, "no enum table"),
        ({"from": "a", "unit": "kW>hp"}, "unknown unit"),
        ({"from": "a", "convert": "twist"}, "unknown converter"),
        ({"expr": "nothing(a)"}, "no function"),
        ({"from": "a", "when": "a ="}, "not an expression"),
    ],
)
def test_a_wrong_field_is_refused_with_the_reason(field: dict[str, Any], words: str) -> None:
    interface = {"direction": "push", "source": "s", "fields": [{"to": "A"} | field]}
    with pytest.raises(InvalidProfile, match=words):
        child(interfaces={"x": interface})


def test_a_profile_that_extends_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.write_text(f"{{id: loop, version: '1', display_name: {{zh: 环, en: loop}}, status: partial, extends: {path}}}")
    with pytest.raises(InvalidProfile, match="itself"):
        load_profile(str(path))


def test_files_that_are_no_profiles(tmp_path: Path) -> None:
    with pytest.raises(UnknownProfile):
        load_profile("nobody")
    with pytest.raises(UnknownProfile):
        load_profile(str(tmp_path / "missing.yaml"))
    for text in ("[1, 2]", "a: [1"):
        path = tmp_path / "broken.yaml"
        path.write_text(text)
        with pytest.raises(InvalidProfile):
            load_profile(str(path))


def test_triggers_tell_the_worker_which_members_make_news() -> None:
    fields = [{"to": "Status", "from": "s"}, {"to": "At", "push_time": True, "type": "datetime"}]

    def policy(trigger: dict[str, Any], **more: Any) -> Any:
        interface = {"direction": "push", "source": "s", "fields": fields, "trigger": trigger} | more
        return child(interfaces={"x": interface}).interface("x").policy

    assert policy({"on_change": ["Status"], "send_first": False}).on_change == ("Status",)
    assert policy({"on_change": ["Status"], "send_first": False}).send_first is False
    assert policy({"on_change": "all"}).on_change == ("Status",)
    wrapper = {"wrapper": {"key": "Info", "kind": "object"}}
    assert policy({"on_change": "all"}, **wrapper).on_change == ("Info",)
    for wrong, more in (({"on_change": ["Nothing"]}, {}), ({"on_change": ["Status"]}, wrapper)):
        with pytest.raises(InvalidProfile, match="on_change"):
            policy(wrong, **more)
    assert policy({"on_end": True}).name == "child/x"


def test_unverified_profiles_and_validity() -> None:
    unverified = child(status="unverified", valid_from="2026-01-01", valid_to="2026-02-01")
    unverified.check_allowed("test", date(2026, 1, 15))
    for environment, today in (("prod", date(2026, 1, 15)), ("test", date(2025, 12, 31)), ("test", date(2026, 2, 1))):
        with pytest.raises(ProfileNotAllowed):
            unverified.check_allowed(environment, today)
    child().check_allowed("prod", date(2026, 1, 15))
