"""What a pile says on one connection: login, billing model, heartbeats, time (ykc.md section 6), and who answers the rest."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from charging_core.simulator import device_talk, orders_talk
from charging_core.simulator.agenda import Repeating, Timer
from charging_core.simulator.errors import FrameError
from charging_core.simulator.host import Pile, StartReason
from charging_core.simulator.layouts import FrameType
from charging_core.simulator.link import Link
from charging_core.simulator.measures import Stopwatch
from charging_core.simulator.messages import Condition, StartOrder, login_fields
from charging_core.simulator.tariff import NO_MODEL_NUMBER, RateModel
from charging_core.simulator.wire import Frame, decode

_log = structlog.get_logger()

_ACCEPTED = 0
_SAME_MODEL = 0
_DONE, _FAILED = 1, 0
_MISSED_HEARTBEATS = 3


class Session:
    """One connection's dialogue. Timers die with it; everything that outlives a connection belongs to the pile."""

    def __init__(self, pile: Pile, link: Link) -> None:
        self.online = False
        self.pile = pile
        self._link = link
        self._code = pile.settings.code
        self._timers: dict[str, Timer | Repeating] = {}
        self._unanswered_heartbeats = 0
        self._stopwatch = Stopwatch(pile.meter)

    def open(self) -> None:
        """Say 0x01, and again until it is answered or the link proves dead."""
        if self._dead():
            return
        self.send(FrameType.LOGIN, login_fields(self.pile.settings, self.pile.equipment.software))
        self._again("login", self.pile.settings.periods.login_retry_s, self.open)

    def close(self) -> None:
        """The connection is gone."""
        self.online = False
        self._stopwatch.ended()
        for timer in self._timers.values():
            timer.cancel()

    def send(self, frame_type: int, values: Mapping[str, Any], *, echo: bytes | None = None) -> None:
        """One frame to the platform."""
        self._link.send(frame_type, values, echo=echo)
        self._stopwatch.sent(frame_type, values, self._link.now())

    def answer_start(self, order: StartOrder, reason: StartReason) -> None:
        """0x33 or 0xA3, unless nobody waits for one or the pile is told to swallow or delay it."""
        if order.sequence is None:
            return
        faults = self.pile.faults
        if faults.no_start_reply:
            self.pile.count("start_replies_swallowed")
            return
        frame_type, values = orders_talk.start_answer(self._code, order, reason)
        if faults.late_start_reply:
            self.pile.later(timedelta(seconds=faults.late_start_reply), frame_type, values, order.sequence)
        else:
            self.send(frame_type, values, echo=order.sequence)

    def receive(self, frame: Frame) -> None:
        """One frame of the platform; what cannot be understood or is not for a pile is counted and not answered."""
        if not self.online and frame.type != FrameType.LOGIN_REPLY:
            self.pile.count("frames_before_login")
            return
        handler = _HANDLERS.get(frame.type)
        if handler is None or frame.encrypt:
            self.pile.count("frames_not_understood")
            return
        try:
            values = decode(frame.type, frame.body)
            self._stopwatch.received(frame.type, values, self._link.now())
            handler(self, frame, values)
        except FrameError as error:
            self.pile.count("frames_not_understood")
            _log.warning("simulator_frame_not_understood", pile=self._code, type=frame.type, error=str(error))

    # --- login, heartbeat, billing model, time ------------------------------------------------------------------

    def _on_login_reply(self, _: Frame, values: Mapping[str, Any]) -> None:
        waiting = self._timers.pop("login", None)
        if waiting is None:
            return
        waiting.cancel()
        if values["result"] != _ACCEPTED:
            self.pile.count("logins_refused")
            self._link.drop()
            return
        self.online = True
        self._verify_model()
        period = timedelta(seconds=self.pile.settings.periods.heartbeat_s)
        self._timers["heartbeat"] = self.pile.agenda.every(period, self._heartbeat)
        self.pile.logged_in()

    def _heartbeat(self) -> None:
        self._unanswered_heartbeats += 1
        if self._unanswered_heartbeats > _MISSED_HEARTBEATS and self._dead():
            return
        for connector in self.pile.connectors.values():
            state = int(connector.condition is not Condition.NORMAL)
            values = {"pile_code": self._code, "connector": connector.number, "state": state}
            self.send(FrameType.HEARTBEAT, values)

    def _dead(self) -> bool:
        """Leaves a link that has been silent for too long in real time; the pile connects anew."""
        dead = self._link.silence_s() > self.pile.settings.periods.real_link_timeout_s
        if dead:
            self.pile.count("dead_links")
            self._link.drop()
        return dead

    def _on_heartbeat_reply(self, _: Frame, __: Mapping[str, Any]) -> None:
        self._unanswered_heartbeats = 0

    def _verify_model(self) -> None:
        model = self.pile.model
        number = NO_MODEL_NUMBER if model is None else model.number
        self.send(FrameType.MODEL_VERIFY, {"pile_code": self._code, "model_number": number})
        self._again("model", self.pile.settings.periods.model_retry_s, self._verify_model)

    def _request_model(self) -> None:
        self.send(FrameType.MODEL_REQUEST, {"pile_code": self._code})
        self._again("model", self.pile.settings.periods.model_retry_s, self._request_model)

    def _on_model_verified(self, _: Frame, values: Mapping[str, Any]) -> None:
        if values["result"] != _SAME_MODEL:
            self._request_model()
        elif self.pile.model is not None:
            self._timers["model"].cancel()

    def _on_model(self, _: Frame, values: Mapping[str, Any]) -> None:
        if values["pile_code"] == self._code:
            self.pile.model = RateModel.from_fields(values)
            # 0x05 is repeated until it succeeds; its success tells the platform which model is in force
            self._verify_model()

    def _on_model_set(self, frame: Frame, values: Mapping[str, Any]) -> None:
        result = _FAILED
        if values["pile_code"] == self._code:
            try:
                self.pile.model = RateModel.from_fields(values)
                result = _DONE
            except FrameError as error:
                _log.warning("simulator_model_refused", pile=self._code, error=str(error))
        self.send(FrameType.MODEL_SET_REPLY, {"pile_code": self._code, "result": result}, echo=frame.sequence)

    def _on_time(self, frame: Frame, values: Mapping[str, Any]) -> None:
        told: datetime | None = values["time"]
        if told is not None and values["pile_code"] == self._code and not self.pile.faults.deaf_to_time:
            self.pile.device.set(told)
        now = self.pile.device.now()
        self.send(FrameType.TIME_REPLY, {"pile_code": self._code, "time": now}, echo=frame.sequence)

    def _again(self, name: str, period_s: float, action: Callable[[], None]) -> None:
        """(Re)plan the repetition of something that waits for an answer."""
        if name in self._timers:
            self._timers[name].cancel()
        floor_s = self.pile.settings.periods.real_answer_floor_s
        self._timers[name] = self.pile.agenda.after(timedelta(seconds=period_s), action, real_floor_s=floor_s)


Handler = Callable[[Session, Frame, Mapping[str, Any]], None]
_HANDLERS: Mapping[int, Handler] = {
    FrameType.LOGIN_REPLY: Session._on_login_reply,
    FrameType.HEARTBEAT_REPLY: Session._on_heartbeat_reply,
    FrameType.MODEL_VERIFY_REPLY: Session._on_model_verified,
    FrameType.MODEL_REPLY: Session._on_model,
    FrameType.MODEL_SET: Session._on_model_set,
    FrameType.TIME: Session._on_time,
    FrameType.READ: orders_talk.read,
    FrameType.START: orders_talk.start,
    FrameType.PARALLEL_START: orders_talk.start,
    FrameType.START_REQUEST_REPLY: orders_talk.request_answered,
    FrameType.PARALLEL_REQUEST_REPLY: orders_talk.request_answered,
    FrameType.STOP: orders_talk.stop,
    FrameType.RECORD_REPLY: orders_talk.record_confirmed,
    FrameType.BALANCE: orders_talk.balance,
    FrameType.CARD_SYNC: device_talk.sync_cards,
    FrameType.CARD_CLEAR: device_talk.clear_cards,
    FrameType.CARD_QUERY: device_talk.query_cards,
    FrameType.WORK: device_talk.work,
    FrameType.LOCK: device_talk.lock,
    FrameType.REBOOT: device_talk.reboot,
    FrameType.UPDATE: device_talk.update,
    FrameType.QR: device_talk.qr,
}
