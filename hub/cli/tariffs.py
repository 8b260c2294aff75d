"""`hub tariff …`: versions and days of a tariff, what a charge would cost, what past charges would have cost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.orders.bills.simulate import Past
from charging_core.tariffs.model import Tariff
from charging_core.tariffs.plan import TariffPlan
from charging_core.tariffs.schedule import newest_version
from charging_core.tariffs.service import plan_of
from hub.apply.document import read_tariffs
from hub.cli.bills import decimal_of
from hub.cli.opened import looking, opened
from hub.cli.screen import AsJson, Limit, Tenant, facts, out, print_json, table
from hub.reading import tariffs
from hub.reading.paging import MOST, Window
from hub.reading.times import instant, instant_or_ago
from hub.reading.values import when, yuan

tariff_app = typer.Typer(no_args_is_help=True, help="计费模型 / tariffs")

TariffName = Annotated[str, typer.Argument(metavar="TARIFF", help="计费模型编码 / tariff code")]
Station = Annotated[str | None, typer.Option("--station", help="只看此场站 (编码) / this station only")]


@tariff_app.command("list")
def list_tariffs(tenant: Tenant = None, limit: Limit = MOST, as_json: AsJson = False) -> None:
    """计费模型与现行版本 / tariffs and the version that holds now."""
    with opened() as container, looking(container, tenant) as session:
        found = tariffs.list_tariffs(session, Window(limit), container.clock.now()).items
    if as_json:
        print_json(found)
        return
    rows = [(t["code"], t["name"], t["version"], t["day"], when(t["valid_from"]), _day(t["periods"])) for t in found]
    columns = ("编码 / code", "名称 / name", "版本 / version", "日型 / day", "起 / from", "时段 / periods")
    table("计费模型 / tariffs", columns, rows, whole=1)


@tariff_app.command("show")
def show(tariff: TariffName, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """版本、日型与未来两周的日历 / versions, kinds of day, and the calendar of the next two weeks."""
    with opened() as container, looking(container, tenant) as session:
        found = tariffs.tariff_view(session, tariff, container.clock.now())
    if as_json:
        print_json(found)
        return
    plan = found["plan"]
    facts(
        f"{found['code']} {found['name']}",
        {"现行版本 / version": found["version"], "损耗 % / loss": plan["loss_percent"]},
    )
    kinds = [("base", _day(plan["periods"])), *((kind, _day(periods)) for kind, periods in plan["days"].items())]
    table("日型 (原价) / kinds of day, list prices", ("日型 / day", "时段 / periods"), kinds)
    table(
        "日历 / calendar",
        ("日期 / date", "日型 / day", "元/度 / yuan per kWh"),
        [tuple(d.values()) for d in found["days"]],
    )
    rows = [
        (v["number"], v["model_number"], v["day"], when(v["valid_from"]), _day(v["periods"])) for v in found["versions"]
    ]
    table("版本 / versions", ("版本", "模型号 / model", "日型 / day", "起 / from", "时段 / periods"), rows)


@tariff_app.command("quote")
def quote(
    station: Annotated[str, typer.Argument(metavar="STATION", help="场站编码 / station code")],
    energy: Annotated[str, typer.Option("--energy", help="电量 kWh")],
    at: Annotated[str | None, typer.Option("--at", help="开始时间 ISO 8601, 默认现在 / start, default now")] = None,
    power: Annotated[
        str | None, typer.Option("--power", help="功率 kW, 默认最大的枪 / kW, default the strongest connector's")
    ] = None,
    origin: Annotated[str, typer.Option("--origin", help="来源, 决定优惠 / who charges, for discounts")] = "app",
    stay: Annotated[int, typer.Option("--stay", min=0, help="充满后占位分钟 / minutes left parked afterwards")] = 0,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """报价: 现在充 30 度多少钱 / what would a charge cost."""
    with opened() as container, looking(container, tenant) as session:
        start = instant("at", at) if at else container.clock.now()
        kw = decimal_of("power", power) if power else None
        found = tariffs.quote_at(session, station, tariffs.Asked(decimal_of("energy", energy), start, kw, origin, stay))
    if as_json:
        print_json(found)
        return
    rows = [
        (when(s["started_at"]), when(s["ended_at"])[11:], s["class"], s["energy_kwh"], s["elec_price"], s["service_price"],
         yuan(s["elec_fee"]), yuan(s["service_fee"]))
        for s in found["slots"]
    ]  # fmt: skip
    columns = ("起 / from", "止 / to", "类别", "kWh", "电价", "服务价", "电费 / energy", "服务费 / service")
    table(f"{found['station']} {found['tariff']} {found['day'] or ''}", columns, rows)
    sums = f"{yuan(found['elec_fee'])} + {yuan(found['service_fee'])} = {yuan(found['total_fee'])} 元"
    more = f", 占位费 / occupancy {yuan(found['occupancy_fee'])}" if found["occupancy_fee"] else ""
    less = f", 优惠 / discount {found['discount']}" if found["discount"] else ""
    out.print(
        f"{found['energy_kwh']} kWh: {sums} ({found['yuan_per_kwh']} 元/度){less}{more}", markup=False, highlight=False
    )


@tariff_app.command("simulate")
def simulate(
    what: Annotated[
        str, typer.Argument(metavar="FILE|TARIFF", help="含 tariffs 的文件, 或计费模型编码 / a file, or a code")
    ],
    since: Annotated[str, typer.Option("--since", help="结算时间起: ISO 8601 或 7d、24h / settled from")] = "30d",
    until: Annotated[str | None, typer.Option("--until", help="止 (不含) / before")] = None,
    station: Station = None,
    tenant: Tenant = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """用另一计费模型重算历史订单: 每单与合计 / past orders by other prices: each order, and the sum."""
    with opened() as container, looking(container, tenant) as session:
        now = container.clock.now()
        place = tariffs.require_station(session, station).id if station else None
        end = now if until is None else instant_or_ago("until", until, now)
        past = Past(instant_or_ago("since", since, now), end, place)
        found = tariffs.simulated(session, past, _plan_for(session, what), limit)
    if as_json:
        print_json(found)
    else:
        _show_simulated(found)


def _plan_for(session: HubSession, what: str) -> Callable[[str], TariffPlan | None]:
    """A stored tariff is tried on every order; a file's tariffs each on the orders of the same code, a single new one on every order."""
    path = Path(what)
    if not path.is_file():
        stored = plan_of(newest_version(session, tariffs.require_tariff(session, what)))
        return lambda _code: stored
    declared = {section.code: section.spec().plan for section in read_tariffs(path)}
    known = set(session.scalars(select(Tariff.code).where(Tariff.code.in_(declared))))
    if len(declared) == 1 and not known:
        (only,) = declared.values()
        return lambda _code: only
    return declared.get


def _show_simulated(found: dict[str, Any]) -> None:
    rows = [
        (
            i["order_id"],
            i["tariff"],
            when(_at(i)),
            i["energy_kwh"],
            yuan(i["old_fee"]),
            yuan(i["new_fee"]),
            _signed(i["difference"]),
        )
        for i in found["items"]
    ]
    columns = ("订单 / order", "计费模型", "开始 / started", "kWh", "原 / old", "新 / new", "差 / diff")
    table("变化最大的订单 / orders that change most", columns, rows, whole=1)
    sums = found["sums"]
    words = f"{yuan(sums['old_fee'])} → {yuan(sums['new_fee'])} 元 ({_signed(sums['difference'])})"
    out.print(f"{found['orders']} 单 / orders, {sums['energy_kwh']} kWh: {words}", markup=False, highlight=False)


def _at(line: dict[str, Any]) -> datetime:
    at: datetime = line["started_at"]
    return at


def _signed(amount: Decimal) -> str:
    return f"{amount:+.2f}"


def _day(periods: list[dict[str, Any]]) -> str:
    return " ".join(f"{p['start']} {p['class']} {p['elec_price']}+{p['service_price']}" for p in periods)
