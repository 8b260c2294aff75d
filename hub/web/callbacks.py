"""Handlers of `openapi/callbacks.yaml`: what devices and platforms post to us."""

from __future__ import annotations

from typing import Any

from connexion.exceptions import ProblemException
from flask import Response, request

from hub.web.asgi import PUSHED_TYPE
from hub.web.context import answer, hub, operation
from hub.web.titles import TITLES
from parking.service import PushResult


@operation
def receive_parking_push(inbound_token: str, **_body: Any) -> Response:
    """`POST /parking/{inbound_token}`: raw bytes to the adapter that the path's token names."""
    headers = dict(request.headers)
    headers["Content-Type"] = headers.pop(PUSHED_TYPE.decode().title(), "")
    result = hub().parking.receive_push(inbound_token, headers, request.get_data())
    if result is PushResult.UNKNOWN_TOKEN:
        raise ProblemException(status=404, title=TITLES[404])
    return answer({"result": result.value})
