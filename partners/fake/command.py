"""The command line that all fakes share: options, the ready line, an orderly end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog
import yaml
from pydantic import ValidationError

from charging_core.clock import Clock, ClockError, clock_from_env
from partners.fake.faults import Fault, FaultError, fault_from_text
from partners.fake.server import FakeServer
from partners.fake.wire import to_json

PARENT_CHECK_S = 1.0
"""Real seconds between two looks at whether the process that started us still lives."""

Build = Callable[[dict[str, Any], argparse.Namespace, Clock, list[Fault]], FakeServer]
"""Makes a fake from its configuration; `fake_options` gives the keyword arguments common to all."""


def run_fake(name: str, build: Build, argv: Sequence[str] | None = None, default_port: int = 0) -> int:
    """Run one fake until SIGTERM or SIGINT; returns the exit code. Prints one JSON line `{"ready": true, "port": N}`."""
    options = _parser(name, default_port).parse_args(argv)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        config = load_config(options.config)
        faults = [fault_from_text(text) for text in options.fault]
        fake = build(config, options, clock_from_env(), faults)
    except (OSError, yaml.YAMLError, ValidationError, FaultError, ClockError, ValueError) as error:
        return _refused(name, error)
    try:
        fake.start()
    except OSError as error:
        fake.stop()
        return _refused(name, f"{options.host}:{options.port} cannot be served, choose another --port: {error}")
    try:
        _say_ready(fake)
        _wait(options.parent)
    finally:
        fake.stop()
    return 0


def load_config(path: Path) -> dict[str, Any]:
    """The YAML or JSON mapping in `path`. Raises `ValueError` when it is something else."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ValueError(f"{path} must hold a mapping")
    return config


def fake_options(options: argparse.Namespace, faults: list[Fault]) -> dict[str, Any]:
    """The keyword arguments of `FakeServer` that the command line decides."""
    return {"host": options.host, "port": options.port, "log_file": options.log, "faults": faults}


def _parser(name: str, default_port: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("--config", type=Path, required=True, help="YAML or JSON file with ids, keys and addresses")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=default_port, help="0 picks a free one")
    parser.add_argument("--log", type=Path, help="JSON lines file, appended")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="[INTERFACE:]KIND[=N]", help="misbehave from the start"
    )
    parser.add_argument("--parent", type=int, help="end when the process with this id is no longer our parent")
    return parser


def _refused(name: str, reason: object) -> int:
    sys.stderr.write(f"{name}: {reason}\n")
    return 2


def _say_ready(fake: FakeServer) -> None:
    sys.stdout.write(to_json({"ready": True, "port": fake.port}) + "\n")
    sys.stdout.flush()


def _wait(parent: int | None) -> None:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(PARENT_CHECK_S):
        if parent is not None and os.getppid() != parent:
            return
