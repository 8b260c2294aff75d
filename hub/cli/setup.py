"""`hub migrate`, `hub apply`, `hub settings`."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from charging_core.changes import Action, Change
from hub.cli.opened import opened
from hub.cli.screen import AsJson, facts, out, print_json, table
from hub.settings import load_settings, masked

_WORDS = {
    Action.CREATE: ("新增 create", "green"),
    Action.UPDATE: ("修改 update", "yellow"),
    Action.DISABLE: ("停用 disable", "red"),
}
KEY_BYTES = 32  # as strong as the AES-256 key that is derived from it


def migrate() -> None:
    """建立或升级数据库结构 / create the schema or bring it up to date."""
    from hub.migrate import upgrade

    reached = upgrade(load_settings().owner_url)
    out.print(f"数据库结构 / schema: [bold]{reached or 'models'}[/]")


def apply(
    file: Annotated[Path, typer.Argument(help="声明文件 / the declaration (YAML)", exists=True, dir_okay=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只显示差异 / only show the difference")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="停用文件中没有的对象 / disable what is not in the file")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="不再询问 / do not ask")] = False,
    as_json: AsJson = False,
) -> None:
    """应用一个运营商的声明 / bring a tenant to the state one file declares. 可反复执行 / repeatable."""
    from hub.apply.document import read_file
    from hub.apply.engine import Applier

    with opened() as container:
        declaration = read_file(file)
        applier = Applier(container.db, container.clock, container.box)
        changes = applier.apply(declaration, dry_run=True, prune=prune)
        if not as_json:
            _show(changes)
        wanted = bool(changes) and not dry_run and (yes or as_json or _agreed())
        if wanted:
            changes = applier.apply(declaration, prune=prune)
    if as_json:
        print_json({"applied": wanted, "changes": [_as_dict(change) for change in changes]})
    elif wanted:
        out.print(f"[green]已应用 {len(changes)} 处 / {len(changes)} changes applied[/]")


def settings(
    generate_key: Annotated[
        bool, typer.Option("--generate-key", help="生成一个 HUB_SECRET_KEY / make a secret key")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """显示并检查设置, 密钥不显示 / show and check the settings, secrets masked."""
    if generate_key:
        typer.echo(secrets.token_urlsafe(KEY_BYTES))
        return
    shown = masked(load_settings())
    if as_json:
        print_json(shown)
    else:
        facts("设置 / settings", shown)


def _agreed() -> bool:
    # Without a terminal nobody can answer: whoever runs it in a script means it.
    return not sys.stdin.isatty() or typer.confirm("应用? / apply?")


def _show(changes: list[Change]) -> None:
    if not changes:
        out.print("没有变化 / no change")
        return
    rows = []
    for change in changes:
        fields = "\n".join(
            f"{f.name}: {f.before} → {f.after}" if f.before else f"{f.name}: {f.after}" for f in change.fields
        )
        rows.append((Text(*_WORDS[change.action]), change.kind, change.key, fields))
    table("差异 / difference", ("", "对象 / object", "名称 / name", "内容 / members"), rows)


def _as_dict(change: Change) -> dict[str, object]:
    fields = [{"name": f.name, "before": f.before, "after": f.after} for f in change.fields]
    return {"action": change.action, "kind": change.kind, "key": change.key, "fields": fields}
