"""What the staff asks of piles: who asked and why, what becomes of it, and firmware brought group by group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from charging_core.clock import ManualClock
from charging_core.db import Database
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.ids import new_id
from charging_core.monitoring.alarm import Alarm
from charging_core.piles.events import GroundLockReported, LockPosition, PileCurrent, PileLogin
from charging_core.piles.model import FirmwareRollout, GroundLock, PileCommand
from charging_core.piles.ports import CommandKind, CommandState, PendingCommand
from charging_core.piles.store.commands import TableCommandSource
from charging_core.piles.store.device import LOST_AFTER, Asked, Request, ask, sweep_commands
from charging_core.piles.store.directory import TablePileDirectory
from charging_core.piles.store.firmware import FirmwareDesk, Package, Plan
from charging_core.piles.store.sink import TablePileEventSink
from charging_core.secretbox import SecretBox
from charging_core.stations.model import Pile
from tests.support.seed import Seeded, Wakes, order_context, seed_operator

STAFF = Asked("token:ops", "夜间检修 / night work")
PACKAGE = Package("10.1.2.3", "fw/v3.bin", "ftp", "s3cret", version="V3.0.0")


class Depot:
    """A seeded operator with three piles, and everything that commands them."""

    def __init__(self, db: Database, clock: ManualClock) -> None:
        self.db, self.clock, self.wakes = db, clock, Wakes()
        self.seeded: Seeded = seed_operator(db, clock.now())
        self.other: Seeded = seed_operator(db, clock.now(), tenant_id="blue", number=2)
        self.box = SecretBox(["a key for these tests"])
        context, _ = order_context(clock)
        self.source = TableCommandSource(db, context, self.box)
        self.sink = TablePileEventSink(db, context)
        self.directory = TablePileDirectory(db, clock)
        self.desk = FirmwareDesk(clock, self.wakes, self.box)
        self.codes = [self.seeded.pile_code, *(f"32010600010{n:03d}" for n in (101, 102))]
        with db.session(self.seeded.tenant_id) as session:
            first = session.scalars(select(Pile)).one()
            for code in self.codes[1:]:
                session.add(
                    Pile(id=new_id(), code=code, station_id=first.station_id, kind="ac", power_kw=first.power_kw)
                )

    def ask(self, kind: CommandKind, target: str | None = None, **parameters: Any) -> str:
        with self.db.session(self.seeded.tenant_id) as session:
            request = Request(kind, target or self.codes[0], parameters)
            return ask(session, self.clock, self.wakes, request, STAFF).id

    def row(self, id_: str) -> PileCommand:
        with self.db.read(self.seeded.tenant_id) as session:
            return session.scalars(select(PileCommand).where(PileCommand.id == id_)).one()

    def begin(self, package: Package = PACKAGE, **more: Any) -> str:
        plan = replace(Plan("three", self.codes, (1, 2)), **more)
        with self.db.session(self.seeded.tenant_id) as session:
            return self.desk.begin(session, package, plan, STAFF).id

    def rollout(self, id_: str) -> tuple[str, list[str]]:
        """State of the rollout and of its piles."""
        with self.db.read(self.seeded.tenant_id) as session:
            found = session.scalars(select(FirmwareRollout).where(FirmwareRollout.id == id_)).one()
            return found.state, [pile.state for pile in found.piles]

    def change(self, id_: str, state: str) -> None:
        with self.db.session(self.seeded.tenant_id) as session:
            self.desk.change(session, id_, state, STAFF)

    def waiting(self) -> list[PendingCommand]:
        return list(self.source.pending(self.codes))

    def answer(self, command: PendingCommand, state: CommandState, detail: str = "") -> None:
        assert self.source.mark(command.id, CommandState.SENT, "")
        assert self.source.mark(command.id, state, detail)

    def log_in(self, code: str, firmware: str = "V2.3.1") -> None:
        login = PileLogin(
            code, new_id(), "ykc", "1.6", firmware, PileCurrent.AC, 1, None, "10.0.0.1:4000", self.clock.now()
        )
        assert self.directory.login(login).accepted


@pytest.fixture
def depot(db: Database, manual_clock: ManualClock) -> Depot:
    return Depot(db, manual_clock)


def test_a_request_says_who_asked_and_why_and_what_became_of_it(depot: Depot) -> None:
    id_ = depot.ask(CommandKind.SET_WORK, out_of_service=True, max_power_percent=50)
    assert depot.wakes.piles == [depot.codes[0]]
    (command,) = depot.waiting()
    assert (command.id, command.kind, command.connector_no) == (id_, CommandKind.SET_WORK, 0)
    assert dict(command.parameters) == {"out_of_service": True, "max_power_percent": 50}
    depot.answer(command, CommandState.ACKNOWLEDGED)
    row = depot.row(id_)
    assert (row.state, row.asked_by, row.reason, row.order_id) == ("acknowledged", "token:ops", STAFF.reason, None)


@pytest.mark.parametrize(
    ("kind", "parameters", "field"),
    [
        (CommandKind.SET_WORK, {}, "out_of_service"),
        (CommandKind.SET_WORK, {"out_of_service": False, "max_power_percent": 29}, "max_power_percent"),
        (CommandKind.SET_WORK, {"out_of_service": False, "max_power_percent": True}, "max_power_percent"),
        (CommandKind.REBOOT, {"now": True}, "now"),
        (CommandKind.LOCK, {"raise": "up"}, "raise"),
        (CommandKind.SET_QR, {"prefix": ""}, "prefix"),
        (CommandKind.SET_QR, {"prefix": "二维码"}, "prefix"),
        (CommandKind.SET_QR, {"prefix": "x" * 181}, "prefix"),
        (CommandKind.START, {}, "kind"),
        (CommandKind.STOP, {}, "kind"),
    ],
)
def test_requests_of_no_use_are_refused(
    depot: Depot, kind: CommandKind, parameters: dict[str, Any], field: str
) -> None:
    target = depot.seeded.connectors[0] if kind is CommandKind.LOCK else None
    with pytest.raises(InvalidInput) as caught:
        depot.ask(kind, target, **parameters)
    assert caught.value.field == field
    assert depot.waiting() == []


def test_only_ones_own_piles_of_a_protocol_that_can_be_asked(depot: Depot) -> None:
    for target in (depot.other.pile_code, "99999999999999", depot.seeded.connectors[0]):
        with pytest.raises(NotFound):
            depot.ask(CommandKind.REBOOT, target)
    for target in (depot.codes[0], depot.codes[0] + "09", depot.other.connectors[0]):
        with pytest.raises(NotFound):
            depot.ask(CommandKind.LOCK, target, **{"raise": True})
    with depot.db.session(depot.seeded.tenant_id) as session:
        session.scalars(select(Pile).where(Pile.code == depot.codes[1])).one().protocol = "other"
    with pytest.raises(Conflict):
        depot.ask(CommandKind.REBOOT, depot.codes[1])


def test_a_lock_and_a_reading_name_their_connector(depot: Depot) -> None:
    depot.ask(CommandKind.LOCK, depot.seeded.connectors[1], **{"raise": False})
    depot.ask(CommandKind.READ, depot.seeded.connectors[0])
    assert [(command.kind, command.connector_no) for command in depot.waiting()] == [
        (CommandKind.LOCK, 2), (CommandKind.READ, 1)
    ]  # fmt: skip


def test_what_nobody_will_act_on_is_closed(depot: Depot) -> None:
    never_sent = depot.ask(CommandKind.REBOOT)
    sent = depot.ask(CommandKind.SYNC_TIME)
    depot.source.mark(sent, CommandState.SENT, "")
    assert sweep_commands(depot.db, depot.clock) == 0
    depot.clock.advance(timedelta(minutes=11))
    fresh = depot.ask(CommandKind.SYNC_TIME)
    assert sweep_commands(depot.db, depot.clock) == 2
    assert [depot.row(id_).state for id_ in (never_sent, sent, fresh)] == ["expired", "failed", "pending"]
    assert not depot.source.mark(sent, CommandState.ACKNOWLEDGED, "")


def test_the_qr_prefix_is_sent_again_after_a_login(depot: Depot) -> None:
    depot.log_in(depot.codes[0])
    assert depot.waiting() == []
    depot.ask(CommandKind.SET_QR, prefix="https://q.example/", with_connector=False)
    depot.log_in(depot.codes[0])
    (command,) = depot.waiting()  # the first still waits: once is enough
    depot.answer(command, CommandState.ACKNOWLEDGED)
    depot.log_in(depot.codes[0])
    (again,) = depot.waiting()
    assert again.id != command.id
    assert dict(again.parameters) == dict(command.parameters)
    assert depot.row(again.id).asked_by == STAFF.by
    depot.log_in(depot.codes[1])
    assert [one.pile_code for one in depot.waiting()] == [depot.codes[0]]


def test_a_locks_last_word_is_kept_and_its_complaint_is_an_alarm(depot: Depot) -> None:
    code = depot.seeded.connectors[0]
    report = GroundLockReported(
        depot.codes[0], 1, LockPosition.BETWEEN, True, 15, "arm_out_of_position", depot.clock.now()
    )
    depot.sink.handle([report, replace(report, connector_no=9)])
    with depot.db.read(depot.seeded.tenant_id) as session:
        lock = session.scalars(select(GroundLock)).one()
        assert (lock.connector_code, lock.position, lock.occupied, lock.battery_percent) == (code, "between", True, 15)
        assert session.scalars(select(Alarm)).one().cleared_at is None
    depot.sink.handle([replace(report, position=LockPosition.LOWERED, alarm=None, occupied=False)])
    with depot.db.read(depot.seeded.tenant_id) as session:
        assert session.scalars(select(GroundLock)).one().position == "lowered"
        assert session.scalars(select(Alarm)).one().cleared_at is not None


# -- firmware


def test_groups_follow_each_other_when_the_one_before_is_done(depot: Depot) -> None:
    rollout = depot.begin(replace(PACKAGE, version=None))
    (first,) = depot.waiting()
    assert (first.pile_code, first.parameters["password"], first.parameters["power_kw"]) == (
        depot.codes[0],
        "s3cret",
        120,
    )
    assert (first.parameters["current"], first.answer_within_s) == ("dc", 24 * 3600)
    assert "s3cret" not in str(depot.row(first.id).parameters)
    depot.desk.sweep(depot.db)
    assert depot.rollout(rollout) == ("running", ["asked", "waiting", "waiting"])
    depot.answer(first, CommandState.ACKNOWLEDGED)
    depot.desk.sweep(depot.db)
    second, third = depot.waiting()
    assert {second.pile_code, third.pile_code} == set(depot.codes[1:])
    for command in (second, third):
        depot.answer(command, CommandState.ACKNOWLEDGED)
    depot.desk.sweep(depot.db)
    assert depot.rollout(rollout) == ("finished", ["done", "done", "done"])
    assert depot.desk.sweep(depot.db) == 0


def test_a_failure_halts_and_resuming_lets_the_rest_go_on(depot: Depot) -> None:
    rollout = depot.begin()
    (first,) = depot.waiting()
    depot.answer(first, CommandState.FAILED, "the download timed out")
    depot.desk.sweep(depot.db)
    assert depot.rollout(rollout) == ("halted", ["failed", "waiting", "waiting"])
    assert depot.waiting() == []
    depot.change(rollout, "running")
    assert len(depot.waiting()) == 2
    with depot.db.read(depot.seeded.tenant_id) as session:
        history = session.scalars(select(FirmwareRollout)).one().history
        assert [(entry["state"], entry["by"]) for entry in history] == [
            ("running", "token:ops"), ("halted", "hub"), ("running", "token:ops")
        ]  # fmt: skip


def test_the_version_after_the_login_proves_the_update_without_an_answer(depot: Depot) -> None:
    rollout = depot.begin()
    (first,) = depot.waiting()
    assert depot.source.mark(first.id, CommandState.SENT, "")
    depot.log_in(depot.codes[0], "V3.0.0")
    depot.desk.sweep(depot.db)
    assert depot.rollout(rollout)[1] == ["done", "asked", "asked"]


def test_a_paused_rollout_asks_nobody_and_a_cancelled_one_is_over(depot: Depot) -> None:
    rollout = depot.begin()
    (first,) = depot.waiting()
    depot.change(rollout, "paused")
    depot.answer(first, CommandState.ACKNOWLEDGED)
    depot.desk.sweep(depot.db)
    assert depot.rollout(rollout) == ("paused", ["done", "waiting", "waiting"])
    depot.change(rollout, "cancelled")
    depot.desk.sweep(depot.db)
    assert depot.waiting() == []
    with pytest.raises(Conflict):
        depot.change(rollout, "running")


def test_a_pile_that_stays_away_fails_its_update(depot: Depot) -> None:
    rollout = depot.begin(failures_allowed=3)
    depot.clock.advance(timedelta(days=1) + LOST_AFTER)
    sweep_commands(depot.db, depot.clock)
    depot.desk.sweep(depot.db)
    assert depot.rollout(rollout) == ("running", ["failed", "asked", "asked"])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda depot: depot.begin(replace(PACKAGE, path="x" * 33)), InvalidInput),
        (lambda depot: depot.begin(replace(PACKAGE, server="")), InvalidInput),
        (lambda depot: depot.begin(replace(PACKAGE, port=0)), InvalidInput),
        (lambda depot: depot.begin(replace(PACKAGE, timeout_min=256)), InvalidInput),
        (lambda depot: depot.begin(groups=(0,)), InvalidInput),
        (lambda depot: depot.begin(piles=[]), InvalidInput),
        (lambda depot: depot.begin(piles=[depot.other.pile_code]), NotFound),
        (lambda depot: (depot.begin(), depot.begin()), Conflict),
        (lambda depot: depot.change(new_id(), "paused"), NotFound),
    ],
)
def test_rollouts_that_cannot_be_are_refused(depot: Depot, change: Callable[[Depot], Any], error: type) -> None:
    with pytest.raises(error):
        change(depot)


def test_without_the_key_the_update_goes_out_without_its_password_and_is_refused_later(depot: Depot) -> None:
    depot.begin()
    context, _ = order_context(depot.clock)
    blind = TableCommandSource(depot.db, context, SecretBox(["a key of somebody else"]))
    (command,) = blind.pending(depot.codes)
    assert "password" not in command.parameters
