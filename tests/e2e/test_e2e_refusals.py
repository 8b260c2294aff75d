"""Bad input: each gets the specified answer, is counted where operators look, and changes nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from charging_core.clock import to_china
from charging_core.simulator.layouts import FrameType
from charging_core.simulator.messages import login_fields
from charging_core.simulator.settings import PileSettings
from charging_core.simulator.wire import Frame, FrameReader, build, decode, encode
from partners.fake.wire import seal_request, signature_matches
from tests.e2e.operator_file import MAX_SKEW_S, PARTNER
from tests.e2e.programs import HOST, post
from tests.e2e.stage import PARTNER_HUB_KEYS, Stage

pytestmark = pytest.mark.timeout(300)  # the first test sets the stage

UNKNOWN_PILE = "99887766554433"
MEBI = 1024 * 1024
_STATIONS = {"LastQueryTime": "", "PageNo": 1, "PageSize": 10}
_FRAME_LIMIT = 1024
_SOCKET_S = 10.0

Envelope = dict[str, Any]


# -- piles


@contextmanager
def pile_socket(stage: Stage) -> Iterator[socket.socket]:
    """A connection to the pile port."""
    with socket.create_connection((HOST, stage.piles.port), _SOCKET_S) as connection:
        yield connection


def login(code: str) -> bytes:
    """A login frame of a pile with this code."""
    fields = login_fields(PileSettings(code=code, software="BADGUY"))
    return build(Frame(FrameType.LOGIN, encode(FrameType.LOGIN, fields)))


def first_frame(connection: socket.socket) -> Frame:
    """The first whole frame that comes back."""
    reader = FrameReader()
    while True:
        received = connection.recv(_FRAME_LIMIT)
        assert received, "the hub hung up without an answer"
        frames = reader.feed(received)
        if frames:
            raw = frames[0]
            return Frame(type=raw[5], body=raw[6:-2])


def test_an_unknown_pile_is_refused_and_listed(stage: Stage) -> None:
    before = stage.metric("piles", "hub_piles_refused_logins_total")
    with pile_socket(stage) as connection:
        connection.sendall(login(UNKNOWN_PILE))
        answer = first_frame(connection)
    assert answer.type == FrameType.LOGIN_REPLY
    assert decode(FrameType.LOGIN_REPLY, answer.body)["result"] != 0
    listed = stage.until("the knock to be listed", lambda: _refused(stage))
    assert listed["firmware"] == "BADGUY"
    assert listed["address"].startswith(HOST)
    assert stage.metric("piles", "hub_piles_refused_logins_total") == before + 1


def _refused(stage: Stage) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = stage.command("pile", "refused")
    return next((line for line in found if line["pile_code"] == UNKNOWN_PILE), None)


def broken_crc() -> bytes:
    """A login of a known pile whose check bytes fit in no order."""
    raw = bytearray(login("32010600000001"))
    raw[-1] ^= 0x55
    raw[-2] ^= 0x2A
    return bytes(raw)


@pytest.mark.parametrize(
    ("bad", "counter"),
    [
        (b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n", "hub_piles_garbage_bytes_total"),
        (broken_crc(), "hub_piles_crc_errors_total"),
    ],
    ids=["garbage", "wrong crc"],
)
def test_bytes_that_are_no_frame_are_counted_and_change_nothing(stage: Stage, bad: bytes, counter: str) -> None:
    before, state = stage.metric("piles", counter), business(stage)
    with pile_socket(stage) as connection:
        connection.sendall(bad)
        stage.until("the bytes to be counted", lambda: stage.metric("piles", counter) > before)
    assert business(stage) == state


def test_a_truncated_frame_changes_nothing(stage: Stage) -> None:
    state = business(stage)
    with pile_socket(stage) as connection:
        connection.sendall(login("32010600000001")[:-7])
    assert business(stage) == state


# -- partners


def sealed(stage: Stage, body: Any = None, at: timedelta = timedelta()) -> Envelope:
    """A right envelope of the partner; `at` shifts its TimeStamp."""
    stamp = to_china(stage.clock.now() + at).strftime("%Y%m%d%H%M%S")
    return seal_request(PARTNER, _STATIONS if body is None else body, PARTNER_HUB_KEYS, stamp, "0001")


def unsigned(stage: Stage) -> Envelope:
    return sealed(stage) | {"Sig": ""}


def wrong_signature(stage: Stage) -> Envelope:
    return sealed(stage) | {"Sig": "0" * 32}


def expired(stage: Stage) -> Envelope:
    return sealed(stage, at=timedelta(seconds=-2 * MAX_SKEW_S))


def undecryptable(stage: Stage) -> Envelope:
    """Signed rightly by somebody whose data key is another one."""
    other = PARTNER_HUB_KEYS.model_copy(update={"data_secret": "0123456789abcdef"})
    stamp = to_china(stage.clock.now()).strftime("%Y%m%d%H%M%S")
    return seal_request(PARTNER, _STATIONS, other, stamp, "0001")


def wrong_member(stage: Stage) -> Envelope:
    return sealed(stage, {"LastQueryTime": "", "PageNo": "first", "PageSize": 10})


def right(stage: Stage) -> Envelope:
    return sealed(stage)


def stranger(stage: Stage) -> Envelope:
    return sealed(stage) | {"OperatorID": "MA5NOBODY"}


@pytest.mark.parametrize(
    ("make", "token", "ret", "check"),
    [
        (unsigned, True, 4003, "members"),
        (stranger, True, 4003, "operator"),
        (wrong_signature, True, 4001, "signature"),
        (right, False, 4002, "token"),
        (expired, True, 4003, "time"),
        (undecryptable, True, 4003, "decrypt"),
        (wrong_member, True, 4004, "body"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_bad_envelope_gets_its_code(
    stage: Stage, make: Callable[[Stage], Envelope], token: bool, ret: int, check: str
) -> None:
    state, before = business(stage), _refusals(stage, check)
    answer = call(stage, json.dumps(make(stage)).encode(), token_of(stage) if token else "wrong")
    assert answer["Ret"] == ret, answer
    if check not in ("members", "operator"):
        assert signature_matches(answer["Sig"], PARTNER_HUB_KEYS, str(ret), answer["Msg"], answer["Data"] or "")
    assert _refusals(stage, check) == before + 1
    assert business(stage) == state


def test_an_oversized_envelope_is_refused_unsigned(stage: Stage) -> None:
    state, before = business(stage), _refusals(stage, "size")
    answer = call(stage, json.dumps(sealed(stage) | {"Data": "A" * MEBI}).encode(), token_of(stage))
    assert (answer["Ret"], answer["Sig"]) == (4003, "")
    assert _refusals(stage, "size") == before + 1
    assert business(stage) == state


def test_what_is_not_json_is_refused_unsigned(stage: Stage) -> None:
    before = _refusals(stage, "json")
    answer = call(stage, b"<xml/>", token_of(stage))
    assert (answer["Ret"], answer["Sig"]) == (4003, "")
    assert _refusals(stage, "json") == before + 1


def call(stage: Stage, envelope: bytes, token: str) -> dict[str, Any]:
    """One call as it stands, and the answer's envelope; the HTTP status is always 200."""
    reply = post(f"{stage.inbound_url}query_stations_info", envelope, {"Authorization": f"Bearer {token}"})
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def token_of(stage: Stage) -> str:
    """A token that the hub gave to the partner."""
    answer = stage.partner.call("query_token", {})
    assert answer.data is not None
    return str(answer.data["AccessToken"])


def _refusals(stage: Stage, check: str) -> float:
    return stage.metric("web", "hub_tcec102_refusals_total", check=check)


def business(stage: Stage) -> Any:
    """What bad input must not change: orders, and what is known of piles and connectors."""
    piles = [(pile["code"], pile["online"]) for pile in stage.console("piles?limit=200")["items"]]
    connectors = [(c["code"], c["state"]) for c in stage.console("connectors?limit=200")["items"]]
    return stage.console("orders?limit=200")["items"], piles, connectors
