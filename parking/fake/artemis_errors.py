"""Refusals of the fake gateway, with the vendor's codes (digest 4.3)."""

from __future__ import annotations

KEY_EMPTY = "0x02401000"
KEY_UNKNOWN = "0x02401001"
SIGNATURE_EMPTY = "0x02401002"
SIGNATURE_WRONG = "0x02401003"
NOT_GRANTED = "0x02401008"
BAD_JSON = "0x02401021"
REQUIRED = "0x00072001"
RANGE = "0x00072002"
FORMAT = "0x00072003"
UNKNOWN_PARAMETER = "0x00072005"
TOO_LONG = "0x00072006"
NOT_FOUND = "0x00072202"
PARK_WRONG = "0x02e13201"
PLATE_WRONG = "0x02e33400"
BILL_STALE = "0x02e13661"


class ArtemisRefusal(Exception):
    """Raised when the platform refuses a call; carries the code and the text of the answer."""

    def __init__(self, code: str, msg: str) -> None:
        super().__init__(f"{code} {msg}")
        self.code = code
        self.msg = msg
