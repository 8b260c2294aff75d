"""Links ready for use, in memory: who calls us under which path, whom we call, with which profile and keys.

`LinkBook` is asked for every message and never blocks: it answers from its last picture. The picture is renewed when a link was
saved in this process (`refresh`), and every few seconds by a thread that compares version stamps, for what other processes saved.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

import structlog
from sqlalchemy import select

from charging_core.clock import Clock, SystemClock
from charging_core.db import Database
from charging_core.secretbox import SecretBox, SecretError
from partners import metrics
from partners.errors import UnknownLink
from partners.keys import open_secrets
from partners.model import PartnerLink
from partners.profiles.errors import ProfileError
from partners.profiles.loader import load_profile
from partners.profiles.profile import Profile
from partners.profiles.schema import Timing
from partners.roles import Role, served_interfaces
from partners.tcec102.client import OutboundLink
from partners.tcec102.errors import ConfigurationError
from partners.tcec102.memory import MemoryLinkDirectory
from partners.tcec102.ports import InboundLink, Route
from worker.policy import DeliveryPolicy

log = structlog.get_logger()

POLL_S = 2.0
"""How late another process may notice a changed link. Real seconds."""

OVERLAP = timedelta(days=7)
"""How long before the agreed instant a partner may have changed its set already. Afterwards the old one is a fallback until it is no
longer declared."""

_TIMING_OF_SOURCE = {
    "start_result": "start_result_s",
    "stop_result": "stop_result_s",
    "charge_sample": "charge_status_s",
    "order": "order_s",
}

cached_profile = lru_cache(maxsize=64)(load_profile)
"""Profiles are files of the program: they change with it, not while it runs."""


@dataclass(frozen=True, slots=True)
class Egress:
    """How we get out to one partner: through which proxy, with which certificate (PEM files: certificate, key)."""

    proxy: str | None = None
    certificate: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One link with everything opened.

    `stations` is `all`, `operator`, or the (OperatorID, code) pairs that the partner may see: a code is unique inside one operator
    only (`specs/tcec102.md` 9.2).
    """

    id: str
    tenant_id: str
    slug: str
    name: str
    environment: str
    version: int
    changed_at: datetime
    enabled: bool
    our_operator_id: str
    their_operator_ids: tuple[str, ...]
    stations: str | frozenset[tuple[str, str]]
    profile: Profile = field(repr=False)
    timing: Timing
    inbound_bases: tuple[str, ...]
    inbound: InboundLink = field(repr=False)
    outbound: OutboundLink | None = field(repr=False)
    outbound_next: OutboundLink | None = field(repr=False, default=None)
    switch_at: datetime | None = None
    role: Role = Role.CPO
    egress: Egress = Egress()
    previous_until: datetime | None = None
    created_at: datetime | None = None

    def sets_at(self, now: datetime) -> tuple[OutboundLink, ...]:
        """The outbound sets to use at `now`, the valid one first.

        During a rotation the other one follows: the two sides never change at the same instant, and a call refused for its signature
        was not processed.
        """
        if self.outbound is None:
            return ()
        if self.outbound_next is None or self.switch_at is None:
            return (self.outbound,)
        if now < self.switch_at - OVERLAP:
            return (self.outbound,)
        return (self.outbound, self.outbound_next) if now < self.switch_at else (self.outbound_next, self.outbound)

    def may_see(self, operator_id: str, station_code: str) -> bool:
        """Whether this partner is authorised for the station."""
        if isinstance(self.stations, frozenset):
            return (operator_id, station_code) in self.stations
        return self.stations == "all" or operator_id == self.our_operator_id

    def facts(self) -> dict[str, Any]:
        """What profiles may use of the link."""
        return {
            "slug": self.slug,
            "our_operator_id": self.our_operator_id,
            "their_operator_id": self.their_operator_ids[0],
        }

    def policy(self, interface: str) -> DeliveryPolicy:
        """How to deliver a push on this link: the profile's policy with this link's deadline and time limit."""
        compiled = self.profile.interface(interface)
        updates: dict[str, Any] = {}
        timing = _TIMING_OF_SOURCE.get(compiled.spec.source)
        if timing is not None and compiled.policy.deadline_s is None:
            updates["deadline_s"] = float(getattr(self.timing, timing))
        if self.outbound is not None:
            # One renewed token and one repeat are four exchanges at worst, but two of them are refused at once.
            updates["timeout_s"] = 2 * (self.outbound.connect_timeout_s + self.outbound.read_timeout_s)
        return compiled.policy.model_copy(update=updates)


def make_link(row: PartnerLink, box: SecretBox, now: datetime) -> Link:
    """The link behind a row as it stands at `now`. Raises `ConfigurationError`, `ProfileError` or `SecretError` when it cannot work."""
    profile = cached_profile(row.profile)
    return Link(
        id=row.id,
        tenant_id=row.tenant_id,
        slug=row.slug,
        name=row.name,
        environment=row.environment,
        version=row.version,
        changed_at=row.changed_at,
        enabled=row.enabled,
        our_operator_id=row.our_operator_id,
        their_operator_ids=tuple(row.their_operator_ids),
        stations=_stations(row),
        profile=profile,
        timing=profile.spec.timing.model_copy(update=row.options.get("timing", {})),
        inbound_bases=tuple(row.inbound_bases),
        inbound=_inbound(row, profile, box, now),
        outbound=_outbound(row, row.outbound_keys, profile, box),
        outbound_next=_outbound(row, row.outbound_next_keys, profile, box),
        switch_at=_instant(row, "outbound_next_from"),
        role=Role(row.options.get("role", Role.CPO)),
        egress=_egress(row),
        previous_until=_instant(row, "inbound_previous_until"),
        created_at=row.created_at,
    )


def _instant(row: PartnerLink, option: str) -> datetime | None:
    text = row.options.get(option)
    return datetime.fromisoformat(text) if text else None


def _egress(row: PartnerLink) -> Egress:
    files = row.options.get("client_certificate")
    return Egress(row.options.get("proxy"), (files["cert"], files["key"]) if files else None)


def _stations(row: PartnerLink) -> str | frozenset[tuple[str, str]]:
    if not isinstance(row.stations, list):
        return str(row.stations)
    parts = (text.rpartition("/") for text in row.stations)
    return frozenset((operator_id or row.our_operator_id, code) for operator_id, _, code in parts)


def _inbound(row: PartnerLink, profile: Profile, box: SecretBox, now: datetime) -> InboundLink:
    token = profile.spec.token
    until = _instant(row, "inbound_previous_until")
    valid = row.inbound_keys if until is None or now < until else row.inbound_keys[:1]
    opened = [open_secrets(box, row.id, "inbound", sealed) for sealed in valid]
    return InboundLink(
        link_id=row.id,
        operator_ids=tuple(row.their_operator_ids),
        our_operator_id=row.our_operator_id,
        keys=tuple(secrets.key_set(profile) for secrets in opened),
        enabled=row.enabled,
        envelope=profile.envelope,
        bodies=profile.body,
        writing=profile.writing,
        token_ttl_s=row.options.get("token_ttl_s") or token.ttl_issued_s,
        accept_schemes=tuple(token.accept_schemes),
        allowed_networks=tuple(ip_network(network) for network in row.allow_ips),
        interface_aliases=profile.spec.transport.path_aliases_in,
        interfaces=served_interfaces(Role(row.options.get("role", Role.CPO))),
    )


def _outbound(row: PartnerLink, sealed: str | None, profile: Profile, box: SecretBox) -> OutboundLink | None:
    if row.outbound_base is None or sealed is None:
        return None
    transport = profile.spec.transport
    return OutboundLink(
        link_id=row.id,
        operator_id=row.our_operator_id,
        base_url=row.outbound_base,
        keys=open_secrets(box, row.id, "outbound", sealed).key_set(profile),
        paths=transport.paths_out,
        envelope=profile.envelope,
        bodies=profile.body,
        writing=profile.writing,
        token_scheme=profile.spec.token.scheme,
        connect_timeout_s=transport.connect_timeout_s,
        read_timeout_s=transport.read_timeout_s,
        total_timeout_s=transport.connect_timeout_s + transport.read_timeout_s,
        verify_tls=row.options.get("ca_file") or bool(row.options.get("verify_tls", True)),
    )


class LinkBook:
    """All links of all tenants. Fills the protocol's `LinkDirectory` port.

    A link that cannot be opened (a lost key, a removed profile) is left out, logged and counted; the others go on.
    """

    def __init__(self, db: Database, box: SecretBox, clock: Clock | None = None) -> None:
        self._db = db
        self._clock = clock or SystemClock()
        self._box = box
        self._directory = MemoryLinkDirectory()
        self._links: Mapping[str, Link] = {}
        self._stamps: dict[str, int] = {}
        self._tenants_of_base: Mapping[str, frozenset[str]] = {}
        self._renewing = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def resolve(self, path: str) -> Route | None:
        """The route of a URL path below one of the links' bases."""
        return self._directory.resolve(path)

    def find(self, base: str, operator_id: str) -> InboundLink | None:
        """The one link of this base and caller."""
        return self._directory.find(base, operator_id)

    def get(self, link_id: str) -> Link | None:
        """The link with this id, enabled or not; None when it is unknown or cannot be opened."""
        return self._links.get(link_id)

    def by_slug(self, tenant_id: str, slug: str) -> Link:
        """The tenant's link of this name. Raises `UnknownLink`."""
        for link in self._links.values():
            if (link.tenant_id, link.slug) == (tenant_id, slug):
                return link
        raise UnknownLink(f"没有这条链路 / no link {slug}")

    def enabled(self) -> list[Link]:
        """The enabled links of all tenants."""
        return [link for link in self._links.values() if link.enabled]

    def of_tenant(self, tenant_id: str) -> list[Link]:
        """The tenant's enabled links."""
        return [link for link in self._links.values() if link.tenant_id == tenant_id and link.enabled]

    def tenant_of_base(self, base: str) -> str | None:
        """The tenant to whom all links of this base belong; None when there are several or none."""
        tenants = self._tenants_of_base.get(base, frozenset())
        return next(iter(tenants)) if len(tenants) == 1 else None

    def refresh(self) -> None:
        """Renew the picture now if any stamp has changed. Blocks for a read."""
        with self._renewing, self._db.read_system("partner links") as session:
            found = session.execute(select(PartnerLink.id, PartnerLink.version)).all()
            stamps = {row.id: row.version for row in found}
            if stamps == self._stamps and not self._has_expired():
                return
            links = {row.id: link for row in session.scalars(select(PartnerLink)) if (link := self._opened(row))}
            self._replace(links)
            self._stamps = stamps

    def start(self) -> None:
        """Fill the picture and keep it fresh in a thread of its own."""
        self.refresh()
        self._thread = threading.Thread(target=self._keep_fresh, name="partner-links", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _keep_fresh(self) -> None:
        while not self._stop.wait(POLL_S):
            try:
                self.refresh()
            except Exception:  # the edge of the loop: a database that is away for a moment must not end it
                metrics.LINK_REFRESH_FAILURES.inc()
                log.exception("partner_links_not_refreshed")

    def _has_expired(self) -> bool:
        """Whether a set of ours that was being replaced has come to its end while nobody changed its link."""
        now = self._clock.now()
        replaced = [link for link in self._links.values() if link.previous_until and len(link.inbound.keys) > 1]
        return any(link.previous_until is not None and link.previous_until <= now for link in replaced)

    def _opened(self, row: PartnerLink) -> Link | None:
        try:
            return make_link(row, self._box, self._clock.now())
        except (ConfigurationError, ProfileError, SecretError) as error:
            metrics.LINKS_UNUSABLE.inc()
            log.error("partner_link_unusable", link=row.slug, tenant=row.tenant_id, problem=str(error))
            return None

    def _replace(self, links: dict[str, Link]) -> None:
        routes = []
        tenants: dict[str, set[str]] = {}
        taken: set[tuple[str, str]] = set()
        for link in sorted(links.values(), key=lambda one: (not one.enabled, one.id)):
            for base in link.inbound_bases:
                wanted = {(base, operator_id) for operator_id in link.their_operator_ids}
                if wanted & taken:
                    log.error("partner_link_route_taken", link=link.slug, tenant=link.tenant_id, base=base)
                    continue
                taken |= wanted
                routes.append((base, link.inbound))
                tenants.setdefault(base, set()).add(link.tenant_id)
        self._directory.replace(routes)
        self._tenants_of_base = {base: frozenset(owners) for base, owners in tenants.items()}
        self._links = links
