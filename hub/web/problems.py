"""Errors as RFC 9457 problem documents: one table from what the rooms raise to status and words, never a stack trace."""

from __future__ import annotations

import re
from typing import Any

import structlog
from connexion.exceptions import ProblemException
from connexion.lifecycle import ConnexionRequest, ConnexionResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from charging_core.errors import Conflict, InvalidInput, NotFound
from charging_core.orders.service import Refusal
from hub import metrics
from hub.web.titles import TITLES, document
from partners.errors import RoamingFailed
from worker.errors import NotRepairable

log = structlog.get_logger()


REFUSALS = {
    Refusal.NO_SUCH_CONNECTOR: (404, "没有这个枪 / no such connector"),
    Refusal.DISABLED: (409, "枪已停用 / the connector is disabled"),
    Refusal.OFFLINE: (409, "枪离线 / the connector is offline"),
    Refusal.FAULT: (409, "枪故障 / the connector is faulty"),
    Refusal.BUSY: (409, "枪使用中 / the connector is in use"),
    Refusal.RESERVED: (409, "枪已被预约 / the connector is reserved for somebody else"),
    Refusal.RECORD_PENDING: (
        409,
        "上一单交易记录未到, 请稍后再试 / the record of the last charge is not here yet, try again shortly",
    ),
    Refusal.CONFLICTING_REPEAT: (409, "同一请求号用于另一个枪 / this request_id was used for another connector"),
    Refusal.ALREADY_ENDED: (409, "订单已结束 / the order has ended"),
}

_FIELD = re.compile(r"'([A-Za-z_][\w.]*)'")


def refused(refusal: Refusal | None, **more: str | None) -> ProblemException:
    """The problem that says why a start or stop was not accepted; `reason` is the machine word. None: the order is gone."""
    if refusal is None:
        return ProblemException(status=404, title=TITLES[404])
    status, words = REFUSALS[refusal]
    return ProblemException(status=status, title=TITLES[status], detail=words, ext={"reason": refusal.value, **more})


def as_http_problem(error: Exception) -> ProblemException | None:
    """The problem for an error that a room raises on purpose; none for anything unexpected."""
    if isinstance(error, NotFound):
        return ProblemException(status=404, title=TITLES[404], detail=f"没有 / there is no {error}")
    if isinstance(error, (Conflict, NotRepairable)):
        return ProblemException(status=409, title=TITLES[409], detail=str(error))
    if isinstance(error, InvalidInput):
        return ProblemException(status=422, title=TITLES[422], detail=error.message, ext={"field": error.field})
    if isinstance(error, RoamingFailed):
        return ProblemException(status=502, title=TITLES[502], detail=str(error))
    if isinstance(error, (OperationalError, TimeoutError)):
        log.warning("web.database_unavailable", error=type(error).__name__)
        return ProblemException(status=503, title=TITLES[503], detail="数据库忙或不可达 / the database is busy or away")
    return None


def on_problem(_request: ConnexionRequest, error: Exception) -> ConnexionResponse:
    """Render what connexion or a handler raised, with the offending `field` where it is known."""
    status = int(getattr(error, "status_code", 500))
    detail = getattr(error, "detail", None) if isinstance(error, ProblemException) else None
    more = dict(getattr(error, "ext", None) or {})
    if status == 400 and "field" not in more and isinstance(detail, str):
        field = _field_in(detail)
        more |= {"field": field} if field else {}
    return _response(status, str(detail) if detail else None, getattr(error, "headers", None), more)


def on_unexpected(request: ConnexionRequest, error: Exception) -> ConnexionResponse:
    """Log and count what nobody foresaw; the caller learns only that it happened."""
    metrics.UNEXPECTED.inc()
    log.error("web.unexpected_error", path=request.url.path, exc_info=error)
    return _response(500, None, None, {})


def _field_in(detail: str) -> str | None:
    # connexion says "'' is a required property", "... - 'member.path'", "Missing query parameter 'x'": the last quoted word is the member
    found = _FIELD.findall(detail)
    return found[-1] if found else None


def _response(
    status: int, detail: str | None, headers: dict[str, str] | None, more: dict[str, Any]
) -> ConnexionResponse:
    return ConnexionResponse(
        status_code=status,
        content_type="application/problem+json",
        mimetype="application/problem+json",
        headers=headers,
        body=document(status, detail, **more),
    )


HANDLED = (ProblemException, HTTPException)
"""What `on_problem` renders; everything else goes to `on_unexpected`."""
