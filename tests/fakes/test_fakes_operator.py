"""The fake operator of piles: strict about what it is asked, able to be moved by hand, runnable as a program."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from charging_core.clock import ManualClock
from partners.fake.caller import HubCaller
from partners.fake.config import LinkConfig
from partners.fake.operator import FakeOperator

KEYS = {"operator_secret": "op-secret-00001", "data_secret": "oprDataKey000001", "data_iv": "oprInitVector001"}
KEYS |= {"sig_secret": "oprSignKey000001"}
SEQ = "MA5TEST01260302080000000001"
CONNECTOR = "77000101"


@pytest.fixture
def operator(manual_clock: ManualClock) -> Iterator[FakeOperator]:
    config = {"operator_id": "MA5OPER01", "hub_operator_id": "MA5TEST01", "keys": KEYS}
    with FakeOperator(config, manual_clock) as fake:
        yield fake


@pytest.fixture
def hub(operator: FakeOperator, manual_clock: ManualClock) -> HubCaller:
    """Somebody who calls it as a hub would."""
    config = LinkConfig.model_validate(
        {
            "operator_id": "MA5TEST01",
            "hub_operator_id": "MA5OPER01",
            "keys": KEYS,
            "hub_keys": KEYS,
            "hub_base_url": operator.base_url,
        }
    )
    return HubCaller(config, manual_clock)


@pytest.mark.parametrize(
    ("interface", "body"),
    [
        ("query_start_charge", {"StartChargeSeq": "short", "ConnectorID": CONNECTOR}),
        ("query_start_charge", {"StartChargeSeq": SEQ}),
        ("query_station_status", {"StationIDs": "770001"}),
        ("query_station_status", {"StationIDs": ["x"] * 51}),
        ("query_equip_charge_status", {"StartChargeSeq": SEQ}),
        ("query_station_stats", {"StationID": "770001", "StartTime": "yesterday", "EndTime": "2026-03-02"}),
        ("notification_stationStatus", {}),
    ],
)
def test_wrong_questions_are_4004(hub: HubCaller, interface: str, body: dict[str, Any]) -> None:
    assert hub.call(interface, body).ret == 4004


def test_a_start_is_idempotent_and_bound_to_its_connector(hub: HubCaller, operator: FakeOperator) -> None:
    body = {"StartChargeSeq": SEQ, "ConnectorID": CONNECTOR, "QRCode": ""}
    first, again = hub.call("query_start_charge", body), hub.call("query_start_charge", body)
    assert first.data == again.data
    other = hub.call("query_start_charge", body | {"ConnectorID": "77000102"})
    assert (other.data or {})["FailReason"] == 10
    nowhere = hub.call("query_start_charge", body | {"StartChargeSeq": SEQ[:-1] + "2", "ConnectorID": "x"})
    assert (nowhere.data or {})["FailReason"] == 1
    assert list(operator.charges) == [SEQ]


def test_a_stop_and_its_repetitions(hub: HubCaller, operator: FakeOperator) -> None:
    hub.call("query_start_charge", {"StartChargeSeq": SEQ, "ConnectorID": CONNECTOR, "QRCode": ""})
    body = {"StartChargeSeq": SEQ, "ConnectorID": CONNECTOR}
    assert (hub.call("query_stop_charge", body).data or {})["StartChargeSeqStat"] == 3
    operator.charges[SEQ].stat = 4
    assert (hub.call("query_stop_charge", body).data or {})["FailReason"] == 3
    assert (hub.call("query_stop_charge", body | {"StartChargeSeq": SEQ[:-1] + "2"}).data or {})["FailReason"] == 4


def test_pages_end_and_closed_stations_are_not_listed(hub: HubCaller, operator: FakeOperator) -> None:
    operator.closed.add("770002")
    page = hub.call("query_stations_info", {"LastQueryTime": "", "PageNo": 2, "PageSize": 1}).data or {}
    assert (page["PageCount"], page["ItemSize"], page["StationInfos"][0]["StationID"]) == (2, 2, "770003")
    assert operator.summary()["charges"] == {}


def test_statistics_sum_the_bills(hub: HubCaller, operator: FakeOperator) -> None:
    hub.call("query_start_charge", {"StartChargeSeq": SEQ, "ConnectorID": CONNECTOR, "QRCode": ""})
    charge = operator.charges[SEQ]
    charge.energy, charge.bill = Decimal("10.00"), {"EndTime": "2026-03-02 09:00:00"}
    asked = {"StationID": "770001", "StartTime": "2026-03-02", "EndTime": "2026-03-02"}
    stats = (hub.call("query_station_stats", asked).data or {})["StationStats"]
    assert stats["StationElectricity"] == Decimal("10.0")
    operator.reset()
    assert operator.charges == {}
