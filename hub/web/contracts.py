"""Console, app and call-backs: connexion with every contract it serves. Importing this loads the web framework."""

from __future__ import annotations

from a2wsgi import WSGIMiddleware
from connexion import FlaskApp
from connexion.options import SwaggerUIOptions
from connexion.validators import VALIDATOR_MAP
from starlette.types import ASGIApp

import openapi
from hub.container import Container
from hub.web.context import EXTENSION
from hub.web.parameters import NamedParameterValidator
from hub.web.problems import HANDLED, on_problem, on_unexpected
from hub.web.security import bearer_handler

SERVED = ("console", "app", "callbacks")


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
