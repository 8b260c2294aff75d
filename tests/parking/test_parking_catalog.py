"""Declaring parks: idempotent, checked as a whole, secrets sealed and never shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from charging_core.changes import Action, Change
from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.errors import InvalidInput, NotFound
from parking.catalog import (
    ConnectionSpec,
    LaneSpec,
    ParkSpec,
    StationRef,
    check_park,
    disable_park,
    find_park,
    save_park,
)
from parking.connections import open_secrets
from parking.errors import SettingsError
from parking.model import ExitPolicy, GateLane, Park, ParkConnection, Role
from tests.parking.park_rig import BOX, RULE, TENANT, add_station, declare


@pytest.fixture
def spec(db: Database, manual_clock: ManualClock) -> ParkSpec:
    add_station(db, manual_clock)
    return declare("http://10.0.0.2", "http://10.0.0.9")


def save(db: Database, spec: ParkSpec, *, prune: bool = False, tenant: str = TENANT) -> list[Change]:
    with db.session(tenant) as session:
        return save_park(session, BOX, spec, prune=prune)


def connection(db: Database, code: str) -> ParkConnection:
    with db.read(TENANT) as session:
        return session.query(ParkConnection).filter_by(code=code).one()


def changed(spec: ParkSpec, code: str, **settings: Any) -> ParkSpec:
    rest = [one for one in spec.connections if one.code != code]
    [old] = [one for one in spec.connections if one.code == code]
    return replace(spec, connections=(*rest, replace(old, settings={**old.settings, **settings})))


def test_saving_twice_changes_nothing(db: Database, spec: ParkSpec) -> None:
    first = save(db, spec)
    assert {change.action for change in first} == {Action.CREATE}
    assert [change.key for change in first if change.kind == "park_connection"] == [
        "east/platform",
        "east/entry",
        "east/exit",
    ]
    assert save(db, spec) == []


def test_roles_follow_from_what_the_adapter_offers(db: Database, spec: ParkSpec) -> None:
    save(db, spec)
    assert connection(db, "platform").roles == [Role.GRANTS, Role.STAYS]
    assert connection(db, "entry").roles == [Role.PASSAGES]
    assert connection(db, "exit").roles == [Role.GATE, Role.PASSAGES]


def test_secrets_are_sealed_and_never_shown(db: Database, spec: ParkSpec) -> None:
    save(db, spec)
    row = connection(db, "exit")
    assert "password" not in row.settings
    assert "Gate#2024" not in row.secrets
    assert open_secrets(BOX, row) == {"password": "Gate#2024"}
    [change] = save(db, changed(spec, "exit", password="Gate#2025"))
    assert [(one.name, one.before, one.after) for one in change.fields] == [("secrets", "changed", "changed")]
    assert connection(db, "exit").version == 2


def test_the_inbound_path_stays_and_is_unguessable(db: Database, spec: ParkSpec) -> None:
    save(db, spec)
    before = connection(db, "entry").inbound_token
    save(db, changed(spec, "entry", channel=2))
    after = connection(db, "entry")
    assert (after.inbound_token, after.version) == (before, 2)
    assert len(before) == 32
    assert len({connection(db, code).inbound_token for code in ("entry", "exit", "platform")}) == 3


def test_changed_settings_end_an_authentication_failure(
    db: Database, spec: ParkSpec, manual_clock: ManualClock
) -> None:
    save(db, spec)
    with db.session(TENANT) as session:
        session.query(ParkConnection).filter_by(code="exit").one().auth_failed_at = manual_clock.now()
    save(db, changed(spec, "exit", password="new"))
    assert connection(db, "exit").auth_failed_at is None


def test_absent_parts_stay_unless_pruned(db: Database, spec: ParkSpec) -> None:
    save(db, spec)
    smaller = replace(spec, connections=spec.connections[:2], lanes=spec.lanes[:1], stations=())
    assert save(db, smaller) == []
    assert {change.key for change in save(db, smaller, prune=True)} == {"east/exit", "east/exit-1", "east/01STATION"}
    assert not connection(db, "exit").enabled
    with db.read(TENANT) as session:
        assert [lane.enabled for lane in session.query(GateLane).order_by(GateLane.code)] == [True, False]
    restored = save(db, spec)
    assert {change.action for change in restored} == {Action.UPDATE}
    assert connection(db, "exit").enabled


def test_disabling_a_park(db: Database, spec: ParkSpec) -> None:
    save(db, spec)
    with db.session(TENANT) as session:
        park = find_park(session, "east")
        assert park is not None
        assert [change.action for change in disable_park(park)] == [Action.DISABLE]
        assert disable_park(park) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rule": {**RULE, "colour": "red"}}, "parks.east.rule.colour"),
        ({"rule": {"benefit_type": "percent", "default_value": "50"}}, "parks.east.rule.benefit_type"),
        ({"stations": (StationRef("123456789", "S1", {"min_kwh": "-1"}),)}, "parks.east.stations.S1.rule.min_kwh"),
        ({"lanes": (LaneSpec("x", "exit", gate="nobody"),)}, "parks.east.lanes.x.gate"),
        ({"lanes": (LaneSpec("x", "exit", gate="platform"),)}, "parks.east.lanes.x.gate"),
        ({"lanes": (LaneSpec("x", "exit"), LaneSpec("x", "entry"))}, "parks.east.lanes"),
    ],
)
def test_declarations_that_cannot_be_meant(spec: ParkSpec, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_park(replace(spec, **changes))
    assert caught.value.field == field


def test_more_declarations_that_cannot_be_meant(spec: ParkSpec) -> None:
    platform = spec.connections[0]
    twice = replace(spec, connections=(platform, replace(platform, code="second")))
    no_bill = replace(spec, connections=spec.connections[1:], exit_policy=ExitPolicy.BILL)
    role = replace(spec, connections=(replace(platform, roles=(Role.GATE,)),), lanes=())
    for wrong in (twice, no_bill, role):
        with pytest.raises(InvalidInput):
            check_park(wrong)
    with pytest.raises(SettingsError):
        check_park(changed(spec, "platform", app_secret=""))
    with pytest.raises(SettingsError):
        check_park(replace(spec, connections=(ConnectionSpec("a", "etcp", {}),), lanes=()))


def test_an_unknown_station_changes_nothing(db: Database, spec: ParkSpec) -> None:
    with pytest.raises(NotFound):
        save(db, replace(spec, stations=(StationRef("123456789", "S9"),)))
    with db.read(TENANT) as session:
        assert session.query(Park).all() == []


def test_parks_of_two_tenants_do_not_meet(db: Database, spec: ParkSpec) -> None:
    save(db, spec)
    save(db, replace(spec, stations=()), tenant="other")
    with db.read("other") as session:
        assert [park.tenant_id for park in session.query(Park)] == ["other"]
    with db.read(TENANT) as session:
        assert session.query(ParkConnection).count() == 3
