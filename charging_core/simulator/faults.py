"""Fault switches of a simulated pile (ykc.md section 9): one declarative, validated, immutable set.

A new switch is a field here with its range, and one place in the code that asks for it.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from charging_core.simulator.errors import ConfigError

# a day: no rehearsal needs a longer delay, and a typing error in milliseconds is caught
Seconds = Annotated[int, Field(ge=0, le=86_400)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Faults:
    """What this pile does wrong. Times are seconds of the pile's clock; the default is a pile without a fault.

    link_loss_after   the link breaks this long after charging began and stays away for `link_loss_for`; once per charge
    duplicate_record  so many more copies of each trade record are sent at once, without waiting for the confirmation
    late_record       the trade record is sent this long after the end of the charge
    reversed_crc      check bytes high byte first, in both directions; takes effect with the next connection
    split_writes      every frame leaves in several TCP writes
    glued_writes      several frames leave in one TCP write
    no_start_reply    0x34 is obeyed but never answered by 0x33
    idle_glitch       so many samples in a row show "idle" in the middle of a charge; once per charge
    """

    link_loss_after: Seconds | None = None
    link_loss_for: Seconds = 60
    duplicate_record: Annotated[int, Field(ge=0, le=100)] = 0
    late_record: Seconds = 0
    reversed_crc: bool = False
    split_writes: bool = False
    glued_writes: bool = False
    no_start_reply: bool = False
    idle_glitch: Annotated[int, Field(ge=0, le=100)] = 0

    def changed(self, changes: Mapping[str, Any]) -> "Faults":
        """A copy with some switches set anew; ConfigError names an unknown switch or a value out of range."""
        try:
            return TypeAdapter(Faults).validate_python({**asdict(self), **changes})
        except ValidationError as error:
            raise ConfigError(f"faults: {describe(error)}") from error


def describe(error: ValidationError) -> str:
    """A validation error as one line: place and reason of each."""
    return "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
