"""Moving a barrier through ISAPI: find the way that this device takes, and know when to stop (`specs/parking.md` 3.3, 7.6).

The rules: a way that the device does not know is followed by the next one; busy, broken or silent gets one more try 300 ms later and
never another way, since the first command may still be carried out; nothing is sent after the command has expired.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from charging_core.clock import Clock
from parking.adapters.hikvision_isapi.client import IsapiClient
from parking.adapters.hikvision_isapi.documents import (
    STATUS_BUSY,
    STATUS_DEVICE_ERROR,
    STATUS_INVALID_OPERATION,
    ResponseStatus,
    read_response_status,
)
from parking.adapters.hikvision_isapi.settings import GateMethod, IsapiSettings
from parking.adapters.http import HttpAnswer
from parking.errors import AuthFailed, ConnectFailed, ReadTimedOut, TlsFailed, TransportError
from parking.masking import xml_trace
from parking.port import GateAction, GateCommand, GateResult, GateState, Outcome, Trace

MAX_TRIES = 2
RETRY_PAUSE_S = 0.3
_NO_SUCH_WAY = (403, 404, 405)
_LOGIN_PROBLEMS = ("badauthorization", "notactivated", "lowprivilege")
_NAMESPACE = 'version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema"'
_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_RELAY_LEVEL = {True: "high", False: "low"}


@dataclass(frozen=True, slots=True)
class _Try:
    """One attempt. `next_way`: this device does not know the method; `again`: worth the second try."""

    state: GateState
    outcome: Outcome
    code: str
    message: str
    next_way: bool = False
    again: bool = False


@dataclass(slots=True)
class _Course:
    """A command on its way through the attempts."""

    command: GateCommand
    traces: list[Trace] = field(default_factory=list)


class IsapiGate:
    """The barrier of one device. Thread-safe; remembers the method that worked."""

    def __init__(
        self,
        settings: IsapiSettings,
        client: IsapiClient,
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._sleep = sleep
        self._working: GateMethod | None = None

    @property
    def working_method(self) -> GateMethod | None:
        """The method that this device has accepted, once known."""
        return self._working

    def operate(self, command: GateCommand) -> GateResult:
        """Carry out `command` by the remembered method, else by the first of the configured ones that the device knows."""
        course = _Course(command)
        last = _Try(
            GateState.REFUSED, Outcome.CONFIGURATION, "NO_METHOD", "设备不支持该操作 the device knows no way to do this"
        )
        for method in self._methods(command.action):
            last = self._try_method(method, course)
            if last.state is GateState.ACCEPTED_UNCONFIRMED:
                self._working = method
                return _result(last, course, method)
            if not last.next_way:
                break
            self._forget(method)
        return _result(last, course, None)

    def _methods(self, action: GateAction) -> list[GateMethod]:
        ways = [self._working] if self._working else []
        ways += [method for method in self._settings.gate_methods if method is not self._working]
        # A relay gives a pulse; it cannot say "close".
        return [way for way in ways if action is GateAction.OPEN or way is not GateMethod.RELAY_OUTPUT]

    def _forget(self, method: GateMethod) -> None:
        if self._working is method:
            self._working = None

    def _try_method(self, method: GateMethod, course: _Course) -> _Try:
        last = self._try_once(method, course)
        for _ in range(MAX_TRIES - 1):
            if not last.again:
                break
            self._sleep(RETRY_PAUSE_S)
            repeated = self._try_once(method, course)
            if repeated.state is GateState.EXPIRED:
                break
            last = repeated
        return last

    def _try_once(self, method: GateMethod, course: _Course) -> _Try:
        left_s = self._clock.real_seconds((course.command.expires_at - self._clock.now()).total_seconds())
        if left_s <= 0:
            return _Try(GateState.EXPIRED, Outcome.PERMANENT, "EXPIRED", "指令已过期未发送 too late: not sent")
        timeout_s = min(self._settings.gate_timeout_s, left_s)
        if method is GateMethod.RELAY_OUTPUT:
            return self._pulse(course, timeout_s)
        target, document = self._request(method, course.command.action)
        return self._put(target, document, course, timeout_s)

    def _request(self, method: GateMethod, action: GateAction) -> tuple[str, str]:
        if method is GateMethod.PARKING_CHANNEL:
            target = f"/ISAPI/Parking/channels/{self._settings.channel}/barrierGate"
            return target, f"{_XML}<BarrierGate {_NAMESPACE}><ctrlMode>{action.value}</ctrlMode></BarrierGate>"
        # "barriet" is the manufacturer's own spelling.
        operation = "on" if action is GateAction.OPEN else "off"
        document = (
            f"{_XML}<BarrierGateCtrl {_NAMESPACE}><barrietGateNum>{self._settings.barrier_number}</barrietGateNum>"
            f"<BarrierGateCtrlList><barrietGateOper>{operation}</barrietGateOper></BarrierGateCtrlList></BarrierGateCtrl>"
        )
        return "/ISAPI/ITC/Entrance/barrierGateCtrl", document

    def _pulse(self, course: _Course, timeout_s: float) -> _Try:
        """High, then low after the pulse. The barrier moves on high; a low that fails is reported but is no refusal."""
        raised = self._relay(course, high=True, timeout_s=timeout_s)
        if raised.state is not GateState.ACCEPTED_UNCONFIRMED:
            return raised
        self._sleep(self._settings.relay_pulse_s)
        for _ in range(MAX_TRIES):
            if self._relay(course, high=False, timeout_s=timeout_s).state is GateState.ACCEPTED_UNCONFIRMED:
                return raised
        return _Try(raised.state, raised.outcome, "RELAY_STUCK", "继电器可能仍吸合 the relay may still be closed")

    def _relay(self, course: _Course, *, high: bool, timeout_s: float) -> _Try:
        target = f"/ISAPI/System/IO/outputs/{self._settings.relay_output}/trigger"
        document = f"{_XML}<IOPortData {_NAMESPACE}><outputState>{_RELAY_LEVEL[high]}</outputState></IOPortData>"
        return self._put(target, document, course, timeout_s)

    def _put(self, target: str, document: str, course: _Course, timeout_s: float) -> _Try:
        request_text = f"PUT {target}\n{document}"
        try:
            answer = self._client.call("PUT", target, document, read_timeout_s=timeout_s)
        except (TransportError, AuthFailed) as error:
            course.traces.append(Trace(request_text, str(error)))
            return _from_error(error)
        course.traces.append(Trace(request_text, xml_trace(answer.text), answer.status, answer.duration_ms))
        return _from_answer(answer)


def _from_error(error: TransportError | AuthFailed) -> _Try:
    code = type(error).__name__
    if isinstance(error, AuthFailed):
        return _Try(GateState.REFUSED, Outcome.CONFIGURATION, "AUTH_FAILED", str(error))
    if isinstance(error, TlsFailed):
        return _Try(GateState.REFUSED, Outcome.CONFIGURATION, code, str(error))
    if isinstance(error, ConnectFailed):
        return _Try(GateState.REFUSED, Outcome.RETRYABLE, code, str(error), again=True)
    outcome = Outcome.TIMEOUT if isinstance(error, ReadTimedOut) else Outcome.UNKNOWN
    return _Try(GateState.UNCONFIRMED, outcome, code, str(error), again=True)


def _from_answer(answer: HttpAnswer) -> _Try:
    status = read_response_status(answer.body)
    if status is None:
        return _from_http(answer.status)
    code = f"{status.status_code}/{status.sub_status}"
    if status.ok:
        return _Try(GateState.ACCEPTED_UNCONFIRMED, Outcome.OK, code, status.status_string)
    return _from_refusal(status, code)


def _from_refusal(status: ResponseStatus, code: str) -> _Try:
    message = status.status_string
    if status.sub_status.lower() in _LOGIN_PROBLEMS:
        return _Try(GateState.REFUSED, Outcome.CONFIGURATION, code, message)
    if status.status_code in (STATUS_BUSY, STATUS_DEVICE_ERROR):
        return _Try(GateState.REFUSED, Outcome.RETRYABLE, code, message, again=True)
    if status.status_code == STATUS_INVALID_OPERATION:
        return _Try(GateState.REFUSED, Outcome.CONFIGURATION, code, message, next_way=True)
    return _Try(GateState.REFUSED, Outcome.PERMANENT, code, message)


def _from_http(status: int) -> _Try:
    code = f"HTTP_{status}"
    if status in _NO_SUCH_WAY:
        return _Try(
            GateState.REFUSED, Outcome.CONFIGURATION, code, "设备无此接口 no such path on the device", next_way=True
        )
    message = "应答不是 ResponseStatus the answer is no ResponseStatus"
    return _Try(GateState.UNCONFIRMED, Outcome.UNKNOWN, code, message, again=status >= 500)


def _result(last: _Try, course: _Course, method: GateMethod | None) -> GateResult:
    return GateResult(
        last.state, last.outcome, last.code, last.message, method.value if method else None, tuple(course.traces)
    )
