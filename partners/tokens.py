"""Issued tokens in the database, shared by all web processes (digests only; life in real time)."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import delete, select

from charging_core.db import Database
from partners.errors import UnknownLink
from partners.links import LinkBook
from partners.model import PartnerToken


class SqlTokenRecords:
    """Fills the protocol's `TokenRecords` port."""

    def __init__(self, db: Database, book: LinkBook) -> None:
        self._db = db
        self._book = book

    def save(self, link_id: str, digest: str, expires_at: float) -> None:
        """Keep a digest until `expires_at` (Unix seconds) and forget what has expired on this link."""
        link = self._book.get(link_id)
        if link is None:
            raise UnknownLink(link_id)
        with self._db.session(link.tenant_id) as session:
            session.execute(
                delete(PartnerToken).where(PartnerToken.link_id == link_id, PartnerToken.expires_at < datetime.now(UTC))
            )
            session.add(
                PartnerToken(digest=digest, link_id=link_id, expires_at=datetime.fromtimestamp(expires_at, UTC))
            )

    def find(self, link_id: str, digest: str) -> float | None:
        """Until when the digest is valid on this link, in Unix seconds."""
        link = self._book.get(link_id)
        if link is None:
            return None
        wanted = select(PartnerToken.expires_at).where(PartnerToken.link_id == link_id, PartnerToken.digest == digest)
        with self._db.read(link.tenant_id) as session:
            expires_at = session.scalars(wanted).one_or_none()
        return None if expires_at is None else expires_at.timestamp()


def revoke_tokens(db: Database, tenant_id: str, link_id: str) -> int:
    """Delete every token of a link; returns how many. Processes forget them from memory when they expire or restart."""
    with db.session(tenant_id) as session:
        gone = session.execute(
            delete(PartnerToken).where(PartnerToken.link_id == link_id).returning(PartnerToken.digest)
        )
        return len(gone.all())
