"""`hub link …`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from hub.cli.opened import looking, opened
from hub.cli.screen import AsJson, Limit, Tenant, out, print_json, table
from hub.reading import links
from hub.reading.paging import Window
from hub.reading.values import when


class Way(StrEnum):
    """Who called whom."""

    IN = "in"
    OUT = "out"


link_app = typer.Typer(no_args_is_help=True, help="互联链路 / links to partners and regulators")


@link_app.command("list")
def list_links(tenant: Tenant = None, as_json: AsJson = False) -> None:
    """链路及推送状态 / links and how deliveries to them go."""
    with opened() as container, looking(container, tenant) as session:
        found = links.list_links(session)
    if as_json:
        print_json(found)
        return
    rows = []
    for link in found:
        state = link["delivery"] or {}
        names = ("kind", "slug", "name", "profile", "environment", "enabled", "outbound_base")
        rows.append((*(link[name] for name in names), _health(state)))
    columns = (
        "",
        "链路 / link",
        "名称 / name",
        "档案 / profile",
        "环境",
        "启用",
        "地址 / address",
        "推送 / deliveries",
    )
    table("链路 / links", columns, rows)


@link_app.command("test")
def check_link(
    link: Annotated[str, typer.Argument(help="链路短名 / the link's short name")],
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """连通对方, 取令牌, 比对时钟, 查询一次 / reach the other side, token, clock, one query; says what is wrong."""
    with opened() as container:
        steps = container.test_link(tenant, link)
    good = all(step["ok"] for step in steps)
    if as_json:
        print_json({"ok": good, "steps": steps})
    else:
        for step in steps:
            mark = "[green]✓[/]" if step["ok"] else "[red]✗[/]"
            out.print(f" {mark} {step['name_zh']} / {step['name_en']}: {step['detail']}")
        out.print("[green]链路正常 / the link works[/]" if good else "[red]链路有问题 / the link does not work[/]")
    raise typer.Exit(0 if good else 1)


@link_app.command("exchange")
def exchange(
    link: Annotated[str, typer.Argument(help="链路短名 / the link's short name")],
    interface: Annotated[str | None, typer.Option(help="只看此接口 / only this interface")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="只看未成功的 / only those that went wrong")] = False,
    direction: Annotated[Way | None, typer.Option(help="in 对方调用我方, out 我方调用对方 / who called")] = None,
    tenant: Tenant = None,
    limit: Limit = 10,
    as_json: AsJson = False,
) -> None:
    """最近的报文往来, 已解密脱敏, 含未通过的检查 / the last exchanges both ways, opened and masked, with the failing check."""
    with opened() as container, looking(container, tenant) as session:
        way = None if direction is None else direction.value
        wanted = links.ExchangeFilter(link, interface, direction=way, failed_only=failed)
        found = links.list_exchanges(session, Window(limit), wanted).items
    if as_json:
        print_json(found)
        return
    if not found:
        out.print("没有往来记录 / no exchange yet")
    for one in found:
        _show_exchange(one)


def _show_exchange(one: dict[str, Any]) -> None:
    arrow = "← 对方调用 / they called" if one["direction"] == Way.IN.value else "→ 我方调用 / we called"
    good = one["ret"] == 0
    head = f"{when(one['at'])}  {arrow}  {one['interface']}  Ret {_ret(one)}  {one['duration_ms']} ms"
    out.print(head, style="green" if good else "red", markup=False, highlight=False)
    if not good:
        reason = f"未通过的检查 / failing check: {one['failed_check'] or '-'}   {one['message'] or ''}"
        out.print(f"  {reason}", markup=False, highlight=False)
    for title, name in (("请求 / request", "request_body"), ("应答 / answer", "reply_body")):
        text = one[name] if one[name] is not None else "(未解密 / not opened)"
        out.print(f"  {title}: {text}", markup=False, highlight=False, soft_wrap=True)


def _ret(one: dict[str, Any]) -> str:
    return f"- (HTTP {one['http_status'] or '-'})" if one["ret"] is None else str(one["ret"])


def _health(state: dict[str, Any]) -> str:
    if state.get("held"):
        return f"暂停 / held: {state['hold_reason']}"
    failures = state.get("consecutive_failures")
    return f"失败 / failing ×{failures}" if failures else ""
