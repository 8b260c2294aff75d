"""The peer: stock connexion serving the same operation of the same contract, with the floor's crypto in the handler."""

from __future__ import annotations

import json
from typing import Any

import connexion

import openapi
from tests.bench.floor_http import answer

BASE = "/demo/evcs/v1"


def query_station_status(body: dict[str, Any], **_more: object) -> dict[str, Any]:
    """What a handler on stock connexion has to do."""
    token = connexion.request.headers["Authorization"][7:]
    reply: dict[str, Any] = json.loads(answer(token, json.dumps(body).encode()))
    return reply


def build() -> connexion.FlaskApp:
    """The one operation that is measured, with the contract's own envelope schemas in the form that OpenAPI 3.0 has."""
    schemas = openapi.load("tcec102")["components"]["schemas"]
    operation = {
        "operationId": "tests.bench.stock_http.query_station_status",
        "requestBody": {"required": True, "content": _json(schemas["RequestEnvelope"])},
        "responses": {"200": {"description": "sealed answer", "content": _json(schemas["ResponseEnvelope"])}},
    }
    document = {
        "openapi": "3.0.3",
        "info": {"title": "bench", "version": "1"},
        "paths": {"/query_station_status": {"post": operation}},
    }
    served = connexion.FlaskApp(__name__)
    served.add_api(document, base_path=BASE)
    return served


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": _as_3_0(schema)}}


def _as_3_0(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _as_3_0(value) for key, value in part.items() if key != "examples" and not key.startswith("x-")}
    return part


app = build()
