"""The deviation catalogue of `specs/partners.md` section 7, as far as engine and business carry it; one named test each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from charging_core.clock import to_china
from partners.profiles.engine import contract_form, render
from partners.profiles.loader import load_profile
from partners.profiles.profile import Profile
from partners.profiles.scope import scope_of
from partners.tcec102 import crypto, envelope
from partners.tcec102.contract import Contract
from partners.tcec102.errors import ReplySignatureMismatch
from partners.tcec102.keys import KeySet
from partners.tcec102.options import EnvelopeOptions
from partners.tcec102.receive import receive
from partners.tcec102.visit import InboundCall
from tests.partners.business.conftest import OUR_KEYS, PARTNER, World
from tests.partners.profiles import samples

KEYS = KeySet(OUR_KEYS["operator_secret"], OUR_KEYS["data_secret"], OUR_KEYS["data_iv"], OUR_KEYS["sig_secret"])
SEQ = f"{PARTNER}260302080000000001"
ORDER = "notification_charge_order_info"


standard = cache(Contract.standard)


class Caller:
    """A partner that seals its calls as a deviation demands."""

    def __init__(self, world: World, base: str = "/green/evcs/v1/") -> None:
        self.door = world.door
        self._base = base
        self.stamp = f"{to_china(world.clock.now()):%Y%m%d%H%M%S}"
        self.seq = "0001"
        self.scheme = "Bearer "
        self.options = EnvelopeOptions()
        self.change: Callable[[dict[str, Any]], dict[str, Any]] = lambda members: members
        self.token = ""

    def send(self, interface: str, body: dict[str, Any]) -> dict[str, Any]:
        """The raw reply envelope."""
        sealed = envelope.seal_request(body, PARTNER, KEYS, self.stamp, self.seq, options=self.options)
        raw = orjson.dumps(self.change(sealed))
        authorization = f"{self.scheme}{self.token}" if self.token else None
        call = InboundCall(self._base, interface, raw, authorization, "127.0.0.1")
        reply: dict[str, Any] = orjson.loads(receive(call, self.door).payload)
        return reply

    def opened(self, interface: str, body: dict[str, Any]) -> dict[str, Any]:
        """The opened reply; fails unless Ret is 0."""
        reply = envelope.open_reply(orjson.dumps(self.send(interface, body)), KEYS)
        assert reply.ret == 0, reply
        return dict(reply.body)

    def log_in(self) -> Caller:
        secret = {"OperatorID": PARTNER, "OperatorSecret": OUR_KEYS["operator_secret"]}
        self.token = self.opened("query_token", secret)["AccessToken"]
        return self


def profile_file(folder: Path, body: str) -> str:
    path = folder / "deviating.yaml"
    head = "id: deviating\nversion: '1'\ndisplay_name: {zh: 偏差, en: deviating}\nstatus: partial\nextends: textbook\n"
    path.write_text(head + body, "utf-8")
    return str(path)


def written(profile: Profile, interface: str, scope: dict[str, Any]) -> dict[str, Any]:
    """The JSON that really goes out, numbers as their literal text."""
    rendered = render(profile, interface, scope, samples.NOW)
    assert rendered.problems == ()
    schema = standard()[interface]
    body = contract_form(profile, interface, rendered.body)
    side = schema.request if interface.startswith("notification") else schema.reply
    members: dict[str, Any] = orjson.loads(side.write(body, profile.writing))
    return members


def test_n1_a_null_message_signed_as_the_word_null() -> None:
    keys = KeySet("x", "9f3c1b7e5a2d4860", "0123456789abcdef", "7c1e9a4b3d5f6082")
    data = (
        "y6CsZCb2DuprNGAa6x5PCIwlRh0FLSjrIvFeeukst4MOq43f7dZw1hlhMpqfJJqKX1Gu6EKDmOJdDrLjdJ9rAh7XaCmPkPxtNpfEUrXNcQdbIzO25"
        "k92Ru3s2gNHSWsq4qaEZ8zK1wMWCJhr6rl3ArdYuCw0DSzrMoC8H7qIxzELz9+MSdZrP2Z+fm5ErMQ+"
    )
    reply = {"Ret": 0, "Msg": None, "Data": data, "Sig": "70D995A478582AD3DFA22391270BD430"}
    options = load_profile("starcharge").envelope
    assert envelope.open_reply(orjson.dumps(reply), keys, options=options).verified
    with pytest.raises(ReplySignatureMismatch):
        envelope.open_reply(orjson.dumps(reply), keys, options=load_profile("textbook").envelope)


@pytest.mark.parametrize(("profile", "stamp"), [("newlink", "1772409600"), ("starcharge", "1772409600000")])
def test_n3_timestamps_as_epoch(world: World, profile: str, stamp: str) -> None:
    world.link(profile=profile)
    caller = Caller(world).log_in()  # with fourteen digits
    caller.stamp = stamp
    caller.log_in()
    assert datetime.fromtimestamp(1772409600, UTC) == world.clock.now()
    world.link(profile="textbook")
    assert caller.send("query_station_status", {"StationIDs": ["S0001"]})["Ret"] == 4003


@pytest.mark.parametrize("seq", ["7", "012", "00000001"])
def test_n4_sequence_numbers_of_another_width(world: World, seq: str) -> None:
    caller = Caller(world)
    caller.seq = seq
    world.link(profile="newlink")
    caller.log_in()
    world.link()
    assert caller.send("query_station_status", {"StationIDs": ["S0001"]})["Ret"] == 4003


def test_n5_a_lower_camel_envelope_is_answered_in_kind(world: World) -> None:
    world.link(profile="xiaoju-1.4.0")
    caller = Caller(world)
    names = {"OperatorID": "operatorID", "Data": "data", "TimeStamp": "timeStamp", "Seq": "seq", "Sig": "sig"}
    caller.change = lambda members: {names[name]: value for name, value in members.items()}
    secret = {"OperatorID": PARTNER, "OperatorSecret": OUR_KEYS["operator_secret"]}
    reply = caller.send("query_token", secret)
    assert (set(reply), reply["ret"]) == ({"ret", "msg", "data", "sig"}, 0)
    world.link()
    assert caller.send("query_token", secret).get("ret", 4003) == 4003


def test_n7_service_spelling_and_elect_money_in_one_contract() -> None:
    textbook, xiaoju = load_profile("textbook"), load_profile("xiaoju-1.4.0")
    order = samples.order_scope()
    assert written(textbook, ORDER, order)["TotalSeviceMoney"] == 12.20
    body = written(xiaoju, ORDER, order)
    assert body["TotalServiceMoney"] == 12.20
    assert "TotalSeviceMoney" not in body
    assert set(body["ChargeDetails"][0]) >= {"ServicePrice", "DetailServiceMoney"}
    status = scope_of("charge_sample", samples.order())
    assert "ElectMoney" in written(xiaoju, "query_equip_charge_status", status)
    assert "ElecMoney" in written(xiaoju, "notification_equip_charge_status", status)
    assert "BusineHours" in str(render(xiaoju, "StationInfo", scope_of("station", samples.station()), samples.NOW).body)


@pytest.mark.parametrize("scheme", ["Bearer", ""])
def test_n9_a_token_without_space_or_without_scheme(world: World, tmp_path: Path, scheme: str) -> None:
    world.link(profile=profile_file(tmp_path, 'token: {accept_schemes: ["Bearer ", Bearer, ""]}'))
    caller = Caller(world).log_in()
    caller.scheme = scheme
    assert caller.opened("query_station_status", {"StationIDs": ["S0001"]})["StationStatusInfos"]
    world.link()
    assert caller.send("query_station_status", {"StationIDs": ["S0001"]})["Ret"] == 4002


def test_n10_numbers_as_text(world: World) -> None:
    newlink = load_profile("newlink")
    body = written(newlink, ORDER, samples.order_scope())
    assert (body["TotalPower"], body["TotalMoney"], body["StopReason"]) == ("30.50", "36.60", 2)
    assert body["ChargeDetails"][0]["DetailElecMoney"] == "20.80"
    assert body["ChargeDetails"][0]["ElecPrice"] == "0.8000"
    world.link(profile="newlink")
    policy = (
        Caller(world)
        .log_in()
        .opened("query_equip_business_policy", {"EquipBizSeq": SEQ, "ConnectorID": world.connector})
    )
    assert policy["PolicyInfos"][0]["ElecPrice"] == "0.3000"
    rendered = render(newlink, ORDER, samples.order_scope(), samples.NOW).body
    assert rendered["TotalMoney"] == "36.60"


@pytest.mark.parametrize("seq", ["260302080000000001", "SOMEBODY9260302080000000001", "X" * 64])
def test_n12_the_prefix_and_length_of_a_sequence_are_never_checked(world: World, seq: str) -> None:
    world.link(profile="starcharge")
    body = {"StartChargeSeq": seq, "ConnectorID": world.connector, "QRCode": ""}
    answer = Caller(world).log_in().opened("query_start_charge", body)
    assert (answer["StartChargeSeq"], answer["SuccStat"]) == (seq, 0)


def test_n15_amount_plate_and_phone_under_other_names(world: World) -> None:
    world.link()
    body = {"StartChargeSeq": SEQ, "ConnectorID": world.connector, "QRCode": "", "PlateNo": "浙AD12345"}
    Caller(world).log_in().opened("query_start_charge", body | {"chargingAmt": "20.50", "UserTel": "13800000000"})
    order = world.order(SEQ)
    assert (order.plate, order.phone) == ("浙AD12345", "13800000000")
    assert order.limit_yuan == Decimal("20.50")


def test_n20_a_misspelt_interface_name(world: World, tmp_path: Path) -> None:
    aliases = "transport: {path_aliases_in: {query_stations_status: query_station_status}}"
    world.link(profile=profile_file(tmp_path, aliases))
    caller = Caller(world).log_in()
    assert caller.opened("query_stations_status", {"StationIDs": ["S0001"]})["StationStatusInfos"]
    assert caller.send("query_station_state", {"StationIDs": ["S0001"]})["Ret"] == 4004


def test_n21_base64_with_line_breaks(world: World) -> None:
    world.link()
    caller = Caller(world).log_in()

    def broken(members: dict[str, Any]) -> dict[str, Any]:
        """As an old encoder does it: it wraps at 76 and signs what it sends."""
        text = str(members["Data"])
        lines = "\r\n".join(text[i : i + 76] for i in range(0, len(text), 76))
        resigned = crypto.sign(f"{PARTNER}{lines}{members['TimeStamp']}{members['Seq']}", KEYS)
        return members | {"Data": lines, "Sig": resigned}

    caller.change = broken
    many = {"StationIDs": [f"S{number:04d}" for number in range(1, 20)]}
    assert caller.opened("query_station_status", many)["StationStatusInfos"]


def test_n22_unknown_root_members_are_ignored(world: World) -> None:
    world.link(profile="xiaoju-1.4.0")
    body = {"serialVersionUID": 1, "StationIDs": ["S0001"]}
    assert Caller(world).log_in().opened("query_station_status", body)["StationStatusInfos"]
