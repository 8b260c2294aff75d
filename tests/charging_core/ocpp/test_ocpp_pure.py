"""The pure parts: frames, values with their units and phases, options, and the split of energy over the tariff."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.orders.billing import MeterSample
from charging_core.piles.events import ConnectorStatus, StopCategory, TradeRecord
from charging_core.piles.protocols.ocpp16 import frames, mapping
from charging_core.piles.protocols.ocpp16.errors import BadMessage, BadOption
from charging_core.piles.protocols.ocpp16.options import CONFIGURATION, read_options
from charging_core.piles.protocols.ocpp16.ports import Running, one_time_tag
from charging_core.piles.protocols.ocpp16.talk import LiveTransaction
from charging_core.piles.store.course import energy_by_course
from charging_core.tariffs.periods import DayPeriods, RateClass
from tests.support.seed import PERIODS

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    ["connectorId", "idTag", "meterStart", "meterStop", "timestamp", "transactionId", "status", "errorCode", "reason",
     "transactionData", "meterValue"]
)  # fmt: skip
_VALUES = st.sampled_from(
    [1, -1, 0, "1", "kWh", 10**400, 1.5, "NaN", "2026-03-02T00:00:00Z", "9999-12-31T23:59:59-23:59", [{"sampledValue": [{}]}],
     [{"timestamp": 1, "sampledValue": [{"value": "1e999999"}]}], {"a": None}]
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60) | _JSON.map(json.dumps))
def test_whatever_is_read_is_a_message_or_a_bad_message(text: bytes | str) -> None:
    with suppress(BadMessage):
        assert isinstance(frames.read(text), frames.Call | frames.Result | frames.Failure)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(frames.FROM_PILE)), st.dictionaries(_KEYS, _JSON | _VALUES, max_size=8))
def test_whatever_a_request_holds_is_understood_or_refused(action: str, payload: dict[str, Any]) -> None:
    with suppress(BadMessage):
        call = frames.read(json.dumps([2, "1", action, payload]))
        assert isinstance(call, frames.Call)
        list(mapping.values(call.payload.get("meterValue")))
        for read in (mapping.start, mapping.stop, mapping.status):
            with suppress(BadMessage):
                read(call.payload)


def test_a_request_that_breaks_its_schema_is_still_read_where_money_hangs_on_it() -> None:
    stop = frames.read('[2,"1","StopTransaction",{"transactionId":5,"meterStop":12.7,"timestamp":"x","extra":1}]')
    assert isinstance(stop, frames.Call)
    assert stop.problem
    told = mapping.stop(stop.payload)
    assert (told.meter_wh, told.told_at, told.category) == (12, None, StopCategory.MANUAL)
    with pytest.raises(BadMessage, match="FormationViolation"):
        frames.read('[2,"1","Authorize",{"idTag":"1","extra":1}]')


def test_our_own_messages_fit_their_schemas() -> None:
    assert json.loads(frames.call("7", "Reset", {"type": "Soft"})) == [2, "7", "Reset", {"type": "Soft"}]
    with pytest.raises(BadMessage):
        frames.call("7", "Reset", {"type": "Gentle"})
    with pytest.raises(BadMessage):
        frames.result("7", "Authorize", {})


def values(*sampled: dict[str, Any]) -> mapping.Values:
    return next(mapping.values([{"timestamp": "2026-03-02T09:00:00+08:00", "sampledValue": list(sampled)}]))


def test_values_come_in_units_and_phases() -> None:
    energy = mapping.ENERGY
    found = values({"value": "12.5", "unit": "kWh"}, {"value": "81", "measurand": "SoC", "unit": "Percent"})
    assert [found.at, found.register_wh, found.soc] == [NOW, 12500, 81]
    assert values({"value": "7"}).register_wh == 7, "without a name and a unit it is the register in Wh"
    phases = [{"value": v, "measurand": energy, "phase": p} for v, p in (("1", "L1"), ("2", "L2"), ("4", "L3"))]
    assert values(*phases).register_wh == 7
    assert values(*phases, {"value": "8", "measurand": energy}).register_wh == 8
    volts = [{"value": v, "measurand": "Voltage", "phase": p} for v, p in (("230", "L1-N"), ("400", "L1-L2"))]
    assert values(*volts).voltage_v == 230
    amperes = [{"value": "16", "measurand": "Current.Import", "phase": p} for p in ("L1", "L2", "L3")]
    assert values(*amperes).current_a == 48
    nothing = values(
        {"value": "9", "location": "Inlet"}, {"value": "9", "format": "SignedData"}, {"value": "x"}, {"value": "9", "unit": "J"},
        {"value": "9", "measurand": "Energy.Active.Import.Interval"},
    )  # fmt: skip
    assert nothing.register_wh is None


@pytest.mark.parametrize(
    ("status", "known", "plugged"),
    [
        ("Available", ConnectorStatus.IDLE, False),
        ("Preparing", ConnectorStatus.IDLE, True),
        ("SuspendedEV", ConnectorStatus.CHARGING, True),
        ("Finishing", ConnectorStatus.IDLE, True),
        ("Faulted", ConnectorStatus.FAULT, None),
        ("Unavailable", ConnectorStatus.OFFLINE, None),
        ("Dreaming", ConnectorStatus.UNKNOWN, None),
    ],
)
def test_states_have_neutral_names(status: str, known: ConnectorStatus, plugged: bool | None) -> None:
    told = {"connectorId": 2, "errorCode": "GroundFailure", "status": status}
    assert mapping.status(told) == (2, known, plugged, ("GroundFailure",))


def test_a_clock_that_cannot_be_right_is_not_believed() -> None:
    long_ago = NOW - timedelta(days=30)
    assert mapping.believed(long_ago, NOW) == long_ago, "off-line replay"
    for told in (None, NOW + timedelta(hours=1), datetime(1970, 1, 1, tzinfo=UTC)):
        assert mapping.believed(told, NOW) == NOW


def test_a_register_that_falls_began_again_at_zero() -> None:
    live = LiveTransaction.of(Running(1, 1, "t", NOW, 1000, Decimal(0), None))
    assert [live.count(Decimal(register)) for register in (1000, 1500, 20, 120)] == [0, 500, 520, 620]


def test_a_one_time_tag_fits_into_an_id_tag() -> None:
    assert one_time_tag("32010600000001" + "01" + "260302090000" + "1234") == "012603020900001234"


def test_options_are_read_or_refused() -> None:
    told = read_options({"heartbeat_s": 60, "configuration": {"ConnectionTimeOut": "", "LightIntensity": "10"}})
    assert told.heartbeat_s == 60
    assert told.configuration["LightIntensity"] == "10"
    assert CONFIGURATION.keys() - told.configuration.keys() == {"ConnectionTimeOut"}
    for bad in (
        {"speed": 1},
        {"heartbeat_s": 0},
        {"heartbeat_s": True},
        {"configuration": {"a": 1}},
        {"configuration": 1},
    ):
        with pytest.raises(BadOption):
            read_options(bad)


RECORD = TradeRecord(
    trade_number="t", pile_code="p", connector_no=1, started_at=NOW, ended_at=NOW + timedelta(hours=2), rates=(),
    meter_start_kwh=None, meter_end_kwh=None, total_energy_kwh=Decimal(40), total_energy_with_loss_kwh=None,
    total_amount_yuan=None, vin=None, trade_flag=None, stop_code=None, stop_category=StopCategory.FULL, card=None,
    trade_time=None, complete=True, raw="", received_at=NOW,
)  # fmt: skip


def split(record: TradeRecord, *samples: tuple[int, int]) -> dict[RateClass, Decimal]:
    """By (minutes after 09:00, kWh); the border between flat and peak is at 10:00."""
    course = [MeterSample(NOW + timedelta(minutes=minutes), Decimal(kwh)) for minutes, kwh in samples]
    return energy_by_course(record, course, DayPeriods.from_rows(PERIODS))


def test_energy_goes_to_the_class_of_its_time() -> None:
    assert split(RECORD) == {RateClass.FLAT: 20, RateClass.PEAK: 20}
    assert split(RECORD, (30, 20), (90, 30)) == {RateClass.FLAT: 25, RateClass.PEAK: 15}
    # Samples beyond the total or the time, or falling, are not believed; the total always is.
    assert split(RECORD, (-5, 3), (60, 10), (70, 5), (80, 90), (500, 99)) == {RateClass.FLAT: 10, RateClass.PEAK: 30}
    assert split(replace(RECORD, total_energy_kwh=Decimal(0))) == {}
    instant = replace(RECORD, ended_at=NOW, total_energy_kwh=Decimal(1))
    assert split(instant) == {RateClass.FLAT: 1}
