"""`hub link test`: reaches the other side step by step and says in words what is wrong (联调).

Each step needs the one before it; the first that fails ends the test, because the rest would only repeat its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

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
from partners.reaching import RealNow, StepFailed, Way
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
from worker.api import Exchange, Outcome
from worker.judging import judge_by_policy

STATUS_PUSH = "notification_stationStatus"
"""The harmless call: the present state of one connector, of which the newest wins anyway (`specs/tcec102.md` 12.4)."""

STATIONS_QUERY = "query_stations_info"
"""The harmless call where we are the customer's side: one station of theirs."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the test, in Chinese and English; `detail` says what was found or what is wrong."""

    name_zh: str
    name_en: str
    ok: bool
    detail: str


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
            raise StepFailed("链路停用或没有对方地址 / the link is disabled or has no outbound_base")
        return client

    @property
    def way(self) -> Way:
        outbound = self.client.link
        return Way(outbound.base_url, self.link.egress, outbound.verify_tls, self.real_now)

    def settings(self) -> str:
        """The link is enabled and has an address."""
        return self.client.link.base_url

    def token(self) -> str:
        """query_token."""
        try:
            self.client.fetch_token()
        except Tcec102Error as error:
            raise StepFailed(explain(error)) from error
        return "query_token"

    def call(self) -> str:
        """One question where our drivers charge, else one harmless push."""
        return self._question() if self.link.role.buys else self._push()

    def _question(self) -> str:
        try:
            result = self.client.call(STATIONS_QUERY, {"LastQueryTime": "", "PageNo": 1, "PageSize": 1})
        except Tcec102Error as error:
            raise StepFailed(explain(error)) from error
        if not result.ok:
            raise StepFailed(f"{_ret_words(result.ret)} Msg={result.msg}")
        stations = (result.body or {}).get("ItemSize")
        return f"{STATIONS_QUERY}: Ret 0, {stations} 站 / stations, {result.duration_ms:.0f} ms"

    def _push(self) -> str:
        body = self._status_body()
        if body is None:
            return "没有可授权的充电枪，跳过 / no authorised connector to tell of, skipped"
        try:
            result = self.client.call(STATUS_PUSH, contract_form(self.link.profile, STATUS_PUSH, body))
        except Tcec102Error as error:
            raise StepFailed(explain(error)) from error
        answer = {"Ret": result.ret, "Msg": result.msg, "Data": result.body or {}}
        exchange = Exchange(http_status=result.http_status, answer=answer)
        verdict = judge_by_policy(self.link.policy(STATUS_PUSH), body, exchange)
        if verdict.outcome not in (Outcome.OK, Outcome.IGNORED):
            raise StepFailed(f"{_ret_words(result.ret)} Msg={result.msg} Data={result.body}")
        return f"{STATUS_PUSH}: Ret {result.ret}, {result.duration_ms:.0f} ms"

    def _status_body(self) -> dict[str, Any] | None:
        connector = _first_connector(self.session, self.link)
        if connector is None:
            return None
        scope = scope_of("connector_status", connector_snapshot(self.session, connector), link=self.link.facts())
        rendered = render(self.link.profile, STATUS_PUSH, scope, self.clock.now())
        if rendered.problems:
            raise StepFailed("; ".join(map(str, rendered.problems)))
        return rendered.body


def _steps(test: _Test) -> Iterator[Step]:
    for name_zh, name_en, run in _plan(test):
        try:
            yield Step(name_zh, name_en, True, run())
        except StepFailed as failure:
            yield Step(name_zh, name_en, False, str(failure))
            return


def _plan(test: _Test) -> Iterator[tuple[str, str, Callable[[], str]]]:
    """Asked for one by one: without an address there is no way to be tested."""
    yield "链路配置", "link settings", test.settings
    way = test.way
    yield "域名解析", "name resolution", way.name
    yield "网络连通", "TCP connection", way.connection
    if way.url.startswith("https://"):
        yield "TLS 证书", "TLS certificate", way.tls
    yield "时钟偏差", "clock skew", way.skew
    yield "获取令牌", "access token", test.token
    yield "无害调用", "harmless call", test.call


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
