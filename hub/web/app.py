"""Assembles the one ASGI application: T/CEC 102 door, pages and probes, then connexion with console, app and call-backs."""

from __future__ import annotations

from collections.abc import Iterable

from a2wsgi import WSGIMiddleware
from connexion import FlaskApp
from connexion.options import SwaggerUIOptions
from connexion.validators import VALIDATOR_MAP
from starlette.routing import Router
from starlette.types import ASGIApp

import openapi
from hub.container import Container, Role
from hub.web.asgi import BodyLimit, Counted, Lifespan, RawCallbacks
from hub.web.context import EXTENSION
from hub.web.pages import page_routes
from hub.web.parameters import NamedParameterValidator
from hub.web.probes import probe_routes
from hub.web.problems import HANDLED, on_problem, on_unexpected
from hub.web.security import bearer_handler

SERVED = ("console", "app", "callbacks")


def build_app(container: Container, roles: Iterable[Role] = (Role.WEB,)) -> ASGIApp:
    """The application of one process; its lifespan starts and stops the container in `roles`."""
    chosen = frozenset(roles)
    limits = container.settings
    contracts = BodyLimit(RawCallbacks(build_contracts(container)), limits.max_body_bytes, limits.max_callback_bytes)
    routes = [*page_routes(container), *probe_routes(container)]
    inner: ASGIApp = Counted(Router(routes, default=contracts))
    return Lifespan(container.tcec_door(inner), lambda: container.start(chosen), container.stop)


def build_probe_app(container: Container, roles: Iterable[Role]) -> ASGIApp:
    """Only the probes, for processes that serve no interface."""
    chosen = frozenset(roles)
    return Lifespan(Router(probe_routes(container)), lambda: container.start(chosen), container.stop)


def build_contracts(container: Container) -> ASGIApp:
    """connexion with every contract it serves; operationId names the handler."""
    security = {"bearer": bearer_handler(container)}
    validators = {**VALIDATOR_MAP, "parameter": NamedParameterValidator}
    raw = validators | {"body": {}}
    app = FlaskApp("charging_hub", security_map=security)
    app.app.extensions[EXTENSION] = container
    # The bridge runs at most this many handlers at once; the default of 10 is below what the database pool offers.
    app._middleware_app.asgi_app = WSGIMiddleware(app.app.wsgi_app, workers=container.settings.web_threads)
    for kind in HANDLED:
        app.add_error_handler(kind, on_problem)
    app.add_error_handler(Exception, on_unexpected)
    pages_are_ours = SwaggerUIOptions(serve_spec=False, swagger_ui=False)
    for name in SERVED:
        app.add_api(
            openapi.load(name),
            name=name,
            swagger_ui_options=pages_are_ours,
            # A misspelt parameter must not pass silently; what devices post is theirs and is not looked at here.
            strict_validation=name != "callbacks",
            validator_map=raw if name == "callbacks" else validators,
        )
    built: ASGIApp = app
    return built
