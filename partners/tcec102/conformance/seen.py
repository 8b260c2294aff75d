"""An answer of the examined side, and what the standard asks of it. Everything wrong is told as ``Unmet`` with the member."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from partners.tcec102 import crypto, jsonio
from partners.tcec102.conformance.bodies import beyond_scale
from partners.tcec102.conformance.model import Unmet
from partners.tcec102.contract import BodySchema
from partners.tcec102.keys import KeySet

_SIG = re.compile(r"[0-9A-F]{32}")


@dataclass(frozen=True)
class Seen:
    """One answer. ``members`` is None when it is not a JSON object."""

    http_status: int
    raw: bytes = field(repr=False)
    members: Mapping[str, Any] | None
    seconds: float

    @classmethod
    def of(cls, http_status: int, raw: bytes, seconds: float) -> Seen:
        """Read an HTTP answer."""
        try:
            members: Mapping[str, Any] | None = jsonio.read_object(raw)
        except ValueError:
            members = None
        return cls(http_status, raw, members, seconds)

    @property
    def ret(self) -> int | None:
        """Ret as a number, also when it came as text; None without an envelope."""
        value = (self.members or {}).get("Ret")
        try:
            return int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
        except ValueError:
            return None

    def expect_ret(self, *codes: int) -> None:
        """The answer carries one of these codes."""
        if self.ret is None:
            raise Unmet(f"HTTP {self.http_status}, 没有信封 / no envelope: {_start(self.raw)}", "Ret")
        if self.ret not in codes:
            wanted = " / ".join(map(str, codes))
            raise Unmet(f"Ret {self.ret} ({_short(self.members)}), 应为 / expected {wanted}", "Ret")

    def signed_by(self, keys: KeySet) -> bool:
        """Whether Sig is the signature of Ret, Msg and Data in any letter case."""
        members = self.members or {}
        message = f"{members.get('Ret')}{members.get('Msg') or ''}{members.get('Data') or ''}"
        sig = members.get("Sig")
        return isinstance(sig, str) and crypto.same_signature(crypto.sign(message, keys), sig)

    def opened(self, keys: KeySet, schema: BodySchema) -> dict[str, Any]:
        """The business answer of a call that succeeded, held against the letter of the standard: envelope, signature, body."""
        self.expect_ret(0)
        members = self.members or {}
        self._expect_form(members)
        if not self.signed_by(keys):
            raise Unmet("签名不符 / the signature does not fit: HMAC-MD5(SigSecret, Ret+Msg+Data)", "Sig")
        if not _SIG.fullmatch(members["Sig"]):
            raise Unmet("应为 32 位大写十六进制 / 32 upper-case hex digits are due", "Sig")
        body = _decrypted(members["Data"], keys)
        for violation in schema.violations(body):
            raise Unmet(violation.reason, violation.field)
        for path, decimals in beyond_scale(schema.node, body):
            raise Unmet(f"小数超过 {decimals} 位 / more than {decimals} decimals", path)
        return body

    def _expect_form(self, members: Mapping[str, Any]) -> None:
        if self.http_status != 200:
            raise Unmet(f"HTTP {self.http_status}", "")
        if type(members["Ret"]) is not int:
            raise Unmet("Ret 应为数字 / must be a JSON number", "Ret")
        for name in ("Msg", "Data", "Sig"):
            if not isinstance(members.get(name), str):
                raise Unmet("缺失或不是文本 / missing, or not a text", name)


def expect_equal(found: Any, wanted: Any, field_name: str) -> None:
    """A member of the answer has this value."""
    if found != wanted:
        raise Unmet(f"为 / is {found!r}, 应为 / expected {wanted!r}", field_name)


def expect_one_of(found: Any, wanted: tuple[Any, ...], field_name: str) -> None:
    """A member of the answer has one of these values."""
    if found not in wanted:
        raise Unmet(f"为 / is {found!r}, 应为 / expected {' | '.join(map(repr, wanted))}", field_name)


def expect_echo(asked: Mapping[str, Any], answer: Mapping[str, Any], *names: str) -> None:
    """The answer repeats these members of the request."""
    for name in names:
        expect_equal(answer.get(name), asked[name], name)


def total(items: Iterator[Decimal] | list[Decimal]) -> Decimal:
    """An exact sum."""
    return sum(items, Decimal(0))


def _decrypted(data: str, keys: KeySet) -> dict[str, Any]:
    if "\n" in data or "\r" in data:
        raise Unmet("base64 内有换行 / line breaks in the base64", "Data")
    try:
        body = jsonio.loads_body(crypto.decrypt(data, keys))
    except ValueError as error:
        raise Unmet(f"无法解密 / cannot be decrypted: {error}", "Data") from error
    if not isinstance(body, dict):
        raise Unmet("不是 JSON 对象 / not a JSON object", "Data")
    return body


def _short(members: Mapping[str, Any] | None) -> str:
    return str((members or {}).get("Msg") or "")[:120]


def _start(raw: bytes) -> str:
    return repr(raw[:60].decode("utf-8", "replace"))
