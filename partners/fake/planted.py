"""Defects that can be planted in the fake partner, one at a time, for whoever tests a tester: each breaks exactly one rule.

They are faults like the others (`faults.Fault`), meant to last (`times: null`). Three places ask this module: the door (checks left
out, added or in another order), the books (a wrong verdict), and the finished answer (members spoilt).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from partners.fake.books import PartnerBooks
from partners.fake.door import Check, Door, Passage, Refusal
from partners.fake.faults import Fault
from partners.fake.fields import Problem
from partners.fake.httpd import Reply, json_reply
from partners.fake.platform import Judgement
from partners.fake.server import Served
from partners.fake.wire import Keys, decrypt, encrypt, parse_json, seal_reply, sign, to_json

PLANTED: Mapping[str, str] = {
    "sig_unchecked": "any Sig is taken",
    "token_unchecked": "calls without a token are served",
    "unknown_token_taken": "any Bearer token is taken",
    "operator_unchecked": "any OperatorID is taken",
    "time_unchecked": "any TimeStamp and Seq are taken",
    "token_first": "the token is checked before the signature",
    "decrypt_first": "Data is decrypted before the signature is checked",
    "json_crash": "a body that is not JSON gives HTTP 500",
    "decrypt_crash": "Data that cannot be opened gives HTTP 500",
    "wrong_member_code": "a missing envelope member `value` is refused with 4004 instead of 4003",
    "unsigned_refusals": "refusals carry an empty Sig",
    "unknown_interface_ok": "every unknown interface answers Ret 0",
    "lower_sig_refused": "a lower-case Sig is refused",
    "line_breaks_refused": "line breaks in Data are refused",
    "escaped_slashes_refused": "the signature is computed over escaped slashes as they were sent",
    "replay_by_seq": "a TimeStamp and Seq that were seen before are refused",
    "unknown_members_refused": "members that are not in the tables are refused",
    "wrong_secret_taken": "a wrong OperatorSecret gets a token",
    "wrong_fail_reason": "a wrong OperatorSecret is told with FailReason 9",
    "token_life": "TokenAvailableTime is `value`",
    "one_token": "a new token makes the older ones invalid",
    "ret_as_text": "Ret is a text",
    "lower_reply_sig": "Sig of answers is in lower case",
    "plain_reply": "Data of answers is an object, not encrypted",
    "member_left_out": "the member `value` is missing in answers",
    "number_as_text": "the member `value` is a text in answers",
    "wrong_echo": "the sequence in answers is not the one of the request",
    "fields_unchecked": "bodies with problems of the kind `value` (missing, type) are taken",
    "repeat_disputed": "an order that comes again is disputed",
    "change_confirmed": "other amounts after the confirmation are confirmed",
    "totals_unchecked": "totals that do not add up are confirmed",
    "unknown_confirmed": "orders of nobody are confirmed",
    "older_sample_refused": "a sample that was overtaken gets SuccStat 1",
    "disputes_dropped": "disputes of the reason `value` are not told",
}
"""Kind and what it breaks."""

_LEFT_OUT: Mapping[str, str] = {
    "sig_unchecked": "signature",
    "token_unchecked": "token",
    "operator_unchecked": "operator",
    "time_unchecked": "time",
}
_MOVED_UP: Mapping[str, str] = {"token_first": "token", "decrypt_first": "decrypt"}
_CRASHES: Mapping[str, str] = {"json_crash": "请求不是", "decrypt_crash": "Data"}
"""Beginnings of the refusals in place of which HTTP 500 comes."""
_BILL_FAULTS = frozenset({"total_money", "sum_period", "detail_sum", "detail_time", "detail_price", "time_order"})
_OVERRULED: Mapping[str, tuple[frozenset[str], int]] = {
    "repeat_disputed": (frozenset({"repeated_order"}), 1),
    "change_confirmed": (frozenset({"changed_order"}), 0),
    "totals_unchecked": (_BILL_FAULTS, 0),
    "unknown_confirmed": (frozenset({"unknown_order"}), 0),
}
"""Findings of the books, and the ConfirmResult that takes the place of the right one."""


class PlantedDoor(Door):
    """The door, with the planted defect of each request in it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._seen: set[tuple[str, str]] = set()

    def plan(self, passage: Passage) -> Iterable[tuple[str, Check]]:
        """The checks without the one that is left out, with the one that is too early, and with one too many."""
        kind = passage.fault.kind if passage.fault else ""
        checks = list(super().plan(passage))
        if kind == "unknown_token_taken" and passage.request.headers.get("authorization", "").startswith("Bearer "):
            kind = "token_unchecked"
        if kind in _MOVED_UP:
            checks = _moved_up(checks, _MOVED_UP[kind])
        added: Mapping[str, Check] = {
            "lower_sig_refused": _upper_sig_only,
            "line_breaks_refused": _one_line_only,
            "escaped_slashes_refused": _no_escapes,
            "replay_by_seq": self._once,
        }
        if kind in added:
            checks.append(("planted", added[kind]))
        return [(name, check) for name, check in checks if name != _LEFT_OUT.get(kind)]

    def _once(self, passage: Passage) -> None:
        pair = (passage.envelope["TimeStamp"], passage.envelope["Seq"])
        if pair in self._seen:
            raise Refusal(4003, "重复的 TimeStamp 与 Seq")
        self._seen.add(pair)


def overlooked(problems: list[Problem], fault: Fault | None) -> bool:
    """Whether the planted defect hides the problems of a body."""
    if fault is None or fault.kind != "fields_unchecked" or not problems:
        return False
    return all(problem.code in (fault.value, "unknown") for problem in problems)


def rejudged(judgement: Judgement, body: Mapping[str, Any], fault: Fault | None, books: PartnerBooks) -> Judgement:
    """The judgement with the wrong verdict in it."""
    kind, data = (fault.kind if fault else ""), judgement.data
    if data is None:
        return judgement
    if kind in _OVERRULED:
        codes, result = _OVERRULED[kind]
        if codes & {finding.code for finding in judgement.findings}:
            data["ConfirmResult"] = result
    elif kind == "older_sample_refused" and _is_older(body, books):
        data["SuccStat"] = 1
    elif kind == "disputes_dropped" and fault is not None:
        _drop(data, fault.number)
    return judgement


def spoilt(served: Served, fault: Fault | None, keys: Keys) -> Served:
    """The finished answer with what is planted in it."""
    kind = fault.kind if fault else ""
    refusal = str(served.entry.get("answer", {}).get("Msg", ""))
    if kind in _CRASHES and refusal.startswith(_CRASHES[kind]):
        return Served(Reply(500, b"<html>Internal Server Error</html>", "text/html"), served.entry)
    if fault is None or kind not in _SPOILERS or served.reply.drop:
        return served
    envelope = parse_json(served.reply.body)
    return Served(json_reply(_SPOILERS[kind](envelope, fault, keys)), served.entry)


# ------------------------------------------------------------------------------------------------------------ the door


def _moved_up(checks: list[tuple[str, Check]], name: str) -> list[tuple[str, Check]]:
    """The check right before the signature."""
    early = next(pair for pair in checks if pair[0] == name)
    others = [pair for pair in checks if pair is not early]
    at = [other for other, _ in others].index("signature")
    return [*others[:at], early, *others[at:]]


def _upper_sig_only(passage: Passage) -> None:
    if passage.envelope["Sig"] != passage.envelope["Sig"].upper():
        raise Refusal(4001, "签名须大写")


def _one_line_only(passage: Passage) -> None:
    if "\n" in passage.envelope["Data"]:
        raise Refusal(4003, "Data含换行")


def _no_escapes(passage: Passage) -> None:
    if rb"\/" in passage.request.body:
        raise Refusal(4001, "签名错误")


# ----------------------------------------------------------------------------------------------------------- the books


def _is_older(body: Mapping[str, Any], books: PartnerBooks) -> bool:
    page = books.pages.get(str(body.get("StartChargeSeq")))
    return page is not None and str(body.get("EndTime")) < page.last_sample_at


def _drop(data: dict[str, Any], reason: int) -> None:
    kept = [dispute for dispute in data["DisputeOrders"] if dispute["DisputeReason"] != reason]
    data["DisputeOrders"] = kept
    data["TotalDisputeOrder"] = len(kept)
    for total, part in (("TotalDisputePower", "TotalPower"), ("TotalDisputeMoney", "TotalMoney")):
        data[total] = sum((dispute[part] for dispute in kept), Decimal(0))


# ---------------------------------------------------------------------------------------------------------- the answer

Envelope = dict[str, Any]
Spoiler = Callable[[Envelope, Fault, Keys], Envelope]


def _resealed(envelope: Envelope, keys: Keys, change: Callable[[dict[str, Any]], None]) -> Envelope:
    if envelope["Ret"] != 0 or not envelope["Data"]:
        return envelope
    body = parse_json(decrypt(envelope["Data"], keys))
    change(body)
    return seal_reply(0, envelope["Msg"], body, keys)


def _signed_again(envelope: Envelope, keys: Keys, **changes: Any) -> Envelope:
    changed = envelope | changes
    return changed | {"Sig": sign(keys, str(changed["Ret"]), changed["Msg"], _text(changed["Data"]))}


def _text(data: object) -> str:
    return data if isinstance(data, str) else json.dumps(data)


def _plain(envelope: Envelope, _fault: Fault, keys: Keys) -> Envelope:
    data = parse_json(decrypt(envelope["Data"], keys)) if envelope["Data"] else {}
    return _signed_again(envelope, keys, Data=data)


def _left_out(envelope: Envelope, fault: Fault, keys: Keys) -> Envelope:
    return _resealed(envelope, keys, lambda body: body.pop(str(fault.value), None))


def _as_text(envelope: Envelope, fault: Fault, keys: Keys) -> Envelope:
    name = str(fault.value)
    return _resealed(envelope, keys, lambda body: body.update({name: to_json(body[name])}))


def _other_sequence(envelope: Envelope, _fault: Fault, keys: Keys) -> Envelope:
    return _resealed(envelope, keys, lambda body: body.update({"StartChargeSeq": "MA00OTHER000000000000000000"}))


def _life(envelope: Envelope, fault: Fault, keys: Keys) -> Envelope:
    return _resealed(envelope, keys, lambda body: body.update({"TokenAvailableTime": fault.value}))


def _wrong_reason(envelope: Envelope, _fault: Fault, keys: Keys) -> Envelope:
    def change(body: dict[str, Any]) -> None:
        body["FailReason"] = 9 if body["FailReason"] == 2 else body["FailReason"]

    return _resealed(envelope, keys, change)


def _given_anyway(envelope: Envelope, _fault: Fault, keys: Keys) -> Envelope:
    right = {"SuccStat": 0, "FailReason": 0, "AccessToken": "given-to-anybody", "TokenAvailableTime": 7200}
    return _resealed(envelope, keys, lambda body: body.update(right if body["FailReason"] == 2 else {}))


def _unsigned(envelope: Envelope, _fault: Fault, _keys: Keys) -> Envelope:
    return envelope if envelope["Ret"] == 0 else envelope | {"Sig": ""}


def _any_interface(envelope: Envelope, _fault: Fault, keys: Keys) -> Envelope:
    unknown = envelope["Ret"] == 4004 and "未实现" in envelope["Msg"]
    return _signed_again(envelope, keys, Ret=0, Msg="", Data=encrypt(b"{}", keys)) if unknown else envelope


def _member_code(envelope: Envelope, fault: Fault, _keys: Keys) -> Envelope:
    missing = envelope["Ret"] == 4003 and envelope["Msg"].endswith(f":{fault.value}")
    return envelope | {"Ret": 4004} if missing else envelope


_SPOILERS: Mapping[str, Spoiler] = {
    "ret_as_text": lambda envelope, _fault, _keys: envelope | {"Ret": str(envelope["Ret"])},
    "lower_reply_sig": lambda envelope, _fault, _keys: envelope | {"Sig": envelope["Sig"].lower()},
    "plain_reply": _plain,
    "member_left_out": _left_out,
    "number_as_text": _as_text,
    "wrong_echo": _other_sequence,
    "token_life": _life,
    "wrong_fail_reason": _wrong_reason,
    "wrong_secret_taken": _given_anyway,
    "unsigned_refusals": _unsigned,
    "unknown_interface_ok": _any_interface,
    "wrong_member_code": _member_code,
}
