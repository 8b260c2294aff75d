"""Error codes of the artemis gateway and of the parking service, with what each means for us (`specs/parking.md` 4.3). Data."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from parking.port import Outcome

SUCCESS = "0"
SIGNATURE_WRONG = "0x02401003"
STALE_BILL = "0x02e13661"

_GATEWAY = "0x024"


@dataclass(frozen=True, slots=True)
class CodeMeaning:
    """The outcome class of a code and its meaning in words."""

    outcome: Outcome
    meaning: str


def _table(rows: dict[Outcome, dict[str, str]]) -> MappingProxyType[str, CodeMeaning]:
    return MappingProxyType(
        {code: CodeMeaning(outcome, meaning) for outcome, codes in rows.items() for code, meaning in codes.items()}
    )


CODES = _table(
    {
        Outcome.RETRYABLE: {
            "0x02400001": "网关内部错误 gateway internal error",
            "0x02400004": "提供方调用失败 provider call failed",
            "0x0240100b": "调用次数用尽 call quota used up",
            "0x0240100c": "调用统计失败 call statistics failed",
            "0x02401030": "后端服务异常 backend down",
            "0x02401031": "连接后端超时 backend connect timeout",
            "0x02401032": "后端拒绝连接 backend refused",
            "0x02401034": "后端服务异常 backend failed",
            "0x02401035": "熔断 circuit open, wait 30 s",
            "0x02401036": "限流 rate limit",
            "0x02401037": "无后端地址 no backend address",
            "0x02401038": "后端不可用 backend not reachable",
            "0x02401039": "后端不可用 backend not reachable",
            "0x0240103b": "限流 rate limit",
            "0x00052101": "服务过载 service overloaded",
            "0x00052102": "服务错误 service error",
            "0x00052104": "服务不可用 service unavailable",
            "0x02e13000": "停车服务内部错误 parking service internal error",
            "0x02e13661": "账单无效或已过期 bill id wrong or stale: fetch a new bill",
        },
        Outcome.UNKNOWN: {
            "0x02401033": "后端应答超时 backend read timeout: may have been carried out",
            "0x00052103": "服务超时 service timeout: may have been carried out",
            "0x00052301": "未知错误 unknown error",
        },
        Outcome.CONFIGURATION: {
            "0x02401000": "appKey 为空 appKey empty",
            "0x02401001": "appKey 不存在 appKey unknown",
            "0x02401002": "签名为空 signature empty",
            "0x02401003": "签名错误 signature wrong",
            "0x02401004": "令牌无效 token invalid",
            "0x02401005": "令牌为空 token empty",
            "0x02401006": "令牌异常 token abnormal",
            "0x02401007": "令牌过期 token expired",
            "0x02401008": "接口未授权 API not granted to this appKey",
            "0x02401009": "权限校验失败 permission check failed",
            "0x0240101b": "来源 IP 不允许 caller IP not allowed",
            "0x0240101c": "来源 MAC 不允许 caller MAC not allowed",
            "0x0240101d": "来源 IP 与 MAC 不允许 caller IP and MAC not allowed",
            "0x0240103a": "组件未安装 component not installed",
            "0x0240103c": "该接口要求 https this API needs https",
            "0x00072201": "资源未授权 resource not granted",
            "0x00072203": "许可错误 licence",
            "0x00072204": "许可错误 licence",
            "0x02e13201": "停车库编号错误 park id wrong",
        },
        Outcome.PERMANENT: {
            "0x0240100a": "参数转换失败 parameter conversion failed",
            "0x02401021": "请求 JSON 错误 request JSON bad",
            "0x02401022": "应答 JSON 错误 response JSON bad",
            "0x02401023": "字符集错误 charset",
            "0x00072001": "缺少必填参数 required parameter missing",
            "0x00072002": "参数超出范围 parameter out of range",
            "0x00072003": "参数格式错误 parameter format",
            "0x00072004": "应答过长 response too long",
            "0x00072005": "未知参数 unknown parameter",
            "0x00072006": "参数过长 parameter too long",
            "0x02e33005": "分页参数错误 paging",
        },
        Outcome.BUSINESS_REFUSED: {
            # Said about one plate or bill, so it must not hold the whole park like a configuration error.
            "0x00072202": "资源不存在 resource not found",
            "0x02e33400": "车牌无效或为空 plate invalid or empty; is it a temporary car?",
        },
    }
)


def meaning_of(code: str) -> CodeMeaning:
    """The meaning of a failure code. An unlisted one of the gateway may pass by itself; any other is a refusal of the service."""
    known = CODES.get(code[:2] + code[2:].lower())
    if known is not None:
        return known
    outcome = Outcome.RETRYABLE if code.lower().startswith(_GATEWAY) else Outcome.BUSINESS_REFUSED
    return CodeMeaning(outcome, f"未列出的错误码 unlisted code {code}")
