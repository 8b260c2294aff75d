"""What a pile answers about itself: off-line cards, work parameters, ground locks, restart, firmware, QR code (ykc.md section 5)."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from charging_core.simulator.device import LOCK_LOWERED, LOCK_RAISED
from charging_core.simulator.errors import FrameError
from charging_core.simulator.layouts import FrameType
from charging_core.simulator.orders_talk import DONE, FAILED, Speaker
from charging_core.simulator.wire import Frame

Values = Mapping[str, Any]
_CARD = 8
# what a pile's memory holds
_MOST_CARDS = 1_000
_NO_REASON, _NO_SPACE = 0, 2
_POWER = range(30, 101)
_NOW = 1
_UPDATED, _WRONG_CODE = 0, 1
_NO_SPARE = "0" * 8


def sync_cards(talk: Speaker, frame: Frame, values: Values) -> None:
    """0x44: cards that are there already are overwritten."""
    if not _mine(talk, values):
        return
    told = {physical: logical for logical, physical in _pairs(values)}
    cards = talk.pile.equipment.cards
    fits = len(cards.keys() | told.keys()) <= _MOST_CARDS
    if fits:
        cards.update(told)
    reply = {**_me(talk), "result": DONE if fits else FAILED, "reason": _NO_REASON if fits else _NO_SPACE}
    talk.send(FrameType.CARD_SYNC_REPLY, reply, echo=frame.sequence)


def clear_cards(talk: Speaker, frame: Frame, values: Values) -> None:
    """0x46: cleared means not there any more, also when it never was."""
    if not _mine(talk, values):
        return
    entries = b""
    for card in _cards(values):
        talk.pile.equipment.cards.pop(card, None)
        entries += bytes.fromhex(card) + bytes((DONE, _NO_REASON))
    talk.send(FrameType.CARD_CLEAR_REPLY, {**_me(talk), "entries": entries}, echo=frame.sequence)


def query_cards(talk: Speaker, frame: Frame, values: Values) -> None:
    """0x48."""
    if not _mine(talk, values):
        return
    known = talk.pile.equipment.cards
    entries = b"".join(bytes.fromhex(card) + bytes((card in known,)) for card in _cards(values))
    talk.send(FrameType.CARD_QUERY_REPLY, {**_me(talk), "entries": entries}, echo=frame.sequence)


def work(talk: Speaker, frame: Frame, values: Values) -> None:
    """0x52: in or out of service, and how much of its power the pile may give from now on."""
    ok = _mine(talk, values) and values["max_power_percent"] in _POWER and values["out_of_service"] in (0, 1)
    if ok:
        talk.pile.equipment.out_of_service = bool(values["out_of_service"])
        talk.pile.equipment.max_power_percent = values["max_power_percent"]
        for connector in talk.pile.connectors.values():
            connector.power_changed()
    talk.send(FrameType.WORK_REPLY, {**_me(talk), "result": DONE if ok else FAILED}, echo=frame.sequence)


def lock(talk: Speaker, frame: Frame, values: Values) -> None:
    """0x62: the answer first, then the report of where the lock stands now."""
    ok = _mine(talk, values) and values["command"] in (LOCK_RAISED, LOCK_LOWERED)
    ok = ok and values["connector"] in talk.pile.equipment.locks
    reply = {**_me(talk), "connector": values["connector"], "result": DONE if ok else FAILED, "spare": _NO_SPARE}
    talk.send(FrameType.LOCK_REPLY, reply, echo=frame.sequence)
    if ok:
        talk.pile.locks.move(values["connector"], values["command"])


def reboot(talk: Speaker, frame: Frame, values: Values) -> None:
    """0x92."""
    ok = _mine(talk, values)
    talk.send(FrameType.REBOOT_REPLY, {**_me(talk), "result": DONE if ok else FAILED}, echo=frame.sequence)
    if ok:
        talk.pile.reboot(when_idle=values["when"] != _NOW)


def update(talk: Speaker, frame: Frame, values: Values) -> None:
    """0x94: nothing is fetched; the attempt takes its time, is answered, and a good one restarts the pile with its new firmware."""
    pile = talk.pile
    result = pile.faults.update_result if _mine(talk, values) else _WRONG_CODE
    period = timedelta(seconds=pile.settings.periods.update_s)
    pile.later(period, FrameType.UPDATE_REPLY, {**_me(talk), "result": result}, frame.sequence)
    if result == _UPDATED:
        software = values["path"].rsplit("/", 1)[-1][:8] or pile.equipment.software
        pile.agenda.after(period, lambda: _updated(talk, software, when_idle=values["when"] != _NOW))


def qr(talk: Speaker, frame: Frame, values: Values) -> None:
    """0xF0: whether 0 or 1 means done in 0xF1 is not settled; this pile says 0, as most answers do where a text was taken."""
    prefix = values["entries"][: values["length"]]
    ok = _mine(talk, values) and prefix.isascii()
    if ok:
        talk.pile.equipment.qr_prefix = prefix.decode("ascii")
    talk.send(FrameType.QR_REPLY, {**_me(talk), "result": int(not ok)}, echo=frame.sequence)


def _updated(talk: Speaker, software: str, *, when_idle: bool) -> None:
    talk.pile.equipment.software = software
    talk.pile.reboot(when_idle=when_idle)


def _me(talk: Speaker) -> dict[str, Any]:
    return {"pile_code": talk.pile.settings.code}


def _mine(talk: Speaker, values: Values) -> bool:
    return bool(values["pile_code"] == talk.pile.settings.code)


def _cards(values: Values) -> Iterator[str]:
    """The physical numbers of a list; FrameError if there are fewer than it says."""
    return (raw.hex().upper() for raw in _cut(values, _CARD))


def _pairs(values: Values) -> Iterator[tuple[str, str]]:
    return ((raw[:_CARD].hex().upper(), raw[_CARD:].hex().upper()) for raw in _cut(values, 2 * _CARD))


def _cut(values: Values, size: int) -> list[bytes]:
    entries, count = values["entries"], values["count"]
    if len(entries) < count * size:
        raise FrameError(f"{count} entries announced, {len(entries)} bytes came")
    return [entries[at : at + size] for at in range(0, count * size, size)]
