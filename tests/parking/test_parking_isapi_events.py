"""Plate events as cameras push them, in all their spellings, become one neutral passage (`specs/parking.md` 3.4)."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.adapters.hikvision_isapi.events import read_passage
from parking.adapters.hikvision_isapi.settings import IsapiSettings
from parking.adapters.times import iso_china, read_time
from parking.errors import EventUnreadable
from parking.port import InboundPush, PassageEvent, PassageKind

RECEIVED = datetime(2026, 3, 2, 0, 5, 14, tzinfo=UTC)
JPEG = b"\xff\xd8\xff\xe0--boundary is no boundary here\r\n\r\n\x00\xff\xd9"


def settings(**changes: Any) -> IsapiSettings:
    base = {
        "base_url": "http://10.0.0.9",
        "username": "a",
        "password": "b",
        "lane_ref": "entry-1",
        "direction": "entry",
    }
    return IsapiSettings.model_validate({**base, **changes})


def alert(
    anpr: str = "<licensePlate>浙AD12345</licensePlate><plateColor>green</plateColor>"
    "<confidenceLevel>97.5</confidenceLevel><alarmDataType>0</alarmDataType>",
    head: str = "<UUID>u-1</UUID>",
    namespace: str = ' xmlns="http://www.isapi.org/ver20/XMLSchema"',
    event_type: str = "ANPR",
    when: str = "2026-03-02T08:05:12.955+08:00",
) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><EventNotificationAlert version="2.0"{namespace}>'
        f"<ipAddress>10.0.0.9</ipAddress><macAddress>aa:bb</macAddress><dateTime>{when}</dateTime>"
        f"<eventType>{event_type}</eventType><eventState>active</eventState>{head}<ANPR>{anpr}</ANPR>"
        "</EventNotificationAlert>"
    ).encode()


def read(body: bytes, content_type: str = "application/xml", **changes: Any) -> PassageEvent | None:
    return read_passage(settings(**changes), "conn-1", InboundPush({"Content-Type": content_type}, body, RECEIVED))


def passage(body: bytes, content_type: str = "application/xml", **changes: Any) -> PassageEvent:
    found = read(body, content_type, **changes)
    assert found is not None
    return found


def multipart(parts: list[tuple[str, bytes]], boundary: str = "boundary") -> bytes:
    made = b""
    for headers, content in parts:
        made += f"--{boundary}\r\n{headers}\r\n\r\n".encode() + content + b"\r\n"
    return made + f"--{boundary}--\r\n".encode()


def test_the_fields_of_an_event() -> None:
    found = passage(alert(), 'text/xml; charset="UTF-8"')
    assert found.plate is not None
    assert (found.plate.text, found.plate_raw, found.plate_color) == ("浙AD12345", "浙AD12345", "green")
    assert (found.kind, found.lane_ref, found.connection_id) == (PassageKind.ENTERED, "entry-1", "conn-1")
    assert found.occurred_at == datetime(2026, 3, 2, 0, 5, 12, 955000, tzinfo=UTC)
    assert (found.received_at, found.confidence) == (RECEIVED, Decimal("97.5"))
    assert (found.source_event_id, found.device_ref, found.is_replay) == ("u-1", "aa:bb", False)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, PassageKind.ENTERED),
        ({"plate_read_means": "seen"}, PassageKind.ENTRY_SEEN),
        ({"direction": "exit"}, PassageKind.EXIT_SEEN),
        ({"direction": "exit", "plate_read_means": "passed"}, PassageKind.EXITED),
    ],
)
def test_direction_comes_from_our_configuration(changes: dict[str, Any], kind: PassageKind) -> None:
    assert (
        passage(alert(anpr="<licensePlate>浙A12345</licensePlate><direction>reverse</direction>"), **changes).kind
        is kind
    )


@pytest.mark.parametrize(
    "namespace",
    [
        "",
        ' xmlns="http://www.hikvision.com/ver20/XMLSchema"',
        ' xmlns="http://www.std-cgi.com/ver10/XMLSchema"',
        ' xmlns="urn:any"',
    ],
)
def test_namespaces_do_not_matter(namespace: str) -> None:
    assert passage(alert(namespace=namespace)).plate_raw == "浙AD12345"


def test_a_prefix_does_not_matter() -> None:
    body = (
        '<ns1:EventNotificationAlert xmlns:ns1="http://www.isapi.org/ver20/XMLSchema"><ns1:eventType>ANPR</ns1:eventType>'
        "<ns1:ANPR><ns1:licensePlate>浙AD12345</ns1:licensePlate></ns1:ANPR></ns1:EventNotificationAlert>"
    )
    assert passage(body.encode()).plate_raw == "浙AD12345"


@pytest.mark.parametrize("member", ["plate", "plateNumber", "licensePlate", "originalLicensePlate"])
def test_names_of_legacy_firmware(member: str) -> None:
    assert passage(alert(anpr=f"<{member}>浙AD12345</{member}>")).plate_raw == "浙AD12345"


@pytest.mark.parametrize("text", ["unknown", "Unknown", "", "无车牌"])
def test_an_unread_plate_is_a_passage_without_plate(text: str) -> None:
    found = passage(alert(anpr=f"<licensePlate>{text}</licensePlate><confidenceLevel>0</confidenceLevel>"))
    assert (found.plate, found.plate_raw, found.confidence) == (None, text, Decimal(0))


@pytest.mark.parametrize(
    ("head", "anpr", "replay"),
    [
        ("<isDataRetransmission>true</isDataRetransmission>", "", True),
        ("<isDataRetransmission>false</isDataRetransmission>", "", False),
        ("", "<alarmDataType>1</alarmDataType>", True),
        ("", "<alarmDataType>0</alarmDataType>", False),
        ("", "", False),
    ],
)
def test_buffered_events_are_marked(head: str, anpr: str, replay: bool) -> None:
    body = alert(anpr=f"<licensePlate>浙A12345</licensePlate>{anpr}", head=head)
    assert passage(body).is_replay is replay


@pytest.mark.parametrize("head", ["", "<UUID></UUID>", "<UUID>00000000-0000-0000-0000-000000000000</UUID>"])
def test_a_missing_event_id_is_none(head: str) -> None:
    assert passage(alert(head=head)).source_event_id is None


@pytest.mark.parametrize("event_type", ["videoloss", "VMD", "fielddetection", ""])
def test_other_events_are_ignored(event_type: str) -> None:
    assert read(alert(event_type=event_type)) is None


def test_another_document_is_ignored() -> None:
    assert read(b"<Heartbeat><eventType>heartBeat</eventType></Heartbeat>") is None


@pytest.mark.parametrize(
    ("picture_type", "document_head", "boundary", "content_type"),
    [
        ("image/jpeg", "Content-Type: application/xml", "boundary", "multipart/form-data; boundary=boundary"),
        (
            "application/octet-stream",
            'Content-Disposition: form-data; name="anpr.xml"; filename="anpr.xml"\r\nContent-Type: text/xml',
            "----x7",
            'multipart/form-data; boundary="----x7"',
        ),
        ("application/octet-stream", "Content-Disposition: form-data", "b", "multipart/form-data; boundary=--b"),
        ("application/octet-stream", "X: y", "b", "multipart/form-data"),
    ],
)
def test_multipart(picture_type: str, document_head: str, boundary: str, content_type: str) -> None:
    picture_head = f'Content-Disposition: form-data; filename="licensePlatePicture.jpg"\r\nContent-Type: {picture_type}'
    found = passage(multipart([(picture_head, JPEG), (document_head, alert())], boundary), content_type)
    assert found.plate_raw == "浙AD12345"
    [picture] = found.pictures
    assert (picture.name, picture.content) == ("licensePlatePicture.jpg", JPEG)
    assert "xff" not in repr(found)


def test_json_events() -> None:
    members = {"eventType": "ANPR", "dateTime": "2026-03-02T08:05:12+08:00", "ANPR": {"licensePlate": "浙AD12345"}}
    assert passage(json.dumps(members).encode(), "application/json").plate_raw == "浙AD12345"
    wrapped = {"EventNotificationAlert": members}
    assert passage(json.dumps(wrapped).encode(), "application/json").plate_raw == "浙AD12345"


def test_without_a_readable_time_the_receive_time_counts() -> None:
    assert passage(alert(when="yesterday")).occurred_at == RECEIVED


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"", "application/xml", "bad_document"),
        (b"<a>", "application/xml", "bad_document"),
        (b'<!DOCTYPE x [<!ENTITY e "1">]><a>&e;</a>', "application/xml", "bad_document"),
        (b"x" * (10 * 1024 * 1024 + 1), "application/xml", "too_large"),
        (multipart([("Content-Type: image/jpeg", JPEG)]), "multipart/form-data; boundary=boundary", "no_document"),
        (b"no boundary", "multipart/form-data", "no_boundary"),
        (alert().replace(b"<ANPR>", b"<OTHER>").replace(b"</ANPR>", b"</OTHER>"), "application/xml", "no_anpr"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, content_type: str, reason: str) -> None:
    with pytest.raises(EventUnreadable) as caught:
        read(body, content_type)
    assert caught.value.reason == reason


def test_hostile_nesting_is_survived() -> None:
    depth = 200_000
    assert read(b"<a>" * depth + b"</a>" * depth) is None
    with pytest.raises(EventUnreadable):
        read(b'{"a":' * depth + b"1" + b"}" * depth, "application/json")


@given(st.binary(max_size=300), st.sampled_from(["application/xml", "multipart/form-data", "multipart/x; boundary=b"]))
def test_arbitrary_bytes_raise_only_the_declared_error(body: bytes, content_type: str) -> None:
    with suppress(EventUnreadable):
        read(body, content_type)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T08:05:12+08:00",
        "2026-03-02T00:05:12Z",
        "2026-03-02 08:05:12",
        "2026-03-02T08:05:12.000+0800",
        "2026-03-02T08:05:12:000+08:00",
        " 2026-03-02T08:05:12+08:00 trailing",
    ],
)
def test_times_are_read_tolerantly(text: str) -> None:
    assert read_time(text) == datetime(2026, 3, 2, 0, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", [None, "", "soon", "2026-13-40T99:00:00"])
def test_no_time(text: str | None) -> None:
    assert read_time(text) is None


@given(st.integers(0, 4_000_000_000))
def test_written_times_are_read_back(unix_s: int) -> None:
    instant = datetime.fromtimestamp(unix_s + 0.25, UTC)
    assert read_time(iso_china(instant)) == instant.replace(microsecond=0)
