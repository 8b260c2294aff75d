"""Problem documents (RFC 9457) and their titles; loads no web framework, unlike `hub.web.problems`."""

from __future__ import annotations

from typing import Any

import orjson

TITLES = {
    400: "请求有误 / bad request",
    401: "需要有效的 API 令牌 / a valid API token is needed",
    403: "令牌没有所需的权限 / the token lacks the scope",
    404: "没有找到 / not found",
    405: "不支持的方法 / method not allowed",
    409: "与当前状态冲突 / conflicts with the present state",
    413: "请求体过大 / request body too large",
    415: "不支持的内容类型 / unsupported media type",
    422: "取值不对 / a value breaks a rule",
    429: "请求过于频繁 / too many requests",
    500: "内部错误 / internal error",
    502: "对方没有给出可用的应答 / the other side gave no usable answer",
    503: "暂时不可用 / temporarily unavailable",
}


def document(status: int, detail: str | None = None, **more: Any) -> bytes:
    """A problem document as bytes."""
    members = {"type": "about:blank", "title": TITLES.get(status, str(status)), "status": status, "detail": detail}
    return orjson.dumps({key: value for key, value in (members | more).items() if value is not None})
