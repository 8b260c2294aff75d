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
from hub.cli.rehearsal import Target, Wishes, rehearse
from hub.cli.rehearsal_operator import write_operator
from hub.cli.screen import AsJson, Tenant, err
from hub.errors import HubError
from hub.settings import load_settings


def simulate(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            exists=True,
            help="桩清单 YAML; 缺省为本枢纽的全部桩 / the piles; default: all piles of this hub",
        ),
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option("--scenario", help="场景: 文件, 或内置名 / a scenario file, or the name of a built-in one"),
    ] = None,
    piles: Annotated[
        int | None, typer.Option("--piles", min=1, help="场景的桩数 / piles of the scenario; default: as in the file")
    ] = None,
    ocpp: Annotated[
        int, typer.Option("--ocpp", min=0, max=500, help="另加的 OCPP 桩数 / so many OCPP piles besides")
    ] = 0,
    duration: Annotated[
        str | None, typer.Option("--duration", help="场景时长 30s, 15m, 2h / how long the scenario lasts")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="随机种子 / seed of the scenario")] = None,
    report: Annotated[bool, typer.Option("--report", help="结束时打印报告 / print a report at the end")] = False,
    as_json: AsJson = False,
    operator: Annotated[
        Path | None,
        typer.Option(
            "--write-operator",
            help="只写出声明这些桩、卡与车辆的文件供 `hub apply` 使用 / write only the file for `hub apply` that makes piles, cards and "
            "vehicles known",
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="平台地址 / the platform's address")] = None,
    port: Annotated[int | None, typer.Option(help="平台端口 / the platform's port")] = None,
    ocpp_port: Annotated[int | None, typer.Option(help="平台 OCPP 端口 / the platform's OCPP port")] = None,
    control_port: Annotated[int, typer.Option(help="控制端口, 0 = 任选 / control port, 0 = any")] = 0,
    log: Annotated[Path | None, typer.Option(help="报文日志 JSONL / frame log")] = None,
    tenant: Tenant = None,
) -> None:
    """模拟充电桩 / simulated piles: until Ctrl-C, controlled at the printed port; or by a scenario, with a report.

    千桩演练 / a thousand piles:

      hub simulate --scenario everyday --piles 1000 --write-operator piles.yaml && hub apply piles.yaml

      hub simulate --scenario everyday --piles 1000 --report

    退出码: 0 期望全部满足, 1 有未满足 / exit code 1: an expectation of the scenario is not met.
    """
    wishes = Wishes(scenario or "everyday", piles, duration, seed, ocpp)
    if operator is not None:
        write_operator(operator, wishes.scenario(), ocpp)
        err.print(f"已写出 / written: {operator}; 接着 / next: hub apply {operator}")
        return
    if scenario is not None or piles is not None or report or ocpp:
        settings = load_settings()
        target = Target(host or settings.bind, port or settings.pile_port, ocpp_port or settings.ocpp_port)
        met = rehearse(wishes, target, log, report=report, as_json=as_json)
        raise typer.Exit(0 if met else 1)
    _until_stopped(config, host, port, control_port, log, tenant)


def _until_stopped(
    config: Path | None, host: str | None, port: int | None, control_port: int, log: Path | None, tenant: str | None
) -> None:
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
