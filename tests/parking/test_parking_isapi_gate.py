"""Opening a barrier through ISAPI: the right way is found and remembered, and nothing is sent too late (`specs/parking.md` 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from charging_core.clock import ManualClock
from parking.adapters.hikvision_isapi.client import IsapiClient
from parking.adapters.hikvision_isapi.documents import read_response_status
from parking.adapters.hikvision_isapi.gate import IsapiGate
from parking.adapters.hikvision_isapi.settings import IsapiSettings
from parking.port import GateAction, GateCommand, GateState, Outcome
from tests.parking.scripted_http import Reply, ScriptedServer, Seen, free_port

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
M1 = "/ISAPI/Parking/channels/1/barrierGate"
M2 = "/ISAPI/ITC/Entrance/barrierGateCtrl"
M3 = "/ISAPI/System/IO/outputs/1/trigger"
CHALLENGE = [("WWW-Authenticate", 'Digest realm="cam", nonce="n", qop="auth"')]


def status(
    code: int, sub: str = "ok", http: int = 200, namespace: str = "http://www.isapi.org/ver20/XMLSchema"
) -> Reply:
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><ResponseStatus version="2.0" xmlns="{namespace}">'
        f"<statusCode>{code}</statusCode><statusString>S{code}</statusString><subStatusCode>{sub}</subStatusCode>"
        "</ResponseStatus>"
    )
    return Reply(http, body.encode())


NOT_SUPPORTED = status(4, "notSupport", 403)
BUSY = status(2, "deviceBusy", 503)


class Rig:
    """A device, the gate on it, a clock, and the pauses that the gate wanted to make."""

    def __init__(self, server: ScriptedServer, gate: IsapiGate, clock: ManualClock, pauses: list[float]) -> None:
        self.server = server
        self.gate = gate
        self.clock = clock
        self.pauses = pauses

    def commands(self) -> list[str]:
        """Targets of the authorised requests, in order."""
        return [seen.target for seen in self.server.seen if "authorization" in seen.headers]


def behind_login(script: Callable[[Seen], Reply]) -> Callable[[Seen], Reply]:
    def answer(seen: Seen) -> Reply:
        return script(seen) if "authorization" in seen.headers else Reply(401, b"", CHALLENGE)

    return answer


@contextmanager
def rig(script: Callable[[Seen], Reply], url: str | None = None, **settings: Any) -> Iterator[Rig]:
    with ScriptedServer(behind_login(script)) as server:
        members = {
            "base_url": url or server.url,
            "username": "admin",
            "password": "Gate#2024",
            "lane_ref": "exit-1",
            "direction": "exit",
            **settings,
        }
        checked = IsapiSettings.model_validate(members)
        clock, pauses = ManualClock(NOW), list[float]()

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            clock.advance(timedelta(seconds=seconds))

        client = IsapiClient(checked)
        yield Rig(server, IsapiGate(checked, client, clock, pause), clock, pauses)
        client.close()


def by_target(replies: dict[str, Reply]) -> Callable[[Seen], Reply]:
    return lambda seen: replies.get(seen.target, Reply(404, b"<html>no</html>"))


def command(action: GateAction = GateAction.OPEN, seconds: float = 15) -> GateCommand:
    return GateCommand(action, NOW + timedelta(seconds=seconds))


def test_the_current_way_first() -> None:
    with rig(by_target({M1: status(1)})) as used:
        result = used.gate.operate(command())
        [seen] = [one for one in used.server.seen if "authorization" in one.headers]
    assert (result.state, result.outcome, result.method) == (
        GateState.ACCEPTED_UNCONFIRMED,
        Outcome.OK,
        "parking_channel",
    )
    assert (seen.method, seen.target) == ("PUT", M1)
    assert b"<ctrlMode>open</ctrlMode>" in seen.body
    assert seen.headers["content-type"].startswith("application/xml")


@pytest.mark.parametrize(
    "refusal", [NOT_SUPPORTED, Reply(404, b"<html>"), Reply(403, b""), status(4, "notSupport"), Reply(405, b"")]
)
def test_the_older_way_is_found_and_remembered(refusal: Reply) -> None:
    with rig(by_target({M1: refusal, M2: status(1)})) as used:
        first, second = used.gate.operate(command()), used.gate.operate(command(GateAction.CLOSE))
        assert used.commands() == [M1, M2, M2]
        assert b"<barrietGateOper>on</barrietGateOper>" in used.server.seen[-2].body
        assert b"<barrietGateOper>off</barrietGateOper>" in used.server.seen[-1].body
    assert (first.method, second.method) == ("itc_entrance", "itc_entrance")
    assert len(first.traces) == 2
    assert used.pauses == []


def test_a_remembered_way_that_stops_working_is_searched_again() -> None:
    replies = {M1: NOT_SUPPORTED, M2: status(1)}
    with rig(by_target(replies)) as used:
        used.gate.operate(command())
        replies[M1], replies[M2] = status(0), NOT_SUPPORTED
        assert used.gate.operate(command()).method == "parking_channel"
        assert used.commands() == [M1, M2, M2, M1]


def test_the_relay_is_pulsed() -> None:
    with rig(by_target({M3: status(1)})) as used:
        result = used.gate.operate(command())
        levels = [seen.body.split(b"outputState>")[1][:4] for seen in used.server.seen if seen.target == M3]
    assert (result.state, result.method) == (GateState.ACCEPTED_UNCONFIRMED, "relay_output")
    assert levels == [b"high", b"low<"]
    assert used.pauses == [1.0]


def test_a_relay_that_cannot_be_released_is_told() -> None:
    with rig(lambda seen: status(1) if b"high" in seen.body else status(3), gate_methods=["relay_output"]) as used:
        result = used.gate.operate(command())
    assert (result.state, result.code) == (GateState.ACCEPTED_UNCONFIRMED, "RELAY_STUCK")


def test_a_relay_cannot_close() -> None:
    with rig(by_target({M3: status(1)}), gate_methods=["relay_output"]) as used:
        result = used.gate.operate(command(GateAction.CLOSE))
        assert used.server.seen == []
    assert (result.state, result.code) == (GateState.REFUSED, "NO_METHOD")


@pytest.mark.parametrize("answer", [BUSY, status(3, "deviceError"), Reply(500, b"oops")])
def test_busy_gets_one_more_try_and_no_other_way(answer: Reply) -> None:
    with rig(by_target({M1: answer, M2: status(1)})) as used:
        result = used.gate.operate(command())
        assert used.commands() == [M1, M1]
    assert result.state is not GateState.ACCEPTED_UNCONFIRMED
    assert used.pauses == [0.3]


def test_busy_then_free() -> None:
    replies = iter([BUSY, status(1)])
    with rig(lambda _seen: next(replies)) as used:
        assert used.gate.operate(command()).state is GateState.ACCEPTED_UNCONFIRMED
        assert used.commands() == [M1, M1]


@pytest.mark.parametrize("answer", [status(5), status(6, "badParameters"), status(7)])
def test_our_own_mistakes_are_not_repeated(answer: Reply) -> None:
    with rig(by_target({M1: answer, M2: status(1)})) as used:
        result = used.gate.operate(command())
        assert used.commands() == [M1]
    assert (result.state, result.outcome) == (GateState.REFUSED, Outcome.PERMANENT)


def test_http_200_without_a_status_is_not_taken_for_success() -> None:
    with rig(by_target({M1: Reply(200, b"<html>welcome</html>"), M2: status(1)})) as used:
        result = used.gate.operate(command())
        assert used.commands() == [M1]
    assert (result.state, result.outcome) == (GateState.UNCONFIRMED, Outcome.UNKNOWN)


def test_silence_is_unconfirmed_after_two_tries() -> None:
    with rig(lambda _seen: Reply(after_s=5), gate_timeout_s=0.1) as used:
        result = used.gate.operate(command())
        assert used.commands() == [M1, M1]
    assert (result.state, result.outcome) == (GateState.UNCONFIRMED, Outcome.TIMEOUT)


def test_an_expired_command_is_never_sent() -> None:
    with rig(by_target({M1: status(1)})) as used:
        result = used.gate.operate(command(seconds=0))
        assert used.server.seen == []
    assert (result.state, result.code) == (GateState.EXPIRED, "EXPIRED")


def test_the_second_try_does_not_happen_after_the_expiry() -> None:
    with rig(by_target({M1: BUSY})) as used:
        result = used.gate.operate(command(seconds=0.2))
        assert used.commands() == [M1]
    assert (result.state, result.outcome) == (GateState.REFUSED, Outcome.RETRYABLE)


def test_a_dead_device() -> None:
    with rig(by_target({}), url=f"http://127.0.0.1:{free_port()}") as used:
        result = used.gate.operate(command())
    assert (result.state, result.outcome, len(result.traces)) == (GateState.REFUSED, Outcome.RETRYABLE, 2)


def test_a_refused_password_stops_everything() -> None:
    with ScriptedServer(lambda _seen: Reply(401, b"", CHALLENGE)) as server, rig(by_target({}), url=server.url) as used:
        results = [used.gate.operate(command()) for _ in range(3)]
        assert len(server.seen) == 2
    assert {(one.state, one.outcome, one.code) for one in results} == {
        (GateState.REFUSED, Outcome.CONFIGURATION, "AUTH_FAILED")
    }


@pytest.mark.parametrize("sub", ["lowPrivilege", "notActivated", "badAuthorization"])
def test_missing_rights_are_not_searched_around(sub: str) -> None:
    with rig(by_target({M1: status(4, sub, 403), M2: status(1)})) as used:
        result = used.gate.operate(command())
        assert used.commands() == [M1]
    assert (result.state, result.outcome) == (GateState.REFUSED, Outcome.CONFIGURATION)


@pytest.mark.parametrize(
    "body",
    [
        b'<ResponseStatus xmlns="http://www.isapi.org/ver20/XMLSchema"><statusCode>1</statusCode></ResponseStatus>',
        b'<ResponseStatus xmlns="http://www.hikvision.com/ver20/XMLSchema"><statusCode>1</statusCode></ResponseStatus>',
        b'<ns1:ResponseStatus xmlns:ns1="http://www.std-cgi.com/ver10/XMLSchema"><ns1:statusCode> 1 </ns1:statusCode>'
        b"</ns1:ResponseStatus>",
        b"\xef\xbb\xbf\r\nxx<ResponseStatus><statusCode>0</statusCode></ResponseStatus>\x00",
        b'{"statusCode":1,"statusString":"OK","subStatusCode":"ok","errorCode":1,"errorMsg":"ok"}',
        b'{"ResponseStatus":{"statusCode":1,"statusString":"OK"}}',
    ],
)
def test_a_status_is_read_in_every_spelling(body: bytes) -> None:
    found = read_response_status(body)
    assert found is not None
    assert found.ok


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"OK",
        b"<a>",
        b"[1]",
        b"{bad",
        b"<ResponseStatus><statusCode>one</statusCode></ResponseStatus>",
        b"<DeviceInfo><model>x</model></DeviceInfo>",
        b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><ResponseStatus><statusCode>&e;</statusCode></ResponseStatus>',
        b'<!DOCTYPE a [<!ENTITY e "1">]><ResponseStatus><statusCode>&e;</statusCode></ResponseStatus>',
    ],
)
def test_no_status(body: bytes) -> None:
    assert read_response_status(body) is None
