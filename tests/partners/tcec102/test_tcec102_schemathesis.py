"""schemathesis over the contract (DECISIONS 34): it makes bodies by the schemas, we seal and sign them and send them through the door.

The wire body of every interface is the same envelope, so generated envelopes would only ever test its five members. Therefore each
operation is shown to schemathesis with the schema of its *decrypted* request.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

import openapi
from charging_core.clock import ManualClock
from partners.tcec102 import envelope, jsonio
from partners.tcec102.contract import Contract
from partners.tcec102.errors import InvalidBody
from partners.tcec102.keys import KeySet
from partners.tcec102.memory import MemoryLinkDirectory, MemorySink, NoLimit
from partners.tcec102.ports import Handler, InboundLink
from partners.tcec102.receive import Door, receive
from partners.tcec102.schemas import json_schema
from partners.tcec102.tokens import MemoryTokenStore
from partners.tcec102.visit import InboundCall

BASE, PARTNER, STAMP = "/demo/evcs/v1/", "MA5TEST02", "20241027080000"
KEYS = KeySet("op-secret-1", "9f3c1b7e5a2d4860", "0123456789abcdef", "7c1e9a4b3d5f6082")
CONTRACT = Contract.standard()
EXAMPLES, FEW = 8, 3
LARGE = frozenset(
    {"notification_stationInfo", "notification_stationFee", "notification_charge_order_info", "check_charge_orders"}
    | {"notification_equip_charge_status"}
)
"""Bodies with lists of objects take schemathesis a tenth of a second each and more."""
SOME = ("query_token", "query_station_status", "query_start_charge", "notification_stop_charge_result")
REACHED = 0.9
"""At least so many of the generated calls must come as far as the check of the body (DECISIONS 34)."""


def shown() -> dict[str, Any]:
    """The contract with decrypted bodies in the place of envelopes."""
    schemas = openapi.load("tcec102")["components"]["schemas"]
    paths = {}
    for name, interface in CONTRACT.items():
        content = {"application/json": {"schema": json_schema(schemas, interface.request.name, tolerant=False)}}
        answer = {"200": {"description": "sealed"}}
        operation = {"operationId": name, "requestBody": {"required": True, "content": content}, "responses": answer}
        paths[f"/{name}"] = {"post": operation}
    return {"openapi": "3.1.0", "info": {"title": "decrypted", "version": "1"}, "paths": paths}


DOCUMENT = schemathesis.openapi.from_dict(shown())
OPERATIONS: dict[str, Any] = {
    result.ok().definition.raw["operationId"]: result.ok()
    for result in DOCUMENT.get_all_operations()
    if isinstance(result, Ok)
}


def example_of(name: str) -> Mapping[str, Any]:
    """The contract's own example of an answer."""
    schemas = openapi.load("tcec102")["components"]["schemas"]
    found = schemas[CONTRACT[name].reply.name].get("examples") or [{}]
    return jsonio.loads_body(orjson.dumps(found[0]))  # type: ignore[no-any-return]


def handler(name: str) -> Handler:
    answer = example_of(name)
    return lambda _link, _body: answer


class Rig:
    def __init__(self) -> None:
        self.sink, tokens = MemorySink(), MemoryTokenStore()
        self.token = tokens.issue("link-1", 7200).token
        self.reached: Counter[bool] = Counter()
        link = InboundLink("link-1", (PARTNER,), "MA5TEST01", (KEYS,))
        self.door = Door(
            contract=CONTRACT,
            links=MemoryLinkDirectory([(BASE, link)]),
            tokens=tokens,
            limiter=NoLimit(),
            handlers={name: handler(name) for name in CONTRACT if name != "query_token"},
            clock=ManualClock(datetime(2024, 10, 27, tzinfo=UTC)),
            sink=self.sink,
        )

    def ask(self, name: str, body: Any) -> int:
        """Seal, sign, send; counts whether the body was looked at."""
        sealed = envelope.seal_request(orjson.dumps(body), PARTNER, KEYS, STAMP, "0001")
        call = InboundCall(BASE, name, orjson.dumps(sealed), f"Bearer {self.token}", "192.0.2.7")
        reply = receive(call, self.door)
        check = self.sink.exchanges[-1].failed_check
        self.reached[check in ("", "body", "handler")] += 1
        opened = envelope.open_reply(reply.payload, KEYS)
        assert opened.verified
        assert opened.ret == reply.ret
        if reply.ret == 0:
            CONTRACT[name].reply.read(opened.body)
        return reply.ret


@pytest.fixture(scope="module")
def rig() -> Rig:
    return Rig()


def _plain(value: Any) -> bool:
    """Can it be sent at all? JSON in UTF-8 has no lone surrogates, and no decimal beyond what we read."""
    try:
        orjson.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def tame(value: Any) -> Any:
    """Monstrous numbers and NUL are refused while the text is read (`jsonio`); here they would only hide what comes after."""
    if isinstance(value, float):
        return round(value % 1_000_000, 6) if abs(value) < 1e300 else 1.5
    if isinstance(value, str):
        return value.replace("\0", "0")
    if isinstance(value, dict):
        return {tame(name): tame(member) for name, member in value.items()}
    return [tame(member) for member in value] if isinstance(value, list) else value


@functools.cache
def bodies(name: str, mode: schemathesis.GenerationMode) -> st.SearchStrategy[Any]:
    made: st.SearchStrategy[Any] = OPERATIONS[name].as_strategy(generation_mode=mode)
    return made.map(lambda case: tame(case.body)).filter(_plain)


def checked(name: str, rig: Rig, mode: schemathesis.GenerationMode, allowed: Callable[[Any, int], bool]) -> None:
    @settings(
        max_examples=FEW if name in LARGE else EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(body=bodies(name, mode))
    def try_out(body: Any) -> None:
        ret = rig.ask(name, body)
        assert allowed(body, ret), (ret, body)

    try_out()


def readable(name: str, body: Any) -> bool:
    try:
        CONTRACT[name].request.read(jsonio.loads_body(orjson.dumps(body)))
    except (InvalidBody, ValueError):
        return False
    return True


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_bodies_by_the_schema_are_accepted(rig: Rig, name: str) -> None:
    """Ret 0, except where the standard itself asks for more than a schema can say: two spellings of one member."""
    checked(name, rig, schemathesis.GenerationMode.POSITIVE, lambda body, ret: ret == 0 or not readable(name, body))


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_bodies_against_the_schema_are_answered_in_codes_of_the_standard(rig: Rig, name: str) -> None:
    checked(name, rig, schemathesis.GenerationMode.NEGATIVE, lambda _body, ret: ret in (0, 4003, 4004))


def test_nine_of_ten_generated_calls_reach_the_check_of_the_body() -> None:
    own = Rig()
    for name in SOME:
        for mode in schemathesis.GenerationMode:
            checked(name, own, mode, lambda _body, ret: ret in (0, 4003, 4004))
    share = own.reached[True] / own.reached.total()
    assert own.reached.total() >= len(SOME) * EXAMPLES
    assert share >= REACHED, share
