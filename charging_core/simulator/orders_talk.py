"""What a pile answers about charges: 0x12, 0x34, 0x36, 0x40, 0x32, 0xA2, 0xA4, 0x42 (ykc.md section 5)."""

from collections.abc import Mapping
from typing import Any, Protocol

from charging_core.simulator.charge import StopCode
from charging_core.simulator.connector import Connector
from charging_core.simulator.host import Pile, StartReason, StopReason
from charging_core.simulator.layouts import FrameType
from charging_core.simulator.messages import NO_CARD, Fields, ParallelGroup, StartOrder
from charging_core.simulator.wire import Frame

Values = Mapping[str, Any]
DONE, FAILED = 1, 0
_BALANCE_OK, _BALANCE_WRONG_PILE, _BALANCE_WRONG_CARD = 0, 1, 2


class Speaker(Protocol):
    """The session, as these answers need it."""

    pile: Pile

    def send(self, frame_type: int, values: Fields, *, echo: bytes | None = None) -> None:
        """One frame to the platform."""
        ...

    def answer_start(self, order: StartOrder, reason: StartReason) -> None:
        """0x33 or 0xA3."""
        ...


def read(talk: Speaker, _: Frame, values: Values) -> None:
    """0x12."""
    connector = _connector(talk, values)
    if connector is not None:
        connector.report()


def start(talk: Speaker, frame: Frame, values: Values) -> None:
    """0x34, and 0xA4 with its group number."""
    number = values.get("parallel_number")
    order = StartOrder(
        trade_number=values["trade_number"],
        connector=values["connector"],
        balance_yuan=values["balance"],
        physical_card=values["physical_card"],
        sequence=frame.sequence,
        # the platform says which connectors belong together, not which one leads: the first one does
        group=None if number is None else ParallelGroup(number, int(values["connector"] != 1)),
    )
    connector = _connector(talk, values)
    talk.answer_start(order, StartReason.WRONG_CODE if connector is None else connector.request_start(order))


def start_answer(code: str, order: StartOrder, reason: StartReason) -> tuple[FrameType, Fields]:
    """0x33, or 0xA3 for a connector of a group."""
    values = {
        "trade_number": order.trade_number,
        "pile_code": code,
        "connector": order.connector,
        "result": DONE if reason is StartReason.NONE else FAILED,
        "reason": int(reason),
    }
    if order.group is None:
        return FrameType.START_REPLY, values
    group = {"role": order.group.role, "parallel_number": order.group.number}
    return FrameType.PARALLEL_START_REPLY, values | group


def request_answered(talk: Speaker, _: Frame, values: Values) -> None:
    """0x32 and 0xA2."""
    if _connector(talk, values) is not None:
        talk.pile.starts.answered(values)


def stop(talk: Speaker, frame: Frame, values: Values) -> None:
    """0x36: 0x35, then the end of the charge with its record; or the other way round."""
    connector = _connector(talk, values)
    if connector is not None and connector.ignores_stop():
        talk.pile.count("stops_ignored")
        return
    reason = StopReason.WRONG_CODE if connector is None else connector.request_stop()
    if connector is not None and reason is StopReason.NONE and talk.pile.faults.record_before_stop_reply:
        connector.end_charge(StopCode.APP)
    reply = {
        "pile_code": talk.pile.settings.code,
        "connector": values["connector"],
        "result": DONE if reason is StopReason.NONE else FAILED,
        "reason": int(reason),
    }
    talk.send(FrameType.STOP_REPLY, reply, echo=frame.sequence)
    if connector is not None and reason is StopReason.NONE:
        connector.end_charge(StopCode.APP)


def record_confirmed(talk: Speaker, _: Frame, values: Values) -> None:
    """0x40."""
    if not talk.pile.records.confirm(values["trade_number"], values["result"]):
        talk.pile.count("confirmations_without_record")


def balance(talk: Speaker, frame: Frame, values: Values) -> None:
    """0x42: the payer of the running charge has another balance now; a card number of zeros is not checked."""
    connector, card = _connector(talk, values), values["physical_card"]
    result = _BALANCE_OK
    if connector is None:
        result = _BALANCE_WRONG_PILE
    elif card != NO_CARD and not connector.charges_for(card):
        result = _BALANCE_WRONG_CARD
    else:
        connector.new_balance(values["balance"])
    reply = {"pile_code": talk.pile.settings.code, "physical_card": card, "result": result}
    talk.send(FrameType.BALANCE_REPLY, reply, echo=frame.sequence)


def _connector(talk: Speaker, values: Values) -> Connector | None:
    pile = talk.pile
    return pile.connectors.get(values["connector"]) if values["pile_code"] == pile.settings.code else None
