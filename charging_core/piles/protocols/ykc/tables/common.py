"""Fields and enumerations that several frames share."""

from charging_core.piles.protocols.ykc.fields import Field, bcd, number, raw

PILE_CODE = bcd("pile_code", 7, "桩编号", "pile code")
CONNECTOR_NO = bcd("connector_no", 1, "枪号", "connector number")
TRADE_NUMBER = bcd("trade_number", 16, "交易流水号", "trade number")
PREFIX = (TRADE_NUMBER, PILE_CODE, CONNECTOR_NO)
"""The 24 bytes with which every frame of one charge begins (P24)."""

LOGICAL_CARD = bcd("logical_card", 8, "逻辑卡号", "logical card number")
PHYSICAL_CARD = raw("physical_card", 8, "物理卡号", "physical card number")
PARALLEL_NUMBER = bcd("parallel_number", 6, "并充序号", "parallel charge number")
MODEL_NUMBER = bcd("model_number", 2, "计费模型编号", "billing model number")

RATES = (("sharp", "尖", "sharp"), ("peak", "峰", "peak"), ("flat", "平", "flat"), ("valley", "谷", "valley"))
"""Rate 0…3 in wire order: name in code, Chinese, English."""

OK_IS_0 = {0: ("成功", "ok"), 1: ("失败", "failed")}
OK_IS_1 = {0: ("失败", "failed"), 1: ("成功", "ok")}
"""The polarity of results differs between frames; mixing these two up is the classic bug (specs/ykc.md 5, trap 4)."""

STATUS = {0: ("离线", "offline"), 1: ("故障", "fault"), 2: ("空闲", "idle"), 3: ("充电", "charging")}
WHEN = {1: ("立即执行", "now"), 2: ("空闲执行", "when idle")}
ROLE = {0: ("主枪", "main"), 1: ("辅枪", "auxiliary")}


def result(names: dict[int, tuple[str, str]]) -> Field:
    """A one-byte result."""
    return number("result", 1, "结果", "result", names=names)


def reason(names: dict[int, tuple[str, str]]) -> Field:
    """A one-byte reason of failure."""
    return number("reason", 1, "失败原因", "reason", names={0: ("无", "none"), **names})
