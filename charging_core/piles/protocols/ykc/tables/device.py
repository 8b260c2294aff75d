"""Frames for keeping a pile: off-line cards, work parameters, ground locks, reboot, firmware, QR code prefix."""

from charging_core.piles.protocols.ykc.fields import FrameTable, Tail, number, reserved, text
from charging_core.piles.protocols.ykc.tables.common import (
    LOGICAL_CARD,
    OK_IS_1,
    PHYSICAL_CARD,
    PILE_CODE,
    WHEN,
    reason,
    result,
)

_CARD_COUNT = number("card_count", 1, "卡数量", "number of cards")
_CARD_NUMBERS = Tail("cards", "卡号", "cards", (PHYSICAL_CARD,), "card_count")
_BAD_FORMAT = ("卡号格式错误", "bad card format")
_LOCK = {0x00: ("未到位", "in between"), 0x55: ("升锁到位", "raised"), 0xFF: ("降锁到位", "lowered")}
_BAY = {0x00: ("无车辆", "empty"), 0xFF: ("停放车辆", "occupied")}
_LOCK_ALARM = {
    0x00: ("无报警", "none"),
    0x55: ("摇臂升降异常(未到位)", "arm out of position"),
    0xFF: ("待机状态摇臂破坏", "arm damaged"),
}
_UPDATE = {
    0: ("成功", "ok"),
    1: ("编号错误", "wrong pile code"),
    2: ("程序与桩型号不符", "program does not match the model"),
    3: ("下载更新文件超时", "download time-out"),
}
_GROUND_LOCK_NO = number("connector_no", 1, "枪号", "connector number")

TABLES = (
    FrameTable(
        0x43,
        "离线卡数据同步应答",
        "off-line card sync reply",
        (PILE_CODE, result(OK_IS_1), reason({1: _BAD_FORMAT, 2: ("储存空间不足", "no space")})),
    ),
    FrameTable(
        0x44,
        "离线卡数据同步",
        "off-line card sync",
        (PILE_CODE, _CARD_COUNT),
        Tail("cards", "卡号", "cards", (LOGICAL_CARD, PHYSICAL_CARD), "card_count"),
        answer=0x43,
    ),
    FrameTable(
        0x45,
        "离线卡数据清除应答",
        "off-line card clear reply",
        (PILE_CODE,),
        Tail(
            "cards",
            "卡号",
            "cards",
            (PHYSICAL_CARD, result(OK_IS_1), reason({1: _BAD_FORMAT, 2: ("清除成功", "cleared")})),
        ),
    ),
    FrameTable(0x46, "离线卡数据清除", "off-line card clear", (PILE_CODE, _CARD_COUNT), _CARD_NUMBERS, answer=0x45),
    FrameTable(
        0x47,
        "离线卡数据查询应答",
        "off-line card query reply",
        (PILE_CODE,),
        Tail(
            "cards",
            "卡号",
            "cards",
            (
                PHYSICAL_CARD,
                number("found", 1, "查询结果", "found", names={0: ("不存在", "absent"), 1: ("存在", "present")}),
            ),
        ),
    ),
    FrameTable(0x48, "离线卡数据查询", "off-line card query", (PILE_CODE, _CARD_COUNT), _CARD_NUMBERS, answer=0x47),
    FrameTable(0x51, "工作参数设置应答", "working parameters reply", (PILE_CODE, result(OK_IS_1))),
    FrameTable(
        0x52,
        "充电桩工作参数设置",
        "working parameters",
        (
            PILE_CODE,
            number(
                "out_of_service",
                1,
                "是否允许工作",
                "out of service",
                names={0: ("允许正常工作", "works"), 1: ("停止使用", "locked")},
            ),
            number("max_power", 1, "最大允许输出功率", "maximum power", "%"),
        ),
        answer=0x51,
    ),
    FrameTable(
        0x61,
        "地锁数据上送",
        "ground lock report",
        (
            PILE_CODE,
            _GROUND_LOCK_NO,
            number("lock", 1, "车位锁状态", "lock", names=_LOCK),
            number("bay", 1, "车位状态", "bay", names=_BAY),
            number("battery", 1, "地锁电量状态", "battery", "%"),
            number("alarm", 1, "报警状态", "alarm", names=_LOCK_ALARM),
            reserved(4),
        ),
    ),
    FrameTable(
        0x62,
        "遥控地锁升锁与降锁命令",
        "ground lock command",
        (
            PILE_CODE,
            _GROUND_LOCK_NO,
            number("command", 1, "升/降地锁", "command", names={0x55: ("升锁", "raise"), 0xFF: ("降锁", "lower")}),
            reserved(4),
        ),
        answer=0x63,
    ),
    FrameTable(0x63, "充电桩返回数据", "ground lock reply", (PILE_CODE, _GROUND_LOCK_NO, result(OK_IS_1), reserved(4))),
    FrameTable(0x91, "远程重启应答", "reboot reply", (PILE_CODE, result(OK_IS_1))),
    FrameTable(
        0x92,
        "远程重启",
        "reboot",
        (PILE_CODE, number("when", 1, "执行控制", "when", names=WHEN)),
        answer=0x91,
    ),
    FrameTable(0x93, "远程更新应答", "firmware update reply", (PILE_CODE, result(_UPDATE))),
    FrameTable(
        0x94,
        "远程更新",
        "firmware update",
        (
            PILE_CODE,
            number("pile_model", 1, "桩型号", "pile model", names={1: ("直流", "DC"), 2: ("交流", "AC")}),
            number("power", 2, "桩功率", "power", "kW"),
            text("server", 16, "升级服务器地址", "server"),
            number("port", 2, "升级服务器端口", "port"),
            text("user", 16, "用户名", "user"),
            text("password", 16, "密码", "password"),
            text("path", 32, "文件路径", "path"),
            number("when", 1, "执行控制", "when", names=WHEN),
            number("timeout", 1, "下载超时时间", "download time-out", "min"),
        ),
        answer=0x93,
    ),
    FrameTable(
        0xF0,
        "二维码前缀下发",
        "QR code prefix",
        (
            PILE_CODE,
            number(
                "format",
                1,
                "二维码格式",
                "format",
                names={0: ("前缀+桩编号", "pile"), 1: ("前缀+桩编号+枪号", "pile and connector")},
            ),
            number("prefix_length", 1, "二维码前缀长度", "length of the prefix"),
        ),
        Tail("prefix", "二维码前缀", "prefix", (), "prefix_length"),
        answer=0xF1,
    ),
    FrameTable(
        0xF1,
        "二维码前缀下发应答",
        "QR code prefix reply",
        (PILE_CODE, number("result", 1, "结果", "result, polarity not settled")),
    ),
)
