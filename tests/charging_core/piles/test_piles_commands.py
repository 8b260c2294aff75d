"""Commands to piles: written once, marked truthfully, expired ones never sent, answers matched without sequence numbers."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from charging_core.clock import ManualClock
from charging_core.piles.commands import CommandDesk, CommandPump, Delivery
from charging_core.piles.events import StartAnswered, StartReason, StopAnswered, StopReason, TariffVerified
from charging_core.piles.ports import CommandKind, CommandState, PendingCommand
from tests.charging_core.piles.piles_support import (
    PILE,
    REALTIME,
    START,
    TRADE,
    House,
    MemoryCommands,
    MemoryTariffs,
    Pile,
    make_tariff,
    running,
    wait_for,
)


def reached(house: House, id_: str, state: CommandState) -> None:
    wait_for(lambda: house.commands.states[id_] is state, f"{id_} {state}")


def answer_start(
    pile: Pile, result: int, reason: int = 0, trade_number: str = TRADE, sequence: bytes = b"\0\0"
) -> None:
    pile.send(0x33, {"trade_number": trade_number, "connector_no": "01", "result": result, "reason": reason}, sequence)


def test_a_start_is_written_and_acknowledged() -> None:
    with running(poll_s=30) as house, house.login() as pile:
        house.command(CommandKind.START)
        house.server.wake(PILE)
        frame = pile.expect(0x34)
        assert dict(frame.fields) == {
            "trade_number": TRADE,
            "pile_code": PILE,
            "connector_no": "01",
            "logical_card": "0" * 16,
            "physical_card": "0" * 16,
            "balance": Decimal("50.00"),
        }
        assert house.commands.states["c1"] is CommandState.SENT
        answer_start(pile, 1, sequence=b"\x99\x99")  # firmware that does not echo the sequence
        reached(house, "c1", CommandState.ACKNOWLEDGED)
        wait_for(lambda: bool(house.sink.of(StartAnswered)), "the event")
        assert house.sink.of(StartAnswered) == [StartAnswered(TRADE, PILE, 1, True, StartReason.NONE, START)]


def test_commands_are_found_without_a_wake_up_call() -> None:
    with running() as house, house.login() as pile:
        house.command(CommandKind.READ)
        assert dict(pile.expect(0x12).fields) == {"pile_code": PILE, "connector_no": "01"}
        pile.raw(REALTIME)
        reached(house, "c1", CommandState.ACKNOWLEDGED)


def test_a_wake_up_call_for_nobody_in_particular() -> None:
    with running(poll_s=30) as house, house.login() as pile:
        pile.expect_silence()
        house.command(CommandKind.READ)
        house.server.wake()
        pile.expect(0x12)


def test_a_refused_start_fails() -> None:
    with running() as house, house.login() as pile:
        house.command(CommandKind.START)
        pile.expect(0x34)
        answer_start(pile, 0, 2)
        reached(house, "c1", CommandState.FAILED)
        assert house.commands.details["c1"] == StartReason.BUSY


def test_not_plugged_in_is_not_the_last_word() -> None:
    with running() as house, house.login() as pile:
        house.command(CommandKind.START)
        pile.expect(0x34)
        answer_start(pile, 0, 5)
        wait_for(lambda: len(house.sink.of(StartAnswered)) == 1, "the first answer")
        assert house.commands.states["c1"] is CommandState.SENT
        answer_start(pile, 1)
        reached(house, "c1", CommandState.ACKNOWLEDGED)
        reasons = [event.reason for event in house.sink.of(StartAnswered)]
        wait_for(lambda: len(house.sink.of(StartAnswered)) == 2, "the second answer")
        assert reasons[0] is StartReason.NOT_PLUGGED


def test_an_answer_to_another_trade_number_acknowledges_nothing() -> None:
    with running() as house, house.login() as pile:
        house.command(CommandKind.START)
        pile.expect(0x34)
        answer_start(pile, 1, trade_number="9" * 32)
        wait_for(lambda: bool(house.sink.of(StartAnswered)), "the event is told all the same")
        assert house.commands.states["c1"] is CommandState.SENT


def test_a_stop_is_answered_with_the_trade_number_of_its_command() -> None:
    with running() as house, house.login() as pile:
        house.command(CommandKind.STOP)
        assert dict(pile.expect(0x36).fields) == {"pile_code": PILE, "connector_no": "01"}
        pile.send(0x35, {"connector_no": "01", "result": 1, "reason": 0})
        reached(house, "c1", CommandState.ACKNOWLEDGED)
        pile.send(0x35, {"connector_no": "01", "result": 0, "reason": 2})
        wait_for(lambda: len(house.sink.of(StopAnswered)) == 2, "both answers")
        assert house.sink.of(StopAnswered) == [
            StopAnswered(TRADE, PILE, 1, True, StopReason.NONE, START),
            StopAnswered(None, PILE, 1, False, StopReason.NOT_CHARGING, START),
        ]


def test_a_tariff_is_pushed_and_confirmed() -> None:
    with running() as house, house.login() as pile:
        house.tariffs.tariffs[PILE] = make_tariff("0002")
        house.command(CommandKind.PUSH_TARIFF)
        assert pile.expect(0x58).fields["model_number"] == "0002"
        pile.send(0x57, {"result": 1})
        reached(house, "c1", CommandState.ACKNOWLEDGED)
        wait_for(lambda: house.tariffs.confirmations == [(PILE, "0002")], "the confirmation")
        assert house.sink.of(TariffVerified) == [TariffVerified(PILE, "0002", True, START)]


def test_a_tariff_the_pile_refuses_is_not_confirmed() -> None:
    with running() as house, house.login() as pile:
        house.command(CommandKind.PUSH_TARIFF)
        pile.expect(0x58)
        pile.send(0x57, {"result": 0})
        reached(house, "c1", CommandState.FAILED)
        pile.expect_silence()
        assert house.tariffs.confirmations == []


def test_a_push_without_a_tariff_fails() -> None:
    with running() as house, house.login():
        house.tariffs.tariffs.clear()
        house.command(CommandKind.PUSH_TARIFF)
        reached(house, "c1", CommandState.FAILED)


def test_an_expired_command_is_never_sent() -> None:
    with running() as house, house.login() as pile:
        house.command(CommandKind.START, lasts=timedelta(0))
        reached(house, "c1", CommandState.EXPIRED)
        pile.expect_silence()


def test_commands_wait_for_their_pile_and_a_start_survives_a_reconnect() -> None:
    with running() as house:
        house.command(CommandKind.START)
        with Pile(house.port) as stranger:
            stranger.heartbeat()
            stranger.expect(0x04)
        assert house.commands.states["c1"] is CommandState.PENDING
        with house.login() as pile:
            pile.expect(0x34)


def test_a_command_is_written_once_however_often_it_is_fetched() -> None:
    with running(poll_s=0.01) as house, house.login() as pile:
        house.command(CommandKind.STOP)
        pile.expect(0x36)
        for _ in range(20):
            house.server.wake(PILE)
        pile.expect_silence()


def test_what_was_not_answered_in_time_has_failed() -> None:
    with running(answer_timeout_s=0.1) as house, house.login() as pile:
        house.command(CommandKind.STOP)
        pile.expect(0x36)
        reached(house, "c1", CommandState.FAILED)
        assert house.commands.details["c1"] == "no answer"


def test_an_answer_may_come_over_the_next_connection() -> None:
    with running() as house:
        with house.login() as pile:
            house.command(CommandKind.START)
            pile.expect(0x34)
        with house.login() as again:
            answer_start(again, 1)
            reached(house, "c1", CommandState.ACKNOWLEDGED)
            again.expect_silence()


def test_unsolicited_frames_keep_their_distance_and_replies_do_not_wait() -> None:
    with running(downlink_gap_s=0.5) as house, house.login() as pile:
        begun = time.monotonic()
        for n in range(3):
            house.command(CommandKind.READ if n else CommandKind.STOP, f"c{n}")
        pile.expect(0x36)
        pile.expect_silence()  # a heartbeat is answered while the next command waits for its turn
        pile.expect(0x12)
        pile.expect(0x12)
        assert time.monotonic() - begun >= 1.0


def test_a_command_no_frame_can_carry_fails_and_does_not_block_the_next() -> None:
    with running() as house, house.login() as pile:
        bad = PendingCommand("bad", None, CommandKind.START, PILE, 1, "short", Decimal(1), START + timedelta(hours=1))
        house.commands.add(bad)
        house.command(CommandKind.READ)
        pile.expect(0x12)
        reached(house, "bad", CommandState.FAILED)


def test_a_database_that_is_away_delays_commands_and_outcomes() -> None:
    with running() as house, house.login() as pile:
        house.commands.failing = True
        house.command(CommandKind.READ)
        pile.expect_silence()
        house.commands.failing = False
        pile.expect(0x12)
        house.commands.failing = True
        pile.raw(REALTIME)
        pile.expect_silence()
        house.commands.failing = False
        reached(house, "c1", CommandState.ACKNOWLEDGED)


# -- the parts by themselves


class Bench:
    """A pump and a desk without a server."""

    def __init__(self, connected: bool = True) -> None:
        self.clock = ManualClock(START)
        self.source = MemoryCommands()
        self.handed: list[Delivery] = []
        codes = [PILE] if connected else []
        self.pump = CommandPump(self.source, MemoryTariffs(), self.clock, 0.01, lambda: codes, self.handed.append)
        self.desk = CommandDesk(self.pump, self.clock, 90)
        self.pump.start()

    def command(self, kind: CommandKind, id_: str = "c1") -> PendingCommand:
        row = PendingCommand(id_, None, kind, PILE, 1, TRADE, Decimal(1), START + timedelta(minutes=1))
        return self.source.add(row)

    def end(self) -> None:
        self.pump.stop()
        self.pump.join()


@pytest.fixture
def bench() -> Any:
    parts = Bench()
    yield parts
    parts.end()


def sent(bench: Bench, kind: CommandKind) -> PendingCommand:
    command = bench.command(kind)
    wait_for(lambda: bool(bench.handed), "handed over")
    assert bench.source.states["c1"] is CommandState.SENT
    return command


def test_a_start_whose_link_ended_before_it_was_written_waits_again(bench: Bench) -> None:
    command = sent(bench, CommandKind.START)
    bench.desk.not_written(command)
    wait_for(lambda: len(bench.handed) == 2, "handed over again")


def test_a_stop_whose_link_ended_is_never_replayed(bench: Bench) -> None:
    bench.desk.not_written(sent(bench, CommandKind.STOP))
    wait_for(lambda: bench.source.states["c1"] is CommandState.FAILED, "failed")


def test_a_start_that_expired_while_it_waited_for_the_wire_is_expired(bench: Bench) -> None:
    command = sent(bench, CommandKind.START)
    bench.clock.advance(timedelta(minutes=1))
    bench.desk.not_written(command)
    wait_for(lambda: bench.source.states["c1"] is CommandState.EXPIRED, "expired")


def test_a_second_stop_takes_the_place_of_the_first(bench: Bench) -> None:
    first, second = bench.command(CommandKind.STOP), bench.command(CommandKind.STOP, "c2")
    bench.desk.written(first)
    bench.desk.written(second)
    assert bench.desk.answered(CommandKind.STOP, PILE, 1, None, ok=True) is second
    assert bench.desk.answered(CommandKind.STOP, PILE, 1, None, ok=True) is None
    wait_for(lambda: bench.source.states["c1"] is CommandState.FAILED, "superseded")


def test_a_command_somebody_else_took_is_not_written() -> None:
    parts = Bench()
    parts.source.mark = lambda *_args: False  # type: ignore[method-assign]
    parts.command(CommandKind.START)
    parts.pump.wake(PILE)
    parts.end()
    assert parts.handed == []


def test_outcomes_that_wait_are_stored_when_the_server_stops() -> None:
    parts = Bench(connected=False)
    command = parts.command(CommandKind.START)
    parts.pump.mark_later(command, CommandState.ACKNOWLEDGED, "")
    parts.end()
    assert parts.source.states["c1"] is CommandState.ACKNOWLEDGED
