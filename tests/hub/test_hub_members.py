"""Members from end to end: declared in a file, charging at a real socket, looked after over the console and the command line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select

from charging_core.access import Scope, create_token
from charging_core.changes import Action, Change
from charging_core.members.model import MemberCard
from charging_core.piles.protocols.ykc.codec import Frame
from hub.apply.document import read_document
from hub.apply.engine import Applier
from hub.apply.references import Surroundings
from hub.container import Role
from hub.errors import ApplyError
from hub.processes import HubProcess
from tests.charging_core.piles.piles_support import LOGIN, Pile, frame_of
from tests.hub.conftest import settings_for
from tests.hub.hub_rig import SECRET_KEY, demo_environ, example_text
from tests.support.cli import CliRunner, build
from tests.support.databases import Databases
from tests.support.logs import plain_logs
from tests.support.waiting import wait_until

CODE, CARD, PHYSICAL = "32010600000001", "3301060000000101", "E14C0A5400000000"
OTHER_CARD, OTHER_PHYSICAL = "3301060000000102", "E14C0A5500000000"
MEMBER = "wensan-fleet"
CODE_BYTES = bytes.fromhex(CODE)


@dataclass
class Yard:
    """A running hub with a pile's socket."""

    hub: HubProcess
    pile: Pile
    token: str
    environ: Mapping[str, str]

    def call(self, method: str, path: str, body: Any = None, code: int = 200) -> Any:
        url = f"{self.hub.web_url}/api/console/v1{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = requests.request(method, url, json=body, headers=headers, timeout=30)
        assert answer.status_code == code, answer.text
        return answer.json()

    def state(self, connector: int) -> str:
        return str(self.call("get", f"/connectors/{CODE}{connector:02d}")["state"])

    def show(self, physical: str = PHYSICAL, connector: int = 1) -> Mapping[str, Any]:
        body = CODE_BYTES + bytes((connector, 1, 0)) + bytes.fromhex(physical) + bytes(16 + 17)
        self.pile.raw(frame_of(0x31, body))
        return self.expect(0x32).fields

    def expect(self, frame_type: int) -> Frame:
        """The next frame of this type; the hub also pushes tariffs and asks for samples when it likes."""
        while True:
            frame = self.pile.receive()
            assert frame is not None
            if frame.type == frame_type:
                return frame

    def charging(self, trade: str, connector: int = 1) -> None:
        body = bytes.fromhex(trade) + CODE_BYTES + bytes((connector, 3, 2, 1)) + bytes(60 - 27)
        self.pile.raw(frame_of(0x13, body))

    def charged(self, trade: str) -> None:
        """A record of 10 kWh at the flat rate."""
        energy = (100_000).to_bytes(4, "little")
        rates = bytes(32) + bytes(4) + energy * 2 + bytes(4) + bytes(16)
        head = bytes.fromhex(trade) + CODE_BYTES + b"\x01" + bytes(14)
        self.pile.raw(frame_of(0x3B, head + rates + bytes(10) + energy * 2 + bytes(4 + 17 + 8) + b"\x41" + bytes(8)))
        self.expect(0x40)
        self.idle(1)

    def nothing_charged(self, trade: str, connector: int = 1) -> None:
        """A record without energy, and the connector idle again."""
        head = bytes.fromhex(trade) + CODE_BYTES + bytes((connector,))
        self.pile.raw(frame_of(0x3B, head + bytes(158 - 24 - 9) + b"\x41" + bytes(8)))
        self.expect(0x40)
        self.idle(connector)

    def idle(self, *connectors: int) -> None:
        """0x13: nothing plugged, nothing charged."""
        for connector in connectors:
            self.pile.raw(frame_of(0x13, bytes(16) + CODE_BYTES + bytes((connector, 2, 2, 0)) + bytes(60 - 27)))


@pytest.fixture(scope="module")
def yard(databases: Databases) -> Iterator[Yard]:
    fresh = databases.fresh()
    with HubProcess(settings_for(fresh), {Role.WEB, Role.PILES}) as process:
        hub = process.container
        Applier(hub.db, hub.clock, hub.box).apply(read_document(example_text(), Surroundings(demo_environ(), Path())))
        with hub.db.session("demo") as session:
            _, token = create_token(session, "test", [Scope.CONSOLE_WRITE], hub.clock.now())
        process.serve_in_thread()
        with Pile(process.pile_port, code=CODE) as pile:
            pile.raw(frame_of(0x01, CODE_BYTES + LOGIN[13:-2]))
            assert pile.expect(0x02).fields["result"] == 0
            environ = demo_environ() | {
                "HUB_DATABASE_URL": fresh.url, "HUB_DATABASE_OWNER_URL": fresh.owner_url, "HUB_SECRET_KEY": SECRET_KEY,
                "HUB_WEB_PORT": "0", "HUB_PILE_PORT": "0", "HUB_OCPP_PORT": "0",
            }  # fmt: skip
            yield Yard(process, pile, token, environ)
    databases.drop(fresh)


@pytest.fixture
def cli(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    for name, value in yard.environ.items():
        monkeypatch.setenv(name, value)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield CliRunner()
    root.handlers[:], root.level = handlers, level
    plain_logs()


def run(cli: CliRunner, *words: str) -> Any:
    result = cli.invoke(build(), [*words, "--json"])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return json.loads(result.stdout)


def refused(cli: CliRunner, *words: str) -> str:
    result = cli.invoke(build(), [*words])
    assert result.exit_code != 0
    return str(result.exception)


def balance(yard: Yard) -> str:
    return str(yard.call("get", f"/members/{MEMBER}")["balance_yuan"])


def test_a_card_charges_and_the_desk_sees_it_all(yard: Yard, cli: CliRunner) -> None:
    before = balance(yard)
    answer = yard.show()
    assert (answer["result"], answer["logical_card"]) == (1, CARD)
    trade = answer["trade_number"].upper()
    yard.charging(trade)
    wait_until(lambda: yard.call("get", f"/orders/{trade}")["state"] == "charging", "the charge is seen")
    account = yard.call("get", f"/members/{MEMBER}")
    assert [order["state"] for order in account["unsettled_orders"]] == ["charging"]
    assert Decimal(account["free_yuan"]) == Decimal(before) - 200  # what one charge may take
    assert account["phone"] == "13*******01"
    order = yard.call("get", f"/orders/{trade}")
    assert (order["origin"], order["member"], order["card"]) == ("card", MEMBER, "33************01")
    assert CARD not in cli.invoke(build(), ["order", "show", trade]).stdout
    moved = run(cli, "card", "topup", CARD, "88.00", "--reason", "现金", "--request", "pos-1")
    assert (moved["kind"], moved["amount_yuan"], moved["by"].split(":")[0]) == ("top_up", "88.00", "cli")
    assert run(cli, "card", "topup", CARD, "88.00", "--request", "pos-1")["id"] == moved["id"]
    yard.charged(trade)
    wait_until(lambda: yard.call("get", f"/orders/{trade}")["state"] == "settled", "the record is settled")
    trace = yard.call("get", f"/orders/{trade}/trace")
    fee = Decimal(trace["order"]["total_fee"])
    debit, earlier = yard.call("get", f"/members/{MEMBER}/movements")["items"][:2]
    assert (debit["kind"], -Decimal(debit["amount_yuan"]), debit["order_id"]) == ("debit", fee, trace["order"]["id"])
    assert fee > 0
    assert earlier["id"] == moved["id"]
    paid = [entry["what"] for entry in trace["timeline"] if entry["kind"] == "payment"]
    assert paid == [f"账户 / account -{fee:.2f} 元 (debit)"]


def test_a_top_up_reaches_the_pile_that_charges(yard: Yard) -> None:
    yard.call("post", f"/members/{MEMBER}/correct", {"amount": "-400.00", "request_id": "down", "reason": "演示"}, 201)
    answer = yard.show()
    trade, limit = answer["trade_number"].upper(), answer["balance"]
    assert limit < 200
    body = {"amount": "10.00", "request_id": "pos-2"}
    first = yard.call("post", f"/members/{MEMBER}/top-up", body, 201)
    told = yard.expect(0x42).fields
    assert (told["physical_card"], told["balance"]) == (PHYSICAL, limit + 10)
    assert yard.call("post", f"/members/{MEMBER}/top-up", body)["id"] == first["id"]
    problem = yard.call("post", f"/members/{MEMBER}/top-up", body | {"amount": "11.00"}, 409)
    assert "pos-2" in problem["detail"]
    yard.charging(trade)
    yard.nothing_charged(trade)
    wait_until(lambda: yard.call("get", f"/orders/{trade}")["state"] == "settled", "the record is settled")
    yard.call("post", f"/members/{MEMBER}/correct", {"amount": "390.00", "request_id": "up", "reason": "演示"}, 201)


def test_a_lost_card_is_blocked_and_found_again(yard: Yard, cli: CliRunner) -> None:
    assert run(cli, "card", "block", OTHER_CARD, "--reason", "挂失")["changed"] is True
    assert (yard.show(OTHER_PHYSICAL)["reason"], yard.show(OTHER_PHYSICAL)["trade_number"]) == (2, "0" * 32)
    card = yard.call("get", f"/cards/{OTHER_CARD}")
    assert (card["usable"], card["member"]["actions"][0]["reason"]) == (False, "挂失")
    yard.call("post", f"/cards/{OTHER_CARD}/block", {"blocked": False, "reason": "找回"})
    yard.call("post", f"/members/{MEMBER}/block", {"blocked": True, "reason": "欠费"})
    assert yard.show(OTHER_PHYSICAL)["reason"] == 2
    assert run(cli, "card", "block", MEMBER, "--reason", "已补缴", "--undo")["card"] is None
    assert run(cli, "card", "show", OTHER_CARD)["blocked"] is False


def test_the_card_list_of_a_pile(yard: Yard, cli: CliRunner) -> None:
    begun = run(cli, "card", "sync", CODE, "--reason", "开站", "--wait", "0")
    assert [(one["kind"], one["reason"]) for one in begun["commands"]] == [("sync_cards", "开站")]
    assert yard.expect(0x44).fields["cards"][0]["physical_card"] == PHYSICAL
    assert "not answered yet" in refused(cli, "card", "sync", CODE)
    yard.pile.raw(frame_of(0x43, CODE_BYTES + b"\x01\x00"))
    wait_until(
        lambda: [line["state"] for line in run(cli, "card", "list", "--pile", CODE)] == ["confirmed"], "it is confirmed"
    )
    wait_until(lambda: yard.call("get", f"/commands/{begun['commands'][0]['id']}")["state"] == "acknowledged", "marked")
    listed = yard.call("get", f"/piles/{CODE}/cards")["items"]
    assert [(line["number"], line["present"]) for line in listed] == [(CARD, True)]
    assert run(cli, "card", "sync", CODE)["commands"] == []  # nothing to do, nothing to wait for
    asked = yard.call("post", f"/piles/{CODE}/cards", {"action": "query"}, 202)["items"]
    assert [one["kind"] for one in asked] == ["query_cards"]
    yard.expect(0x48)
    yard.pile.raw(frame_of(0x47, CODE_BYTES + bytes.fromhex(PHYSICAL) + b"\x00"))
    wait_until(lambda: run(cli, "card", "list", "--pile", CODE)[0]["present"] is False, "the pile has lost it")
    assert CARD in cli.invoke(build(), ["card", "list", "--pile", CODE]).stdout


def test_two_connectors_at_once(yard: Yard) -> None:
    yard.idle(1, 2)
    wait_until(lambda: [yard.state(1), yard.state(2)] == ["idle"] * 2, "both connectors are free")
    wish = {"connectors": [f"{CODE}01", f"{CODE}02"], "request_id": "both"}
    begun = yard.call("post", "/parallel-orders", wish, 201)
    one, two = begun["orders"]
    assert (one["group"]["others"], two["group"]["others"]) == ([two["id"]], [one["id"]])
    numbers = {yard.expect(0xA4).fields["parallel_number"] for _ in range(2)}
    assert numbers == {one["group"]["number"]}
    assert [order["id"] for order in yard.call("post", "/parallel-orders", wish)["orders"]] == [one["id"], two["id"]]
    problem = yard.call("post", "/parallel-orders", wish | {"request_id": "more"}, 409)
    assert (problem["reason"], problem["connector"]) == ("busy", f"{CODE}01")
    assert yard.call("post", "/parallel-orders", wish | {"connectors": [f"{CODE}01"] * 2}, 422)["field"] == "connectors"
    for order in (one, two):
        yard.call("post", f"/orders/{order['id']}/end", {"reason": "演示"})


def test_people_read_cards_and_accounts(yard: Yard, cli: CliRunner) -> None:
    shown = cli.invoke(build(), ["card", "show", CARD])
    assert shown.exit_code == 0
    for part in ("文三物流车队", CARD, "opening"):
        assert part in shown.stdout
    assert CARD in cli.invoke(build(), ["card", "list"]).stdout
    assert [line["number"] for line in run(cli, "card", "list", "--member", MEMBER)] == [CARD, OTHER_CARD]
    assert "opening" in cli.invoke(build(), ["card", "show", MEMBER]).stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("card", "show", "404"), "404"),
        (("card", "topup", "404", "1"), "404"),
        (("card", "topup", CARD, "ten"), "ten"),
        (("card", "topup", CARD, "0.001"), "amount"),
        (("card", "sync", "99999999999999"), "99999999999999"),
        (("card", "list", "--pile", "99999999999999"), "99999999999999"),
    ],
)
def test_a_wrong_name_or_amount_is_told(cli: CliRunner, words: tuple[str, ...], told: str) -> None:
    assert told in refused(cli, *words)


# -- the file


def complaints(text: str) -> list[str]:
    with pytest.raises(ApplyError) as caught:
        read_document(text, Surroundings(demo_environ(), Path()))
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (f'number: "{OTHER_CARD}"', f'number: "{CARD}"', "twice"),
        (f'physical: "{OTHER_PHYSICAL}"', f'physical: "{PHYSICAL}"', "twice"),
        (f'physical: "{PHYSICAL}"', 'physical: "E14C0A54"', "members[0].cards[0].physical"),
        (f'physical: "{PHYSICAL}"', f'physical: "{"0" * 16}"', "all zeros"),
        ("[LDEMO000000000017]", "[LDEMO000000000017, LDEMO000000000017]", "twice"),
        ("[LDEMO000000000017]", '["00000000000000000"]', "no VIN"),
        ("credit: 0 ", "credit: -1 ", "members[0].credit"),
        ("extra: {}", "extra: {capacity_kw: much}", "capacity_kw"),
        ("opening_balance: 500.00", "opening_balance: 0.001", "members[0].opening_balance"),
        (f'physical: "{PHYSICAL}"', f'physical: "{PHYSICAL}"\n        pin: "1234"', "env"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(before: str, after: str, told: str) -> None:
    text = example_text()
    assert before in text
    found = complaints(text.replace(before, after, 1))
    assert any(told in problem for problem in found), found


def test_applying_is_repeatable_and_leaves_money_alone(yard: Yard, tmp_path: Path) -> None:
    hub = yard.hub.container
    applier = Applier(hub.db, hub.clock, hub.box)

    def applied(text: str, **options: bool) -> list[Change]:
        environ = demo_environ() | {"CARD_PIN": "135790"}
        return applier.apply(read_document(text, Surroundings(environ, tmp_path)), **options)

    before = balance(yard)
    assert applied(example_text()) == []
    poorer = (
        example_text().replace("opening_balance: 500.00", "opening_balance: 1.00").replace("credit: 0 ", "credit: 9 ")
    )
    assert [(c.kind, c.action) for c in applied(poorer)] == [("member", Action.UPDATE)]
    with_pin = poorer.replace(f'physical: "{OTHER_PHYSICAL}"', f'physical: "{OTHER_PHYSICAL}", pin: {{env: CARD_PIN}}')
    change = applied(with_pin)
    assert [(field.name, field.after) for field in change[0].fields] == [("pin", "changed")]
    assert applied(with_pin) == []
    with hub.db.read("demo") as session:
        stored = session.scalars(select(MemberCard.pin_hash).where(MemberCard.number == OTHER_CARD)).one()
    assert "135790" not in str(stored)
    assert balance(yard) == before
    assert [(c.kind, c.key) for c in applied(without_members(), dry_run=True, prune=True)] == [("member", MEMBER)]
    with pytest.raises(ApplyError, match="no station X1"):
        applied(with_pin.replace("    # stations: [", "    stations: [X1] # ["))
    applied(example_text())


def without_members() -> str:
    text = example_text()
    return text[: text.index("\nmembers:")]


def test_a_pile_model_without_cards_is_declared() -> None:
    text = example_text().replace("protocol: ykc\n", "protocol: ykc\n        protocol_options: {cards: false}\n", 1)
    declared = read_document(text, Surroundings(demo_environ(), Path())).document
    assert declared.stations[0].piles[0].protocol_options == {"cards": False}
