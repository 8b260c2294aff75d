"""The floor of the delivery bench: plain dramatiq and requests, no ledger. Imports nothing of the project.

    python -m tests.bench.deliveries_floor RECEIVER_PORT THREADS DESTINATIONS REDIS_URL|- BODY_FILE plain|sign

Reads commands from standard input, one JSON answer each: `seed N` queues N pushes, `start` starts the threads, `stop` ends.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import threading
import time
from pathlib import Path

import dramatiq
import requests
from Crypto.Cipher import AES
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

HEADERS = {"Content-Type": "application/json;charset=utf-8", "Authorization": "Bearer bench-token"}


KEY = b"1234567890abcdef"
ORDER = {
    "StartChargeSeq": "987654321260302030400000001",
    "ChargeDetails": [{"DetailPower": 26.0, "DetailElecMoney": 20.8}] * 12,
}


def sealed() -> bytes:
    """One signed push of about the size of an order."""
    plain = json.dumps(ORDER).encode()
    pad = 16 - len(plain) % 16
    data = base64.b64encode(AES.new(KEY, AES.MODE_CBC, KEY).encrypt(plain + bytes([pad]) * pad)).decode()
    stamp, seq = time.strftime("%Y%m%d%H%M%S"), "0001"
    sig = hmac.digest(KEY, f"MA5BENCH1{data}{stamp}{seq}".encode(), hashlib.md5).hex().upper()
    return json.dumps({"OperatorID": "MA5BENCH1", "Data": data, "TimeStamp": stamp, "Seq": seq, "Sig": sig}).encode()


def opened(raw: bytes) -> object:
    """The checked answer."""
    answer = json.loads(raw)
    text = f"{answer['Ret']}{answer['Msg']}{answer['Data']}".encode()
    if not hmac.compare_digest(hmac.digest(KEY, text, hashlib.md5).hex().upper(), answer["Sig"]):
        raise ValueError("signature")
    plain = AES.new(KEY, AES.MODE_CBC, KEY).decrypt(base64.b64decode(answer["Data"]))
    return json.loads(plain[: -plain[-1]])


def main(port: str, threads: str, destinations: str, redis_url: str, body_file: str, how: str) -> None:
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
        payload = body if how == "plain" else sealed()
        answer = session.post(url, data=payload, headers=HEADERS, timeout=(3, 12))
        answer.raise_for_status()
        if how == "sign":
            opened(answer.content)

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
