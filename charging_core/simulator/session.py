"""What a pile says and answers on one connection: login, billing model, heartbeats, commands (ykc.md section 6)."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from charging_core.simulator.agenda import Agenda, Repeating, Timer
from charging_core.simulator.charge import StopCode
from charging_core.simulator.connector import Connector, StartReason, StopReason
from charging_core.simulator.device import DeviceClock
from charging_core.simulator.errors import FrameError
from charging_core.simulator.faults import Faults
from charging_core.simulator.link import Link
from charging_core.simulator.messages import Condition, StartOrder, login_fields
from charging_core.simulator.records import RecordBook
from charging_core.simulator.settings import PileSettings
from charging_core.simulator.tariff import NO_MODEL_NUMBER, RateModel
from charging_core.simulator.wire import Frame, FrameType, decode

_log = structlog.get_logger()

_ACCEPTED = 0
_SAME_MODEL = 0
_DONE, _FAILED = 1, 0
_MISSED_HEARTBEATS = 3


class Pile(Protocol):
    """What a session needs of its pile."""

    settings: PileSettings
    agenda: Agenda
    device: DeviceClock
    connectors: dict[int, Connector]
    records: RecordBook
    faults: Faults
    model: RateModel | None

    def logged_in(self) -> None:
        """The platform accepted the login."""
        ...

    def count(self, name: str) -> None:
        """Count something worth showing."""
        ...


class Session:
    """One connection's dialogue. Timers die with it; everything that outlives a connection belongs to the pile."""

    def __init__(self, pile: Pile, link: Link) -> None:
        self.online = False
        self._pile = pile
        self._link = link
        self._code = pile.settings.code
        self._timers: dict[str, Timer | Repeating] = {}
        self._unanswered_heartbeats = 0

    def open(self) -> None:
        """Say 0x01, and again until it is answered or the link proves dead."""
        if self._dead():
            return
        self._link.send(FrameType.LOGIN, login_fields(self._pile.settings))
        self._again("login", self._pile.settings.periods.login_retry_s, self.open)

    def close(self) -> None:
        """The connection is gone."""
        self.online = False
        for timer in self._timers.values():
            timer.cancel()

    def send(self, frame_type: int, values: Mapping[str, Any], *, echo: bytes | None = None) -> None:
        """One frame to the platform."""
        self._link.send(frame_type, values, echo=echo)

    def answer_start(self, order: StartOrder, reason: StartReason) -> None:
        """0x33, unless the pile is told to swallow it."""
        if self._pile.faults.no_start_reply:
            self._pile.count("start_replies_swallowed")
            return
        values = {
            "trade_number": order.trade_number,
            "pile_code": self._code,
            "connector": order.connector,
            "result": _DONE if reason is StartReason.NONE else _FAILED,
            "reason": int(reason),
        }
        self.send(FrameType.START_REPLY, values, echo=order.sequence)

    def receive(self, frame: Frame) -> None:
        """One frame of the platform; what cannot be understood or is not for a pile is counted and not answered."""
        if not self.online and frame.type != FrameType.LOGIN_REPLY:
            self._pile.count("frames_before_login")
            return
        handler = _HANDLERS.get(frame.type)
        if handler is None or frame.encrypt:
            self._pile.count("frames_not_understood")
            return
        try:
            handler(self, frame, decode(frame.type, frame.body))
        except FrameError as error:
            self._pile.count("frames_not_understood")
            _log.warning("simulator_frame_not_understood", pile=self._code, type=frame.type, error=str(error))

    # --- login, heartbeat, billing model, time ------------------------------------------------------------------

    def _on_login_reply(self, _: Frame, values: Mapping[str, Any]) -> None:
        waiting = self._timers.pop("login", None)
        if waiting is None:
            return
        waiting.cancel()
        if values["result"] != _ACCEPTED:
            self._pile.count("logins_refused")
            self._link.drop()
            return
        self.online = True
        self._verify_model()
        period = timedelta(seconds=self._pile.settings.periods.heartbeat_s)
        self._timers["heartbeat"] = self._pile.agenda.every(period, self._heartbeat)
        self._pile.logged_in()

    def _heartbeat(self) -> None:
        self._unanswered_heartbeats += 1
        if self._unanswered_heartbeats > _MISSED_HEARTBEATS and self._dead():
            return
        for connector in self._pile.connectors.values():
            state = int(connector.condition is not Condition.NORMAL)
            values = {"pile_code": self._code, "connector": connector.number, "state": state}
            self.send(FrameType.HEARTBEAT, values)

    def _dead(self) -> bool:
        """Leaves a link that has been silent for too long in real time; the pile connects anew."""
        dead = self._link.silence_s() > self._pile.settings.periods.real_link_timeout_s
        if dead:
            self._pile.count("dead_links")
            self._link.drop()
        return dead

    def _on_heartbeat_reply(self, _: Frame, __: Mapping[str, Any]) -> None:
        self._unanswered_heartbeats = 0

    def _verify_model(self) -> None:
        model = self._pile.model
        number = NO_MODEL_NUMBER if model is None else model.number
        self.send(FrameType.MODEL_VERIFY, {"pile_code": self._code, "model_number": number})
        self._again("model", self._pile.settings.periods.model_retry_s, self._verify_model)

    def _request_model(self) -> None:
        self.send(FrameType.MODEL_REQUEST, {"pile_code": self._code})
        self._again("model", self._pile.settings.periods.model_retry_s, self._request_model)

    def _on_model_verified(self, _: Frame, values: Mapping[str, Any]) -> None:
        if values["result"] != _SAME_MODEL:
            self._request_model()
        elif self._pile.model is not None:
            self._timers["model"].cancel()

    def _on_model(self, _: Frame, values: Mapping[str, Any]) -> None:
        if values["pile_code"] == self._code:
            self._pile.model = RateModel.from_fields(values)
            # 0x05 is repeated until it succeeds; its success tells the platform which model is in force
            self._verify_model()

    def _on_model_set(self, frame: Frame, values: Mapping[str, Any]) -> None:
        result = _FAILED
        if values["pile_code"] == self._code:
            try:
                self._pile.model = RateModel.from_fields(values)
                result = _DONE
            except FrameError as error:
                _log.warning("simulator_model_refused", pile=self._code, error=str(error))
        self.send(FrameType.MODEL_SET_REPLY, {"pile_code": self._code, "result": result}, echo=frame.sequence)

    def _on_time(self, frame: Frame, values: Mapping[str, Any]) -> None:
        told: datetime | None = values["time"]
        if told is not None and values["pile_code"] == self._code:
            self._pile.device.set(told)
        now = self._pile.device.now()
        self.send(FrameType.TIME_REPLY, {"pile_code": self._code, "time": now}, echo=frame.sequence)

    # --- commands -----------------------------------------------------------------------------------------------

    def _on_read(self, _: Frame, values: Mapping[str, Any]) -> None:
        connector = self._connector(values)
        if connector is not None:
            connector.report()

    def _on_start(self, frame: Frame, values: Mapping[str, Any]) -> None:
        order = StartOrder(
            trade_number=values["trade_number"],
            connector=values["connector"],
            balance_yuan=values["balance"],
            physical_card=values["physical_card"],
            sequence=frame.sequence,
        )
        connector = self._connector(values)
        self.answer_start(order, StartReason.WRONG_CODE if connector is None else connector.request_start(order))

    def _on_stop(self, frame: Frame, values: Mapping[str, Any]) -> None:
        connector = self._connector(values)
        reason = StopReason.WRONG_CODE if connector is None else connector.request_stop()
        reply = {
            "pile_code": self._code,
            "connector": values["connector"],
            "result": _DONE if reason is StopReason.NONE else _FAILED,
            "reason": int(reason),
        }
        self.send(FrameType.STOP_REPLY, reply, echo=frame.sequence)
        if connector is not None and reason is StopReason.NONE:
            connector.end_charge(StopCode.APP)

    def _on_record_reply(self, _: Frame, values: Mapping[str, Any]) -> None:
        if not self._pile.records.confirm(values["trade_number"], values["result"]):
            self._pile.count("confirmations_without_record")

    def _connector(self, values: Mapping[str, Any]) -> Connector | None:
        return self._pile.connectors.get(values["connector"]) if values["pile_code"] == self._code else None

    def _again(self, name: str, period_s: float, action: Callable[[], None]) -> None:
        """(Re)plan the repetition of something that waits for an answer."""
        if name in self._timers:
            self._timers[name].cancel()
        floor_s = self._pile.settings.periods.real_answer_floor_s
        self._timers[name] = self._pile.agenda.after(timedelta(seconds=period_s), action, real_floor_s=floor_s)


_HANDLERS: Mapping[int, Callable[[Session, Frame, Mapping[str, Any]], None]] = {
    FrameType.LOGIN_REPLY: Session._on_login_reply,
    FrameType.HEARTBEAT_REPLY: Session._on_heartbeat_reply,
    FrameType.MODEL_VERIFY_REPLY: Session._on_model_verified,
    FrameType.MODEL_REPLY: Session._on_model,
    FrameType.MODEL_SET: Session._on_model_set,
    FrameType.READ: Session._on_read,
    FrameType.START: Session._on_start,
    FrameType.STOP: Session._on_stop,
    FrameType.RECORD_REPLY: Session._on_record_reply,
    FrameType.TIME: Session._on_time,
}
