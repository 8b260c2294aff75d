"""A worker in a process of its own, to be killed: `python -m tests.worker.killable_worker DATABASE_URL SENT_FILE`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from charging_core.clock import SystemClock
from charging_core.db import Database
from tests.worker.recording_driver import SUCCESS, RecordingDriver
from worker.api import Delivery, Exchange, Registry
from worker.runtime import WorkerRuntime
from worker.settings import WorkerSettings


def worker(db: Database, sent: Path, **settings: object) -> WorkerRuntime:
    """A runtime whose destination is a file that outlives the process: one line per call received."""

    def receive(delivery: Delivery) -> Exchange:
        with sent.open("a") as file:
            file.write(f"{delivery.object_key}\n")
        return SUCCESS

    registry = Registry()
    registry.register(RecordingDriver(answers=[receive]))
    return WorkerRuntime(db, SystemClock(), registry, WorkerSettings(poll_s=0.1, **settings))  # type: ignore[arg-type]


if __name__ == "__main__":
    worker(Database(sys.argv[1], synchronous="FULL"), Path(sys.argv[2])).start()
    threading.Event().wait()
