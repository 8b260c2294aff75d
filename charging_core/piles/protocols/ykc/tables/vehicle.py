"""Frames that carry the vehicle's side (GB/T 27930) to the platform; none of them is answered."""

from charging_core.piles.protocols.ykc.fields import Bits, Field, FrameTable, flags, number, pairs, raw, text
from charging_core.piles.protocols.ykc.tables.common import PREFIX

_BATTERY = {
    1: ("铅酸", "lead-acid"),
    2: ("镍氢", "NiMH"),
    3: ("磷酸铁锂", "LiFePO4"),
    4: ("锰酸锂", "LiMn"),
    5: ("钴酸锂", "LiCo"),
    6: ("三元材料", "ternary"),
    7: ("聚合物锂离子", "polymer"),
    8: ("钛酸锂", "titanate"),
    0xFF: ("其他", "other"),
}
_TIMEOUT = {0: ("正常", "normal"), 1: ("超时", "time-out"), 2: ("不可信", "not trustworthy")}
_REACHED = {0: ("未达到", "no"), 1: ("达到", "yes"), 2: ("不可信", "not trustworthy")}
_FAULT = {0: ("正常", "normal"), 1: ("故障", "fault"), 2: ("不可信", "not trustworthy")}
_LEVEL = {0: ("正常", "normal"), 1: ("过高", "high"), 2: ("过低", "low")}
_OVER = {0: ("正常", "normal"), 1: ("过限", "over"), 2: ("不可信", "not trustworthy")}
_ALLOWED = {0: ("禁止", "forbidden"), 1: ("允许", "allowed")}


def _volts(name: str, zh: str, en: str, places: int = 1) -> Field:
    return number(name, 2, zh, en, "V", places)


def _amps(name: str, zh: str, en: str) -> Field:
    """0.1 A with the −400 A offset of GB/T 27930; the sign differs between firmware, show the absolute value."""
    return number(name, 2, zh, en, "A", 1, -400)


def _celsius(name: str, zh: str, en: str) -> Field:
    return number(name, 1, zh, en, "°C", 0, -50)


_HANDSHAKE = (
    *PREFIX,
    raw("bms_version", 3, "BMS 通信协议版本号", "BMS protocol version"),
    number("battery_type", 1, "电池类型", "battery type", names=_BATTERY),
    number("rated_capacity", 2, "整车动力蓄电池系统额定容量", "rated capacity", "Ah", 1),
    _volts("rated_voltage", "整车动力蓄电池系统额定总电压", "rated total voltage"),
    text("battery_maker", 4, "电池生产厂商", "battery maker"),
    raw("pack_serial", 4, "电池组序号", "pack serial"),
    number("made_year", 1, "生产日期年", "production year", "", 0, 1985),
    number("made_month", 1, "生产日期月", "production month"),
    number("made_day", 1, "生产日期日", "production day"),
    number("charge_count", 3, "电池组充电次数", "charge count"),
    number("ownership", 1, "产权标识", "ownership", names={0: ("租赁", "leased"), 1: ("车自有", "owned")}),
    number("reserved", 1, "预留位", "reserved"),
    text("vin", 17, "车辆识别码", "VIN"),
    raw("bms_software", 8, "BMS 软件版本号", "BMS software version"),
)
_PARAMETERS = (
    *PREFIX,
    _volts("max_cell_voltage", "单体最高允许充电电压", "max cell voltage", 2),
    _amps("max_current", "最高允许充电电流", "max current"),
    number("nominal_energy", 2, "标称总能量", "nominal energy", "kWh", 1),
    _volts("max_voltage", "最高允许充电总电压", "max total voltage"),
    _celsius("max_temperature", "最高允许温度", "max temperature"),
    number("soc", 2, "荷电状态", "state of charge", "%", 1),
    _volts("battery_voltage", "当前电池电压", "present battery voltage"),
    _volts("pile_max_voltage", "电桩最高输出电压", "pile max output voltage"),
    _volts("pile_min_voltage", "电桩最低输出电压", "pile min output voltage"),
    _amps("pile_max_current", "电桩最大输出电流", "pile max output current"),
    _amps("pile_min_current", "电桩最小输出电流", "pile min output current"),
)
_END = (
    *PREFIX,
    number("soc", 1, "中止荷电状态", "final state of charge", "%"),
    _volts("min_cell_voltage", "单体最低电压", "min cell voltage", 2),
    _volts("max_cell_voltage", "单体最高电压", "max cell voltage", 2),
    _celsius("min_temperature", "动力蓄电池最低温度", "min temperature"),
    _celsius("max_temperature", "动力蓄电池最高温度", "max temperature"),
    number("minutes_charged", 2, "电桩累计充电时间", "minutes charged", "min"),
    number("energy", 2, "电桩输出能量", "energy", "kWh", 1),
    number("charger_number", 4, "电桩充电机编号", "charger number, raw"),
)
_ERRORS = (
    *PREFIX,
    flags(
        "identification",
        1,
        "充电机辨识超时",
        "charger identification",
        pairs(
            ("crm_00", "辨识报文 (SPN2560=00)", "CRM 00"), ("crm_aa", "辨识报文 (SPN2560=AA)", "CRM AA"), names=_TIMEOUT
        ),
    ),
    flags(
        "charger_ready",
        1,
        "充电机准备超时",
        "charger preparation",
        pairs(("cts_cml", "时间同步与最大输出能力", "CTS/CML"), ("cro", "充电准备就绪", "CRO"), names=_TIMEOUT),
    ),
    flags(
        "charger_state",
        1,
        "充电机状态超时",
        "charger state",
        pairs(("ccs", "充电状态", "CCS"), ("cst", "中止充电", "CST"), names=_TIMEOUT),
    ),
    flags(
        "charger_statistics",
        1,
        "充电机统计超时",
        "charger statistics",
        (Bits("csd", 0, 2, "充电统计", "CSD", names=_TIMEOUT), Bits("bms_other", 2, 6, "BMS 其他", "BMS other")),
    ),
    flags(
        "bms_identification",
        1,
        "BMS 辨识超时",
        "BMS identification",
        pairs(("brm", "BMS 和车辆辨识", "BRM"), names=_TIMEOUT),
    ),
    flags(
        "bms_parameters",
        1,
        "BMS 参数超时",
        "BMS parameters",
        pairs(("bcp", "蓄电池充电参数", "BCP"), ("bro", "BMS 准备就绪", "BRO"), names=_TIMEOUT),
    ),
    flags(
        "bms_state",
        1,
        "BMS 状态超时",
        "BMS state",
        pairs(("bcs", "充电总状态", "BCS"), ("bcl", "充电要求", "BCL"), ("bst", "中止充电", "BST"), names=_TIMEOUT),
    ),
    flags(
        "bms_statistics",
        1,
        "BMS 统计超时",
        "BMS statistics",
        (
            Bits("bsd", 0, 2, "充电统计", "BSD", names=_TIMEOUT),
            Bits("charger_other", 2, 6, "充电机其他", "charger other"),
        ),
    ),
)
_BMS_ABORT = (
    *PREFIX,
    flags(
        "reason",
        1,
        "BMS 中止充电原因",
        "reason",
        pairs(
            ("soc_reached", "达到所需 SOC", "SOC target reached"),
            ("voltage_reached", "达到总电压设定值", "total voltage reached"),
            ("cell_voltage_reached", "达到单体电压设定值", "cell voltage reached"),
            ("charger_aborted", "充电机主动中止", "charger aborted"),
            names=_REACHED,
        ),
    ),
    flags(
        "fault",
        2,
        "BMS 中止充电故障原因",
        "fault",
        pairs(
            ("insulation", "绝缘故障", "insulation"),
            ("output_connector_temperature", "输出连接器过温", "output connector over-temperature"),
            ("component_temperature", "BMS 元件、输出连接器过温", "BMS component over-temperature"),
            ("charging_connector", "充电连接器故障", "charging connector"),
            ("battery_temperature", "电池组温度过高", "battery pack over-temperature"),
            ("hv_relay", "高压继电器故障", "HV relay"),
            ("detection_point_2", "检测点 2 电压检测故障", "detection point 2 voltage"),
            ("other", "其他故障", "other"),
            names=_FAULT,
        ),
    ),
    flags(
        "error",
        1,
        "BMS 中止充电错误原因",
        "error",
        pairs(("over_current", "电流过大", "over-current"), ("voltage", "电压异常", "voltage abnormal"), names=_FAULT),
    ),
)
_CHARGER_ABORT = (
    *PREFIX,
    flags(
        "reason",
        1,
        "充电机中止充电原因",
        "reason",
        pairs(
            ("condition_reached", "达到设定条件", "condition reached"),
            ("manual", "人工中止", "manual"),
            ("abnormal", "异常中止", "abnormal"),
            ("bms_aborted", "BMS 主动中止", "BMS aborted"),
            names=_REACHED,
        ),
    ),
    flags(
        "fault",
        2,
        "充电机中止充电故障原因",
        "fault",
        pairs(
            ("charger_temperature", "充电机过温", "charger over-temperature"),
            ("charging_connector", "充电连接器故障", "charging connector"),
            ("internal_temperature", "充电机内部过温", "internal over-temperature"),
            ("energy_transfer", "所需电量不能传送", "energy cannot be delivered"),
            ("emergency_stop", "充电机急停", "emergency stop"),
            ("other", "其他故障", "other"),
            names=_FAULT,
        ),
    ),
    flags(
        "error",
        1,
        "充电机中止充电错误原因",
        "error",
        pairs(("current", "电流不匹配", "current mismatch"), ("voltage", "电压异常", "voltage abnormal"), names=_FAULT),
    ),
)
_DEMAND = (
    *PREFIX,
    _volts("demand_voltage", "BMS 电压需求", "demanded voltage"),
    _amps("demand_current", "BMS 电流需求", "demanded current"),
    number(
        "mode",
        1,
        "BMS 充电模式",
        "charge mode",
        names={1: ("恒压", "constant voltage"), 2: ("恒流", "constant current")},
    ),
    _volts("measured_voltage", "BMS 充电电压测量值", "measured voltage"),
    _amps("measured_current", "BMS 充电电流测量值", "measured current"),
    flags(
        "highest_cell",
        2,
        "BMS 最高单体动力蓄电池电压及组号",
        "highest cell voltage and group",
        (
            Bits("voltage", 0, 12, "最高单体电压", "highest cell voltage, V", 2),
            Bits("group", 12, 4, "组号", "group number"),
        ),
    ),
    number("soc", 1, "BMS 当前荷电状态", "state of charge", "%"),
    number("minutes_remaining", 2, "BMS 估算剩余充电时间", "minutes remaining", "min"),
    _volts("output_voltage", "电桩电压输出值", "charger output voltage"),
    _amps("output_current", "电桩电流输出值", "charger output current"),
    number("minutes_charged", 2, "累计充电时间", "minutes charged", "min"),
)
_INFORMATION = (
    *PREFIX,
    number("highest_cell_number", 1, "BMS 最高单体动力蓄电池电压所在编号", "number of the highest cell, raw"),
    _celsius("highest_temperature", "BMS 最高动力蓄电池温度", "highest battery temperature"),
    number("highest_temperature_point", 1, "最高温度检测点编号", "its point, raw"),
    _celsius("lowest_temperature", "最低动力蓄电池温度", "lowest battery temperature"),
    number("lowest_temperature_point", 1, "最低动力蓄电池温度检测点编号", "its point, raw"),
    flags(
        "limits",
        1,
        "越限状态",
        "limits",
        (
            Bits("cell_voltage", 0, 2, "单体电压", "cell voltage", names=_LEVEL),
            Bits("soc", 2, 2, "SOC", "SOC", names=_LEVEL),
            Bits("current", 4, 2, "充电过电流", "over-current", names=_OVER),
            Bits("temperature", 6, 2, "动力蓄电池温度过高", "over-temperature", names=_OVER),
        ),
    ),
    flags(
        "state",
        1,
        "状态",
        "state",
        (
            Bits("insulation", 0, 2, "绝缘状态", "insulation", names=_FAULT),
            Bits("output_connector", 2, 2, "输出连接器连接状态", "output connector", names=_FAULT),
            Bits("charge_permission", 4, 2, "充电允许", "charge permission", names=_ALLOWED),
        ),
    ),
)

TABLES = (
    FrameTable(0x15, "充电握手", "BMS handshake", _HANDSHAKE),
    FrameTable(0x17, "参数配置", "parameter configuration", _PARAMETERS),
    FrameTable(0x19, "充电结束", "charge end", _END),
    FrameTable(0x1B, "错误报文", "BMS and charger errors", _ERRORS),
    FrameTable(0x1D, "充电阶段 BMS 中止", "BMS abort", _BMS_ABORT),
    FrameTable(0x21, "充电阶段充电机中止", "charger abort", _CHARGER_ABORT),
    FrameTable(0x23, "充电过程 BMS 需求、充电机输出", "BMS demand and charger output", _DEMAND),
    FrameTable(0x25, "充电过程 BMS 信息", "BMS information", _INFORMATION),
)
