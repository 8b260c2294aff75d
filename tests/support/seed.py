"""A small operator in the database: one station, one DC pile with two connectors, a four-class tariff."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.ids import new_id
from charging_core.orders.ports import OrderContext
from charging_core.piles.store.commands import TableCommands
from charging_core.stations.model import Connector, ConnectorState, Pile, Station
from charging_core.tariffs.model import Tariff, TariffVersion
from charging_core.tenants import Operator, Tenant

PERIODS = [
    {"start": "00:00", "class": "valley", "elec_price": Decimal("0.30000"), "service_price": Decimal("0.30000")},
    {"start": "07:00", "class": "flat", "elec_price": Decimal("0.70000"), "service_price": Decimal("0.40000")},
    {"start": "10:00", "class": "peak", "elec_price": Decimal("1.00000"), "service_price": Decimal("0.40000")},
    {"start": "12:00", "class": "sharp", "elec_price": Decimal("1.20000"), "service_price": Decimal("0.40000")},
    {"start": "14:00", "class": "flat", "elec_price": Decimal("0.70000"), "service_price": Decimal("0.40000")},
]


@dataclass
class Wakes:
    """Remembers which piles were woken."""

    piles: list[str] = field(default_factory=list)

    def wake(self, pile_code: str) -> None:
        self.piles.append(pile_code)


@dataclass
class Seeded:
    """What was put in."""

    tenant_id: str
    operator_id: str
    station_code: str
    pile_code: str
    connectors: tuple[str, str]
    tariff_version_id: str


def seed_operator(db: Database, now: datetime, *, tenant_id: str = "green", number: int = 1) -> Seeded:
    """One tenant with everything a charge needs; `number` keeps several tenants apart."""
    operator_id, pile_code = f"MA5TEST{number:02d}", f"3201060001{number:04d}"
    tariff_id, version_id, station_id, pile_id = new_id(), new_id(), new_id(), new_id()
    codes = (f"{pile_code}01", f"{pile_code}02")
    with db.system("test data") as session:
        session.add(Tenant(id=tenant_id, name=f"{tenant_id} 充电", created_at=now))
        session.add(Operator(operator_id=operator_id, tenant_id=tenant_id, name="绿能充电", tel="057100000000"))
        session.add(Tariff(id=tariff_id, tenant_id=tenant_id, code="day", name="日间"))
        session.add(
            TariffVersion(
                id=version_id, tenant_id=tenant_id, tariff_id=tariff_id, number=1, model_number="0001",
                valid_from=now - timedelta(days=1), periods=PERIODS, created_at=now,
            )
        )  # fmt: skip
        session.add(_station(tenant_id, operator_id, station_id, tariff_id, now))
        session.flush()
        session.add(
            Pile(
                id=pile_id, tenant_id=tenant_id, code=pile_code, station_id=station_id, kind="dc",
                power_kw=Decimal(120), confirmed_tariff_version_id=version_id, online=True,
            )
        )  # fmt: skip
        session.flush()
        session.add_all(_connector(tenant_id, pile_id, code) for code in codes)
    return Seeded(tenant_id, operator_id, "S0001", pile_code, codes, version_id)


def order_context(clock: ManualClock) -> tuple[OrderContext, Wakes]:
    """The order service on the real command table."""
    wakes = Wakes()
    return OrderContext(clock, TableCommands(clock, wakes)), wakes


def _station(tenant_id: str, operator_id: str, station_id: str, tariff_id: str, now: datetime) -> Station:
    return Station(
        id=station_id, tenant_id=tenant_id, code="S0001", operator_id=operator_id, name="西湖示范站",
        area_code="330106", address="文三路 1 号", service_tel="4000000000", bays=2,
        location={"lng": Decimal("120.158276"), "lat": Decimal("30.285134")}, tariff_id=tariff_id, changed_at=now,
    )  # fmt: skip


def _connector(tenant_id: str, pile_id: str, code: str) -> Connector:
    return Connector(
        id=new_id(), tenant_id=tenant_id, code=code, pile_id=pile_id, number=int(code[-2:]), kind="dc_plug",
        voltage_upper_v=750, voltage_lower_v=200, current_a=250, power_kw=Decimal(120),
        state=ConnectorState.PLUGGED, plugged=True,
    )  # fmt: skip
