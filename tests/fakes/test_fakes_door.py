"""The door of the fakes that speak the envelope: each violation gets its code, and the earlier check wins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partners.fake.httpd import MAX_BODY
from partners.fake.partner import FakePartner
from partners.fake.wire import decrypt, encrypt, parse_json, sign, signature_matches
from tests.fakes.calling import HUB, KEYS, OTHER, envelope, hub_side, link_config, manual_clock, post

STATUS = {"ConnectorStatusInfo": {"ConnectorID": "3201090000123401", "Status": 1}}
PUSH = "notification_stationStatus"


@pytest.fixture
def partner() -> Iterator[FakePartner]:
    with FakePartner(link_config(time_window_s=600), manual_clock()) as fake:
        yield fake


def send(partner: FakePartner, body: Any, interface: str = PUSH, token: str | None = None) -> dict[str, Any]:
    bearer = partner.tokens.issue() if token is None else token
    answer = post(partner.base_url + interface, body, {"Authorization": f"Bearer {bearer}"})
    assert answer.status_code == 200
    opened = parse_json(answer.content)
    assert isinstance(opened, dict)
    return opened


def resigned(**changes: Any) -> dict[str, Any]:
    """An envelope whose signature is right for its changed members."""
    spoiled = envelope(STATUS, **changes)
    spoiled["Sig"] = sign(KEYS, *(spoiled[name] for name in ("OperatorID", "Data", "TimeStamp", "Seq")))
    return spoiled


def test_a_right_envelope_is_answered_sealed(partner: FakePartner) -> None:
    answer = send(partner, envelope(STATUS))
    assert (answer["Ret"], parse_json(decrypt(answer["Data"], KEYS))) == (0, {"Status": 0})
    assert signature_matches(answer["Sig"], KEYS, "0", answer["Msg"], answer["Data"])
    [entry] = partner.received()
    assert entry["accepted"]
    assert entry["body"] == STATUS
    assert entry["checks"] == dict.fromkeys(
        ("size", "envelope", "operator", "signature", "token", "time", "decrypt", "fields"), "ok"
    )


@pytest.mark.parametrize("member", ["OperatorID", "Data", "TimeStamp", "Seq", "Sig"])
@pytest.mark.parametrize("value", ["", None, 5])
def test_a_missing_member_is_4003_without_signature(partner: FakePartner, member: str, value: object) -> None:
    answer = send(partner, envelope(STATUS, **{member: value}))
    assert (answer["Ret"], answer["Sig"], answer["Data"]) == (4003, "", "")
    assert member in answer["Msg"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{'OperatorID':1}", b"\xff\xfe", b'{"Sig":"a","Sig":"b"}'])
def test_what_is_not_a_json_object_is_4003(partner: FakePartner, body: bytes) -> None:
    assert send(partner, body)["Ret"] == 4003


def test_an_oversized_request_is_4003(partner: FakePartner) -> None:
    answer = send(partner, b"x" * (MAX_BODY + 1))
    assert (answer["Ret"], answer["Sig"]) == (4003, "")


def test_an_unknown_operator_wins_over_its_wrong_signature(partner: FakePartner) -> None:
    answer = send(partner, envelope(STATUS, OperatorID="MA00WRONG", Sig="0" * 32))
    assert (answer["Ret"], answer["Sig"]) == (4003, "")
    assert partner.received()[0]["checks"]["operator"] != "ok"


def test_a_wrong_signature_wins_over_a_missing_token(partner: FakePartner) -> None:
    answer = send(partner, envelope(STATUS, Sig="0" * 32), token="")
    assert answer["Ret"] == 4001
    assert signature_matches(answer["Sig"], KEYS, "4001", answer["Msg"], "")


def test_a_missing_token_wins_over_an_old_time_stamp(partner: FakePartner) -> None:
    assert send(partner, resigned(TimeStamp="20200101000000"), token="unknown")["Ret"] == 4002


def test_an_old_time_stamp_wins_over_undecryptable_data(partner: FakePartner) -> None:
    answer = send(partner, resigned(TimeStamp="20200101000000", Data="AAAA"))
    assert answer["Ret"] == 4003
    assert "TimeStamp" in answer["Msg"]


@pytest.mark.parametrize("changes", [{"TimeStamp": "2026030212000"}, {"TimeStamp": "1772424000000"}, {"Seq": "1"}])
def test_a_malformed_time_stamp_or_seq_is_4003(partner: FakePartner, changes: dict[str, str]) -> None:
    assert send(partner, resigned(**changes))["Ret"] == 4003


@pytest.mark.parametrize("data", ["AAAA", "not base64!", encrypt(b"no json", KEYS), encrypt(b"[1]", KEYS)])
def test_undecryptable_data_is_4003(partner: FakePartner, data: str) -> None:
    answer = send(partner, resigned(Data=data))
    assert answer["Ret"] == 4003
    assert partner.received()[0]["checks"]["decrypt"] != "ok"


def test_wrong_fields_are_4004_and_named(partner: FakePartner) -> None:
    answer = send(partner, envelope({"ConnectorStatusInfo": {"ConnectorID": 5, "Status": 7}}))
    assert answer["Ret"] == 4004
    assert "ConnectorStatusInfo.ConnectorID" in answer["Msg"]
    assert "ConnectorStatusInfo.Status" in answer["Msg"]


def test_an_unknown_interface_is_4004_after_the_envelope(partner: FakePartner) -> None:
    assert send(partner, envelope(STATUS), "notification_weather")["Ret"] == 4004
    assert send(partner, envelope(STATUS, Sig="0" * 32), "notification_weather")["Ret"] == 4001


def test_a_path_outside_the_base_has_no_envelope(partner: FakePartner) -> None:
    assert post(f"{partner.url}/elsewhere/{PUSH}", envelope(STATUS)).status_code == 404


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_one_flipped_bit_anywhere_in_an_envelope_is_refused(partner: FakePartner, data: st.DataObject) -> None:
    sealed = envelope(STATUS)
    member = data.draw(st.sampled_from(["OperatorID", "Data", "TimeStamp", "Seq", "Sig"]))
    text = bytearray(sealed[member].encode())
    text[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 6))
    same_signature_in_the_other_case = member == "Sig" and text.decode().upper() == sealed["Sig"]
    ret = send(partner, sealed | {member: text.decode()})["Ret"]
    assert (ret == 0) is same_signature_in_the_other_case


def test_a_token_is_issued_used_expires_and_is_renewed() -> None:
    now = [1000.0]
    with FakePartner(link_config(token_ttl_s=100), manual_clock(), ticks=lambda: now[0]) as partner:
        hub = hub_side(partner)
        answer = hub.call("query_token", {})
        assert answer.data is not None
        assert answer.data["SuccStat"] == 0
        assert answer.data["TokenAvailableTime"] == 100
        token = answer.data["AccessToken"]
        other = partner.tokens.issue()
        assert partner.tokens.valid(token)
        assert partner.tokens.valid(other), "several tokens are valid at once"
        now[0] += 101
        assert not partner.tokens.valid(token)
        assert hub.call(PUSH, STATUS).ret == 0, "4002, renewed, repeated"
        assert [e["answer"]["Ret"] for e in partner.received(PUSH)] == [4002, 0]


def test_a_wrong_secret_gets_no_token(partner: FakePartner) -> None:
    spoiled = dict(KEYS) | {"operator_secret": "wrong"}
    answer = hub_side(partner, hub_keys=spoiled).call("query_token", {})
    assert answer.data == {
        "OperatorID": HUB,
        "SuccStat": 1,
        "AccessToken": "",
        "TokenAvailableTime": 0,
        "FailReason": 2,
    }
    assert partner.received()[0]["accepted"] is False


def test_the_secret_of_somebody_else_gets_no_token(partner: FakePartner) -> None:
    body = envelope({"OperatorID": OTHER, "OperatorSecret": KEYS.operator_secret})
    answer = parse_json(decrypt(send(partner, body, "query_token", token="")["Data"], KEYS))
    assert (answer["SuccStat"], answer["FailReason"]) == (1, 1)


def test_secrets_do_not_reach_the_journal(partner: FakePartner) -> None:
    hub_side(partner).call(PUSH, STATUS)
    written = str(partner.received())
    assert KEYS.operator_secret not in written
    assert "***" in written
