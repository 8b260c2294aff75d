"""The fake camera: digest with its vector, nonce and lock-out rules, three ways to the gate, plate events, faults."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.parser import BytesParser
from typing import Any

import pytest
import requests
from defusedxml import ElementTree
from pydantic import ValidationError
from requests.auth import HTTPDigestAuth

from parking.fake.anpr import JPEG
from parking.fake.camera import FakeCamera
from parking.fake.digest import LOCK_AFTER, DigestGate, Verdict, digest_response, parse_authorization
from parking.fake.isapi_xml import values
from partners.fake.faults import Fault
from partners.fake.httpd import Reply, Request
from partners.fake.server import FakeServer, Served
from tests.fakes.calling import control, manual_clock

PASSWORD = "Gate#2024"
M1 = "/ISAPI/Parking/channels/1/barrierGate"
M2 = "/ISAPI/ITC/Entrance/barrierGateCtrl"
M3 = "/ISAPI/System/IO/outputs/1/trigger"
OPEN_M1 = b'<?xml version="1.0" encoding="UTF-8"?>\n<BarrierGate><ctrlMode>open</ctrlMode></BarrierGate>'
OPEN_M2 = (
    b'<BarrierGateCtrl version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema"><barrietGateNum>1</barrietGateNum>'
    b"<BarrierGateCtrlList><barrietGateOper>on</barrietGateOper></BarrierGateCtrlList></BarrierGateCtrl>"
)
OPEN_M3 = b"<IOPortData><outputState>high</outputState></IOPortData>"
PLATE = "浙AD12345"


class Listener(FakeServer):
    """Takes events like the hub would."""

    def __init__(self) -> None:
        super().__init__(manual_clock())
        self.requests: list[Request] = []

    def serve(self, request: Request, interface: str, fault: Fault | None) -> Served:
        self.requests.append(request)
        return Served(Reply(200), {"accepted": True})


class Ticks:
    """Real seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        yield server


@pytest.fixture
def camera(listener: Listener, ticks: Ticks) -> Iterator[FakeCamera]:
    lanes = [
        {"lane": 1, "direction": "entry", "event_url": f"{listener.url}/hik/evt/in"},
        {"lane": 2, "direction": "exit", "event_url": f"{listener.url}/hik/evt/out"},
    ]
    with FakeCamera({"password": PASSWORD, "lanes": lanes}, manual_clock(), ticks=ticks) as fake:
        yield fake


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.trust_env = False
        opened.auth = HTTPDigestAuth("admin", PASSWORD)
        yield opened


def put(session: requests.Session, camera: FakeCamera, path: str, body: bytes) -> requests.Response:
    return session.put(camera.url + path, body, headers={"Content-Type": "application/xml; charset=UTF-8"}, timeout=5)


def status(answer: requests.Response) -> tuple[int, str, str]:
    found = values(answer.content)
    return answer.status_code, found["statusCode"], found["subStatusCode"]


# -- digest --------------------------------------------------------------------------------------------------------------


def test_the_digest_vector() -> None:
    fields = {
        "uri": M1,
        "nonce": "4e545a454d7a4d354d6a41364d7a63774d6a4d32",
        "nc": "00000001",
        "cnonce": "0a4f113b",
        "qop": "auth",
    }
    assert digest_response("admin", "DS-TCG405-E", PASSWORD, "PUT", fields) == "7a798f6fe50536af87762dd54c98f880"


def authorization(gate: DigestGate, password: str = PASSWORD, nc: str = "00000001", challenge: str = "") -> str:
    nonce = parse_authorization(challenge or gate.challenge())["nonce"]
    fields = {"uri": M1, "nonce": nonce, "nc": nc, "cnonce": "abc", "qop": "auth"}
    fields["response"] = digest_response("admin", "cam", password, "PUT", fields)
    inside = ", ".join(f'{name}="{value}"' for name, value in fields.items() if name != "nc")
    return f'Digest username="admin", realm="cam", nc={nc}, {inside}'


def test_a_nonce_can_be_used_again_with_a_new_count_until_it_expires() -> None:
    ticks = Ticks()
    gate = DigestGate("admin", PASSWORD, "cam", nonce_ttl_s=60, ticks=ticks)
    challenge = gate.challenge()
    first = authorization(gate, challenge=challenge)
    assert gate.check("PUT", M1, first) is Verdict.OK
    assert gate.check("PUT", M1, first) is Verdict.STALE, "the same count again"
    assert gate.check("PUT", M1, authorization(gate, nc="00000002", challenge=challenge)) is Verdict.OK
    ticks.now += 61
    assert gate.check("PUT", M1, authorization(gate, nc="00000003", challenge=challenge)) is Verdict.STALE
    assert gate.failures == 0


@pytest.mark.parametrize(
    ("header", "verdict"),
    [
        ("", Verdict.ABSENT),
        ("Basic YWRtaW46R2F0ZSMyMDI0", Verdict.MALFORMED),
        ('Digest username="admin"', Verdict.MALFORMED),
    ],
)
def test_incomplete_credentials(header: str, verdict: Verdict) -> None:
    assert DigestGate("admin", PASSWORD, "cam").check("PUT", M1, header) is verdict


def test_credentials_for_another_address_or_method_do_not_fit() -> None:
    gate = DigestGate("admin", PASSWORD, "cam")
    assert gate.check("PUT", M2, authorization(gate)) is Verdict.MALFORMED
    assert gate.check("GET", M1, authorization(gate)) is Verdict.WRONG


def test_five_wrong_passwords_lock_the_account_for_a_while() -> None:
    ticks = Ticks()
    gate = DigestGate("admin", PASSWORD, "cam", lock_s=300, ticks=ticks)
    verdicts = [gate.check("PUT", M1, authorization(gate, "wrong")) for _ in range(LOCK_AFTER)]
    assert verdicts == [Verdict.WRONG] * 4 + [Verdict.LOCKED]
    assert gate.check("PUT", M1, authorization(gate)) is Verdict.LOCKED, "the right password does not help"
    ticks.now += 301
    assert gate.check("PUT", M1, authorization(gate)) is Verdict.OK


def test_a_right_password_between_wrong_ones_resets_the_count() -> None:
    gate = DigestGate("admin", PASSWORD, "cam")
    for _ in range(4):
        gate.check("PUT", M1, authorization(gate, "wrong"))
    assert gate.check("PUT", M1, authorization(gate)) is Verdict.OK
    assert gate.check("PUT", M1, authorization(gate, "wrong")) is Verdict.WRONG


def test_over_http_the_first_request_is_challenged_and_the_nonce_reused(
    camera: FakeCamera, session: requests.Session
) -> None:
    assert status(put(session, camera, M1, OPEN_M1)) == (200, "1", "ok")
    assert status(put(session, camera, M1, OPEN_M1)) == (200, "1", "ok")
    assert [entry["checks"]["digest"] for entry in camera.received()] == ["no credentials", "ok", "ok"]
    assert len(camera.gate_actions) == 2


def test_an_expired_nonce_is_stale_and_answered_with_a_new_one(
    camera: FakeCamera, session: requests.Session, ticks: Ticks
) -> None:
    put(session, camera, M1, OPEN_M1)
    ticks.now += 61
    assert status(put(session, camera, M1, OPEN_M1)) == (200, "1", "ok")
    assert [entry["checks"]["digest"] for entry in camera.received()][2:] == ["nonce expired or used", "ok"]


def test_fault_stale(camera: FakeCamera, session: requests.Session) -> None:
    control(camera, "faults", {"faults": [{"kind": "stale"}]})
    answer = put(session, camera, M1, OPEN_M1)
    assert answer.status_code == 401
    assert 'stale="true"' in answer.headers["WWW-Authenticate"]
    assert camera.digest.failures == 0
    assert camera.gate_actions == []


def test_a_wrong_password_is_401_and_five_lock_the_device(camera: FakeCamera, session: requests.Session) -> None:
    answers = []
    for _ in range(LOCK_AFTER):
        with requests.Session() as guesser:
            guesser.trust_env = False
            guesser.auth = HTTPDigestAuth("admin", "guess")
            answers.append(put(guesser, camera, M1, OPEN_M1))
    assert [answer.status_code for answer in answers] == [401] * LOCK_AFTER
    assert values(answers[-1].content)["lockStatus"] == "lock"
    assert put(session, camera, M1, OPEN_M1).status_code == 401
    assert camera.gate_actions == []
    control(camera, "reset", {})
    session.auth = HTTPDigestAuth("admin", PASSWORD)
    assert put(session, camera, M1, OPEN_M1).status_code == 200


# -- the gate ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "body", "method"), [(M1, OPEN_M1, "M1"), (M2, OPEN_M2, "M2"), (M3, OPEN_M3, "M3")])
def test_three_ways_to_open(camera: FakeCamera, session: requests.Session, path: str, body: bytes, method: str) -> None:
    assert status(put(session, camera, path, body)) == (200, "1", "ok")
    [action] = control(camera, "summary")["gate_actions"]
    assert (action["lane"], action["action"], action["method"]) == (1, "open", method)
    assert action["time"].startswith("2026-03-02T12:00:00")
    assert camera.received()[-1]["gate"] == action


def test_m1_refused_then_m2_accepted(camera: FakeCamera, session: requests.Session) -> None:
    control(camera, "methods", {"enabled": ["M2"]})
    assert status(put(session, camera, M1, OPEN_M1)) == (403, "4", "notSupport")
    assert status(put(session, camera, M2, OPEN_M2)) == (200, "1", "ok")
    assert [action["method"] for action in camera.gate_actions] == ["M2"]
    assert "error" in control(camera, "methods", {"enabled": ["M9"]})


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (M1, b"<BarrierGate><ctrlMode>ajar</ctrlMode></BarrierGate>", (400, "6", "badXmlContent")),
        (M1, b"<Other><ctrlMode>open</ctrlMode></Other>", (400, "6", "badXmlContent")),
        (M1, b"<BarrierGate>", (400, "5", "badXmlFormat")),
        (
            M1,
            b'<!DOCTYPE x [<!ENTITY e "open">]><BarrierGate><ctrlMode>&e;</ctrlMode></BarrierGate>',
            (400, "5", "badXmlFormat"),
        ),
        (M1.replace("/1/", "/9/"), OPEN_M1, (400, "6", "invalidContent")),
        (M2, OPEN_M2.replace(b"barrietGateNum", b"barrierGateNum"), (400, "6", "invalidContent")),
        (M2, OPEN_M2.replace(b">on<", b">open<"), (400, "6", "badXmlContent")),
        ("/ISAPI/Traffic/channels/1/barrierControl", OPEN_M1, (403, "4", "notSupport")),
    ],
)
def test_wrong_commands_open_nothing(
    camera: FakeCamera, session: requests.Session, path: str, body: bytes, expected: tuple[int, str, str]
) -> None:
    assert status(put(session, camera, path, body)) == expected
    assert camera.gate_actions == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("busy", (503, "2", "deviceBusy")),
        ("busy_200", (200, "2", "deviceBusy")),
        ("device_error", (500, "3", "deviceError")),
        ("not_supported", (403, "4", "notSupport")),
        ("low_privilege", (403, "4", "lowPrivilege")),
        ("reboot", (200, "7", "rebootRequired")),
    ],
)
def test_device_faults_do_not_execute(
    camera: FakeCamera, session: requests.Session, kind: str, expected: tuple[int, str, str]
) -> None:
    control(camera, "faults", {"faults": [{"kind": kind, "interface": "barrierGate"}]})
    assert status(put(session, camera, M1, OPEN_M1)) == expected
    assert camera.gate_actions == []
    assert status(put(session, camera, M1, OPEN_M1)) == (200, "1", "ok")


@pytest.mark.parametrize("namespace", ["isapi", "hikvision", "std-cgi", "none", "prefix"])
def test_every_namespace_spelling_is_well_formed(namespace: str, session: requests.Session) -> None:
    lanes = [{"lane": 1, "direction": "entry"}]
    with FakeCamera({"password": PASSWORD, "lanes": lanes, "namespace": namespace}, manual_clock()) as camera:
        found = values(session.get(camera.url + "/ISAPI/System/deviceInfo", timeout=5).content)
        assert (found[""], found["model"], found["firmwareVersion"]) == ("DeviceInfo", "DS-TCG405-E", "V5.4.0")
        param = values(session.get(camera.url + "/ISAPI/ITC/Entrance/entranceParam", timeout=5).content)
        assert param["ctrlMod"] == "2"


# -- plate events --------------------------------------------------------------------------------------------------------


def parts_of(request: Request) -> dict[str, tuple[str, bytes]]:
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + request.body)
    found: dict[str, tuple[str, bytes]] = {}
    for part in message.walk():
        if not part.is_multipart():
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            found[part.get_filename() or ""] = (part.get_content_type(), content)
    return found


def test_a_passage_posts_the_event_with_pictures(camera: FakeCamera, listener: Listener) -> None:
    told = control(camera, "passage", {"plate": PLATE, "lane": 1, "direction": "entry"})
    assert told["answers"] == [{"status": 200, "bytes": 0}]
    [request] = listener.requests
    assert request.path == "/hik/evt/in"
    parts = parts_of(request)
    assert list(parts) == ["anpr.xml", "licensePlatePicture.jpg", "detectionPicture.jpg"]
    assert parts["detectionPicture.jpg"] == ("image/jpeg", JPEG)
    kind, xml = parts["anpr.xml"]
    found = values(xml)
    assert (kind, found[""]) == ("application/xml", "EventNotificationAlert")
    assert found["licensePlate"] == PLATE
    assert (found["eventType"], found["line"], found["UUID"]) == ("ANPR", "1", told["uuid"])
    assert (found["alarmDataType"], found["isDataRetransmission"]) == ("0", "false")
    assert found["dateTime"] == "2026-03-02T12:00:00.000+08:00"


def test_the_exit_lane_has_its_own_address(camera: FakeCamera, listener: Listener) -> None:
    told = camera.passage({"plate": PLATE, "direction": "exit", "multipart": False})
    assert told["lane"] == 2
    assert listener.requests[0].path == "/hik/evt/out"
    assert listener.requests[0].headers["content-type"] == 'application/xml; charset="UTF-8"'
    assert values(listener.requests[0].body)["licensePlate"] == PLATE


def test_oddities_of_events(camera: FakeCamera, listener: Listener) -> None:
    camera.passage(
        {
            "plate": "unknown",
            "lane": 1,
            "history": True,
            "uuid": "",
            "confidence": 0.5,
            "octet_stream": True,
            "copies": 2,
            "plate_element": "plateNumber",
            "at": "2026-03-02T11:00:00+08:00",
        }
    )
    first, second = listener.requests
    assert first.body == second.body
    parts = parts_of(first)
    assert parts["licensePlatePicture.jpg"][0] == "application/octet-stream"
    found = values(parts["anpr.xml"][1])
    assert "UUID" not in found
    assert (found["alarmDataType"], found["isDataRetransmission"]) == ("1", "true")
    assert (found["plateNumber"], found["confidenceLevel"]) == ("unknown", "0.5")
    assert found["dateTime"].startswith("2026-03-02T11:00:00")


def test_other_events_carry_no_plate(camera: FakeCamera, listener: Listener) -> None:
    camera.passage({"plate": PLATE, "lane": 1, "event_type": "VMD", "multipart": False})
    found = values(listener.requests[0].body)
    assert (found["eventType"], found.get("licensePlate")) == ("VMD", None)


def test_the_devices_clock_may_be_wrong(listener: Listener) -> None:
    lanes = [{"lane": 1, "direction": "entry", "event_url": listener.url + "/x"}]
    with FakeCamera({"password": PASSWORD, "lanes": lanes, "clock_skew_s": 600}, manual_clock()) as camera:
        camera.passage({"plate": PLATE, "multipart": False})
    assert values(listener.requests[0].body)["dateTime"] == "2026-03-02T12:10:00.000+08:00"


def test_an_unreachable_address_is_told(camera: FakeCamera, listener: Listener) -> None:
    listener.stop()
    assert "ConnectionError" in camera.passage({"plate": PLATE, "lane": 1})["answers"][0]["error"]
    assert control(camera, "summary")["events"][0]["event_plate"] == PLATE


@pytest.mark.parametrize(
    "bad", [{"plate": PLATE, "lane": 7}, {"lane": 1}, {"plate": PLATE, "lane": 1, "direction": "exit"}]
)
def test_an_impossible_passage_is_refused(camera: FakeCamera, listener: Listener, bad: dict[str, Any]) -> None:
    assert "error" in control(camera, "passage", bad)
    assert listener.requests == []


def test_passages_can_be_polled_by_cursor(camera: FakeCamera, session: requests.Session) -> None:
    def names(cursor: str) -> list[str]:
        body = f"<AfterTime><picTime>{cursor}</picTime></AfterTime>".encode()
        answer = session.post(camera.url + "/ISAPI/Traffic/channels/1/vehicleDetect/plates", body, timeout=5)
        root = ElementTree.fromstring(answer.content)
        return [element.text or "" for element in root.iter() if element.tag.endswith("picName")]

    for plate, lane in ((PLATE, 1), ("浙A00001", 1), ("浙A00002", 2)):
        camera.passage({"plate": plate, "lane": lane})
    first, second = names("2026030200000000")
    assert re.fullmatch(r"20260302120000\d{4}", first)
    assert names(first) == [second]
    assert names("20260302T120001Z") == []


def test_an_event_at_a_naive_time_is_refused(camera: FakeCamera) -> None:
    with pytest.raises(ValidationError):
        camera.passage({"plate": PLATE, "at": datetime(2026, 3, 2, 11, tzinfo=UTC).replace(tzinfo=None)})
