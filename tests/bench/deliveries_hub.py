"""The measured side of the delivery bench: the worker as the product runs it, every push signed, every attempt stored, metrics on.

    python -m tests.bench.deliveries_hub RECEIVER_PORT THREADS DESTINATIONS REDIS_URL|- DATABASE_URL

Reads commands from standard input, one JSON answer each: `seed N` writes N deliveries, `finished N` writes N that have ended, `start`,
`events RATE SECONDS` commits events and tells when, `answered` when each order was answered, `pace INTERVAL_S`, `waiting`, `drop_open`,
`stop`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import SecretStr
from sqlalchemy import delete, func, insert, select

from charging_core.clock import SystemClock
from charging_core.db import Database, HubSession
from charging_core.events import DomainEvent, record_event
from charging_core.ids import new_id
from hub.logging_setup import configure_logging
from hub.settings import Settings
from partners.tcec102.client import OutboundLink, TcecClient
from partners.tcec102.contract import Contract
from partners.tcec102.keys import KeySet
from partners.tcec102.sending import ThreadSessions
from partners.tcec102.tokens import TokenCache
from worker.api import Body, Delivery, Destination, DriverDefaults, Exchange, PlannedDelivery, Registry, Verdict
from worker.claiming import DELIVERY
from worker.journal import ATTEMPT
from worker.judging import judge_by_policy
from worker.model import DeliveryRow
from worker.planning import delivery_row, enqueue
from worker.policy import ORDER, DeliveryPolicy, RetryPolicy
from worker.runtime import WorkerRuntime
from worker.settings import WorkerSettings

TENANT, KIND, INTERFACE = "bench", "partner", "notification_charge_order_info"
ORDER_BODY: dict[str, Any] = {
    "StartChargeSeq": "", "ConnectorID": "0000000000000101", "StartTime": "2026-03-02 03:04:25", "EndTime": "2026-03-02 04:10:00",
    "TotalPower": Decimal("30.50"), "TotalElecMoney": Decimal("24.40"), "TotalSeviceMoney": Decimal("12.20"),
    "TotalMoney": Decimal("36.60"), "StopReason": 2, "SumPeriod": 2,
    "ChargeDetails": [
        {
            "DetailStartTime": "2026-03-02 03:04:25", "DetailEndTime": "2026-03-02 04:00:00", "ElecPrice": Decimal("0.8000"),
            "SevicePrice": Decimal("0.4000"), "DetailPower": Decimal("26.00"), "DetailElecMoney": Decimal("20.80"),
            "DetailSeviceMoney": Decimal("10.40"),
        },
        {
            "DetailStartTime": "2026-03-02 04:00:00", "DetailEndTime": "2026-03-02 04:10:00", "ElecPrice": Decimal("0.8000"),
            "SevicePrice": Decimal("0.4000"), "DetailPower": Decimal("4.50"), "DetailElecMoney": Decimal("3.60"),
            "DetailSeviceMoney": Decimal("1.80"),
        },
    ],
}  # fmt: skip
"""The order of `specs/tcec102.md` 12.3a."""

SECRET = "1234567890abcdef"
POLICY = DeliveryPolicy(
    name=INTERFACE,
    priority=ORDER,
    deadline_s=150,
    retry=RetryPolicy(ladder=(2, 5, 15), then="repeat_last"),
    success="Ret==0 and Data.ConfirmResult==0",
    timeout_s=10,
)


COMMITTERS = 8
"""Threads that commit events, as requests of a web server do."""


class BenchDriver(DriverDefaults):
    """Signed order pushes to `/dN/` of the receiver."""

    kind = KIND
    subscriptions = frozenset({"order.settled"})

    def __init__(self, port: int, destinations: int) -> None:
        keys = KeySet(SECRET, SECRET, SECRET, SECRET)
        sessions, contract = ThreadSessions(), Contract.standard()
        self.names = [f"d{number}" for number in range(destinations)]
        self.clients = {
            name: TcecClient(
                OutboundLink(name, "MA5BENCH1", f"http://127.0.0.1:{port}/{name}", keys),
                sessions, TokenCache(), SystemClock(), contract,
            )
            for name in self.names
        }  # fmt: skip
        self.rules = POLICY
        self.answered: dict[str, float] = {}

    def plan(self, session: HubSession, event: DomainEvent) -> Iterable[PlannedDelivery]:
        yield self.planned(int(event.subject_id), event.version)

    def planned(self, number: int, version: int = 1) -> PlannedDelivery:
        """The delivery of order `number`."""
        destination = Destination(KIND, self.names[number % len(self.names)])
        snapshot = ORDER_BODY | {"StartChargeSeq": f"9876543212603020304{number:08d}"}
        return PlannedDelivery(destination, INTERFACE, f"order-{number}", version, self.rules, snapshot=snapshot)

    def policy(self, session: HubSession, delivery: Delivery) -> DeliveryPolicy:
        return self.rules

    def render(self, session: HubSession, delivery: Delivery) -> Body:
        return dict(delivery.snapshot)

    def send(self, delivery: Delivery, body: Body) -> Exchange:
        try:
            result = self.clients[delivery.destination.id].call(delivery.interface, body)
        except Exception as error:
            return Exchange(
                request_text=str(body), error="timeout" if "Timed" in type(error).__name__ else "connection"
            )
        self.answered[delivery.object_key] = time.time()
        answer = {"Ret": result.ret, "Msg": result.msg, "Data": result.body or {}}
        return Exchange(str(body), str(answer), result.http_status, answer, round(result.duration_ms))

    def judge(self, delivery: Delivery, exchange: Exchange) -> Verdict:
        return judge_by_policy(self.rules, delivery.body or {}, exchange)


class Hub:
    """The commands."""

    def __init__(self, port: str, threads: str, destinations: str, redis_url: str, database_url: str) -> None:
        self.db, self.clock = Database(database_url), SystemClock()
        self.driver = BenchDriver(int(port), int(destinations))
        registry = Registry()
        registry.register(self.driver)
        settings = WorkerSettings(redis_url=None if redis_url == "-" else redis_url, threads=int(threads))
        self.runtime = WorkerRuntime(self.db, self.clock, registry, settings)
        self.next = 0
        self.running = False

    def seed(self, count: str, first: str = "0") -> None:
        """Deliveries that wait, spread over the destinations."""
        self.next = max(self.next, int(first))
        for start in range(0, int(count), 1000):
            numbers = range(self.next + start, self.next + min(start + 1000, int(count)))
            with self.db.session(TENANT) as session:
                enqueue(session, [self.driver.planned(number) for number in numbers], self.clock, TENANT)
        self.next += int(count)
        self.analyse()

    def finished(self, count: str) -> None:
        """Deliveries that ended yesterday, with an attempt each: copies of one, made by the database."""
        number = "lpad(n::text, 20, '0')" if self.db.dialect == "postgresql" else "printf('%020d', n)"
        several = len(self.driver.names)
        destination = f"'d' || (n - n / {several} * {several})"  # the remainder; a percent sign would be a parameter's
        made = {"id": f"'000000' || {number}", "object_key": f"'old-' || {number}", "destination_id": destination}
        attempt = {"id": f"'000001' || {number}", "delivery_id": made["id"]}
        with self.db.system("bench") as session:
            connection = session.connection()
            for table, one, own in ((DELIVERY, self._ended(), made), (ATTEMPT, self._attempt(), attempt)):
                connection.execute(insert(table), [one])
                names = ", ".join(column.name for column in table.c)
                values = ", ".join(own.get(column.name, f"t.{column.name}") for column in table.c)
                connection.exec_driver_sql(
                    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers "
                    f"WHERE n < {int(count)}) INSERT INTO {table.name} ({names}) "
                    f"SELECT {values} FROM {table.name} t, numbers WHERE t.id = '{one['id']}'"
                )
        self.analyse()

    def _ended(self) -> dict[str, Any]:
        ended = self.clock.now() - timedelta(days=1)
        row = delivery_row(self.driver.planned(0, 0), ended, TENANT, ended, None, {})
        end = {"state": "delivered", "outcome": "ok", "finished_at": ended, "attempt_count": 1}
        return row | end | {"snapshot": {"text": "x" * 200}, "body": {"text": "x" * 200}}

    def _attempt(self) -> dict[str, Any]:
        text = "x" * 200
        return {
            "id": new_id(), "tenant_id": TENANT, "delivery_id": new_id(), "number": 1, "duration_ms": 50, "outcome": "ok",
            "started_at": self.clock.now() - timedelta(days=1), "worker": "bench", "request_text": text, "answer_text": text,
        }  # fmt: skip

    def drop_open(self) -> None:
        """Forget what still waits; the next round begins with its own."""
        self.stop()
        with self.db.system("bench") as session:
            session.connection().execute(delete(DELIVERY).where(DELIVERY.c.finished_at.is_(None)))

    def analyse(self) -> None:
        """What autovacuum does on a server of that age."""
        if self.db.dialect == "postgresql":
            with self.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM ANALYZE delivery, delivery_attempt")

    def start(self) -> None:
        """The worker's threads."""
        self.running = True
        self.runtime.start()

    def stop(self) -> None:
        """Let what is under way end."""
        if self.running:
            self.running = False
            self.runtime.stop(5)

    def pace(self, interval_s: str) -> None:
        """From now on calls to one destination are this far apart."""
        self.driver.rules = POLICY.model_copy(update={"min_interval_s": float(interval_s)})

    def waiting(self) -> dict[str, Any]:
        """Open deliveries by destination, and what has ended."""
        with self.db.read_system("bench") as session:
            query = select(DeliveryRow.destination_id, DeliveryRow.state, func.count())
            found = session.execute(query.group_by(DeliveryRow.destination_id, DeliveryRow.state)).all()
        return {f"{destination} {state}": count for destination, state, count in found}

    def answered(self) -> dict[str, float]:
        """When the receiver's answer to each order came to this process."""
        return dict(self.driver.answered)

    def events(self, rate: str, seconds: str) -> dict[str, float]:
        """Commit one event every 1/rate seconds; when each order was committed."""
        committed: dict[str, float] = {}
        begun, first = time.time(), self.next

        def commit(lane: int) -> None:
            for number in range(first + lane, first + int(float(rate) * float(seconds)), COMMITTERS):
                time.sleep(max(0.0, begun + (number - first) / float(rate) - time.time()))
                with self.db.session(TENANT) as session:
                    record_event(session, "order.settled", str(number), 1, {}, self.clock.now())
                    session.on_commit(self.runtime.wake)
                committed[f"order-{number}"] = time.time()

        with ThreadPoolExecutor(COMMITTERS) as pool:
            list(pool.map(commit, range(COMMITTERS)))
        self.next += len(committed)
        return committed


def main(*arguments: str) -> None:
    """Obey."""
    configure_logging(Settings(secret_key=SecretStr(SECRET), log_format="json"))
    hub = Hub(*arguments)
    obey: dict[str, Callable[..., Any]] = {
        name: getattr(hub, name)
        for name in ("seed", "finished", "start", "pace", "waiting", "events", "answered", "drop_open")
    }
    for line in sys.stdin:
        command, *words = line.split()
        if command == "stop":
            break
        print(json.dumps({"done": command, "result": obey[command](*words)}), flush=True)
    hub.stop()
    hub.db.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
