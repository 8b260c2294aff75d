"""The fake regulator: serves the five pushes of the province dialect and can query the hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from municipal.fake.books import RegulatorBooks
from municipal.fake.config import Kind, RegulatorConfig
from municipal.fake.tables import province_checker
from partners.fake.door import Refusal
from partners.fake.faults import Fault
from partners.fake.fields import Problem
from partners.fake.platform import EnvelopeFake, Finding, Judgement, forced

DEFAULT_PORT = 18081
"""The second of the fakes' ports (DECISIONS 9)."""


class FakeRegulator(EnvelopeFake):
    """A province platform on a local port. `with FakeRegulator(config) as regulator:` then give the hub its `base_url`."""

    def __init__(self, config: RegulatorConfig | Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        self.config = config if isinstance(config, RegulatorConfig) else RegulatorConfig.model_validate(config)
        super().__init__(self.config, *args, **kwargs)
        self.books = RegulatorBooks(self.config)
        self.names = self.config.wire_names()
        self._kinds: dict[str, Kind] = {name: kind for kind, name in self.names.items()}
        self._checker = province_checker()

    def interfaces(self) -> frozenset[str]:
        """The wire names of the five pushes."""
        return frozenset(self._kinds)

    def fault_fits(self, kind: str, interface: str) -> bool:
        """ConfirmResult belongs to orders, Status to the other pushes."""
        if kind in ("confirm_result", "status"):
            return interface in self._kinds and (self._kinds[interface] == "order") == (kind == "confirm_result")
        return super().fault_fits(kind, interface)

    def judge(self, interface: str, body: dict[str, Any], fault: Fault | None) -> Judgement:
        """Fields first: 4003 when one is missing, 4004 when one is wrong, named; then the books."""
        kind = self._kinds[interface]
        notes = self._fields(kind, interface, body)
        books = self.books
        actions: Mapping[Kind, Callable[[dict[str, Any], int | None], Judgement]] = {
            "station_info": books.station_info,
            "connector_status": books.connector_status,
            "charge_status": books.charge_status,
            "order": books.order,
            "realtime_power": books.realtime_power,
        }
        judgement = actions[kind](body, forced(fault, "confirm_result" if kind == "order" else "status"))
        judgement.findings[:0] = notes
        return judgement

    def _fields(self, kind: Kind, interface: str, body: dict[str, Any]) -> list[Finding]:
        problems = self._checker.check(kind, body)
        refused = [problem for problem in problems if problem.code != "unknown" or self.config.refuse_unknown]
        if refused:
            raise Refusal(*_refusal(refused))
        return [Finding("note", "unknown_member", interface, problem.path) for problem in problems]

    def summary(self) -> dict[str, Any]:
        """Also every order, and how many stations and connectors are known."""
        with self.books_lock:
            orders = {order_no: page.as_json() for order_no, page in self.books.pages.items()}
            known = {"stations": sorted(self.books.stations), "power_stations": sorted(self.books.power)}
            status = {connector: body["Status"] for connector, body in self.books.connectors.items()}
        return super().summary() | known | {"orders": orders, "connector_status": status, "names": self.names}

    def reset(self) -> None:
        """Also empties the books."""
        super().reset()
        with self.books_lock:
            self.books.clear()


def _refusal(problems: list[Problem]) -> tuple[int, str]:
    missing = [problem.path for problem in problems if problem.code == "missing"]
    if missing:
        return 4003, "缺少必填项:" + ",".join(missing)
    return 4004, "参数格式不合法:" + ";".join(f"{problem.path} {problem.text}" for problem in problems)
