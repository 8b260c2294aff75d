"""One bill, the same figures for everybody: 1 000 random orders over random tariffs, as partner, regulator and staff see them.

Money is identical to the fen everywhere; energy is equal at the scale of the destination; in every account the details sum to the
totals (DECISIONS 12). The bodies are read back by the fakes' own code, and checked by the arithmetic of their books.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database, HubSession
from charging_core.money import quantize
from charging_core.orders.billing import Basis, Bill, MeterSample, make_bill
from charging_core.orders.model import ChargeOrder, OrderDetail, Origin, StopReason
from charging_core.orders.snapshot import order_snapshot
from charging_core.orders.state import OrderState
from charging_core.stations.model import Connector
from charging_core.tariffs.periods import DayPeriods, Period, RateClass
from charging_core.types import dump_json, load_json
from hub.reading.orders import by_class
from hub.reading.values import yuan
from municipal.fake.books import NAMES as REGULATOR_NAMES
from municipal.mapping import body_of
from municipal.model import RegulatorLink
from municipal.regulators import Regulator, regulator_of
from partners.fake.bills import BillFault, BillNames, bill_faults
from partners.fake.wire import parse_json
from partners.profiles.engine import Rendered, render
from partners.profiles.loader import load_profile
from partners.profiles.scope import scope_of
from partners.tcec102.jsonio import dumps
from tests.support.seed import Seeded, seed_operator

ORDERS = 1000
CLASSES = tuple(RateClass)
SLOTS_A_DAY = 48
_BEGIN = datetime.fromisoformat("2026-03-02T00:00:00+08:00")

prices = st.decimals(min_value=0, max_value=3, places=5, allow_nan=False, allow_infinity=False)
energies = st.decimals(min_value=0, max_value=200, places=4, allow_nan=False, allow_infinity=False)


@dataclass(frozen=True)
class Charge:
    """What happened: a tariff, when, how much of each class, and what the meter showed on the way."""

    tariff: DayPeriods
    start: datetime
    end: datetime
    counted: dict[RateClass, Decimal]
    samples: list[MeterSample]

    def bill(self) -> Bill:
        """As the hub bills it."""
        return make_bill(self.counted, self.start, self.end, self.tariff, self.samples)


@st.composite
def tariffs(draw: st.DrawFn) -> DayPeriods:
    """Up to twelve borders a day on the half-hour grid, a price pair per class."""
    starts = sorted({0, *draw(st.lists(st.integers(1, SLOTS_A_DAY - 1), max_size=12))})
    pairs = {rate_class: (draw(prices), draw(prices)) for rate_class in CLASSES}
    classes = [draw(st.sampled_from(CLASSES)) for _ in starts]
    return DayPeriods([Period(slot * 30, c, *pairs[c]) for slot, c in zip(starts, classes, strict=True)])


@st.composite
def charges(draw: st.DrawFn) -> Charge:
    """A charge of a second up to a day; the record names only classes that the tariff has, and some energy."""
    tariff = draw(tariffs())
    start = _BEGIN + timedelta(seconds=draw(st.integers(0, 24 * 3600)))
    end = start + timedelta(seconds=draw(st.integers(1, 24 * 3600)))
    known = sorted({period.rate_class for period in tariff.periods})
    counted = draw(st.dictionaries(st.sampled_from(known), energies, min_size=1))
    readings = sorted(draw(st.lists(energies, max_size=6)))
    samples = [MeterSample(start + timedelta(minutes=5 * number), at) for number, at in enumerate(readings)]
    return Charge(tariff, start, end, counted, samples)


class Desk:
    """A database with one operator, and both destinations' profiles. No dataclass: its print would be a whole profile long."""

    def __init__(self, session: HubSession, seeded: Seeded, regulator: Regulator) -> None:
        self.session = session
        self.seeded = seeded
        self.connector = session.scalars(select(Connector).where(Connector.code == seeded.connectors[0])).one()
        self.partner = load_profile("textbook")
        self.regulator = regulator

    def snapshot(self, charge: Charge, bill: Bill) -> dict[str, Any]:
        """The settled order as events carry it: by the core's own function, and through the text that is stored."""
        order = ChargeOrder(
            id="01TESTORDER", operator_id=self.seeded.operator_id, connector=self.connector, origin=Origin.PARTNER,
            link_id="link", start_charge_seq="MA5PARTN1260302000000000001", tariff_version_id="version",
            state=OrderState.SETTLED, version=3, created_at=charge.start, started_at=charge.start, ended_at=charge.end,
            settled_at=charge.end, stop_reason=StopReason.PARTNER, stop_code=0x40, energy_kwh=bill.energy_kwh,
            elec_fee=bill.elec_fee, service_fee=bill.service_fee,
            energy_by_class={c.value: energy for c, energy in charge.counted.items()}, details=list(_rows(bill)),
        )  # fmt: skip
        found: dict[str, Any] = load_json(dump_json(order_snapshot(self.session, order)))
        return found


def _rows(bill: Bill) -> Iterator[OrderDetail]:
    for number, line in enumerate(bill.details, start=1):
        yield OrderDetail(
            number=number, started_at=line.started_at, ended_at=line.ended_at, rate_class=line.rate_class,
            elec_price=line.elec_price, service_price=line.service_price, energy_kwh=line.energy_kwh,
            elec_fee=line.elec_fee, service_fee=line.service_fee, basis=line.basis,
        )  # fmt: skip


@pytest.fixture
def desk(db: Database, manual_clock: ManualClock) -> Iterator[Desk]:
    """One desk for all thousand orders; nothing is written after the operator."""
    seeded = seed_operator(db, manual_clock.now())
    row = RegulatorLink(
        id="regulator", tenant_id=seeded.tenant_id, slug="province", profile="zhejiang-province", environment="test",
        our_operator_id=seeded.operator_id, their_operator_id="MA5REGUL1", outbound_base="http://localhost/",
        stations="all", wire_names={}, assigned_codes={}, options={}, enabled=True,
    )  # fmt: skip
    with db.read(seeded.tenant_id) as session:
        yield Desk(session, seeded, regulator_of(row))


@pytest.mark.sqlite(reason="pure but for the operator's master data, which is the same on every database")
@settings(max_examples=ORDERS, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(charge=charges())
def test_partner_regulator_and_staff_see_the_same_bill(desk: Desk, charge: Charge) -> None:
    bill = charge.bill()
    snapshot = desk.snapshot(charge, bill)
    partner = told(partner_body(desk, snapshot, charge.end))
    regulator = told(body_of(desk.regulator, "order", snapshot | {"at": charge.end}, charge.end))

    assert faults(partner, BillNames(), bill) == []
    assert faults(regulator, REGULATOR_NAMES, bill) == []
    for body, service in ((partner, "TotalSeviceMoney"), (regulator, "TotalServiceMoney")):
        assert Decimal(body["TotalElecMoney"]) == bill.elec_fee
        assert Decimal(body[service]) == bill.service_fee
        assert Decimal(body["TotalMoney"]) == bill.total_fee
    assert Decimal(partner["TotalPower"]) == quantize(bill.energy_kwh, 2)
    assert Decimal(regulator["TotalElect"]) == bill.energy_kwh == sum(charge.counted.values())
    _same_lines(snapshot, partner["ChargeDetails"], "DetailSeviceMoney")
    _same_lines(snapshot, regulator.get("ChargeDetails") or [], "DetailServiceMoney")

    shown = by_class(snapshot["details"])
    assert sum(line["total_fee"] for line in shown) == snapshot["total_fee"]
    assert yuan(snapshot["total_fee"]) == str(quantize(Decimal(partner["TotalMoney"]), 2))


def partner_body(desk: Desk, snapshot: dict[str, Any], now: datetime) -> Rendered:
    """The order push by the standard's profile."""
    link = {"slug": "platform", "our_operator_id": desk.seeded.operator_id, "their_operator_id": "MA5PARTN1"}
    scope = scope_of("order", snapshot, link=link)
    return render(desk.partner, "notification_charge_order_info", scope, now)


def faults(body: dict[str, Any], names: BillNames, bill: Bill) -> list[BillFault]:
    """What does not add up for the receiver. A class that the pile's clock never reached is a line over the whole charge
    (`Basis.OUTSIDE`), so that lines overlap; the figures must hold all the same.
    """
    outside = any(line.basis is Basis.OUTSIDE for line in bill.details)
    return [fault for fault in bill_faults(body, names) if not (outside and fault.code == "detail_time")]


def told(rendered: Rendered) -> dict[str, Any]:
    """The body as its receiver reads it."""
    assert rendered.problems == ()
    body: dict[str, Any] = parse_json(dumps(rendered.body))
    return body


def _same_lines(snapshot: dict[str, Any], lines: list[dict[str, Any]], service: str) -> None:
    """Line by line the same money."""
    assert [(Decimal(line["DetailElecMoney"]), Decimal(line[service])) for line in lines] == [
        (detail["elec_fee"], detail["service_fee"]) for detail in snapshot["details"]
    ]
