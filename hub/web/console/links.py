"""Console: links, their test, and what went over them."""

from __future__ import annotations

from flask import Response

from hub.reading import links
from hub.reading.paging import Window
from hub.web.context import answer, caller, hub, operation, reading


@operation
def list_links() -> Response:
    """`GET /links`."""
    with reading() as session:
        return answer({"items": links.list_links(session), "next": None})


@operation
def get_link(link: str) -> Response:
    """`GET /links/{link}`."""
    with reading() as session:
        return answer(links.link_view(session, link))


@operation
def test_link(link: str) -> Response:
    """`POST /links/{link}/test`."""
    steps = hub().test_link(caller().tenant_id, link)
    return answer({"ok": all(step["ok"] for step in steps), "steps": steps})


@operation
def list_exchanges(
    limit: int,
    after: str | None = None,
    link: str | None = None,
    interface: str | None = None,
    object: str | None = None,  # noqa: A002 - the contract's name of the parameter
    direction: str | None = None,
    failed: bool = False,
) -> Response:
    """`GET /exchanges`."""
    with reading() as session:
        wanted = links.ExchangeFilter(link, interface, object, direction, failed)
        return answer(links.list_exchanges(session, Window(limit, after), wanted))
