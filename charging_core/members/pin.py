"""Card passwords: how they come from piles, and how they are kept. Pure.

0x31 carries "16-digit MD5, lower case" (`specs/ykc.md` 5, 16): either the middle half of the MD5 text as 16 ASCII characters, or the
16 raw digest bytes. Both lead to the same 16 characters, of which a salted slow hash is kept: neither the PIN nor its MD5 is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

_SCHEME = "scrypt1"
_COST, _BLOCK, _LANES = 2**12, 8, 1
"""Some 10 ms: a PIN has few digits, so trying them all must not be free."""
_HALF = slice(8, 24)
_HEX = re.compile(rb"[0-9a-fA-F]{16}")


def hash_pin(pin: str) -> str:
    """What is kept of a PIN: scheme, salt and hash. Another salt each time."""
    return _hashed(_half_of(pin), secrets.token_bytes(16))


def pin_fits(stored: str, sent: bytes) -> bool:
    """Whether the 16 bytes of a pile fit, in either reading. Takes as long for a wrong one."""
    fits = False
    for half in _readings(sent):
        fits |= _compare(stored, half)
    return fits


def is_pin(stored: str | None, pin: str) -> bool:
    """Whether `stored` was made from this PIN in clear."""
    return stored is not None and _compare(stored, _half_of(pin))


def _half_of(pin: str) -> str:
    return hashlib.md5(pin.encode(), usedforsecurity=False).hexdigest()[_HALF]


def _readings(sent: bytes) -> tuple[str, str]:
    """The middle half as text, by both readings; one that cannot be is a text that fits nothing."""
    as_text = sent.decode().lower() if _HEX.fullmatch(sent) else ""
    return as_text, sent.hex()[_HALF] if len(sent) == 16 else ""


def _compare(stored: str, half: str) -> bool:
    scheme, _, rest = stored.partition(":")
    salt = bytes.fromhex(rest.partition(":")[0]) if scheme == _SCHEME else b""
    return hmac.compare_digest(stored, _hashed(half, salt)) and bool(half)


def _hashed(half: str, salt: bytes) -> str:
    made = hashlib.scrypt(half.encode(), salt=salt, n=_COST, r=_BLOCK, p=_LANES, dklen=32)
    return f"{_SCHEME}:{salt.hex()}:{made.hex()}"
