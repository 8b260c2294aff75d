"""Entry point of the `hub` command: puts the commands together and turns errors into words."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import typer

from charging_core.errors import CoreError, NotFound
from charging_core.secretbox import SecretError
from hub.cli import processes, setup, simulate
from hub.cli.bills import order_app
from hub.cli.card import card_app
from hub.cli.deliveries import delivery_app
from hub.cli.links import link_app
from hub.cli.piles import pile_app
from hub.cli.reconcile import reconcile_app
from hub.cli.records import alarm_app, record_app
from hub.cli.reservations import reservation_app
from hub.cli.screen import err
from hub.cli.tariffs import tariff_app
from hub.cli.tcec import tcec_app
from hub.cli.things import token_app
from hub.cli.ykc import ykc_app
from hub.errors import HubError
from worker.errors import NotRepairable

EXPECTED = (HubError, CoreError, SecretError, NotRepairable)
"""What is told in one sentence; anything else is a defect and shows its trace."""

DEMO = "hub.cli.demo"


def build() -> typer.Typer:
    """The whole command."""
    app = typer.Typer(
        name="hub",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="充电互联枢纽: 充电桩、互联平台、监管平台与道闸之间的枢纽 / one hub between piles, partners, regulators and gates.",
    )
    if importlib.util.find_spec(DEMO) is not None:
        importlib.import_module(DEMO).register(app)
    app.command("serve")(processes.serve)
    app.add_typer(processes.run_app, name="run")
    for command in (setup.migrate, setup.apply, setup.settings, simulate.simulate):
        app.command()(command)
    for name, group in (
        ("order", order_app),
        ("record", record_app),
        ("reservation", reservation_app),
        ("alarm", alarm_app),
        ("link", link_app),
        ("pile", pile_app),
        ("card", card_app),
        ("tariff", tariff_app),
        ("delivery", delivery_app),
        ("reconcile", reconcile_app),
        ("token", token_app),
        ("tcec", tcec_app),
        ("ykc", ykc_app),
    ):
        app.add_typer(group, name=name)
    return app


def main() -> None:
    """Run the command; an expected error is printed in words and ends with status 1."""
    try:
        build()()
    except EXPECTED as error:
        words = f"没有 / there is no {error}" if isinstance(error, NotFound) else str(error)
        err.print(words, style="red", markup=False, highlight=False)
        sys.exit(1)
