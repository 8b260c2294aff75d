"""`hub link test`: reaches the other side step by step and says in words what is wrong (联调).

Each step needs the one before it; the first that fails ends the test, because the rest would only repeat its reason.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from charging_core.clock import Clock
from charging_core.db import HubSession
from charging_core.stations.model import Connector, Pile, Station
from charging_core.stations.snapshot import connector_snapshot
from partners.authorised import authorised_stations
from partners.calling import Clients, error_word
from partners.links import Link
from partners.profiles.engine import contract_form, render
from partners.profiles.scope import scope_of
from partners.tcec102.client import TcecClient
from partners.tcec102.errors import (
    BadReply,
    HttpFailure,
    ReplySignatureMismatch,
    ReplyUndecryptable,
    Tcec102Error,
    TimedOut,
    TokenRejected,
)
from partners.tcec102.sending import new_session
from worker.api import Exchange, Outcome
from worker.judging import judge_by_policy

CONNECT_TIMEOUT_S = 5.0
SKEW_WARNING_S = 60.0
"""A minute off still passes every window that we know (600 s), but something is wrong with a clock."""
STATUS_PUSH = "notification_stationStatus"
"""The harmless call: the present state of one connector, of which the newest wins anyway (`specs/tcec102.md` 12.4)."""

RealNow = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the test, in Chinese and English; `detail` says what was found or what is wrong."""

    name_zh: str
    name_en: str
    ok: bool
    detail: str


class _Failed(Exception):
    """Raised inside this module when a step finds what is wrong; the message is for people."""


def test_link(session: HubSession, link: Link, clients: Clients, clock: Clock, real_now: RealNow) -> list[Step]:
    """Test one link now. `session` reads in the link's tenant; `real_now` is the machine's time, which TLS and headers live by."""
    return list(_steps(_Test(session, link, clients, clock, real_now)))


test_link.__test__ = False  # type: ignore[attr-defined]  # a function of the product, not a test of ours


@dataclass(slots=True)
class _Test:
    session: HubSession
    link: Link
    clients: Clients
    clock: Clock
    real_now: RealNow

    @property
    def client(self) -> TcecClient:
        client = self.clients.client(self.link)
        if client is None:
            raise _Failed("链路停用或没有对方地址 / the link is disabled or has no outbound_base")
        return client

    @property
    def address(self) -> SplitResult:
        return urlsplit(self.client.link.base_url)

    @property
    def port(self) -> int:
        return self.address.port or (443 if self.address.scheme == "https" else 80)

    def settings(self) -> str:
        """The link is enabled and has an address."""
        return self.client.link.base_url

    def name(self) -> str:
        """DNS."""
        host = self.address.hostname or ""
        try:
            found = socket.getaddrinfo(host, self.port, proto=socket.IPPROTO_TCP)
        except OSError as error:
            raise _Failed(f"域名 {host} 无法解析 / the name cannot be resolved: {error}") from error
        return ", ".join(sorted({str(entry[4][0]) for entry in found}))

    def connection(self) -> str:
        """TCP."""
        try:
            with socket.create_connection((self.address.hostname, self.port), CONNECT_TIMEOUT_S):
                return f"{self.address.hostname}:{self.port}"
        except OSError as error:
            hint = "端口不通或 IP 未加白 / the port is closed, or our address is not on their allow-list"
            raise _Failed(f"{hint}: {error}") from error

    def tls(self) -> str:
        """The certificate, verified as every call verifies it, or not."""
        verified = self.client.link.verify_tls is not False
        context = ssl.create_default_context() if verified else _unverified_context()
        try:
            with (
                socket.create_connection((self.address.hostname, self.port), CONNECT_TIMEOUT_S) as plain,
                context.wrap_socket(plain, server_hostname=self.address.hostname) as secured,
            ):
                certificate = secured.getpeercert() or {}
                return f"{secured.version()}, {certificate.get('notAfter', '')}"
        except ssl.SSLCertVerificationError as error:
            raise _Failed(f"证书不可信 / the certificate is not trusted: {error.verify_message}") from error
        except OSError as error:
            raise _Failed(f"TLS 握手失败 / TLS handshake failed: {error}") from error

    def token(self) -> str:
        """query_token."""
        try:
            self.client.fetch_token()
        except Tcec102Error as error:
            raise _Failed(explain(error)) from error
        return "query_token"

    def skew(self) -> str:
        """Our clock against the Date header."""
        try:
            with new_session() as http:
                answer = http.head(self.client.link.base_url, timeout=CONNECT_TIMEOUT_S, allow_redirects=False)
        except requests.RequestException as error:
            return f"未能测量 / not measured ({type(error).__name__})"
        theirs = _date_header(answer.headers.get("Date", ""))
        if theirs is None:
            return "对方未给出时间 / they send no Date header"
        seconds = (self.real_now() - theirs).total_seconds()
        if abs(seconds) > SKEW_WARNING_S:
            raise _Failed(
                f"时钟相差 {seconds:+.0f} 秒，请校准 NTP / clocks differ by {seconds:+.0f} s; TimeStamp may be refused"
            )
        return f"{seconds:+.1f} s"

    def call(self) -> str:
        """One harmless push."""
        body = self._status_body()
        if body is None:
            return "没有可授权的充电枪，跳过 / no authorised connector to tell of, skipped"
        try:
            result = self.client.call(STATUS_PUSH, contract_form(self.link.profile, STATUS_PUSH, body))
        except Tcec102Error as error:
            raise _Failed(explain(error)) from error
        answer = {"Ret": result.ret, "Msg": result.msg, "Data": result.body or {}}
        exchange = Exchange(http_status=result.http_status, answer=answer)
        verdict = judge_by_policy(self.link.policy(STATUS_PUSH), body, exchange)
        if verdict.outcome not in (Outcome.OK, Outcome.IGNORED):
            raise _Failed(f"{_ret_words(result.ret)} Msg={result.msg} Data={result.body}")
        return f"{STATUS_PUSH}: Ret {result.ret}, {result.duration_ms:.0f} ms"

    def _status_body(self) -> dict[str, Any] | None:
        connector = _first_connector(self.session, self.link)
        if connector is None:
            return None
        scope = scope_of("connector_status", connector_snapshot(self.session, connector), link=self.link.facts())
        rendered = render(self.link.profile, STATUS_PUSH, scope, self.clock.now())
        if rendered.problems:
            raise _Failed("; ".join(map(str, rendered.problems)))
        return rendered.body


def _steps(test: _Test) -> Iterator[Step]:
    secured = test.link.outbound is not None and test.link.outbound.base_url.startswith("https://")
    for name_zh, name_en, run in (
        ("链路配置", "link settings", test.settings),
        ("域名解析", "name resolution", test.name),
        ("网络连通", "TCP connection", test.connection),
        *((("TLS 证书", "TLS certificate", test.tls),) if secured else ()),
        ("时钟偏差", "clock skew", test.skew),
        ("获取令牌", "access token", test.token),
        ("无害调用", "harmless call", test.call),
    ):
        try:
            yield Step(name_zh, name_en, True, run())
        except _Failed as failure:
            yield Step(name_zh, name_en, False, str(failure))
            return


def explain(error: Tcec102Error) -> str:
    """What a failed call most probably means, for whoever has to fix it."""
    if isinstance(error, TokenRejected):
        return _token_words(error)
    if isinstance(error, ReplySignatureMismatch):
        return "对方应答的签名不符: SigSecret 不一致 / the answer's signature is wrong: sig_secret differs"
    if isinstance(error, ReplyUndecryptable):
        return "无法解密对方应答: DataSecret 或 IV 不一致 / cannot decrypt: data_secret or data_iv differs"
    if isinstance(error, TimedOut):
        return "对方未在时限内应答 / no answer in time"
    if isinstance(error, HttpFailure):
        return f"HTTP {error.status} 且没有信封: 路径或网关不对 / no envelope: wrong path, or a gateway in between"
    if isinstance(error, BadReply):
        return f"应答不合规 / unusable answer: {error}"
    return f"{error_word(error)}: {error}"


def _token_words(error: TokenRejected) -> str:
    if error.fail_reason == 1:
        return "对方不认识我方 OperatorID / they do not know our OperatorID (FailReason 1)"
    if error.fail_reason == 2:
        return "OperatorSecret 错误 / wrong operator_secret (FailReason 2)"
    return f"{_ret_words(error.ret)} {error.msg}"


def _ret_words(ret: int) -> str:
    words = {
        -1: "对方系统繁忙 / they are busy",
        0: "业务未成功 / accepted, but the business answer is a refusal",
        500: "对方系统错误 / an error on their side",
        4001: "签名错误: 双方 SigSecret 不一致 / signature: sig_secret differs",
        4002: "令牌错误 / token refused",
        4003: "信封参数错误: OperatorID、密钥或时间戳 / envelope refused: OperatorID, keys or TimeStamp",
        4004: "业务参数错误 / a business member was refused",
    }
    return f"Ret {ret}: {words.get(ret, '未知代码 / unknown code')}."


def _first_connector(session: HubSession, link: Link) -> Connector | None:
    query = (
        select(Connector)
        .join(Connector.pile)
        .where(
            Connector.enabled,
            Pile.enabled,
            Pile.station_id.in_(authorised_stations(link).with_only_columns(Station.id)),
        )
        .options(joinedload(Connector.pile).joinedload(Pile.station))
    )
    return session.scalars(query.order_by(Connector.code).limit(1)).one_or_none()


def _unverified_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _date_header(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
