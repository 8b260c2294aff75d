"""The record of every exchange on every link: written behind the traffic, searched by operators.

`ExchangeRecorder` takes exchanges on the hot path into a bounded queue; one thread masks, trims and stores them in batches. A full
queue drops the record, never the call, and counts it. Other rooms record theirs with `sink("regulator", tenant_of)`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import structlog
from sqlalchemy import delete, or_, select

from charging_core.db import Database, HubSession
from charging_core.ids import new_id
from partners import metrics
from partners.model import ExchangeRow
from partners.tcec102 import jsonio
from partners.tcec102.exchanges import Exchange, ExchangeSink

log = structlog.get_logger()

QUEUE_SIZE = 10_000
"""About ten seconds of the busiest link we know of; beyond that the database is not keeping up anyway."""
BATCH = 200
LINGER_S = 0.2
PRUNED_AT_ONCE = 2_000
"""Rows deleted in one transaction: the single writer of SQLite is busy for a few hundredths of a second."""
KEPT_CHARS = 16_384
"""Longest text kept of a body or raw message: every order fits; a page of stations is cut."""

OBJECT_MEMBERS = (
    "StartChargeSeq",
    "OrderNo",
    "ConnectorID",
    "EquipAuthSeq",
    "EquipBizSeq",
    "StationID",
    "CheckOrderSeq",
)
"""Members that name what an exchange is about, the most telling first."""

TenantOf = Callable[[Exchange], str | None]


@dataclass(frozen=True, slots=True)
class ExchangeQuery:
    """What to look for; absent members match everything. Newest first, at most `limit`."""

    link_id: str | None = None
    kind: str | None = None
    direction: str | None = None
    interface: str | None = None
    object_key: str | None = None
    ret: int | None = None
    failed_only: bool = False
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    before_id: str | None = None
    limit: int = 50


class ExchangeRecorder:
    """Stores exchanges behind the traffic. `start` it before, `stop` it after the traffic; stopping writes what is queued."""

    def __init__(self, db: Database, queue_size: int = QUEUE_SIZE) -> None:
        self._db = db
        self._queue: queue.Queue[tuple[str, str, Exchange] | None] = queue.Queue(queue_size)
        self._thread: threading.Thread | None = None

    def sink(self, kind: str, tenant_of: TenantOf) -> ExchangeSink:
        """A sink for one room. Exchanges without a tenant are logged instead of stored."""
        return _Sink(self, kind, tenant_of)

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._write_all, name="exchange-recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued and end."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def put(self, kind: str, tenant_id: str, exchange: Exchange) -> None:
        """Queue one exchange; drops and counts it when the queue is full."""
        try:
            self._queue.put_nowait((kind, tenant_id, exchange))
        except queue.Full:
            metrics.EXCHANGES_DROPPED.inc()

    def flush(self) -> None:
        """Write what is queued now, in this thread; for programs without a running recorder."""
        batch = []
        while not self._queue.empty():
            item = self._queue.get()
            if item is not None:
                batch.append(item)
        self._store(batch)

    def _write_all(self) -> None:
        ended = False
        while not ended:
            batch, ended = self._next_batch()
            self._store(batch)

    def _next_batch(self) -> tuple[list[tuple[str, str, Exchange]], bool]:
        batch: list[tuple[str, str, Exchange]] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) >= BATCH:
                return batch, False
            try:
                item = self._queue.get(timeout=LINGER_S)
            except queue.Empty:
                return batch, False
        return batch, True

    def _store(self, batch: list[tuple[str, str, Exchange]]) -> None:
        by_tenant: dict[str, list[tuple[str, Exchange]]] = {}
        for kind, tenant_id, exchange in batch:
            by_tenant.setdefault(tenant_id, []).append((kind, exchange))
        for tenant_id, exchanges in by_tenant.items():
            try:
                rows = [safe_row(kind, exchange) for kind, exchange in exchanges]
                with self._db.session(tenant_id) as session:
                    session.add_all(rows)
            except Exception:  # the edge of the loop: a record that cannot be written must not end the recorder
                metrics.EXCHANGE_WRITE_FAILURES.inc()
                log.exception("exchanges_not_stored", tenant=tenant_id, count=len(exchanges))


class _Sink:
    """What the protocol calls, bound to one room."""

    def __init__(self, recorder: ExchangeRecorder, kind: str, tenant_of: TenantOf) -> None:
        self._recorder = recorder
        self._kind = kind
        self._tenant_of = tenant_of

    def record(self, exchange: Exchange) -> None:
        """Queue it under its tenant."""
        tenant_id = self._tenant_of(exchange)
        if tenant_id is None:
            log.warning(
                "exchange_without_tenant",
                interface=exchange.interface,
                path=exchange.path,
                remote=exchange.remote,
                failed_check=exchange.failed_check,
            )
            return
        self._recorder.put(self._kind, tenant_id, exchange)


def safe_row(kind: str, exchange: Exchange) -> ExchangeRow:
    """The row of one exchange; without its texts when they cannot be read, so that nobody keeps himself, or others, off the record."""
    try:
        return exchange_row(kind, exchange)
    except Exception as error:  # what a caller sent decides what goes wrong here, so a trace would only repeat it
        metrics.EXCHANGES_UNREADABLE.inc()
        why = type(error).__name__
        log.warning("exchange_unreadable", interface=exchange.interface, link_id=exchange.link_id, why=why)
        return _bare_row(kind, exchange)


def exchange_row(kind: str, exchange: Exchange) -> ExchangeRow:
    """The row of one exchange; masks it on the way."""
    row = _bare_row(kind, exchange)
    request, reply = exchange.request_body, exchange.reply_body
    request_raw, reply_raw = exchange.request_raw, exchange.reply_raw
    row.seq = _sequence(request_raw)
    row.object_key = object_key(request) or object_key(reply)
    row.request_body, row.reply_body = body_text(request), body_text(reply)
    row.request_raw, row.reply_raw = _trimmed(request_raw), _trimmed(reply_raw)
    row.request_bytes, row.reply_bytes = len(request_raw), len(reply_raw)
    return row


def _bare_row(kind: str, exchange: Exchange) -> ExchangeRow:
    return ExchangeRow(
        id=new_id(),
        kind=kind,
        link_id=exchange.link_id,
        direction=exchange.direction.value,
        interface=_clean(exchange.interface, 64) or "",
        at=exchange.at,
        duration_ms=round(exchange.duration_ms),
        path=_clean(exchange.path, 300) or "",
        remote=_clean(exchange.remote, 64),
        operator_id=_clean(exchange.operator_id, 32),
        http_status=exchange.http_status,
        ret=exchange.ret,
        message=_clean(exchange.msg, 300),
        failed_check=_clean(exchange.failed_check, 64),
        request_bytes=0,
        reply_bytes=0,
    )


def search_exchanges(session: HubSession, query: ExchangeQuery) -> list[ExchangeRow]:
    """Exchanges of the session's tenant that match, newest first."""
    statement = select(ExchangeRow).order_by(ExchangeRow.id.desc()).limit(max(1, min(query.limit, 500)))
    for name in ("link_id", "kind", "direction", "interface", "object_key", "ret"):
        value = getattr(query, name)
        if value is not None:
            statement = statement.where(getattr(ExchangeRow, name) == value)
    if query.failed_only:
        statement = statement.where(ExchangeRow.ret.is_(None) | (ExchangeRow.ret != 0))
    if query.since is not None:
        statement = statement.where(ExchangeRow.at >= query.since)
    if query.until is not None:
        statement = statement.where(ExchangeRow.at < query.until)
    if query.before_id is not None:
        statement = statement.where(ExchangeRow.id < query.before_id)
    if query.text:
        statement = statement.where(or_(*(column.contains(query.text, autoescape=True) for column in _SEARCHED)))
    return list(session.scalars(statement))


_SEARCHED = (ExchangeRow.request_body, ExchangeRow.reply_body, ExchangeRow.message)


def prune_exchanges(session: HubSession, before: datetime, limit: int = PRUNED_AT_ONCE) -> int:
    """Delete at most `limit` of those older than `before`, the oldest first; returns how many. Needs a system session."""
    oldest = select(ExchangeRow.id).where(ExchangeRow.at < before).order_by(ExchangeRow.at).limit(limit)
    gone = session.execute(delete(ExchangeRow).where(ExchangeRow.id.in_(oldest)).returning(ExchangeRow.id))
    return len(gone.all())


def object_key(body: Any) -> str | None:
    """What a body is about, looked up one level deep as well (`ConnectorStatusInfo`)."""
    if not isinstance(body, dict):
        return None
    inner = [value for value in body.values() if isinstance(value, dict)]
    for name in OBJECT_MEMBERS:
        for place in (body, *inner):
            if isinstance(place.get(name), str) and place[name]:
                return _clean(place[name], 64)
    return None


def body_text(body: Any) -> str | None:
    """An opened (already masked) body as JSON text with exact decimals, cut to the kept length."""
    return None if body is None else _cut(jsonio.dumps(body).decode("utf-8"))


def _trimmed(raw: bytes) -> str | None:
    return _cut(_printable(raw.decode("utf-8", "replace"))) if raw else None


def _clean(text: str, length: int) -> str | None:
    return _printable(text)[:length] or None


def _printable(text: str) -> str:
    # PostgreSQL stores neither NUL nor half a surrogate pair, and a garbage message may hold anything.
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _cut(text: str) -> str:
    return text if len(text) <= KEPT_CHARS else f"{text[:KEPT_CHARS]}…"


def _sequence(raw: bytes) -> str | None:
    try:
        members = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    found = members.get("Seq", members.get("seq")) if isinstance(members, dict) else None
    return None if found is None else _clean(str(found), 16)
