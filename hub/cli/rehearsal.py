"""A scenario on the command line: finds it, plays it with live progress, and shows its report."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import structlog
from rich.live import Live
from rich.table import Table

from charging_core.clock import ClockError, clock_from_env
from charging_core.simulator.errors import ConfigError, ScenarioError
from charging_core.simulator.framelog import FrameLog
from charging_core.simulator.play import ScenarioPlay
from charging_core.simulator.report import measure, report
from charging_core.simulator.scenario import Scenario, changed, scaled
from charging_core.simulator.scenario_file import load_scenario, read_scenario
from hub.cli.screen import err, print_json, table
from hub.errors import HubError

_REFRESH_S = 0.5
_LINE_S = 30.0
"""Between two lines where there is no terminal: a rehearsal of an hour leaves a page."""
_LOGIN_PATIENCE_S = 120
"""Real seconds until all piles must have logged in: a thousand need a few."""
_WATCHED = (
    ("piles_online", "在线桩 / piles online"),
    ("charges_begun", "已开始 / charges begun"),
    ("charges_ended", "已结束 / charges ended"),
    ("records_confirmed", "已确认记录 / records confirmed"),
    ("records_unconfirmed", "待确认记录 / records waiting"),
    ("reconnects", "重连 / reconnects"),
    ("answers_missing", "缺失应答 / answers missing"),
    ("record_p99_ms", "记录确认 p99 ms / record p99 ms"),
)


@dataclass(frozen=True)
class Wishes:
    """Which scenario, and what shall be different from its file."""

    name: str
    piles: int | None = None
    duration: str | None = None
    seed: int | None = None
    ocpp_piles: int = 0

    def scenario(self) -> Scenario:
        """The scenario as it shall be played. Raises `HubError` with every problem and its line."""
        try:
            found = self._found()
            changes = {"duration": self.duration, "seed": self.seed}
            found = changed(found, **{name: value for name, value in changes.items() if value is not None})
            return found if self.piles is None else scaled(found, self.piles)
        except ScenarioError as error:
            lines = "\n".join(f"  {self.name}:{line}: {text}" for line, text in error.problems)
            raise HubError(f"场景有误 / the scenario is not valid:\n{lines}") from error
        except ConfigError as error:
            raise HubError(f"场景有误 / the scenario is not valid: {error}") from error

    def _found(self) -> Scenario:
        """A file, or a built-in scenario by its name."""
        path = Path(self.name)
        if path.suffix or path.exists():
            return load_scenario(path)
        built_in = resources.files("hub").joinpath("examples", "scenarios")
        names = sorted(one.name.removesuffix(".yaml") for one in built_in.iterdir() if one.name.endswith(".yaml"))
        if self.name not in names:
            raise HubError(f"没有场景 {self.name}; 内置 / no such scenario: {self.name}; built in: {', '.join(names)}")
        return read_scenario(built_in.joinpath(f"{self.name}.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Target:
    """Where the piles connect to."""

    host: str
    port: int
    ocpp_port: int


def rehearse(wishes: Wishes, target: Target, log: Path | None, *, report: bool, as_json: bool) -> bool:
    """Play it; True when every expectation is met. Raises `HubError` when it cannot be played."""
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    try:
        told = asyncio.run(_played(wishes, target, log))
    except ClockError as error:
        raise HubError(str(error)) from error
    if as_json:
        print_json(told)
    elif report:
        show(told)
    return all(one["met"] for one in told["expectations"])


async def _played(wishes: Wishes, target: Target, log: Path | None) -> dict[str, Any]:
    scenario, clock = wishes.scenario(), clock_from_env()
    frames = None if log is None else FrameLog(log, clock)
    play = ScenarioPlay(scenario, clock, frames, wishes.ocpp_piles)
    began = time.monotonic()
    with _progress(play) as refreshed:
        showing = asyncio.ensure_future(refreshed())
        try:
            await asyncio.wait_for(play.start(target.host, target.port, target.ocpp_port), _LOGIN_PATIENCE_S)
            await play.run()
            return report(play, time.monotonic() - began)
        except TimeoutError as error:
            online = sum(pile.online for pile in play.piles)
            raise HubError(
                f"{len(play.piles)} 个桩中只有 {online} 个登录成功; 是否已 hub apply? / only {online} of {len(play.piles)} piles could "
                "log in; have they been applied (--write-operator)?"
            ) from error
        finally:
            showing.cancel()
            await play.stop()
            if frames is not None:
                frames.close()


@contextmanager
def _progress(play: ScenarioPlay) -> Iterator[Callable[[], Awaitable[None]]]:
    """Something to await that keeps a table on the terminal up to date; elsewhere it writes a line now and then."""
    if not err.is_terminal:

        async def told() -> None:
            while True:
                await asyncio.sleep(_LINE_S)
                err.print(_line(play), markup=False, highlight=False, soft_wrap=True)

        yield told
        return
    with Live(console=err, refresh_per_second=4, transient=True) as live:

        async def refreshed() -> None:
            while True:
                live.update(_table(play))
                await asyncio.sleep(_REFRESH_S)

        yield refreshed


def _line(play: ScenarioPlay) -> str:
    measured = measure(play)
    facts = ", ".join(f"{label} {measured[name] if measured[name] is not None else '-'}" for name, label in _WATCHED)
    return f"{_passed(play)} {facts}"


def _passed(play: ScenarioPlay) -> str:
    return f"{(play.clock.now() - play.began_at).total_seconds():.0f} / {play.scenario.duration:.0f} s"


def _table(play: ScenarioPlay) -> Table:
    measured = measure(play)
    title = f"{play.scenario.name}  {_passed(play)}"
    drawn = Table(title=title, title_justify="left", show_header=False)
    for name, label in _WATCHED:
        drawn.add_row(label, str(measured[name] if measured[name] is not None else "-"))
    return drawn


def show(told: dict[str, Any]) -> None:
    """The report for people."""
    head = {name: told[name] for name in ("seed", "simulated_s", "real_s", "cpu_s", "peak_rss_mib")}
    table(f"场景 / scenario: {told['scenario']}", ("", ""), [*head.items(), *told["measures"].items()], whole=1)
    answers = [
        (kind, one["answers"], one["p50_ms"], one["p99_ms"], one["missing"]) for kind, one in told["answers"].items()
    ]
    table("平台应答 / answers of the platform", ("", "answers", "p50 ms", "p99 ms", "missing"), answers)
    switches = [
        (name, count, told["switches_survived"].get(name, 0)) for name, count in told["switches_injected"].items()
    ]
    incidents = [(name, count, "") for name, count in told["incidents"].items()]
    table("故障 / faults", ("", "注入 injected", "存活 survived"), [*switches, *incidents])
    table("拒绝启动的原因 / refused for (0x32)", ("", "次数 / times"), told["refused_for"].items())
    table("经过 / stories", ("", "次数 / times"), told["stories"].items())
    expected = [(one["measure"], one["bounds"], one["value"], one["met"]) for one in told["expectations"]]
    table("期望 / expectations", ("", "界限 bounds", "实测 measured", ""), expected)
