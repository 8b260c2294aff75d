"""`hub link …`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from hub.cli.opened import looking, opened
from hub.cli.screen import AsJson, Tenant, out, print_json, table
from hub.reading import links

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


def _health(state: dict[str, Any]) -> str:
    if state.get("held"):
        return f"暂停 / held: {state['hold_reason']}"
    failures = state.get("consecutive_failures")
    return f"失败 / failing ×{failures}" if failures else ""
