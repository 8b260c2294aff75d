"""Frames of the link itself: login, heartbeat, tariff model, time."""

from charging_core.piles.protocols.ykc.fields import FrameTable, bcd, moment, number, octets, text
from charging_core.piles.protocols.ykc.tables.common import (
    CONNECTOR_NO,
    MODEL_NUMBER,
    OK_IS_0,
    OK_IS_1,
    PILE_CODE,
    RATES,
    result,
)

_NETWORK = {0: ("SIM 卡", "SIM"), 1: ("LAN", "LAN"), 2: ("WAN", "WAN"), 3: ("其他", "other")}
_CARRIER = {
    0: ("移动", "China Mobile"),
    2: ("电信", "China Telecom"),
    3: ("联通", "China Unicom"),
    4: ("其他", "other"),
}
_PILE_KIND = {0: ("直流桩", "DC"), 1: ("交流桩", "AC")}

_MODEL = (
    PILE_CODE,
    MODEL_NUMBER,
    *(
        number(f"{rate}_{part}_price", 4, f"{zh}{part_zh}费率", f"{en} {part} price", "yuan/kWh", 5)
        for rate, zh, en in RATES
        for part, part_zh in (("energy", "电费"), ("service", "服务费"))
    ),
    number("loss_ratio", 1, "计损比例", "loss ratio"),
    octets("slots", 48, "时段费率号", "rate of each half hour", {i: (zh, en) for i, (_, zh, en) in enumerate(RATES)}),
)

TABLES = (
    FrameTable(
        0x01,
        "登录认证",
        "login",
        (
            PILE_CODE,
            number("pile_kind", 1, "桩类型", "pile kind", names=_PILE_KIND),
            number("connector_count", 1, "充电枪数量", "number of connectors"),
            number("protocol_version", 1, "通信协议版本", "protocol version × 10"),
            text("firmware", 8, "程序版本", "software version"),
            number("network", 1, "网络链接类型", "network", names=_NETWORK),
            bcd("sim", 10, "SIM 卡", "SIM / ICCID"),
            number("carrier", 1, "运营商", "carrier", names=_CARRIER),
        ),
        answer=0x02,
    ),
    FrameTable(0x02, "登录认证应答", "login reply", (PILE_CODE, result(OK_IS_0))),
    FrameTable(
        0x03,
        "心跳包",
        "heartbeat",
        (
            PILE_CODE,
            CONNECTOR_NO,
            number(
                "connector_state", 1, "枪状态", "connector state", names={0: ("正常", "normal"), 1: ("故障", "fault")}
            ),
        ),
        answer=0x04,
    ),
    FrameTable(
        0x04, "心跳包应答", "heartbeat reply", (PILE_CODE, CONNECTOR_NO, number("answer", 1, "心跳应答", "answer"))
    ),
    FrameTable(0x05, "计费模型验证请求", "billing model verify", (PILE_CODE, MODEL_NUMBER), answer=0x06),
    FrameTable(
        0x06,
        "计费模型验证应答",
        "billing model verify reply",
        (PILE_CODE, MODEL_NUMBER, result({0: ("一致", "same"), 1: ("不一致", "differs")})),
    ),
    FrameTable(0x09, "计费模型请求", "billing model request", (PILE_CODE,), answer=0x0A),
    FrameTable(0x0A, "计费模型请求应答", "billing model reply", _MODEL),
    FrameTable(0x55, "对时设置应答", "time sync reply", (PILE_CODE, moment("time", "当前时间", "pile time"))),
    FrameTable(0x56, "对时设置", "time sync", (PILE_CODE, moment("time", "当前时间", "time")), answer=0x55),
    FrameTable(0x57, "计费模型设置应答", "billing model set reply", (PILE_CODE, result(OK_IS_1))),
    FrameTable(0x58, "计费模型设置", "billing model set", _MODEL, answer=0x57),
)
