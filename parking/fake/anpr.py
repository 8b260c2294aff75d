"""Plate events of the fake camera: the alert, with or without pictures, as firmware posts it (digest 3.4.1, 3.4.4)."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from charging_core.clock import to_china
from parking.fake.camera_config import CameraConfig, Direction, Lane
from parking.fake.isapi_xml import document

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xd9"
"""The smallest thing that begins and ends like a JPEG."""

PICTURES = ("licensePlatePicture.jpg", "detectionPicture.jpg")


class Passage(BaseModel):
    """One car before the camera, and the oddities of its event."""

    model_config = ConfigDict(extra="forbid")

    plate: str = Field(description="as read; empty, `unknown` or 无车牌 for no plate")
    lane: int | None = None
    direction: Direction | None = None
    at: AwareDatetime | None = Field(default=None, description="time of the passage; the camera's now when left out")
    confidence: int | float = 97
    plate_color: str = "green"
    multipart: bool = True
    octet_stream: bool = Field(default=False, description="pictures are typed application/octet-stream")
    history: bool = Field(default=False, description="buffered during an outage and sent late")
    uuid: str | None = Field(default=None, description="event id; none = a fresh one, empty = the firmware sends none")
    copies: int = Field(default=1, ge=1, le=10, description="the same event posted so many times")
    plate_element: Literal["licensePlate", "plate", "plateNumber"] = "licensePlate"
    event_type: str = "ANPR"


class Message(BaseModel):
    """One event ready to be posted."""

    uuid: str
    content_type: str
    body: bytes


def anpr_message(config: CameraConfig, lane: Lane, passage: Passage, at: datetime, count: int) -> Message:
    """The event of one passage; `at` is the device's clock, `count` its running number."""
    uuid = secrets.token_hex(16) if passage.uuid is None else passage.uuid
    alert = document("EventNotificationAlert", _alert(config, lane, passage, at, count, uuid), config.namespace)
    if not passage.multipart:
        return Message(uuid=uuid, content_type='application/xml; charset="UTF-8"', body=alert)
    boundary = "---------------------------" + secrets.token_hex(8)
    picture_type = "application/octet-stream" if passage.octet_stream else "image/jpeg"
    parts = [_part(boundary, "anpr.xml", "application/xml", alert)]
    parts += [_part(boundary, name, picture_type, JPEG) for name in PICTURES]
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return Message(uuid=uuid, content_type=f"multipart/form-data; boundary={boundary}", body=body)


def pic_name(at: datetime, count: int) -> str:
    """The 18 digits by which the plate list is polled: the second of the passage and a running number."""
    return f"{to_china(at):%Y%m%d%H%M%S}{count % 10_000:04d}"


def _alert(config: CameraConfig, lane: Lane, passage: Passage, at: datetime, count: int, uuid: str) -> dict[str, Any]:
    return {
        "ipAddress": "0.0.0.0",  # noqa: S104 - what cameras behind NAT really send; nothing is bound to it
        "portNo": 80,
        "protocol": "HTTP",
        "macAddress": config.mac_address,
        "channelID": lane.lane,
        "dateTime": to_china(at).isoformat(timespec="milliseconds"),
        "activePostCount": count,
        "eventType": passage.event_type,
        "eventState": "active",
        "eventDescription": passage.event_type,
        "channelName": f"lane {lane.lane}",
        "deviceID": config.serial_number,
        "ANPR": _anpr(lane, passage, at) if passage.event_type == "ANPR" else None,
        "UUID": uuid or None,
        "picNum": len(PICTURES) if passage.multipart else 0,
        "isDataRetransmission": passage.history,
    }


def _anpr(lane: Lane, passage: Passage, at: datetime) -> dict[str, Any]:
    pictures = [
        {"fileName": name, "type": name.removesuffix(".jpg"), "absTime": f"{to_china(at):%Y%m%d%H%M%S}000"}
        for name in PICTURES
    ]
    return {
        passage.plate_element: passage.plate,
        "line": lane.lane,
        "direction": "forward",
        "confidenceLevel": passage.confidence,
        "plateType": "newEnergy" if passage.plate_color == "green" else "92TypeCivil",
        "plateColor": passage.plate_color,
        "vehicleType": "vehicle",
        "barrierGateCtrlType": 0 if lane.direction == "entry" else 1,
        "alarmDataType": 1 if passage.history else 0,
        "listType": "temporary",
        "originalLicensePlate": passage.plate,
        "vehicleInfo": {"index": 1, "color": "white", "vehileModel": 0},
        "pictureInfoList": {"pictureInfo": pictures} if passage.multipart else None,
    }


def _part(boundary: str, name: str, content_type: str, content: bytes) -> bytes:
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content + b"\r\n"
