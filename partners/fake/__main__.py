"""`python -m partners.fake --config FILE [--port N] [--log FILE] [--fault KIND]`: run the fake partner platform."""

from __future__ import annotations

import argparse
from typing import Any

from charging_core.clock import Clock
from partners.fake.command import fake_options, run_fake
from partners.fake.faults import Fault
from partners.fake.partner import DEFAULT_PORT, FakePartner


def build(config: dict[str, Any], options: argparse.Namespace, clock: Clock, faults: list[Fault]) -> FakePartner:
    """The fake that the configuration and the command line describe."""
    return FakePartner(config, clock, **fake_options(options, faults))


if __name__ == "__main__":
    raise SystemExit(run_fake("partners.fake", build, default_port=DEFAULT_PORT))
