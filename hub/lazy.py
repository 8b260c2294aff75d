"""The application for servers that import it (`uvicorn wsgi:app`): built at the first call, not at import."""

from __future__ import annotations

from typing import Any

from a2wsgi import ASGIMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.edge import build_edge, settle, uncollected


class LazyApp:
    """ASGI. On SQLite it is the whole embedded hub (run one process of it); on PostgreSQL it is the stateless web role."""

    def __init__(self) -> None:
        self.http_app: ASGIApp | None = None
        """Gets every request as it came; none until it is built."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if self.http_app is None:
            self.http_app = self.build()
        await self.http_app(scope, receive, send)

    def build(self, *, started: bool = False) -> ASGIApp:
        """Compose the hub from the environment; `started` for servers that know no lifespan. Raises `SettingsError`."""
        with uncollected():
            from hub.container import ALL_ROLES, Container, Role
            from hub.logging_setup import configure_logging
            from hub.settings import load_settings

            settings = load_settings()
            configure_logging(settings)
            roles = ALL_ROLES if settings.embedded else {Role.WEB}
            container = Container(settings)
            if started:
                container.start(roles)
            built = build_edge(container, roles, ahead=True)
        settle()
        return built


class LazyWsgi:
    """The same as WSGI. Each request holds one thread of the server, so its concurrency is the server's number of threads."""

    def __init__(self, app: LazyApp) -> None:
        self._lazy = app
        self._app: Any = None

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """WSGI."""
        if self._app is None:
            self._app = ASGIMiddleware(self._lazy.build(started=True))  # type: ignore[arg-type]  # two spellings of one protocol
        return self._app(environ, start_response)
