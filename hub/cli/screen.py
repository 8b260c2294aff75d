"""How the command line speaks: tables for people on standard output, JSON for machines, errors in words on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hub.reading.values import plain

out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="输出 JSON / print JSON")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="租户 / tenant (默认全部 / default: all)")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=200, help="最多行数 / at most this many rows")]


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(plain(value), ensure_ascii=False, indent=2))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, whole: int = 0) -> None:
    """A table; an empty one says so. The first `whole` columns are never folded: ids and names that people copy."""
    listed = [[cell if isinstance(cell, Text) else text(cell) for cell in row] for row in rows]
    if not listed:
        out.print(f"[bold]{title}[/]: [dim]无 / none[/]")
        return
    drawn = Table(title=title, title_justify="left", header_style="bold", expand=False)
    for number, column in enumerate(columns):
        drawn.add_column(column, overflow="fold", no_wrap=number < whole)
    for row in listed:
        drawn.add_row(*row)
    out.print(drawn)


def facts(title: str, members: Mapping[str, object]) -> None:
    """Two columns: name and value."""
    drawn = Table(title=title, title_justify="left", show_header=False)
    drawn.add_column(style="bold")
    drawn.add_column(overflow="fold")
    for name, value in members.items():
        drawn.add_row(name, text(value))
    out.print(drawn)


def text(value: object) -> str:
    """A cell: nothing for none, ✓/✗ for truth, markup taken literally."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "✓" if value else "✗"
    return str(plain(value)).replace("[", r"\[")
