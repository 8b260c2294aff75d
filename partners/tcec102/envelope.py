"""Seal and open the envelopes of T/CEC 102.4: pure functions, no clock, no I/O, no log.

``seal_request`` / ``open_request`` and ``seal_reply`` / ``open_reply`` are the whole public surface for most users. The server
door uses the finer steps ``parse_request``, ``matching_keys`` and ``open_data``, because the standard fixes their order.

Signatures are checked over the literal text that was sent, before decryption and before any conversion.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from partners.tcec102 import crypto, jsonio
from partners.tcec102.errors import (
    GarbledReply,
    MissingMember,
    NotJson,
    ReplySignatureMismatch,
    ReplyUndecryptable,
    SignatureMismatch,
    Undecryptable,
)
from partners.tcec102.keys import KeySet
from partners.tcec102.options import (
    REQUEST_SIGNING,
    RESPONSE_SIGNING,
    STANDARD_ENVELOPE,
    EnvelopeOptions,
    KeyStyle,
    Verify,
)

Body = bytes | Mapping[str, Any]
"""What can be sealed: JSON bytes as they are, or a mapping for ``jsonio.dumps``."""

REQUEST_MEMBERS = ("OperatorID", "Data", "TimeStamp", "Seq", "Sig")
_LOWER = {"OperatorID": "operatorID", "TimeStamp": "timeStamp"} | {n: n.lower() for n in ("Data", "Seq", "Sig")}
_REQUEST_NAMES = {
    KeyStyle.UPPER: REQUEST_MEMBERS,
    KeyStyle.LOWER_CAMEL: tuple(_LOWER[name] for name in REQUEST_MEMBERS),
}
_five = itemgetter(*REQUEST_MEMBERS)
_TEXT_ONLY = {str}
_RET = re.compile(r"-?[0-9]{1,9}")
_REPLY_NAMES = {
    KeyStyle.UPPER: ("Ret", "Msg", "Data", "Sig"),
    KeyStyle.LOWER_CAMEL: ("ret", "msg", "data", "sig"),
}


class RequestEnvelope(NamedTuple):
    """The five members of a request as literal text, nothing verified yet."""

    operator_id: str
    data: str
    timestamp: str
    seq: str
    sig: str
    style: KeyStyle = KeyStyle.UPPER
    plain_object: bool = False
    """Data was a JSON object instead of a text; ``data`` is its literal JSON."""


@dataclass(frozen=True, slots=True)
class OpenedReply:
    """An answer: result code, text, opened body (None when there is none) and whether its signature was proven."""

    ret: int
    msg: str
    body: Any
    verified: bool


# ----------------------------------------------------------------------------------------------------------- requests


def seal_request(
    body: Body,
    operator_id: str,
    keys: KeySet,
    timestamp: str,
    seq: str,
    *,
    options: EnvelopeOptions = STANDARD_ENVELOPE,
    encrypted: bool = True,
) -> dict[str, Any]:
    """A signed request envelope, ready for ``orjson.dumps``.

    :param operator_id: the caller's own code, in both directions (section 3).
    :param timestamp: TimeStamp text, see ``timestamps.render_timestamp``.
    :param encrypted: False sends the JSON text itself as Data, for links that agreed on it.
    """
    plain = _as_bytes(body)
    data = crypto.encrypt(plain, keys) if encrypted else plain.decode("utf-8")
    message = _request_message(operator_id, data, timestamp, seq, options)
    values = (operator_id, data, timestamp, seq, _our_signature(message, keys, options))
    return dict(zip(_REQUEST_NAMES[options.request_keys_out], values, strict=True))


def open_request(
    envelope: bytes | Mapping[str, Any],
    keys: KeySet,
    *,
    options: EnvelopeOptions = STANDARD_ENVELOPE,
    allow_plain: bool = False,
) -> Any:
    """The decrypted body of a request whose members and signature are right.

    :raises NotJson, MissingMember: (4003) the envelope is malformed.
    :raises SignatureMismatch: (4001).
    :raises Undecryptable: (4003) Data is not a ciphertext of ``keys`` with JSON inside.
    """
    parsed = parse_request(envelope)
    matching_keys(parsed, (keys,), options)
    return open_data(parsed, keys, options, allow_plain=allow_plain)


def parse_request(envelope: bytes | Mapping[str, Any]) -> RequestEnvelope:
    """The five members, in either case of their names; unknown members are ignored. Numbers keep their literal text.

    :raises NotJson: (4003) not a JSON object.
    :raises MissingMember: (4003) a member is missing, empty, or neither text nor number (Data may be an object).
    """
    members = _members(envelope)
    if (usual := _usual(members)) is not None:
        return usual
    style = KeyStyle.UPPER if "OperatorID" in members or not _is_lower(members) else KeyStyle.LOWER_CAMEL
    values: list[Any] = [members.get(name) for name in _REQUEST_NAMES[style]]
    plain_object = type(values[1]) is dict
    if not all(values) or {*map(type, values)} != _TEXT_ONLY:
        values = _literals(envelope, members, style)
    operator_id, data, timestamp, seq, sig = values
    return RequestEnvelope(operator_id, data, timestamp, seq, sig, style, plain_object)


def matching_keys(
    envelope: RequestEnvelope, key_sets: Iterable[KeySet], options: EnvelopeOptions = STANDARD_ENVELOPE
) -> KeySet:
    """The first of the valid key sets (several during a rotation) under which the signature is right.

    :raises SignatureMismatch: (4001) none fits.
    """
    message = _request_message(envelope.operator_id, envelope.data, envelope.timestamp, envelope.seq, options)
    any_case = options.hex_case_in == "any"
    for keys in key_sets:
        if crypto.same_signature(crypto.sign(message, keys), envelope.sig, any_case=any_case):
            return keys
    raise SignatureMismatch(field="Sig")


def open_data(
    envelope: RequestEnvelope,
    keys: KeySet,
    options: EnvelopeOptions = STANDARD_ENVELOPE,
    *,
    allow_plain: bool = False,
    byte_order_mark: bool = False,
) -> Any:
    """The JSON inside Data; call it after ``matching_keys``.

    :param allow_plain: also take an object, or a JSON text, that was not encrypted.
    :raises Undecryptable: (4003).
    """
    if envelope.plain_object and not allow_plain:
        raise Undecryptable("not encrypted", field="Data")
    try:
        plain = _plain_data(envelope.data, keys, options, allow_plain)
        return jsonio.loads_body(plain, byte_order_mark=byte_order_mark)
    except crypto.CipherError as error:
        raise Undecryptable(str(error), field="Data") from error
    except ValueError as error:
        raise Undecryptable("the plain text is not JSON", field="Data") from error


# ------------------------------------------------------------------------------------------------------------ replies


def seal_reply(
    ret: int,
    msg: str,
    body: Body | None,
    keys: KeySet,
    *,
    options: EnvelopeOptions = STANDARD_ENVELOPE,
    style: KeyStyle = KeyStyle.UPPER,
    encrypted: bool = True,
) -> dict[str, Any]:
    """A signed answer envelope. ``body`` None gives the Data that ``options.empty_data`` says.

    :param style: case of the request; used when the options mirror it.
    """
    data = _reply_data(body, keys, options, encrypted)
    message = _reply_message(str(ret), msg, data or "", options)
    values = (ret, msg, data, _our_signature(message, keys, options))
    return dict(zip(_REPLY_NAMES[options.reply_keys or style], values, strict=True))


def success_bytes(
    body: bytes, keys: KeySet, *, options: EnvelopeOptions = STANDARD_ENVELOPE, style: KeyStyle = KeyStyle.UPPER
) -> bytes:
    """``seal_reply`` with Ret 0 and without Msg, as JSON.

    Nearly every answer is one of these as the standard writes it. It is put together from ASCII bytes: as a text it would be decoded,
    joined, encoded and escaped again, all of its length.
    """
    if not _writes_standard(options, style):
        return orjson.dumps(seal_reply(0, "", body, keys, options=options, style=style))
    data = crypto.encrypt_ascii(body, keys)
    signature = crypto.sign_bytes(keys, b"0", data).encode("ascii")
    return b"".join((b'{"Ret":0,"Msg":"","Data":"', data, b'","Sig":"', signature, b'"}'))


def _writes_standard(options: EnvelopeOptions, style: KeyStyle) -> bool:
    return (
        (options.reply_keys or style) is KeyStyle.UPPER
        and options.hex_case_out == "upper"
        and options.response_signing == RESPONSE_SIGNING
    )


def unsigned_reply(ret: int, msg: str, style: KeyStyle = KeyStyle.UPPER) -> dict[str, Any]:
    """An answer to somebody whose keys we do not know: empty Data, empty Sig (section 7)."""
    return dict(zip(_REPLY_NAMES[style], (ret, msg, "", ""), strict=True))


def open_reply(
    envelope: bytes | Mapping[str, Any],
    keys: KeySet,
    *,
    options: EnvelopeOptions = STANDARD_ENVELOPE,
    allow_plain: bool = False,
    byte_order_mark: bool = False,
) -> OpenedReply:
    """Verify and open an answer. With Ret other than 0 an unusable Data gives ``body`` None instead of an error.

    :raises GarbledReply: not a JSON object with a Ret.
    :raises ReplySignatureMismatch: by ``options.verify_response``; an answer with Ret ≠ 0 may be unsigned.
    :raises ReplyUndecryptable: Ret is 0 and Data cannot be opened.
    """
    reply = _parse_reply(envelope)
    verified = _verify_reply(reply, keys, options)
    if reply.ret != 0 and not verified and options.verify_response is Verify.STRICT:
        return OpenedReply(reply.ret, reply.msg or "", None, verified)
    body = _reply_body(reply, keys, options, allow_plain, byte_order_mark)
    return OpenedReply(reply.ret, reply.msg or "", body, verified)


# ------------------------------------------------------------------------------------------------------------ private


@dataclass(frozen=True, slots=True)
class _Reply:
    ret: int
    ret_text: str
    msg: str | None
    data: str
    sig: str
    plain_object: bool


def _as_bytes(body: Body) -> bytes:
    return body if isinstance(body, bytes) else jsonio.dumps(body)


def _our_signature(message: str, keys: KeySet, options: EnvelopeOptions) -> str:
    signature = crypto.sign(message, keys)
    return signature.lower() if options.hex_case_out == "lower" else signature


def _request_message(operator_id: str, data: str, timestamp: str, seq: str, options: EnvelopeOptions) -> str:
    if options.request_signing == REQUEST_SIGNING:
        return f"{operator_id}{data}{timestamp}{seq}"
    members = {"OperatorID": operator_id, "Data": data, "TimeStamp": timestamp, "Seq": seq}
    return options.request_signing.format_map(members)


def _reply_message(ret: str, msg: str, data: str, options: EnvelopeOptions) -> str:
    if options.response_signing == RESPONSE_SIGNING:
        return f"{ret}{msg}{data}"
    return options.response_signing.format_map({"Ret": ret, "Msg": msg, "Data": data})


def _members(envelope: bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(envelope, bytes):
        return envelope
    try:
        return jsonio.read_object(envelope)
    except ValueError as error:
        raise NotJson from error


def _usual(members: Mapping[str, Any]) -> RequestEnvelope | None:
    """The envelope when it is as the standard writes it, five texts, which nearly all are."""
    try:
        values = _five(members)
    except KeyError:
        return None
    return RequestEnvelope(*values) if {*map(type, values)} == _TEXT_ONLY and all(values) else None


def _is_lower(members: Mapping[str, Any]) -> bool:
    """Lower camel only when no standard name is there, so that a stray member cannot switch the reading."""
    lower = _REQUEST_NAMES[KeyStyle.LOWER_CAMEL]
    return not any(name in members for name in REQUEST_MEMBERS) and any(name in members for name in lower)


def _literals(envelope: bytes | Mapping[str, Any], members: Mapping[str, Any], style: KeyStyle) -> list[str]:
    try:
        literal = jsonio.literal_members(_text(envelope))
    except ValueError as error:
        raise NotJson from error
    values = []
    for name in _REQUEST_NAMES[style]:
        text = _literal(members.get(name), literal.get(name, ""), allow_object=name.lower() == "data")
        if not text:
            raise MissingMember(field=name)
        values.append(text)
    return values


def _text(envelope: bytes | Mapping[str, Any]) -> str:
    raw = envelope if isinstance(envelope, bytes) else orjson.dumps(dict(envelope))
    return raw.decode("utf-8")


def _literal(value: Any, literal: str, *, allow_object: bool) -> str:
    """The text of a member: itself, or the digits it was written with; empty when it is neither."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float) or (allow_object and isinstance(value, dict)):
        return literal
    return ""


def _plain_data(data: str, keys: KeySet, options: EnvelopeOptions, allow_plain: bool) -> bytes:
    if allow_plain and data.lstrip()[:1] in ("{", "["):
        return data.encode("utf-8")
    return crypto.decrypt(data, keys, allow_line_breaks=options.base64_line_breaks)


def _reply_data(body: Body | None, keys: KeySet, options: EnvelopeOptions, encrypted: bool) -> str | None:
    if body is None:
        if options.empty_data != "encrypt_{}":
            return options.empty_data
        body = b"{}"
    plain = _as_bytes(body)
    return crypto.encrypt(plain, keys) if encrypted else plain.decode("utf-8")


def _parse_reply(envelope: bytes | Mapping[str, Any]) -> _Reply:
    try:
        members = _members(envelope)
        style = KeyStyle.UPPER if "Ret" in members else KeyStyle.LOWER_CAMEL
        names = _REPLY_NAMES[style]
        literal = jsonio.literal_members(_text(envelope))
    except (NotJson, ValueError) as error:
        raise GarbledReply from error
    raw_msg = members.get(names[1])
    texts = [_literal(members.get(name), literal.get(name, ""), allow_object=name.lower() == "data") for name in names]
    msg = None if raw_msg is None else texts[1]
    return _Reply(_ret(texts[0]), texts[0], msg, texts[2], texts[3], isinstance(members.get(names[2]), dict))


def _ret(text: str) -> int:
    if not _RET.fullmatch(text):
        raise GarbledReply("no usable Ret", field="Ret")
    return int(text)


def _verify_reply(reply: _Reply, keys: KeySet, options: EnvelopeOptions) -> bool:
    if options.verify_response is Verify.OFF:
        return False
    any_case = options.hex_case_in == "any"
    for message in _reply_messages(reply, options):
        if crypto.same_signature(crypto.sign(message, keys), reply.sig, any_case=any_case):
            return True
    unsigned_refusal = reply.ret != 0 and not reply.sig
    if options.verify_response is Verify.STRICT and not unsigned_refusal:
        raise ReplySignatureMismatch(field="Sig")
    return False


def _reply_messages(reply: _Reply, options: EnvelopeOptions) -> Iterable[str]:
    yield _reply_message(reply.ret_text, reply.msg or "", reply.data, options)
    if reply.msg is None and options.null_msg_as:
        yield _reply_message(reply.ret_text, options.null_msg_as, reply.data, options)


def _reply_body(reply: _Reply, keys: KeySet, options: EnvelopeOptions, allow_plain: bool, bom: bool) -> Any:
    if not reply.data:
        return {} if reply.ret == 0 else None
    try:
        if reply.plain_object and not allow_plain:
            raise ValueError("not encrypted")
        return jsonio.loads_body(_plain_data(reply.data, keys, options, allow_plain), byte_order_mark=bom)
    except ValueError as error:
        if reply.ret != 0:
            return None
        raise ReplyUndecryptable(field="Data") from error
