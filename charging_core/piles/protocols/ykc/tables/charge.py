"""Frames of a charge: realtime data, start and stop in all ways, trade record, balance, parallel charging."""

from charging_core.piles.protocols.ykc.fields import (
    Bits,
    Field,
    FrameTable,
    flags,
    moment,
    number,
    raw,
    reversed_text,
    text,
)
from charging_core.piles.protocols.ykc.tables.common import (
    CONNECTOR_NO,
    LOGICAL_CARD,
    OK_IS_1,
    PARALLEL_NUMBER,
    PHYSICAL_CARD,
    PILE_CODE,
    PREFIX,
    RATES,
    ROLE,
    STATUS,
    TRADE_NUMBER,
    reason,
    result,
)

FAULTS = (
    ("emergency_stop", "急停按钮动作故障", "emergency stop pressed"),
    ("no_rectifier", "无可用整流模块", "no usable rectifier module"),
    ("outlet_temperature", "出风口温度过高", "air outlet over-temperature"),
    ("ac_surge_protector", "交流防雷故障", "AC surge protector"),
    ("module_communication", "交直流模块 DC20 通信中断", "AC/DC module communication"),
    ("insulation_communication", "绝缘检测模块 FC08 通信中断", "insulation module communication"),
    ("meter_communication", "电度表通信中断", "energy meter communication"),
    ("card_reader_communication", "读卡器通信中断", "card reader communication"),
    ("rc10_communication", "RC10 通信中断", "RC10 communication"),
    ("fan_board", "风扇调速板故障", "fan speed board"),
    ("dc_fuse", "直流熔断器故障", "DC fuse"),
    ("hv_contactor", "高压接触器故障", "HV contactor"),
    ("door_open", "门打开", "door open"),
)
"""Hardware faults of 0x13, lowest bit first; the three bits above are not assigned."""

_YES = {0: ("否", "no"), 1: ("是", "yes")}
_HOMED = {**_YES, 2: ("未知", "unknown")}
_MODE = {1: ("刷卡启动", "card"), 2: ("账号启动", "account"), 3: ("VIN 启动", "VIN")}
_FLAG = {1: ("APP 启动", "app"), 2: ("卡启动", "card"), 4: ("离线卡启动", "off-line card"), 5: ("VIN 启动", "VIN")}
_ACCEPTED = {0: ("拒绝", "refused"), 1: ("接受", "accepted")}
_START_REFUSED = {
    1: ("账户不存在", "account does not exist"),
    2: ("账户冻结", "account frozen"),
    3: ("账户余额不足", "balance too low"),
    4: ("该卡存在未结账记录", "card has an unsettled record"),
    5: ("桩停用", "pile disabled"),
    6: ("该账户不能在此桩上充电", "account not allowed on this pile"),
    7: ("密码错误", "wrong password"),
    8: ("电站电容不足", "station capacity exceeded"),
    9: ("系统中 VIN 码不存在", "VIN unknown"),
    0x0A: ("该桩存在未结账记录", "pile has an unsettled record"),
    0x0B: ("该桩不支持刷卡", "pile does not support cards"),
}
_START_FAILED = {
    1: ("设备编号不匹配", "wrong pile code"),
    2: ("枪已在充电", "connector already charging"),
    3: ("设备故障", "device fault"),
    4: ("设备离线", "device off-line"),
    5: ("未插枪", "connector not plugged in"),
}
_STOP_FAILED = {
    1: ("设备编号不匹配", "wrong pile code"),
    2: ("枪未处于充电状态", "connector not charging"),
    3: ("其他", "other"),
}

_BALANCE = number("balance", 4, "账户余额", "balance", "yuan", 2)
_REALTIME = (
    *PREFIX,
    number("status", 1, "状态", "status", names=STATUS),
    number("homed", 1, "枪是否归位", "connector homed", names=_HOMED),
    number("plugged", 1, "是否插枪", "plugged into a car", names=_YES),
    number("voltage", 2, "输出电压", "output voltage", "V", 1),
    number("current", 2, "输出电流", "output current", "A", 1),
    number("cable_temperature", 1, "枪线温度", "cable temperature", "°C", 0, -50),
    raw("cable_code", 8, "枪线编码", "cable code"),
    number("soc", 1, "SOC", "state of charge", "%"),
    number("battery_temperature", 1, "电池组最高温度", "highest battery temperature", "°C", 0, -50),
    number("minutes_charged", 2, "累计充电时间", "minutes charged", "min"),
    number("minutes_remaining", 2, "剩余时间", "minutes remaining", "min"),
    number("energy", 4, "充电度数", "energy", "kWh", 4),
    number("energy_with_loss", 4, "计损充电度数", "energy with loss", "kWh", 4),
    number("amount", 4, "已充金额", "amount so far", "yuan", 4),
    flags(
        "faults", 2, "硬件故障", "hardware faults", tuple(Bits(n, i, 1, zh, en) for i, (n, zh, en) in enumerate(FAULTS))
    ),
)


def _rate_fields(rate: str, zh: str, en: str) -> tuple[Field, ...]:
    return (
        number(f"{rate}_price", 4, f"{zh}单价", f"{en} price, electricity + service", "yuan/kWh", 5),
        number(f"{rate}_energy", 4, f"{zh}电量", f"{en} energy", "kWh", 4),
        number(f"{rate}_energy_with_loss", 4, f"计损{zh}电量", f"{en} energy with loss", "kWh", 4),
        number(f"{rate}_amount", 4, f"{zh}金额", f"{en} amount", "yuan", 4),
    )


_RECORD_BEGIN = (*PREFIX, moment("started_at", "开始时间", "start time"), moment("ended_at", "结束时间", "end time"))
_RECORD_END = (
    *(field for rate in RATES for field in _rate_fields(*rate)),
    number("meter_start", 5, "电表总起值", "meter at start", "kWh", 4),
    number("meter_end", 5, "电表总止值", "meter at end", "kWh", 4),
    number("total_energy", 4, "总电量", "total energy", "kWh", 4),
    number("total_energy_with_loss", 4, "计损总电量", "total energy with loss", "kWh", 4),
    number("total_amount", 4, "消费金额", "total amount", "yuan", 4),
    text("vin", 17, "电动汽车唯一标识", "VIN"),
    number("trade_flag", 1, "交易标识", "trade flag", names=_FLAG),
    moment("trade_time", "交易日期、时间", "trade time"),
    number("stop_code", 1, "停止原因", "stop reason"),
    PHYSICAL_CARD,
)
_METROLOGY = (
    raw("meter_number", 6, "电表表号", "meter number"),
    raw("meter_cipher", 34, "电表密文", "meter cipher text"),
    raw("meter_protocol", 2, "电表协议版本号", "meter protocol version"),
    number("meter_encryption", 1, "加密方式", "meter encryption mode"),
)
_START_REQUEST = (
    PILE_CODE,
    CONNECTOR_NO,
    number("mode", 1, "启动方式", "start mode", names=_MODE),
    number("needs_password", 1, "是否需要密码", "password needed", names=_YES),
    raw("account", 8, "账号或者物理卡号", "account or physical card number"),
    raw("password", 16, "输入密码", "password"),
    reversed_text("vin", 17, "VIN 码", "VIN"),
)
_START_ANSWER = (*PREFIX, LOGICAL_CARD, _BALANCE, result(_ACCEPTED), reason(_START_REFUSED))
_START = (*PREFIX, LOGICAL_CARD, PHYSICAL_CARD, _BALANCE)
_STARTED = (*PREFIX, result(OK_IS_1), reason(_START_FAILED))
_ROLE = number("role", 1, "主辅枪标记", "main or auxiliary", names=ROLE)

TABLES = (
    FrameTable(0x12, "读取实时监测数据", "read realtime data", (PILE_CODE, CONNECTOR_NO), answer=0x13),
    FrameTable(0x13, "实时监测数据", "realtime data", _REALTIME),
    FrameTable(0x31, "充电桩主动申请启动充电", "start request", _START_REQUEST, answer=0x32),
    FrameTable(0x32, "运营平台确认启动充电", "start request reply", _START_ANSWER),
    FrameTable(0x33, "远程启机命令回复", "remote start reply", _STARTED),
    FrameTable(0x34, "运营平台远程控制启机", "remote start", _START, answer=0x33),
    FrameTable(
        0x35,
        "远程停机命令回复",
        "remote stop reply",
        (PILE_CODE, CONNECTOR_NO, result(OK_IS_1), reason(_STOP_FAILED)),
    ),
    FrameTable(0x36, "运营平台远程停机", "remote stop", (PILE_CODE, CONNECTOR_NO), answer=0x35),
    FrameTable(0x3B, "交易记录", "trade record", (*_RECORD_BEGIN, *_RECORD_END), answer=0x40),
    FrameTable(0x3D, "交易记录 (1.7)", "trade record (1.7)", (*_RECORD_BEGIN, *_METROLOGY, *_RECORD_END), answer=0x40),
    FrameTable(
        0x40,
        "交易记录确认",
        "trade record confirm",
        (TRADE_NUMBER, result({0: ("上传成功", "received"), 1: ("非法账单", "illegal bill")})),
    ),
    FrameTable(
        0x41,
        "余额更新应答",
        "balance update reply",
        (
            PILE_CODE,
            PHYSICAL_CARD,
            result({0: ("修改成功", "ok"), 1: ("设备编号错误", "wrong pile code"), 2: ("卡号错误", "wrong card")}),
        ),
    ),
    FrameTable(
        0x42,
        "远程账户余额更新",
        "balance update",
        (PILE_CODE, CONNECTOR_NO, PHYSICAL_CARD, _BALANCE),
        answer=0x41,
    ),
    FrameTable(
        0xA1, "充电桩主动申请并充充电", "parallel start request", (*_START_REQUEST, _ROLE, PARALLEL_NUMBER), answer=0xA2
    ),
    FrameTable(0xA2, "运营平台确认并充启动充电", "parallel start reply", (*_START_ANSWER, PARALLEL_NUMBER)),
    FrameTable(0xA3, "远程并充启机命令回复", "remote parallel start reply", (*_STARTED, _ROLE, PARALLEL_NUMBER)),
    FrameTable(0xA4, "运营平台远程控制并充启机", "remote parallel start", (*_START, PARALLEL_NUMBER), answer=0xA3),
)
