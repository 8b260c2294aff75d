"""A tenant's partner link, opened and ready for use, for whoever acts on one by its short name."""

from __future__ import annotations

from charging_core.errors import Conflict, NotFound
from hub.container import Container
from partners.errors import UnknownLink
from partners.links import Link


def open_link(container: Container, tenant_id: str, slug: str) -> Link:
    """The link as last saved. Raises `NotFound`."""
    container.partners.book.refresh()
    try:
        return container.partners.book.by_slug(tenant_id, slug)
    except UnknownLink as unknown:
        raise NotFound(f"link {slug}") from unknown


def roaming_link(container: Container, tenant_id: str, slug: str) -> Link:
    """A link on which our drivers charge. Raises `NotFound`, `Conflict` for one on which we only sell."""
    link = open_link(container, tenant_id, slug)
    if not link.role.buys:
        raise Conflict(
            f"链路 {slug} 的角色是 cpo, 不能去对方充电 / link {slug} has the role cpo: no charging at their piles"
        )
    return link
