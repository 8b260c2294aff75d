"""Our calls to regulators: one client per link and version, on a contract that knows the link's wire names.

Bodies are checked before they come here, by profile; the contract of a platform whose document is not public says no more than "an
object", and takes an empty answer as well.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

import openapi
from charging_core.clock import Clock
from charging_core.db import Database
from charging_core.secretbox import SecretBox, SecretError
from municipal.keys import open_secrets
from municipal.model import RegulatorLink
from municipal.regulators import KIND, Regulator, regulator_of
from partners.exchanges import ExchangeRecorder
from partners.profiles.errors import ProfileError
from partners.tcec102.client import OutboundLink, TcecClient
from partners.tcec102.contract import Contract
from partners.tcec102.errors import ConfigurationError
from partners.tcec102.exchanges import Exchange
from partners.tcec102.sending import ThreadSessions
from partners.tcec102.tokens import TokenCache

_TOKEN_PATH = "/query_token"  # noqa: S105 - a path
_BODY, _ANSWER = "RegulatorBody", "RegulatorAnswer"


@dataclass(frozen=True, slots=True)
class Opened:
    """A link of one version with the client that calls it."""

    version: int
    regulator: Regulator
    client: TcecClient


class Clients:
    """Clients by link. Safe for threads; a changed link gets a new client, with a new token, at its next use."""

    def __init__(self, db: Database, box: SecretBox, clock: Clock, recorder: ExchangeRecorder) -> None:
        self._db = db
        self._box = box
        self._clock = clock
        self._tenants: dict[str, str] = {}
        self._sink = recorder.sink(KIND, self._tenant_of)
        self._sessions = ThreadSessions()
        self._lock = threading.Lock()
        self._opened: dict[str, Opened] = {}

    def open(self, tenant_id: str, link_id: str) -> Opened | None:
        """A link with its client; None when the link is gone or switched off. Reads its row in a session of its own.

        Raises `ConfigurationError`, `ProfileError` or `SecretError` when the link cannot be opened.
        """
        with self._db.read(tenant_id) as session:
            row = session.scalars(select(RegulatorLink).where(RegulatorLink.id == link_id)).one_or_none()
        if row is None or not row.enabled:
            return None
        with self._lock:
            kept = self._opened.get(link_id)
            if kept is None or kept.version != row.version:
                kept = self._opened[link_id] = self._make(row)
                self._tenants[link_id] = tenant_id
        return kept

    def close(self) -> None:
        """Close all connections."""
        self._sessions.close()

    def _make(self, row: RegulatorLink) -> Opened:
        regulator = regulator_of(row)
        link, tokens = (
            outbound_link(row, regulator, self._box),
            TokenCache(regulator.profile.spec.token.refresh_margin_s),
        )
        client = TcecClient(link, self._sessions, tokens, self._clock, contract_of(regulator), sink=self._sink)
        return Opened(row.version, regulator, client)

    def _tenant_of(self, exchange: Exchange) -> str | None:
        return self._tenants.get(exchange.link_id or "")


UNOPENABLE = (ConfigurationError, ProfileError, SecretError)
"""Why a link cannot be opened: a matter of its settings."""


def outbound_link(row: RegulatorLink, regulator: Regulator, box: SecretBox) -> OutboundLink:
    """Where and how to call. Raises one of `UNOPENABLE`."""
    spec, engine = regulator.profile.spec, regulator.profile.engine
    transport = spec.transport
    return OutboundLink(
        link_id=row.id,
        operator_id=row.our_operator_id,
        base_url=row.outbound_base,
        keys=open_secrets(box, row.id, row.outbound_keys).key_set(engine),
        paths={_spelled(regulator, name): path for name, path in transport.paths_out.items()},
        envelope=engine.envelope,
        bodies=engine.body,
        token_scheme=spec.token.scheme,
        connect_timeout_s=transport.connect_timeout_s,
        read_timeout_s=transport.read_timeout_s,
        total_timeout_s=transport.connect_timeout_s + transport.read_timeout_s,
        verify_tls=bool(row.options.get("verify_tls", True)),
    )


def contract_of(regulator: Regulator) -> Contract:
    """The interfaces of one link: the standard's query_token, and its pushes under their wire names."""
    names = [regulator.wire_name(name) for name in regulator.profile.spec.interfaces]
    return Contract(_document(names))


def _spelled(regulator: Regulator, name: str) -> str:
    return regulator.wire_name(name) if name in regulator.profile.spec.interfaces else name


def _document(names: Iterable[str]) -> dict[str, object]:
    standard = openapi.load("tcec102")
    push = {"x-tcec-side": "client", "x-tcec-request": _BODY, "x-tcec-response": _ANSWER}
    paths = {f"/{name}": {"post": push | {"operationId": name}} for name in names}
    schemas = {
        _BODY: {"type": "object"},
        # Answers to pushes are not described anywhere public: what is wanted of them stands in the profile's predicates.
        _ANSWER: {"type": "object", "x-tcec-tolerant": {"type": None}},
    }
    return {
        "paths": {_TOKEN_PATH: standard["paths"][_TOKEN_PATH], **paths},
        "components": {"schemas": standard["components"]["schemas"] | schemas},
    }
