"""Builds the web application; kept apart so that commands which serve nothing do not load the web framework."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from starlette.types import ASGIApp

from hub.container import Container, Role


def build_edge(container: Container, roles: Iterable[Role]) -> ASGIApp:
    """The application of a process in these roles: everything where it is a web process, else the probes alone."""
    with warnings.catch_warnings():
        # connexion imports starlette's test client, which warns about its HTTP library; nothing of ours uses either.
        warnings.simplefilter("ignore")
        from hub.web import app
    chosen = frozenset(roles)
    return app.build_app(container, chosen) if Role.WEB in chosen else app.build_probe_app(container, chosen)
