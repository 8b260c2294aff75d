"""What the YKC codec may raise, and nothing else.

YkcError
├── DecodeError            the bytes are not a valid frame; carries the position of the first bad byte
│   ├── NotAFrame          no 0x68 at the start, or fewer bytes than the smallest frame
│   ├── LengthMismatch     the length byte does not fit the number of bytes given
│   └── CrcMismatch        neither permitted CRC order fits
├── BadOption              a pile's protocol options hold an unknown name or a value of no use
└── EncodeError            the values do not fit the frame's table
    ├── UnknownFrameType   no table for this type
    ├── UnknownField       a value was given under a name the table does not have
    ├── MissingField       a value is missing and the table has no default for it
    ├── BadValue           a value has the wrong type, is out of range, or has more decimals than the wire
    └── FrameTooLong       more bytes than the length byte can say
"""

from charging_core.piles.errors import PileError


class YkcError(PileError):
    """Root of this package's errors; never raised itself."""


class DecodeError(YkcError):
    """Raised when bytes are not a valid frame."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} (at byte {position})")
        self.problem = message
        self.position = position


class NotAFrame(DecodeError):
    """Raised when there is no start byte, or there are too few bytes for any frame."""


class LengthMismatch(DecodeError):
    """Raised when the length byte is below 4 or does not fit the number of bytes given."""


class CrcMismatch(DecodeError):
    """Raised when the CRC fits in none of the permitted orders."""


class BadOption(YkcError):
    """Raised when a pile's protocol options hold an unknown name or a value of no use."""


class EncodeError(YkcError):
    """Raised when values do not fit a frame's table."""


class UnknownFrameType(EncodeError):
    """Raised when there is no table for the frame type."""


class UnknownField(EncodeError):
    """Raised when a value is given under a name the table does not have."""


class MissingField(EncodeError):
    """Raised when a value is missing and the table has no default for it."""


class BadValue(EncodeError):
    """Raised when a value has the wrong type, is out of range, or is finer than the wire can carry."""


class FrameTooLong(EncodeError):
    """Raised when the frame would need a length above 255."""
