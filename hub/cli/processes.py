"""`hub serve` and `hub run …`."""

from __future__ import annotations

import typer

from hub.cli.screen import err
from hub.container import ALL_ROLES, Container, Role
from hub.logging_setup import configure_logging
from hub.migrate import upgrade
from hub.processes import require_servers, run
from hub.settings import Settings, load_settings

run_app = typer.Typer(
    no_args_is_help=True, help="集群中的单个进程 (需要 PostgreSQL 与 Redis) / one process of a cluster"
)


def serve() -> None:
    """全部部件在一个程序中运行 / everything in one program (SQLite, or PostgreSQL on one machine)."""
    settings = _settings()
    if settings.embedded:
        upgrade(settings.owner_url)
    run(settings, ALL_ROLES, _announce)


@run_app.command("web")
def run_web() -> None:
    """网页与接口, 无状态 / web and interfaces, stateless: any number behind a load balancer."""
    _run(Role.WEB)


@run_app.command("piles")
def run_piles() -> None:
    """充电桩服务的一个分片 (HUB_SHARD) / one shard of the pile server (HUB_SHARD)."""
    _run(Role.PILES)


@run_app.command("worker")
def run_worker() -> None:
    """推送 / deliveries: any number."""
    _run(Role.WORKER)


@run_app.command("scheduler")
def run_scheduler() -> None:
    """定时任务, 一个领导 / schedules: any number, one leads."""
    _run(Role.SCHEDULER)


def _run(role: Role) -> None:
    settings = _settings()
    require_servers(settings, role.value)
    run(settings, {role}, _announce)


def _settings() -> Settings:
    settings = load_settings()
    configure_logging(settings)
    return settings


def _announce(container: Container) -> None:
    for name, value in container.facts().items():
        err.print(f"  [bold]{name}[/]  {value}")
