"""Starts that begin at the pile: a card or a VIN is presented (0x31), several connectors together (0xA1), a card without a link."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol

from charging_core.clock import to_china
from charging_core.simulator.agenda import Timer
from charging_core.simulator.charge import StopCode
from charging_core.simulator.connector import Connector
from charging_core.simulator.errors import ActionError
from charging_core.simulator.host import Host
from charging_core.simulator.layouts import FrameType
from charging_core.simulator.messages import NO_CARD, ParallelGroup, StartOrder, TradeFlag

_BY_CARD, _BY_VIN = 1, 3
_ACCEPTED = 1
_NO_PASSWORD = "0" * 32
# a platform that has not answered by then will not: the driver is told that it does not work
_PATIENCE = timedelta(seconds=30)
# an off-line charge knows no balance; what a pile counts in 0.01 yuan up to here is no limit for anybody
_OFFLINE_BALANCE = Decimal(9999)
_MAIN, _AUXILIARY = 0, 1


class DeskHost(Host, Protocol):
    """What the desk needs of its pile."""

    connectors: dict[int, Connector]

    @property
    def online(self) -> bool:
        """Logged in now."""
        ...

    def count(self, name: str) -> None:
        """Count something worth showing."""
        ...

    def decided(self, connector: int) -> None:
        """A request was answered, or will not be."""
        ...


@dataclass(slots=True)
class _Asked:
    """A request on its way: who wants to charge, the answer that has come, and until when it is waited for."""

    flag: TradeFlag
    card: str
    group: ParallelGroup | None
    timer: Timer
    accepted: StartOrder | None = None


class StartDesk:
    """The card reader and the screen of one pile."""

    def __init__(self, pile: DeskHost) -> None:
        self.refusals: list[int] = []
        """Reasons of the 0x32 and 0xA2 that said no, in order."""
        self._pile = pile
        self._asked: dict[int, _Asked] = {}
        self._own_trades = 0

    def present_card(self, connector: Connector, card: str, password: str | None = None) -> None:
        """Hold a card (16 hex digits) to the reader: ends the charge it began, else asks for one; without a link the pile's own
        list of cards decides. ActionError if the connector cannot start, or the list does not know the card."""
        if connector.charges_for(card):
            connector.end_charge(StopCode.BY_HAND)
            return
        self._check(connector)
        if self._pile.online:
            self._ask(connector, TradeFlag.CARD, card, password)
        else:
            self._begin_offline(connector, card)

    def present_vin(self, connector: Connector) -> None:
        """Ask for a charge of the vehicle that is plugged in. ActionError if it cannot start, has no VIN, or there is no link."""
        self._check(connector)
        if connector.vin is None or not self._pile.online:
            raise ActionError("此刻无法以 VIN 启动 / no start by VIN now: no VIN, or no link")
        self._ask(connector, TradeFlag.VIN, NO_CARD)

    def present_parallel(self, connectors: list[Connector], card: str) -> None:
        """Ask for one charge over several connectors (并充); the first one is the main one. ActionError as above."""
        for connector in connectors:
            self._check(connector)
        if not self._pile.online:
            raise ActionError("离线时不能并充 / no parallel charge without a link")
        number = to_china(self._pile.device.now()).strftime("%y%m%d%H%M%S")
        for place, connector in enumerate(connectors):
            group = ParallelGroup(number, _MAIN if place == 0 else _AUXILIARY)
            self._ask(connector, TradeFlag.CARD, card, group=group)

    def answered(self, values: Mapping[str, Any]) -> None:
        """0x32 or 0xA2: begin, or forget it. A charge over several connectors begins when all of them are accepted."""
        asked = self._asked.get(values["connector"])
        if asked is None or asked.accepted is not None:
            self._pile.count("answers_without_request")
            return
        if values["result"] != _ACCEPTED:
            self.refusals.append(values["reason"])
            self._pile.count("requests_refused")
            self._forget(asked, values["connector"])
            return
        asked.accepted = StartOrder(
            trade_number=values["trade_number"],
            connector=values["connector"],
            balance_yuan=values["balance"],
            physical_card=asked.card,
            sequence=None,
            flag=asked.flag,
            group=asked.group,
        )
        self._begin_accepted(asked)

    # --- inside -------------------------------------------------------------------------------------------------

    def _check(self, connector: Connector) -> None:
        if connector.number in self._asked or not connector.ready:
            raise ActionError(f"枪 {connector.number} 此刻无法启动 / connector {connector.number} cannot start now")

    def _ask(
        self,
        connector: Connector,
        flag: TradeFlag,
        card: str,
        password: str | None = None,
        group: ParallelGroup | None = None,
    ) -> None:
        floor_s = self._pile.settings.periods.real_answer_floor_s
        timer = self._pile.agenda.after(_PATIENCE, lambda: self._give_up(connector.number), real_floor_s=floor_s)
        self._asked[connector.number] = _Asked(flag, card, group, timer)
        fields: dict[str, Any] = {
            "pile_code": self._pile.settings.code,
            "connector": connector.number,
            "mode": _BY_VIN if flag is TradeFlag.VIN else _BY_CARD,
            "needs_password": int(password is not None),
            "account": card,
            "password": _NO_PASSWORD if password is None else _middle_of_md5(password),
            "vin": (connector.vin or "")[::-1] if flag is TradeFlag.VIN else "",
        }
        self._pile.count("start_requests")
        if group is None:
            self._pile.tell(FrameType.START_REQUEST, fields)
        else:
            fields |= {"role": group.role, "parallel_number": group.number}
            self._pile.tell(FrameType.PARALLEL_REQUEST, fields)

    def _begin_accepted(self, asked: _Asked) -> None:
        together = {number: one for number, one in self._asked.items() if one is asked or _together(one, asked)}
        if any(one.accepted is None for one in together.values()):
            return
        for number, one in together.items():
            self._drop(number)
            if one.accepted is not None:
                self._pile.connectors[number].begin_accepted(one.accepted)

    def _forget(self, asked: _Asked, number: int) -> None:
        for other in [other for other, one in self._asked.items() if other == number or _together(one, asked)]:
            self._drop(other)

    def _give_up(self, number: int) -> None:
        self._pile.count("requests_unanswered")
        self._forget(self._asked[number], number)

    def _drop(self, number: int) -> None:
        self._asked.pop(number).timer.cancel()
        self._pile.decided(number)

    def _begin_offline(self, connector: Connector, card: str) -> None:
        if card not in self._pile.equipment.cards:
            raise ActionError(f"离线卡未知 / the pile does not know this card: ...{card[-4:]}")
        self._own_trades += 1
        stamp = to_china(self._pile.device.now()).strftime("%y%m%d%H%M%S")
        trade_number = f"{self._pile.settings.code}{connector.number:02d}{stamp}{self._own_trades % 10_000:04d}"
        self._pile.count("offline_charges")
        order = StartOrder(trade_number, connector.number, _OFFLINE_BALANCE, card, None, TradeFlag.OFFLINE_CARD)
        connector.begin_accepted(order)


def _together(one: _Asked, other: _Asked) -> bool:
    return one.group is not None and other.group is not None and one.group.number == other.group.number


def _middle_of_md5(password: str) -> str:
    """16 位 MD5 小写: the middle half of the digest's text, as 16 ASCII characters."""
    text = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()[8:24]
    return text.encode("ascii").hex()
