"""AES-CBC and HMAC-MD5 with one key for many short messages, which is what T/CEC 102 does all day.

A fresh CBC object costs more than enciphering a typical message, so ready objects are used again. Both tricks below follow from
the definition of CBC and give byte for byte what a fresh object gives; the vectors of the standard and a property test prove it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Any

from Crypto.Cipher import AES

BLOCK = 16
_MD5_BLOCK = 64
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))
_MAX_READY = 64
"""Ready encryptors kept per key: as many as threads ever seal at once."""


class CbcCipher:
    """AES-CBC without padding; any number of threads may share it."""

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._key = key
        self._iv = iv
        self._block: Any = AES.new(key, AES.MODE_ECB)
        self._unwound_iv = self._block.decrypt(iv)
        self._ready: deque[tuple[Any, bytes | bytearray]] = deque(maxlen=_MAX_READY)

    def encrypt(self, plain: bytes) -> memoryview:
        """Encipher whole blocks.

        An encryptor goes on from its last block C, a new one from the IV. One leading block D(IV) ⊕ C enciphers to exactly IV, from
        where the message follows as if the encryptor were new. Each thread takes one out of the line for the time of a call.
        """
        try:
            encryptor, last = self._ready.popleft()
        except IndexError:
            encryptor, last = AES.new(self._key, AES.MODE_CBC, self._iv), self._iv
        led = _xor(self._unwound_iv, last) + plain
        # Into a buffer of ours: the library's own way makes and copies two more of this size.
        blocks = bytearray(len(led))
        encryptor.encrypt(led, blocks)
        self._ready.append((encryptor, blocks[-BLOCK:]))
        return memoryview(blocks)[BLOCK:]

    def decrypt(self, blocks: bytes) -> bytes:
        """Decipher whole blocks: each deciphered block ⊕ the block before it, the IV before the first."""
        deciphered = bytearray(len(blocks))
        self._block.decrypt(blocks, deciphered)
        return _xor(deciphered, self._iv + blocks[:-BLOCK])


class HmacMd5:
    """HMAC-MD5 of RFC 2104 whose two hash states after the key are made once; any number of threads may share it."""

    def __init__(self, key: bytes) -> None:
        short = key if len(key) <= _MD5_BLOCK else hashlib.md5(key).digest()
        padded = short.ljust(_MD5_BLOCK, b"\0")
        self._inner = hashlib.md5(padded.translate(_INNER))
        self._outer = hashlib.md5(padded.translate(_OUTER))

    def hexdigest(self, *parts: bytes) -> str:
        """32 lower-case hex digits of the message that the parts make together."""
        inner, outer = self._inner.copy(), self._outer.copy()
        for part in parts:
            inner.update(part)
        outer.update(inner.digest())
        return outer.hexdigest()


def _xor(left: bytes | bytearray, right: bytes | bytearray) -> bytes:
    mixed = int.from_bytes(left, "big") ^ int.from_bytes(right, "big")
    return mixed.to_bytes(len(left), "big")
