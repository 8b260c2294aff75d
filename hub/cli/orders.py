"""`hub order …`: what happened to an order, and who was told."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hub.cli.opened import looking, opened
from hub.cli.screen import AsJson, Limit, Tenant, facts, out, print_json, table
from hub.reading import orders
from hub.reading.paging import Window
from hub.reading.values import masked, when, yuan

_SUMS = ("class", "energy_kwh", "elec_fee", "service_fee", "total_fee")
_SUM_TITLES = ("类别 / class", "kWh", "电费 / energy", "服务费 / service", "元 / yuan")
_LINES = (
    "started_at",
    "ended_at",
    "class",
    "elec_price",
    "service_price",
    "energy_kwh",
    "elec_fee",
    "service_fee",
    "basis",
)
_LINE_TITLES = ("起 / from", "止 / to", "类别", "电价", "服务价", "kWh", "电费", "服务费", "依据 / basis")

order_app = typer.Typer(no_args_is_help=True, help="充电订单 / charge orders")


@order_app.command("list")
def list_orders(
    state: Annotated[str | None, typer.Option(help="状态 / state")] = None,
    tenant: Tenant = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """订单, 新的在前 / orders, newest first."""
    with opened() as container, looking(container, tenant) as session:
        found = orders.list_orders(session, Window(limit), orders.OrderFilter(state=state)).items
    if as_json:
        print_json(found)
        return
    columns = ("订单 / order", "状态 / state", "来源 / origin", "枪 / connector", "创建 / created", "kWh", "元 / yuan")
    names = ("id", "state", "origin", "connector", "created_at", "energy_kwh", "total_fee")
    table("订单 / orders", columns, [_cells(line, names) for line in found])


@order_app.command("show")
def show(
    order: Annotated[
        str, typer.Argument(help="订单号、交易流水号或 StartChargeSeq / order id, trade number or start_charge_seq")
    ],
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """一个订单的全部: 账单, 以及按时间排列的报文、状态、推送、停车 / everything about one order, in the order of time."""
    with opened() as container, looking(container, tenant) as session:
        found = orders.require_order(session, order)
        trace = masked(orders.order_trace(session, found, container.parking_of(session, found.id)))
    if as_json:
        print_json(trace)
    else:
        _show(trace)


def _show(trace: dict[str, Any]) -> None:
    order = trace["order"]
    _show_head(order)
    rows = [_cells(line, _SUMS) for line in order["periods"]]
    if order["total_fee"] is not None:
        rows.append(("合计 / total", *_cells(order, _SUMS[1:])))
    table("按时段 / by period", _SUM_TITLES, rows)
    table("账单明细 / bill lines", _LINE_TITLES, [_cells(line, _LINES) for line in order["details"]])
    _show_timeline(trace["timeline"])


def _show_head(order: dict[str, Any]) -> None:
    out.print(f"[bold]订单 / order {order['id']}[/]  [cyan]{order['state']}[/]")
    facts(
        "概要 / summary",
        {
            "交易流水号 / trade number": order["trade_number"],
            "StartChargeSeq": order["start_charge_seq"],
            "来源 / origin": f"{order['origin']} {order['link_id'] or ''}",
            "账户 / account": " ".join(part for part in (order["member"], order["card"]) if part),
            "并充 / with": " ".join(order["group"]["others"]) if order["group"] else "",
            "场站 / station": order["station"]["name"],
            "枪 / connector": order["connector"]["code"],
            "开始 / started": when(order["started_at"]),
            "结束 / ended": when(order["ended_at"]),
            "上限 / limits": _limits(order["limits"]),
            "停止原因 / stop reason": order["stop_reason"],
            "失败 / failure": order["failure"],
            "待核 / review": order["review"],
        },
    )


def _limits(limits: dict[str, Any]) -> str:
    units = (("yuan", "元"), ("kwh", "kWh"), ("minutes", "min"), ("soc", "%"))
    return ", ".join(f"{limits[name]} {unit}" for name, unit in units if limits[name] is not None)


def _show_timeline(entries: list[dict[str, Any]]) -> None:
    rows = [(when(entry["at"]), f"{entry['kind']}  {entry['what']}", entry["detail"]) for entry in entries]
    table("经过 / what happened", ("时间 / at", "事件 / event", "说明 / detail"), rows, whole=1)


def _cells(line: dict[str, Any], names: tuple[str, ...]) -> tuple[object, ...]:
    return tuple(_cell(name, line[name]) for name in names)


def _cell(name: str, value: Any) -> object:
    if name.endswith(("_at", "_from", "_until")) or name == "at":
        return when(value)
    return yuan(value) if name.endswith("_fee") else value
