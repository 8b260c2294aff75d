"""API tokens for console and app: shown once, hashed at rest, revocable, bound to one tenant and a set of scopes.

A token is `hub_<id>_<secret>`: the id finds the row, the secret (256 random bits) is compared by its hash in constant time. A fast
hash is enough for a secret of that size; nobody can try 2^256 of them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import String

from charging_core.db import Base, HubSession, TenantScoped
from charging_core.ids import new_id
from charging_core.types import Json, UtcDateTime

_PREFIX = "hub"


class Scope(StrEnum):
    """What a token may be used for."""

    CONSOLE_READ = "console:read"
    CONSOLE_WRITE = "console:write"
    APP = "app"


class ApiToken(TenantScoped, Base):
    """One token. Revoked tokens stay, so that logs can still name them."""

    __tablename__ = "api_token"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[Any]] = mapped_column(Json)
    secret_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: a token of a tenant with its scopes."""

    tenant_id: str
    token_id: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the token carries `scope`; writing includes reading."""
        return scope in self.scopes or (scope == Scope.CONSOLE_READ and Scope.CONSOLE_WRITE in self.scopes)


def create_token(
    session: HubSession, name: str, scopes: list[Scope], now: datetime, expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """A new token of the session's tenant and its text, which cannot be shown again."""
    secret = secrets.token_urlsafe(32)
    token = ApiToken(
        id=new_id(),
        name=name,
        scopes=[scope.value for scope in scopes],
        secret_hash=_hash(secret),
        created_at=now,
        expires_at=expires_at,
    )
    session.add(token)
    session.flush()
    return token, f"{_PREFIX}_{token.id}_{secret}"


def check_token(session: HubSession, text: str, now: datetime) -> Principal | None:
    """Whose token `text` is, or none when it is unknown, wrong, expired or revoked. Needs a system session: the tenant comes from here."""
    prefix, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    if prefix != _PREFIX or not secret:
        return None
    token = session.scalars(select(ApiToken).where(ApiToken.id == token_id)).one_or_none()
    expected = token.secret_hash if token else _hash("")
    right = hmac.compare_digest(expected, _hash(secret))
    if token is None or not right or token.revoked_at is not None:
        return None
    if token.expires_at is not None and token.expires_at <= now:
        return None
    return Principal(token.tenant_id, token.id, frozenset(token.scopes))


def revoke_token(session: HubSession, token_id: str, now: datetime) -> bool:
    """End a token of the session's tenant; false when there is none of that id."""
    token = session.scalars(select(ApiToken).where(ApiToken.id == token_id)).one_or_none()
    if token is None:
        return False
    token.revoked_at = token.revoked_at or now
    return True


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
