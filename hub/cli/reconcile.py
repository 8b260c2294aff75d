"""`hub reconcile …`: statements, and contested orders until they are closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Annotated

import typer
from sqlalchemy import select

from charging_core.db import HubSession
from charging_core.errors import Conflict, InvalidInput, NotFound
from hub.cli.opened import acting, looking, opened
from hub.cli.screen import AsJson, Limit, Tenant, facts, out, print_json, table
from hub.container import Container
from hub.partner_links import open_link
from hub.reading import reconcile
from hub.reading.paging import Window
from hub.reading.values import when
from partners.model import PartnerLink
from partners.reconcile import disputes
from partners.reconcile.model import DisputeState, PartnerDispute
from partners.reconcile.statements import Day, state_day

reconcile_app = typer.Typer(no_args_is_help=True, help="对账与争议 / statements and contested orders")

LinkOption = Annotated[str | None, typer.Option("--link", help="链路短名 / link")]
DisputeName = Annotated[str, typer.Argument(help="争议 id / the dispute's id")]
As = Annotated[
    str | None, typer.Option("--as", help="操作人 (默认系统用户) / who does this (default: the system's user)")
]


@reconcile_app.command("list")
def list_statements(
    link: LinkOption = None,
    direction: Annotated[str | None, typer.Option(help="out 我方发出 / sent, in 收到 / received")] = None,
    tenant: Tenant = None,
    limit: Limit = 30,
    as_json: AsJson = False,
) -> None:
    """对账单, 新的在前 / statements, newest first."""
    with opened() as container, looking(container, tenant) as session:
        found = reconcile.list_statements(session, Window(limit), link=link, direction=direction).items
    if as_json:
        print_json(found)
        return
    names = (
        "id",
        "link",
        "direction",
        "check_seq",
        "order_count",
        "energy_kwh",
        "total_yuan",
        "state",
        "dispute_count",
    )
    titles = (
        "对账单 / statement",
        "链路",
        "方向",
        "CheckOrderSeq",
        "订单",
        "kWh",
        "元",
        "状态 / state",
        "争议 / disputes",
    )
    table("对账单 / statements", titles, [tuple(line[name] for name in names) for line in found])


@reconcile_app.command("show")
def show_statement(statement: str, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """一份对账单及其明细 / one statement with its lines."""
    with opened() as container, looking(container, tenant) as session:
        found = reconcile.statement_view(session, statement)
    if as_json:
        print_json(found)
        return
    facts("对账单 / statement", {name: value for name, value in found.items() if name != "lines"})
    names = ("start_charge_seq", "energy_kwh", "total_yuan", "finding", "their_kwh", "their_yuan")
    titles = ("StartChargeSeq", "kWh", "元 / yuan", "结论 / finding", "对方 kWh / theirs", "对方 元 / theirs")
    table("明细 / lines", titles, [tuple(line[name] for name in names) for line in found["lines"]])


@reconcile_app.command("send")
def send_statement(
    link: Annotated[str, typer.Argument(help="链路短名 / link")],
    day: Annotated[str, typer.Argument(help="日期 yyyy-MM-dd / day")],
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """补发某一天的对账单 / make and send the statement of a day."""
    with opened() as container:
        owner = _owner(container, tenant, link)
        link_opened = open_link(container, owner, link)
        with container.db.session(owner) as session:
            made = state_day(session, container.clock, link_opened, Day(_day(day)))
            if made is None:
                raise Conflict("这一天已有对账单, 或没有订单 / this day is stated already, or has no orders")
            found = reconcile.statement_view(session, made.id)
    if as_json:
        print_json(found)
    else:
        out.print(f"已生成 / made: {found['id']} ({found['order_count']})")


@reconcile_app.command("disputes")
def list_disputes(
    link: LinkOption = None,
    state: Annotated[str | None, typer.Option(help="open explained corrected accepted")] = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """争议订单, 新的在前 / contested orders, newest first."""
    with opened() as container, looking(container, tenant) as session:
        found = reconcile.list_disputes(session, Window(limit), link=link, state=state).items
    if as_json:
        print_json(found)
        return
    names = ("id", "link", "start_charge_seq", "state", "reason_code", "judgement", "total_yuan", "their_yuan")
    rows = [(*(line[name] for name in names), when(line["opened_at"])) for line in found]
    titles = (
        "争议 / dispute",
        "链路",
        "StartChargeSeq",
        "状态",
        "原因",
        "判断 / judgement",
        "元",
        "对方 元",
        "提出 / opened",
    )
    table("争议 / disputes", titles, rows)


@reconcile_app.command("dispute")
def show_dispute(dispute: DisputeName, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """一笔争议及其经过 / one contested order with what happened."""
    with opened() as container, looking(container, tenant) as session:
        found = reconcile.dispute_view(session, dispute)
    if as_json:
        print_json(found)
        return
    facts("争议 / dispute", {name: value for name, value in found.items() if name != "history"})
    rows = [(when(e["at"]), e["what"], e.get("text"), e.get("who")) for e in found["history"]]
    table("经过 / history", ("时间 / at", "事件 / event", "说明 / text", "谁 / who"), rows)


@reconcile_app.command("explain")
def explain(
    dispute: DisputeName,
    text: Annotated[str, typer.Argument(help="说明 / our view")],
    who: As = None,
    as_json: AsJson = False,
) -> None:
    """写下我方说明 / write down our view."""
    with _acting(dispute, "已说明 / explained", as_json) as (container, session):
        disputes.explain(session, container.clock, dispute, text, acting(who))


@reconcile_app.command("repush")
def repush(dispute: DisputeName, who: As = None, as_json: AsJson = False) -> None:
    """重推账单 / send the bill again."""
    with _acting(dispute, "将重推 / will be sent again", as_json) as (container, session):
        disputes.repush(session, container.clock, dispute, acting(who))


@reconcile_app.command("close")
def close(
    dispute: DisputeName,
    outcome: Annotated[str, typer.Argument(help="corrected | accepted")],
    note: Annotated[str, typer.Option("--note", help="说明 / note")] = "",
    who: As = None,
    as_json: AsJson = False,
) -> None:
    """结案 / end the case."""
    if outcome not in (DisputeState.CORRECTED, DisputeState.ACCEPTED):
        raise InvalidInput("outcome", "corrected | accepted")
    with _acting(dispute, f"已结案 / closed: {outcome}", as_json) as (container, session):
        disputes.close(session, container.clock, dispute, DisputeState(outcome), note, acting(who))


@contextmanager
def _acting(dispute: str, done: str, as_json: bool) -> Iterator[tuple[Container, HubSession]]:
    """A transaction in the tenant of this case; afterwards says that it is done, or shows the case. Raises `NotFound`."""
    with opened() as container:
        with container.db.read_system("hub reconcile") as session:
            query = select(PartnerDispute.tenant_id).where(PartnerDispute.id == dispute)
            owner = session.scalars(query).one_or_none()
        if owner is None:
            raise NotFound(f"dispute {dispute}")
        with container.db.session(owner) as session:
            yield container, session
            found = reconcile.dispute_view(session, dispute)
    if as_json:
        print_json(found)
    else:
        out.print(done)


def _owner(container: Container, tenant: str | None, slug: str) -> str:
    with container.db.read_system("hub reconcile") as session:
        query = select(PartnerLink.tenant_id).where(PartnerLink.slug == slug)
        owners = [owner for owner in session.scalars(query) if tenant in (None, owner)]
    if not owners:
        raise NotFound(f"link {slug}")
    if len(owners) > 1:
        raise Conflict(
            f"{slug}: 多个租户有此链路, 请用 --tenant / several tenants have this link: name one with --tenant"
        )
    return owners[0]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput("day", "yyyy-MM-dd") from error
