"""Identifiers that we make: sortable ULIDs for rows, 27-character sequences where T/CEC 102 wants one."""

from __future__ import annotations

import secrets
from datetime import datetime

from ulid import ULID

from charging_core.clock import to_china


def new_id() -> str:
    """A fresh 26-character ULID: sortable by time of making, unique without coordination."""
    return str(ULID())


def make_sequence(operator_id: str, at: datetime) -> str:
    """OperatorID + `yyMMddHHmmss` + 6 random digits = 27 characters (T/CEC 102.3, `specs/tcec102.md` 9.2)."""
    return f"{operator_id}{to_china(at):%y%m%d%H%M%S}{secrets.randbelow(1_000_000):06d}"
