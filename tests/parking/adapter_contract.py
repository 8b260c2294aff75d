"""What every parking adapter must do, role by role, against a faithful fake of its system.

To add an adapter: write its `Subject` (how to build it, how to break its other side) and subclass the contracts of its roles in
`test_parking_contract.py`. A contract asks nothing about wire forms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from charging_core.clock import ManualClock
from parking.plates import Plate, normalise
from parking.port import (
    Benefit,
    BenefitKind,
    GateAction,
    GateCommand,
    GateKeeper,
    GateState,
    Grant,
    GrantGiver,
    GrantState,
    InboundPush,
    Outcome,
    ParkingAdapter,
    PassageSource,
    StayFinder,
)
from tests.parking.scripted_http import free_port

PLATE_TEXT = "浙AD12345"


@dataclass(frozen=True)
class Pushed:
    """A push as it arrived at the hub's door."""

    headers: dict[str, str]
    body: bytes


class Subject(Protocol):
    """An adapter under contract with its fake. `secrets` are texts that must never be recorded."""

    clock: ManualClock
    secrets: tuple[str, ...]

    def build(self, **changes: Any) -> ParkingAdapter:
        """A fresh adapter; `changes` replace settings. The subject closes it."""
        ...

    def wrong_credentials(self) -> dict[str, Any]:
        """Settings that the fake refuses."""
        ...

    def misbehave(self, kind: str, times: int | None = 1, value: float | None = None) -> None:
        """Let the fake's next calls go wrong: `hang`, `close_after`, `garbage`, `busy`."""
        ...

    def requests(self) -> int:
        """Requests that reached the fake."""
        ...


class GrantSubject(Subject, Protocol):
    """The fake of a system that gives benefits and knows who is inside."""

    def grants_in_books(self) -> dict[str, str]:
        """Key and plate of every benefit that the fake has booked."""
        ...

    def drive_in(self, plate: str) -> None:
        """A car enters."""
        ...


class GateSubject(Subject, Protocol):
    """The fake of a device with a barrier."""

    def gate_actions(self) -> list[str]:
        """What the barrier did, in order."""
        ...


class PassageSubject(Subject, Protocol):
    """The fake of a device that pushes passages."""

    def pass_by(self, plate: str) -> Pushed:
        """A car passes; what the device posted."""
        ...


def plate(text: str = PLATE_TEXT) -> Plate:
    """A plate in normal form."""
    found = normalise(text)
    assert found is not None
    return found


def texts_of(result: Any) -> str:
    """Everything that a result would leave in the records."""
    traces = [result.trace] if hasattr(result, "trace") else list(result.traces)
    return "\n".join([result.message, *(trace.request_text + trace.answer_text for trace in traces)])


class AdapterContract:
    """For every adapter."""

    def test_it_is_what_it_declares(self, subject: Subject) -> None:
        adapter = subject.build()
        declared = adapter.capabilities
        assert isinstance(adapter, ParkingAdapter)
        assert isinstance(adapter, GrantGiver) == bool(declared.grant_kinds)
        assert isinstance(adapter, StayFinder) == declared.finds_stays
        assert isinstance(adapter, GateKeeper) == bool(declared.gate_actions)
        assert isinstance(adapter, PassageSource) == bool(declared.passage_kinds)

    def test_what_gives_grants_names_its_idempotency_key(self, subject: Subject) -> None:
        declared = subject.build().capabilities
        assert (declared.idempotent_by is not None) == bool(declared.grant_kinds)

    def test_health(self, subject: Subject) -> None:
        health = subject.build().health()
        assert (health.outcome, bool(health.details)) == (Outcome.OK, True)

    def test_health_of_a_dead_address_is_worth_a_retry(self, subject: Subject) -> None:
        health = subject.build(base_url=f"http://127.0.0.1:{free_port()}").health()
        assert health.outcome is Outcome.RETRYABLE

    def test_wrong_credentials_are_a_matter_of_configuration(self, subject: Subject) -> None:
        health = subject.build(**subject.wrong_credentials()).health()
        assert health.outcome is Outcome.CONFIGURATION
        assert health.message

    def test_silence_ends_in_time_and_says_so(self, subject: Subject) -> None:
        subject.misbehave("hang", None, 5)
        assert subject.build(read_timeout_s=0.2).health().outcome is Outcome.TIMEOUT

    def test_nonsense_is_not_taken_for_an_answer(self, subject: Subject) -> None:
        subject.misbehave("garbage", None)
        assert subject.build().health().outcome not in (Outcome.OK, Outcome.RETRYABLE)

    def test_no_secret_is_recorded(self, subject: Subject) -> None:
        for adapter in (subject.build(), subject.build(**subject.wrong_credentials())):
            kept = texts_of(adapter.health())
            assert not [secret for secret in subject.secrets if secret in kept]

    def test_closing_twice_is_harmless(self, subject: Subject) -> None:
        adapter = subject.build()
        adapter.close()
        adapter.close()


class GrantContract(AdapterContract):
    """For adapters with grants and stays."""

    def test_a_grant_is_booked_under_our_key(self, subject: GrantSubject) -> None:
        result = self._giver(subject).grant(order(subject.clock.now()))
        assert (result.state, result.outcome) == (GrantState.GRANTED, Outcome.OK)
        assert result.vendor_ref
        assert subject.grants_in_books() == {"CH01": PLATE_TEXT}

    def test_the_same_key_again_is_no_second_grant(self, subject: GrantSubject) -> None:
        giver = self._giver(subject)
        states = [giver.grant(order(subject.clock.now())).state for _ in range(3)]
        assert set(states) <= {GrantState.GRANTED, GrantState.DUPLICATE}
        assert len(subject.grants_in_books()) == 1

    def test_every_kind_it_declares_is_taken(self, subject: GrantSubject) -> None:
        adapter = subject.build()
        values = {BenefitKind.MINUTES: "30", BenefitKind.AMOUNT: "5.50", BenefitKind.PERCENT: "20"}
        for kind in adapter.capabilities.grant_kinds:
            benefit = Benefit(kind, Decimal(values.get(kind, "0")))
            grant = replace(order(subject.clock.now()), idempotency_key=f"CH{kind.value}", benefit=benefit)
            assert isinstance(adapter, GrantGiver)
            assert adapter.grant(grant).state is GrantState.GRANTED

    def test_a_kind_it_does_not_declare_is_never_sent(self, subject: GrantSubject) -> None:
        adapter = subject.build()
        before = subject.requests()
        for kind in set(BenefitKind) - adapter.capabilities.grant_kinds:
            grant = replace(order(subject.clock.now()), benefit=Benefit(kind, Decimal(10)))
            assert isinstance(adapter, GrantGiver)
            assert adapter.grant(grant).state is GrantState.REJECTED
        assert subject.requests() == before

    def test_booked_but_unanswered_is_unknown_and_repeating_it_settles_it(self, subject: GrantSubject) -> None:
        giver = self._giver(subject)
        subject.misbehave("close_after")
        assert giver.grant(order(subject.clock.now())).state is GrantState.UNKNOWN
        assert giver.grant(order(subject.clock.now())).state in (GrantState.GRANTED, GrantState.DUPLICATE)
        assert subject.grants_in_books() == {"CH01": PLATE_TEXT}

    def test_busy_is_certainly_not_granted(self, subject: GrantSubject) -> None:
        subject.misbehave("busy")
        result = self._giver(subject).grant(order(subject.clock.now()))
        assert (result.state, result.outcome) == (GrantState.REJECTED, Outcome.RETRYABLE)
        assert subject.grants_in_books() == {}

    def test_neither_plate_nor_secret_is_recorded(self, subject: GrantSubject) -> None:
        kept = texts_of(self._giver(subject).grant(order(subject.clock.now())))
        assert not [word for word in (*subject.secrets, PLATE_TEXT) if word in kept]
        assert "浙A****45" in kept

    def test_a_car_inside_is_found_by_its_exact_plate(self, subject: GrantSubject) -> None:
        finder = self._finder(subject)
        assert finder.find_stay(plate()).stay is None
        subject.drive_in(PLATE_TEXT)
        found = finder.find_stay(plate())
        assert found.stay is not None
        assert (found.outcome, found.stay.entered_at) == (Outcome.OK, subject.clock.now())
        assert finder.find_stay(plate(PLATE_TEXT[:-1])).stay is None

    def test_the_bill_shows_what_was_granted(self, subject: GrantSubject) -> None:
        adapter = subject.build()
        assert isinstance(adapter, GrantGiver)
        assert isinstance(adapter, StayFinder)
        subject.drive_in(PLATE_TEXT)
        assert adapter.grant(order(subject.clock.now())).state is GrantState.GRANTED
        subject.clock.advance(timedelta(minutes=100))
        free = adapter.quote(plate()).quote
        subject.clock.advance(timedelta(minutes=200))
        reduced = adapter.quote(plate()).quote
        assert free is not None
        assert reduced is not None
        assert free.due == 0
        assert reduced.due == reduced.total - reduced.reduced > 0

    def _giver(self, subject: Subject) -> GrantGiver:
        adapter = subject.build()
        assert isinstance(adapter, GrantGiver)
        return adapter

    def _finder(self, subject: Subject) -> StayFinder:
        adapter = subject.build()
        assert isinstance(adapter, StayFinder)
        return adapter


class GateContract(AdapterContract):
    """For adapters that move a barrier."""

    def test_every_declared_action_moves_the_barrier_once(self, subject: GateSubject) -> None:
        adapter = subject.build()
        actions = sorted(adapter.capabilities.gate_actions)
        for action in actions:
            assert self._operate(subject, adapter, action).state is GateState.ACCEPTED_UNCONFIRMED
        assert subject.gate_actions() == [action.value for action in actions]

    def test_an_expired_command_does_not_leave_the_house(self, subject: GateSubject) -> None:
        adapter, before = subject.build(), subject.requests()
        result = self._operate(subject, adapter, GateAction.OPEN, lifetime_s=0)
        assert result.state is GateState.EXPIRED
        assert subject.requests() == before

    def test_busy_once_still_opens_busy_for_long_does_not(self, subject: GateSubject) -> None:
        adapter = subject.build()
        subject.misbehave("busy")
        assert self._operate(subject, adapter, GateAction.OPEN).state is GateState.ACCEPTED_UNCONFIRMED
        subject.misbehave("busy", None)
        result = self._operate(subject, adapter, GateAction.OPEN)
        assert (result.state, result.outcome, len(result.traces)) == (GateState.REFUSED, Outcome.RETRYABLE, 2)
        assert subject.gate_actions() == ["open"]

    def test_silence_is_unconfirmed_and_not_repeated_more_than_once(self, subject: GateSubject) -> None:
        adapter = subject.build(gate_timeout_s=0.2)
        assert self._operate(subject, adapter, GateAction.OPEN).state is GateState.ACCEPTED_UNCONFIRMED
        before = subject.requests()
        subject.misbehave("hang", None, 5)
        result = self._operate(subject, adapter, GateAction.OPEN)
        assert (result.state, result.outcome) == (GateState.UNCONFIRMED, Outcome.TIMEOUT)
        assert subject.requests() - before <= 2

    def test_a_wrong_password_is_not_tried_again(self, subject: GateSubject) -> None:
        adapter = subject.build(**subject.wrong_credentials())
        assert self._operate(subject, adapter, GateAction.OPEN).outcome is Outcome.CONFIGURATION
        before = subject.requests()
        for _ in range(10):
            assert self._operate(subject, adapter, GateAction.OPEN).code == "AUTH_FAILED"
        assert subject.requests() == before
        assert self._operate(subject, subject.build(), GateAction.OPEN).state is GateState.ACCEPTED_UNCONFIRMED

    def _operate(self, subject: Subject, adapter: ParkingAdapter, action: GateAction, lifetime_s: float = 15) -> Any:
        assert isinstance(adapter, GateKeeper)
        return adapter.operate(GateCommand(action, subject.clock.now() + timedelta(seconds=lifetime_s)))


class PassageContract(AdapterContract):
    """For adapters whose devices push passages."""

    def test_a_car_that_passes_is_one_passage(self, subject: PassageSubject) -> None:
        adapter, pushed = subject.build(), subject.pass_by(PLATE_TEXT)
        assert isinstance(adapter, PassageSource)
        passage = adapter.read_push(InboundPush(pushed.headers, pushed.body, subject.clock.now()))
        assert passage is not None
        assert (passage.plate, passage.is_replay) == (Plate(PLATE_TEXT, PLATE_TEXT), False)
        assert passage.kind in adapter.capabilities.passage_kinds
        assert passage.occurred_at == passage.received_at == subject.clock.now()

    def test_a_car_that_could_not_be_read_passes_without_plate(self, subject: PassageSubject) -> None:
        adapter, pushed = subject.build(), subject.pass_by("unknown")
        assert isinstance(adapter, PassageSource)
        passage = adapter.read_push(InboundPush(pushed.headers, pushed.body, subject.clock.now()))
        assert passage is not None
        assert passage.plate is None


def order(now: datetime) -> Grant:
    """120 minutes for the plate, valid for twelve hours."""
    return Grant("CH01", plate(), Benefit(BenefitKind.MINUTES, Decimal(120)), now, now + timedelta(hours=12))
