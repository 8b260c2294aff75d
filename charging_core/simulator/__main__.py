"""`python -m charging_core.simulator`: simulated piles against a platform until SIGTERM or SIGINT.

Prints one JSON line `{"ready": true, "control_port": N}` on stdout when all piles have logged in; logs go to stderr.
Exit codes: 0 after a signal, 2 if the configuration is not valid or the control port is taken.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

import structlog

from charging_core.clock import Clock, ClockError, clock_from_env
from charging_core.simulator.errors import ConfigError
from charging_core.simulator.runner import SimulatorProcess
from charging_core.simulator.settings import SimulatorConfig, load_config

_DEFAULT_PORT = 8768


def main(argv: list[str] | None = None) -> int:
    """Run until a signal; returns the exit code."""
    arguments = _parser().parse_args(argv)
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    try:
        asyncio.run(_run(arguments, load_config(arguments.config), clock_from_env()))
    except (ConfigError, ClockError, OSError) as error:
        sys.stderr.write(f"模拟桩无法启动 / the simulator cannot start: {error}\n")
        return 2
    return 0


async def _run(arguments: argparse.Namespace, config: SimulatorConfig, clock: Clock) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    process = SimulatorProcess(config, clock, log_path=arguments.log)
    try:
        control_port = await process.start(arguments.host, arguments.port, arguments.control_port)
        announcing = asyncio.create_task(_announce(process, control_port))
        await stopped.wait()
        announcing.cancel()
    finally:
        await process.stop()


async def _announce(process: SimulatorProcess, control_port: int) -> None:
    await process.wait_ready()
    sys.stdout.write(json.dumps({"ready": True, "control_port": control_port}) + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m charging_core.simulator", description="模拟充电桩 / simulated piles"
    )
    parser.add_argument("--host", default="127.0.0.1", help="平台地址 / the platform's address")
    parser.add_argument("--port", type=int, default=_DEFAULT_PORT, help="平台端口 / the platform's port")
    parser.add_argument("--config", type=Path, required=True, help="桩清单 YAML / the piles, a YAML file")
    parser.add_argument("--control-port", type=int, default=0, help="控制端口, 0 = 任选 / control port, 0 = any")
    parser.add_argument("--log", type=Path, help="报文日志 JSONL / frame log, JSON lines")
    return parser


if __name__ == "__main__":
    sys.exit(main())
