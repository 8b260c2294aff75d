"""Builds the web application; kept apart so that commands which serve nothing do not load the web framework."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

if TYPE_CHECKING:
    from hub.container import Container, Role


def build_edge(container: Container, roles: Iterable[Role], *, ahead: bool = False) -> ASGIApp:
    """The application of a process in these roles: everything where it is a web process, else the probes alone.

    `ahead` is for processes that do nothing but serve: it builds beside the first requests what would make later ones wait.
    """
    from hub.container import Role

    with uncollected():
        from hub.web import app

        chosen = frozenset(roles)
        return (
            app.build_app(container, chosen, ahead=ahead)
            if Role.WEB in chosen
            else app.build_probe_app(container, chosen)
        )


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection inside. Modules and composed parts stay anyway, and looking through them again and again while they are
    being made is a seventh of a start."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def settle() -> None:
    """What this process is made of is there: leave it out of every later collection, which would stop all requests to look at it.

    The little garbage of the start stays with it: looking for that once would take a tenth of the start.
    """
    gc.freeze()
