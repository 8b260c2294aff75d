"""What a check is, how it can end, and the report that holds all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partners.tcec102.conformance.bench import Bench


class Role(StrEnum):
    """What the examined side is for the interfaces in question."""

    CPO = "cpo"
    MSP = "msp"


class Level(StrEnum):
    """How much a failed check weighs."""

    MUST = "must"
    """The text of the standard, or money and safety: the examination fails."""
    SHOULD = "should"
    """Common sense among implementations; reported as a warning."""
    MAY = "may"
    """A deviation met in the field; whether it is tolerated is only noted."""


class Status(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"
    NOTED = "noted"
    BLOCKED = "blocked"
    """A check it depends on did not pass, so it would only repeat the same complaint."""
    SKIPPED = "skipped"
    """Not asked for, or the target lacks something the check needs."""


_UNMET = {Level.MUST: Status.FAILED, Level.SHOULD: Status.WARNED, Level.MAY: Status.NOTED}


class Unmet(Exception):
    """Raised by a check when the examined side does not do what is expected; ``field`` is the member's path, or empty."""

    def __init__(self, detail: str, field: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class NotTried(Exception):
    """Raised by a check that cannot be made against this target; the message says what it would need."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to find out. ``needs`` names checks (by id) that must have passed before."""

    id: str
    title: str
    clause: str
    run: Callable[[Bench], None]
    level: Level = Level.MUST
    needs: tuple[str, ...] = ()

    @property
    def interface(self) -> str:
        """The part of the id before the slash."""
        return self.id.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Result:
    """How one check ended."""

    check: Check
    status: Status
    detail: str = ""
    field: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """All results in the order they were made."""

    role: Role
    url: str
    started_at: datetime
    results: tuple[Result, ...]

    @property
    def ok(self) -> bool:
        """Nothing failed. Warnings and notes do not count."""
        return not self.with_status(Status.FAILED)

    @property
    def complaints(self) -> list[Result]:
        """What failed or was warned about."""
        return [result for result in self.results if result.status in (Status.FAILED, Status.WARNED)]

    def with_status(self, status: Status) -> list[Result]:
        """The results that ended so."""
        return [result for result in self.results if result.status is status]

    def by_interface(self) -> dict[str, list[Result]]:
        """The results grouped as their ids say, in order of first appearance."""
        groups: dict[str, list[Result]] = {}
        for result in self.results:
            groups.setdefault(result.check.interface, []).append(result)
        return groups


def unmet(check: Check, complaint: Unmet, seconds: float) -> Result:
    """The result of a check that complained."""
    return Result(check, _UNMET[check.level], complaint.detail, complaint.field, seconds)
