"""`/healthz` (this process lives), `/readyz` (it can do its work, else 503 with the reasons), `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import anyio.to_thread
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub import metrics
from hub.container import Check, Container


def probe_routes(container: Container, more: Callable[[], Iterable[Check]] = tuple) -> list[Route]:
    """The three probes of a process. `more` gives checks beside those of the container."""

    async def alive(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> Response:
        checks = [*await anyio.to_thread.run_sync(container.checks), *more()]
        good = all(check.ok for check in checks)
        metrics.READY.set(int(good))
        body = {"status": "ok" if good else "unavailable", "checks": {c.name: c.detail for c in checks}}
        reasons = [f"{check.name}: {check.detail}" for check in checks if not check.ok]
        return JSONResponse(body | ({"reasons": reasons} if reasons else {}), 200 if good else 503)

    async def measured(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", alive), Route("/readyz", ready), Route("/metrics", measured)]
