"""`hub simulate`: simulated piles that speak the real protocol to this hub, or to any other."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from charging_core.stations.model import Pile
from hub.cli.opened import looking, opened
from hub.cli.screen import Tenant, err
from hub.errors import HubError


def simulate(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            exists=True,
            help="桩清单 YAML; 缺省为本枢纽的全部桩 / the piles; default: all piles of this hub",
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="平台地址 / the platform's address")] = None,
    port: Annotated[int | None, typer.Option(help="平台端口 / the platform's port")] = None,
    control_port: Annotated[int, typer.Option(help="控制端口, 0 = 任选 / control port, 0 = any")] = 0,
    log: Annotated[Path | None, typer.Option(help="报文日志 JSONL / frame log")] = None,
    tenant: Tenant = None,
) -> None:
    """模拟充电桩, 直到 Ctrl-C / simulated piles until Ctrl-C; control them at the printed control port."""
    from charging_core.simulator.__main__ import main as run_simulator

    with opened() as container:
        settings = container.settings
        piles = [] if config else _own_piles(container, tenant)
    if config is None and not piles:
        raise HubError("没有充电桩, 请先 `hub apply` / there are no piles: run `hub apply` first")
    with tempfile.TemporaryDirectory() as folder:
        if config is None:
            config = Path(folder) / "piles.yaml"
            config.write_text(yaml.safe_dump({"piles": piles}), encoding="utf-8")
            err.print(f"模拟 {len(piles)} 个桩 / simulating {len(piles)} piles")
        arguments = [
            "--config",
            str(config),
            "--host",
            host or settings.bind,
            "--port",
            str(port or settings.pile_port),
        ]
        arguments += ["--control-port", str(control_port), *(["--log", str(log)] if log else [])]
        sys.exit(run_simulator(arguments))


def _own_piles(container: Any, tenant: str | None) -> list[dict[str, Any]]:
    with looking(container, tenant) as session:
        query = select(Pile).where(Pile.enabled, Pile.protocol == "ykc").options(joinedload(Pile.connectors))
        return [
            {
                "code": pile.code,
                "type": pile.kind,
                "connectors": max((c.number for c in pile.connectors), default=1),
                "power_kw": format(pile.power_kw, "f"),
            }
            for pile in session.scalars(query.order_by(Pile.code)).unique()
        ]
