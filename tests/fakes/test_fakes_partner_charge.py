"""The fake partner as a caller: the sequence of one charge against a small scripted hub."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from partners.fake.config import LinkConfig
from partners.fake.faults import Fault
from partners.fake.partner import FakePartner
from partners.fake.platform import EnvelopeFake, Judgement
from tests.fakes.calling import HUB, HUB_KEYS, OTHER, control, keys_config, link_config, manual_clock

CONNECTOR = "3201090000123401"


def station(number: int) -> dict[str, Any]:
    connector: dict[str, Any] = {
        "ConnectorID": CONNECTOR if number == 3 else f"32010900009999{number:02d}",
        "ConnectorType": 4,
        "VoltageUpperLimits": 750,
        "VoltageLowerLimits": 200,
        "Current": 250,
        "Power": Decimal("120.0"),
        "NationalStandard": 2,
    }
    equipment = {
        "EquipmentID": connector["ConnectorID"][:-2],
        "EquipmentType": 1,
        "Power": Decimal("120.0"),
        "ConnectorInfos": [connector],
    }
    return {
        "StationID": f"S{number}",
        "OperatorID": HUB,
        "EquipmentOwnerID": HUB,
        "StationName": f"示例站{number}",
        "CountryCode": "CN",
        "AreaCode": "330106",
        "Address": "示例路1号",
        "ServiceTel": "4000000000",
        "StationType": 1,
        "StationStatus": 50,
        "ParkNums": 10,
        "StationLng": Decimal("120.158276"),
        "StationLat": Decimal("30.285134"),
        "Construction": 255,
        "EquipmentInfos": [equipment],
    }


class ScriptedHub(EnvelopeFake):
    """Answers like a hub with three stations of which one has our connector."""

    def __init__(self) -> None:
        config = {"operator_id": HUB, "hub_operator_id": OTHER, "keys": keys_config(HUB_KEYS)}
        super().__init__(LinkConfig.model_validate(config), manual_clock())
        self.changes: dict[str, dict[str, Any]] = {}

    def interfaces(self) -> frozenset[str]:
        return frozenset(
            (
                "query_stations_info",
                "query_station_status",
                "query_equip_auth",
                "query_equip_business_policy",
                "query_start_charge",
                "query_stop_charge",
            )
        )

    def judge(self, interface: str, body: dict[str, Any], fault: Fault | None) -> Judgement:
        return Judgement(getattr(self, interface)(body) | self.changes.get(interface, {}))

    def query_stations_info(self, body: dict[str, Any]) -> dict[str, Any]:
        page, size = body["PageNo"], body["PageSize"]
        stations = [station(number) for number in (1, 2, 3)]
        return {
            "PageNo": page,
            "PageCount": -(-3 // size),
            "ItemSize": 3,
            "StationInfos": stations[(page - 1) * size : page * size],
        }

    def query_station_status(self, body: dict[str, Any]) -> dict[str, Any]:
        infos = [{"StationID": name, "ConnectorStatusInfos": []} for name in body["StationIDs"]]
        return {"Total": len(infos), "StationStatusInfos": infos}

    def query_equip_auth(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"SuccStat": 0, "FailReason": 0}

    def query_equip_business_policy(self, body: dict[str, Any]) -> dict[str, Any]:
        period = {"StartTime": "000000", "ElecPrice": Decimal("0.8000"), "SevicePrice": Decimal("0.4000")}
        return body | {"SuccStat": 0, "FailReason": 0, "SumPeriod": 1, "PolicyInfos": [period]}

    def query_start_charge(self, body: dict[str, Any]) -> dict[str, Any]:
        names = ("StartChargeSeq", "ConnectorID")
        return {name: body[name] for name in names} | {"StartChargeSeqStat": 1, "SuccStat": 0, "FailReason": 0}

    def query_stop_charge(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"StartChargeSeq": body["StartChargeSeq"], "StartChargeSeqStat": 3, "SuccStat": 0, "FailReason": 0}


@pytest.fixture
def hub() -> Iterator[ScriptedHub]:
    with ScriptedHub() as server:
        yield server


@pytest.fixture
def partner(hub: ScriptedHub) -> Iterator[FakePartner]:
    config = link_config(hub_base_url=hub.base_url, hub_keys=keys_config(HUB_KEYS), page_size=2)
    with FakePartner(config, manual_clock()) as fake:
        yield fake


def test_the_sequence_of_one_charge(partner: FakePartner, hub: ScriptedHub) -> None:
    charge = control(partner, "charge", {"connector_id": CONNECTOR, "plate": "浙AD12345"})
    assert charge["ok"], charge
    seq = charge["start_charge_seq"]
    assert len(seq) == 27
    assert seq.startswith(OTHER + "260302120000")
    assert [step["interface"] for step in charge["steps"]] == [
        "query_token",
        "query_stations_info",
        "query_stations_info",
        "query_station_status",
        "query_equip_auth",
        "query_equip_business_policy",
        "query_start_charge",
    ]
    started = hub.received("query_start_charge")[0]["body"]
    assert started == {"StartChargeSeq": seq, "ConnectorID": CONNECTOR, "QRCode": "", "PlateNum": "浙AD12345"}
    assert hub.received("query_station_status")[0]["body"] == {"StationIDs": ["S1", "S2", "S3"]}
    assert partner.books.pages[seq].policy[0]["ElecPrice"] == Decimal("0.8")
    assert partner.findings("violation") == []
    assert "***" in str(charge["steps"][0]), "the token is not shown"


def test_a_charge_without_plate_sends_none(partner: FakePartner, hub: ScriptedHub) -> None:
    assert partner.charge(CONNECTOR)["ok"]
    assert "PlateNum" not in hub.received("query_start_charge")[0]["body"]


def test_stop_uses_the_order_of_the_books(partner: FakePartner, hub: ScriptedHub) -> None:
    seq = partner.charge(CONNECTOR)["start_charge_seq"]
    assert control(partner, "stop", {"start_charge_seq": seq})["data"]["StartChargeSeqStat"] == 3
    assert hub.received("query_stop_charge")[0]["body"] == {"StartChargeSeq": seq, "ConnectorID": CONNECTOR}
    assert "error" in control(partner, "stop", {"start_charge_seq": "unknown"})


def test_a_refused_step_ends_the_sequence(partner: FakePartner, hub: ScriptedHub) -> None:
    hub.changes["query_equip_auth"] = {"SuccStat": 1, "FailReason": 1}
    charge = partner.charge(CONNECTOR)
    assert not charge["ok"]
    assert charge["failed"].startswith("query_equip_auth")
    assert hub.received("query_start_charge") == []


def test_a_connector_that_is_not_listed_is_not_started(partner: FakePartner, hub: ScriptedHub) -> None:
    assert "not listed" in partner.charge("0000000000000000")["failed"]
    assert hub.received("query_start_charge") == []


def test_slips_in_the_hubs_answers_are_violations(partner: FakePartner, hub: ScriptedHub) -> None:
    hub.changes["query_equip_business_policy"] = {"SumPeriod": "1"}
    assert partner.charge(CONNECTOR)["ok"]
    [finding] = partner.findings("violation")
    assert (finding.code, finding.subject) == ("field_type", "query_equip_business_policy")


def test_any_interface_can_be_called(partner: FakePartner, hub: ScriptedHub) -> None:
    body = {"EquipAuthSeq": OTHER + "1" * 18, "ConnectorID": CONNECTOR}
    answer = control(partner, "call", {"interface": "query_equip_auth", "body": body})
    assert answer["ok"]
    assert answer["data"]["SuccStat"] == 0
    assert hub.received("query_equip_auth")[0]["seq"] == "0002", "the token call had 0001 in the same second"
    assert control(partner, "call", {"interface": "query_weather"})["ret"] == 4004


def test_an_expired_token_is_renewed_once(partner: FakePartner, hub: ScriptedHub) -> None:
    assert partner.charge(CONNECTOR)["ok"]
    hub.tokens.forget()
    assert partner.call("query_equip_auth", {"EquipAuthSeq": "x", "ConnectorID": CONNECTOR}).ok


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "wrong_sig"}, "Sig"),
        ({"kind": "garbage"}, "not a valid answer"),
        ({"kind": "close"}, "ConnectionError"),
        ({"kind": "ret", "value": -1}, "Ret -1"),
    ],
)
def test_a_misbehaving_hub_is_told_in_words(
    partner: FakePartner, hub: ScriptedHub, fault: dict[str, Any], words: str
) -> None:
    hub.faults.replace([fault | {"interface": "query_equip_auth"}])
    assert words in partner.charge(CONNECTOR)["failed"]


def test_without_the_hubs_keys_a_call_is_refused() -> None:
    with FakePartner(link_config(), manual_clock()) as partner:
        assert "hub_keys" in control(partner, "call", {"interface": "query_token"})["error"]
