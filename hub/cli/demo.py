"""`hub demo`: one true charge through the whole house, shown while it happens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hub.demo.cast import FIXED_PORTS
from hub.demo.run import Demo, DemoOptions
from hub.demo.story import PATIENCE_S


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="演完即退出, 使用空闲端口 / end after the story, on free ports")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="标准输出一个 JSON 对象 / one JSON object on standard output")
    ] = False,
    folder: Annotated[Path, typer.Option(help="数据目录, 每次清空 / data folder, wiped at every run")] = Path(
        ".hub-demo"
    ),
    web_port: Annotated[int, typer.Option(envvar="HUB_WEB_PORT", help="网页端口 / web port")] = 8080,
    pile_port: Annotated[int, typer.Option(envvar="HUB_PILE_PORT", help="充电桩端口 / pile port")] = 8768,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PARTY=[INTERFACE:]KIND",
            help="让一方出错, 如 partner=500 / make a party misbehave: partner, regulator, isecure, camera",
        ),
    ] = None,
    patience: Annotated[
        float,
        typer.Option(min=1, metavar="SECONDS", help="每一幕最多等待的秒数 / longest wait of each act, in seconds"),
    ] = PATIENCE_S,
) -> None:
    """完整演示一次充电: 桩、伙伴、监管、停车 / play one whole charge: pile, partner, regulator, parking.

    退出码为 0 仅当各方均已确认 / exits 0 only if every party confirmed.
    """
    options = DemoOptions(
        folder=folder,
        once=once,
        as_json=as_json,
        web_port=web_port,
        pile_port=pile_port,
        faults=dict(_fault(text) for text in fault or ()),
        patience_s=patience,
    )
    try:
        code = Demo(options, Console(stderr=as_json)).run()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    raise typer.Exit(code)


def _fault(text: str) -> tuple[str, str]:
    party, _, kind = text.partition("=")
    if party not in FIXED_PORTS or not kind:
        raise typer.BadParameter(
            f"--fault 形如 partner=500 / looks like partner=500; 可选 parties: {', '.join(FIXED_PORTS)}"
        )
    return party, kind
