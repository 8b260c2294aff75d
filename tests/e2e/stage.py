"""The stage of the end-to-end and chaos tests: a whole hub in processes of its own, and everybody around it.

SQLite: one `hub serve`. PostgreSQL: `hub run web|piles|worker|scheduler` as four processes with Redis. Partner and regulator are the
shipped fakes on real ports of the test process, the piles a simulator process. All share one clock file, so a charge of an hour
takes half a minute.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from charging_core.clock import CHINA, FileClock, write_clock_file
from municipal.fake.regulator import FakeRegulator
from partners.fake.partner import FakePartner
from partners.fake.wire import Keys
from tests.e2e import operator_file
from tests.e2e.operator_file import (
    FIRST_PRICE,
    OPERATOR,
    PARTNER,
    PILE_POWER_KW,
    REGULATOR,
    SECOND_PILE,
    TENANT,
    write_operator_file,
)
from tests.e2e.programs import HOST, HubProgram, command, get
from tests.e2e.simulated import SimulatedPiles
from tests.support.databases import Databases, FreshDatabase
from tests.support.processes import free_port
from tests.support.servers import RedisServer, redis_server
from tests.support.waiting import wait_until

MORNING = datetime(2026, 3, 2, 8, 40, tzinfo=CHINA)
SLOW, FAST = 6.0, 120.0
"""Hand-shakes run slowly, since deadlines of seconds must not be missed by a busy machine; charges run fast."""
ACT_S = 30.0
"""Real seconds that anything may take which the hub does by itself."""
PILES = 14
"""Tests take one each for good, so that none meets another's car."""
ROLES = {"sqlite": ("serve",), "postgresql": ("web", "piles", "worker", "scheduler")}
ORDER_PUSH = "notification_charge_order_info"


def keys(mark: str) -> Keys:
    """A key set; `mark` (4 letters) makes it different from the others."""
    return Keys(
        operator_secret=f"{mark}OperatorKey1",
        data_secret=f"{mark}DataSecret01",
        data_iv=f"{mark}InitVector01",
        sig_secret=f"{mark}SigSecret001",
    )


PARTNER_KEYS, PARTNER_HUB_KEYS = keys("Prtn"), keys("PrHb")
REGULATOR_KEYS, REGULATOR_HUB_KEYS = keys("Regu"), keys("ReHb")


@dataclass
class Stage:
    """Everybody, running. `restart` and `programs` are for the tests that kill."""

    folder: Path
    dialect: str
    clock: FileClock
    partner: FakePartner
    regulator: FakeRegulator
    piles: SimulatedPiles
    programs: dict[str, HubProgram]
    environment: dict[str, str]
    pile_codes: list[str]
    redis: RedisServer | None = None
    token: str = field(default="", repr=False)
    _taken: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._taken = iter(self.pile_codes)

    # -- parts

    def program(self, role: str) -> HubProgram:
        """The process that plays `role` here: itself in a cluster, the one program on SQLite."""
        return self.programs.get(role) or self.programs["serve"]

    @property
    def web_url(self) -> str:
        """The hub's interfaces and console."""
        return self.program("web").url

    @property
    def inbound_url(self) -> str:
        """Where partners call us."""
        return f"{self.web_url}/{TENANT}/evcs/v1/"

    def free_connector(self) -> str:
        """A connector that no test has used yet."""
        return f"{next(self._taken)}01"

    def all_online(self) -> bool:
        """Whether the hub sees every pile, and has heard of every connector since."""
        connectors = self.console("connectors?limit=200")["items"]
        known = [connector for connector in connectors if connector["state"] != "offline"]
        return len(self.console("piles?online=true&limit=200")["items"]) == len(known) == len(self.piles.codes)

    # -- time

    def speed(self, rate: float) -> None:
        """Let everybody's clock run at `rate` from now on."""
        write_clock_file(self.folder / "clock.json", self.clock.now(), rate)

    # -- what people see

    def console(self, path: str) -> Any:
        """What the console API says."""
        answer = get(f"{self.web_url}/api/console/v1/{path}", self.token)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
        return answer.json(parse_float=Decimal)

    def trace(self, seq: str) -> Any:
        """What happened to an order, and who was told; none when there is no such order."""
        answer = get(f"{self.web_url}/api/console/v1/orders/{seq}/trace", self.token)
        return answer.json() if answer.status_code == 200 else None

    def order_state(self, seq: str) -> str:
        """The order's state; empty when there is none."""
        trace = self.trace(seq)
        return str(trace["order"]["state"]) if trace else ""

    def connector_state(self, connector: str) -> str:
        """The connector's state as the console shows it."""
        return str(self.console(f"connectors/{connector}")["state"])

    def command(self, *arguments: str) -> Any:
        """The JSON that a `hub … --json` command prints."""
        return json.loads(command(self.environment, *arguments, "--json"))

    def metric(self, role: str, name: str, **labels: str) -> float:
        """A value of the `/metrics` of the process that plays `role`; 0 when it is not there yet."""
        text = get(f"{self.program(role).url}/metrics").text
        return sum(value for found, value in _samples(text) if _is(found, name, labels))

    def apply(self, price: str = FIRST_PRICE) -> Any:
        """`hub apply` of the operator's file, with this energy price at the second station; what it says it did."""
        partner, regulator, own = self.partner.base_url, self.regulator.base_url, self.pile_codes
        path = write_operator_file(self.folder, own, partner, regulator, self.regulator.names, price)
        return self.command("apply", str(path))

    # -- a charge

    def plug(self, connector: str, **vehicle: Any) -> None:
        """A car is plugged in, and the hub knows."""
        self.piles.plug(connector, **{"soc": 20, "battery_kwh": 80, "power_kw": PILE_POWER_KW} | vehicle)
        self.until("the plug is seen", lambda: self.connector_state(connector) == "plugged")

    def start(self, connector: str) -> str:
        """The partner starts a charge; returns its StartChargeSeq when the pile charges."""
        told = self.partner.charge(connector, "浙AD12345")
        assert told["ok"], told["failed"]
        seq = str(told["start_charge_seq"])
        self.until("the charge runs", lambda: self.order_state(seq) == "charging")
        return seq

    def charge_for(self, minutes: float) -> None:
        """Let so many minutes of the stage's time pass quickly."""
        ends_at = self.clock.now().timestamp() + minutes * 60
        self.speed(FAST)
        self.until("the time has passed", lambda: self.clock.now().timestamp() >= ends_at, ACT_S + minutes)
        self.speed(SLOW)

    def stop(self, seq: str) -> None:
        """The partner stops the charge; returns when the order is settled."""
        answer = self.partner.stop_charge(seq)
        assert answer.ok, answer
        self.until("the order is settled", lambda: self.order_state(seq) == "settled")

    def whole_charge(self, connector: str, minutes: float = 5) -> str:
        """Plug, start, charge, stop."""
        self.plug(connector)
        seq = self.start(connector)
        self.charge_for(minutes)
        self.stop(seq)
        return seq

    # -- what the others got

    def order_pushes(self, seq: str) -> list[dict[str, Any]]:
        """Every order push of this order that the partner received, refused ones included."""
        return [e for e in self.partner.received(ORDER_PUSH) if (e.get("body") or {}).get("StartChargeSeq") == seq]

    def confirmed(self, seq: str) -> dict[str, Any] | None:
        """The order as the partner has booked it, once it confirmed it."""
        page = self.partner.summary()["orders"].get(seq)
        return page["order"] if page and page["order"] and page["confirm_result"] == 0 else None

    def regulator_order(self, seq: str) -> Any:
        """The order as the regulator has booked it, once it confirmed it; else none."""
        page = self.regulator.summary()["orders"].get(seq)
        return page["order"] if page and page["order"] and page["confirm_result"] == 0 else None

    def until_confirmed(self, seq: str) -> dict[str, Any]:
        """Wait for the partner's confirmation and return the order as it was pushed."""
        return self.until("the partner confirmed the order", lambda: self.confirmed(seq)) or {}

    def until_reported(self, seq: str, seconds: float = ACT_S) -> Any:
        """Wait for the regulator's confirmation and return the order as it was pushed."""
        return self.until("the regulator confirmed the order", lambda: self.regulator_order(seq), seconds)

    def until(self, what: str, holds: Callable[[], Any], seconds: float = ACT_S) -> Any:
        """Wait; a hub that died meanwhile fails at once with its log."""
        try:
            return wait_until(lambda: self._lives() and holds(), what, seconds, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._last_words()}") from error

    def _lives(self) -> bool:
        for program in self.programs.values():
            assert program.alive(), f"{program.name} ended:\n{program.tail()}"
        return True

    def _last_words(self) -> str:
        return "\n".join(f"--- {program.name}\n{program.tail(15)}" for program in self.programs.values())


_SHARED = pytest.StashKey[Stage]()


@contextmanager
def shared_stage(config: pytest.Config, databases: Databases, folders: pytest.TempPathFactory) -> Iterator[Stage]:
    """The one stage of this run: set by whoever asks first, who also takes it down; the others borrow it."""
    if _SHARED in config.stash:
        yield config.stash[_SHARED]
        return
    database = databases.fresh()
    with ExitStack() as stack:
        stack.callback(databases.drop, database)
        redis = stack.enter_context(redis_server()) if database.dialect == "postgresql" else None
        config.stash[_SHARED] = stack.enter_context(set_stage(folders.mktemp("stage"), database, redis, PILES))
        yield config.stash[_SHARED]
        del config.stash[_SHARED]


@contextmanager
def set_stage(folder: Path, database: FreshDatabase, redis: RedisServer | None, piles: int) -> Iterator[Stage]:
    """Put everybody on the stage; `piles` piles with one connector each. Ends all that it started."""
    with ExitStack() as stack:
        stage = _build(stack, folder, database, redis.url if redis else None, operator_file.pile_codes(piles))
        stage.redis = redis
        assert stage.apply()["applied"]
        stage.token = _make_token(stage)
        for program in stage.programs.values():
            program.start()
            stack.callback(program.stop)
        stack.callback(_ask_to_stop, stage)
        stage.piles.start()
        stack.callback(stage.piles.stop)
        for program in stage.programs.values():
            program.wait_ready()
        stage.piles.wait_ready()
        stage.until("all piles are online", stage.all_online)
        yield stage


def _build(
    stack: ExitStack, folder: Path, database: FreshDatabase, redis_url: str | None, pile_codes: list[str]
) -> Stage:
    write_clock_file(folder / "clock.json", MORNING, SLOW)
    clock = FileClock(folder / "clock.json")
    ports = {role: free_port() for role in (*ROLES[database.dialect], "tcp")}
    inbound = f"http://{HOST}:{ports.get('web') or ports['serve']}/{TENANT}/evcs/v1/"
    partner = FakePartner(_fake(PARTNER, inbound, PARTNER_KEYS, PARTNER_HUB_KEYS), clock)
    regulator = FakeRegulator(_fake(REGULATOR, inbound, REGULATOR_KEYS, REGULATOR_HUB_KEYS), clock)
    stack.enter_context(partner)
    stack.enter_context(regulator)
    environment = _environment(folder, database, redis_url, ports["tcp"])
    programs = {role: _program(folder, role, environment, ports[role]) for role in ROLES[database.dialect]}
    simulated = SimulatedPiles(folder, [*pile_codes, SECOND_PILE], ports["tcp"])
    return Stage(folder, database.dialect, clock, partner, regulator, simulated, programs, environment, pile_codes)


def _fake(operator_id: str, inbound: str, own: Keys, hub: Keys) -> dict[str, Any]:
    return {
        "operator_id": operator_id, "hub_operator_id": OPERATOR, "hub_base_url": inbound, "keys": dict(own),
        "hub_keys": dict(hub),
    }  # fmt: skip


def _environment(folder: Path, database: FreshDatabase, redis_url: str | None, pile_port: int) -> dict[str, str]:
    settings = {
        "HUB_DATABASE_URL": database.url,
        "HUB_DATABASE_OWNER_URL": database.owner_url,
        "HUB_DATABASE_POOL": "10",
        "HUB_SECRET_KEY": "a-key-for-the-end-to-end-tests",
        "HUB_CLOCK": f"file:{folder / 'clock.json'}",
        "HUB_PILE_PORT": str(pile_port),
        "HUB_OCPP_PORT": "0",
        "HUB_DRAIN_S": "5",
        "HUB_DELIVERY_MARGIN_S": "3",
        "HUB_RATE_PER_MINUTE": "100000",
        "HUB_LOG_FORMAT": "json",
    }
    keys_named = operator_file.key_environment("partner", PARTNER_HUB_KEYS, PARTNER_KEYS)
    keys_named |= operator_file.key_environment("regulator", REGULATOR_HUB_KEYS, REGULATOR_KEYS)
    return settings | keys_named | ({"HUB_REDIS_URL": redis_url} if redis_url else {})


def _program(folder: Path, role: str, environment: Mapping[str, str], port: int) -> HubProgram:
    arguments = ["serve"] if role == "serve" else ["run", role]
    return HubProgram(
        name=role,
        command=arguments,
        environment={**environment, "HUB_WEB_PORT": str(port)},
        log=folder / f"hub-{role}.log",
        web_port=port,
    )


def _ask_to_stop(stage: Stage) -> None:
    """All at once, so that they drain side by side."""
    for program in stage.programs.values():
        program.ask_to_stop()


def _make_token(stage: Stage) -> str:
    scopes = ("--scope", "console:read", "--scope", "console:write")
    return str(stage.command("token", "create", "--tenant", TENANT, *scopes)["token"])


def _samples(text: str) -> Iterator[tuple[str, float]]:
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            yield name, float(value)


def _is(found: str, name: str, labels: Mapping[str, str]) -> bool:
    return found.partition("{")[0] == name and all(f'{key}="{value}"' in found for key, value in labels.items())
