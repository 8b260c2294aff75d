"""The trap list of the digest (section 15), one named test per trap: what the field sends, and what we do with it."""

from __future__ import annotations

import base64
import hmac
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
import requests
from urllib3 import HTTPResponse

import openapi
from charging_core.clock import CHINA, ManualClock
from charging_core.money import spread_largest_remainder
from partners.tcec102 import crypto, envelope
from partners.tcec102.client import OutboundLink, TcecClient
from partners.tcec102.contract import Contract
from partners.tcec102.errors import (
    ConfigurationError,
    InvalidBody,
    TokenRejected,
    UnwritableBody,
)
from partners.tcec102.keys import KeyEncoding, KeySet
from partners.tcec102.memory import MemoryReplays
from partners.tcec102.options import BodyOptions, EnvelopeOptions, TimeFormat, Verify
from partners.tcec102.ports import InboundLink
from partners.tcec102.qr import QrContent, parse_qr
from partners.tcec102.receive import Door, receive
from partners.tcec102.timestamps import render_timestamp
from partners.tcec102.tokens import TokenCache, usable_ttl
from partners.tcec102.visit import InboundCall

MakeDoor = Callable[..., Door]
CallFor = Callable[..., InboundCall]
Opened = Callable[[bytes], envelope.OpenedReply]

IDS = {"StationIDs": ["3301060001"]}
STOP = {"StartChargeSeq": "MA5TEST02241027080000000001", "ConnectorID": "3301060001001"}
LENIENT = BodyOptions.lenient()
CONVENTIONAL = {
    "StartChargeSeq": STOP["StartChargeSeq"],
    "StartChargeSeqStat": 2,
    "ConnectorID": "3301060001001",
    "ConnectorStatus": 3,
    "CurrentA": Decimal("98.2"),
    "VoltageA": Decimal("402.6"),
    "Soc": Decimal("57.5"),
    "StartTime": "2024-10-27 08:00:00",
    "EndTime": "2024-10-27 08:10:00",
    "TotalPower": Decimal("12.50"),
}


class Scripted:
    """The HTTP of a client: answers by interface, in order, the last one again and again; keeps what was sent."""

    def __init__(self, **scripts: list[tuple[int, bytes]]) -> None:
        self.scripts = scripts
        self.sent: list[tuple[str, str | None, dict[str, Any]]] = []

    def post(self, url: str, *, data: bytes, headers: Mapping[str, str], **_more: Any) -> requests.Response:
        name = url.rpartition("/")[2]
        self.sent.append((name, headers.get("Authorization"), json.loads(data)))
        script = self.scripts[name]
        status, body = script.pop(0) if len(script) > 1 else script[0]
        response = requests.Response()
        response.status_code = status
        response.raw = HTTPResponse(io.BytesIO(body), status=status, preload_content=False)
        return response


@pytest.fixture
def sealed(keys: KeySet) -> Callable[..., bytes]:
    """``sealed(body, ret=…)``: an answer of the partner."""

    def seal(body: Mapping[str, Any] | None, ret: int = 0, msg: str = "") -> bytes:
        return orjson.dumps(envelope.seal_reply(ret, msg, body, keys))

    return seal


@pytest.fixture
def client(keys: KeySet, clock: ManualClock, contract: Contract) -> Callable[..., TcecClient]:
    def make(http: Scripted, **link: Any) -> TcecClient:
        outbound = OutboundLink("link-1", "MA5TEST01", "http://127.0.0.1/evcs/v1", keys, **link)
        return TcecClient(outbound, http, TokenCache(), clock, contract)

    return make


def granted(token: str = "token-1", **changes: Any) -> dict[str, Any]:
    right = {
        "OperatorID": "MA5TEST01",
        "SuccStat": 0,
        "AccessToken": token,
        "TokenAvailableTime": 7200,
        "FailReason": 0,
    }
    return right | changes


def send(door: Door, call: InboundCall, members: Mapping[str, Any] | bytes) -> int:
    body = members if isinstance(members, bytes) else orjson.dumps(dict(members))
    return receive(replace(call, body=body), door).ret


def test_trap_01_other_spellings_are_read_as_the_standards(contract: Contract) -> None:
    sample = dict(CONVENTIONAL)
    sample |= {"StartChargeSeqSta": sample.pop("StartChargeSeqStat"), "SOC": sample.pop("Soc")}
    sample |= {
        "StarTime": sample.pop("StartTime"),
        "SubPeriod": 0,
        "ServiceMoney": Decimal("1.20"),
        "ElectMoney": Decimal(2),
    }
    read = contract["notification_equip_charge_status"].request.read(sample)
    assert (read["StartChargeSeqStat"], read["Soc"], read["StartTime"]) == (2, Decimal("57.5"), "2024-10-27 08:00:00")
    assert (read["SumPeriod"], read["SeviceMoney"], read["ElecMoney"]) == (0, Decimal("1.20"), Decimal(2))
    asked = contract["query_token"].request.read({"OperationID": "MA5TEST02", "OperatorSecret": "x"})
    assert asked["OperatorID"] == "MA5TEST02"


def test_trap_02_an_object_where_a_list_is_due_and_the_reverse(contract: Contract) -> None:
    one_station = {"StationID": "1", "ConnectorStatusInfos": {"ConnectorID": "2", "Status": 1}}
    read = contract["query_station_status"].reply.read({"StationStatusInfos": one_station}, LENIENT)
    assert read["StationStatusInfos"][0]["ConnectorStatusInfos"][0]["ConnectorID"] == "2"
    pushed = {"ConnectorStatusInfo": [{"ConnectorID": "2", "Status": 1}]}
    assert contract["notification_stationStatus"].request.read(pushed, LENIENT)["ConnectorStatusInfo"]["Status"] == 1
    assert contract["query_station_status"].request.read({"StationIDs": "1"}, LENIENT) == {"StationIDs": ["1"]}
    with pytest.raises(InvalidBody):
        contract["query_station_status"].request.read({"StationIDs": "1"})


def test_trap_03_numbers_as_text_and_ids_as_numbers(contract: Contract) -> None:
    read = contract["query_stop_charge"].reply.read(
        {"StartChargeSeq": 20241027080000000001, "StartChargeSeqStat": "3", "SuccStat": "0", "FailReason": "0"}
    )
    assert read == {
        "StartChargeSeq": "20241027080000000001", "StartChargeSeqStat": 3, "SuccStat": 0, "FailReason": 0,
    }  # fmt: skip
    written = contract["query_stop_charge"].request.write({"StartChargeSeq": "007", "ConnectorID": "0101"})
    assert written == b'{"StartChargeSeq":"007","ConnectorID":"0101"}'


def test_trap_04_lower_case_first_letters_in_envelope_and_body(
    make_door: MakeDoor, link: InboundLink, call_for: CallFor, keys: KeySet
) -> None:
    call = call_for("query_station_status", {"stationIDs": ["3301060001"]})
    members = json.loads(call.body)
    lower = {{"OperatorID": "operatorID", "TimeStamp": "timeStamp"}.get(n, n.lower()): v for n, v in members.items()}
    agreed = replace(link, envelope=EnvelopeOptions(request_keys_in=None), bodies=LENIENT)
    assert send(make_door(), call, lower) == 4003
    reply = receive(replace(call, body=orjson.dumps(lower)), make_door(link=agreed))
    assert set(json.loads(reply.payload)) == {"ret", "msg", "data", "sig"}
    assert envelope.open_reply(reply.payload, keys).body["Total"] == 1


@pytest.mark.parametrize("data", ["", None, {}])
def test_trap_05_ret_as_text_msg_null_and_any_data_on_errors(keys: KeySet, data: Any) -> None:
    text = "{}" if data == {} else data or ""
    sig = crypto.sign(f"4004{text}", keys)
    opened = envelope.open_reply(orjson.dumps({"Ret": "4004", "Msg": None, "Data": data, "Sig": sig}), keys)
    assert (opened.ret, opened.msg, opened.body, opened.verified) == (4004, "", None, True)
    sig = crypto.sign("400412", keys)
    assert envelope.open_reply({"Ret": 4004, "Msg": 12, "Data": "", "Sig": sig}, keys).msg == "12"


def test_trap_06_two_operator_ids_and_two_key_sets(
    client: Callable[..., TcecClient],
    sealed: Callable[..., bytes],
    keys: KeySet,
    make_door: MakeDoor,
    call_for: CallFor,
) -> None:
    http = Scripted(query_token=[(200, sealed(granted()))], notification_stationStatus=[(200, sealed({"Status": 0}))])
    client(http).call("notification_stationStatus", {"ConnectorStatusInfo": {"ConnectorID": "1", "Status": 1}})
    assert {members["OperatorID"] for _, _, members in http.sent} == {"MA5TEST01"}
    inbound = KeySet("other", "another-key-0001", "another-iv-00001", "another-sig-0001")
    door = make_door(link=InboundLink("in", ("MA5TEST02",), "MA5TEST01", (inbound,)))
    assert receive(call_for("query_token", {}, by=keys), door).ret == 4001
    assert receive(call_for("query_token", {}, by=inbound), door).ret == 4004


def test_trap_07_the_signature_is_over_the_base64_text_upper_out_any_in(
    make_door: MakeDoor, call_for: CallFor, keys: KeySet
) -> None:
    call = call_for("query_station_status", IDS)
    members = json.loads(call.body)
    wanted = crypto.sign(members["OperatorID"] + members["Data"] + members["TimeStamp"] + members["Seq"], keys)
    assert members["Sig"] == wanted == wanted.upper()
    assert send(make_door(), call, members | {"Sig": wanted.lower()}) == 0


def test_trap_08_line_breaks_and_escaped_slashes_in_data(make_door: MakeDoor, call_for: CallFor, keys: KeySet) -> None:
    call = call_for("query_station_status", {"StationIDs": [f"33010600{n:02d}?" for n in range(40)]})
    members = json.loads(call.body)
    assert "/" in members["Data"]
    assert send(make_door(), call, call.body.replace(b"/", rb"\/")) == 0
    data = members["Data"]
    broken = "\r\n".join(data[at : at + 76] for at in range(0, len(data), 76))
    sig = crypto.sign(members["OperatorID"] + broken + members["TimeStamp"] + members["Seq"], keys)
    assert send(make_door(), call, members | {"Data": broken, "Sig": sig}) == 0


@pytest.mark.parametrize("name", ["站", "示例充电站", "示例充电站五号", "abc示例"])
def test_trap_09_padding_counts_bytes_not_characters(keys: KeySet, name: str) -> None:
    plain = json.dumps({"StationName": name}, ensure_ascii=False).encode()
    blocks = base64.b64decode(crypto.encrypt(plain, keys))
    assert len(blocks) == len(plain) // 16 * 16 + 16
    assert crypto.decrypt(base64.b64encode(blocks).decode(), keys) == plain


def test_trap_10_a_sample_may_be_older_than_the_start(contract: Contract) -> None:
    early = CONVENTIONAL | {"EndTime": "2024-10-27 07:59:58"}
    assert contract["notification_equip_charge_status"].request.read(early)["EndTime"] == "2024-10-27 07:59:58"


def test_trap_11_fees_of_a_station_are_free_text(contract: Contract) -> None:
    members = contract["query_stations_info"].reply.node.members["StationInfos"].item
    assert members is not None
    assert {members.members[name].kind for name in ("ElectricityFee", "ServiceFee", "ParkFee")} == {"string"}
    policy = contract["query_equip_business_policy"].reply.node.members["PolicyInfos"].item
    assert policy is not None
    assert policy.members["ElecPrice"].decimals == 4


def test_trap_12_coordinates_are_gcj_02_with_six_decimals(contract: Contract) -> None:
    assert "GCJ-02" in openapi.load("tcec102")["components"]["schemas"]["Degree6"]["description"]
    station = contract["query_stations_info"].reply.node.members["StationInfos"].item
    assert station is not None
    assert station.members["StationLng"].decimals == 6


def test_trap_13_soc_is_percent(contract: Contract) -> None:
    schema = contract["notification_equip_charge_status"].request
    assert b'"Soc":57.50' in schema.write(CONVENTIONAL)
    assert schema.violations(CONVENTIONAL | {"Soc": Decimal(101)})


def test_trap_14_status_one_is_an_answer_not_an_error(
    client: Callable[..., TcecClient], sealed: Callable[..., bytes]
) -> None:
    http = Scripted(query_token=[(200, sealed(granted()))], notification_stationStatus=[(200, sealed({"Status": 1}))])
    result = client(http).call("notification_stationStatus", {"ConnectorStatusInfo": {"ConnectorID": "1", "Status": 1}})
    assert (result.ok, result.body) == (True, {"Status": 1})


def test_trap_15_business_failure_inside_ret_0_and_a_body_behind_4004(
    client: Callable[..., TcecClient], sealed: Callable[..., bytes]
) -> None:
    refused = {"StartChargeSeq": "1", "StartChargeSeqStat": 4, "SuccStat": 1, "FailReason": 3}
    http = Scripted(
        query_token=[(200, sealed(granted()))],
        query_stop_charge=[(200, sealed(refused)), (200, sealed(refused, 4004, "已停止"))],
    )
    calling = client(http)
    inside, behind = calling.call("query_stop_charge", STOP), calling.call("query_stop_charge", STOP)
    assert (inside.ok, (inside.body or {})["FailReason"]) == (True, 3)
    assert (behind.ok, behind.ret, (behind.body or {})["FailReason"]) == (False, 4004, 3)


@pytest.mark.parametrize(
    ("sent", "used"), [(7200.0, 7200), (1729987200000, 7200), (0, 300), (-1, 300), ("7200", 7200), (None, 300)]
)
def test_trap_16_token_life_in_seconds_whatever_was_sent(sent: Any, used: float) -> None:
    assert usable_ttl(sent) == used


@pytest.mark.parametrize("status", [401, 403])
def test_trap_17_a_gateway_hides_the_token_error(
    client: Callable[..., TcecClient], sealed: Callable[..., bytes], status: int
) -> None:
    http = Scripted(
        query_token=[(200, sealed(granted("old"))), (200, sealed(granted("new")))],
        notification_stationStatus=[(status, b"<html>denied</html>"), (200, sealed({"Status": 0}))],
    )
    assert (
        client(http).call("notification_stationStatus", {"ConnectorStatusInfo": {"ConnectorID": "1", "Status": 1}}).ok
    )
    assert [token for name, token, _ in http.sent if name != "query_token"] == ["Bearer old", "Bearer new"]


def test_trap_18_page_no_is_missing_in_the_answer(contract: Contract) -> None:
    page = {"PageCount": 3, "ItemSize": 25, "StationInfos": []}
    assert contract["query_stations_info"].reply.read(page)["ItemSize"] == 25


def test_trap_19_a_connector_status_outside_the_enumeration_is_kept(contract: Contract) -> None:
    info = {"ConnectorID": "1", "Status": 100, "ParkStatus": 1}
    read = contract["notification_stationStatus"].request.read({"ConnectorStatusInfo": info})
    assert read["ConnectorStatusInfo"] == info
    assert contract["notification_stationStatus"].request.violations(read)


@pytest.mark.parametrize(("periods", "details"), [(0, 1), (2, 0)])
def test_trap_20_sum_period_contradicts_the_details(contract: Contract, periods: int, details: int) -> None:
    detail = {"DetailStartTime": "2024-10-27 08:00:00", "DetailEndTime": "2024-10-27 08:10:00", "DetailPower": 1}
    body = CONVENTIONAL | {"SumPeriod": periods, "ChargeDetails": [detail] * details}
    read = contract["notification_equip_charge_status"].request.read(body)
    assert (read["SumPeriod"], len(read["ChargeDetails"])) == (periods, details)


@pytest.mark.parametrize(
    ("text", "swapped", "found"),
    [
        ("hlht://3301060001001.MA5TEST01/", False, QrContent("3301060001001", "MA5TEST01", "")),
        ("hlht://3301060001001.MA5TEST01", False, QrContent("3301060001001", "MA5TEST01", "")),
        ("hlht://1.MA5TEST01/a/b?x=1", False, QrContent("1", "MA5TEST01", "a/b?x=1")),
        ("hlht://MA5TEST01.77001/3", True, QrContent("77001", "MA5TEST01", "3")),
        ("https://example.invalid/1", False, None),
        ("hlht://1.SHORT/", False, None),
        ("hlht://1.MA5TEST01/" + "x" * 2000, False, None),
    ],
)
def test_trap_21_qr_content_in_both_orders(text: str, swapped: bool, found: QrContent | None) -> None:
    assert parse_qr(text, swapped=swapped) == found


def test_trap_21_extra_values_of_a_supplier() -> None:
    content = parse_qr("hlht://1.MA5TEST01/?extra=30|500|0")
    assert content is not None
    assert content.extra == ("30", "500", "0")


def test_trap_22_constant_seq_and_equal_time_stamps_are_no_replay(
    make_door: MakeDoor, link: InboundLink, call_for: CallFor
) -> None:
    strict = replace(link, envelope=EnvelopeOptions(max_skew_s=600, refuse_replays=True))
    door = make_door(link=strict)
    first, second = call_for("query_station_status", IDS), call_for("query_station_status", {"StationIDs": ["2"]})
    assert [receive(call, door).ret for call in (first, second)] == [0, 0]


def test_trap_22_the_same_signed_text_again_is_refused_where_that_was_agreed(
    make_door: MakeDoor, link: InboundLink, call_for: CallFor
) -> None:
    call = call_for("query_station_status", IDS)
    assert [receive(call, make_door()).ret for _ in range(2)] == [0, 0]
    strict = make_door(link=replace(link, envelope=EnvelopeOptions(max_skew_s=600, refuse_replays=True)))
    other_case = replace(call, body=call.body.replace(b'"Sig":"', b'"Sig" : "'))
    assert [receive(one, strict).ret for one in (call, call, other_case)] == [0, 4003, 4003]
    with pytest.raises(ConfigurationError):
        EnvelopeOptions(refuse_replays=True)


def test_trap_22_replays_are_forgotten_when_the_window_has_closed() -> None:
    seconds = [0.0]
    memory = MemoryReplays(lambda: seconds[0])
    assert memory.is_new("link", b"a", 60)
    assert not memory.is_new("link", b"a", 60)
    seconds[0] = 61.0
    assert memory.is_new("link", b"a", 60)


def test_trap_23_the_operator_in_a_token_answer_may_be_anybodys(
    client: Callable[..., TcecClient], sealed: Callable[..., bytes]
) -> None:
    http = Scripted(query_token=[(200, sealed(granted(OperatorID="MA5OTHER9")))])
    assert client(http).fetch_token() == "token-1"
    refused = Scripted(query_token=[(200, sealed(granted("", SuccStat=1, FailReason=2)))])
    with pytest.raises(TokenRejected):
        client(refused).fetch_token()


@pytest.mark.parametrize(
    ("raw", "ret"),
    [
        (b"{'OperatorID': 'MA5TEST02', 'Data': 'x'}", 4003),
        (b'{"OperatorID":"MA5TEST02","Data":,}', 4003),
        (b"", 4003),
        (b"OperatorID=MA5TEST02&Data=x", 4003),
    ],
)
def test_trap_24_broken_envelopes_of_clients(make_door: MakeDoor, call_for: CallFor, raw: bytes, ret: int) -> None:
    assert send(make_door(), call_for("query_station_status", IDS), raw) == ret


@pytest.mark.parametrize(
    ("plain", "ret"),
    [
        (b"{'StationIDs': ['1']}", 4003),
        (b'{"PageNo":,}', 4003),
        (b"", 4003),
        (b'{"StationIDs":[3301060001]}', 0),
        (b'{"StationIDs":[null]}', 4004),
        (b'{"StationIDs":["' + b"9" * 500 + b'"]}', 4004),
    ],
)
def test_trap_24_broken_bodies_of_clients(make_door: MakeDoor, call_for: CallFor, plain: bytes, ret: int) -> None:
    assert receive(call_for("query_station_status", plain), make_door()).ret == ret


def test_trap_24_sequences_longer_than_27_are_taken(make_door: MakeDoor, call_for: CallFor) -> None:
    for seq in ("1", "MA5TEST02_20241027080000000000001", "9" * 64):
        assert receive(call_for("query_stop_charge", STOP | {"StartChargeSeq": seq}), make_door()).ret == 0


def test_trap_25_time_stamps_are_china_time_whatever_the_server(
    make_door: MakeDoor, link: InboundLink, call_for: CallFor, clock: ManualClock
) -> None:
    strict = make_door(link=replace(link, envelope=EnvelopeOptions(max_skew_s=600)))
    china = render_timestamp(clock.now(), TimeFormat.SECONDS)
    utc = render_timestamp(clock.now() - timedelta(hours=8), TimeFormat.SECONDS)
    assert china == f"{clock.now().astimezone(CHINA):%Y%m%d%H%M%S}"
    assert receive(call_for("query_station_status", IDS, stamp=china), strict).ret == 0
    assert receive(call_for("query_station_status", IDS, stamp=utc), strict).ret == 4003
    assert receive(call_for("query_station_status", IDS, stamp=utc), make_door()).ret == 0


def test_trap_26_interface_names_vary_by_agreement(make_door: MakeDoor, link: InboundLink, call_for: CallFor) -> None:
    agreed = replace(link, interface_aliases={"query_stations_status": "query_station_status"})
    call = call_for("query_stations_status", IDS)
    assert receive(call, make_door()).ret == 4004
    assert receive(call, make_door(link=agreed)).ret == 0


def test_trap_27_rounded_details_give_the_totals_and_nothing_is_rounded_on_the_wire(contract: Contract) -> None:
    parts = [Decimal("10.3333"), Decimal("10.3333"), Decimal("10.3334")]
    assert sum(spread_largest_remainder(parts, 2)) == Decimal("31.00")
    with pytest.raises(UnwritableBody):
        contract["notification_equip_charge_status"].request.write(CONVENTIONAL | {"TotalPower": Decimal("12.505")})


def test_trap_28_a_start_is_answered_without_asking_the_pile(
    make_door: MakeDoor, call_for: CallFor, clock: ManualClock
) -> None:
    """The protocol's side of it: handlers get body and link, and no way to a pile; the business tests show the rest."""
    answered: list[str] = []

    def start(_link: InboundLink, body: dict[str, Any]) -> dict[str, Any]:
        answered.append(body["StartChargeSeq"])
        return {**STOP, "StartChargeSeqStat": 1, "SuccStat": 0, "FailReason": 0}

    door = make_door(handlers={"query_start_charge": start})
    assert receive(call_for("query_start_charge", STOP | {"QRCode": ""}), door).ret == 0
    assert answered == [STOP["StartChargeSeq"]]


def test_secrets_raw_or_hex_and_long_keys_only_by_option() -> None:
    hex_key = "30313233343536373839616263646566"
    assert KeySet("s", hex_key, "0123456789abcdef", "s" * 16, KeyEncoding.HEX).data_key_bytes == b"0123456789abcdef"
    with pytest.raises(ConfigurationError):
        KeySet("s", hex_key, "0123456789abcdef", "s" * 16)
    assert len(KeySet("s", hex_key, "0123456789abcdef", "s" * 16, allow_long_key=True).data_key_bytes) == 32
    assert len(KeySet("s", "k" * 24, "0123456789abcdef", "s" * 16, allow_long_key=True).data_key_bytes) == 24


@pytest.mark.parametrize("secret", ["s" * 16, "0123456789ABCDEF" * 3, "0123456789ABCDEF" * 4, "x" * 65, "密" * 30])
def test_signature_keys_of_any_length_give_rfc_2104(secret: str) -> None:
    keys = KeySet("s", "0123456789abcdef", "0123456789abcdef", secret)
    assert crypto.sign("请求成功", keys) == hmac.new(secret.encode(), "请求成功".encode(), "md5").hexdigest().upper()


def test_answers_signed_by_the_request_rule_need_the_switch(keys: KeySet, sealed: Callable[..., bytes]) -> None:
    members = json.loads(sealed({"Status": 0})) | {"Sig": crypto.sign("whatever they signed", keys)}
    with pytest.raises(Exception, match="Sig"):
        envelope.open_reply(members, keys)
    for how in (Verify.WARN, Verify.OFF):
        opened = envelope.open_reply(members, keys, options=EnvelopeOptions(verify_response=how))
        assert (opened.body, opened.verified) == ({"Status": 0}, False)
