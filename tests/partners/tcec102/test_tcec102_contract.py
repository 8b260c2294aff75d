"""The contract document and what is compiled from it: bodies read with forgiveness, written with exactness."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import openapi
from partners.tcec102 import jsonio
from partners.tcec102.contract import Contract, Side
from partners.tcec102.errors import ConfigurationError, InvalidBody, UnwritableBody
from partners.tcec102.options import BodyOptions, NumberStyle, WriteOptions

BY_CPO = {
    "query_stations_info",
    "query_station_status",
    "query_station_stats",
    "query_equip_auth",
    "query_equip_business_policy",
    "query_start_charge",
    "query_equip_charge_status",
    "query_stop_charge",
}
BY_MSP = {
    "check_charge_orders",
    "notification_stationStatus",
    "notification_start_charge_result",
    "notification_equip_charge_status",
    "notification_stop_charge_result",
    "notification_charge_order_info",
}
DIALECTS = {"notification_stationInfo", "notification_stationFee"}
SEQ = "987654321240102030405000001"
ORDER: dict[str, Any] = {
    "StartChargeSeq": SEQ,
    "ConnectorID": "0000000000000101",
    "StartTime": "2024-01-02 03:04:25",
    "EndTime": "2024-01-02 04:10:00",
    "TotalPower": Decimal("30.5"),
    "TotalElecMoney": Decimal("24.4"),
    "TotalSeviceMoney": Decimal("12.2"),
    "TotalMoney": Decimal("36.6"),
    "StopReason": 2,
    "SumPeriod": 1,
    "ChargeDetails": [
        {
            "DetailStartTime": "2024-01-02 03:04:25",
            "DetailEndTime": "2024-01-02 04:00:00",
            "ElecPrice": Decimal("0.8"),
            "SevicePrice": Decimal("0.4"),
            "DetailPower": 26,
            "DetailElecMoney": Decimal("20.8"),
            "DetailSeviceMoney": Decimal("10.4"),
        }
    ],
}


def exact(value: Any) -> Any:
    """A YAML example with its floats as decimals."""
    return json.loads(json.dumps(value), parse_float=Decimal)


# ----------------------------------------------------------------------------------------------------------- document


def test_all_fifteen_interfaces_of_the_standard_on_both_sides_and_the_dialects(contract: Contract) -> None:
    assert len(BY_CPO | BY_MSP) == 14
    assert set(contract) == BY_CPO | BY_MSP | {"query_token"} | DIALECTS
    document = openapi.load("tcec102")["paths"]
    implementers = {path.removeprefix("/"): item["post"]["x-tcec-implementer"] for path, item in document.items()}
    assert {name for name, side in implementers.items() if side == "cpo"} == BY_CPO
    assert {name for name, side in implementers.items() if side == "msp"} == BY_MSP | DIALECTS
    assert {name for name in contract if contract[name].side is Side.BOTH} >= BY_CPO | BY_MSP | {"query_token"}
    assert {path.removeprefix("/") for path, item in document.items() if item["post"].get("x-tcec-dialect")} == DIALECTS
    assert [name for name in contract if not contract[name].needs_token] == ["query_token"]


def test_every_example_of_the_document_satisfies_the_letter_of_its_schema(contract: Contract) -> None:
    schemas = openapi.load("tcec102")["components"]["schemas"]
    bodies = {body.name: body for name in contract for body in (contract[name].request, contract[name].reply)}
    for name, body in bodies.items():
        for example in schemas[name]["examples"]:
            forgiven = {
                key: value
                for key, value in exact(example).items()
                if not (name.endswith("InfoRequest") and value == "")
            }
            assert body.violations(forgiven) == [], name
            assert body.read(exact(example))


def test_every_operation_has_texts_in_both_languages() -> None:
    for item in openapi.load("tcec102")["paths"].values():
        chinese, _, english = item["post"]["summary"].partition(" · ")
        assert english.isascii()
        assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)


@pytest.mark.parametrize(
    "damage",
    [
        {"operationId": "other"},
        {"x-tcec-side": "nobody"},
        {"x-tcec-request": "NoSuchSchema"},
        {"x-tcec-response": None},
    ],
)
def test_a_document_that_cannot_work_fails_at_start(damage: dict[str, Any]) -> None:
    document = openapi.load("tcec102")
    document["paths"]["/query_stop_charge"]["post"].update(damage)
    with pytest.raises(ConfigurationError):
        Contract(document)


def test_an_unknown_schema_keyword_fails_at_start() -> None:
    document = openapi.load("tcec102")
    document["components"]["schemas"]["SequenceID"]["maxLenght"] = 27
    with pytest.raises(ConfigurationError, match="maxLenght"):
        Contract(document)


def test_a_contract_that_is_not_there_says_so() -> None:
    with pytest.raises(FileNotFoundError):
        openapi.load("nothing")


# ------------------------------------------------------------------------------------------------------------ reading


def test_texts_numbers_and_ids_take_the_standard_form(contract: Contract) -> None:
    body = contract["query_start_charge"].request.read(
        {"StartChargeSeq": SEQ, "ConnectorID": 1001, "QRCode": "", "Balance": "12.50", "Own": {"kept": 1}}
    )
    assert body["ConnectorID"] == "1001"
    assert str(body["Balance"]) == "12.50"
    assert body["Own"] == {"kept": 1}


def test_numbers_become_decimals_and_whole_ones_integers(contract: Contract) -> None:
    received = {**ORDER, "TotalPower": 30, "StopReason": "2", "SumPeriod": Decimal("1.0")}
    body = contract["notification_charge_order_info"].request.read(received)
    assert (type(body["TotalPower"]), body["StopReason"], body["SumPeriod"]) == (Decimal, 2, 1)
    assert type(body["ChargeDetails"][0]["DetailPower"]) is Decimal


@pytest.mark.parametrize("blank", [None, ""])
def test_blank_optional_members_are_missing(contract: Contract, blank: str | None) -> None:
    asked = {"LastQueryTime": blank, "PageNo": blank, "PageSize": 10}
    assert contract["query_stations_info"].request.read(asked) == {"PageSize": 10}


def test_blank_required_members_are_wrong(contract: Contract) -> None:
    with pytest.raises(InvalidBody) as caught:
        contract["query_stop_charge"].request.read({"StartChargeSeq": SEQ, "ConnectorID": ""})
    assert caught.value.field == "ConnectorID"


def test_other_spellings_become_the_standard_one(contract: Contract) -> None:
    received = {**ORDER, "TotalServiceMoney": ORDER["TotalSeviceMoney"], "SubPeriod": 1}
    del received["TotalSeviceMoney"], received["SumPeriod"]
    body = contract["notification_charge_order_info"].request.read(received)
    assert body["TotalSeviceMoney"] == Decimal("12.2")
    assert "TotalServiceMoney" not in body


def test_two_equal_spellings_pass_and_two_different_ones_are_refused(contract: Contract) -> None:
    schema = contract["notification_charge_order_info"].request
    assert schema.read({**ORDER, "TotalServiceMoney": Decimal("12.2")})["TotalSeviceMoney"] == Decimal("12.2")
    with pytest.raises(InvalidBody) as caught:
        schema.read({**ORDER, "TotalServiceMoney": Decimal("12.3")})
    assert caught.value.field == "TotalSeviceMoney"


def test_a_profile_may_add_spellings(contract: Contract) -> None:
    options = BodyOptions(extra_aliases={"StartChargeSeq": ("OrderNo",)})
    body = contract["query_equip_charge_status"].request.read({"OrderNo": SEQ}, options)
    assert body == {"StartChargeSeq": SEQ}


def test_unknown_codes_and_long_ids_of_partners_are_kept(contract: Contract) -> None:
    status = {"ConnectorStatusInfo": {"ConnectorID": "M" * 50, "Status": 100, "ParkStatus": 1}}
    schema = contract["notification_stationStatus"].request
    assert schema.read(status)["ConnectorStatusInfo"]["Status"] == 100
    assert {item.field for item in schema.violations(status)} == {
        "ConnectorStatusInfo.ConnectorID",
        "ConnectorStatusInfo.Status",
        "ConnectorStatusInfo.ParkStatus",
    }
    with pytest.raises(InvalidBody):
        schema.read(status, BodyOptions.strict())


def test_strict_options_forgive_nothing(contract: Contract) -> None:
    schema = contract["query_stations_info"].request
    for body in ({"PageNo": "1"}, {"PageNo": None}, {"LastQueryTime": ""}):
        schema.read(body)
        with pytest.raises(InvalidBody):
            schema.read(body, BodyOptions.strict())


def test_lenient_options_match_names_and_shapes(contract: Contract) -> None:
    options = BodyOptions.lenient()
    body = contract["notification_charge_order_info"].reply.read(
        {"startChargeSeq": SEQ, "connectorID": "1", "confirmResult ": 0}, options
    )
    assert body == {"StartChargeSeq": SEQ, "ConnectorID": "1", "ConfirmResult": 0}
    assert contract["query_station_status"].request.read({"StationIDs": "1"}, options) == {"StationIDs": ["1"]}
    status = {"ConnectorStatusInfo": [{"ConnectorID": "1", "Status": 1}]}
    read = contract["notification_stationStatus"].request.read(status, options)
    assert read["ConnectorStatusInfo"]["Status"] == 1
    with pytest.raises(InvalidBody):
        contract["query_station_status"].request.read({"StationIDs": "1"})


def test_lenient_names_that_collide_with_different_values_are_refused(contract: Contract) -> None:
    with pytest.raises(InvalidBody):
        contract["query_equip_charge_status"].request.read(
            {"StartChargeSeq": "a", "startChargeSeq": "b"}, BodyOptions.lenient()
        )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ChargeDetails": [{**ORDER["ChargeDetails"][0], "DetailPower": "much"}]}, "ChargeDetails[0].DetailPower"),
        ({"ChargeDetails": [{}]}, "ChargeDetails[0].DetailStartTime"),
        ({"StartTime": "2024-13-02 03:04:25"}, "StartTime"),
        ({"TotalMoney": -1}, "TotalMoney"),
        ({"StopReason": True}, "StopReason"),
        ({"SumPeriod": 2**70}, "SumPeriod"),
        ({"TotalPower": 10**30}, "TotalPower"),
    ],
)
def test_the_wrong_member_is_named_by_its_path(contract: Contract, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidBody) as caught:
        contract["notification_charge_order_info"].request.read({**ORDER, **change})
    assert (caught.value.ret, caught.value.field) == (4004, field)
    assert field in caught.value.msg


def test_the_message_never_repeats_the_value(contract: Contract) -> None:
    with pytest.raises(InvalidBody) as caught:
        contract["query_token"].request.read({"OperatorID": "123456789", "OperatorSecret": "s3cret" * 40})
    assert "s3cret" not in caught.value.msg


@pytest.mark.parametrize("body", [None, 1, "text", [], [{}]])
def test_a_body_that_is_no_object_is_refused(contract: Contract, body: object) -> None:
    with pytest.raises(InvalidBody):
        contract["query_stop_charge"].request.read(body)


def test_more_than_fifty_stations_are_refused(contract: Contract) -> None:
    schema = contract["query_station_status"].request
    assert len(schema.read({"StationIDs": [str(number) for number in range(50)]})["StationIDs"]) == 50
    with pytest.raises(InvalidBody):
        schema.read({"StationIDs": [str(number) for number in range(51)]})


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["StationIDs", "StartChargeSeq", "PageNo", "Soc", "SOC", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(body=ANY_JSON, lenient=st.booleans())
def test_any_json_is_read_or_refused(body: Any, lenient: bool) -> None:
    options = BodyOptions.lenient() if lenient else BodyOptions()
    for name in ("query_station_status", "query_stations_info", "notification_equip_charge_status"):
        try:
            assert isinstance(_CONTRACT[name].request.read(body, options), dict)
        except InvalidBody:
            continue


_CONTRACT = Contract.standard()


# ------------------------------------------------------------------------------------------------------------ writing


def test_decimals_are_written_with_the_scale_of_the_contract(contract: Contract) -> None:
    text = contract["notification_charge_order_info"].request.write(ORDER).decode()
    assert '"TotalPower":30.50,"TotalElecMoney":24.40,"TotalSeviceMoney":12.20,"TotalMoney":36.60' in text
    assert '"ElecPrice":0.8000,"SevicePrice":0.4000,"DetailPower":26.00' in text


def test_a_profile_may_write_another_scale_or_text_under_another_spelling(contract: Contract) -> None:
    style = WriteOptions({"energy": NumberStyle(3), "money": NumberStyle(2, as_text=True)})
    body = {"TotalPower": Decimal("30.5"), "TotalServiceMoney": Decimal("1.2")}
    assert contract["notification_charge_order_info"].request.write(body, style) == (
        b'{"TotalPower":30.500,"TotalServiceMoney":"1.20"}'
    )


@pytest.mark.parametrize("value", [1.5, "1.50", True, Decimal("1.001"), Decimal("NaN"), Decimal("Infinity")])
def test_nothing_is_rounded_and_no_float_is_written(contract: Contract, value: object) -> None:
    with pytest.raises(UnwritableBody) as caught:
        contract["notification_charge_order_info"].request.write({**ORDER, "TotalMoney": value})
    assert "TotalMoney" in str(caught.value)


def test_floats_in_unknown_members_are_refused_with_their_path() -> None:
    with pytest.raises(UnwritableBody, match=r"\$\.a\.1\.b"):
        jsonio.dumps({"a": [0, {"b": 0.1}]})


@pytest.mark.parametrize("value", [object(), {1, 2}, 2**70, Decimal("NaN"), b"bytes"])
def test_what_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(UnwritableBody):
        jsonio.dumps({"a": value})


def test_rendered_pieces_are_copied_in(contract: Contract) -> None:
    piece = jsonio.Rendered(b'{"StationID":"1"}')
    body = {"PageNo": 1, "PageCount": 1, "ItemSize": 1, "StationInfos": [piece]}
    schema = contract["query_stations_info"].reply
    assert schema.check_outgoing(body) == []
    assert orjson.loads(schema.write(body))["StationInfos"] == [{"StationID": "1"}]


def test_outgoing_bodies_may_echo_foreign_ids_but_not_lack_members(contract: Contract) -> None:
    schema = contract["notification_charge_order_info"].request
    renamed = {**ORDER, "StartChargeSeq": "short", "TotalServiceMoney": ORDER["TotalSeviceMoney"]}
    del renamed["TotalSeviceMoney"]
    assert schema.check_outgoing(renamed) == []
    del renamed["TotalServiceMoney"]
    assert [item.field for item in schema.check_outgoing(renamed)] == ["TotalSeviceMoney"]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**12), st.integers(0, 4))
def test_written_decimals_read_back_equal(units: int, places: int) -> None:
    price = Decimal(units).scaleb(-places)
    schema = _CONTRACT["query_equip_business_policy"].reply
    body = {
        "EquipBizSeq": SEQ,
        "ConnectorID": "1",
        "SuccStat": 0,
        "FailReason": 0,
        "SumPeriod": 1,
        "PolicyInfos": [{"StartTime": "000000", "ElecPrice": price, "SevicePrice": 0}],
    }
    read = schema.read(jsonio.loads_body(schema.write(body)))
    assert read["PolicyInfos"][0]["ElecPrice"] == price
    assert schema.violations(read) == []


# --------------------------------------------------------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "[Infinity]",
        '{"a":1e999999999}',
        '{"a":' + "1" * 50 + ".0}",
        '"\\ud800"',
        '"\\u0000"',
        "[" * 100_000,
        "{'a': 1}",
        '{"PageNo":,}',
        '{"a":1,}',
        "\ufeff{}",
        "9" * 5000,
    ],
    ids=range(13),
)
def test_bodies_that_would_hurt_later_are_refused(text: str) -> None:
    with pytest.raises(jsonio.MalformedBody):
        jsonio.loads_body(text.encode("utf-8", "surrogatepass"))


def test_escapes_and_byte_order_marks() -> None:
    assert jsonio.loads_body(b'{"a":"\\u5145\\ud83d\\ude97\\\\u0000"}') == {"a": "充🚗\\u0000"}
    assert jsonio.loads_body("\ufeff{}".encode(), byte_order_mark=True) == {}
