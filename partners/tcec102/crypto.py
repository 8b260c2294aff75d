"""The cipher and the signature of the 2016 edition: AES-CBC with PKCS#7 and HMAC-MD5 (T/CEC 102.4 Annex B, C).

The only module that knows the algorithms, so that another edition's suite can stand beside it.
"""

from __future__ import annotations

import binascii
import hmac

from partners.tcec102.ciphers import BLOCK
from partners.tcec102.keys import KeySet

_PADDING = tuple(bytes((count,)) * count for count in range(BLOCK + 1))
"""PKCS#7: so many bytes of that value."""
_STRIP_WHITE = str.maketrans("", "", " \t\r\n")


class CipherError(ValueError):
    """Raised when a text is not base64 of a correctly padded ciphertext of this key; one message for every cause."""


def encrypt(plain: bytes, keys: KeySet) -> str:
    """Base64 (standard alphabet, no line breaks) of the AES-CBC ciphertext of ``plain``; padded in bytes."""
    return encrypt_ascii(plain, keys).decode("ascii")


def encrypt_ascii(plain: bytes, keys: KeySet) -> bytes:
    """The same as ASCII bytes."""
    padded = plain + _PADDING[BLOCK - len(plain) % BLOCK]
    return binascii.b2a_base64(keys.cipher.encrypt(padded), newline=False)


def decrypt(text: str, keys: KeySet, *, allow_line_breaks: bool = True) -> bytes:
    """The plaintext of ``text``; the padding is checked strictly.

    :param allow_line_breaks: drop the white space that MIME encoders put in every 76 characters.
    :raises CipherError: not base64, not whole blocks, or wrong padding.
    """
    if allow_line_breaks and ("\n" in text or "\r" in text):
        text = text.translate(_STRIP_WHITE)
    try:
        blocks = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise CipherError("not base64") from error
    if not blocks or len(blocks) % BLOCK:
        raise CipherError("not whole cipher blocks")
    return _unpad(keys.cipher.decrypt(blocks))


def sign(message: str, keys: KeySet) -> str:
    """Upper-case hex of HMAC-MD5 over the UTF-8 bytes of ``message``."""
    return sign_bytes(keys, message.encode("utf-8"))


def sign_bytes(keys: KeySet, *parts: bytes) -> str:
    """Upper-case hex of HMAC-MD5 over the parts, one after the other."""
    return keys.mac.hexdigest(*parts).upper()


def same_signature(ours: str, theirs: str, *, any_case: bool = True) -> bool:
    """Constant-time comparison of two hex signatures. ``theirs`` may hold anything, also non-ASCII text."""
    # Other letters are no hex digits, though some of them turn into such when they are made upper-case.
    return theirs.isascii() and hmac.compare_digest(ours, theirs.upper() if any_case else theirs)


def _unpad(padded: bytes) -> bytes:
    count = padded[-1]
    if not 1 <= count <= BLOCK or not padded.endswith(_PADDING[count]):
        raise CipherError("wrong padding")
    return padded[:-count]
