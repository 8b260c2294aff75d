"""`hub pile …`, `hub token …`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from sqlalchemy import select

from charging_core.access import ApiToken, Scope, create_token, revoke_token
from charging_core.errors import NotFound
from charging_core.tenants import Tenant as TenantRow
from hub.cli.opened import looking, opened
from hub.cli.screen import AsJson, Limit, Tenant, err, out, print_json, table
from hub.reading import stations
from hub.reading.paging import MOST, Window
from hub.reading.values import when

pile_app = typer.Typer(no_args_is_help=True, help="充电桩 / piles")
token_app = typer.Typer(no_args_is_help=True, help="API 令牌 / API tokens")


@pile_app.command("list")
def list_piles(tenant: Tenant = None, limit: Limit = MOST, as_json: AsJson = False) -> None:
    """充电桩与在线状态 / piles and whether they are online."""
    with opened() as container, looking(container, tenant) as session:
        found = stations.list_piles(session, Window(limit)).items
    if as_json:
        print_json(found)
        return
    rows = [
        (p["code"], p["name"], p["station"], p["kind"], p["protocol"], p["online"], when(p["last_login_at"]),
         " ".join(f"{code[-2:]}:{state}" for code, state in p["states"].items()))
        for p in found
    ]  # fmt: skip
    columns = (
        "编码 / code",
        "名称 / name",
        "场站 / station",
        "类型",
        "协议",
        "在线 / online",
        "登录 / login",
        "枪 / connectors",
    )
    table("充电桩 / piles", columns, rows)


@pile_app.command("refused")
def refused(tenant: Tenant = None, limit: Limit = 50, as_json: AsJson = False) -> None:
    """被拒绝或未知的桩登录 / piles that knocked and were not let in."""
    with opened() as container, looking(container, None) as session:
        found = stations.list_refused_logins(session, limit, tenant)
    if as_json:
        print_json(found)
        return
    names = ("pile_code", "address", "firmware", "protocol", "reason", "count")
    rows = [(*(line[name] for name in names), when(line["last_at"])) for line in found]
    columns = ("编码 / code", "地址 / address", "固件 / firmware", "协议", "原因 / reason", "次数", "最近 / last")
    table("被拒登录 / refused logins", columns, rows)


@token_app.command("create")
def create(
    tenant: Annotated[str, typer.Option("--tenant", help="租户 / tenant")],
    scope: Annotated[list[Scope], typer.Option("--scope", help="权限, 可多次 / scope, repeatable")],
    name: Annotated[str, typer.Option("--name", help="用途 / what it is for")] = "cli",
    days: Annotated[
        int | None, typer.Option("--days", min=1, help="有效天数 / valid for days (默认不限 / default: no end)")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """新建令牌, 只显示一次 / make a token; it is shown once."""
    with opened() as container:
        now = container.clock.now()
        with container.db.session(tenant) as session:
            if session.scalars(select(TenantRow).where(TenantRow.id == tenant)).one_or_none() is None:
                raise NotFound(f"tenant {tenant}")
            row, plaintext = create_token(session, name, scope, now, now + timedelta(days=days) if days else None)
            made = {"id": row.id, "tenant": tenant, "name": row.name, "scopes": row.scopes, "token": plaintext}
    if as_json:
        print_json(made)
    else:
        typer.echo(plaintext)
        err.print("[dim]请立即保存, 之后无法再次显示 / keep it now, it cannot be shown again[/]")


@token_app.command("list")
def list_tokens(tenant: Tenant = None, as_json: AsJson = False) -> None:
    """令牌 (不含密文) / tokens, without their secrets."""
    with opened() as container, looking(container, tenant) as session:
        rows = session.scalars(select(ApiToken).order_by(ApiToken.tenant_id, ApiToken.id)).all()
        names = ("id", "tenant_id", "name", "scopes", "created_at", "expires_at", "revoked_at")
        found = [{name: getattr(row, name) for name in names} for row in rows]
    if as_json:
        print_json(found)
        return
    lines = [
        (
            t["id"],
            t["tenant_id"],
            t["name"],
            " ".join(t["scopes"]),
            when(t["created_at"]),
            when(t["expires_at"]),
            when(t["revoked_at"]),
        )
        for t in found
    ]
    columns = (
        "令牌 / token",
        "租户 / tenant",
        "用途 / name",
        "权限 / scopes",
        "创建 / created",
        "到期 / expires",
        "吊销 / revoked",
    )
    table("令牌 / tokens", columns, lines)


@token_app.command("revoke")
def revoke(token: str) -> None:
    """吊销令牌 / end a token at once."""
    with opened() as container:
        with container.db.read_system("token revoke") as session:
            tenant = session.scalars(select(ApiToken.tenant_id).where(ApiToken.id == token)).one_or_none()
        if tenant is None:
            raise NotFound(f"token {token}")
        with container.db.session(tenant) as session:
            revoke_token(session, token, container.clock.now())
    out.print(f"已吊销 / revoked: {token}")
