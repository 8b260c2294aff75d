"""Tokens we issue, the token we hold, and the stamps on our messages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from charging_core.clock import ManualClock
from partners.tcec102.options import TimeFormat
from partners.tcec102.timestamps import MAX_SEQ, SeqCounter, parse_timestamp, render_timestamp
from partners.tcec102.tokens import (
    MAX_TOKENS_PER_LINK,
    DurableTokenStore,
    Grant,
    MemoryTokenStore,
    TokenCache,
    token_digest,
    usable_ttl,
)


class Seconds:
    def __init__(self) -> None:
        self.value = 1_000_000.0

    def __call__(self) -> float:
        return self.value


class Records:
    """A durable home kept in a dictionary, counting how often it is asked."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], float] = {}
        self.asked = 0

    def save(self, link_id: str, digest: str, expires_at: float) -> None:
        self.rows[link_id, digest] = expires_at

    def find(self, link_id: str, digest: str) -> float | None:
        self.asked += 1
        return self.rows.get((link_id, digest))


# -------------------------------------------------------------------------------------------------------------- issued


def test_several_tokens_of_a_link_are_valid_until_their_own_end() -> None:
    now = Seconds()
    store = MemoryTokenStore(now)
    early = store.issue("a", 60).token
    now.value += 30
    late = store.issue("a", 60).token
    assert early != late
    assert store.check("a", early)
    assert store.cached("a", late)
    assert not store.check("b", early)
    now.value += 30
    assert (store.check("a", early), store.check("a", late)) == (False, True)


def test_a_link_that_asks_before_every_call_loses_its_oldest_token_only() -> None:
    store = MemoryTokenStore()
    issued = [store.issue("a", 60).token for _ in range(MAX_TOKENS_PER_LINK + 1)]
    assert not store.check("a", issued[0])
    assert all(store.check("a", token) for token in issued[1:])


def test_revoking_a_link_ends_its_tokens() -> None:
    store = MemoryTokenStore()
    token = store.issue("a", 60).token
    store.revoke("a")
    assert not store.check("a", token)


def test_a_token_issued_by_one_process_is_good_in_another_and_survives_a_restart() -> None:
    records = Records()
    token = DurableTokenStore(records).issue("a", 60).token
    other = DurableTokenStore(records)
    assert not other.cached("a", token)
    assert other.check("a", token)
    assert other.cached("a", token)
    assert other.check("a", token)
    assert records.asked == 1


def test_the_durable_home_holds_digests_and_expiry_counts() -> None:
    records, now = Records(), Seconds()
    store = DurableTokenStore(records, now)
    token = store.issue("a", 60).token
    assert list(records.rows) == [("a", token_digest(token))]
    assert token not in repr(records.rows)
    now.value += 60
    assert not store.check("a", token)
    assert not DurableTokenStore(records, now).check("a", token)
    assert not store.check("a", "never issued")


def test_revoking_follows_the_durable_home() -> None:
    records = Records()
    store = DurableTokenStore(records)
    token = store.issue("a", 60).token
    records.rows.clear()
    store.revoke("a")
    assert not store.check("a", token)


# ---------------------------------------------------------------------------------------------------------------- held


@pytest.mark.parametrize(
    ("sent", "used"),
    [
        (7200, 7200),
        (7200.0, 7200),
        ("7200", 7200),
        (604_800, 604_800),
        (604_801, 7200),
        (1_730_000_000_000, 7200),
        (0, 300),
        (-1, 300),
        (None, 300),
        ("soon", 300),
        ("NaN", 300),
    ],
)
def test_the_life_of_a_partners_token_is_clamped(sent: Any, used: float) -> None:
    assert usable_ttl(sent) == used


def granting(life_s: float) -> tuple[Callable[[], Grant], list[str]]:
    given: list[str] = []

    def fetch() -> Grant:
        given.append(f"token-{len(given)}")
        return Grant(given[-1], life_s)

    return fetch, given


def test_a_token_is_renewed_before_it_ends() -> None:
    now = Seconds()
    cache = TokenCache(margin_s=300, now=now)
    fetch, given = granting(7200)
    assert {cache.obtain(fetch) for _ in range(3)} == {"token-0"}
    now.value += 6899
    assert cache.obtain(fetch) == "token-0"
    now.value += 2
    assert cache.obtain(fetch) == "token-1"
    assert len(given) == 2


def test_a_token_shorter_than_the_margin_is_still_used_for_half_its_life() -> None:
    now = Seconds()
    cache = TokenCache(margin_s=300, now=now)
    fetch, _ = granting(100)
    assert cache.obtain(fetch) == "token-0"
    now.value += 49
    assert cache.obtain(fetch) == "token-0"
    now.value += 2
    assert cache.obtain(fetch) == "token-1"


def test_dropping_an_old_token_keeps_the_renewed_one() -> None:
    cache = TokenCache()
    fetch, given = granting(7200)
    first = cache.obtain(fetch)
    cache.drop(first)
    assert cache.obtain(fetch) == "token-1"
    cache.drop(first)
    assert cache.obtain(fetch) == "token-1"
    assert len(given) == 2


def test_many_threads_renew_once() -> None:
    cache = TokenCache()
    started, release = threading.Event(), threading.Event()
    calls: list[int] = []

    def fetch() -> Grant:
        calls.append(1)
        started.set()
        assert release.wait(10)
        return Grant("shared", 7200)

    with ThreadPoolExecutor(8) as pool:
        leader = pool.submit(cache.obtain, fetch)
        assert started.wait(10)
        others = [pool.submit(cache.obtain, fetch) for _ in range(7)]
        release.set()
        assert {future.result(10) for future in [leader, *others]} == {"shared"}
    assert len(calls) == 1


def test_a_failed_renewal_is_told_and_not_kept() -> None:
    cache = TokenCache()

    def broken() -> Grant:
        raise ConnectionError("away")

    with pytest.raises(ConnectionError):
        cache.obtain(broken)
    fetch, _ = granting(7200)
    assert cache.obtain(fetch) == "token-0"


# -------------------------------------------------------------------------------------------------------------- stamps


def test_stamps_are_china_time_and_seq_restarts_every_second() -> None:
    clock = ManualClock(datetime(2024, 12, 31, 16, 0, 0, tzinfo=UTC))
    counter = SeqCounter(clock)
    assert [counter.next() for _ in range(2)] == [("20250101000000", "0001"), ("20250101000000", "0002")]
    clock.advance(timedelta(seconds=1))
    assert counter.next() == ("20250101000001", "0001")


def test_no_stamp_is_given_twice_to_threads() -> None:
    counter = SeqCounter(ManualClock(datetime(2024, 1, 1, tzinfo=UTC)))
    with ThreadPoolExecutor(8) as pool:
        stamps = list(pool.map(lambda _: counter.next(), range(2000)))
    assert len(set(stamps)) == 2000


def test_seq_starts_again_after_its_last_number() -> None:
    counter = SeqCounter(ManualClock(datetime(2024, 1, 1, tzinfo=UTC)))
    numbers = [counter.next()[1] for _ in range(MAX_SEQ + 1)]
    assert numbers[-2:] == ["9999", "0001"]


@pytest.mark.parametrize("form", list(TimeFormat))
def test_every_form_reads_back(form: TimeFormat) -> None:
    instant = datetime(2024, 10, 27, 0, 5, 0, tzinfo=UTC)
    assert parse_timestamp(render_timestamp(instant, form), tuple(TimeFormat)) == instant
