"""Stop reasons of the trade record (specs/ykc.md 10): what each number says, and which neutral category it is."""

from collections.abc import Mapping
from types import MappingProxyType

from charging_core.piles.events import StopCategory
from charging_core.piles.protocols.ykc.tables.charge import FAULTS

_FINISHED = {
    0x40: ("APP 远程停止", "stopped by app"),
    0x41: ("SOC 达到 100%", "SOC 100 %"),
    0x42: ("充电电量满足设定条件", "energy limit"),
    0x43: ("充电金额满足设定条件", "money limit"),
    0x44: ("充电时间满足设定条件", "time limit"),
    0x45: ("手动停止充电", "stopped by hand"),
}
_START_FAILED = {
    0x4A: ("充电桩控制系统故障", "control system fault"),
    0x4B: ("控制导引断开", "control pilot open"),
    0x4C: ("断路器跳位", "breaker tripped"),
    0x4D: ("电表通信中断", "meter communication lost"),
    0x4E: ("余额不足", "balance too low"),
    0x4F: ("充电模块故障", "power module fault"),
    0x50: ("急停开入", "emergency stop"),
    0x51: ("防雷器异常", "surge protector"),
    0x52: ("BMS 未就绪", "BMS not ready"),
    0x53: ("温度异常", "temperature"),
    0x54: ("电池反接故障", "battery reversed"),
    0x55: ("电子锁异常", "electronic lock"),
    0x56: ("合闸失败", "contactor did not close"),
    0x57: ("绝缘异常", "insulation"),
    0x59: ("接收 BMS 握手报文 BHM 超时", "BHM time-out"),
    0x5A: ("接收辨识报文 BRM 超时", "BRM time-out"),
    0x5B: ("接收充电参数报文 BCP 超时", "BCP time-out"),
    0x5C: ("接收 BMS 准备完成报文 BRO(AA) 超时", "BRO(AA) time-out"),
    0x5D: ("接收充电总状态报文 BCS 超时", "BCS time-out"),
    0x5E: ("接收充电要求报文 BCL 超时", "BCL time-out"),
    0x5F: ("接收电池状态信息报文 BSM 超时", "BSM time-out"),
    0x60: ("BHM 阶段检测到电压", "voltage present in BHM phase"),
    0x61: ("BRO(AA) 时电池电压与 BCP 相差超过 5%", "battery voltage differs from BCP"),
    0x62: ("预充电阶段 BRO 由 AA 变为 00", "BRO went back to 00"),
    0x63: ("主机配置报文超时", "host configuration time-out"),
    0x64: ("充电机未准备就绪", "charger not ready"),
}
_ABORTED = {
    0x6A: ("系统闭锁", "system locked"),
    0x6B: ("导引断开", "pilot open"),
    0x6C: ("断路器跳位", "breaker tripped"),
    0x6D: ("电表通信中断", "meter communication lost"),
    0x6E: ("余额不足", "balance too low"),
    0x6F: ("交流保护动作", "AC protection"),
    0x70: ("直流保护动作", "DC protection"),
    0x71: ("充电模块故障", "power module"),
    0x72: ("急停开入", "emergency stop"),
    0x73: ("防雷器异常", "surge protector"),
    0x74: ("温度异常", "temperature"),
    0x75: ("输出异常", "output abnormal"),
    0x76: ("充电无流", "no current"),
    0x77: ("电子锁异常", "electronic lock"),
    0x79: ("总充电电压异常", "total voltage abnormal"),
    0x7A: ("总充电电流异常", "total current abnormal"),
    0x7B: ("单体充电电压异常", "cell voltage abnormal"),
    0x7C: ("电池组过温", "battery pack over-temperature"),
    0x7D: ("最高单体充电电压异常", "highest cell voltage abnormal"),
    0x7E: ("最高电池组过温", "highest battery temperature"),
    0x7F: ("BMV 单体充电电压异常", "BMV cell voltage abnormal"),
    0x80: ("BMT 电池组过温", "BMT battery over-temperature"),
    0x81: ("电池状态异常", "battery state abnormal"),
    0x82: ("车辆禁止充电", "vehicle forbids charging"),
    0x83: ("充电桩断电", "pile lost power"),
    0x84: ("接收充电总状态报文 BCS 超时", "BCS time-out"),
    0x85: ("接收充电要求报文 BCL 超时", "BCL time-out"),
    0x86: ("接收电池状态信息报文 BSM 超时", "BSM time-out"),
    0x87: ("接收中止充电报文 BST 超时", "BST time-out"),
    0x88: ("接收充电统计报文 BSD 超时", "BSD time-out"),
    0x89: ("对侧 CCS 报文超时", "opposite side's CCS time-out"),
}

STOP_CODES: Mapping[int, tuple[str, str]] = MappingProxyType(
    {**_FINISHED, **_START_FAILED, **_ABORTED, 0x90: ("未知原因停止", "unknown")}
)
"""Published meaning of a stop code: (Chinese, English). Vendors send others; keep the number, never fail on it."""

_EXACT = {
    0x40: StopCategory.REMOTE,
    0x41: StopCategory.FULL,
    0x42: StopCategory.LIMIT,
    0x43: StopCategory.LIMIT,
    0x44: StopCategory.LIMIT,
    0x45: StopCategory.MANUAL,
    0x4E: StopCategory.BALANCE,
    0x6E: StopCategory.BALANCE,
    0x6B: StopCategory.UNPLUGGED,
    0x50: StopCategory.EMERGENCY_STOP,
    0x72: StopCategory.EMERGENCY_STOP,
    0x83: StopCategory.POWER_LOSS,
    0x52: StopCategory.VEHICLE,
    0x54: StopCategory.VEHICLE,
    **dict.fromkeys(range(0x59, 0x63), StopCategory.VEHICLE),
    **dict.fromkeys(range(0x79, 0x83), StopCategory.VEHICLE),
    **dict.fromkeys(range(0x84, 0x89), StopCategory.VEHICLE),
}


def stop_category(code: int) -> StopCategory:
    """The neutral category of a stop code; UNKNOWN for reserved and vendors' numbers."""
    if code in _EXACT:
        return _EXACT[code]
    return StopCategory.PILE if code in STOP_CODES and code != 0x90 else StopCategory.UNKNOWN


def fault_names(bits: int) -> tuple[str, ...]:
    """Neutral names of the hardware faults of 0x13; the bits nobody has assigned are `vendor_14` … `vendor_16`."""
    names = [name for name, _, _ in FAULTS] + [f"vendor_{n}" for n in range(len(FAULTS) + 1, 17)]
    return tuple(name for place, name in enumerate(names) if bits >> place & 1)
