"""`hub tcec open|seal|sign|call`: the envelope by hand, for whoever is connecting two platforms. Needs no database and no settings.

Messages come from standard input and go to standard output. A message that is refused ends with status 1 and one JSON object that
names the code of the standard, the check and the member.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn, TypeVar

import structlog
import typer

from charging_core.clock import SystemClock
from hub.cli.conformance import conformance
from hub.cli.screen import err
from partners.tcec102 import crypto, jsonio
from partners.tcec102 import envelope as envelopes
from partners.tcec102.client import OutboundLink, TcecClient
from partners.tcec102.contract import Contract
from partners.tcec102.errors import (
    RET_ENVELOPE,
    RET_SIGNATURE,
    ConfigurationError,
    MissingMember,
    NotJson,
    ProtocolError,
    Refusal,
    ReplySignatureMismatch,
    Tcec102Error,
    TokenRejected,
    UnknownOperator,
)
from partners.tcec102.keys import KeyEncoding, KeySet
from partners.tcec102.options import BodyOptions
from partners.tcec102.sending import ThreadSessions
from partners.tcec102.timestamps import SeqCounter
from partners.tcec102.tokens import TokenCache

tcec_app = typer.Typer(
    no_args_is_help=True, help="T/CEC 102 信封工具与一致性测试 / envelope tools and conformance test"
)
tcec_app.command()(conformance)

T = TypeVar("T")

_NO_SECRET = "not-used"  # noqa: S105 - stands where only query_token needs an operator secret
_SIGNED_IN_REQUESTS = ("OperatorID", "Data", "TimeStamp", "Seq")
_SIGNED_IN_ANSWERS = ("Ret", "Msg", "Data")

OperatorId = Annotated[str, typer.Option("--operator-id", help="发送方 OperatorID / the sender's code")]
OptionalOperatorId = Annotated[
    str | None,
    typer.Option("--operator-id", help="应为的 OperatorID, 不给则不核对 / expected sender; not checked if absent"),
]
DataSecret = Annotated[str, typer.Option("--data-secret", envvar="TCEC_DATA_SECRET", help="DataSecret (消息密钥)")]
DataIv = Annotated[str, typer.Option("--data-iv", envvar="TCEC_DATA_IV", help="DataSecretIV (初始化向量)")]
SigSecret = Annotated[str, typer.Option("--sig-secret", envvar="TCEC_SIG_SECRET", help="SigSecret (签名密钥)")]
OperatorSecret = Annotated[
    str, typer.Option("--operator-secret", envvar="TCEC_OPERATOR_SECRET", help="OperatorSecret (运营商密钥)")
]
Encoding = Annotated[KeyEncoding, typer.Option("--key-encoding", help="密钥写法 / how the keys are written")]
IsResponse = Annotated[bool, typer.Option("--response", help="应答信封 / an answer's envelope, not a request's")]
TimeStamp = Annotated[str | None, typer.Option("--timestamp", help="TimeStamp, 默认现在 / default: now, China time")]


@tcec_app.callback()
def speak() -> None:
    """T/CEC 102 信封工具与一致性测试 / envelope tools and conformance test."""
    # Standard output belongs to the messages.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


@tcec_app.command("open")
def open_message(
    data_secret: DataSecret,
    data_iv: DataIv,
    sig_secret: SigSecret,
    operator_id: OptionalOperatorId = None,
    response: IsResponse = False,
    key_encoding: Encoding = KeyEncoding.RAW,
) -> None:
    """验签并解密: 标准输入为信封, 标准输出为业务 JSON / verify and decrypt the envelope on standard input."""
    keys = _keys(data_secret, data_iv, sig_secret, key_encoding)
    with _refusals():
        raw = _stdin()
        body = envelopes.open_reply(raw, keys).body if response else _opened_request(raw, keys, operator_id)
    _print(body)


@tcec_app.command()
def seal(
    data_secret: DataSecret,
    data_iv: DataIv,
    sig_secret: SigSecret,
    operator_id: OptionalOperatorId = None,
    response: IsResponse = False,
    ret: Annotated[int, typer.Option(help="应答的 Ret / Ret of the answer")] = 0,
    msg: Annotated[str, typer.Option(help="应答的 Msg / Msg of the answer")] = "",
    timestamp: TimeStamp = None,
    seq: Annotated[str | None, typer.Option(help="Seq, 默认 0001 / default 0001")] = None,
    key_encoding: Encoding = KeyEncoding.RAW,
) -> None:
    """加密并签名: 标准输入为业务 JSON, 标准输出为信封 / encrypt and sign the JSON on standard input."""
    keys = _keys(data_secret, data_iv, sig_secret, key_encoding)
    plain = _business_json()
    if response:
        _print(envelopes.seal_reply(ret, msg, plain or None, keys))
        return
    if not operator_id:
        raise typer.BadParameter("请求需要 / a request needs it", param_hint="--operator-id")
    now, counted = SeqCounter(SystemClock()).next()
    _print(envelopes.seal_request(plain, operator_id, keys, timestamp or now, seq or counted))


@tcec_app.command()
def sign(sig_secret: SigSecret, response: IsResponse = False) -> None:
    """计算 Sig: 标准输入为信封 (Sig 可缺) / the Sig that the envelope on standard input must have."""
    keys = _keys("0" * 16, "0" * 16, sig_secret, KeyEncoding.RAW)
    with _refusals():
        message = _signed_text(_stdin(), _SIGNED_IN_ANSWERS if response else _SIGNED_IN_REQUESTS)
    typer.echo(crypto.sign(message, keys))


@tcec_app.command()
def call(
    base_url: Annotated[
        str, typer.Argument(help="对方地址, 到版本段为止 / their base address, with its version segment")
    ],
    interface: Annotated[str, typer.Argument(help="接口名 / interface name")],
    operator_id: OperatorId,
    operator_secret: OperatorSecret,
    data_secret: DataSecret,
    data_iv: DataIv,
    sig_secret: SigSecret,
    key_encoding: Encoding = KeyEncoding.RAW,
) -> None:
    """调用对方一个接口 (先取令牌): 标准输入为业务 JSON / call one interface with the JSON on standard input, token included."""
    keys = _keys(data_secret, data_iv, sig_secret, key_encoding, operator_secret)
    body = jsonio.loads_body(_business_json() or b"{}")
    http = ThreadSessions()
    try:
        link = _configured(
            lambda: OutboundLink("hub tcec call", operator_id, base_url, keys, bodies=BodyOptions.lenient())
        )
        client = TcecClient(link, http, TokenCache(), SystemClock(), Contract.standard())
        with _refusals():
            if interface == "query_token":
                body = {"OperatorID": operator_id, "OperatorSecret": operator_secret}
            result = client.call(interface, body)
    finally:
        http.close()
    _print({"ret": result.ret, "msg": result.msg, "data": result.body, "ms": round(result.duration_ms)})
    raise typer.Exit(0 if result.ok else 1)


def _opened_request(raw: bytes, keys: KeySet, operator_id: str | None) -> Any:
    parsed = envelopes.parse_request(raw)
    if operator_id is not None and parsed.operator_id != operator_id:
        raise UnknownOperator(field="OperatorID")
    return envelopes.open_request(raw, keys)


def _keys(data: str, initial: str, sig: str, encoding: KeyEncoding, operator: str = _NO_SECRET) -> KeySet:
    return _configured(lambda: KeySet(operator, data, initial, sig, encoding))


def _configured(build: Callable[[], T]) -> T:
    try:
        return build()
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from error


def _signed_text(raw: bytes, names: tuple[str, ...]) -> str:
    """What the signature covers, by section 5: the members one after the other, a null or missing Msg as nothing."""
    try:
        members = jsonio.read_object(raw)
    except ValueError as error:
        raise NotJson from error
    missing = [name for name in names if name not in members and name != "Msg"]
    if missing:
        raise MissingMember(field=missing[0])
    return "".join("" if members.get(name) is None else str(members[name]) for name in names)


def _stdin() -> bytes:
    return sys.stdin.buffer.read()


def _business_json() -> bytes:
    """Standard input as compact JSON with its decimals as they were written; empty stays empty."""
    raw = _stdin()
    if not raw.strip():
        return b""
    try:
        return jsonio.dumps(jsonio.loads_body(raw, byte_order_mark=True))
    except ValueError as error:
        err.print(f"标准输入不是 JSON / standard input is not JSON: {error}", style="red", markup=False)
        raise typer.Exit(2) from error


def _print(body: Any) -> None:
    typer.echo(jsonio.dumps(body).decode())


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except TokenRejected as error:
        _refuse(error.ret, "token", "", error.msg)
    except ProtocolError as error:
        check = error.check if isinstance(error, Refusal) else type(error).__name__
        _refuse(_code(error), check, error.field, error.msg)
    except Tcec102Error as error:
        _refuse(None, type(error).__name__, "", str(error))


def _code(error: ProtocolError) -> int:
    """The code of the standard; what is wrong with an answer has none of its own and gets that of the same fault in a request."""
    if isinstance(error, Refusal):
        return error.ret
    return RET_SIGNATURE if isinstance(error, ReplySignatureMismatch) else RET_ENVELOPE


def _refuse(ret: int | None, check: str, field: str, msg: str) -> NoReturn:
    typer.echo(json.dumps({"ret": ret, "check": check, "field": field, "msg": msg}, ensure_ascii=False))
    raise typer.Exit(1)
