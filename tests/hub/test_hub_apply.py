"""`hub apply`: validated as a whole with line numbers, idempotent, exact diff, versions of tariffs, no secret ever shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from charging_core.changes import Action, Change
from charging_core.events import DomainEvent
from charging_core.stations.model import Pile, Station
from charging_core.tariffs.model import TariffVersion
from hub.apply.document import Declaration, read_document
from hub.apply.engine import Applier
from hub.apply.marks import parse
from hub.apply.references import Surroundings
from hub.container import Container
from hub.errors import ApplyError
from tests.hub.hub_rig import demo_environ, example_text, other_tenant_text

Apply = Callable[..., list[Change]]


def read(text: str, environ: dict[str, str] | None = None) -> Declaration:
    return read_document(text, Surroundings(demo_environ() if environ is None else environ, Path()))


def complaints(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ApplyError) as caught:
        read(text, environ)
    return [str(problem) for problem in caught.value.problems]


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_the_example_applies_and_a_second_time_changes_nothing(hub: Container, apply_text: Apply) -> None:
    first = apply_text(example_text())
    assert {change.action for change in first} == {Action.CREATE}
    assert apply_text(example_text()) == []
    with hub.db.read("demo") as session:
        assert len(session.scalars(select(Pile)).all()) == 3
        assert session.scalars(select(Station)).one().version == 1


def test_a_dry_run_shows_the_same_difference_and_changes_nothing(hub: Container, apply_text: Apply) -> None:
    shown = apply_text(example_text(), dry_run=True)
    with hub.db.read_system("test") as session:
        assert session.scalars(select(Station)).all() == []
    assert [(c.kind, c.key) for c in shown] == [(c.kind, c.key) for c in apply_text(example_text())]


def test_unknown_keys_are_refused_with_their_line() -> None:
    text = example_text().replace("    tel: 400-000-0001\n", "    tell: 400-000-0001\n")
    found = complaints(text)
    assert any(f"line {line_of(text, 'tell:')}:" in said and "`tel`" in said for said in found)
    assert any("tel: 缺少" in said for said in found)


def test_every_problem_is_listed_at_once_with_its_own_line() -> None:
    text = example_text().replace("lng: 120.130663", "lng: 999").replace("kind: public ", "kind: publik ")
    found = "\n".join(complaints(text))
    assert f"line {line_of(text, 'lng: 999')}:" in found
    assert f"line {line_of(text, 'kind: publik')}:" in found


def test_a_key_that_stands_twice_is_refused() -> None:
    assert "line 3" in complaints("tenant:\n  id: a\n  id: b\n  name: x\n")[0]


def test_syntax_errors_carry_the_line() -> None:
    assert "line 2" in complaints("tenant: {id: a\nname: [\n")[0]


def test_a_secret_in_clear_is_refused_without_being_repeated() -> None:
    text = example_text().replace("{env: HUB_DEMO_CAMERA_PASSWORD}", "hunter2hunter2", 1)
    found = "\n".join(complaints(text))
    assert "{env:" in found
    assert "hunter2" not in found


def test_missing_variables_are_named_with_their_line() -> None:
    environ = demo_environ()
    del environ["HUB_DEMO_PARTNER_URL"], environ["HUB_DEMO_PARTNER_IN_DATA_IV"]
    text = example_text()
    found = "\n".join(complaints(text, environ))
    assert f"line {line_of(text, '${HUB_DEMO_PARTNER_URL}')}:" in found
    assert "HUB_DEMO_PARTNER_IN_DATA_IV" in found


def test_variables_are_for_addresses_only() -> None:
    text = example_text().replace("name: 演示充电\n", "name: ${HUB_DEMO_PARTNER_URL}\n")
    assert any("${…}" in said for said in complaints(text))


def test_a_changed_secret_shows_as_changed_only(hub: Container, apply_text: Apply, environ: dict[str, str]) -> None:
    apply_text(example_text())
    environ["HUB_DEMO_CAMERA_PASSWORD"] = "new-secret-yyy"
    environ["HUB_DEMO_PARTNER_OUT_SIG_SECRET"] = "new-signature-yy"
    changes = apply_text(example_text())
    assert {change.key for change in changes} == {"demo-partner", "wensan/entry-camera", "wensan/exit-camera"}
    assert {(field.before, field.after) for change in changes for field in change.fields} == {("changed", "changed")}
    assert "yyy" not in repr(changes)


def test_a_changed_price_is_a_new_version_from_now_on(hub: Container, apply_text: Apply) -> None:
    apply_text(example_text())
    before = hub.clock.now()
    changes = apply_text(example_text().replace("0.65430", "0.70000"))
    assert [change.kind for change in changes] == ["tariff"]
    with hub.db.read("demo") as session:
        versions = session.scalars(select(TariffVersion).order_by(TariffVersion.number)).all()
        published = session.scalars(select(DomainEvent).where(DomainEvent.type == "tariff.published")).all()
    assert [version.number for version in versions] == [1, 2]
    assert versions[1].valid_from >= before
    assert versions[0].model_number != versions[1].model_number
    assert len(published) == 2


def test_a_new_version_never_starts_in_the_past(hub: Container, apply_text: Apply) -> None:
    text = example_text().replace("    periods:\n", '    valid_from: "2020-01-01T00:00"\n    periods:\n', 1)
    before = hub.clock.now()
    apply_text(text)
    with hub.db.read("demo") as session:
        assert session.scalars(select(TariffVersion)).one().valid_from >= before - timedelta(seconds=1)


def test_a_tariff_that_the_piles_cannot_hold_is_refused_at_its_line() -> None:
    text = example_text().replace('{start: "11:00", class: flat,', '{start: "11:15", class: flat,')
    assert f"line {line_of(text, 'periods:')}:" in "\n".join(complaints(text))
    five = example_text().replace('{start: "22:00", class: valley,', '{start: "22:00", class: deep_valley,')
    assert any("5 price pairs" in said for said in complaints(five))


def test_a_stored_tariff_is_checked_against_new_piles_too(apply_text: Apply) -> None:
    apply_text(example_text())
    only_tariff = example_text().split("stations:")[0].replace('"11:00"', '"11:15"')
    with pytest.raises(ApplyError, match="half hours"):
        apply_text(only_tariff)


def test_only_what_changed_raises_the_stations_version(hub: Container, apply_text: Apply) -> None:
    apply_text(example_text())
    changes = apply_text(example_text().replace("bays: 20", "bays: 21"))
    assert [(field.name, field.before, field.after) for c in changes for field in c.fields] == [("bays", "20", "21")]
    with hub.db.read("demo") as session:
        assert session.scalars(select(Station)).one().version == 2
        events = session.scalars(select(DomainEvent).where(DomainEvent.type == "station.changed")).all()
    assert sorted(event.version for event in events) == [1, 2]


def test_absent_objects_stay_until_pruned(hub: Container, apply_text: Apply) -> None:
    apply_text(example_text())
    head = example_text().split("tariffs:")[0]
    assert apply_text(head) == []
    kinds = {change.kind for change in apply_text(head, prune=True) if change.action is Action.DISABLE}
    assert {"station", "tariff", "partner link", "park"} <= kinds
    assert apply_text(head, prune=True) == []
    with hub.db.read("demo") as session:
        assert session.scalars(select(Station)).one().enabled is False
    assert any(change.kind == "station" for change in apply_text(example_text()))


def test_codes_of_another_tenant_are_refused(apply_text: Apply) -> None:
    apply_text(example_text())
    thief = other_tenant_text().replace("320106999999", "320106000000")
    with pytest.raises(ApplyError, match="32010600000001 belongs to another tenant"):
        apply_text(thief)


def test_one_path_and_caller_selects_one_link(apply_text: Apply) -> None:
    link = example_text().split("partners:\n")[1].split("# ---- ")[0]
    twice = example_text().replace(link, link + link.replace("id: demo-partner", "id: second-partner"))
    with pytest.raises(ApplyError, match="demo-partner"):
        apply_text(twice)


def test_a_route_of_another_tenant_is_refused(apply_text: Apply) -> None:
    apply_text(example_text())
    thief = other_tenant_text().replace("MA5PARTN2", "MA5PARTN1")
    thief = thief.replace("    stations: all  ", "    inbound_base: /demo/evcs/v1/\n    stations: all  ")
    with pytest.raises(ApplyError, match="belongs to another tenant"):
        apply_text(thief)


def test_a_refused_file_changes_nothing(hub: Container, apply_text: Apply) -> None:
    with pytest.raises(ApplyError):
        apply_text(example_text().replace("tariff: city-2026", "tariff: nowhere"))
    with hub.db.read_system("test") as session:
        assert session.scalars(select(Station)).all() == []


def test_a_link_that_names_a_foreign_operator_is_refused(hub: Container) -> None:
    text = example_text().replace("our_operator_id: MA5DEMO01", "our_operator_id: MA5NOBODY")
    with pytest.raises(ApplyError, match="our_operator_id"):
        Applier(hub.db, hub.clock, hub.box).apply(read(text))


def test_times_words_and_numbers_keep_their_spelling() -> None:
    value = parse("a: 22:00\nb: yes\nc: 1.10\nd: 007\ne: 2026-03-02\nf: true\ng: 12\n").value
    assert value["a"] == "22:00"
    assert value["b"] == "yes"
    assert str(value["c"]) == "1.10"
    assert value["d"] == "007"
    assert value["e"] == "2026-03-02"
    assert value["f"] is True
    assert value["g"] == 12


def test_an_anchor_that_contains_itself_is_refused() -> None:
    with pytest.raises(ApplyError, match="nested too deeply"):
        parse("a: &x [*x]\n")


@given(st.text(max_size=60))
def test_any_text_is_refused_in_words(text: str) -> None:
    with pytest.raises(ApplyError) as caught:
        read(text, {})
    assert caught.value.problems
