"""The four secrets of one direction of a link (T/CEC 102.4; section 3 of the digest)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from partners.tcec102.ciphers import BLOCK, CbcCipher, HmacMd5
from partners.tcec102.errors import ConfigurationError

AES_128_BYTES = 16
"""The standard's cipher is AES with a 128-bit key."""
LONG_AES_BYTES = frozenset({24, 32})
"""AES-192 and AES-256: a 24- or 32-character DataSecret used raw; only when the link says so."""
MIN_SIG_SECRET_CHARS = 16
"""The text asks for 32, 48 or 64 characters 0-F; 16 of any kind is what is in use."""


class KeyEncoding(StrEnum):
    """How DataSecret (and a 32-character IV) becomes bytes."""

    RAW = "raw"
    HEX = "hex"


@dataclass(frozen=True, slots=True, repr=False)
class KeySet:
    """Operator secret, AES key, IV and signature key, as issued by the party that implements the interface.

    Secrets are the raw UTF-8 bytes of their text; with ``encoding="hex"`` the DataSecret, and an IV of 32 characters, are
    hex-decoded. A 32-character DataSecret used raw would be AES-256, which the standard does not have: it is refused
    unless ``allow_long_key``. The secrets may all be equal (test environments do that).

    :raises ConfigurationError: a length or a hex text does not fit; the message names the member, never its value.
    """

    operator_secret: str
    data_secret: str
    data_iv: str
    sig_secret: str
    encoding: KeyEncoding = KeyEncoding.RAW
    allow_long_key: bool = False
    data_key_bytes: bytes = field(init=False)
    data_iv_bytes: bytes = field(init=False)
    sig_key_bytes: bytes = field(init=False)
    cipher: CbcCipher = field(init=False, compare=False)
    """The ready cipher of key and IV; only ``crypto`` uses it."""
    mac: HmacMd5 = field(init=False, compare=False)
    """The ready signature key; only ``crypto`` uses it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoding", KeyEncoding(self.encoding))
        object.__setattr__(self, "data_key_bytes", self._data_key())
        object.__setattr__(self, "data_iv_bytes", self._data_iv())
        object.__setattr__(self, "sig_key_bytes", self._sig_key())
        object.__setattr__(self, "cipher", CbcCipher(self.data_key_bytes, self.data_iv_bytes))
        object.__setattr__(self, "mac", HmacMd5(self.sig_key_bytes))
        if not self.operator_secret:
            raise ConfigurationError("operator_secret is empty")

    def __repr__(self) -> str:
        return f"KeySet(***, encoding={self.encoding.value})"

    def _data_key(self) -> bytes:
        key = self._decode("data_secret", self.data_secret)
        if len(key) == AES_128_BYTES or (self.allow_long_key and len(key) in LONG_AES_BYTES):
            return key
        raise ConfigurationError(
            f"data_secret gives {len(key)} bytes with encoding {self.encoding.value}; AES-128 needs {AES_128_BYTES}"
        )

    def _data_iv(self) -> bytes:
        raw = len(self.data_iv.encode()) == BLOCK
        initial = self.data_iv.encode() if raw else self._decode("data_iv", self.data_iv)
        if len(initial) != BLOCK:
            raise ConfigurationError(f"data_iv gives {len(initial)} bytes, it needs {BLOCK}")
        return initial

    def _sig_key(self) -> bytes:
        if len(self.sig_secret) < MIN_SIG_SECRET_CHARS:
            raise ConfigurationError(f"sig_secret has fewer than {MIN_SIG_SECRET_CHARS} characters")
        return self.sig_secret.encode()

    def _decode(self, name: str, text: str) -> bytes:
        if self.encoding is KeyEncoding.RAW:
            return text.encode()
        try:
            return bytes.fromhex(text)
        except ValueError as error:
            raise ConfigurationError(f"{name} is not hexadecimal") from error
