"""Checks of an examined CPO that start a real charge and stop it; only when the target allows it (``start_charge: true``)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from partners.tcec102.conformance.bench import TOKEN, Bench
from partners.tcec102.conformance.bodies import beyond_scale
from partners.tcec102.conformance.listening import Push
from partners.tcec102.conformance.model import Check, Level, NotTried, Unmet
from partners.tcec102.conformance.querying import CHARGE_STATUS, ENDED, START, STATIONS, STOP
from partners.tcec102.conformance.seen import expect_echo, expect_equal, expect_one_of, total
from partners.tcec102.contract import Contract
from partners.tcec102.errors import RET_BUSINESS, RET_OK

CHARGING = 2
START_RESULT, SAMPLE = "notification_start_charge_result", "notification_equip_charge_status"
STOP_RESULT, ORDER = "notification_stop_charge_result", "notification_charge_order_info"
RESULT_S, SAMPLE_S, ORDER_S = 50.0, 60.0, 150.0
"""A result and a sample are due within 50 s (a sample may just have been missed), the bill within 150 s after the stop."""
_POLL_S = 0.5
_ALREADY_STOPPED = 3

Deadlines = tuple[float, float, float]


def charge_checks(contract: Contract) -> Iterator[Check]:
    """One charge from start to bill."""
    started, running, stopped = f"{START}/answer", f"{CHARGE_STATUS}/answer", f"{STOP}/answer"
    pushed = f"{ORDER}/push"
    for name, title, run, level, needs in (
        (started, "启动充电 / a charge is started", _start, Level.MUST, (f"{TOKEN}/answer", f"{STATIONS}/answer")),
        (
            f"{START}/repeated",
            "重复启动返回相同结果 / the same StartChargeSeq again, the same answer",
            _repeat,
            Level.MUST,
            (started,),
        ),
        (
            f"{START}/other-connector",
            "同号他枪应拒绝 / the same StartChargeSeq on another connector is refused",
            _other,
            Level.SHOULD,
            (started,),
        ),
        (
            f"{START_RESULT}/push",
            "推送启动结果 ≤ 50 s / the start result is pushed",
            _start_result,
            Level.MUST,
            (started,),
        ),
        (running, "查询充电状态 / the state of the charge", _running, Level.MUST, (started,)),
        (f"{SAMPLE}/push", "推送充电状态 / the state is pushed while charging", _sample, Level.MUST, (running,)),
        (stopped, "停止充电 / the charge is stopped", _stop, Level.MUST, (running,)),
        (
            f"{STOP_RESULT}/push",
            "推送停止结果 ≤ 50 s / the stop result is pushed",
            _stop_result,
            Level.MUST,
            (stopped,),
        ),
        (pushed, "推送订单 ≤ 150 s / the bill is pushed", _order, Level.MUST, (stopped,)),
        (f"{ORDER}/sums", "明细合计等于总额 / details add up to the totals", _sums, Level.MUST, (pushed,)),
        (
            f"{CHARGE_STATUS}/after-the-end",
            "结束后查询状态为 4 / asked after the end: state 4",
            _after_end,
            Level.MUST,
            (stopped,),
        ),
        (
            f"{STOP}/after-the-end",
            "结束后再停止 / stopping what has ended",
            _stop_again,
            Level.SHOULD,
            (f"{CHARGE_STATUS}/after-the-end",),
        ),
    ):
        interface = name.partition("/")[0]
        if interface in contract:
            yield Check(name, title, contract[interface].clause, _allowed(run), level, needs)


def _allowed(run: Callable[[Bench], None]) -> Callable[[Bench], None]:
    def guarded(bench: Bench) -> None:
        if not bench.target.start_charge:
            raise NotTried("未允许启动充电 / start_charge is not set in the target")
        run(bench)

    return guarded


def _asked(bench: Bench) -> dict[str, Any]:
    """The body of the start; the same one in every check."""
    if not bench.learned.charge:
        bench.learned.charge = {"StartChargeSeq": bench.sequence(), "ConnectorID": bench.connector_id(), "QRCode": ""}
    return bench.learned.charge


def _stop_body(bench: Bench) -> dict[str, Any]:
    return {name: _asked(bench)[name] for name in ("StartChargeSeq", "ConnectorID")}


def _start(bench: Bench) -> None:
    asked = _asked(bench)
    answer = bench.ask(START, asked)
    expect_echo(asked, answer, "StartChargeSeq", "ConnectorID")
    if answer["SuccStat"] != 0:
        raise Unmet(f"启动被拒绝 / the start was refused: FailReason {answer['FailReason']}", "SuccStat")
    expect_equal(answer["FailReason"], 0, "FailReason")
    expect_one_of(answer["StartChargeSeqStat"], (1, CHARGING), "StartChargeSeqStat")


def _repeat(bench: Bench) -> None:
    answer = bench.ask(START, _asked(bench))
    expect_equal((answer["SuccStat"], answer["FailReason"]), (0, 0), "SuccStat")


def _other(bench: Bench) -> None:
    other = bench.other_connector_id()
    if other is None:
        raise NotTried("只有一把枪 / only one connector is listed")
    seen = bench.send(bench.draft(START, _asked(bench) | {"ConnectorID": other}))
    seen.expect_ret(RET_OK, RET_BUSINESS)
    if seen.ret == RET_OK:
        expect_equal(seen.opened(bench.keys, bench.contract[START].reply)["SuccStat"], 1, "SuccStat")


def _running(bench: Bench) -> None:
    deadline = time.monotonic() + RESULT_S
    while True:
        asked = {"StartChargeSeq": _asked(bench)["StartChargeSeq"]}
        answer = bench.ask(CHARGE_STATUS, asked)
        expect_echo(_asked(bench), answer, "StartChargeSeq", "ConnectorID")
        if answer["StartChargeSeqStat"] != 1 or time.monotonic() > deadline:
            break
        threading.Event().wait(_POLL_S)
    expect_equal(answer["StartChargeSeqStat"], CHARGING, "StartChargeSeqStat")


def _stop(bench: Bench) -> None:
    answer = bench.ask(STOP, _stop_body(bench))
    expect_echo(_asked(bench), answer, "StartChargeSeq")
    expect_equal((answer["SuccStat"], answer["FailReason"]), (0, 0), "SuccStat")
    expect_one_of(answer["StartChargeSeqStat"], (3, ENDED), "StartChargeSeqStat")


def _after_end(bench: Bench) -> None:
    deadline = time.monotonic() + ORDER_S
    while True:
        answer = bench.ask(CHARGE_STATUS, {"StartChargeSeq": _asked(bench)["StartChargeSeq"]})
        if answer["StartChargeSeqStat"] == ENDED or time.monotonic() > deadline:
            break
        threading.Event().wait(_POLL_S)
    expect_equal(answer["StartChargeSeqStat"], ENDED, "StartChargeSeqStat")


def _stop_again(bench: Bench) -> None:
    answer = bench.ask(STOP, _stop_body(bench))
    if answer["SuccStat"] != 0:
        expect_equal(answer["FailReason"], _ALREADY_STOPPED, "FailReason")


# -------------------------------------------------------------------------------------------------------------- pushes


def _start_result(bench: Bench) -> None:
    body = _pushed(bench, START_RESULT, RESULT_S)[-1][1]
    expect_equal(body["StartChargeSeqStat"], CHARGING, "StartChargeSeqStat")
    expect_echo(_asked(bench), body, "ConnectorID")


def _sample(bench: Bench) -> None:
    body = _pushed(bench, SAMPLE, SAMPLE_S)[0][1]
    expect_echo(_asked(bench), body, "ConnectorID")


def _stop_result(bench: Bench) -> None:
    body = _pushed(bench, STOP_RESULT, RESULT_S)[-1][1]
    expect_equal(body["SuccStat"], 0, "SuccStat")
    expect_equal(body["StartChargeSeqStat"], ENDED, "StartChargeSeqStat")


def _order(bench: Bench) -> None:
    body = _pushed(bench, ORDER, ORDER_S)[0][1]
    expect_echo(_asked(bench), body, "ConnectorID")


def _sums(bench: Bench) -> None:
    body = _pushed(bench, ORDER, 0)[0][1]
    expect_equal(body["TotalElecMoney"] + body["TotalSeviceMoney"], body["TotalMoney"], "TotalMoney")
    details = body.get("ChargeDetails") or []
    if "SumPeriod" in body:
        expect_equal(body["SumPeriod"], len(details), "SumPeriod")
    for whole, part in (
        ("TotalPower", "DetailPower"),
        ("TotalElecMoney", "DetailElecMoney"),
        ("TotalSeviceMoney", "DetailSeviceMoney"),
    ):
        if details and all(part in detail for detail in details):
            expect_equal(total([detail[part] for detail in details]), body[whole], whole)


def _pushed(bench: Bench, interface: str, seconds: float) -> list[Push]:
    """What came for our charge, held against the letter of the contract."""
    if bench.listener is None:
        raise NotTried("没有监听 / pushes are examined only with --listen")
    found = bench.listener.wait(interface, "StartChargeSeq", _asked(bench)["StartChargeSeq"], seconds)
    if not found:
        raise Unmet(f"{seconds:.0f} 秒内没有推送 / no push within {seconds:.0f} s")
    schema = bench.contract[interface].request
    for _, body, _ in found:
        for violation in schema.violations(body):
            raise Unmet(violation.reason, violation.field)
        for path, decimals in beyond_scale(schema.node, body):
            raise Unmet(f"小数超过 {decimals} 位 / more than {decimals} decimals", path)
    return found
