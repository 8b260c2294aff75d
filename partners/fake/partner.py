"""The fake partner platform: serves the pushes of T/CEC 102, keeps books, and starts charges at the hub like an app would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from partners.fake.bills import BillNames
from partners.fake.books import PartnerBooks
from partners.fake.caller import Answer
from partners.fake.charge import Charge, ChargeScript, Sequences
from partners.fake.config import PartnerConfig
from partners.fake.door import Passage, Refusal
from partners.fake.faults import Fault
from partners.fake.fields import Problem
from partners.fake.httpd import Request
from partners.fake.planted import PLANTED, PlantedDoor, overlooked, rejudged, spoilt
from partners.fake.platform import EnvelopeFake, Finding, Judgement, forced
from partners.fake.server import ControlAction, Served
from partners.fake.tables import PUSHES, answer_table, partner_checker

DEFAULT_PORT = 18080
"""The first of the fakes' ports (DECISIONS 9)."""


class FakePartner(EnvelopeFake):
    """A partner platform on a local port. `with FakePartner(config) as partner:` then give the hub `partner.base_url`."""

    fault_kinds: ClassVar[Mapping[str, str]] = {**EnvelopeFake.fault_kinds, **PLANTED}

    def __init__(self, config: PartnerConfig | Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        self.config = config if isinstance(config, PartnerConfig) else PartnerConfig.model_validate(config)
        super().__init__(self.config, *args, **kwargs)
        spelling = self.config.service_spelling
        names = BillNames(
            total_service=f"Total{spelling}Money",
            service_price=f"{spelling}Price",
            detail_service=f"Detail{spelling}Money",
            energy_decimals=self.config.energy_decimals,
        )
        self.books = PartnerBooks(
            names, accept_unknown=self.config.accept_unknown_orders, check_policy=self.config.check_policy
        )
        self._checker = partner_checker(spelling, self.config.energy_decimals)
        self._sequences = Sequences(self.config.operator_id, self.clock)
        self._door = PlantedDoor(self.config, self.tokens, self.clock)

    # -- serving -----------------------------------------------------------------------------------------------------

    def interfaces(self) -> frozenset[str]:
        """The five notifications and the statement."""
        return frozenset(PUSHES)

    def fault_fits(self, kind: str, interface: str) -> bool:
        """ConfirmResult belongs to orders, Status to the connector push."""
        if kind == "confirm_result":
            return interface == "notification_charge_order_info"
        if kind == "status":
            return interface == "notification_stationStatus"
        return super().fault_fits(kind, interface)

    def serve(self, request: Request, interface: str, fault: Fault | None) -> Served:
        """As every fake behind an envelope, with the planted defect in the answer."""
        return spoilt(super().serve(request, interface, fault), fault, self.link.keys)

    def _token(self, passage: Passage) -> Judgement:
        judgement = super()._token(passage)
        token = (judgement.data or {}).get("AccessToken")
        if token and passage.fault and passage.fault.kind == "one_token":
            self.tokens.forget(but=token)
        return judgement

    def judge(self, interface: str, body: dict[str, Any], fault: Fault | None) -> Judgement:
        """Fields by the standard's tables (4004), then the books."""
        problems = self._checker.check(interface, body)
        if overlooked(problems, fault):
            return Judgement({})
        notes = self._fields(interface, problems, fault)
        judgement = self._book(interface, body, fault)
        judgement.findings[:0] = notes
        return rejudged(judgement, body, fault, self.books)

    def _fields(self, interface: str, problems: list[Problem], fault: Fault | None) -> list[Finding]:
        refuse_unknown = self.config.refuse_unknown or bool(fault and fault.kind == "unknown_members_refused")
        refused = [p for p in problems if p.code != "unknown" or refuse_unknown]
        if refused:
            raise Refusal(4004, ";".join(f"{problem.path}:{problem.text}" for problem in refused))
        return [_noted(interface, problem) for problem in problems]

    def _book(self, interface: str, body: dict[str, Any], fault: Fault | None) -> Judgement:
        books = self.books
        actions: Mapping[str, Callable[[], Judgement]] = {
            "notification_stationStatus": lambda: books.station_status(body, forced(fault, "status")),
            "notification_start_charge_result": lambda: books.start_result(body),
            "notification_equip_charge_status": lambda: books.charge_status(body),
            "notification_stop_charge_result": lambda: books.stop_result(body),
            "notification_charge_order_info": lambda: books.order(body, forced(fault, "confirm_result")),
            "check_charge_orders": lambda: books.reconcile(body),
        }
        return actions[interface]()

    # -- calling the hub ---------------------------------------------------------------------------------------------

    def call(self, interface: str, body: dict[str, Any]) -> Answer:
        """Call the hub; the answer's members are checked against the standard's tables and slips become violations."""
        answer = super().call(interface, body)
        table = answer_table(interface)
        if table and answer.ret == 0 and answer.data is not None:
            with self.books_lock:
                self._findings += [_noted(interface, problem) for problem in self._checker.check(table, answer.data)]
        return answer

    def charge(self, connector_id: str, plate: str = "") -> dict[str, Any]:
        """Play the calls of one charge up to its start; returns the sequence number and every answer."""
        script = ChargeScript(self.call, self._sequences, self.config.page_size)
        return script.play(connector_id, plate, self._begin).as_json()

    def stop_charge(self, start_charge_seq: str) -> Answer:
        """Ask the hub to stop an order that we started. Raises `KeyError` when we did not."""
        with self.books_lock:
            page = self.books.pages[start_charge_seq]
        return self.call("query_stop_charge", {"StartChargeSeq": start_charge_seq, "ConnectorID": page.connector_id})

    def open_page(self, start_charge_seq: str, connector_id: str, plate: str = "") -> None:
        """Book an order as ours without starting it, for rehearsals that begin with a push."""
        with self.books_lock:
            self.books.open_page(start_charge_seq, connector_id, plate)

    def _begin(self, charge: Charge) -> None:
        with self.books_lock:
            self.books.open_page(charge.start_charge_seq, charge.connector_id, charge.plate, charge.policy)

    # -- control -----------------------------------------------------------------------------------------------------

    def summary(self) -> dict[str, Any]:
        """Also every order in the books."""
        with self.books_lock:
            orders = {seq: page.as_json() for seq, page in self.books.pages.items()}
        return super().summary() | {"orders": orders}

    def reset(self) -> None:
        """Also empties the books."""
        super().reset()
        with self.books_lock:
            self.books.clear()

    def control_actions(self) -> dict[tuple[str, str], ControlAction]:
        """Also `charge`, `stop` and `order` (book one without starting it)."""

        def book(body: dict[str, Any]) -> object:
            self.open_page(str(body["start_charge_seq"]), str(body["connector_id"]), str(body.get("plate") or ""))
            return {"booked": body["start_charge_seq"]}

        return super().control_actions() | {
            ("POST", "charge"): lambda body: self.charge(str(body["connector_id"]), str(body.get("plate") or "")),
            ("POST", "stop"): lambda body: self.stop_charge(str(body["start_charge_seq"])).as_json(),
            ("POST", "order"): book,
        }


def _noted(interface: str, problem: Problem) -> Finding:
    level, code = ("note", "unknown_member") if problem.code == "unknown" else ("violation", "field_" + problem.code)
    return Finding("note" if level == "note" else "violation", code, interface, f"{problem.path}: {problem.text}")
