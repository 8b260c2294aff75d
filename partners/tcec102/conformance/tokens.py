"""Checks of ``query_token``, which both roles implement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from partners.tcec102.conformance.bench import TOKEN, Bench
from partners.tcec102.conformance.drafts import other_hex
from partners.tcec102.conformance.model import Check, Level, Unmet
from partners.tcec102.conformance.seen import Seen, expect_equal
from partners.tcec102.contract import Contract
from partners.tcec102.errors import RET_OK
from partners.tcec102.ports import MAX_TOKEN_TTL_S
from partners.tcec102.tokens import FAIL_NO_OPERATOR, FAIL_WRONG_SECRET

ANSWER = f"{TOKEN}/answer"


def token_checks(contract: Contract) -> Iterator[Check]:
    """Before everything else."""
    clause = contract[TOKEN].clause
    yield Check(ANSWER, "获取令牌 / a token is given", clause, _given)
    yield Check(
        f"{TOKEN}/wrong-secret",
        "密钥错误不发令牌 / no token for a wrong secret",
        clause,
        _wrong_secret,
        needs=(ANSWER,),
    )
    yield Check(
        f"{TOKEN}/fail-reason-secret",
        "密钥错误: Ret 0, SuccStat 1, FailReason 2 / a wrong secret is told inside Data",
        clause,
        _reason_secret,
        Level.SHOULD,
        (f"{TOKEN}/wrong-secret",),
    )
    yield Check(
        f"{TOKEN}/fail-reason-operator",
        "运营商不符: FailReason 1 / another OperatorID inside Data",
        clause,
        _reason_operator,
        Level.SHOULD,
        (f"{TOKEN}/fail-reason-secret",),
    )


def several_tokens_check(contract: Contract, interface: str, body: Callable[[Bench], dict[str, Any]]) -> Check:
    """Made with a harmless call that is known to work."""
    return Check(
        f"{TOKEN}/several-at-once",
        "新令牌不使旧令牌失效 / a new token leaves the old one valid",
        contract[TOKEN].clause,
        _several(interface, body),
        Level.SHOULD,
        (ANSWER, f"{interface}/answer"),
    )


def _given(bench: Bench) -> None:
    answer = bench.renew_token()
    expect_equal(answer["FailReason"], 0, "FailReason")
    if not 1 <= answer["TokenAvailableTime"] <= MAX_TOKEN_TTL_S:
        raise Unmet(
            f"{answer['TokenAvailableTime']} 秒 / s, 应为 / expected 1 … {MAX_TOKEN_TTL_S}", "TokenAvailableTime"
        )


def _with_wrong_secret(bench: Bench) -> Seen:
    body = bench.token_request()
    return bench.send(bench.draft(TOKEN, body | {"OperatorSecret": other_hex(body["OperatorSecret"])}))


def _wrong_secret(bench: Bench) -> None:
    seen = _with_wrong_secret(bench)
    if seen.ret != RET_OK:
        return
    answer = seen.opened(bench.keys, bench.contract[TOKEN].reply)
    if answer["SuccStat"] == 0 or answer["AccessToken"]:
        raise Unmet("错误的 OperatorSecret 得到了令牌 / a wrong OperatorSecret got a token", "AccessToken")


def _reason_secret(bench: Bench) -> None:
    answer = _with_wrong_secret(bench).opened(bench.keys, bench.contract[TOKEN].reply)
    expect_equal(answer["SuccStat"], 1, "SuccStat")
    expect_equal(answer["FailReason"], FAIL_WRONG_SECRET, "FailReason")


def _reason_operator(bench: Bench) -> None:
    answer = bench.ask(TOKEN, bench.token_request() | {"OperatorID": "000000000"})
    expect_equal(answer["SuccStat"], 1, "SuccStat")
    expect_equal(answer["FailReason"], FAIL_NO_OPERATOR, "FailReason")


def _several(interface: str, body: Callable[[Bench], dict[str, Any]]) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        earlier = bench.draft(interface, body(bench))
        bench.renew_token()
        seen = bench.send(earlier)
        if seen.ret != RET_OK:
            raise Unmet(f"旧令牌: Ret {seen.ret} / the earlier token was refused", "AccessToken")

    return run
