"""Assembles the one ASGI application: T/CEC 102 door, pages and probes, then console, app and call-backs by their contracts."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from starlette.routing import Router
from starlette.types import ASGIApp

from hub.container import Check, Container, Role
from hub.edge import uncollected
from hub.web.asgi import BodyLimit, Counted, Deferred, Lifespan, RawCallbacks
from hub.web.pages import page_routes
from hub.web.probes import probe_routes


def build_app(container: Container, roles: Iterable[Role] = (Role.WEB,), *, ahead: bool = False) -> ASGIApp:
    """The application of one process; its lifespan starts and stops the container in `roles`.

    The contracts' part is built at the first call that needs it, or (`ahead`) in a thread as soon as everything else runs.
    """
    chosen = frozenset(roles)
    limits = container.settings
    deferred = Deferred(lambda: _contracts(container))
    contracts = BodyLimit(RawCallbacks(deferred), limits.max_body_bytes, limits.max_callback_bytes)
    routes = [*page_routes(container), *probe_routes(container, lambda: _check(deferred))]
    inner: ASGIApp = Counted(Router(routes, default=contracts))

    def start() -> None:
        container.start(chosen)
        if ahead:
            deferred.begin()

    def stop() -> None:
        deferred.end()
        container.stop()

    return Lifespan(container.tcec_door(inner), start, stop)


def build_probe_app(container: Container, roles: Iterable[Role]) -> ASGIApp:
    """Only the probes, for processes that serve no interface."""
    chosen = frozenset(roles)
    return Lifespan(Router(probe_routes(container)), lambda: container.start(chosen), container.stop)


def _contracts(container: Container) -> ASGIApp:
    with uncollected(), warnings.catch_warnings():
        # connexion imports starlette's test client, which warns about its HTTP library; nothing of ours uses either.
        warnings.simplefilter("ignore")
        from hub.web.contracts import build_contracts
    return build_contracts(container)


def _check(deferred: Deferred) -> list[Check]:
    """Nothing to say unless the contracts could not be built: until they are, their callers wait for them."""
    problem = deferred.problem
    return [Check("contracts", "接口 · interfaces", False, problem)] if problem else []
