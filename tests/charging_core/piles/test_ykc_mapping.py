"""From YKC frames to neutral events, and the code tables behind them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from charging_core.piles.errors import BadTariff
from charging_core.piles.events import ConnectorStatus, PileCurrent, RateClass, StopCategory
from charging_core.piles.ports import PileTariff
from charging_core.piles.protocols.ykc import mapping
from charging_core.piles.protocols.ykc.codec import Frame, decode, encode
from charging_core.piles.protocols.ykc.codes import STOP_CODES, fault_names, stop_category
from tests.charging_core.piles.piles_support import LOGIN, PILE, REALTIME, RECORD, START, TRADE, make_tariff


def changed(wire: bytes, **fields: object) -> Frame:
    """The frame with some fields changed."""
    frame = decode(wire)
    return decode(encode(frame.type, {**frame.fields, **fields}, frame.sequence))


def test_login_in_neutral_words() -> None:
    login = mapping.login(decode(LOGIN), "c1", "10.0.0.1:5", START)
    assert (login.pile_code, login.protocol, login.protocol_version) == (PILE, "ykc", "1.6")
    assert (login.firmware, login.current, login.connector_count) == ("V2.3.1", PileCurrent.DC, 2)
    assert login.sim == "89860412345678901234"


def test_unknown_parts_of_a_login_are_none() -> None:
    login = mapping.login(changed(LOGIN, pile_kind=9, firmware="  ", sim="0" * 20), "c1", "", START)
    assert (login.current, login.firmware, login.sim) == (PileCurrent.UNKNOWN, None, None)


def test_sample_in_neutral_words() -> None:
    sample = mapping.sample(decode(REALTIME), START)
    assert (sample.pile_code, sample.connector_no, sample.trade_number) == (PILE, 1, TRADE)
    assert (sample.status, sample.plugged, sample.faults) == (ConnectorStatus.CHARGING, True, ())
    assert (sample.voltage_v, sample.soc, sample.energy_kwh) == (Decimal("412.7"), 47, Decimal("10.3456"))


def test_an_idle_connector_has_no_trade_number() -> None:
    sample = mapping.sample(changed(REALTIME, trade_number="0" * 32, status=2, plugged=0), START)
    assert (sample.trade_number, sample.status, sample.plugged) == (None, ConnectorStatus.IDLE, False)
    assert mapping.sample(changed(REALTIME, status=7), START).status is ConnectorStatus.UNKNOWN


def test_faults_have_names_and_vendors_bits_are_kept() -> None:
    assert fault_names(0b1000_0000_0000_0011) == ("emergency_stop", "no_rectifier", "vendor_16")
    assert mapping.sample(changed(REALTIME, faults=1 << 12), START).faults == ("door_open",)


def test_record_in_neutral_words() -> None:
    record = mapping.record(decode(RECORD), RECORD, START)
    assert [rate.rate_class for rate in record.rates] == list(RateClass)
    assert sum(rate.energy_kwh for rate in record.rates) == record.total_energy_kwh == Decimal("14.3956")
    assert (record.stop_code, record.stop_category, record.trade_flag) == (0x40, StopCategory.REMOTE, 1)
    assert (record.vin, record.card, record.complete) == ("LTEST000000000017", None, True)
    assert record.raw == RECORD.hex().upper()


def test_a_record_of_1_7_reads_like_one_of_1_5() -> None:
    fields = dict(decode(RECORD).fields)
    metrology = {"meter_number": "0" * 12, "meter_cipher": "0" * 68, "meter_protocol": "0000", "meter_encryption": 0}
    wire = encode(0x3D, {**fields, **metrology})
    old, new = mapping.record(decode(RECORD), b"", START), mapping.record(decode(wire), b"", START)
    assert old == new


def test_a_truncated_record_is_incomplete_not_guessed() -> None:
    body = decode(RECORD)
    kept = dict(list(body.fields.items())[:9])
    record = mapping.record(body._replace(fields=kept, short=True), RECORD, START)
    assert (record.complete, len(record.rates), record.total_energy_kwh, record.stop_code) == (False, 1, None, None)


@pytest.mark.parametrize("vin", ["", "0" * 17, "ÿ" * 17, " " * 17])
def test_what_firmware_sends_for_no_vin_is_none(vin: str) -> None:
    assert mapping.record(changed(RECORD, vin=vin), RECORD, START).vin is None


@pytest.mark.parametrize(("digits", "number"), [("01", 1), ("10", 10), ("0A", 10)])
def test_connector_numbers(digits: str, number: int) -> None:
    assert mapping.connector_number(digits) == number


@pytest.mark.parametrize(
    ("code", "category"),
    [
        (0x41, StopCategory.FULL),
        (0x42, StopCategory.LIMIT),
        (0x45, StopCategory.MANUAL),
        (0x6E, StopCategory.BALANCE),
        (0x6B, StopCategory.UNPLUGGED),
        (0x72, StopCategory.EMERGENCY_STOP),
        (0x83, StopCategory.POWER_LOSS),
        (0x5A, StopCategory.VEHICLE),
        (0x89, StopCategory.PILE),
        (0x4A, StopCategory.PILE),
        (0x90, StopCategory.UNKNOWN),
        (0x00, StopCategory.UNKNOWN),
        (0xC3, StopCategory.UNKNOWN),
    ],
)
def test_stop_categories(code: int, category: StopCategory) -> None:
    assert stop_category(code) is category


def test_every_published_stop_code_has_words_and_a_category() -> None:
    assert len(STOP_CODES) == 6 + 26 + 31 + 1
    assert all(stop_category(code) is not StopCategory.UNKNOWN for code in STOP_CODES if code != 0x90)


def test_tariff_becomes_the_example_of_the_digest() -> None:
    wire = encode(0x0A, mapping.tariff_fields(PILE, replace(make_tariff(), model_number="0100")), b"\x03\x00")
    assert wire.hex().upper() == (
        "685E0300000A310001990000170100C0D40100409C0000A0860100409C000070110100409C0000307500003075000000030303030303"
        "030303030303030302020202020201010101000000000202020202020202010101010101010103030303DC00"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"model_number": "0000"},
        {"model_number": "1"},
        {"model_number": "00zz"},
        {"slots": (0,) * 47},
        {"slots": (4,) * 48},
        {"prices": make_tariff().prices[:3]},
    ],
)
def test_tariffs_that_no_pile_can_express_are_refused(change: dict[str, object]) -> None:
    whole = {"model_number": "0001", "prices": make_tariff().prices, "slots": make_tariff().slots, **change}
    with pytest.raises(BadTariff):
        PileTariff(**whole)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sent", "known"),
    [("LTEST\x000000000017", "LTEST0000000017"), ("\x00\x01\xff", None), ("0" * 17, None), (None, None)],
)
def test_a_vin_holds_no_bytes_that_a_database_refuses(sent: str | None, known: str | None) -> None:
    assert mapping.known_vin(sent) == known
