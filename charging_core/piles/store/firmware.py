"""Firmware brought to many piles, group by group (0x94 on YKC): a bad one must not take a whole station off the air.

A rollout names its package, its piles in order, and the sizes of its groups. A pile is done when it answered well, or logged in
with the expected version; the next group begins when the one before is done. More failures than allowed halt it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select

from charging_core.clock import Clock
from charging_core.db import Database, HubSession
from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.ids import new_id
from charging_core.piles.model import FirmwareRollout, FirmwareRolloutPile, PileCommand
from charging_core.piles.ports import CommandKind, CommandState
from charging_core.piles.store.commands import CommandWaker
from charging_core.piles.store.device import Asked, Request, ask
from charging_core.secretbox import SecretBox
from charging_core.stations.model import Pile

RUNNING, PAUSED, HALTED, FINISHED, CANCELLED = "running", "paused", "halted", "finished", "cancelled"
WAITING, ASKED, DONE, FAILED = "waiting", "asked", "done", "failed"
VALID_FOR = timedelta(days=1)
"""A pile that is away for a day has failed its update: its group must not wait for ever."""
WHEN_IDLE_S = 24 * 3600
"""A pile that updates when idle answers after its charge; a day covers the longest."""
INSTALL_S = 600
"""What a pile may take beyond the download before it answers."""
MAX_PILES = 2000
DEFAULT_GROUPS = (1, 10)
"""One pile alone, then ten, then ten at a time."""
_SIZES = {"server": 16, "user": 16, "password": 16, "path": 32}
"""Bytes that 0x94 has for each text."""


@dataclass(frozen=True, slots=True)
class Package:
    """Where a firmware lies (FTP). `version` is what the pile's login says afterwards; none: only its answer counts."""

    server: str
    path: str
    user: str
    password: str
    port: int = 21
    timeout_min: int = 10
    when_idle: bool = True
    version: str | None = None

    def check(self) -> None:
        """Raises `InvalidInput` for what no frame can carry."""
        for name, size in _SIZES.items():
            text = getattr(self, name)
            if not text.isascii() or len(text) > size or (name in ("server", "path") and not text):
                raise InvalidInput(name, f"应为至多 {size} 个 ASCII 字符 / is at most {size} ASCII characters")
        if not 0 < self.port < 1 << 16:
            raise InvalidInput("port", "应为 1…65535 / is 1…65535")
        if not 0 < self.timeout_min < 1 << 8:
            raise InvalidInput("timeout_min", "应为 1…255 分钟 / is 1…255 minutes")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to update, in which groups. `groups` are sizes; the last one repeats until all piles are in one."""

    name: str
    piles: Sequence[str]
    groups: Sequence[int] = DEFAULT_GROUPS
    failures_allowed: int = 0


class FirmwareDesk:
    """Begins rollouts and moves them on."""

    def __init__(self, clock: Clock, waker: CommandWaker, box: SecretBox) -> None:
        self._clock = clock
        self._waker = waker
        self._box = box

    def begin(self, session: HubSession, package: Package, plan: Plan, asked: Asked) -> FirmwareRollout:
        """Write the rollout and ask its first group. Raises `InvalidInput`, `NotFound` (a pile), `Conflict` (in another rollout)."""
        package.check()
        _check_plan(session, plan)
        now = self._clock.now()
        rollout = FirmwareRollout(
            id=new_id(), name=plan.name[:64], version=package.version, failures_allowed=plan.failures_allowed,
            package=_open_part(package), password="", state=RUNNING, asked_by=asked.by[:64],
            reason=asked.reason, history=[], created_at=now, changed_at=now,
        )  # fmt: skip
        rollout.password = self._box.seal(package.password, secret_context(rollout.id))
        rollout.piles = [
            FirmwareRolloutPile(
                id=new_id(), pile_code=code, place=place, group_no=group, state=WAITING, changed_at=now
            )
            for place, (code, group) in enumerate(zip(plan.piles, _groups(plan.groups), strict=False))
        ]  # fmt: skip
        _note(rollout, RUNNING, asked, now)
        session.add(rollout)
        session.flush()
        self._advance(session, rollout)
        return rollout

    def change(self, session: HubSession, rollout_id: str, state: str, asked: Asked) -> FirmwareRollout:
        """Pause, resume (`running`) or cancel. Raises `NotFound`, `Conflict` when it is over.

        Piles that were asked go on; resuming a halted rollout lets one more failure pass for each that happened.
        """
        rollout = _locked(session, rollout_id)
        if rollout.state in (FINISHED, CANCELLED):
            raise Conflict(f"升级任务已结束 / the rollout is over: {rollout.state}")
        if state == RUNNING and rollout.state == HALTED:
            rollout.failures_allowed += sum(pile.state == FAILED for pile in rollout.piles)
        rollout.state = state
        _note(rollout, state, asked, self._clock.now())
        self._advance(session, rollout)
        return rollout

    def sweep(self, db: Database) -> int:
        """Move on every rollout that runs or waits for a pile; returns how many. Looks without SQLite's writer first."""
        asked = FirmwareRollout.piles.any(FirmwareRolloutPile.state == ASKED)
        query = select(FirmwareRollout.id, FirmwareRollout.tenant_id).where(
            or_(FirmwareRollout.state == RUNNING, asked)
        )
        with db.read_system("firmware rollouts") as session:
            found = [(row[0], row[1]) for row in session.execute(query)]
        for rollout_id, tenant_id in found:
            with db.session(tenant_id) as session:
                self._advance(session, _locked(session, rollout_id))
        return len(found)

    def _advance(self, session: HubSession, rollout: FirmwareRollout) -> None:
        for pile in rollout.piles:
            if pile.state == ASKED:
                self._look_at(session, rollout, pile)
        if rollout.state != RUNNING:
            return
        failed = sum(pile.state == FAILED for pile in rollout.piles)
        if failed > rollout.failures_allowed:
            self._end(rollout, HALTED, f"{failed} failed")
        elif all(pile.state in (DONE, FAILED) for pile in rollout.piles):
            self._end(rollout, FINISHED, "")
        else:
            self._ask_next_group(session, rollout)

    def _look_at(self, session: HubSession, rollout: FirmwareRollout, pile: FirmwareRolloutPile) -> None:
        """What became of a pile that was asked: its answer, or the version it runs now."""
        command = session.scalars(select(PileCommand).where(PileCommand.id == pile.command_id)).one()
        running = session.scalars(select(Pile.firmware).where(Pile.code == pile.pile_code)).one_or_none()
        if rollout.version is not None and running == rollout.version:
            self._set(pile, DONE, f"runs {running}")
        elif command.state in (CommandState.FAILED, CommandState.EXPIRED):
            self._set(pile, FAILED, command.detail or command.state)
        elif command.state == CommandState.ACKNOWLEDGED:
            self._set(pile, DONE, "answered")

    def _ask_next_group(self, session: HubSession, rollout: FirmwareRollout) -> None:
        if any(pile.state == ASKED for pile in rollout.piles):
            return
        group = min(pile.group_no for pile in rollout.piles if pile.state == WAITING)
        for pile in rollout.piles:
            if pile.state == WAITING and pile.group_no == group:
                self._ask(session, rollout, pile)

    def _ask(self, session: HubSession, rollout: FirmwareRollout, pile: FirmwareRolloutPile) -> None:
        row = session.scalars(select(Pile).where(Pile.code == pile.pile_code)).one_or_none()
        if row is None:
            self._set(pile, FAILED, "the pile is gone")
            return
        package = rollout.package
        parameters = package | {"rollout": rollout.id, "current": row.kind, "power_kw": round(row.power_kw)}
        within_s = WHEN_IDLE_S if package["when_idle"] else package["timeout_min"] * 60 + INSTALL_S
        request = Request(CommandKind.UPDATE, row.code, parameters, VALID_FOR, within_s)
        asked = Asked(rollout.asked_by, rollout.reason, rollout.id)
        pile.command_id = ask(session, self._clock, self._waker, request, asked).id
        self._set(pile, ASKED, "")

    def _set(self, pile: FirmwareRolloutPile, state: str, detail: str) -> None:
        pile.state, pile.detail, pile.changed_at = state, detail[:200] or None, self._clock.now()

    def _end(self, rollout: FirmwareRollout, state: str, why: str) -> None:
        rollout.state = state
        _note(rollout, state, Asked("hub", why or None), self._clock.now())


def secret_context(rollout_id: str) -> str:
    """What the password of a rollout is sealed with."""
    return f"firmware:{rollout_id}"


def require_rollout(session: HubSession, rollout_id: str) -> FirmwareRollout:
    """The rollout of this tenant. Raises `NotFound`."""
    found = session.scalars(select(FirmwareRollout).where(FirmwareRollout.id == rollout_id)).one_or_none()
    if found is None:
        raise NotFound(f"rollout {rollout_id}")
    return found


def _locked(session: HubSession, rollout_id: str) -> FirmwareRollout:
    query = select(FirmwareRollout).where(FirmwareRollout.id == rollout_id).with_for_update()
    found = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise NotFound(f"rollout {rollout_id}")
    return found


def _open_part(package: Package) -> dict[str, Any]:
    names = ("server", "port", "user", "path", "timeout_min", "when_idle")
    return {name: getattr(package, name) for name in names}


def _groups(sizes: Sequence[int]) -> Iterator[int]:
    """The group of each pile in turn; the last size repeats."""
    group = 0
    while True:
        for _ in range(sizes[min(group, len(sizes) - 1)]):
            yield group
        group += 1


def _check_plan(session: HubSession, plan: Plan) -> None:
    if not plan.groups or min(plan.groups) < 1:
        raise InvalidInput("groups", "每组至少一台 / a group has at least one pile")
    if not 0 < len(plan.piles) <= MAX_PILES or len(set(plan.piles)) != len(plan.piles):
        raise InvalidInput("piles", f"应为 1…{MAX_PILES} 台且不重复 / 1…{MAX_PILES} different piles")
    known = set(session.scalars(select(Pile.code).where(Pile.code.in_(plan.piles))))
    for code in plan.piles:
        if code not in known:
            raise NotFound(f"pile {code}")
    busy = session.scalars(
        select(FirmwareRolloutPile.pile_code)
        .join(FirmwareRollout, FirmwareRollout.id == FirmwareRolloutPile.rollout_id)
        .where(
            FirmwareRollout.state.in_((RUNNING, PAUSED, HALTED)),
            FirmwareRolloutPile.state.in_((WAITING, ASKED)),
            FirmwareRolloutPile.pile_code.in_(plan.piles),
        )
    ).first()
    if busy is not None:
        raise Conflict(f"{busy} 已在另一升级任务中 / is in another rollout")


def _note(rollout: FirmwareRollout, state: str, asked: Asked, now: datetime) -> None:
    entry = {"at": now, "state": state, "by": asked.by, "reason": asked.reason}
    rollout.history = [*rollout.history, entry]
    rollout.changed_at = now
