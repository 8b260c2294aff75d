"""Checks that wrong requests are refused with the code of the standard's table, and the first violation first.

Each spoils one thing of an otherwise right, harmless call. The signature is right unless it is the thing that is spoilt, so the
examined side cannot refuse for a reason that nobody meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from partners.tcec102.conformance.bench import TOKEN, Bench
from partners.tcec102.conformance.bodies import lacking_bodies, wrong_kind_bodies
from partners.tcec102.conformance.drafts import json_bytes
from partners.tcec102.conformance.model import Check, Level, Unmet
from partners.tcec102.conformance.spoiling import CASES, Spoil
from partners.tcec102.contract import Contract
from partners.tcec102.errors import RET_BUSINESS, RET_OK

Body = Callable[[Bench], dict[str, Any]]
UNKNOWN_INTERFACE = "query_nothing_at_all"
NOT_FOUND = 404

_CLAUSE = "T/CEC 102.4 返回码 Ret"


def envelope_checks(interface: str, body: Body) -> Iterator[Check]:
    """The codes 4001, 4002, 4003 on one harmless call, in the standard's order."""
    for case in CASES:
        needs = (*_needs(interface), *(f"envelope/{name}" for name in case.after))
        run = _refused(interface, body, case.spoil, case.codes)
        yield Check(f"envelope/{case.name}", case.title, f"{_CLAUSE} {case.codes[0]}", run, case.level, needs)
    yield Check(
        "envelope/unknown-interface",
        "未知接口不得成功 / an unknown interface never succeeds",
        f"{_CLAUSE} 4004",
        _unknown_interface(body),
        needs=_needs(interface),
    )
    yield Check(
        "envelope/refusals-are-signed",
        "拒绝应答也签名 / refusals are signed too",
        "T/CEC 102.4 Sig",
        _signed_refusal(interface, body),
        Level.SHOULD,
        _needs(interface),
    )


def body_checks(contract: Contract, interface: str, body: Body) -> Iterator[Check]:
    """Business members of one interface: missing, and of a wrong kind."""
    described = contract[interface]
    if not described.request.node.required:
        return
    for name, title, spoilt in (
        ("missing-members", "缺少必填业务参数 → 4004 / a missing business member", lacking_bodies),
        ("wrong-kinds", "业务参数类型错误 → 4004 / a business member of a wrong kind", wrong_kind_bodies),
    ):
        run = _spoilt_bodies(interface, body, spoilt)
        yield Check(f"{interface}/{name}", title, described.clause, run, needs=_needs(interface))


def _needs(interface: str) -> tuple[str, ...]:
    return (f"{TOKEN}/answer", f"{interface}/answer")


def _refused(interface: str, body: Body, spoil: Spoil, codes: tuple[int, ...]) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        bench.send(spoil(bench.draft(interface, body(bench)))).expect_ret(*codes)

    return run


def _unknown_interface(body: Body) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        seen = bench.send(bench.draft(UNKNOWN_INTERFACE, body(bench)))
        if seen.ret is None and seen.http_status == NOT_FOUND:
            return
        seen.expect_ret(RET_BUSINESS)

    return run


def _signed_refusal(interface: str, body: Body) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        seen = bench.send(replace(bench.draft(interface, body(bench)), authorization=None))
        if seen.ret not in (None, RET_OK) and not seen.signed_by(bench.keys):
            raise Unmet(f"Ret {seen.ret}: Sig 为空或不符 / Sig is empty or does not fit", "Sig")

    return run


def _spoilt_bodies(interface: str, body: Body, spoilt: Any) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        node = bench.contract[interface].request.node
        for path, wrong in spoilt(node, body(bench)):
            seen = bench.send(bench.draft_of(interface, json_bytes(wrong)))
            if seen.ret != RET_BUSINESS:
                found = f"Ret {seen.ret}" if seen.ret is not None else f"HTTP {seen.http_status}"
                raise Unmet(f"{found}, 应为 / expected 4004", path)

    return run
