"""The floor of the decoder's bench: a bare `struct.unpack` of a whole realtime frame, its CRC unchecked. Imports nothing of the hub."""

from __future__ import annotations

import struct
from typing import Any

FRAME = bytes.fromhex(
    "68402A0000133100019900001701250314095000000131000199000017010302011F10B5045800000000000000002F524600230020"
    "940100209401000E2A020000005AD1"
)
"""The realtime frame (0x13) of the protocol's worked example; its length byte says 64."""
FORMAT = "<BB2sBB16s7s1sBBBHHB8sBBHHIIIHH"


def unpack() -> tuple[Any, ...]:
    """All fields of the frame as they stand on the wire."""
    return struct.unpack(FORMAT, FRAME)
