"""Runs a composed hub as a process: binds the web port, serves, drains at SIGTERM. Used by `hub serve`, `hub run …`, demo and tests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable

import uvicorn

from hub.container import ALL_ROLES, Container, Role
from hub.edge import build_edge, settle
from hub.errors import HubError, NeedsServer, PortBusy
from hub.lane import TcecLaneProtocol
from hub.settings import Settings

STARTUP_S = 60.0
_BACKLOG = 2048


def require_servers(settings: Settings, role: str) -> None:
    """Cluster processes need PostgreSQL and Redis: SQLite has one writing process (DECISIONS 23). Raises `NeedsServer`."""
    if settings.embedded or settings.redis_url is None:
        raise NeedsServer(role)


def bind_web(settings: Settings) -> socket.socket:
    """The listening socket of the web port. Raises `PortBusy`."""
    listening = socket.socket(socket.AF_INET6 if ":" in settings.bind else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.bind, settings.web_port))
    except OSError as error:
        listening.close()
        raise PortBusy(settings.bind, settings.web_port, "HUB_WEB_PORT") from error
    listening.listen(_BACKLOG)
    return listening


def run(settings: Settings, roles: Iterable[Role], ready: Callable[[Container], None] | None = None) -> None:
    """Serve in this thread until SIGTERM or SIGINT, then drain. `ready` is called once everything listens."""
    with HubProcess(settings, roles) as hub:
        if ready is not None:
            ready(hub.container)
        hub.serve()


class HubProcess:
    """One hub process as a context: entering starts all its parts and binds its ports, leaving drains and closes them.

    `serve` runs the web server in the calling thread (signals end it); `serve_in_thread` is for the demo and for tests.
    """

    def __init__(self, settings: Settings, roles: Iterable[Role] = ALL_ROLES) -> None:
        self._roles = frozenset(roles)
        self._settings = settings
        self.container = Container(settings)
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> HubProcess:
        """Raises `PortBusy`, `NotMigrated`; nothing stays open then."""
        try:
            self._socket = bind_web(self._settings)
            self.container.web_port = int(self._socket.getsockname()[1])
            self.container.start(self._roles)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
        self._close()

    @property
    def web_url(self) -> str:
        """`http://127.0.0.1:8080`."""
        host = f"[{self._settings.bind}]" if ":" in self._settings.bind else self._settings.bind
        return f"http://{host}:{self.container.web_port}"

    @property
    def pile_port(self) -> int:
        """The port piles connect to. Raises `HubError` when this process serves none."""
        if self.container.pile_port is None:
            raise HubError("这个进程不服务充电桩 / this process serves no piles")
        return self.container.pile_port

    @property
    def ocpp_port(self) -> int:
        """The port OCPP piles connect to. Raises `HubError` when this process serves none."""
        if self.container.ocpp_port is None:
            raise HubError("这个进程不服务充电桩 / this process serves no piles")
        return self.container.ocpp_port

    def serve(self) -> None:
        """Serve until a signal; returns after running requests have ended."""
        server = self._build(ahead=True)
        settle()
        server.run(sockets=[self._bound()])

    def serve_in_thread(self) -> None:
        """Serve beside the caller; returns when requests are answered. Raises `HubError` when the server does not come up."""
        server = self._build()
        self._thread = threading.Thread(target=server.run, args=([self._bound()],), name="web", daemon=True)
        self._thread.start()
        waiting = threading.Event()
        waited = 0.0
        while not server.started:
            if not self._thread.is_alive() or waited > STARTUP_S:
                raise HubError("网页服务未能启动 / the web server did not start")
            waiting.wait(0.01)
            waited += 0.01

    def _build(self, *, ahead: bool = False) -> uvicorn.Server:
        config = uvicorn.Config(
            build_edge(self.container, self._roles, ahead=ahead),
            http=TcecLaneProtocol,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, int(self._settings.drain_s)),
            backlog=_BACKLOG,
            ws="none",
        )
        self._server = uvicorn.Server(config)
        return self._server

    def _bound(self) -> socket.socket:
        if self._socket is None:
            raise HubError("尚未启动 / not started")
        return self._socket

    def _close(self) -> None:
        self.container.stop()
        if self._socket is not None:
            self._socket.close()
