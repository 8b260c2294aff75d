"""What the hub keeps in Redis, and that losing Redis costs nothing but speed."""

from __future__ import annotations

import threading

from hub.redis_adapters import RedisRateLimiter, RedisRoutes, RedisWaker, WakeListener, connect
from tests.support.waiting import wait_until

PILE = "32010600000001"


def test_a_command_wakes_the_shard_that_holds_the_pile(redis_url: str) -> None:
    redis = connect(redis_url)
    routes = RedisRoutes(redis, "shard-a")
    routes.announce([PILE])
    assert routes.shard_of(PILE) == "shard-a"
    woken: list[str | None] = []
    listener = WakeListener(redis, "shard-a", woken.append)
    listener.start()

    def woke() -> bool:
        RedisWaker(redis, routes).wake(PILE)
        return PILE in woken

    wait_until(woke, "the shard was woken")
    listener.stop()
    listener.join()
    redis.close()


def test_a_route_is_withdrawn_only_by_its_own_shard(redis_url: str) -> None:
    redis = connect(redis_url)
    ours, theirs = RedisRoutes(redis, "shard-a"), RedisRoutes(redis, "shard-b")
    ours.announce([PILE])
    theirs.announce([PILE])
    ours.withdraw([PILE])
    assert ours.shard_of(PILE) == "shard-b"
    theirs.withdraw([PILE])
    assert ours.shard_of(PILE) is None
    redis.close()


def test_budgets_are_shared(redis_url: str) -> None:
    redis = connect(redis_url)
    one, two = RedisRateLimiter(redis, 1000), RedisRateLimiter(redis, 1000)
    results = [one.allow("a"), two.allow("a"), RedisRateLimiter(redis, 2).allow("a"), one.allow("b")]
    # The third call sees the first two of the same minute, unless the minute has just turned.
    assert results in ([True, True, False, True], [True, True, True, True])
    redis.close()


def test_everything_fails_open_without_redis() -> None:
    redis = connect("redis://127.0.0.1:1/0")
    routes = RedisRoutes(redis, "shard-a")
    routes.announce([PILE])
    routes.withdraw([PILE])
    RedisWaker(redis, routes).wake(PILE)
    assert RedisRateLimiter(redis, 1).allow("a")
    looked = threading.Event()
    listener = WakeListener(redis, "shard-a", lambda code: looked.set() if code is None else None)
    listener.start()
    wait_until(looked.is_set, "without Redis the pile server is told to look at everything")
    listener.stop()
    listener.join()
    redis.close()
