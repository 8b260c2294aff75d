"""API tokens at the edge: who calls, may they, and are they within their budget. Runs before the body is looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import structlog
from connexion.exceptions import ProblemException
from connexion.lifecycle import ConnexionRequest
from connexion.security import BearerSecurityHandler

from charging_core.access import Principal, check_token
from hub import metrics
from hub.container import Container
from hub.web.titles import TITLES

log = structlog.get_logger()

Check = Callable[[ConnexionRequest], Awaitable[dict[str, Any]]]


def bearer_handler(container: Container) -> type[BearerSecurityHandler]:
    """The security handler class for connexion, bound to this hub."""

    # Token look-ups wait for the database beside the loop, never in it; as many at once as handlers.
    threads = anyio.CapacityLimiter(container.settings.web_threads)

    class Bearer(BearerSecurityHandler):  # type: ignore[misc]
        """Checks `Authorization: Bearer hub_…` against the scopes the contract names."""

        def get_fn(self, security_scheme: dict[str, Any], required_scopes: list[str]) -> Check:
            """The check of one operation."""
            return _check(container, threads, tuple(required_scopes))

    return Bearer


def _check(container: Container, threads: anyio.CapacityLimiter, scopes: tuple[str, ...]) -> Check:
    async def check(request: ConnexionRequest) -> dict[str, Any]:
        text = _token_of(request.headers.get("Authorization", ""))
        address = request.client.host if request.client else "-"
        if text is None:
            raise _refuse(401, "no_token", "缺少 Authorization: Bearer … / no bearer token")
        # A wrong token costs a database read: whoever guesses has a budget per address.
        principal = await anyio.to_thread.run_sync(find_principal, container, text, limiter=threads)
        if principal is None:
            allowed = container.limiter.allow(f"guess:{address}")
            raise _refuse(401, "bad_token", TITLES[401]) if allowed else _refuse(429, "rate", TITLES[429])
        if not container.limiter.allow(f"token:{principal.token_id}"):
            raise _refuse(429, "rate", TITLES[429])
        missing = [scope for scope in scopes if not principal.may(scope)]
        if missing:
            raise _refuse(403, "scope", f"需要权限 / needs the scope {', '.join(missing)}")
        return {"sub": principal.token_id, "principal": principal}

    return check


def find_principal(container: Container, text: str) -> Principal | None:
    """Whose token this is; a system read, because the tenant follows from the token."""
    with container.db.read_system("api token") as session:
        return check_token(session, text, container.clock.now())


def _token_of(header: str) -> str | None:
    kind, _, text = header.partition(" ")
    return text.strip() or None if kind.lower() == "bearer" else None


def _refuse(status: int, reason: str, detail: str) -> ProblemException:
    metrics.REFUSED.labels(reason).inc()
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "60"} if status == 429 else None
    return ProblemException(status=status, title=TITLES[status], detail=detail, headers=headers)
