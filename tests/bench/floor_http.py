"""The floor: a bare ASGI handler that does the same crypto as the T/CEC edge and nothing else. Imports nothing of the project."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
from Crypto.Cipher import AES

KEY = b"1234567890abcdef"
TOKEN = "bench-token-0123456789abcdef0123456789abcdef"
OPERATOR = "MA5PARTNR"
ANSWER: dict[str, Any] = {
    "Total": 1,
    "StationStatusInfos": [
        {
            "StationID": "S0001",
            "ConnectorStatusInfos": [
                {"ConnectorID": f"320106000100{i:02d}01", "Status": 1 + i % 3, "ParkStatus": 0, "LockStatus": 0}
                for i in range(24)
            ],
        }
    ],
}
"""About 2 KB, as in the measurement this bench repeats."""

_TOKENS = {TOKEN: OPERATOR}
_HEADERS = [(b"content-type", b"application/json;charset=utf-8")]

Message = MutableMapping[str, Any]


def answer(token: str, raw: bytes) -> bytes:
    """Token look-up, parse, verify, decrypt, parse; 2 KB answer, serialise, encrypt, sign."""
    if token not in _TOKENS:
        return b'{"Ret":4002,"Msg":"","Data":"","Sig":""}'
    sent = orjson.loads(raw)
    text = (sent["OperatorID"] + sent["Data"] + sent["TimeStamp"] + sent["Seq"]).encode()
    if not hmac.compare_digest(_sign(text), sent["Sig"]):
        return b'{"Ret":4001,"Msg":"","Data":"","Sig":""}'
    plain = AES.new(KEY, AES.MODE_CBC, KEY).decrypt(base64.b64decode(sent["Data"]))
    orjson.loads(plain[: -plain[-1]])
    body = orjson.dumps(ANSWER)
    pad = 16 - len(body) % 16
    data = base64.b64encode(AES.new(KEY, AES.MODE_CBC, KEY).encrypt(body + bytes([pad]) * pad)).decode()
    return orjson.dumps({"Ret": 0, "Msg": "", "Data": data, "Sig": _sign(f"0{data}".encode())})


def question() -> bytes:
    """One sealed query_station_status."""
    body = json.dumps({"StationIDs": ["S0001"]}).encode()
    pad = 16 - len(body) % 16
    data = base64.b64encode(AES.new(KEY, AES.MODE_CBC, KEY).encrypt(body + bytes([pad]) * pad)).decode()
    stamp, seq = "20260302080000", "0001"
    sig = _sign((OPERATOR + data + stamp + seq).encode())
    return orjson.dumps({"OperatorID": OPERATOR, "Data": data, "TimeStamp": stamp, "Seq": seq, "Sig": sig})


def _sign(text: bytes) -> str:
    return hmac.digest(KEY, text, hashlib.md5).hex().upper()


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """The whole server."""
    if scope["type"] != "http":
        return
    token = next(value for name, value in scope["headers"] if name == b"authorization")[7:].decode()
    message = await receive()
    payload = answer(token, message["body"])
    length = (b"content-length", str(len(payload)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length]})
    await send({"type": "http.response.body", "body": payload})
