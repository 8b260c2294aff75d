"""The T/CEC 102 envelope as the fakes write and read it (part .4; clauses 4-6 of the digest): pure functions, no I/O.

A second, independent implementation on purpose: what the hub seals is opened here by other code than sealed it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any, Never

from Crypto.Cipher import AES
from pydantic import BaseModel, ConfigDict, Field, field_validator

BLOCK = 16
"""AES block length; also the length of an AES-128 key and of the initial vector."""


MAX_EXPONENT = 30
"""Numbers beyond 10^30, or finer than 10^-30, are no quantity of any protocol; they would only cost memory."""

MAX_DEPTH = 32
"""Nesting beyond any body of any protocol."""


class WireError(Exception):
    """Raised when a text cannot be decrypted or is not one JSON value; the message says which and why."""


class Keys(BaseModel):
    """One set of secrets, issued by the party that implements the interface and used for its requests and its answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operator_secret: str = Field(min_length=1, repr=False)
    data_secret: str = Field(repr=False)
    data_iv: str = Field(repr=False)
    sig_secret: str = Field(min_length=1, repr=False)

    @field_validator("data_secret", "data_iv")
    @classmethod
    def _sixteen_bytes(cls, text: str) -> str:
        if len(text.encode()) != BLOCK:
            raise ValueError("must be exactly 16 bytes (AES-128-CBC)")
        return text


def encrypt(plain: bytes, keys: Keys) -> str:
    """AES-128-CBC with PKCS#7 padding over bytes, as base64 without line breaks."""
    gap = BLOCK - len(plain) % BLOCK
    return base64.b64encode(_cipher(keys).encrypt(plain + bytes([gap]) * gap)).decode()


def decrypt(data: str, keys: Keys) -> bytes:
    """The plain bytes of `data`; line breaks inside the base64 are allowed. Raises `WireError`."""
    try:
        sealed = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError("Data is not base64") from error
    if not sealed or len(sealed) % BLOCK:
        raise WireError("Data is not whole cipher blocks")
    return _unpad(_cipher(keys).decrypt(sealed))


def sign(keys: Keys, *parts: str) -> str:
    """Upper-case hex HMAC-MD5 over the plain concatenation of `parts` (clause 5)."""
    return hmac.new(keys.sig_secret.encode(), "".join(parts).encode(), hashlib.md5).hexdigest().upper()


def signature_matches(given: str, keys: Keys, *parts: str) -> bool:
    """Whether `given` is the signature of `parts`, in either letter case."""
    return hmac.compare_digest(given.upper().encode(), sign(keys, *parts).encode())


def seal_request(operator_id: str, body: object, keys: Keys, timestamp: str, seq: str) -> dict[str, object]:
    """The five members of a request envelope."""
    data = encrypt(to_json(body).encode(), keys)
    return {
        "OperatorID": operator_id,
        "Data": data,
        "TimeStamp": timestamp,
        "Seq": seq,
        "Sig": sign(keys, operator_id, data, timestamp, seq),
    }


def seal_reply(ret: int, msg: str, body: object | None, keys: Keys) -> dict[str, object]:
    """The four members of an answer envelope; no body gives empty Data, signed all the same."""
    data = "" if body is None else encrypt(to_json(body).encode(), keys)
    return {"Ret": ret, "Msg": msg, "Data": data, "Sig": sign(keys, str(ret), msg, data)}


def parse_json(text: str | bytes) -> Any:
    """One strict JSON value: decimals as `Decimal`, no NaN, no member twice, no absurd size. Raises `WireError`."""
    try:
        value = json.loads(text, parse_float=_decimal, parse_constant=_no_constant, object_pairs_hook=_once)
        _check_depth(value, MAX_DEPTH)
        return value
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from error


def to_json(value: object) -> str:
    """Compact JSON with Chinese text raw and decimals with the digits they carry (1.20 stays 1.20)."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return "{" + ",".join(f"{to_json(str(key))}:{to_json(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _cipher(keys: Keys) -> Any:
    return AES.new(keys.data_secret.encode(), AES.MODE_CBC, keys.data_iv.encode())


def _unpad(plain: bytes) -> bytes:
    gap = plain[-1]
    if not 1 <= gap <= BLOCK or plain[-gap:] != bytes([gap]) * gap:
        raise WireError("Data does not decrypt: wrong key or broken padding")
    return plain[:-gap]


def _decimal(text: str) -> Decimal:
    value = Decimal(text)
    if abs(value.adjusted()) > MAX_EXPONENT or abs(int(value.as_tuple().exponent)) > MAX_EXPONENT:
        raise ValueError("a number out of all proportion")
    return value


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise ValueError("nested too deep")
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(member, left - 1)


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members
