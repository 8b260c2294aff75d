"""Declaring regulator links: idempotent, secrets never shown, what cannot work is refused with its member."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr, ValidationError
from sqlalchemy import select

from charging_core.changes import Action
from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.events import DomainEvent
from charging_core.secretbox import SecretBox
from municipal.errors import RegulatorInvalid
from municipal.fake.config import DEFAULT_NAMES
from municipal.keys import open_secrets
from municipal.model import RegulatorLink
from municipal.specs import disable_regulators_except, save_regulator_link
from tests.municipal.region_raw import changed
from tests.municipal.regulator_bench import KEYS, Bench, benches, link_spec
from tests.support.seed import seed_operator

BASE = "http://127.0.0.1:1/evcs/v1/"


@pytest.fixture
def bench(db: Database, manual_clock: ManualClock) -> Iterator[Bench]:
    yield from benches(db, manual_clock)


def row(bench: Bench) -> RegulatorLink:
    with bench.db.read(bench.seeded.tenant_id) as session:
        return session.scalars(select(RegulatorLink)).one()


def refused(bench: Bench, **changes: Any) -> RegulatorInvalid:
    with pytest.raises(RegulatorInvalid) as caught:
        bench.save(BASE, **changes)
    return caught.value


def test_saving_twice_changes_nothing(bench: Bench) -> None:
    (created,) = bench.save(BASE)
    assert (created.kind, created.key, created.action) == ("regulator link", "zhejiang", Action.CREATE)
    before = row(bench)
    assert bench.save(BASE) == []
    assert row(bench).version == before.version == 1


def test_a_change_is_shown_and_raises_the_version(bench: Bench) -> None:
    bench.save(BASE)
    (change,) = bench.save(BASE, name="浙江省能源局")
    assert [(field.name, field.after) for field in change.fields] == [("name", "浙江省能源局")]
    assert row(bench).version == 2


def test_keys_are_sealed_and_never_shown(bench: Bench) -> None:
    bench.save(BASE)
    stored = row(bench)
    assert KEYS["data_secret"] not in stored.outbound_keys
    assert open_secrets(bench.box, stored.id, stored.outbound_keys).data_secret == KEYS["data_secret"]
    spec = link_spec(BASE, keys={"outbound": _plain(data_secret="anotherDataKey01")})
    with bench.db.session(bench.seeded.tenant_id) as session:
        (change,) = save_regulator_link(session, bench.clock, bench.box, spec)
    assert [(field.name, field.before, field.after) for field in change.fields] == [
        ("keys.outbound", "changed", "changed")
    ]
    assert KEYS["data_secret"] not in repr(spec)


def test_a_rotated_hub_key_seals_again(bench: Bench) -> None:
    bench.save(BASE)
    old = row(bench).outbound_keys
    bench.box = SecretBox(["a younger key of 32 characters..", "a test key of 32 characters long"])
    assert len(bench.save(BASE)) == 1
    assert row(bench).outbound_keys != old
    assert bench.save(BASE) == []


def test_every_push_needs_its_confirmed_name(bench: Bench) -> None:
    names = {name: wire for name, wire in DEFAULT_NAMES.items() if name not in ("order", "station_info")}
    problem = refused(bench, wire_names=names)
    assert problem.field == "wire_names"
    assert "order" in problem.message
    assert "supervise_notification_charge_order_info" in problem.message
    assert "connector_status" not in problem.message


def test_names_that_nobody_asked_for_are_refused(bench: Bench) -> None:
    problem = refused(bench, wire_names={**DEFAULT_NAMES, "alarms": "supervise_notification_alarm"})
    assert (problem.field, "alarms" in problem.message) == ("wire_names", True)


@pytest.mark.parametrize(
    "changes",
    [
        {"wire_names": {**DEFAULT_NAMES, "order": DEFAULT_NAMES["station_info"]}},
        {"wire_names": {**DEFAULT_NAMES, "order": "two words"}},
        {"colour": "red"},
        {"outbound_base": "ftp://127.0.0.1/"},
        {"our_operator_id": "SHORT"},
        {"keys": {"outbound": dict.fromkeys(KEYS, "in clear")}},
        {"keys": {}},
        {"environment": "prod", "verify_tls": False},
    ],
)
def test_a_declaration_that_cannot_be_right_is_refused_at_once(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        link_spec(**changes)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"profile": "atlantis"}, "profile"),
        ({"our_operator_id": "MA5TEST02"}, "our_operator_id"),
    ],
)
def test_a_declaration_that_contradicts_what_is_stored_is_refused(
    bench: Bench, changes: dict[str, Any], field: str
) -> None:
    assert refused(bench, **changes).field == field


def test_a_key_of_the_wrong_length_is_refused(bench: Bench) -> None:
    assert refused(bench, keys={"outbound": _plain(data_secret="short")}).field == "keys"


def test_an_unverified_profile_is_for_tests_only(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "guess.yaml"
    path.write_text(yaml.safe_dump(changed(lambda loaded: loaded.update(id="guess", status="unverified"))), "utf-8")
    problem = refused(bench, profile=str(path), environment="prod")
    assert (problem.field, "unverified" in problem.message) == ("profile", True)
    assert bench.save(BASE, profile=str(path))[0].action is Action.CREATE


def test_a_profile_that_is_no_longer_valid_is_refused(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump(changed(lambda loaded: loaded.update(id="old", valid_to="2025-02-01"))), "utf-8")
    assert refused(bench, profile=str(path)).field == "profile"


def test_two_things_must_not_become_one_id(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(changed(_short_ids)), "utf-8")
    problem = refused(bench, profile=str(path))
    assert (problem.field, "id_collision" in problem.message) == ("profile", True)


def test_a_saved_link_says_so(bench: Bench) -> None:
    bench.save(BASE)
    bench.save(BASE, name="other")
    bench.save(BASE, name="other")
    with bench.db.read(bench.seeded.tenant_id) as session:
        told = session.scalars(
            select(DomainEvent).where(DomainEvent.type == "regulator.saved").order_by(DomainEvent.version)
        ).all()
    assert [(event.subject_id, event.version) for event in told] == [(row(bench).id, 1), (row(bench).id, 2)]


def test_what_is_not_declared_is_disabled_not_deleted(bench: Bench) -> None:
    bench.save(BASE)
    bench.save(BASE, id="hangzhou")
    with bench.db.session(bench.seeded.tenant_id) as session:
        changes = disable_regulators_except(session, bench.clock, {"zhejiang"})
    assert [(change.key, change.action) for change in changes] == [("hangzhou", Action.DISABLE)]
    with bench.db.read(bench.seeded.tenant_id) as session:
        enabled = {link.slug: link.enabled for link in session.scalars(select(RegulatorLink))}
    assert enabled == {"zhejiang": True, "hangzhou": False}


def test_links_belong_to_their_tenant(bench: Bench) -> None:
    seed_operator(bench.db, bench.clock.now(), tenant_id="blue", number=2)
    bench.save(BASE)
    with bench.db.read("blue") as session:
        assert session.scalars(select(RegulatorLink)).all() == []


def _plain(**changes: str) -> dict[str, Any]:
    return {name: SecretStr(value) for name, value in (KEYS | changes).items()}


def _short_ids(loaded: dict[str, Any]) -> None:
    loaded.update(id="short")
    loaded["ids"].update(connector_id="first(connector.code, 12)")
