"""The measured side of the delivery bench: the worker as the product runs it, every push signed, every attempt stored, metrics on.

    python -m tests.bench.deliveries_hub RECEIVER_PORT THREADS DESTINATIONS DATABASE_URL REDIS_URL|-

Reads commands from standard input, one JSON answer each: `seed N` writes N deliveries, `finished N` writes N that have ended, `start`,
`events RATE SECONDS` commits events and tells when each was answered, `pace INTERVAL_S`, `waiting`, `stop`.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import SecretStr
from sqlalchemy import func, insert, select

from charging_core.clock import SystemClock
from charging_core.db import Database, HubSession
from charging_core.events import DomainEvent, record_event
from hub.logging_setup import configure_logging
from hub.settings import Settings
from partners.tcec102.client import OutboundLink, TcecClient
from partners.tcec102.contract import Contract
from partners.tcec102.keys import KeySet
from partners.tcec102.sending import ThreadSessions
from partners.tcec102.tokens import TokenCache
from worker.api import Body, Delivery, Destination, DriverDefaults, Exchange, PlannedDelivery, Registry, Verdict
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

    def __init__(self, port: str, threads: str, destinations: str, database_url: str, redis_url: str) -> None:
        self.db, self.clock = Database(database_url), SystemClock()
        self.driver = BenchDriver(int(port), int(destinations))
        registry = Registry()
        registry.register(self.driver)
        settings = WorkerSettings(redis_url=None if redis_url == "-" else redis_url, threads=int(threads))
        self.runtime = WorkerRuntime(self.db, self.clock, registry, settings)
        self.next = 0

    def seed(self, count: str) -> None:
        """Deliveries that wait, spread over the destinations."""
        for start in range(0, int(count), 1000):
            numbers = range(self.next + start, self.next + min(start + 1000, int(count)))
            with self.db.session(TENANT) as session:
                enqueue(session, [self.driver.planned(number) for number in numbers], self.clock, TENANT)
        self.next += int(count)
        self.analyse()

    def finished(self, count: str) -> None:
        """Deliveries that ended in the past months."""
        ended = self.clock.now() - timedelta(days=1)
        for start in range(0, int(count), 5000):
            rows = [self._ended(number, ended) for number in range(start, min(start + 5000, int(count)))]
            with self.db.system("bench") as session:
                session.connection().execute(insert(DeliveryRow.__table__), rows)  # type: ignore[arg-type]
        self.analyse()

    def _ended(self, number: int, ended: datetime) -> dict[str, Any]:
        row = delivery_row(self.driver.planned(number, 0), ended, TENANT, ended, None, {})
        return row | {
            "state": "delivered",
            "outcome": "ok",
            "body": row["snapshot"],
            "finished_at": ended,
            "attempt_count": 1,
        }

    def analyse(self) -> None:
        """What autovacuum does on a server of that age."""
        if self.db.dialect == "postgresql":
            with self.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("ANALYZE delivery")

    def start(self) -> None:
        """The worker's threads."""
        self.runtime.start()

    def pace(self, interval_s: str) -> None:
        """From now on calls to one destination are this far apart."""
        self.driver.rules = POLICY.model_copy(update={"min_interval_s": float(interval_s)})

    def waiting(self) -> dict[str, Any]:
        """Open deliveries by destination, and what has ended."""
        with self.db.read_system("bench") as session:
            query = select(DeliveryRow.destination_id, DeliveryRow.state, func.count())
            found = session.execute(query.group_by(DeliveryRow.destination_id, DeliveryRow.state)).all()
        return {f"{destination} {state}": count for destination, state, count in found}

    def events(self, rate: str, seconds: str) -> dict[str, float]:
        """Commit one event every 1/rate seconds; milliseconds from the commit to the receiver's answer."""
        committed: dict[str, float] = {}
        begun, first = time.time(), self.next
        for number in range(first, first + int(float(rate) * float(seconds))):
            time.sleep(max(0.0, begun + (number - first) / float(rate) - time.time()))
            with self.db.session(TENANT) as session:
                record_event(session, "order.settled", str(number), 1, {}, self.clock.now())
                session.on_commit(self.runtime.wake)
            committed[f"order-{number}"] = time.time()
        self.next += len(committed)
        end = time.time() + 20
        while time.time() < end and not committed.keys() <= self.driver.answered.keys():
            time.sleep(0.05)
        took = sorted((self.driver.answered.get(key, end) - at) * 1000 for key, at in committed.items())
        per_s = len(committed) / (max(committed.values()) - begun)
        return {
            "per_s": per_s,
            "p50_ms": statistics.median(took),
            "p99_ms": took[int(len(took) * 0.99)],
            "max_ms": took[-1],
        }


def main(*arguments: str) -> None:
    """Obey."""
    configure_logging(Settings(secret_key=SecretStr(SECRET), log_format="json"))
    hub = Hub(*arguments)
    obey: dict[str, Callable[..., Any]] = {
        name: getattr(hub, name) for name in ("seed", "finished", "start", "pace", "waiting", "events")
    }
    for line in sys.stdin:
        command, *words = line.split()
        if command == "stop":
            break
        print(json.dumps({"done": command, "result": obey[command](*words)}), flush=True)
    if threading.active_count() > 1:
        hub.runtime.stop(5)
    hub.db.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
