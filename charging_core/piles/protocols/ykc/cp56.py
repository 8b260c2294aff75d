"""CP56Time2a, the seven-byte local time of the protocol (specs/ykc.md 2). Always China time, no summer time."""

from datetime import datetime

from charging_core.clock import CHINA

LENGTH = 7
_INVALID = 0x80  # IV, bit 7 of the minute byte: the sender says its own clock is not to be trusted


def read(raw: bytes) -> datetime | None:
    """The time, in China time; None when the sender marks it invalid or a part is out of range.

    Week day, summer-time and reserved bits are masked, since firmware fills them at will.
    """
    if raw[2] & _INVALID:
        return None
    seconds, millis = divmod(raw[0] | raw[1] << 8, 1000)
    try:
        return datetime(
            2000 + (raw[6] & 0x7F),
            raw[5] & 0x0F,
            raw[4] & 0x1F,
            raw[3] & 0x1F,
            raw[2] & 0x3F,
            seconds,
            millis * 1000,
            CHINA,
        )
    except ValueError:
        return None


def write(moment: datetime) -> bytes:
    """The seven bytes of an aware time, cut to milliseconds. ValueError when it is naive or outside 2000…2127."""
    if moment.tzinfo is None:
        raise ValueError("a pile time must be aware")
    local = moment.astimezone(CHINA)
    year = local.year - 2000
    if not 0 <= year <= 127:
        raise ValueError(f"year {local.year} does not fit CP56Time2a")
    millis = local.second * 1000 + local.microsecond // 1000
    return millis.to_bytes(2, "little") + bytes((local.minute, local.hour, local.day, local.month, year))
