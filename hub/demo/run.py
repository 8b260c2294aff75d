"""Sets the stage, plays the story, and either ends or keeps serving."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.console import Console
from sqlalchemy import select

from charging_core.access import Scope, create_token
from charging_core.clock import write_clock_file
from charging_core.db import Database
from charging_core.stations.model import Pile
from hub.apply.document import read_document
from hub.apply.engine import Applier
from hub.apply.references import Surroundings
from hub.demo.cast import FIXED_PORTS, TENANT, Cast, free_port
from hub.demo.children import ChildFailed
from hub.demo.evidence import Evidence
from hub.demo.folder import DemoFolder
from hub.demo.result import build_result
from hub.demo.screen import LiveScreen, QuietScreen, print_summary
from hub.demo.story import PATIENCE_S, SLOW, ActFailed, Screen, Story, start_time
from hub.logging_setup import configure_logging
from hub.migrate import upgrade
from hub.processes import HubProcess
from hub.settings import Settings
from parking.model import ParkConnection


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """`once`: end after the story, on free ports. `faults`: party to fault, as the fakes' `--fault` takes it.

    `patience_s`: real seconds for each act of the story.
    """

    folder: Path = Path(".hub-demo")
    once: bool = False
    as_json: bool = False
    web_port: int = 8080
    pile_port: int = 8768
    faults: Mapping[str, str] = field(default_factory=dict)
    patience_s: float = PATIENCE_S


class Demo:
    """One run of the demo."""

    def __init__(self, options: DemoOptions, console: Console) -> None:
        self._options = options
        self._console = console
        self._folder = DemoFolder(options.folder)
        write_clock_file(self._folder.clock_file, start_time(datetime.now(UTC)), SLOW)
        self._cast = Cast(self._folder, {name: free_port() for name in FIXED_PORTS} if options.once else FIXED_PORTS)
        self._settings = Settings(
            database_url=self._folder.database_url,
            secret_key=SecretStr(self._cast.secrets.hub),
            clock=f"file:{self._folder.clock_file}",
            web_port=0 if options.once else options.web_port,
            pile_port=0 if options.once else options.pile_port,
            ocpp_port=0,
            log_level="info",
            log_format="json",
            drain_s=3,
        )

    def run(self) -> int:
        """Play; returns the exit code: 0 only when every party confirmed. Raises `HubError` when the hub cannot start."""
        upgrade(self._settings.owner_url)
        with ExitStack() as stack:
            log = stack.enter_context((self._folder.path / "hub.log").open("w", encoding="utf-8"))
            configure_logging(self._settings, log)
            stack.callback(self._cast.stop)
            hub = stack.enter_context(HubProcess(self._settings))
            hub.serve_in_thread()
            result, problem = self._perform(hub)
            self._show(result, problem)
            if not self._options.once:
                self._keep_serving(hub)
        return 0 if result["confirmed"] else 1

    def _perform(self, hub: HubProcess) -> tuple[dict[str, Any], str]:
        db = hub.container.db
        with LiveScreen(self._console) if self._console.is_terminal else QuietScreen(self._console) as screen:
            try:
                story = self._set_stage(hub, db, screen)
            except (ChildFailed, ActFailed) as error:
                return {"confirmed": False, "missing": [str(error)]}, str(error)
            problem = ""
            try:
                story.play()
            except ActFailed as error:
                problem = str(error)
        return build_result(db, Evidence(self._folder, story.start_charge_seq)), problem

    def _set_stage(self, hub: HubProcess, db: Database, screen: Screen) -> Story:
        screen.act("搭建: 互联伙伴、监管平台、车场、道闸、充电桩 / partner, regulator, car park, gate, piles")
        self._cast.start_platforms(hub.web_url, self._options.faults)
        self._apply(hub, db)
        self._cast.start_camera(self._event_urls(hub.web_url, db), self._options.faults)
        piles = self._piles(db)
        self._cast.start_piles(piles, hub.pile_port)
        self._cast.wait_ready("partner", "regulator", "isecure", "camera", "piles")
        screen.done(f"已应用 examples/operator.yaml; {len(piles)} 台桩已登录 / applied; piles logged in")
        return Story(self._cast, db, hub.container.clock, piles[0]["code"], screen, self._options.patience_s)

    def _apply(self, hub: HubProcess, db: Database) -> None:
        text = resources.files("hub").joinpath("examples/operator.yaml").read_text(encoding="utf-8")
        around = Surroundings({**os.environ, **self._cast.environment()}, self._folder.path)
        Applier(db, hub.container.clock, hub.container.box).apply(read_document(text, around))
        hub.container.partners.book.refresh()  # it looks every few seconds by itself; the partner of the story may be quicker

    def _event_urls(self, hub_url: str, db: Database) -> dict[str, str]:
        with db.read(TENANT) as session:
            tokens = {c.code: c.inbound_token for c in session.scalars(select(ParkConnection))}
        paths = {"entry": tokens["entry-camera"], "exit": tokens["exit-camera"]}
        return {direction: f"{hub_url}/callbacks/parking/{token}" for direction, token in paths.items()}

    def _piles(self, db: Database) -> list[dict[str, Any]]:
        with db.read(TENANT) as session:
            return [
                {
                    "code": pile.code,
                    "type": pile.kind,
                    "connectors": len(pile.connectors),
                    "power_kw": int(pile.power_kw),
                }
                for pile in session.scalars(select(Pile).order_by(Pile.code))
            ]

    def _show(self, result: dict[str, Any], problem: str) -> None:
        if self._options.as_json:
            Console(soft_wrap=True).print_json(json.dumps(result, ensure_ascii=False))
        elif result["confirmed"]:
            print_summary(self._console, result)
        for missing in result["missing"]:
            self._console.print(f"[red]✗ 未确认 / not confirmed: {missing}[/red]", highlight=False)
        if problem:
            self._console.print(f"[red]{problem}[/red]", highlight=False)

    def _keep_serving(self, hub: HubProcess) -> None:
        """Stay up until SIGTERM or Ctrl-C."""
        self._tell_where(hub)
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        ended.wait()

    def _tell_where(self, hub: HubProcess) -> None:
        container = hub.container
        with container.db.session(TENANT) as session:
            _, token = create_token(session, "demo", [Scope.CONSOLE_WRITE, Scope.APP], container.clock.now())
        settings = {
            "HUB_DATABASE_URL": self._settings.database_url,
            "HUB_SECRET_KEY": self._cast.secrets.hub,
            "HUB_CLOCK": self._settings.clock,
        }
        script = self._options.folder / "env.sh"
        script.write_text("".join(f"export {name}='{value}'\n" for name, value in settings.items()))
        script.chmod(0o600)
        say = self._console.print
        say(
            f"\n仍在运行 / still serving   [bold]{hub.web_url}[/bold]   接口文档 docs {hub.web_url}/docs",
            highlight=False,
        )
        say(
            f"充电桩端口 piles {hub.pile_port}   伙伴、监管、车场、道闸 fakes {sorted(FIXED_PORTS.values())}",
            highlight=False,
        )
        say(f"控制台令牌 console token: {token}", highlight=False)
        say(f"另一终端 in another terminal:  . {script} && .venv/bin/hub order show ORDER", highlight=False)
        say("Ctrl-C 结束 / ends it\n", highlight=False)
