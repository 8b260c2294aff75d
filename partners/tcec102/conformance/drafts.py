"""A request on its way to the examined side, right unless a check changes something before it is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from partners.tcec102 import crypto, jsonio
from partners.tcec102.keys import KeySet

Members = dict[str, Any]


def _unchanged(members: Members) -> Members:
    return members


@dataclass
class Draft:
    """The parts of a request that a check may replace.

    ``data`` replaces the ciphertext of ``plain`` and is signed; ``after`` changes the five members after signing;
    ``encode`` turns them into the HTTP body. ``authorization`` None sends no such header.
    """

    interface: str
    plain: bytes
    operator_id: str
    timestamp: str
    seq: str
    keys: KeySet = field(repr=False)
    authorization: str | None = field(default=None, repr=False)
    data: str | None = None
    after: Callable[[Members], Members] = _unchanged
    encode: Callable[[Members], bytes] = orjson.dumps

    @property
    def body(self) -> bytes:
        """The HTTP body."""
        data = crypto.encrypt(self.plain, self.keys) if self.data is None else self.data
        sig = crypto.sign(f"{self.operator_id}{data}{self.timestamp}{self.seq}", self.keys)
        members = {
            "OperatorID": self.operator_id,
            "Data": data,
            "TimeStamp": self.timestamp,
            "Seq": self.seq,
            "Sig": sig,
        }
        return self.encode(self.after(members))


def with_member(name: str, value: Any) -> Callable[[Members], Members]:
    """Replace a member of the signed envelope."""
    return lambda members: members | {name: value}


def without_member(name: str) -> Callable[[Members], Members]:
    """Leave a member of the signed envelope out."""
    return lambda members: {other: value for other, value in members.items() if other != name}


def other_hex(text: str) -> str:
    """The same text with its first hexadecimal digit changed."""
    return ("0" if text[0] != "0" else "1") + text[1:]


def json_bytes(body: Mapping[str, Any]) -> bytes:
    """A body as compact JSON, whatever it holds."""
    return jsonio.dumps(body)
