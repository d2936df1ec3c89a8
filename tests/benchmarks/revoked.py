"""A million revoked sessions: the cost of a check, memory, and how long the event loop waits while workers catch up."""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi_stackauth import AuthEvents
from fastapi_stackauth.models import User
from fastapi_stackauth.runtime.storage import RedisStorage
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.revocation import NAME, Revocations
from tests.support.redis_server import RedisServer

ENTRIES = 1_000_000
PREFIX = "benchmark:"
_CHECKS = 100_000
_NAP = 0.001  # seconds between two looks at the clock


async def measure(entries: int = ENTRIES) -> dict[str, Any]:
    """Measure with a Redis server of this run's own, which loses everything when it starts again."""
    with TemporaryDirectory() as folder:
        redis = RedisServer(Path(folder))
        await redis.start()
        one, two = _worker(redis.url), _worker(redis.url)
        few = await _time_checks(one)
        waits: dict[str, float] = {}
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        await one.revoke_sessions(f"{number:032x}" for number in range(entries))
        gc.collect()
        memory = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        many = await _time_checks(one)
        async with _longest_wait(waits, "publishing"):
            await _until(lambda: one.unpublished_count == 0)
        async with _longest_wait(waits, "reading"):
            await two.follow()
            await _until(lambda: len(two) == entries)
        redis.kill()
        await redis.start()
        async with _longest_wait(waits, "restoring"):
            await _until_stored(redis.url, entries)
        for worker in (one, two):
            await worker.aclose()
        redis.kill()
    return {"entries": entries, "check_ratio": many / few, "megabytes": memory / 1e6, "waits_ms": waits}


def _worker(url: str) -> Revocations:
    settings = Settings.load({"project_id": "p", "redis_url": url, "revocation_ttl": 86_400})
    return Revocations(settings, RedisStorage(url, PREFIX), events=AuthEvents())


async def _time_checks(revocations: Revocations) -> float:
    user = User(id="u", session_id="s")
    started = time.perf_counter()
    for _ in range(_CHECKS):
        revocations.check_here(user)
    return time.perf_counter() - started


@asynccontextmanager
async def _longest_wait(waits: dict[str, float], name: str) -> AsyncIterator[None]:
    """Measure the longest time, in milliseconds, for which a task that wanted to run could not."""
    waits[name] = 0.0

    async def look() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_NAP)
            waits[name] = max(waits[name], (time.perf_counter() - before - _NAP) * 1000)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()


async def _until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.05)


async def _until_stored(url: str, entries: int) -> None:
    storage = RedisStorage(url, PREFIX)
    while await storage.count(NAME) < entries:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.2)
    await storage.aclose()
