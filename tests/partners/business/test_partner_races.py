"""Two web processes that get the same call at the same instant: each has its own connections, links and tokens."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from charging_core.db import Database
from charging_core.orders.model import ChargeOrder
from charging_core.piles.model import PileCommand
from charging_core.tariffs.periods import RateClass
from partners.room import PartnerRoom
from partners.tcec102.memory import NoLimit
from partners.tcec102.receive import Door
from tests.partners.business.conftest import PARTNER, World
from tests.partners.business.test_partner_deviations import Caller

SEQ = f"{PARTNER}260302080000000001"
Call = tuple[str, dict[str, Any]]


class Process:
    """What a web process holds, on a database connection pool of its own."""

    def __init__(self, world: World) -> None:
        self.db = Database(world.db.url, synchronous="NORMAL")
        self.room = PartnerRoom(self.db, world.context, world.box, contract=world.room.contract)
        self.room.book.refresh()
        self.door: Door = self.room.door(NoLimit())
        self.token = ""

    def ask(self, world: World, call: Call, barrier: Barrier) -> dict[str, Any]:
        caller = Caller(world)
        caller.door, caller.token = self.door, self.token
        barrier.wait(10)
        return caller.opened(*call)

    def close(self) -> None:
        self.room.stop()
        self.db.close()


@pytest.fixture
def processes(world: World) -> Iterator[list[Process]]:
    world.link()
    made = [Process(world), Process(world)]
    token = Caller(world).log_in().token
    for one in made:
        one.token = token
    yield made
    for one in made:
        one.close()


def at_once(world: World, processes: list[Process], calls: list[Call]) -> list[dict[str, Any]]:
    """Every call at the same instant, in turns over the processes."""
    barrier = Barrier(len(calls))
    with ThreadPoolExecutor(len(calls)) as pool:
        jobs = [pool.submit(processes[number % 2].ask, world, call, barrier) for number, call in enumerate(calls)]
        return [job.result(30) for job in jobs]


def start(connector: str, seq: str = SEQ) -> Call:
    return "query_start_charge", {"StartChargeSeq": seq, "ConnectorID": connector, "QRCode": ""}


def counted(world: World) -> tuple[int, int]:
    with world.db.read(world.tenant) as session:
        return session.query(ChargeOrder).count(), session.query(PileCommand).count()


def test_one_sequence_at_two_processes_is_one_charge_with_one_answer(world: World, processes: list[Process]) -> None:
    answers = at_once(world, processes, [start(world.connector)] * 6)
    assert all(answer == answers[0] for answer in answers)
    assert (answers[0]["SuccStat"], answers[0]["StartChargeSeqStat"]) == (0, 1)
    assert counted(world) == (1, 1)


def test_one_sequence_for_two_connectors_starts_one_and_refuses_the_other(
    world: World, processes: list[Process]
) -> None:
    answers = at_once(world, processes, [start(code) for code in world.seeded.connectors * 2])
    assert sorted(answer["FailReason"] for answer in answers) == [0, 0, 10, 10]
    assert {answer["StartChargeSeqStat"] for answer in answers} == {1}  # never "ended" about a charge that has begun
    assert len({answer["ConnectorID"] for answer in answers if answer["SuccStat"] == 0}) == 1
    assert counted(world) == (1, 1)


def test_many_drivers_at_one_connector_start_one_charge(world: World, processes: list[Process]) -> None:
    answers = at_once(world, processes, [start(world.connector, f"{SEQ[:-1]}{number}") for number in range(6)])
    assert sorted(answer["FailReason"] for answer in answers) == [0, 5, 5, 5, 5, 5]
    assert counted(world) == (1, 1)


def test_a_stop_beside_the_end_of_the_charge_has_one_truth(world: World, processes: list[Process]) -> None:
    world.ask(*start(world.connector))
    world.reading(SEQ)
    stop: Call = ("query_stop_charge", {"StartChargeSeq": SEQ, "ConnectorID": world.connector})
    with ThreadPoolExecutor(1) as pool:
        settled = pool.submit(world.record, SEQ, {RateClass.FLAT: "1.0000"})
        answers = at_once(world, processes, [stop, stop])
        settled.result(30)
    assert {(one["SuccStat"], one["StartChargeSeqStat"]) for one in answers} <= {(0, 3), (1, 4)}
    assert world.order(SEQ).state == "settled"


def test_a_token_of_one_process_is_good_at_the_other(world: World, processes: list[Process]) -> None:
    issued = processes[0].room.tokens.issue(world.room.book.by_slug(world.tenant, "demo-partner").id, 60).token
    processes[1].token = issued
    answer = processes[1].ask(world, ("query_station_status", {"StationIDs": ["S0001"]}), Barrier(1))
    assert len(answer["StationStatusInfos"]) == 1


def test_one_signed_text_at_two_processes_is_taken_once(world: World, processes: list[Process], tmp_path: Path) -> None:
    path = tmp_path / "once.yaml"
    head = "{id: once, version: '1', display_name: {zh: 一次, en: once}, status: partial, extends: textbook, "
    path.write_text(f"{head}envelope: {{max_skew_s: 600, refuse_replays: true}}}}", "utf-8")
    world.link(profile=str(path))
    for one in processes:
        one.room.book.refresh()
    barrier = Barrier(len(processes) * 3)

    def send(process: Process) -> int:
        caller = Caller(world)
        caller.door, caller.token = process.door, process.token
        barrier.wait(10)
        return int(caller.send("query_station_status", {"StationIDs": ["1"]})["Ret"])

    with ThreadPoolExecutor(barrier.parties) as pool:
        results = sorted(pool.map(send, processes * 3))
    assert results == [0] + [4003] * 5
