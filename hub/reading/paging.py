"""Pages of a list, by key: the next page starts after the last key of this one, so that rows which come and go shift nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

from charging_core.db import HubSession

DEFAULT_LIMIT = 50
MOST = 200
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list: at most `limit` rows after the key `after`."""

    limit: int = DEFAULT_LIMIT
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and the `after` of the next page (none on the last)."""

    items: list[dict[str, Any]]
    next: str | None


def read_page(
    session: HubSession,
    query: Select[Row],
    key: InstrumentedAttribute[str],
    window: Window,
    view: Callable[[Row], dict[str, Any]],
    *,
    newest_first: bool = False,
) -> Page:
    """Run `query` for one page ordered by `key` (a unique text column)."""
    limit = max(1, min(window.limit, MOST))
    if window.after is not None:
        query = query.where(key < window.after if newest_first else key > window.after)
    ordered = query.order_by(key.desc() if newest_first else key)
    rows = list(session.scalars(ordered.limit(limit + 1)).unique())
    more = len(rows) > limit
    rows = rows[:limit]
    return Page([view(row) for row in rows], str(getattr(rows[-1], key.key)) if more else None)
