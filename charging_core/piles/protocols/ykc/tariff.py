"""The tariff conversation: 0x05/0x06, 0x09/0x0A, 0x58/0x57. What the pile should run is asked in a writer thread each time."""

from collections.abc import Mapping
from typing import Any

import structlog

from charging_core.piles.commands import Delivery
from charging_core.piles.events import TariffRequested, TariffVerified
from charging_core.piles.ports import CommandKind, PileTariff
from charging_core.piles.protocols.ykc import mapping
from charging_core.piles.protocols.ykc.codec import Frame
from charging_core.piles.protocols.ykc.talk import Talk
from charging_core.piles.writers import CallJob

log = structlog.get_logger()


def verify(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0x05: compare, tell, and answer 0x06; without an answer from the database none goes out, and the pile asks again."""
    code, number = frame.fields["pile_code"], frame.fields["model_number"]
    received_at = talk.link.now()
    ports = talk.context.ports

    def compare() -> tuple[bool, str]:
        tariff = ports.tariffs.for_pile(code)
        matches = tariff is not None and tariff.model_number == number
        shown = None if number == mapping.NO_MODEL else number
        ports.sink.handle([TariffVerified(code, shown, matches, received_at)])
        if matches:
            ports.tariffs.confirmed(code, number)
        return matches, tariff.model_number if tariff else number

    def answer(compared: tuple[bool, str] | None) -> None:
        pile = talk.piles.get(code)
        if compared is None or pile is None:
            return
        matches, own = compared
        named = own if pile.dialect.verify_with_own_number else number
        result = 0 if matches else 1
        talk.link.reply(0x06, {"pile_code": code, "model_number": named, "result": result}, frame.sequence)

    talk.context.writers.offer(code, CallJob("verify_tariff", compare, answer))


def send(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """0x09: send the model the pile should run now as 0x0A; nothing when it has none."""
    code = frame.fields["pile_code"]
    received_at = talk.link.now()
    ports = talk.context.ports

    def fetch() -> PileTariff | None:
        tariff = ports.tariffs.for_pile(code)
        ports.sink.handle([TariffRequested(code, tariff.model_number if tariff else None, received_at)])
        return tariff

    def answer(tariff: PileTariff | None) -> None:
        pile = talk.piles.get(code)
        if tariff is None:
            log.warning("pile_tariff_missing", pile_code=code)
        elif pile is not None:
            pile.sent_model = tariff.model_number
            talk.link.reply(0x0A, mapping.tariff_fields(code, tariff), frame.sequence)

    talk.context.writers.offer(code, CallJob("send_tariff", fetch, answer))


def accepted(talk: Talk, frame: Frame, _raw: bytes) -> None:
    """Answer to 0x58; some firmware answers 0x0A with it too, which proves as much."""
    code, ok = frame.fields["pile_code"], frame.fields["result"] == 1
    talk.context.desk.answered(CommandKind.PUSH_TARIFF, code, 0, None, ok, "" if ok else "the pile refused the tariff")
    number, received_at = talk.piles[code].sent_model, talk.link.now()
    if number is None or not ok:
        return
    ports = talk.context.ports

    def confirm() -> None:
        ports.sink.handle([TariffVerified(code, number, True, received_at)])
        ports.tariffs.confirmed(code, number)

    talk.context.writers.offer(code, CallJob("confirm_tariff", confirm, lambda _: None))


def push(talk: Talk, delivery: Delivery) -> None:
    """Write 0x58 in its turn."""
    tariff, code = delivery.tariff, delivery.command.pile_code
    if tariff is None:
        talk.context.desk.refused(delivery.command, "the pile has no tariff")
        return

    def fields() -> Mapping[str, Any]:
        if code in talk.piles:
            talk.piles[code].sent_model = tariff.model_number
        return mapping.tariff_fields(code, tariff)

    talk.link.send(0x58, fields, delivery)
