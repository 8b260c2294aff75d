"""Fault switches of a simulated pile (ykc.md section 9): one declarative, validated, immutable set.

A new switch is a field here with its range, and one place in the code that asks for it.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from charging_core.simulator.errors import ConfigError

# a day: no rehearsal needs a longer delay, and a typing error in milliseconds is caught
Seconds = Annotated[int, Field(ge=0, le=86_400)]
Times = Annotated[int, Field(ge=0, le=100)]
Byte = Annotated[int, Field(ge=0, le=255)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Faults:
    """What this pile does wrong. Times are seconds of the pile's clock; the default is a pile without a fault.

    The line
    reversed_crc      check bytes high byte first, in both directions; takes effect with the next connection
    sequence          own frames are numbered "counting", "random", or "zero" for ever
    echo              answers carry the number of the question: the "same", its two bytes "swapped", or "none" (an own number)
    split_writes      every frame leaves in several TCP writes
    glued_writes      several frames leave in one TCP write
    frame_gap_ms      real milliseconds that pass at least between two frames
    extra_bytes       so many vendor bytes follow the body of 0x03 and 0x13
    link_loss_after   the link breaks this long after charging began and stays away for `link_loss_for`; once per charge
    half_open_after   as above, but the old connection is left open without a word (no FIN) and the pile comes with a new one
    second_connection_after  this long after charging began the pile logs in on a second connection while the first one is well

    Start and stop
    no_start_reply    0x34 is obeyed but never answered by 0x33
    late_start_reply  0x33 comes this much later
    never_charges     0x33 says yes, and no current ever flows
    start_failure     0x33 says yes, then the start fails with this stop code (0x4A…0x64) and a record without energy
    ends_after        the charge is aborted this long after it began, with `end_code`; once per charge
    ignored_stops     so many 0x36 of each charge are neither obeyed nor answered
    idle_glitch       so many samples in a row show "idle" in the middle of a charge; once per charge
    idle_trade_number samples go on carrying the trade number of the last charge when none runs

    The record
    duplicate_record  so many more copies of each trade record are sent at once, without waiting for the confirmation
    late_record       the trade record is sent this long after the end of the charge
    record_before_stop_reply  0x3B leaves before 0x35
    changed_amounts   every repetition of a record carries other amounts than its first sending
    ignored_confirmations  so many 0x40 for each record are lost on the pile: it stays unconfirmed, and new charges begin meanwhile
    start_drops_record  a new start makes the pile forget the unconfirmed records of that connector
    zero_meter        both meter readings of the record are 0
    cut_amounts       amounts of the record are cut to two decimals
    trade_flag        this 交易标识 in every record

    Others
    clock_offset_s    the pile's clock is off by so much when it is switched on
    deaf_to_time      0x56 is answered, but the clock stays as it is
    update_result     what 0x93 says of a firmware update (0 done, 1 wrong code, 2 wrong model, 3 download timed out)
    """

    reversed_crc: bool = False
    sequence: Literal["counting", "random", "zero"] = "counting"
    echo: Literal["same", "swapped", "none"] = "same"
    split_writes: bool = False
    glued_writes: bool = False
    frame_gap_ms: Annotated[int, Field(ge=0, le=5_000)] = 0
    extra_bytes: Annotated[int, Field(ge=0, le=100)] = 0
    link_loss_after: Seconds | None = None
    link_loss_for: Seconds = 60
    half_open_after: Seconds | None = None
    second_connection_after: Seconds | None = None
    no_start_reply: bool = False
    late_start_reply: Seconds = 0
    never_charges: bool = False
    start_failure: Byte | None = None
    ends_after: Seconds | None = None
    end_code: Byte = 0x6D
    ignored_stops: Times = 0
    idle_glitch: Times = 0
    idle_trade_number: bool = False
    duplicate_record: Times = 0
    late_record: Seconds = 0
    record_before_stop_reply: bool = False
    changed_amounts: bool = False
    ignored_confirmations: Times = 0
    start_drops_record: bool = False
    zero_meter: bool = False
    cut_amounts: bool = False
    trade_flag: Byte | None = None
    clock_offset_s: Annotated[int, Field(ge=-86_400, le=86_400)] = 0
    deaf_to_time: bool = False
    update_result: Annotated[int, Field(ge=0, le=3)] = 0

    def changed(self, changes: Mapping[str, Any]) -> "Faults":
        """A copy with some switches set anew; ConfigError names an unknown switch or a value out of range."""
        try:
            return TypeAdapter(Faults).validate_python({**asdict(self), **changes})
        except ValidationError as error:
            raise ConfigError(f"faults: {describe(error)}") from error

    def switched_on(self) -> tuple[str, ...]:
        """Names of the switches that differ from a pile without a fault."""
        plain = asdict(Faults())
        return tuple(name for name, value in asdict(self).items() if value != plain[name])


def describe(error: ValidationError) -> str:
    """A validation error as one line: place and reason of each."""
    return "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
