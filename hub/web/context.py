"""What a handler may ask for: the composed hub, and who is calling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import orjson
from connexion.context import context
from flask import Response, current_app, make_response
from sqlalchemy import select

from charging_core.access import ApiToken, Principal
from charging_core.db import HubSession
from hub.container import Container
from hub.reading.paging import Page
from hub.reading.values import plain
from hub.web.problems import as_http_problem

EXTENSION = "charging_hub"


def hub() -> Container:
    """The composed hub of this application."""
    container: Container = current_app.extensions[EXTENSION]
    return container


def caller() -> Principal:
    """The token's owner; set by the security check before any handler runs."""
    principal: Principal = context["token_info"]["principal"]
    return principal


def acting(session: HubSession) -> str:
    """Who does something, as records of actions keep it: `token:` and the token's name."""
    name = session.scalars(select(ApiToken.name).where(ApiToken.id == caller().token_id)).one_or_none()
    return f"token:{name or caller().token_id}"


@contextmanager
def reading() -> Iterator[HubSession]:
    """A read session of the caller's tenant."""
    with hub().db.read(caller().tenant_id) as session:
        yield session


@contextmanager
def writing() -> Iterator[HubSession]:
    """One write transaction of the caller's tenant."""
    with hub().db.session(caller().tenant_id) as session:
        yield session


def answer(value: Any, status: int = 200) -> Response:
    """A JSON answer with exact decimals and China times."""
    body = {"items": value.items, "next": value.next} if isinstance(value, Page) else value
    response = make_response(orjson.dumps(plain(body)), status)
    response.content_type = "application/json"
    return response


def operation(handler: Callable[..., Response]) -> Callable[..., Response]:
    """Marks a handler; what the rooms raise on purpose becomes a problem answer."""

    @wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Response:
        try:
            return handler(*args, **kwargs)
        except (
            Exception
        ) as error:  # the edge: everything a room raises on purpose has an HTTP meaning, the rest is re-raised
            problem = as_http_problem(error)
            if problem is None:
                raise
            raise problem from error

    return call
