"""Checks of an examined MSP: every push of a charge, with repetitions, late messages and contradictions; and the daily statement.

Pushes about a charge need charges that the MSP has started (``orders`` of the target). The first one is billed rightly, the second
one with totals that do not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from charging_core.clock import to_china
from partners.tcec102.conformance.bench import TOKEN, Bench
from partners.tcec102.conformance.model import Check, Level, NotTried, Unmet
from partners.tcec102.conformance.querying import NOWHERE
from partners.tcec102.conformance.seen import expect_echo, expect_equal, total
from partners.tcec102.contract import Contract
from partners.tcec102.errors import RET_BUSINESS, RET_OK

STATUS = "notification_stationStatus"
START_RESULT, SAMPLE = "notification_start_charge_result", "notification_equip_charge_status"
STOP_RESULT, ORDER = "notification_stop_charge_result", "notification_charge_order_info"
STATEMENT = "check_charge_orders"
CENT = Decimal("0.01")
NOT_THERE, MONEY_DIFFERS, POWER_DIFFERS = 1, 2, 3
"""DisputeReason (part .3)."""

_STARTED_AGO = timedelta(hours=2)

Json = dict[str, Any]


def connector_status(_bench: Bench) -> Json:
    """The harmless call on which envelopes are tried out: of a connector that nobody has."""
    return {"ConnectorStatusInfo": {"ConnectorID": NOWHERE, "Status": 1, "ParkStatus": 0, "LockStatus": 0}}


def push_checks(contract: Contract) -> Iterator[Check]:
    """In the order of one charge's life."""
    token, billed, clean = f"{TOKEN}/answer", f"{ORDER}/answer", f"{STATEMENT}/answer"
    for name, title, run, level, needs in (
        (f"{STATUS}/answer", "枪状态推送 / a connector's state", _status, Level.MUST, ()),
        (
            f"{START_RESULT}/answer",
            "启动结果推送 / the start result",
            _received(START_RESULT, start_result, reason=True),
            Level.MUST,
            (),
        ),
        (
            f"{START_RESULT}/unknown-order",
            "未知订单: SuccStat 1 / an unknown order",
            _unknown(START_RESULT, start_result),
            Level.SHOULD,
            (f"{START_RESULT}/answer",),
        ),
        (f"{SAMPLE}/answer", "充电状态推送 / a sample of the charge", _received(SAMPLE, sample), Level.MUST, ()),
        (
            f"{SAMPLE}/older-sample",
            "较早的采样: SuccStat 0 / an older sample, overtaken",
            _received(SAMPLE, older_sample),
            Level.MUST,
            (f"{SAMPLE}/answer",),
        ),
        (
            f"{SAMPLE}/unknown-order",
            "未知订单: SuccStat 1 / an unknown order",
            _unknown(SAMPLE, sample),
            Level.SHOULD,
            (f"{SAMPLE}/answer",),
        ),
        (
            f"{STOP_RESULT}/answer",
            "停止结果推送 / the stop result",
            _received(STOP_RESULT, stop_result, reason=True),
            Level.MUST,
            (),
        ),
        (
            f"{STOP_RESULT}/unknown-order",
            "未知订单: SuccStat 1 / an unknown order",
            _unknown(STOP_RESULT, stop_result),
            Level.SHOULD,
            (f"{STOP_RESULT}/answer",),
        ),
        (billed, "订单推送: ConfirmResult 0 / the bill is confirmed", _billed, Level.MUST, ()),
        (
            f"{ORDER}/repeated",
            "重复订单: ConfirmResult 0, 不重复入账 / the same bill again",
            _billed,
            Level.MUST,
            (billed,),
        ),
        (
            f"{ORDER}/changed",
            "确认后改价应有争议 / other amounts after the confirmation",
            _changed,
            Level.SHOULD,
            (f"{ORDER}/repeated",),
        ),
        (
            f"{ORDER}/wrong-totals",
            "合计不符应有争议 / totals that do not add up",
            _wrong_totals,
            Level.SHOULD,
            (billed,),
        ),
        (
            f"{ORDER}/unknown-order",
            "未知订单不得确认 / an unknown order is never confirmed",
            _unknown_bill,
            Level.MUST,
            (billed,),
        ),
        (
            f"{SAMPLE}/after-the-bill",
            "账单后的迟到采样: SuccStat 0 / a late sample after the bill",
            _received(SAMPLE, sample),
            Level.MUST,
            (billed, f"{SAMPLE}/answer"),
        ),
        (f"{STATEMENT}/empty-day", "空日对账 / a day without orders", _empty_day, Level.MUST, ()),
        (clean, "对账无差异 / a statement without differences", _clean, Level.MUST, (billed, f"{STATEMENT}/empty-day")),
        (
            f"{STATEMENT}/unknown-order",
            "多出订单: 争议原因 1 / an order that the MSP does not have",
            _disputed(NOT_THERE),
            Level.MUST,
            (clean,),
        ),
        (
            f"{STATEMENT}/money-differs",
            "金额不符: 争议原因 2 / another amount",
            _disputed(MONEY_DIFFERS),
            Level.MUST,
            (clean,),
        ),
        (
            f"{STATEMENT}/power-differs",
            "电量不符: 争议原因 3 / another energy",
            _disputed(POWER_DIFFERS),
            Level.MUST,
            (clean,),
        ),
    ):
        interface = name.partition("/")[0]
        if interface in contract:
            yield Check(name, title, contract[interface].clause, run, level, (token, *needs))


def push_bodies(contract: Contract) -> Mapping[str, Callable[[Bench], Json]]:
    """A right body of each interface, to be spoilt; none is sent as it is."""
    bodies: dict[str, Callable[[Bench], Json]] = {
        STATUS: connector_status,
        START_RESULT: lambda bench: start_result(bench, *_spare(bench)),
        SAMPLE: lambda bench: sample(bench, *_spare(bench)),
        STOP_RESULT: lambda bench: stop_result(bench, *_spare(bench)),
        ORDER: lambda bench: bill(bench, *_spare(bench)),
        STATEMENT: lambda bench: _statement(bench, [_item(bench.sequence(), _ENERGY, _MONEY)]),
    }
    return {name: body for name, body in bodies.items() if name in contract}


# --------------------------------------------------------------------------------------------------------------- bodies

_ENERGY, _MONEY = Decimal("30.50"), Decimal("36.60")


def start_result(bench: Bench, seq: str, connector: str) -> Json:
    """The charge runs."""
    started = _text(_started(bench))
    return {"StartChargeSeq": seq, "StartChargeSeqStat": 2, "ConnectorID": connector, "StartTime": started}


def sample(bench: Bench, seq: str, connector: str) -> Json:
    """A sample half an hour after the start."""
    return {
        "StartChargeSeq": seq,
        "StartChargeSeqStat": 2,
        "ConnectorID": connector,
        "ConnectorStatus": 3,
        "CurrentA": Decimal("98.2"),
        "VoltageA": Decimal("402.6"),
        "Soc": Decimal("57.00"),
        "StartTime": _text(_started(bench)),
        "EndTime": _text(_started(bench) + timedelta(minutes=30)),
        "TotalPower": Decimal("12.50"),
    }


def older_sample(bench: Bench, seq: str, connector: str) -> Json:
    """One that was overtaken by `sample`."""
    older = {"EndTime": _text(_started(bench) + timedelta(minutes=20)), "TotalPower": Decimal("8.10")}
    return sample(bench, seq, connector) | older


def stop_result(_bench: Bench, seq: str, connector: str) -> Json:
    """The charge has stopped."""
    return {"StartChargeSeq": seq, "StartChargeSeqStat": 4, "ConnectorID": connector, "SuccStat": 0, "FailReason": 0}


def bill(bench: Bench, seq: str, connector: str) -> Json:
    """Two periods that add up."""
    start = _started(bench)
    middle, end = start + timedelta(minutes=40), start + timedelta(minutes=65)
    return {
        "StartChargeSeq": seq,
        "ConnectorID": connector,
        "StartTime": _text(start),
        "EndTime": _text(end),
        "TotalPower": _ENERGY,
        "TotalElecMoney": Decimal("24.40"),
        "TotalSeviceMoney": Decimal("12.20"),
        "TotalMoney": _MONEY,
        "StopReason": 1,
        "SumPeriod": 2,
        "ChargeDetails": [
            _detail(start, middle, "26.00", "20.80", "10.40"),
            _detail(middle, end, "4.50", "3.60", "1.80"),
        ],
    }


def _detail(start: datetime, end: datetime, energy: str, elec: str, service: str) -> Json:
    return {
        "DetailStartTime": _text(start),
        "DetailEndTime": _text(end),
        "ElecPrice": Decimal("0.8000"),
        "SevicePrice": Decimal("0.4000"),
        "DetailPower": Decimal(energy),
        "DetailElecMoney": Decimal(elec),
        "DetailSeviceMoney": Decimal(service),
    }


def _item(seq: str, energy: Decimal, money: Decimal) -> Json:
    return {"StartChargeSeq": seq, "TotalPower": energy, "TotalMoney": money}


def _statement(bench: Bench, items: list[Json]) -> Json:
    day = to_china(bench.clock.now()).replace(hour=0, minute=0, second=0)
    return {
        "CheckOrderSeq": bench.sequence(),
        "StartTime": _text(day),
        "EndTime": _text(day + timedelta(hours=23, minutes=59, seconds=59)),
        "OrderCount": len(items),
        "TotalOrderPower": total([item["TotalPower"] for item in items]).quantize(Decimal("0.0001")),
        "TotalOrderMoney": total([item["TotalMoney"] for item in items]).quantize(CENT),
        "ChargeOrders": items,
    }


def _started(bench: Bench) -> datetime:
    """One start for the whole examination, so that repeated bodies are equal."""
    return bench.learned.charge.setdefault("started", to_china(bench.clock.now()) - _STARTED_AGO)  # type: ignore[no-any-return]


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _known(bench: Bench, number: int = 0) -> tuple[str, str]:
    if len(bench.target.orders) <= number:
        raise NotTried(f"目标文件缺少第 {number + 1} 个订单 / needs order {number + 1} in `orders` of the target")
    order = bench.target.orders[number]
    return order.start_charge_seq, order.connector_id


def _spare(bench: Bench) -> tuple[str, str]:
    """An order to be spoilt: nobody's."""
    return bench.sequence(), NOWHERE


# --------------------------------------------------------------------------------------------------------------- checks


def _status(bench: Bench) -> None:
    bench.ask(STATUS, connector_status(bench))


def _received(
    interface: str, body: Callable[[Bench, str, str], Json], *, reason: bool = False
) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        asked = body(bench, *_known(bench))
        answer = bench.ask(interface, asked)
        expect_echo(asked, answer, "StartChargeSeq")
        expect_equal(answer["SuccStat"], 0, "SuccStat")
        if reason:
            expect_equal(answer["FailReason"], 0, "FailReason")

    return run


def _unknown(interface: str, body: Callable[[Bench, str, str], Json]) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        _, connector = _known(bench)
        seen = bench.send(bench.draft(interface, body(bench, bench.sequence(), connector)))
        seen.expect_ret(RET_OK, RET_BUSINESS)
        if seen.ret == RET_OK:
            expect_equal(seen.opened(bench.keys, bench.contract[interface].reply)["SuccStat"], 1, "SuccStat")

    return run


def _confirmation(bench: Bench, body: Json) -> int:
    answer = bench.ask(ORDER, body)
    expect_echo(body, answer, "StartChargeSeq", "ConnectorID")
    return int(answer["ConfirmResult"])


def _billed(bench: Bench) -> None:
    expect_equal(_confirmation(bench, bill(bench, *_known(bench))), 0, "ConfirmResult")


def _changed(bench: Bench) -> None:
    body = bill(bench, *_known(bench))
    details = [body["ChargeDetails"][0] | {"DetailElecMoney": Decimal("20.81")}, body["ChargeDetails"][1]]
    dearer = {"TotalElecMoney": Decimal("24.41"), "TotalMoney": Decimal("36.61"), "ChargeDetails": details}
    _expect_disputed(_confirmation(bench, body | dearer))


def _wrong_totals(bench: Bench) -> None:
    body = bill(bench, *_known(bench, 1))
    _expect_disputed(_confirmation(bench, body | {"TotalMoney": body["TotalMoney"] + 1}))


def _unknown_bill(bench: Bench) -> None:
    _, connector = _known(bench)
    seen = bench.send(bench.draft(ORDER, bill(bench, bench.sequence(), connector)))
    seen.expect_ret(RET_OK, RET_BUSINESS)
    if seen.ret == RET_OK:
        _expect_disputed(seen.opened(bench.keys, bench.contract[ORDER].reply)["ConfirmResult"])


def _expect_disputed(confirm_result: int) -> None:
    if confirm_result == 0:
        raise Unmet("得到确认 (0), 应有争议 / was confirmed (0) and should not have been", "ConfirmResult")


def _empty_day(bench: Bench) -> None:
    _compare(bench, _statement(bench, []), [])


def _clean(bench: Bench) -> None:
    seq, _ = _known(bench)
    _compare(bench, _statement(bench, [_item(seq, _ENERGY, _MONEY)]), [])


def _disputed(reason: int) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        seq, _ = _known(bench)
        items = {
            NOT_THERE: _item(bench.sequence(), _ENERGY, _MONEY),
            MONEY_DIFFERS: _item(seq, _ENERGY, _MONEY + CENT),
            POWER_DIFFERS: _item(seq, _ENERGY + CENT, _MONEY),
        }
        _compare(bench, _statement(bench, [items[reason]]), [(items[reason]["StartChargeSeq"], reason)])

    return run


def _compare(bench: Bench, asked: Json, wanted: list[tuple[str, int]]) -> None:
    answer = bench.ask(STATEMENT, asked)
    expect_echo(asked, answer, "CheckOrderSeq", "StartTime", "EndTime")
    disputes = answer["DisputeOrders"]
    found = [(dispute["StartChargeSeq"], dispute["DisputeReason"]) for dispute in disputes]
    expect_equal(found, wanted, "DisputeOrders")
    expect_equal(answer["TotalDisputeOrder"], len(disputes), "TotalDisputeOrder")
    expect_equal(answer["TotalDisputePower"], total([one["TotalPower"] for one in disputes]), "TotalDisputePower")
    expect_equal(answer["TotalDisputeMoney"], total([one["TotalMoney"] for one in disputes]), "TotalDisputeMoney")
