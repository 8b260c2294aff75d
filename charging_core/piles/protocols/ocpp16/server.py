"""The central system's listener: the handshake, with everything that must be right before a WebSocket exists.

`ws://HOST:PORT/<any path>/<identity>`, sub-protocol `ocpp1.6`, security profile 0 or 1 by the pile (basic auth with the identity as
user). TLS (profile 2) is a terminating proxy's business.
"""

import asyncio
import base64
import binascii
import weakref
from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader
from websockets.headers import parse_subprotocol
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from charging_core.ids import new_id
from charging_core.piles import metrics
from charging_core.piles.context import PileContext
from charging_core.piles.events import PileCurrent, PileLogin
from charging_core.piles.protocols.ocpp16.connection import OcppConnection
from charging_core.piles.protocols.ocpp16.frames import MAX_BYTES, SUBPROTOCOL
from charging_core.piles.protocols.ocpp16.model import IDENTITY_LENGTH
from charging_core.piles.protocols.ocpp16.ports import Knock, OcppBook
from charging_core.piles.writers import CallJob

log = structlog.get_logger()

PROTOCOL = "ocpp16"
_BACKLOG = 1024
_HANDSHAKE_S = 20.0
"""The database may be slow for a moment when all piles come back at once."""
_MESSAGES_AHEAD = 4
"""Messages read ahead of the one in work."""


class OcppListener:
    """Fills `server.Listener`: one port that speaks OCPP 1.6J."""

    def __init__(self, host: str, port: int, book: OcppBook) -> None:
        self.host = host
        self.port = port
        self._book = book
        self._links: set[OcppConnection] = set()
        self._let_in: weakref.WeakKeyDictionary[ServerConnection, PileLogin] = weakref.WeakKeyDictionary()
        self._server: Server | None = None
        self._context: PileContext

    async def open(self, context: PileContext) -> int:
        """Bind and return the port. Raises `OSError`."""
        self._context = context
        self._server = await serve(
            self._serve,
            self.host,
            self.port,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            process_request=self._handshake,
            compression=None,
            open_timeout=_HANDSHAKE_S,
            ping_interval=None,
            max_size=MAX_BYTES,
            max_queue=_MESSAGES_AHEAD,
            server_header=None,
            backlog=_BACKLOG,
        )
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Accept no more; the links stay."""
        if self._server is not None:
            self._server.close(close_connections=False)

    def links(self) -> Collection[OcppConnection]:
        """The open connections, as a copy."""
        return list(self._links)

    # -- the handshake

    async def _handshake(self, socket: ServerConnection, request: Request) -> Response | None:
        """None lets the WebSocket come to be."""
        if SUBPROTOCOL not in _subprotocols(request):
            return self._no(socket, HTTPStatus.BAD_REQUEST, "subprotocol")
        identity = _identity(request)
        if not 0 < len(identity) <= IDENTITY_LENGTH or not identity.isprintable():
            return self._no(socket, HTTPStatus.NOT_FOUND, "identity")
        if len(self._links) >= self._context.settings.max_connections:
            return self._no(socket, HTTPStatus.SERVICE_UNAVAILABLE, "too_many_connections")
        user, password = _credentials(request)
        if user is not None and user != identity:
            password = None
        login = self._login(identity, socket)
        knock = await self._knock(identity, password, login)
        if knock is None:
            return self._no(socket, HTTPStatus.SERVICE_UNAVAILABLE, "overloaded")
        if knock.pile_code is None:
            return self._no(socket, _STATUS.get(knock.refused, HTTPStatus.FORBIDDEN), knock.refused, identity)
        self._let_in[socket] = self._login(knock.pile_code, socket)
        return None

    def _login(self, code: str, socket: ServerConnection) -> PileLogin:
        host, port = (*(socket.remote_address or ("?", 0)),)[:2]
        return PileLogin(
            pile_code=code,
            connection_id=new_id(),
            protocol=PROTOCOL,
            protocol_version="1.6",
            firmware=None,
            current=PileCurrent.UNKNOWN,
            connector_count=None,
            sim=None,
            address=f"{host}:{port}",
            received_at=self._context.clock.now(),
        )

    async def _knock(self, identity: str, password: str | None, login: PileLogin) -> Knock | None:
        """The book's word, from a writer thread; none when it cannot be had."""
        answer: asyncio.Future[Knock | None] = asyncio.get_running_loop().create_future()

        def decided(knock: Knock | None) -> None:
            if not answer.done():
                answer.set_result(knock)

        job = CallJob("login", lambda: self._book.knock(identity, password, login), decided)
        return await answer if self._context.writers.offer(identity, job) else None

    def _no(self, socket: ServerConnection, status: HTTPStatus, reason: str, identity: str = "") -> Response:
        metrics.REFUSED_LOGINS.labels(reason).inc()
        log.warning("pile_login_refused", identity=identity, address=str(socket.remote_address), reason=reason)
        response = socket.respond(status, f"{status.phrase}\n")
        if status is HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Basic realm="OCPP", charset="UTF-8"'
        return response

    async def _serve(self, socket: ServerConnection) -> None:
        login = self._let_in.pop(socket)
        await OcppConnection(self._context, self._book, socket, login, self._links).serve()


_STATUS = {"unknown": HTTPStatus.NOT_FOUND, "password": HTTPStatus.UNAUTHORIZED}
"""How a refusal looks to the pile; all others are 403."""


def _subprotocols(request: Request) -> list[str]:
    try:
        headers = request.headers.get_all("Sec-WebSocket-Protocol")
        return [str(one) for header in headers for one in parse_subprotocol(header)]
    except InvalidHeader:
        return []


def _identity(request: Request) -> str:
    """The last part of the path."""
    return unquote(urlsplit(request.path).path.rstrip("/").rpartition("/")[2], errors="replace")


def _credentials(request: Request) -> tuple[str | None, str | None]:
    """User and password of basic auth; none where there are none to be read."""
    scheme, _, encoded = _single(request.headers, "Authorization").partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    return (user, password) if colon else (None, None)


def _single(headers: Headers, name: str) -> str:
    found = headers.get_all(name)
    return found[0] if len(found) == 1 else ""
