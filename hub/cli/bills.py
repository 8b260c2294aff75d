"""`hub order explain|review|end|close|resettle|refund`: why an order costs what it costs, and setting it right by hand."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from charging_core.db import HubSession
from charging_core.errors import InvalidInput
from charging_core.orders.bills import staff
from charging_core.orders.model import ChargeOrder
from charging_core.orders.ports import OrderContext
from charging_core.tariffs.periods import RateClass
from hub.cli.opened import acting, looking, opened
from hub.cli.orders import order_app
from hub.cli.screen import AsJson, Limit, Tenant, facts, out, print_json, table
from hub.reading import review
from hub.reading.orders import require_order
from hub.reading.paging import Window
from hub.reading.values import when, yuan

__all__ = ["order_app"]

review_app = typer.Typer(no_args_is_help=True, help="待核订单 / orders under review")
order_app.add_typer(review_app, name="review")

OrderName = Annotated[
    str,
    typer.Argument(
        metavar="ORDER", help="订单号、交易流水号或 StartChargeSeq / order id, trade number or start_charge_seq"
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="原因, 留痕 / why, kept with the action")]
Who = Annotated[str | None, typer.Option("--as", help="操作人 / who does it (default: the system's user)")]

_BASES = {
    "record": "桩记录 / the pile's record",
    "samples": "按读数分摊 / split by samples",
    "duration": "按时长分摊 / split by duration",
    "outside": "记录时段之外 / outside the clock's stretches",
}
_CLASSES = (
    "类别 / class",
    "kWh",
    "桩 kWh / pile",
    "桩计损 / with loss",
    "桩单价 / price",
    "元 / yuan",
    "桩 / pile",
    "差 / diff",
)
_CHECKS = ("核对 / check", "我方 / ours", "桩 / pile", "容差 / tolerance", "相符 / fits", "说明 / doubt")
_BILLS = (
    "版本",
    "来源 / from",
    "时间 / at",
    "操作人 / by",
    "kWh",
    "元 / yuan",
    "差 / diff",
    "已退 / refunded",
    "原因 / reason",
)
_QUEUE = (
    "订单 / order",
    "状态 / state",
    "枪 / connector",
    "结束 / ended",
    "kWh",
    "元 / yuan",
    "桩 / pile",
    "差 / diff",
    "待核 / review",
)


@order_app.command("explain")
def explain(order: OrderName, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """账单逐段说明: 时段、电量、依据、取整, 以及桩的金额核对 / the bill slot by slot, beside the pile's own figures."""
    with opened() as container, looking(container, tenant) as session:
        told = review.explained(session, order)
    if as_json:
        print_json(told)
    else:
        _show_explained(told)


@review_app.command("list")
def list_review(tenant: Tenant = None, limit: Limit = 50, as_json: AsJson = False) -> None:
    """待核订单, 新的在前 / orders under review, newest first."""
    with opened() as container, looking(container, tenant) as session:
        found = review.list_review(session, Window(limit)).items
    if as_json:
        print_json(found)
        return
    rows = [
        (line["id"], line["state"], line["connector"], when(line["ended_at"]), line["energy_kwh"], yuan(line["total_fee"]),
         yuan(line["pile_amount"]), yuan(line["difference"]), line["review"])
        for line in found
    ]  # fmt: skip
    table("待核订单 / under review", _QUEUE, rows, whole=1)


@review_app.command("show")
def show_review(order: OrderName, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """两种计算并列: 我方账单与桩的记录 / both calculations side by side: our bill, and what the pile says."""
    with opened() as container, looking(container, tenant) as session:
        found = review.review_view(session, order)
    if as_json:
        print_json(found)
        return
    out.print(f"[bold]订单 / order {found['id']}[/]  [cyan]{found['state']}[/]")
    facts("待核 / under review", {"原因 / why": found["review"], "枪 / connector": found["connector"]})
    if found["bill"] is not None:
        _show_explained(found["bill"])


@review_app.command("accept")
def accept(order: OrderName, reason: Reason, who: Who = None, as_json: AsJson = False) -> None:
    """核对完毕, 以我方账单为准 / done with the review: our bill stands."""
    _do(order, reason, who, as_json, staff.accept_review)


@order_app.command("end")
def end(order: OrderName, reason: Reason, who: Who = None, as_json: AsJson = False) -> None:
    """结束未完成的订单, 不再等桩; 迟到的记录仍会结算 / end an open order without its pile; a late record still settles it."""
    _do(order, reason, who, as_json, staff.end_order)


@order_app.command("close")
def close(
    order: OrderName,
    reason: Reason,
    by_samples: Annotated[
        bool,
        typer.Option(
            "--by-samples", help="按充电中的读数计费, 否则不收费 / bill what its samples metered, else nothing"
        ),
    ] = False,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """没有交易记录也结清 / settle an order whose record does not come."""

    def act(session: HubSession, context: OrderContext, order_id: str, by: staff.Staff) -> ChargeOrder:
        return staff.close_order(session, context, order_id, by, by_samples=by_samples)

    _do(order, reason, who, as_json, act)


@order_app.command("resettle")
def resettle(
    order: OrderName,
    reason: Reason,
    version: Annotated[
        int | None, typer.Option("--version", help="改用计费模型版本 / another version of its tariff")
    ] = None,
    energy: Annotated[
        list[str] | None,
        typer.Option("--energy", help="更正电量 类别=kWh, 可多次 / corrected energy class=kWh, repeatable"),
    ] = None,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """重新结算: 新版账单, 旧版保留, 差额推送 / bill anew: a new version, the old ones kept, the difference told."""
    correction = staff.Correction(version, _energies(energy) if energy else None)

    def act(session: HubSession, context: OrderContext, order_id: str, by: staff.Staff) -> ChargeOrder:
        return staff.resettle_order(session, context, order_id, by, correction)

    _do(order, reason, who, as_json, act)


@order_app.command("refund")
def refund(
    order: OrderName,
    amount: Annotated[str, typer.Option("--amount", help="退款元 / yuan to give back")],
    reason: Reason,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """退还部分或全部 / give some or all of a bill back."""
    yuan_back = decimal_of("amount", amount)

    def act(session: HubSession, context: OrderContext, order_id: str, by: staff.Staff) -> ChargeOrder:
        return staff.refund_order(session, context, order_id, by, yuan_back)

    _do(order, reason, who, as_json, act)


def _do(
    name: str,
    reason: str,
    who: str | None,
    as_json: bool,
    act: Callable[[HubSession, OrderContext, str, staff.Staff], ChargeOrder],
) -> None:
    by = staff.Staff(acting(who), reason)
    with opened() as container:
        with looking(container, None) as session:
            found = require_order(session, name)
            order_id, tenant_id = found.id, found.tenant_id
        with container.db.session(tenant_id) as session:
            done = review.staff_view(session, act(session, container.order_context, order_id, by))
    if as_json:
        print_json(done)
        return
    last = done["actions"][-1]
    sums = f"{yuan(last['before']['total_fee']) or '—'} → {yuan(last['after']['total_fee']) or '—'} 元"
    out.print(f"{done['id']}: {last['before']['state']} → {done['state']}, {sums}", markup=False, highlight=False)


def _energies(words: list[str]) -> dict[RateClass, Decimal]:
    found = {}
    for word in words:
        name, _, kwh = word.partition("=")
        if name not in list(RateClass):
            raise InvalidInput("energy", f"类别=kWh / class=kWh, {' '.join(RateClass)}: {word!r}")
        found[RateClass(name)] = decimal_of("energy", kwh)
    return found


def decimal_of(name: str, text: str) -> Decimal:
    """The number of a text. Raises `InvalidInput` for the option `name`."""
    try:
        found = Decimal(text)
    except InvalidOperation as error:
        raise InvalidInput(name, f"不是数 / not a number: {text!r}") from error
    if not found.is_finite():
        raise InvalidInput(name, f"不是数 / not a number: {text!r}")
    return found


def _show_explained(told: dict[str, Any]) -> None:
    tariff, totals = told["tariff"], told["totals"]
    discount = tariff["discount"]
    facts(
        f"订单 / order {told['order_id']}",
        {
            "计费模型 / tariff": f"{tariff['code']} v{tariff['version']} ({tariff['model_number']}) {tariff['day'] or ''}",
            "充电 / charged": f"{when(told['started_at'])} – {when(told['ended_at'])}",
            "损耗 / loss": f"{tariff['loss_percent']} % 已含在价格中 / in the prices"
            if tariff["loss_percent"]
            else None,
            "优惠 / discount": discount["name"] if discount else None,
            "上限 / limit": _limit_words(told["limit"]),
            "待核 / review": told["review"],
        },
    )
    for slot in told["slots"]:
        _show_slot(slot)
    fees = f"{yuan(totals['elec_fee'])} + {yuan(totals['service_fee'])} = {yuan(totals['total_fee'])} 元"
    refunded = f", 已退 / refunded {yuan(totals['refund'])}" if totals["refund"] else ""
    out.print(f"合计 / total: {totals['energy_kwh']} kWh, {fees}{refunded}", markup=False, highlight=False)
    _show_pile(told)
    rows = [
        (b["number"], b["kind"], when(b["made_at"]), b["made_by"], b["energy_kwh"], yuan(b["total_fee"]), yuan(b["difference"]),
         yuan(b["refund_yuan"]), b["reason"])
        for b in told["bills"]
    ]  # fmt: skip
    table("账单版本 / versions of the bill", _BILLS, rows)


def _limit_words(limit: dict[str, Any] | None) -> str | None:
    """The payer's limit, and what became of what was above it."""
    if limit is None:
        return None
    if not limit["over"]:
        return f"{yuan(limit['yuan'])} 元"
    words = "已免 / waived" if limit["waived"] else "照收 / charged"
    return f"{yuan(limit['yuan'])} 元, 超出 / over {yuan(limit['over'])} 元 ({words})"


def _show_slot(slot: dict[str, Any]) -> None:
    """Each fee as the product it is, before and after its one rounding."""
    span = f"{when(slot['started_at'])} – {when(slot['ended_at'])[11:]}"
    lines = [f"{slot['number']:>2}. {span}  {slot['class']}  {slot['energy_kwh']} kWh  {_BASES[slot['basis']]}"]
    for which, words in (("elec", "电费 / energy"), ("service", "服务费 / service")):
        listed, price = slot[f"list_{which}_price"], slot[f"{which}_price"]
        before = "" if listed in (None, price) else f"  (原价 / list {listed})"
        product = f"{slot['energy_kwh']} × {price} = {slot[f'{which}_exact']:.6f} → {yuan(slot[f'{which}_fee'])}"
        lines.append(f"      {words}: {product}{before}")
    out.print("\n".join(lines), markup=False, highlight=False)


def _show_pile(told: dict[str, Any]) -> None:
    rows = []
    for line in told["classes"]:
        pile = line["pile_amount"]
        rows.append(
            (line["class"], line["energy_kwh"], line["pile_energy_kwh"], line["pile_with_loss_kwh"], line["pile_price"],
             yuan(line["amount"]), pile, None if pile is None else line["amount"] - pile)
        )  # fmt: skip
    table("我方与桩 (原价) / ours and the pile's, at list prices", _CLASSES, rows)
    checks = [
        tuple(check[name] for name in ("name", "ours", "pile", "tolerance", "fits", "doubt"))
        for check in told["checks"]
    ]
    table("核对 / cross-checks", _CHECKS, checks)
