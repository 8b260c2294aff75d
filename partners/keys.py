"""Key sets at rest: one sealed text per set, bound to its link and direction by the seal's context."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from charging_core.secretbox import SecretBox
from partners.profiles.profile import Profile
from partners.tcec102.keys import KeyEncoding, KeySet

Direction = Literal["inbound", "outbound"]


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """The four secrets of one direction as text (`specs/tcec102.md` section 3)."""

    operator_secret: str
    data_secret: str
    data_iv: str
    sig_secret: str

    def __repr__(self) -> str:
        return "Secrets(***)"

    def key_set(self, profile: Profile) -> KeySet:
        """The protocol's keys, in the encoding of the partner's contract. Raises `ConfigurationError` for a wrong length."""
        encoding = KeyEncoding(profile.spec.keys.encoding)
        return KeySet(self.operator_secret, self.data_secret, self.data_iv, self.sig_secret, encoding)


def seal_secrets(box: SecretBox, link_id: str, direction: Direction, secrets: Secrets) -> str:
    """The text to store."""
    members = {name: getattr(secrets, name) for name in Secrets.__slots__}
    return box.seal(json.dumps(members), _context(link_id, direction))


def open_secrets(box: SecretBox, link_id: str, direction: Direction, sealed: str) -> Secrets:
    """The inverse. Raises `SecretError` when key or link do not fit."""
    return Secrets(**json.loads(box.open(sealed, _context(link_id, direction))))


def _context(link_id: str, direction: Direction) -> str:
    return f"partner_link/{link_id}/{direction}"
