"""Life after the login: heartbeats, samples, records before acknowledgement, tariff, bad bytes; over real TCP."""

from __future__ import annotations

import threading
import time
from decimal import Decimal

import pytest
from prometheus_client import REGISTRY

from charging_core import faultpoints
from charging_core.piles.events import (
    ConnectorSample,
    ConnectorStatus,
    PileOffline,
    TariffRequested,
    TariffVerified,
    TradeRecord,
)
from charging_core.piles.protocols.ykc.codec import decode, encode
from tests.charging_core.piles.piles_support import (
    OTHER,
    PILE,
    REALTIME,
    RECORD,
    START,
    TRADE,
    Pile,
    frame_of,
    running,
    wait_for,
)


def counted(name: str, **labels: str) -> float:
    """A metric's value now; 0 before its first use."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def ignored(reason: str) -> float:
    return counted("hub_piles_frames_not_handled_total", reason=reason)


def test_heartbeats_are_echoed_with_their_sequence() -> None:
    with running() as house, house.login() as pile:
        pile.send(0x03, {"connector_no": "02", "connector_state": 1}, b"\xfe\x01")
        answer = pile.expect(0x04)
        assert (answer.sequence, dict(answer.fields)) == (
            b"\xfe\x01",
            {"pile_code": PILE, "connector_no": "02", "answer": 0},
        )


def test_samples_reach_the_sink_and_are_not_answered() -> None:
    with running() as house, house.login() as pile:
        pile.raw(REALTIME)
        pile.expect_silence()
        wait_for(lambda: bool(house.sink.of(ConnectorSample)), "the sample")
        (sample,) = house.sink.of(ConnectorSample)
        assert (sample.trade_number, sample.status, sample.received_at) == (TRADE, ConnectorStatus.CHARGING, START)
        assert sample.amount_yuan == Decimal("14.1838")


# -- records


def test_a_record_is_stored_before_it_is_acknowledged() -> None:
    with running() as house, house.login() as pile:
        house.sink.free.clear()
        pile.raw(RECORD)
        assert house.sink.entered.wait(10)
        pile.expect_silence()  # heartbeats go on while the database stands still, and no 0x40 comes before the commit
        house.sink.free.set()
        answer = pile.expect(0x40)
        assert (answer.sequence, dict(answer.fields)) == (b"\x71\x00", {"trade_number": TRADE, "result": 0})
        (record,) = house.sink.of(TradeRecord)
        assert (record.total_energy_kwh, record.raw) == (Decimal("14.3956"), RECORD.hex().upper())


def test_the_fault_point_lies_between_commit_and_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = threading.Event(), threading.Event()
    names: list[str] = []

    def stand_still(name: str) -> None:
        names.append(name)
        reached.set()
        assert go_on.wait(10)

    monkeypatch.setattr(faultpoints, "hit", stand_still)
    with running() as house, house.login() as pile:
        pile.raw(RECORD)
        assert reached.wait(10)
        assert len(house.sink.of(TradeRecord)) == 1
        pile.expect_silence()
        go_on.set()
        pile.expect(0x40)
        assert names == ["piles.record.committed"]


def test_a_record_that_cannot_be_stored_is_not_acknowledged_until_it_is() -> None:
    with running() as house, house.login() as pile:
        house.sink.fails = lambda batch: any(isinstance(event, TradeRecord) for event in batch)
        before = counted("hub_piles_records_not_acknowledged_total", reason="not_stored")
        pile.raw(RECORD)
        wait_for(
            lambda: counted("hub_piles_records_not_acknowledged_total", reason="not_stored") == before + 1, "counted"
        )
        pile.expect_silence()
        house.sink.fails = lambda _batch: False
        pile.raw(RECORD)
        pile.expect(0x40)
        assert len(house.sink.of(TradeRecord)) == 1


def test_every_repeat_gets_exactly_one_acknowledgement() -> None:
    with running() as house, house.login() as pile:
        pile.raw(RECORD, RECORD, RECORD)
        for _ in range(3):
            assert pile.expect(0x40).fields["result"] == 0
        pile.expect_silence()
        assert len(house.sink.of(TradeRecord)) == 3


def test_a_record_of_an_ended_link_is_stored_and_comes_again() -> None:
    with running() as house:
        pile = house.login()
        house.sink.free.clear()
        pile.raw(RECORD)
        assert house.sink.entered.wait(10)
        with house.login_while_held() as again:
            house.sink.free.set()
            assert again.expect(0x02).fields["result"] == 0
            again.expect(0x56)
            again.raw(RECORD)
            again.expect(0x40)
            again.expect_silence()
        pile.close()
        assert len(house.sink.of(TradeRecord)) == 2


def test_records_of_many_piles_share_a_commit() -> None:
    with running(writer_threads=1) as house, house.login() as pile:
        house.sink.free.clear()
        house.sink.calls.clear()
        pile.raw(RECORD)
        assert house.sink.entered.wait(10)
        pile.raw(*[RECORD] * 20)
        pile.expect_silence()
        house.sink.free.set()
        for _ in range(21):
            pile.expect(0x40)
        assert house.sink.calls == [1, 20]


def test_a_full_queue_drops_records_unacknowledged_and_heartbeats_never_wait() -> None:
    with running(writer_threads=1, queue_limit=2) as house, house.login() as pile:
        house.sink.free.clear()
        pile.raw(RECORD)
        assert house.sink.entered.wait(10)
        pile.raw(*[RECORD] * 5)
        pile.expect_silence()
        house.sink.free.set()
        for _ in range(3):
            pile.expect(0x40)
        pile.expect_silence()


def test_a_record_of_another_pile_is_ignored() -> None:
    with running() as house, house.login() as pile:
        before = ignored("wrong_pile")
        pile.raw(encode(0x3B, {**decode(RECORD).fields, "pile_code": OTHER}))
        pile.expect_silence()
        assert (ignored("wrong_pile"), house.sink.of(TradeRecord)) == (before + 1, [])


def test_a_truncated_record_is_kept_marked_and_acknowledged() -> None:
    with running() as house, house.login() as pile:
        pile.raw(frame_of(0x3B, RECORD[6:70]))
        pile.expect(0x40)
        (record,) = house.sink.of(TradeRecord)
        assert (record.complete, record.total_energy_kwh) == (False, None)


@pytest.mark.parametrize("reject", [False, True])
def test_a_record_without_a_trade_number_is_answered_by_policy(reject: bool) -> None:
    with running(reject_undecodable_records=reject) as house, house.login() as pile:
        pile.raw(frame_of(0x3B, RECORD[6:16]))
        if reject:
            assert dict(pile.expect(0x40).fields) == {"trade_number": "0" * 32, "result": 1}
        pile.expect_silence()
        assert house.sink.of(TradeRecord) == []


def test_records_on_their_way_are_acknowledged_before_the_server_stops() -> None:
    with running() as house, house.login() as pile:
        house.sink.free.clear()
        pile.raw(RECORD)
        assert house.sink.entered.wait(10)
        stopper = threading.Thread(target=house.server.stop, args=(10,))
        stopper.start()
        house.sink.free.set()
        pile.expect(0x40)
        pile.expect_close()
        stopper.join()


# -- tariff


def test_the_right_tariff_is_confirmed() -> None:
    with running() as house, house.login() as pile:
        pile.send(0x05, {"model_number": "0001"}, b"\x05\x00")
        answer = pile.expect(0x06)
        assert (answer.sequence, dict(answer.fields)) == (
            b"\x05\x00",
            {"pile_code": PILE, "model_number": "0001", "result": 0},
        )
        assert house.tariffs.confirmations == [(PILE, "0001")]
        assert house.sink.of(TariffVerified) == [TariffVerified(PILE, "0001", True, START)]


def test_another_tariff_is_replaced() -> None:
    with running() as house, house.login() as pile:
        pile.send(0x05, {"model_number": "0000"})
        assert pile.expect(0x06).fields["result"] == 1
        pile.send(0x09, {}, b"\x06\x00")
        model = pile.expect(0x0A)
        assert (model.sequence, model.fields["model_number"]) == (b"\x06\x00", "0001")
        assert model.fields["sharp_energy_price"] == Decimal("1.2")
        assert house.tariffs.confirmations == []
        assert house.sink.of(TariffVerified)[0].model_number is None
        assert house.sink.of(TariffRequested) == [TariffRequested(PILE, "0001", START)]


def test_firmware_that_answers_the_model_with_0x57_has_confirmed_it() -> None:
    with running() as house, house.login() as pile:
        pile.send(0x09)
        pile.expect(0x0A)
        pile.send(0x57, {"result": 1})
        wait_for(lambda: house.tariffs.confirmations == [(PILE, "0001")], "the confirmation")


def test_a_pile_without_a_tariff_is_told_it_differs_and_gets_none() -> None:
    with running() as house, house.login() as pile:
        house.tariffs.tariffs.clear()
        pile.send(0x05, {"model_number": "0001"})
        assert pile.expect(0x06).fields["result"] == 1
        pile.send(0x09)
        pile.expect_silence()


# -- cards and what we do not handle


def test_a_card_at_the_pile_is_refused_at_once() -> None:
    card = {"connector_no": "01", "mode": 1, "needs_password": 0, "account": "0" * 16, "password": "0" * 32, "vin": ""}
    with running() as house, house.login() as pile:
        pile.send(0x31, card)
        answer = pile.expect(0x32).fields
        assert (answer["result"], answer["reason"], answer["trade_number"]) == (0, 0x0B, "0" * 32)
        pile.send(0xA1, {**card, "role": 0, "parallel_number": "250314095000"})
        assert pile.expect(0xA2).fields["parallel_number"] == "250314095000"


def test_frames_without_a_reply_get_none() -> None:
    with running() as house, house.login() as pile:
        before = ignored("no_handler")
        for kind, size in ((0x15, 73), (0x17, 45), (0x19, 39), (0x23, 44), (0x25, 31)):
            pile.raw(frame_of(kind, bytes(size)))
        pile.expect_silence()
        assert ignored("no_handler") == before + 5


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (frame_of(0x77, b"whatever"), "unknown_type"),
        (frame_of(0x3B, RECORD[6:-2], encrypt=1), "encrypted"),
        (frame_of(0x13, REALTIME[6:20]), "undecodable"),
        (frame_of(0x01, b"\x31\x00"), "undecodable"),
    ],
)
def test_what_cannot_be_read_is_counted_and_not_answered(wire: bytes, reason: str) -> None:
    with running() as house, house.login() as pile:
        before = ignored(reason)
        pile.raw(wire)
        pile.expect_silence()
        assert ignored(reason) == before + 1
        assert house.sink.events == []


# -- bytes


def test_glued_and_split_frames_are_read() -> None:
    with running() as house, house.login() as pile:
        stream = REALTIME * 3 + RECORD
        for start in range(0, len(stream), 50):
            pile.raw(stream[start : start + 50])
        pile.expect(0x40)
        assert len(house.sink.of(ConnectorSample)) == 3


def test_garbage_and_bad_crc_are_survived_and_counted() -> None:
    with running() as house, house.login() as pile:
        garbage, errors = counted("hub_piles_garbage_bytes_total"), counted("hub_piles_crc_errors_total")
        pile.raw(b"\x00\x11\x22", REALTIME[:-1] + b"\x00", REALTIME)
        pile.expect_silence()
        wait_for(lambda: len(house.sink.of(ConnectorSample)) == 1, "the good one")
        assert counted("hub_piles_garbage_bytes_total") == garbage + 3 + len(REALTIME)
        assert counted("hub_piles_crc_errors_total") == errors + 1


def test_five_bad_frames_close_the_link() -> None:
    with running() as house, house.login() as pile:
        bad = frame_of(0x77, b"\x01\x02\x03")[:-1] + b"\xee"
        pile.raw(*[bad] * 5)
        pile.expect_close()
        wait_for(lambda: bool(house.sink.of(PileOffline)), "off-line")
        assert house.sink.of(PileOffline)[0].reason == "framing_crc"


def test_a_half_frame_does_not_block_the_link_for_ever() -> None:
    with running() as house, house.login() as pile:
        pile.raw(b"\x68")
        pile.heartbeat()
        pile.expect(0x04)


def flood(pile: Pile, wire: bytes) -> None:
    """Send until the connection breaks."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        pile.raw(wire)


def test_a_pile_that_does_not_read_is_dropped() -> None:
    with running() as house, house.login(receive_buffer=2048) as pile:
        asked = frame_of(0x03, bytes.fromhex(PILE + "0100")) * 400
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            flood(pile, asked)
        wait_for(lambda: bool(house.sink.of(PileOffline)), "off-line")
        assert house.sink.of(PileOffline)[0].reason == "slow_reader"


def test_a_burst_of_heartbeats_is_answered_one_by_one_and_in_full() -> None:
    with running() as house, house.login() as pile:
        for batch in range(4):
            pile.raw(*(frame_of(0x03, bytes.fromhex(PILE + "0100"), bytes((batch, n))) for n in range(250)))
        for batch in range(4):
            for n in range(250):
                assert pile.expect(0x04).sequence == bytes((batch, n))
