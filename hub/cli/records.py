"""`hub record …`: trade records as they came, attaching a parked one to its order or putting it away; `hub alarm list`."""

from __future__ import annotations

from typing import Annotated

import typer

from charging_core.orders.bills.staff import Staff
from charging_core.piles.store.parked import attach_record, dismiss_record
from hub.cli.bills import Reason, Who
from hub.cli.opened import acting, looking, opened
from hub.cli.screen import AsJson, Limit, Tenant, facts, out, print_json, table
from hub.reading import records
from hub.reading.orders import require_order
from hub.reading.paging import Window
from hub.reading.values import masked, when

record_app = typer.Typer(no_args_is_help=True, help="交易记录 / trade records")
alarm_app = typer.Typer(no_args_is_help=True, help="告警 / alarms")

RecordId = Annotated[str, typer.Argument(metavar="RECORD", help="交易记录 id / the record's id")]
_RECORDS = (
    "记录 / record",
    "枪 / connector",
    "流水号 / trade number",
    "收到 / received",
    "kWh",
    "状态",
    "次数",
    "说明",
)
_ALARMS = ("发生 / raised", "类型 / kind", "对象 / of", "解除 / cleared", "内容 / text")


@record_app.command("list")
def list_records(
    state: Annotated[str | None, typer.Option(help="applied, parked, conflict, dismissed")] = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """交易记录, 新的在前; --state parked 为待认领的 / trade records, newest first; `--state parked` wait for an order."""
    with opened() as container, looking(container, tenant) as session:
        found = [masked(line) for line in records.list_records(session, Window(limit), state).items]
    if as_json:
        print_json(found)
        return
    rows = [
        (line["id"], line["connector"], line["trade_number"], when(line["received_at"]), line["total_energy_kwh"],
         line["state"], line["seen"], line["problem"] or line["order_id"])
        for line in found
    ]  # fmt: skip
    table("交易记录 / trade records", _RECORDS, rows, whole=1)


@record_app.command("show")
def show(record: RecordId, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """一条交易记录及桩上报的内容 / one record, with what the pile told in it."""
    with opened() as container, looking(container, tenant) as session:
        found = masked(records.record_view(session, record))
    if as_json:
        print_json(found)
        return
    told = found.pop("told")
    facts(f"交易记录 / record {record}", {k: when(v) if k.endswith("_at") else v for k, v in found.items()})
    rates = [
        (r["rate_class"], r["energy_kwh"], r["energy_with_loss_kwh"], r["price"], r["amount_yuan"])
        for r in told["rates"]
    ]
    table("费率 / rates", ("类别", "kWh", "计损 / with loss", "单价 / price", "元 / yuan"), rows=rates)


@record_app.command("attach")
def attach(
    record: RecordId,
    order: Annotated[str, typer.Option("--order", help="订单 / the order it belongs to")],
    reason: Reason,
    who: Who = None,
    as_json: AsJson = False,
) -> None:
    """认领待匹配的记录, 按其结算订单, 留痕 / bill an order by a parked record; who and why are kept."""
    by = Staff(acting(who), reason)
    with opened() as container:
        with looking(container, None) as session:
            found = require_order(session, order)
            order_id, tenant_id = found.id, found.tenant_id
        with container.db.session(tenant_id) as session:
            line = masked(records.record_line(attach_record(session, container.order_context, record, order_id, by)))
    if as_json:
        print_json(line)
    else:
        out.print(f"{line['id']} → {line['order_id']}: {line['state']}", markup=False, highlight=False)


@record_app.command("dismiss")
def dismiss(record: RecordId, reason: Reason, who: Who = None, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """搁置无人应付的待认领记录, 留痕, 仍可认领 / put away a parked record that nobody is to pay by; it can still be attached."""
    by = Staff(acting(who), reason)
    with opened() as container:
        with looking(container, tenant) as session:
            tenant_id = records.tenant_of(session, record)
        with container.db.session(tenant_id) as session:
            line = masked(records.record_line(dismiss_record(session, container.order_context, record, by)))
    if as_json:
        print_json(line)
    else:
        out.print(f"{line['id']}: {line['state']}, {line['problem']}", markup=False, highlight=False)


@alarm_app.command("list")
def list_alarms(
    everything: Annotated[bool, typer.Option("--all", help="含已解除的 / those that are over too")] = False,
    tenant: Tenant = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """未解除的告警, 新的在前 / open alarms, newest first."""
    with opened() as container, looking(container, tenant) as session:
        found = records.list_alarms(session, Window(limit), all_of_them=everything).items
    if as_json:
        print_json(found)
        return
    rows = [(when(a["raised_at"]), a["kind"], a["object_id"], when(a["cleared_at"]), a["text"]) for a in found]
    table("告警 / alarms", _ALARMS, rows, whole=2)
