"""The fake ANPR camera: ISAPI with HTTP Digest, a gate behind three kinds of command, plate events by push and by poll.

`python -m parking.fake.camera --config FILE [--port N] [--log FILE] [--fault KIND]`.
"""

from __future__ import annotations

import argparse
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar, NamedTuple

import requests

from charging_core.clock import Clock, to_china
from parking.fake.anpr import Passage, anpr_message, pic_name
from parking.fake.camera_config import CameraConfig, Lane, Method
from parking.fake.digest import DigestGate, Verdict
from parking.fake.isapi_xml import XmlError, document, response_status, values
from partners.fake.command import fake_options, run_fake
from partners.fake.faults import Fault
from partners.fake.httpd import Reply, Request
from partners.fake.server import ControlAction, FakeServer, Served

XML_TYPE = 'application/xml; charset="UTF-8"'
DEFAULT_PORT = 18083
"""The fourth of the fakes' ports (DECISIONS 9)."""

M1_ACTIONS = {"open": "open", "close": "close", "lock": "lock", "unlock": "unlock"}
M2_ACTIONS = {"on": "open", "off": "close", "stop": "stop", "locked": "lock"}
M3_ACTIONS = {"high": "open", "low": "pulse_end"}


class DeviceAnswer(NamedTuple):
    """HTTP status, statusCode and subStatusCode of one ResponseStatus."""

    http: int
    code: int
    sub: str


OK = DeviceAnswer(200, 1, "ok")
NOT_SUPPORTED = DeviceAnswer(403, 4, "notSupport")
BAD_XML = DeviceAnswer(400, 5, "badXmlFormat")
BAD_CONTENT = DeviceAnswer(400, 6, "badXmlContent")
BAD_VALUE = DeviceAnswer(400, 6, "invalidContent")

FAULT_ANSWERS: Mapping[str, DeviceAnswer] = {
    "busy": DeviceAnswer(503, 2, "deviceBusy"),
    "busy_200": DeviceAnswer(200, 2, "deviceBusy"),
    "device_error": DeviceAnswer(500, 3, "deviceError"),
    "not_supported": NOT_SUPPORTED,
    "low_privilege": DeviceAnswer(403, 4, "lowPrivilege"),
    "reboot": DeviceAnswer(200, 7, "rebootRequired"),
}

Handler = Callable[[Request, "re.Match[str]", dict[str, Any]], Reply]


class Refused(Exception):
    """Raised inside a handler when the device refuses; carries the answer."""

    def __init__(self, answer: DeviceAnswer) -> None:
        super().__init__(answer.sub)
        self.answer = answer


class FakeCamera(FakeServer):
    """A camera on a local port. `with FakeCamera(config) as camera:` then give the hub `camera.url` and the account."""

    fault_kinds: ClassVar[Mapping[str, str]] = {
        "stale": "every nonce expires, so that this request is answered 401 with stale=true",
        **{kind: f"HTTP {a.http}, statusCode {a.code}, {a.sub}; not executed" for kind, a in FAULT_ANSWERS.items()},
    }

    def __init__(
        self,
        config: CameraConfig | Mapping[str, Any],
        *args: Any,
        ticks: Callable[[], float] = time.monotonic,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.config = config if isinstance(config, CameraConfig) else CameraConfig.model_validate(config)
        self.digest = DigestGate(
            self.config.username,
            self.config.password,
            self.config.realm,
            nonce_ttl_s=self.config.nonce_ttl_s,
            lock_s=self.config.lock_s,
            ticks=ticks,
        )
        self.methods: set[Method] = set(self.config.methods)
        self.gate_actions: list[dict[str, Any]] = []
        self._plates: list[dict[str, Any]] = []
        self._count = 0
        self._lock = threading.RLock()
        self._routes: tuple[tuple[str, re.Pattern[str], Handler], ...] = (
            ("PUT", re.compile(r"/ISAPI/Parking/channels/(\d+)/barrierGate"), self._m1),
            ("PUT", re.compile(r"/ISAPI/ITC/Entrance/barrierGateCtrl"), self._m2),
            ("PUT", re.compile(r"/ISAPI/System/IO/outputs/(\d+)/trigger"), self._m3),
            ("GET", re.compile(r"/ISAPI/System/deviceInfo"), self._device_info),
            ("GET", re.compile(r"/ISAPI/ITC/Entrance/entranceParam"), self._entrance_param),
            ("POST", re.compile(r"/ISAPI/Traffic/channels/(\d+)/vehicleDetect/plates"), self._poll),
        )

    # -- one request -------------------------------------------------------------------------------------------------

    def pick_fault(self, request: Request, interface: str) -> Fault | None:
        """The unauthenticated first half of a digest exchange uses up no fault."""
        return super().pick_fault(request, interface) if "authorization" in request.headers else None

    def serve(self, request: Request, interface: str, fault: Fault | None) -> Served:
        """Digest first, then the route; every answer without content of its own is a ResponseStatus."""
        if fault and fault.kind == "stale":
            self.digest.expire_nonces()
        verdict = self.digest.check(request.method, request.target, request.headers.get("authorization", ""))
        entry: dict[str, Any] = {"checks": {"digest": verdict.value}}
        if verdict is not Verdict.OK:
            return Served(self._unauthorized(request, verdict), entry)
        try:
            if fault and fault.kind in FAULT_ANSWERS:
                raise Refused(FAULT_ANSWERS[fault.kind])
            reply = self._route(request, entry)
            entry["accepted"] = True
        except Refused as refused:
            entry["answer"] = refused.answer._asdict()
            reply = self._status(request, refused.answer)
        return Served(reply, entry)

    def _route(self, request: Request, entry: dict[str, Any]) -> Reply:
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                with self._lock:
                    return handler(request, match, entry)
        raise Refused(NOT_SUPPORTED)

    def _unauthorized(self, request: Request, verdict: Verdict) -> Reply:
        if verdict is Verdict.LOCKED:
            members = {"statusValue": 401, "statusString": "Unauthorized", "lockStatus": "lock"}
            body = document("userCheck", members, self.config.namespace)
        else:
            body = response_status(request.path, 4, "badAuthorization", self.config.namespace)
        challenge = self.digest.challenge(stale=verdict is Verdict.STALE)
        return Reply(401, body, XML_TYPE, (("WWW-Authenticate", challenge),))

    def _status(self, request: Request, answer: DeviceAnswer) -> Reply:
        return Reply(
            answer.http, response_status(request.path, answer.code, answer.sub, self.config.namespace), XML_TYPE
        )

    # -- the gate ----------------------------------------------------------------------------------------------------

    def _m1(self, request: Request, match: re.Match[str], entry: dict[str, Any]) -> Reply:
        found = self._command(request, "M1", "BarrierGate")
        return self._move(request, entry, "M1", int(match[1]), M1_ACTIONS.get(found.get("ctrlMode", "")))

    def _m2(self, request: Request, _: re.Match[str], entry: dict[str, Any]) -> Reply:
        found = self._command(request, "M2", "BarrierGateCtrl")
        number = found.get("barrietGateNum", "")
        gate = int(number) if number.isdecimal() else 0
        return self._move(request, entry, "M2", gate, M2_ACTIONS.get(found.get("barrietGateOper", "")))

    def _m3(self, request: Request, match: re.Match[str], entry: dict[str, Any]) -> Reply:
        found = self._command(request, "M3", "IOPortData")
        return self._move(request, entry, "M3", int(match[1]), M3_ACTIONS.get(found.get("outputState", "")))

    def _command(self, request: Request, method: Method, root: str) -> dict[str, str]:
        if method not in self.methods:
            raise Refused(NOT_SUPPORTED)
        try:
            found = values(request.body)
        except XmlError as error:
            raise Refused(BAD_XML) from error
        if found[""] != root:
            raise Refused(BAD_CONTENT)
        return found

    def _move(self, request: Request, entry: dict[str, Any], method: Method, gate: int, action: str | None) -> Reply:
        if action is None:
            raise Refused(BAD_CONTENT)
        if all(lane.lane != gate for lane in self.config.lanes):
            raise Refused(BAD_VALUE)
        at = to_china(self.clock.now()).isoformat(timespec="milliseconds")
        done = {"time": at, "lane": gate, "action": action, "method": method}
        self.gate_actions.append(done)
        entry["gate"] = done
        return self._status(request, OK)

    # -- information -------------------------------------------------------------------------------------------------

    def _device_info(self, request: Request, match: re.Match[str], entry: dict[str, Any]) -> Reply:
        members = {
            "deviceName": "IP CAMERA",
            "deviceID": self.config.serial_number,
            "model": self.config.model,
            "serialNumber": self.config.serial_number,
            "macAddress": self.config.mac_address,
            "firmwareVersion": self.config.firmware,
        }
        return Reply(200, document("DeviceInfo", members, self.config.namespace), XML_TYPE)

    def _entrance_param(self, request: Request, match: re.Match[str], entry: dict[str, Any]) -> Reply:
        members = {"EntranceParam": [{"id": lane.lane, "ctrlMod": 2} for lane in self.config.lanes]}
        return Reply(200, document("EntranceParamList", members, self.config.namespace), XML_TYPE)

    def _poll(self, request: Request, match: re.Match[str], entry: dict[str, Any]) -> Reply:
        try:
            after = re.sub(r"\D", "", values(request.body).get("picTime", "")).ljust(18, "0")
        except XmlError as error:
            raise Refused(BAD_XML) from error
        plates = [row for row in self._plates if row["laneNo"] == int(match[1]) and int(row["picName"]) > int(after)]
        return Reply(200, document("Plates", {"Plate": plates}, self.config.namespace), XML_TYPE)

    # -- plate events ------------------------------------------------------------------------------------------------

    def passage(self, passage: Passage | Mapping[str, Any]) -> dict[str, Any]:
        """A car passes: the event is listed for polling and posted to the lane's address; tells the answers it got.

        Raises `ValueError` when no lane fits.
        """
        seen = passage if isinstance(passage, Passage) else Passage.model_validate(passage)
        lane = self._lane(seen)
        at = seen.at or self.clock.now() + timedelta(seconds=self.config.clock_skew_s)
        with self._lock:
            self._count += 1
            message = anpr_message(self.config, lane, seen, at, self._count)
            self._plates.append(
                {
                    "captureTime": f"{to_china(at):%Y%m%dT%H%M%S%z}",
                    "plateNumber": seen.plate,
                    "picName": pic_name(at, self._count),
                    "laneNo": lane.lane,
                    "direction": "forward",
                    "matchingResult": "otherlist",
                }
            )
        answers = (
            [self._post(lane, message.body, message.content_type) for _ in range(seen.copies)] if lane.event_url else []
        )
        told = {
            "uuid": message.uuid,
            "lane": lane.lane,
            "direction": lane.direction,
            "plate": seen.plate,
            "answers": answers,
        }
        self.journal.add({"direction": "out", "interface": "anpr", **{f"event_{k}": v for k, v in told.items()}})
        return told

    def _lane(self, seen: Passage) -> Lane:
        for lane in self.config.lanes:
            if seen.lane in (None, lane.lane) and seen.direction in (None, lane.direction):
                return lane
        raise ValueError(f"no lane {seen.lane} in direction {seen.direction}")

    def _post(self, lane: Lane, body: bytes, content_type: str) -> dict[str, Any]:
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.post(
                    lane.event_url, body, headers={"Content-Type": content_type}, timeout=self.config.timeout_s
                )
            return {"status": answer.status_code, "bytes": len(answer.content)}
        except requests.RequestException as error:
            return {"error": f"{type(error).__name__}: {error}"}

    # -- control -----------------------------------------------------------------------------------------------------

    def summary(self) -> dict[str, Any]:
        """Also what the gate did, the methods it knows, and the wrong passwords so far."""
        with self._lock:
            return super().summary() | {
                "gate_actions": list(self.gate_actions),
                "methods": sorted(self.methods),
                "digest_failures": self.digest.failures,
                "events": self.journal.entries(direction="out"),
            }

    def reset(self) -> None:
        """Also forgets gate actions, plates, failures and the lock; the methods are the configured ones again."""
        super().reset()
        with self._lock:
            self.gate_actions.clear()
            self._plates.clear()
            self.methods = set(self.config.methods)
        self.digest.unlock()

    def control_actions(self) -> dict[tuple[str, str], ControlAction]:
        """Also `passage` (see `Passage`) and `methods {enabled: [M1, M2, M3]}`."""

        def methods(body: dict[str, Any]) -> object:
            self.methods = set(
                CameraConfig.model_validate(self.config.model_dump() | {"methods": body["enabled"]}).methods
            )
            return {"methods": sorted(self.methods)}

        return super().control_actions() | {("POST", "passage"): self.passage, ("POST", "methods"): methods}


def build(config: dict[str, Any], options: argparse.Namespace, clock: Clock, faults: list[Fault]) -> FakeCamera:
    """The fake that the configuration and the command line describe."""
    return FakeCamera(config, clock, **fake_options(options, faults))


if __name__ == "__main__":
    raise SystemExit(run_fake("parking.fake.camera", build, default_port=DEFAULT_PORT))
