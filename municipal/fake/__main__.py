"""`python -m municipal.fake --config FILE [--port N] [--log FILE] [--fault KIND]`: run the fake regulator."""

from __future__ import annotations

import argparse
from typing import Any

from charging_core.clock import Clock
from municipal.fake.regulator import DEFAULT_PORT, FakeRegulator
from partners.fake.command import fake_options, run_fake
from partners.fake.faults import Fault


def build(config: dict[str, Any], options: argparse.Namespace, clock: Clock, faults: list[Fault]) -> FakeRegulator:
    """The fake that the configuration and the command line describe."""
    return FakeRegulator(config, clock, **fake_options(options, faults))


if __name__ == "__main__":
    raise SystemExit(run_fake("municipal.fake", build, default_port=DEFAULT_PORT))
