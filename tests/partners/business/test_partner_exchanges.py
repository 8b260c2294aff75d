"""The record of exchanges: everything that went over a link can be found again, nothing secret is in it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import requests

from partners.exchanges import ExchangeQuery, ExchangeRecorder, prune_exchanges, search_exchanges
from partners.model import ExchangeRow
from partners.tcec102.exchanges import Direction, Exchange, FinishedExchange
from tests.partners.business.conftest import OUR_KEYS, PARTNER, THEIR_KEYS, World

SEQ = f"{PARTNER}260302080000000001"


def found(world: World, **wanted: Any) -> list[ExchangeRow]:
    world.room.recorder.flush()
    with world.db.read(world.tenant) as session:
        return search_exchanges(session, ExchangeQuery(**wanted))


def exchange(number: int = 1, **more: Any) -> Exchange:
    members: dict[str, Any] = {"direction": Direction.IN, "interface": "query_token", "path": "/x/", "ret": 0}
    return FinishedExchange(**(members | {"at": more.pop("at"), "duration_ms": float(number)} | more))


def test_a_charge_can_be_found_by_its_order_both_ways(world: World) -> None:
    link = world.link()
    seq = world.play()
    world.deliver()
    rows = found(world, object_key=seq)
    assert {(row.direction, row.interface) for row in rows} == {
        ("in", "query_start_charge"),
        ("out", "notification_start_charge_result"),
        ("out", "notification_charge_order_info"),
    }
    assert {(row.link_id, row.ret, row.kind) for row in rows} == {(link.id, 0, "partner")}
    (order,) = found(world, interface="notification_charge_order_info")
    assert '"TotalMoney":33.55' in str(order.request_body)
    assert '"ConfirmResult":0' in str(order.reply_body)
    assert str(order.seq).isdigit()
    assert order.request_bytes > 100
    assert rows == sorted(rows, key=lambda row: row.id, reverse=True)


def test_no_secret_and_no_personal_data_is_kept(world: World) -> None:
    world.link()
    world.play("浙AD12345")
    world.deliver()
    world.room.recorder.flush()
    with world.db.read(world.tenant) as session:
        rows = session.query(ExchangeRow).all()
        kept = "".join(f"{r.request_body}{r.reply_body}{r.request_raw}{r.reply_raw}{r.message}" for r in rows)
    assert {row.interface for row in rows} >= {"query_token", "query_start_charge"}
    secrets = [*OUR_KEYS.values(), *THEIR_KEYS.values()]
    assert not [text for text in [*secrets, "浙AD12345"] if text in kept]
    assert "浙A***5" in kept


def test_refused_calls_are_kept_with_the_failing_check(world: World) -> None:
    world.link()
    url = world.fake.config.hub_base_url
    requests.post(f"{url}/query_token", data=b'{"OperatorID":"\\u0000 garbage', timeout=5)
    requests.post(
        f"{url}/query_token",
        json={"OperatorID": "NOBODY000", **dict.fromkeys(("Data", "TimeStamp", "Seq", "Sig"), "1")},
        timeout=5,
    )
    garbage, unknown = reversed(found(world))
    assert (garbage.ret, garbage.link_id, garbage.failed_check) == (4003, None, "json")
    assert (unknown.ret, unknown.operator_id, unknown.failed_check) == (4003, "NOBODY000", "operator")


def test_search_by_result_time_text_and_page(world: World) -> None:
    world.link()
    begin = world.clock.now()
    world.ask("query_station_status", {"StationIDs": ["S0001"]})
    world.clock.advance(timedelta(minutes=5))
    world.fake.call("query_equip_charge_status", {"StartChargeSeq": SEQ})
    assert [row.ret for row in found(world, failed_only=True)] == [4004]
    assert [row.interface for row in found(world, ret=4004)] == ["query_equip_charge_status"]
    later = found(world, since=begin + timedelta(minutes=1))
    assert [row.interface for row in later] == ["query_equip_charge_status"]
    assert {row.interface for row in found(world, until=begin + timedelta(minutes=1))} == {
        "query_token",
        "query_station_status",
    }
    assert [row.interface for row in found(world, text="S0001")] == ["query_station_status"]
    assert found(world, text="%") == []
    newest = found(world, limit=1)
    assert len(found(world, before_id=newest[0].id)) == 2


def test_other_tenants_see_nothing(world: World) -> None:
    world.link()
    world.ask("query_station_status", {"StationIDs": ["S0001"]})
    world.room.recorder.flush()
    with world.db.read("other") as session:
        assert search_exchanges(session, ExchangeQuery()) == []


def test_the_running_recorder_writes_behind_the_traffic_and_on_stop(world: World) -> None:
    world.link()
    world.room.recorder.start()
    for _ in range(5):
        world.ask("query_station_status", {"StationIDs": ["S0001"]})
    world.room.recorder.stop()
    assert len(found(world, interface="query_station_status")) == 5


def test_a_full_queue_drops_records_and_a_bad_record_does_not_end_the_recorder(world: World) -> None:
    world.link()
    recorder = ExchangeRecorder(world.db, queue_size=2)
    sink = recorder.sink("partner", lambda _: world.tenant)
    for number in range(4):
        sink.record(exchange(number, at=world.clock.now()))
    recorder.flush()
    assert [row.duration_ms for row in found(world)] == [1, 0]
    sink.record(exchange(at="not a time"))
    recorder.flush()
    sink.record(exchange(7, at=world.clock.now()))
    recorder.flush()
    assert found(world, limit=1)[0].duration_ms == 7


def test_an_exchange_without_a_tenant_is_not_stored(world: World) -> None:
    world.room.recorder.sink("partner", lambda _: None).record(exchange(at=world.clock.now()))
    assert found(world) == []


def test_old_exchanges_are_pruned(world: World) -> None:
    sink = world.room.recorder.sink("regulator", lambda _: world.tenant)
    sink.record(exchange(1, at=world.clock.now()))
    world.clock.advance(timedelta(days=100))
    sink.record(exchange(2, at=world.clock.now()))
    world.room.recorder.flush()
    with world.db.system("test") as session:
        assert prune_exchanges(session, world.clock.now() - timedelta(days=90)) == 1
    assert [(row.kind, row.duration_ms) for row in found(world)] == [("regulator", 2)]


def test_long_texts_are_cut_but_their_size_is_known(world: World) -> None:
    big = {"Text": "充" * 20_000}
    world.room.recorder.sink("partner", lambda _: world.tenant).record(
        exchange(at=world.clock.now(), request_body=big, request_raw=b"\x00\xff" + b"x" * 40_000)
    )
    (row,) = found(world)
    assert row.request_bytes > 40_000
    assert len(str(row.request_body)) < 17_000
    assert len(str(row.request_raw)) < 17_000


def test_an_unreadable_message_keeps_neither_itself_nor_others_off_the_record(world: World) -> None:
    """Deeply nested garbage made the writer fail, and the two hundred exchanges of its batch vanished with it."""
    sink = world.room.recorder.sink("partner", lambda _: world.tenant)
    deep = b"[" * 1000 + b"]" * 1000
    nested: Any = {}
    for _ in range(3000):
        nested = {"a": nested}
    sink.record(exchange(1, at=world.clock.now()))
    sink.record(exchange(2, at=world.clock.now(), request_raw=deep, ret=4003))
    sink.record(exchange(3, at=world.clock.now(), request_body=nested))
    rows = found(world)
    assert [row.duration_ms for row in rows] == [3, 2, 1]
    assert rows[0].interface == "query_token"
    assert rows[0].request_body is not None
    assert len(rows[0].request_body) < 1000, "what lies too deep is hidden, not kept"


def test_garbage_at_the_door_is_recorded_however_deep(world: World) -> None:
    world.link()
    raw = b'{"OperatorID":"X","Data":' + b"[" * 900 + b"]" * 900 + b"}"
    requests.post(f"{world.fake.config.hub_base_url}/query_token", data=raw, timeout=5)
    (row,) = found(world)
    assert (row.ret, row.interface) == (4003, "query_token")


def test_pruning_goes_in_small_steps(world: World) -> None:
    sink = world.room.recorder.sink("partner", lambda _: world.tenant)
    for number in range(5):
        sink.record(exchange(number, at=world.clock.now() + timedelta(seconds=number)))
    world.room.recorder.flush()
    before = world.clock.now() + timedelta(seconds=4)
    steps = []
    for _ in range(3):
        with world.db.system("test") as session:
            steps.append(prune_exchanges(session, before, 3))
    assert steps == [3, 1, 0]
    assert [row.duration_ms for row in found(world)] == [4]
