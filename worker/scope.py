"""Narrows a system session to one tenant for the length of a block, so that a driver sees only what it may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from charging_core.db import HubSession


@contextmanager
def tenant_scope(session: HubSession, tenant_id: str) -> Iterator[HubSession]:
    """Within the block the session reads and writes as `tenant_id`; new rows are flushed inside it."""
    session.flush()
    session.info["tenant"] = tenant_id
    try:
        yield session
        session.flush()
    finally:
        session.info.pop("tenant", None)
