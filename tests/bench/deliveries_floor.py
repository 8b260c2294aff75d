"""The floor of the delivery bench: plain dramatiq and requests, no ledger, no signature. Imports nothing of the project.

    python -m tests.bench.deliveries_floor RECEIVER_PORT THREADS DESTINATIONS BODY_FILE REDIS_URL|-

Reads commands from standard input, one JSON answer each: `seed N` queues N pushes, `start` starts the threads, `stop` ends.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import dramatiq
import requests
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

HEADERS = {"Content-Type": "application/json;charset=utf-8", "Authorization": "Bearer bench-token"}


def main(port: str, threads: str, destinations: str, body_file: str, redis_url: str) -> None:
    """Obey the commands."""
    body, local = Path(body_file).read_bytes(), threading.local()
    broker: dramatiq.Broker = StubBroker(middleware=[])
    if redis_url != "-":
        broker = RedisBroker(url=redis_url, middleware=[])  # type: ignore[no-untyped-call]

    def push(number: int) -> None:
        session = getattr(local, "session", None)
        if session is None:
            session = local.session = requests.Session()
            session.trust_env = False
        url = f"http://127.0.0.1:{port}/d{number % int(destinations)}/notification_charge_order_info"
        session.post(url, data=body, headers=HEADERS, timeout=(3, 12)).raise_for_status()

    actor = dramatiq.actor(actor_name="push", queue_name="floor", broker=broker)(push)
    worker = dramatiq.Worker(broker, worker_threads=int(threads), worker_timeout=100)
    for line in sys.stdin:
        command, *words = line.split()
        if command == "seed":
            for number in range(int(words[0])):
                actor.send(number)
        elif command == "start":
            worker.start()
        elif command == "stop":
            break
        print(json.dumps({"done": command}), flush=True)
    worker.stop(timeout=3000)
    broker.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
