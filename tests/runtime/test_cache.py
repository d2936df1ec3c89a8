"""The one cache: bounded, an expiry for each entry, one fetch for all callers, nothing kept that `forget` overtook."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fastapi_stackauth.runtime.cache import Cache, Entry
from tests.support.world import Clock


def counting(values: dict[str, int], until: float = 10.0) -> Callable[[str], Callable[[], Awaitable[Entry[str]]]]:
    """A loader that counts its calls by key."""

    def loader(key: str) -> Callable[[], Awaitable[Entry[str]]]:
        async def load() -> Entry[str]:
            values[key] = values.get(key, 0) + 1
            await asyncio.sleep(0)
            return Entry(f"{key}-{values[key]}", until)

        return load

    return loader


def test_an_entry_is_served_until_it_expires():
    clock = Clock(0.0)
    cache: Cache[str, int] = Cache(clock, size=2)
    cache.put("a", 1, until=5.0)
    clock.now = 4.9
    assert cache.get("a") == Entry(1, 5.0)
    clock.now = 5.0
    assert cache.get("a") is None


def test_the_least_recently_used_entry_goes_first():
    cache: Cache[str, int] = Cache(Clock(0.0), size=2)
    for key in "ab":
        cache.put(key, 1, until=5.0)
    cache.get("a")
    cache.put("c", 1, until=5.0)
    assert [key for key in "abc" if cache.get(key)] == ["a", "c"]
    assert len(cache) == 2


def test_a_cache_of_size_0_keeps_nothing():
    cache: Cache[str, int] = Cache(Clock(0.0), size=0)
    cache.put("a", 1, until=5.0)
    assert (cache.get("a"), len(cache)) == (None, 0)


async def test_callers_that_miss_share_one_fetch():
    calls: dict[str, int] = {}
    cache: Cache[str, str] = Cache(Clock(0.0), size=2)
    load = counting(calls)("a")
    assert await asyncio.gather(*(cache.fetch("a", load) for _ in range(5))) == ["a-1"] * 5
    assert calls == {"a": 1}
    assert cache.get("a") == Entry("a-1", 10.0)


async def test_a_failed_fetch_is_not_kept():
    cache: Cache[str, str] = Cache(Clock(0.0), size=2)

    async def fail() -> Entry[str]:
        raise LookupError

    with pytest.raises(LookupError):
        await cache.fetch("a", fail)
    assert len(cache) == 0


async def test_a_value_fetched_before_forget_is_returned_but_not_kept():
    cache: Cache[str, str] = Cache(Clock(0.0), size=2)
    started, go = asyncio.Event(), asyncio.Event()

    async def load() -> Entry[str]:
        started.set()
        await go.wait()
        return Entry("old", 10.0)

    fetch = asyncio.create_task(cache.fetch("a", load))
    await started.wait()
    cache.forget(lambda key, _: key == "a")
    go.set()
    assert await fetch == "old"
    assert cache.get("a") is None


def test_forget_drops_what_the_predicate_selects():
    cache: Cache[str, int] = Cache(Clock(0.0), size=3)
    for number, key in enumerate("abc"):
        cache.put(key, number, until=5.0)
    cache.forget(lambda key, value: key == "a" or value == 2)
    assert [key for key in "abc" if cache.get(key)] == ["b"]


async def test_concurrency_limits_fetches_but_lets_callers_join():
    cache: Cache[str, str] = Cache(Clock(0.0), size=3, concurrency=1)
    assert cache.has_room("a")
    go = asyncio.Event()

    async def load() -> Entry[str]:
        await go.wait()
        return Entry("value", 10.0)

    fetch = asyncio.create_task(cache.fetch("a", load))
    await asyncio.sleep(0)
    assert cache.has_room("a")
    assert not cache.has_room("b")
    go.set()
    await fetch
    assert cache.has_room("b")


async def test_one_waiter_that_is_canceled_harms_no_other():
    cache: Cache[str, str] = Cache(Clock(0.0), size=3)
    calls: dict[str, int] = {}
    load = counting(calls)("a")
    first, second = (asyncio.create_task(cache.fetch("a", load)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "a-1"
    assert calls == {"a": 1}


async def test_aclose_cancels_what_is_being_fetched():
    cache: Cache[str, str] = Cache(Clock(0.0), size=3)

    async def load() -> Entry[str]:
        await asyncio.Event().wait()
        raise AssertionError

    fetch = asyncio.create_task(cache.fetch("a", load))
    await asyncio.sleep(0)
    await cache.aclose()
    with pytest.raises(asyncio.CancelledError):
        await fetch
