"""The door: every check of section 7, in its order, with its code; and what handlers may do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging_core.clock import ManualClock
from partners.tcec102 import envelope
from partners.tcec102.contract import Contract
from partners.tcec102.errors import BusinessError, Busy, ConfigurationError
from partners.tcec102.keys import KeySet
from partners.tcec102.memory import MemoryLinkDirectory, MemorySink, NoLimit, TokenBuckets
from partners.tcec102.options import EnvelopeOptions, KeyStyle, TimeFormat
from partners.tcec102.ports import InboundLink
from partners.tcec102.receive import MAX_BODY_BYTES, Door, receive
from partners.tcec102.tokens import MemoryTokenStore
from partners.tcec102.visit import InboundCall

MakeDoor = Callable[..., Door]
CallFor = Callable[..., InboundCall]
Opened = Callable[[bytes], envelope.OpenedReply]

BASE = "/demo/evcs/v1/"
PARTNER = "MA5TEST02"
STOP = {"StartChargeSeq": "MA5TEST02241027080000000001", "ConnectorID": "3301060001001"}
KEYS = KeySet("op-secret-1", "9f3c1b7e5a2d4860", "0123456789abcdef", "7c1e9a4b3d5f6082")
NEXT_KEYS = KeySet("op-secret-2", "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc")


# ------------------------------------------------------------------------------------------------------ order of checks

ORDER = ["size", "rate", "json", "members", "operator", "signature", "token", "time", "decrypt", "interface", "body"]
RETS = dict(zip(ORDER, [4003, -1, 4003, 4003, 4003, 4001, 4002, 4003, 4003, 4004, 4004], strict=True))
UNSIGNED = {"size", "rate", "json", "members", "operator"}


@dataclass
class Denied:
    allowed: bool

    def allow(self, base: str, remote: str) -> bool:
        return self.allowed


def violate(wrong: set[str], token: str) -> InboundCall:
    """A call that violates exactly the given checks."""
    body = {"StartChargeSeq": STOP["StartChargeSeq"]} if "body" in wrong else STOP
    stamp = "20241027090000" if "time" in wrong else "20241027080000"
    operator = "UNKNOWN00" if "operator" in wrong else PARTNER
    members = envelope.seal_request(body, operator, KEYS, stamp, "0001")
    if "decrypt" in wrong:
        members["Data"] = members["Data"][:-4]
        parsed = envelope.RequestEnvelope(operator, members["Data"], stamp, "0001", "")
        members["Sig"] = _sign(parsed)
    if "signature" in wrong:
        members["Sig"] = "0" * 32
    if "members" in wrong:
        del members["Seq"]
    raw = orjson.dumps(members)
    if "json" in wrong:
        raw = raw[:-1]
    if "size" in wrong:
        raw += b" " * MAX_BODY_BYTES
    interface = "query_nothing" if "interface" in wrong else "query_stop_charge"
    return InboundCall(BASE, interface, raw, None if "token" in wrong else f"Bearer {token}", "192.0.2.7")


def _sign(parsed: envelope.RequestEnvelope) -> str:
    from partners.tcec102 import crypto

    return crypto.sign(parsed.operator_id + parsed.data + parsed.timestamp + parsed.seq, KEYS)


def _expect(wrong: set[str], door: Door, token: str, sink: MemorySink) -> None:
    first = next((check for check in ORDER if check in wrong), None)
    reply = receive(violate(wrong, token), door)
    answer = orjson.loads(reply.payload)
    assert answer["Ret"] == reply.ret == (RETS[first] if first else 0)
    assert sink.exchanges[-1].failed_check == (first or "")
    if first in UNSIGNED:
        assert (answer["Data"], answer["Sig"]) == ("", "")
    else:
        assert envelope.open_reply(reply.payload, KEYS).verified


@pytest.fixture
def windowed(link: InboundLink) -> InboundLink:
    return replace(link, envelope=EnvelopeOptions(max_skew_s=600))


@pytest.mark.parametrize("position", range(len(ORDER) + 1))
def test_the_earliest_violation_answers(
    position: int, make_door: MakeDoor, windowed: InboundLink, token: str, sink: MemorySink
) -> None:
    for wrong in ({ORDER[position]} if position < len(ORDER) else set(), set(ORDER[position:])):
        door = make_door(link=windowed, limiter=Denied("rate" not in wrong))
        _expect(wrong, door, token, sink)


@settings(max_examples=50, deadline=None)
@given(st.sets(st.sampled_from(ORDER[1:])))
def test_any_set_of_violations_is_answered_by_its_earliest(wrong: set[str]) -> None:
    tokens, sink = MemoryTokenStore(), MemorySink()
    link = InboundLink("link-1", (PARTNER,), "MA5TEST01", (KEYS,), envelope=EnvelopeOptions(max_skew_s=600))
    door = Door(
        contract=_CONTRACT,
        links=MemoryLinkDirectory([(BASE, link)]),
        tokens=tokens,
        limiter=Denied("rate" not in wrong),
        handlers={"query_stop_charge": _stop},
        clock=ManualClock(datetime(2024, 10, 27, tzinfo=UTC)),
        sink=sink,
    )
    _expect(wrong, door, tokens.issue("link-1", 7200).token, sink)


def _stop(_link: InboundLink, body: dict[str, Any]) -> Mapping[str, Any]:
    return {"StartChargeSeq": body["StartChargeSeq"], "StartChargeSeqStat": 3, "SuccStat": 0, "FailReason": 0}


_CONTRACT = Contract.standard()


def test_the_message_names_the_member(make_door: MakeDoor, call_for: CallFor, opened: Opened) -> None:
    call = call_for("query_stop_charge", {"StartChargeSeq": "1", "ConnectorID": {"a": 1}})
    reply = opened(receive(call, make_door()).payload)
    assert (reply.ret, reply.body) == (4004, None)
    assert "ConnectorID" in reply.msg


# ------------------------------------------------------------------------------------------------------------- callers


def test_a_good_call_is_handled_and_recorded(
    make_door: MakeDoor, call_for: CallFor, opened: Opened, sink: MemorySink
) -> None:
    reply = receive(call_for("query_stop_charge", STOP), make_door())
    answer = opened(reply.payload)
    assert (answer.ret, answer.msg, answer.verified) == (0, "", True)
    assert answer.body["StartChargeSeqStat"] == 3
    exchange = sink.exchanges[-1]
    assert (exchange.link_id, exchange.interface, exchange.ret) == ("link-1", "query_stop_charge", 0)
    assert exchange.request_body["ConnectorID"] == "3301060001001"
    assert exchange.reply_body["SuccStat"] == 0
    assert exchange.reply_raw == reply.payload


def test_a_disabled_link_is_an_unknown_operator(make_door: MakeDoor, link: InboundLink, call_for: CallFor) -> None:
    reply = receive(call_for("query_stop_charge", STOP), make_door(link=replace(link, enabled=False)))
    assert orjson.loads(reply.payload)["Ret"] == 4003
    assert orjson.loads(reply.payload)["Sig"] == ""


@pytest.mark.parametrize(("remote", "ret"), [("10.1.2.3", 0), ("10.2.0.1", 4003), ("", 4003), ("unix", 4003)])
def test_the_address_allow_list(
    make_door: MakeDoor, link: InboundLink, call_for: CallFor, remote: str, ret: int
) -> None:
    door = make_door(link=replace(link, allowed_networks=(ip_network("10.1.0.0/16"),)))
    assert receive(replace(call_for("query_stop_charge", STOP), remote=remote), door).ret == ret


def test_both_key_sets_of_a_rotation_are_valid_and_answer_with_their_own(
    make_door: MakeDoor, link: InboundLink, call_for: CallFor
) -> None:
    door = make_door(link=replace(link, keys=(NEXT_KEYS, KEYS)))
    for keys in (KEYS, NEXT_KEYS):
        reply = receive(call_for("query_stop_charge", STOP, by=keys), door)
        assert envelope.open_reply(reply.payload, keys).body["SuccStat"] == 0


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "bearer {}", "Basic {}", "Bearer{}", "{}", "Bearer {}x"]
)
def test_tokens_that_are_not_right(make_door: MakeDoor, call_for: CallFor, token: str, header: str | None) -> None:
    authorization = header.format(token) if header is not None else None
    call = replace(call_for("query_stop_charge", STOP), authorization=authorization)
    assert receive(call, make_door()).ret == 4002


@pytest.mark.parametrize("header", ["Bearer {}", "Bearer{}", "{}"])
def test_a_link_may_accept_other_schemes(
    make_door: MakeDoor, link: InboundLink, call_for: CallFor, token: str, header: str
) -> None:
    door = make_door(link=replace(link, accept_schemes=("", "Bearer", "Bearer ")))
    call = replace(call_for("query_stop_charge", STOP), authorization=header.format(token))
    assert receive(call, door).ret == 0


def test_an_expired_token_and_one_of_another_link_are_refused(make_door: MakeDoor, call_for: CallFor) -> None:
    seconds = [1000.0]
    tokens = MemoryTokenStore(lambda: seconds[0])
    issued, foreign = tokens.issue("link-1", 60).token, tokens.issue("link-2", 60).token
    door = make_door(tokens=tokens)
    good = replace(call_for("query_stop_charge", STOP), authorization=f"Bearer {issued}")
    assert receive(good, door).ret == 0
    assert receive(replace(good, authorization=f"Bearer {foreign}"), door).ret == 4002
    seconds[0] += 60
    assert receive(good, door).ret == 4002


def test_the_time_window_counts_in_china_time(
    make_door: MakeDoor, windowed: InboundLink, call_for: CallFor, clock: ManualClock
) -> None:
    door, call = make_door(link=windowed), call_for("query_stop_charge", STOP)
    clock.advance(timedelta(seconds=600))
    assert receive(call, door).ret == 0
    clock.advance(timedelta(seconds=1))
    assert receive(call, door).ret == 4003


@pytest.mark.parametrize("stamp", ["2024102708000", "20241327080000", "1729987200", "yyyyMMddHHmmss", "２" * 14])
def test_time_stamps_of_no_agreed_form_are_refused(make_door: MakeDoor, call_for: CallFor, stamp: str) -> None:
    assert receive(call_for("query_stop_charge", STOP, stamp=stamp), make_door()).ret == 4003


@pytest.mark.parametrize("stamp", ["20241027080000", "1729987200", "1729987200000", "202410270800"])
def test_a_link_may_agree_on_other_forms(make_door: MakeDoor, link: InboundLink, call_for: CallFor, stamp: str) -> None:
    options = EnvelopeOptions(time_formats_in=tuple(TimeFormat), max_skew_s=1)
    assert (
        receive(call_for("query_stop_charge", STOP, stamp=stamp), make_door(link=replace(link, envelope=options))).ret
        == 0
    )


@pytest.mark.parametrize(("seq", "widths", "ret"), [("1", (4, 4), 4003), ("1", (1, 8), 0), ("abcd", (4, 4), 4003)])
def test_seq_width(
    make_door: MakeDoor, link: InboundLink, call_for: CallFor, seq: str, widths: tuple[int, int], ret: int
) -> None:
    door = make_door(link=replace(link, envelope=EnvelopeOptions(seq_widths=widths)))
    assert receive(call_for("query_stop_charge", STOP, seq=seq), door).ret == ret


def test_a_constant_seq_is_no_replay(make_door: MakeDoor, call_for: CallFor) -> None:
    door, call = make_door(), call_for("query_stop_charge", STOP)
    assert [receive(call, door).ret for _ in range(3)] == [0, 0, 0]


def test_lower_camel_needs_its_option_and_is_mirrored(make_door: MakeDoor, link: InboundLink, token: str) -> None:
    lower = EnvelopeOptions(request_keys_out=KeyStyle.LOWER_CAMEL)
    raw = orjson.dumps(envelope.seal_request(STOP, PARTNER, KEYS, "20241027080000", "0001", options=lower))
    call = InboundCall(BASE, "query_stop_charge", raw, f"Bearer {token}")
    assert receive(call, make_door()).ret == 4003
    door = make_door(link=replace(link, envelope=EnvelopeOptions(request_keys_in=None)))
    reply = receive(call, door)
    assert set(orjson.loads(reply.payload)) == {"ret", "msg", "data", "sig"}
    assert envelope.open_reply(reply.payload, KEYS).body["SuccStat"] == 0


def test_a_misspelt_name_and_a_switched_off_interface(
    make_door: MakeDoor, link: InboundLink, call_for: CallFor
) -> None:
    aliased = replace(link, interface_aliases={"query_stop": "query_stop_charge"})
    assert receive(call_for("query_stop", STOP), make_door()).ret == 4004
    assert receive(call_for("query_stop", STOP), make_door(link=aliased)).ret == 0
    closed = replace(link, interfaces=frozenset({"query_station_status"}))
    assert receive(call_for("query_stop_charge", STOP), make_door(link=closed)).ret == 4004


def test_plain_text_only_by_agreement_and_from_listed_addresses(
    make_door: MakeDoor, link: InboundLink, token: str
) -> None:
    members = envelope.seal_request(STOP, PARTNER, KEYS, "20241027080000", "0001", encrypted=False)
    call = InboundCall(BASE, "query_stop_charge", orjson.dumps(members), f"Bearer {token}", "10.1.2.3")
    assert receive(call, make_door()).ret == 4003
    options = EnvelopeOptions(
        plaintext_in=frozenset({"query_stop_charge"}), plaintext_out=frozenset({"query_stop_charge"})
    )
    with pytest.raises(ConfigurationError):
        replace(link, envelope=options)
    agreed = replace(link, envelope=options, allowed_networks=(ip_network("10.1.2.3/32"),))
    reply = receive(call, make_door(link=agreed))
    assert orjson.loads(orjson.loads(reply.payload)["Data"])["SuccStat"] == 0
    assert receive(replace(call, remote="10.1.2.4"), make_door(link=agreed)).ret == 4003


# --------------------------------------------------------------------------------------------------------------- token


def ask_token(call_for: CallFor, operator: str, secret: str) -> InboundCall:
    return replace(call_for("query_token", {"OperatorID": operator, "OperatorSecret": secret}), authorization=None)


def test_a_token_is_issued_and_opens_the_door(make_door: MakeDoor, call_for: CallFor, opened: Opened) -> None:
    door = make_door()
    answer = opened(receive(ask_token(call_for, PARTNER, "op-secret-1"), door).payload).body
    assert (answer["SuccStat"], answer["FailReason"], answer["TokenAvailableTime"]) == (0, 0, 7200)
    assert len(answer["AccessToken"]) * 4 >= 128
    call = replace(call_for("query_stop_charge", STOP), authorization=f"Bearer {answer['AccessToken']}")
    assert receive(call, door).ret == 0


def test_a_new_token_leaves_the_old_one_valid(make_door: MakeDoor, call_for: CallFor, opened: Opened) -> None:
    door = make_door()
    issued = [
        opened(receive(ask_token(call_for, PARTNER, "op-secret-1"), door).payload).body["AccessToken"] for _ in "ab"
    ]
    for one in issued:
        assert receive(replace(call_for("query_stop_charge", STOP), authorization=f"Bearer {one}"), door).ret == 0


@pytest.mark.parametrize(
    ("operator", "secret", "reason"), [("OTHER0000", "op-secret-1", 1), (PARTNER, "op-secret-2", 2)]
)
def test_a_refused_token_is_told_inside_data(
    make_door: MakeDoor, call_for: CallFor, opened: Opened, operator: str, secret: str, reason: int
) -> None:
    reply = opened(receive(ask_token(call_for, operator, secret), make_door()).payload)
    assert (reply.ret, reply.body["SuccStat"], reply.body["FailReason"]) == (0, 1, reason)
    assert (reply.body["AccessToken"], reply.body["TokenAvailableTime"]) == ("", 0)


def test_neither_secret_nor_token_reaches_the_record(
    make_door: MakeDoor, call_for: CallFor, opened: Opened, sink: MemorySink
) -> None:
    reply = receive(ask_token(call_for, PARTNER, "op-secret-1"), make_door())
    exchange = sink.exchanges[-1]
    recorded = f"{exchange.request_body} {exchange.reply_body} {exchange!r}"
    assert "op-secret-1" not in recorded
    assert opened(reply.payload).body["AccessToken"] not in recorded


# ------------------------------------------------------------------------------------------------------------ handlers


def raising(error: Exception) -> Callable[..., Mapping[str, Any]]:
    def handler(_link: InboundLink, _body: dict[str, Any]) -> Mapping[str, Any]:
        raise error

    return handler


@pytest.mark.parametrize(
    ("error", "ret", "body"),
    [
        (Busy(), -1, None),
        (BusinessError(4004, "StartChargeSeq", "订单不存在 no such order"), 4004, None),
        (
            BusinessError(4004, "", "x", {"StartChargeSeq": "1", "SuccStat": 1}),
            4004,
            {"StartChargeSeq": "1", "SuccStat": 1},
        ),
        (RuntimeError("the password is hunter2"), 500, None),
    ],
)
def test_what_a_handler_raises_becomes_a_signed_answer(
    make_door: MakeDoor, call_for: CallFor, opened: Opened, error: Exception, ret: int, body: Any
) -> None:
    reply = opened(
        receive(call_for("query_stop_charge", STOP), make_door(handlers={"query_stop_charge": raising(error)})).payload
    )
    assert (reply.ret, reply.body, reply.verified) == (ret, body, True)
    assert "hunter2" not in reply.msg


def test_an_answer_that_cannot_be_written_is_500(make_door: MakeDoor, call_for: CallFor, opened: Opened) -> None:
    door = make_door(handlers={"query_stop_charge": lambda _link, _body: {"SuccStat": 0.5}})
    reply = opened(receive(call_for("query_stop_charge", STOP), door).payload)
    assert (reply.ret, reply.body) == (500, None)


def test_an_answer_that_violates_the_contract_is_sent_and_counted(
    make_door: MakeDoor, call_for: CallFor, opened: Opened
) -> None:
    from partners.tcec102 import metrics

    counter = metrics.BAD_BODIES.labels("query_stop_charge", "reply")
    before = counter._value.get()
    door = make_door(handlers={"query_stop_charge": lambda _link, _body: {"SuccStat": 0}})
    assert opened(receive(call_for("query_stop_charge", STOP), door).payload).body == {"SuccStat": 0}
    assert counter._value.get() == before + 1


def test_a_failing_record_does_not_fail_the_call(make_door: MakeDoor, call_for: CallFor) -> None:
    class Broken:
        def record(self, exchange: object) -> None:
            raise OSError("disk full")

    assert receive(call_for("query_stop_charge", STOP), make_door(sink=Broken())).ret == 0


def test_handlers_must_be_in_the_contract(make_door: MakeDoor) -> None:
    with pytest.raises(ConfigurationError, match="query_magic"):
        make_door(handlers={"query_magic": _stop})


# -------------------------------------------------------------------------------------------------------------- memory


def test_token_buckets_refill_in_real_time() -> None:
    seconds = [0.0]
    limiter = TokenBuckets(rate_per_s=2, burst=3, now=lambda: seconds[0])
    assert [limiter.allow("/a/", "1") for _ in range(4)] == [True, True, True, False]
    assert limiter.allow("/a/", "2")
    assert limiter.allow("/b/", "1")
    seconds[0] = 0.5
    assert [limiter.allow("/a/", "1") for _ in range(2)] == [True, False]
    assert NoLimit().allow("/a/", "1")
    with pytest.raises(ConfigurationError):
        TokenBuckets(0, 1)


def test_the_directory_resolves_bases_and_refuses_ambiguity(link: InboundLink) -> None:
    directory = MemoryLinkDirectory([("/a/evcs/v1/", link), ("/evcs/sdk/", link)])
    assert directory.resolve("/evcs/sdk/query_token") == ("/evcs/sdk/", "query_token")
    assert directory.resolve("/a/evcs/v1") is None
    assert directory.resolve("/a/evcs/v2/query_token") is None
    assert directory.find("/a/evcs/v1/", PARTNER) is link
    assert directory.find("/a/evcs/v1/", "MA5TEST03") is None
    with pytest.raises(ConfigurationError):
        directory.replace([("/a/", link), ("/a/", replace(link, link_id="link-2"))])
    with pytest.raises(ConfigurationError):
        directory.replace([("/a", link)])


def test_links_that_cannot_work_are_refused(link: InboundLink) -> None:
    for change in ({"keys": ()}, {"operator_ids": ()}, {"token_ttl_s": 0}, {"token_ttl_s": 604_801}):
        with pytest.raises(ConfigurationError):
            replace(link, **change)
