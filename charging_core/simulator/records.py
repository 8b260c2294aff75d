"""Trade records that the platform has not confirmed: sent, sent again, replayed after a login, deleted only by 0x40."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from charging_core.simulator.agenda import Agenda, Timer
from charging_core.simulator.messages import Fields, with_other_amounts
from charging_core.simulator.settings import Periods

# resends after an unanswered first sending; then one last attempt (ykc.md 0x3B, sending rule)
_RESENDS = 3
_RECEIVED = 0

Transmit = Callable[[Fields], None]


@dataclass(slots=True)
class _Pending:
    fields: Fields
    copies: int
    held: bool
    changes: bool = False
    deaf: int = 0
    sent: int = 0
    ever_sent: bool = False
    timer: Timer | None = field(default=None, repr=False)

    def cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()


class RecordBook:
    """Unconfirmed records by trade number. `transmit` sends one 0x3B; it is called only while the link is up."""

    def __init__(self, agenda: Agenda, periods: Periods, transmit: Transmit) -> None:
        self.confirmed_count = 0
        self._agenda = agenda
        self._periods = periods
        self._transmit = transmit
        self._pending: dict[str, _Pending] = {}
        self._link_up = False

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """Trade numbers that wait for 0x40, oldest first."""
        return tuple(self._pending)

    def file(
        self, fields: Fields, *, delay: timedelta, copies: int, changes: bool = False, ignored_confirmations: int = 0
    ) -> None:
        """Keep a record; it goes out after `delay`, the first time together with `copies` more of itself.

        `changes`: whatever follows its first sending carries other amounts. So many confirmations are not noticed.
        """
        record = _Pending(fields, copies, held=delay > timedelta(0), changes=changes, deaf=ignored_confirmations)
        self._pending[fields["trade_number"]] = record
        if record.held:
            self._agenda.after(delay, lambda: self._release(record))
        else:
            self._send_round(record)

    def confirm(self, trade_number: str, result: int) -> bool:
        """0x40: result 0 deletes the record; anything else, or an unknown number, changes nothing."""
        if result != _RECEIVED or trade_number not in self._pending:
            return False
        record = self._pending[trade_number]
        if record.deaf:
            record.deaf -= 1
            return True
        self._pending.pop(trade_number).cancel()
        self.confirmed_count += 1
        return True

    def drop(self, connector: int) -> int:
        """Forget the unconfirmed records of a connector; how many there were."""
        doomed = [number for number, record in self._pending.items() if record.fields["connector"] == connector]
        for number in doomed:
            self._pending.pop(number).cancel()
        return len(doomed)

    def link_up(self) -> None:
        """After a login everything unconfirmed is sent again, with a fresh round of resends."""
        self._link_up = True
        for record in list(self._pending.values()):
            self._send_round(record)

    def link_down(self) -> None:
        """Nothing is sent until the next login."""
        self._link_up = False
        for record in self._pending.values():
            record.cancel()

    def _release(self, record: _Pending) -> None:
        record.held = False
        if self._pending.get(record.fields["trade_number"]) is record:
            self._send_round(record)

    def _send_round(self, record: _Pending) -> None:
        record.cancel()
        record.sent = 0
        if self._link_up and not record.held:
            self._send(record)

    def _send(self, record: _Pending) -> None:
        for _ in range(1 + record.copies):
            again = record.changes and record.ever_sent
            record.ever_sent = True
            self._transmit(with_other_amounts(record.fields) if again else record.fields)
        record.copies = 0
        record.sent += 1
        if record.sent <= _RESENDS + 1:
            last = record.sent == _RESENDS + 1
            wait = self._periods.record_last_retry_s if last else self._periods.record_retry_s
            record.timer = self._agenda.after(
                timedelta(seconds=wait),
                lambda: self._send(record),
                real_floor_s=self._periods.real_answer_floor_s,
            )
