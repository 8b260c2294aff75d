"""A regulator's key set at rest: one sealed text, bound to its link by the seal's context."""

from __future__ import annotations

import json

from charging_core.secretbox import SecretBox
from partners.keys import Secrets


def seal_secrets(box: SecretBox, link_id: str, secrets: Secrets) -> str:
    """The text to store."""
    members = {name: getattr(secrets, name) for name in Secrets.__slots__}
    return box.seal(json.dumps(members), _context(link_id))


def open_secrets(box: SecretBox, link_id: str, sealed: str) -> Secrets:
    """The inverse. Raises `SecretError` when key or link do not fit."""
    return Secrets(**json.loads(box.open(sealed, _context(link_id))))


def _context(link_id: str) -> str:
    return f"regulator_link/{link_id}/outbound"
