"""Signed texts that have come on links that refuse replays, in the database: what one web process has taken, none takes again."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from charging_core.db import Database
from partners.links import LinkBook
from partners.model import PartnerReplay

SWEEP_S = 60.0
"""How often one process deletes what can no longer come back, per link; a busy link keeps a few thousand rows more by it."""


class SqlReplays:
    """Fills the protocol's `ReplayMemory` port. One insert per call of such a link; life in real time."""

    def __init__(self, db: Database, book: LinkBook) -> None:
        self._db = db
        self._book = book
        self._lock = threading.Lock()
        self._swept_at: dict[str, float] = {}

    def is_new(self, link_id: str, key: bytes, keep_s: float) -> bool:
        """True the first time within ``keep_s`` seconds in any process."""
        link = self._book.get(link_id)
        if link is None:
            return False
        now = datetime.now(UTC)
        row = PartnerReplay(digest=key.hex(), link_id=link_id, expires_at=now + timedelta(seconds=keep_s))
        try:
            with self._db.session(link.tenant_id) as session:
                if self._is_time(link_id):
                    gone = PartnerReplay.link_id == link_id, PartnerReplay.expires_at < now
                    session.execute(delete(PartnerReplay).where(*gone))
                session.add(row)
        except IntegrityError:
            return False
        return True

    def _is_time(self, link_id: str) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._swept_at.get(link_id, -SWEEP_S) < SWEEP_S:
                return False
            self._swept_at[link_id] = now
            return True
