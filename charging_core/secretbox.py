"""Secrets at rest: AES-256-GCM under a key from the environment, with rotation.

A sealed text is `k1:<key id>:<base64 nonce+tag+ciphertext>`. The key id says which key opens it, so that a new key can be put in
front while old rows are still readable; `SecretBox.stale` tells which rows to seal again.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence

from Crypto.Cipher import AES

_VERSION = "k1"
_NONCE = 12
_TAG = 16


class SecretError(Exception):
    """Raised when a sealed secret cannot be opened: unknown key, or the text was changed."""


class SecretBox:
    """Seals and opens secrets. The first key seals; every key opens."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys or not all(len(key) >= 16 for key in keys):
            raise SecretError("HUB_SECRET_KEY must hold at least 16 characters")
        derived = [hashlib.sha256(b"charging-hub secret box\0" + key.encode()).digest() for key in keys]
        self._keys = {hashlib.sha256(key).hexdigest()[:8]: key for key in derived}
        self._current = next(iter(self._keys))

    def seal(self, text: str, context: str) -> str:
        """Encrypt `text`; `context` (for example the row's id) must be given again to open it."""
        nonce = os.urandom(_NONCE)
        cipher = AES.new(self._keys[self._current], AES.MODE_GCM, nonce=nonce)
        cipher.update(context.encode())
        body, tag = cipher.encrypt_and_digest(text.encode())
        return f"{_VERSION}:{self._current}:{base64.b64encode(nonce + tag + body).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """Decrypt. Raises `SecretError` when key, context or text do not fit."""
        try:
            version, key_id, encoded = sealed.split(":", 2)
            raw = base64.b64decode(encoded, validate=True)
            key = self._keys[key_id]
        except (ValueError, KeyError) as error:
            raise SecretError("a stored secret was sealed with a key that HUB_SECRET_KEY does not hold") from error
        if version != _VERSION or len(raw) < _NONCE + _TAG:
            raise SecretError("a stored secret is damaged")
        cipher = AES.new(key, AES.MODE_GCM, nonce=raw[:_NONCE])
        cipher.update(context.encode())
        try:
            return cipher.decrypt_and_verify(raw[_NONCE + _TAG :], raw[_NONCE : _NONCE + _TAG]).decode()
        except ValueError as error:
            raise SecretError("a stored secret is damaged or belongs to another row") from error

    def stale(self, sealed: str) -> bool:
        """Whether `sealed` was made with an older key than the current one."""
        return not sealed.startswith(f"{_VERSION}:{self._current}:")
