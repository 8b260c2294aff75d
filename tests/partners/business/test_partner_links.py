"""Links: declared, saved, opened, changed, refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from charging_core.changes import Action
from charging_core.ids import new_id
from charging_core.stations.model import Station
from charging_core.tenants import Operator
from partners.errors import LinkInvalid, UnknownLink
from partners.model import PartnerLink, PartnerToken
from partners.room import PartnerRoom
from partners.specs import PartnerLinkSpec, disable_links_except, route_conflicts, save_link
from partners.tokens import revoke_tokens
from tests.partners.business.conftest import OUR_KEYS, PARTNER, World, link_spec


def changes_of(world: World, spec: PartnerLinkSpec) -> list[Any]:
    with world.db.session(world.tenant) as session:
        return save_link(session, world.clock, world.box, spec)


def test_saving_twice_changes_nothing_and_a_change_is_shown_without_the_secret(world: World) -> None:
    spec = link_spec("http://127.0.0.1:1/evcs/v1")
    assert [change.action for change in changes_of(world, spec)] == [Action.CREATE]
    assert changes_of(world, spec) == []

    keys = spec.keys.model_copy(
        update={"inbound": spec.keys.inbound.model_copy(update={"sig_secret": SecretStr("anotherSignKey01")})}
    )
    (change,) = changes_of(world, spec.model_copy(update={"name": "新名", "keys": keys}))
    assert [(field.name, field.after) for field in change.fields] == [("name", "新名"), ("keys.inbound", "changed")]
    assert "anotherSignKey01" not in repr(change)


def test_secrets_are_sealed_at_rest(world: World) -> None:
    world.link()
    with world.db.read(world.tenant) as session:
        row = session.query(PartnerLink).one()
        stored = f"{row.inbound_keys}{row.outbound_keys}{row.options}"
    assert not any(text in stored for text in OUR_KEYS.values())
    link = world.room.book.by_slug(world.tenant, "demo-partner")
    assert link.inbound.keys[0].operator_secret == OUR_KEYS["operator_secret"]
    assert OUR_KEYS["sig_secret"] not in repr(link)


def test_a_secret_is_a_reference_to_the_environment_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "sig").write_text("hubSignKey000001\n")
    raw = {name: {"env": name.upper()} for name in OUR_KEYS} | {"sig_secret": {"file": "sig"}}
    environ = {name.upper(): text for name, text in OUR_KEYS.items()}
    members = link_spec().model_dump(exclude={"keys"}) | {"keys": {"inbound": raw}}
    spec = PartnerLinkSpec.model_validate(members, context={"environ": environ, "folder": tmp_path})
    assert spec.keys.inbound.secrets().sig_secret == "hubSignKey000001"
    for wrong in ("in clear", {"env": "MISSING"}, {"file": "missing"}, {"vault": "x"}, {"env": "A", "file": "b"}):
        members["keys"] = {"inbound": raw | {"data_iv": wrong}}
        with pytest.raises(ValidationError) as refused:
            PartnerLinkSpec.model_validate(members, context={"environ": environ, "folder": tmp_path})
        assert refused.value.errors()[0]["loc"] == ("keys", "inbound", "data_iv")


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1},
        {"environment": "production"},
        {"our_operator_id": "MA5"},
        {"inbound_base": "no-slash"},
        {"outbound_base": "ftp://x"},
        {"outbound_base": "http://x"},  # without keys for it
        {"timing": {"order_s": 0}},
        {"timing": {"orders": 150}},
        {"allow_ips": ["300.1.1.1"]},
        {"environment": "prod", "verify_tls": False},
    ],
)
def test_a_wrong_declaration_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        link_spec(**changes)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"profile": "no-such-partner"}, "profile"),
        ({"our_operator_id": "MA5OTHER1"}, "our_operator_id"),
        ({"keys": {"inbound": {name: SecretStr("short") for name in OUR_KEYS}}}, "keys"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_saved(world: World, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(LinkInvalid) as refused:
        changes_of(world, link_spec(**changes))
    assert refused.value.field == field
    with world.db.read(world.tenant) as session:
        assert session.query(PartnerLink).count() == 0


def test_an_unverified_profile_is_refused_in_production_only(world: World, tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    path.write_text(
        "{id: new, version: '1', display_name: {zh: 新, en: new}, status: unverified, extends: textbook}", "utf-8"
    )
    changes_of(world, link_spec(profile=str(path)))
    with pytest.raises(LinkInvalid, match="unverified"):
        changes_of(world, link_spec(profile=str(path), environment="prod"))


def test_one_route_belongs_to_one_link(world: World) -> None:
    world.link()
    with pytest.raises(LinkInvalid, match="demo-partner"):
        changes_of(world, link_spec(id="second"))
    changes_of(world, link_spec(id="second", inbound_base="/green/second/"))
    with world.db.read_system("test") as session:
        assert route_conflicts(session) == []
    world.room.book.refresh()
    assert world.room.book.find("/green/second/", PARTNER) is not world.room.book.find("/green/evcs/v1/", PARTNER)
    assert world.room.book.resolve("/green/second/query_token") == ("/green/second/", "query_token")
    assert world.room.book.resolve("/green/third/query_token") is None


def test_a_link_may_have_several_paths_as_one_contract_demands_n8(world: World) -> None:
    world.link(inbound_base=["/evcs/sdk", "/evcs/v1/"])
    assert world.room.book.find("/evcs/sdk/", PARTNER) is world.room.book.find("/evcs/v1/", PARTNER) is not None


def test_several_operator_ids_of_one_partner(world: World) -> None:
    link = world.link(their_operator_id=[PARTNER, "MA5PARTN2"])
    assert world.room.book.find("/green/evcs/v1/", "MA5PARTN2") is link.inbound


def test_pruning_disables_and_the_door_no_longer_knows_the_caller(world: World) -> None:
    world.link()
    with world.db.session(world.tenant) as session:
        assert [change.action for change in disable_links_except(session, world.clock, set())] == [Action.DISABLE]
    world.room.book.refresh()
    assert world.room.book.of_tenant(world.tenant) == []
    assert world.fake.call("query_token", {}).ret == 4003


def test_a_change_by_another_process_is_noticed(world: World) -> None:
    world.link()
    world.room.book.start()
    changes_of(world, link_spec(world.fake.base_url, name="另一名称"))
    world.room.book.refresh()
    assert world.room.book.by_slug(world.tenant, "demo-partner").name == "另一名称"


def test_links_of_other_tenants_are_out_of_reach(world: World) -> None:
    link = world.link()
    assert world.room.book.of_tenant("other") == []
    with pytest.raises(UnknownLink):
        world.room.book.by_slug("other", link.slug)


def test_a_rotation_accepts_both_key_sets_and_separate_keys_per_direction_n13(world: World) -> None:
    new = {name: SecretStr("x" + text[1:]) for name, text in OUR_KEYS.items()}
    old = {name: SecretStr(text) for name, text in OUR_KEYS.items()}
    world.link(keys={"inbound": new, "inbound_previous": old, "outbound": new})
    assert world.fake.call("query_token", {}).ret == 0
    world.link(keys={"inbound": new, "outbound": new})
    assert world.fake.call("query_token", {}).ret == 4001


def test_a_derivation_that_makes_two_connectors_one_is_refused(world: World, tmp_path: Path) -> None:
    path = tmp_path / "cut.yaml"
    path.write_text(
        "{id: cut, version: '1', display_name: {zh: 截, en: cut}, status: partial, extends: textbook,"
        " ids: {connector_id: 'first(connector.code, 14)'}}",
        "utf-8",
    )
    with pytest.raises(LinkInvalid, match=world.seeded.pile_code):
        changes_of(world, link_spec(profile=str(path)))


def test_tokens_live_in_the_database_and_are_valid_in_every_process(world: World) -> None:
    link = world.link()
    issued = [world.room.tokens.issue(link.id, ttl) for ttl in (7200, 7200, -1)]
    other = PartnerRoom(world.db, world.context, world.box, contract=world.room.contract)
    other.book.refresh()
    assert [other.tokens.check(link.id, one.token) for one in issued] == [True, True, False]
    assert not other.tokens.check("ANOTHERLINK", issued[0].token)
    with world.db.read(world.tenant) as session:
        assert issued[0].token not in {row.digest for row in session.query(PartnerToken)}
    assert revoke_tokens(world.db, world.tenant, link.id) == 3
    fresh = PartnerRoom(world.db, world.context, world.box, contract=world.room.contract)
    fresh.book.refresh()
    assert not fresh.tokens.check(link.id, issued[0].token)
    with pytest.raises(UnknownLink):
        world.room.tokens.issue("ANOTHERLINK", 60)


def test_a_link_that_cannot_be_opened_is_left_out_and_the_others_go_on(world: World) -> None:
    world.link()
    world.link(id="second", their_operator_id="MA5PARTN2")
    with world.db.session(world.tenant) as session:
        row = session.query(PartnerLink).filter(PartnerLink.slug == "second").one()
        row.inbound_keys, row.version = ["k1:00000000:AAAA"], 9
    world.room.book.refresh()
    assert [link.slug for link in world.room.book.of_tenant(world.tenant)] == ["demo-partner"]


def test_a_station_code_means_the_links_own_operator(world: World) -> None:
    """A code is unique inside one operator only: a listed S0001 must not open the S0001 of a sister company."""
    with world.db.session(world.tenant) as session:
        session.add(Operator(operator_id="MA5OTHER1", tenant_id=world.tenant, name="姊妹公司", tel="1"))
        first = session.query(Station).one()
        copied = ("code", "name", "area_code", "address", "service_tel", "location", "tariff_id", "changed_at")
        members = {name: getattr(first, name) for name in copied}
        session.add(Station(id=new_id(), operator_id="MA5OTHER1", **members))
    for listed, seen in (
        (["S0001"], {"MA5TEST01"}),
        (["MA5OTHER1/S0001"], {"MA5OTHER1"}),
        (["S0001", "MA5OTHER1/S0001"], {"MA5TEST01", "MA5OTHER1"}),
    ):
        link = world.link(stations=listed)
        told = world.ask("query_stations_info", {})["StationInfos"]
        assert {station["OperatorID"] for station in told} == seen
        assert {one for one in ("MA5TEST01", "MA5OTHER1") if link.may_see(one, "S0001")} == seen


def test_a_derivation_that_makes_two_stations_one_is_refused(world: World, tmp_path: Path) -> None:
    path = tmp_path / "last.yaml"
    path.write_text(
        "{id: last, version: '1', display_name: {zh: 末, en: last}, status: partial, extends: textbook,"
        " ids: {station_id: 'last(station.code, 3)'}}",
        "utf-8",
    )
    spec = link_spec(profile=str(path))
    assert changes_of(world, spec)
    with world.db.session(world.tenant) as session:
        first = session.query(Station).one()
        copied = ("operator_id", "name", "area_code", "address", "service_tel", "location", "tariff_id", "changed_at")
        session.add(Station(id=new_id(), code="T5001", **{name: getattr(first, name) for name in copied}))
    with pytest.raises(LinkInvalid, match="001"):
        changes_of(world, spec)


@pytest.mark.postgresql(reason="SQLite has one writer: two changes never overlap there")
def test_two_changes_at_once_never_end_in_one_version(world: World) -> None:
    """Processes notice a change by its version alone; the second of two must not hide behind the first."""
    world.link()
    slow, fast = link_spec(world.fake.base_url, name="甲"), link_spec(world.fake.base_url, name="乙")
    with ThreadPoolExecutor(1) as pool:
        with world.db.session(world.tenant) as session:
            save_link(session, world.clock, world.box, slow)
            other = pool.submit(changes_of, world, fast)
            with pytest.raises(TimeoutError):
                other.result(timeout=0.3)
        other.result(timeout=10)
    with world.db.read(world.tenant) as session:
        row = session.query(PartnerLink).one()
        assert (row.name, row.version) == ("乙", 3)
