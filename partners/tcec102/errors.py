"""Everything that can go wrong in T/CEC 102, in one tree.

::

    Tcec102Error
    ├── ConfigurationError            keys, options or the contract document are unusable; at start, never per message
    │   └── UnwritableBody            we were asked to send something JSON or the contract cannot carry
    ├── TransportError                client: no reply came back
    │   ├── ConnectFailed             nothing was sent; safe to repeat
    │   ├── TimedOut                  no complete reply in time; the other side may have acted
    │   ├── ConnectionBroken          broken off in the middle; the other side may have acted
    │   └── HttpFailure               an answer without an envelope and with a bad HTTP status
    ├── ProtocolError                 has `ret`, `default_msg`, `field`
    │   ├── Refusal                   server: the call is refused, in the order of the standard
    │   │   ├── OversizedBody   4003  larger than the limit; answered unsigned
    │   │   ├── RateLimited     -1    too many calls; answered unsigned
    │   │   ├── SlowBody        4003  the body did not arrive in time; answered unsigned
    │   │   ├── NotJson         4003  the HTTP body is not a JSON object
    │   │   ├── MissingMember   4003  one of the five envelope members is missing, empty or of a wrong kind
    │   │   ├── UnknownOperator 4003  the caller is unknown or suspended; answered unsigned
    │   │   ├── AddressRefused  4003  the source address is not on the link's allow-list; answered unsigned
    │   │   ├── SignatureMismatch 4001
    │   │   ├── TokenRefused    4002  header missing, of a wrong scheme, unknown or expired token
    │   │   ├── BadTimeStamp    4003  not in an agreed format, or outside the window
    │   │   ├── BadSeq          4003  not of an agreed width
    │   │   ├── Replayed        4003  the same signed text came before, on a link that refuses that
    │   │   ├── Undecryptable   4003  Data is not base64, not a ciphertext of this key, or not JSON inside
    │   │   ├── UnknownInterface 4004 the interface is not served on this link
    │   │   ├── InvalidBody     4004  a business member is missing or wrong
    │   │   ├── Overloaded      -1    every worker is taken and the queue is full
    │   │   └── SystemFailure   500   an unexpected exception; the caller learns nothing else
    │   └── BadReply                  client: an answer came that cannot be used
    │       ├── GarbledReply          not an envelope
    │       ├── ReplySignatureMismatch
    │       ├── ReplyUndecryptable
    │       └── InvalidReplyBody      Ret 0, but a business member is missing or wrong
    └── BusinessError                 raised by handlers; has `ret`, `field`, `msg`
        ├── Busy            -1        a lock or a dependency is not free now; the caller retries
        └── TokenRejected             client: query_token was answered, but gave no token

The codes and their order are T/CEC 102 part .4 and section 7 of the digest. There is no other code in the 2016 table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from partners.tcec102.results import Attempt

RET_OK = 0
RET_BUSY = -1
RET_SYSTEM = 500
RET_SIGNATURE = 4001
RET_TOKEN = 4002
RET_ENVELOPE = 4003
RET_BUSINESS = 4004


class Tcec102Error(Exception):
    """Root of every exception this package raises on purpose."""


class ConfigurationError(Tcec102Error):
    """Raised at start when keys, options or the contract document cannot work."""


class UnwritableBody(ConfigurationError):
    """Raised when a body that we send holds a float, a number beyond its fixed scale, or a type JSON does not have."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


# ---------------------------------------------------------------------------------------------------------- transport


class TransportError(Tcec102Error):
    """Base of the client's failures in which no envelope came back."""

    def __init__(self, message: str, attempt: Attempt | None = None) -> None:
        super().__init__(message)
        self.attempt = attempt


class ConnectFailed(TransportError):
    """Raised when no connection could be made (name, refused, TLS, connect time-out): the call was never sent."""


class TimedOut(TransportError):
    """Raised when the request went out and no complete reply came in time: the other side may have acted."""


class ConnectionBroken(TransportError):
    """Raised when the connection broke off after the request may have gone out: the other side may have acted."""


class HttpFailure(TransportError):
    """Raised when a reply without an envelope has an HTTP status other than 200 (a gateway, a redirect, a crash page)."""

    def __init__(self, status: int, attempt: Attempt | None = None) -> None:
        super().__init__(f"HTTP {status} without an envelope", attempt)
        self.status = status


# ----------------------------------------------------------------------------------------------------------- protocol


class ProtocolError(Tcec102Error):
    """Base of violations of the protocol. `msg` goes to the other side, so it never holds a secret or a trace."""

    ret: ClassVar[int] = RET_SYSTEM
    default_msg: ClassVar[str] = "系统错误 system error"

    def __init__(self, detail: str = "", *, field: str = "") -> None:
        self.field = field
        self.msg = _message(self.default_msg, field, detail)
        super().__init__(self.msg)


class Refusal(ProtocolError):
    """Base of refusals by our server. `check` names the step of the standard's order that refused."""

    check: ClassVar[str] = "handler"


class OversizedBody(Refusal):
    """Raised when the body is larger than the limit of 1 MiB (DECISIONS 6)."""

    check = "size"
    ret = RET_ENVELOPE
    default_msg = "报文过大 body too large"


class RateLimited(Refusal):
    """Raised when the caller's address sends faster than the limit."""

    check = "rate"
    ret = RET_BUSY
    default_msg = "系统繁忙，请稍后重试 too many requests, retry later"


class SlowBody(Refusal):
    """Raised when the body does not arrive completely in time."""

    check = "size"
    ret = RET_ENVELOPE
    default_msg = "报文接收超时 body did not arrive in time"


class NotJson(Refusal):
    """Raised when the HTTP body is not a JSON object in UTF-8."""

    check = "json"
    ret = RET_ENVELOPE
    default_msg = "报文不是 JSON 对象 body is not a JSON object"


class MissingMember(Refusal):
    """Raised when OperatorID, Data, TimeStamp, Seq or Sig is missing, empty or neither text nor number."""

    check = "members"
    ret = RET_ENVELOPE
    default_msg = "POST 参数不合法 envelope parameter missing or illegal"


class UnknownOperator(Refusal):
    """Raised when no enabled link of this address belongs to the caller's OperatorID."""

    check = "operator"
    ret = RET_ENVELOPE
    default_msg = "未知或停用的运营商 unknown or suspended operator"


class AddressRefused(Refusal):
    """Raised when the source address is not on the link's allow-list. Same code as an unknown operator."""

    check = "operator"
    ret = RET_ENVELOPE
    default_msg = "来源地址不在白名单 source address not allowed"


class SignatureMismatch(Refusal):
    """Raised when Sig fits none of the link's valid key sets."""

    check = "signature"
    ret = RET_SIGNATURE
    default_msg = "签名错误 signature error"


class TokenRefused(Refusal):
    """Raised when the Authorization header is missing or malformed, or its token is unknown or expired."""

    check = "token"
    ret = RET_TOKEN
    default_msg = "Token 错误 token error"


class BadTimeStamp(Refusal):
    """Raised when TimeStamp has no agreed format or lies outside the link's window."""

    check = "time"
    ret = RET_ENVELOPE
    default_msg = "时间戳不合法 TimeStamp illegal"


class BadSeq(Refusal):
    """Raised when Seq is not digits of an agreed width."""

    check = "time"
    ret = RET_ENVELOPE
    default_msg = "序号不合法 Seq illegal"


class Replayed(Refusal):
    """Raised when a link refuses replays and the same signed text came before, inside its time window."""

    check = "time"
    ret = RET_ENVELOPE
    default_msg = "重复的报文 message replayed"


class Undecryptable(Refusal):
    """Raised when Data cannot be turned into JSON: base64, block length, padding, UTF-8 or syntax."""

    check = "decrypt"
    ret = RET_ENVELOPE
    default_msg = "Data 无法解密 Data cannot be decrypted"


class UnknownInterface(Refusal):
    """Raised, after the envelope was verified, when the interface is not served on this link."""

    check = "interface"
    ret = RET_BUSINESS
    default_msg = "接口不存在或未开通 unknown interface"


class InvalidBody(Refusal):
    """Raised when a business member is missing or wrong; `field` is its path (`ChargeDetails[0].DetailPower`)."""

    check = "body"
    ret = RET_BUSINESS
    default_msg = "业务参数不合法 business parameter illegal"


class Overloaded(Refusal):
    """Raised when all worker threads are taken and the waiting line is full."""

    check = "load"
    ret = RET_BUSY
    default_msg = "系统繁忙，请稍后重试 system busy, retry later"


class SystemFailure(Refusal):
    """Stands for an unexpected exception of ours; the exception itself goes to the log only."""

    check = "system"
    ret = RET_SYSTEM
    default_msg = "系统错误 system error"


class BadReply(ProtocolError):
    """Base of answers that our client cannot use. `attempt` holds what was sent and received."""

    def __init__(self, detail: str = "", *, field: str = "", attempt: Attempt | None = None) -> None:
        super().__init__(detail, field=field)
        self.attempt = attempt


class GarbledReply(BadReply):
    """Raised when an HTTP 200 answer is not a JSON object with a Ret."""

    default_msg = "应答不是信封 reply is not an envelope"


class ReplySignatureMismatch(BadReply):
    """Raised under `verify_response: strict` when the answer's Sig is wrong, or missing although Ret is 0."""

    default_msg = "应答签名错误 reply signature wrong"


class ReplyUndecryptable(BadReply):
    """Raised when Ret is 0 and Data cannot be opened."""

    default_msg = "应答无法解密 reply cannot be decrypted"


class InvalidReplyBody(BadReply):
    """Raised when Ret is 0 and the opened answer violates the contract."""

    default_msg = "应答业务参数不合法 reply business parameter illegal"


# ----------------------------------------------------------------------------------------------------------- business


class BusinessError(Tcec102Error):
    """Raised by a handler to answer with a `Ret` other than 0. Most business failures are *not* this: they are `Ret` 0
    with SuccStat 1 (section 7).

    :param ret: result code, normally 4004.
    :param field: path of the offending member, or empty.
    :param msg: text for the partner, Chinese first.
    :param body: optional answer that is sealed into Data besides the code.
    """

    def __init__(self, ret: int, field: str, msg: str, body: dict[str, Any] | None = None) -> None:
        super().__init__(_message(msg, field, ""))
        self.ret = ret
        self.field = field
        self.msg = _message(msg, field, "")
        self.body = body


class Busy(BusinessError):
    """Raised by a handler when a lock or a dependency is not free for a moment: `Ret` -1, the caller retries later."""

    def __init__(self, msg: str = "系统繁忙，请稍后重试 system busy, retry later") -> None:
        super().__init__(RET_BUSY, "", msg)


class TokenRejected(BusinessError):
    """Raised by the client when `query_token` was answered without a token (Ret ≠ 0, or SuccStat 1 with a FailReason)."""

    def __init__(self, ret: int, fail_reason: int | None, msg: str, attempt: Attempt | None = None) -> None:
        super().__init__(ret, "", msg or f"query_token refused: Ret {ret}, FailReason {fail_reason}")
        self.fail_reason = fail_reason
        self.attempt = attempt


def _message(text: str, field: str, detail: str) -> str:
    parts = [text]
    if field:
        parts.append(field)
    if detail:
        parts.append(detail)
    return ": ".join(parts)
