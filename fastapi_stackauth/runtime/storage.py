"""What the workers of one app share: values that expire, and facts that each worker keeps a copy of.

One small protocol; in memory for one worker, in Redis for many. Redis is never waited for long: a worker that cannot
reach it goes on with what it knows. The `redis` extra is imported on use alone: apps of one worker need not have it.
"""

import asyncio
import hashlib
import hmac
import math
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.runtime.cache import Cache
from fastapi_stackauth.runtime.events import STORAGE_UNAVAILABLE, Events
from fastapi_stackauth.runtime.loops import PerLoop
from fastapi_stackauth.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool, Redis

ANSWER_SECONDS = 0.5
"""How long Redis may take to connect or to answer before a worker goes on without it."""
IDLE_SECONDS = 0.5
"""How long a subscription may be silent before it is asked whether it still lives."""
_CHUNK = 1_000
MAX_VALUES = 50_000
"""Values that one worker keeps in memory: callers make some of them, such as one for each email with a link."""
_SLACK_SECONDS = 60  # for clocks of workers that disagree


def seal(settings: Settings, text: str) -> str:
    """Return a MAC of the text under the secret key: it proves that this app wrote what Redis or a browser returns."""
    secret = settings.secret_server_key
    key = secret.get_secret_value().encode() if secret else b""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class StorageUnavailable(Exception):
    """The shared storage cannot be reached now."""


class Storage(Protocol):
    """What workers share. Values are texts; expiry is in seconds."""

    @property
    def shared(self) -> bool:
        """Whether anybody else sees what is put here."""
        ...

    async def get(self, key: str) -> str | None:
        """A value; None where there is none, or it cannot be read now."""
        ...

    async def set(self, key: str, value: str, seconds: float) -> None:
        """Keep a value. Where that cannot be done now, it is not kept."""
        ...

    async def add(self, key: str, seconds: float) -> bool:
        """Claim a key; False where somebody has claimed it already.

        Raises:
            StorageUnavailable: it cannot be said now.
        """
        ...

    async def remove(self, key: str) -> None:
        """Give a claim back, or forget a value."""
        ...

    async def publish(self, name: str, facts: Mapping[str, float], seconds: float) -> None:
        """Add facts, each until a unix time, to a set that others follow; none of them lasts longer than `seconds`.

        Raises:
            StorageUnavailable: it cannot be done now.
        """
        ...

    async def count(self, name: str) -> int:
        """How many facts a set has, expired ones perhaps included.

        Raises:
            StorageUnavailable: it cannot be said now.
        """
        ...

    def follow(self, name: str) -> AsyncGenerator[tuple[Mapping[str, float], bool], None]:
        """The facts of a set, and whether they are all: all there are first and after each gap, else news as they come.

        Where there is no news for a moment, that is told too, as no facts.

        Raises:
            StorageUnavailable: the connection is lost; follow anew to learn what was missed.
        """
        ...

    async def aclose(self) -> None:
        """Close what belongs to the running loop."""
        ...


class MemoryStorage:
    """For one worker: nobody else sees it. It is bounded: of too many values, the least recently used one goes first.

    Args:
        clock: unix time in seconds.
    """

    shared = False

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._values: Cache[str, str] = Cache(clock, size=MAX_VALUES)

    async def get(self, key: str) -> str | None:
        """A value; None where there is none."""
        entry = self._values.get(key)
        return entry.value if entry else None

    async def set(self, key: str, value: str, seconds: float) -> None:
        """Keep a value."""
        self._values.put(key, value, self._clock() + seconds)

    async def add(self, key: str, seconds: float) -> bool:
        """Claim a key; False where it is claimed already."""
        if await self.get(key) is not None:
            return False
        await self.set(key, "1", seconds)
        return True

    async def remove(self, key: str) -> None:
        """Forget a value."""
        self._values.pop(key)

    async def publish(self, name: str, facts: Mapping[str, float], seconds: float) -> None:
        """There is nobody to tell."""

    async def count(self, name: str) -> int:  # noqa: ARG002 - the protocol's
        """Nothing: there is nobody to share it with."""
        return 0

    async def follow(self, name: str) -> AsyncGenerator[tuple[Mapping[str, float], bool], None]:  # noqa: ARG002 - the protocol's
        """Nothing: there is nobody to hear from."""
        yield {}, True

    async def aclose(self) -> None:
        """Nothing is open."""


class RedisStorage:
    """For many workers that share a Redis server.

    Args:
        url: where it is.
        prefix: what all keys begin with, so that apps and projects do not meet.
        clock: unix time in seconds.
        events: where it is told that Redis is out of reach.

    Raises:
        ConfigurationError: the `redis` extra is not installed, or the address cannot be read.
    """

    shared = True

    def __init__(
        self, url: str, prefix: str, clock: Callable[[], float] = time.time, events: Events | None = None
    ) -> None:
        require_redis()
        _check_url(url)
        self._prefix = prefix
        self._clock = clock
        self._events = events or Events()
        self._pools: PerLoop[ConnectionPool] = PerLoop(lambda: redis_pool(url, decode_responses=True))

    async def get(self, key: str) -> str | None:
        """A value; None where there is none, or it cannot be read now."""
        try:
            value = await self._redis().get(self._prefix + key)
        except _failures() as error:
            self._unavailable("get", error)
            return None
        return None if value is None else str(value)

    async def set(self, key: str, value: str, seconds: float) -> None:
        """Keep a value. Where that cannot be done now, it is not kept."""
        try:
            await self._redis().set(self._prefix + key, value, px=max(1, int(seconds * 1000)))
        except _failures() as error:
            self._unavailable("set", error)

    async def add(self, key: str, seconds: float) -> bool:
        """Claim a key; False where somebody has claimed it already.

        Raises:
            StorageUnavailable: it cannot be said now.
        """
        name, own = self._prefix + key, secrets.token_hex(8)
        try:
            if await self._redis().set(name, own, px=max(1, int(seconds * 1000)), nx=True):
                return True
            # The client repeats a command whose reply was lost, and then meets the claim that it has just made.
            return bool(await self._redis().get(name) == own)
        except _failures() as error:
            raise StorageUnavailable from error

    async def remove(self, key: str) -> None:
        """Give a claim back, or forget a value. Where that cannot be done now, it expires by itself."""
        try:
            await self._redis().delete(self._prefix + key)
        except _failures() as error:
            self._unavailable("remove", error)

    async def publish(self, name: str, facts: Mapping[str, float], seconds: float) -> None:
        """Add facts to a set, and tell who follows it.

        Raises:
            StorageUnavailable: it cannot be done now.
        """
        key, pairs = self._prefix + name, list(facts.items())
        try:
            for start in range(0, len(pairs), _CHUNK):
                chunk = dict(pairs[start : start + _CHUNK])
                async with self._redis().pipeline(transaction=True) as pipeline:
                    pipeline.zadd(key, chunk)
                    pipeline.zremrangebyscore(key, "-inf", self._clock())
                    pipeline.expire(key, math.ceil(seconds) + _SLACK_SECONDS)
                    pipeline.publish(key, "\n".join(f"{until!r} {fact}" for fact, until in chunk.items()))
                    await pipeline.execute()
        except _failures() as error:
            raise StorageUnavailable from error

    async def follow(self, name: str) -> AsyncGenerator[tuple[Mapping[str, float], bool], None]:
        """The facts of a set: all there are whenever the subscription begins, then news as they come.

        Raises:
            StorageUnavailable: the connection is lost.
        """
        key = self._prefix + name
        pubsub = self._redis().pubsub()
        try:
            await pubsub.subscribe(key)
            async for kind, text in _messages(pubsub):
                if kind == "subscribe":  # confirmed: what is published from now on is heard, so what was before is read
                    yield await self._members(key), True  # the client subscribes anew by itself after a short cut, too
                else:
                    yield (_facts(text) if kind == "message" else {}), False
        except _failures() as error:
            raise StorageUnavailable from error
        finally:
            await _closed(pubsub)

    async def count(self, name: str) -> int:
        """How many facts a set has, expired ones perhaps included.

        Raises:
            StorageUnavailable: it cannot be said now.
        """
        try:
            return int(await self._redis().zcard(self._prefix + name))
        except _failures() as error:
            raise StorageUnavailable from error

    async def _members(self, key: str) -> dict[str, float]:
        """A whole set, read in small pieces: a large one would take longer than any answer may."""
        return {str(fact): float(until) async for fact, until in self._redis().zscan_iter(key, count=_CHUNK)}

    async def aclose(self) -> None:
        """Close the running loop's connections."""
        if pool := self._pools.pop():
            await pool.aclose()

    def _unavailable(self, operation: str, error: BaseException) -> None:
        self._events.emit(STORAGE_UNAVAILABLE, operation=operation, reason=type(error).__name__)

    def _redis(self) -> "Redis":
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra

        return Redis(connection_pool=self._pools.get())


async def _messages(pubsub: Any) -> AsyncIterator[tuple[str, str]]:  # noqa: ANN401 - redis-py types it as untyped
    """What comes over a subscription; a silent one is asked whether it lives, and given up where it does not answer."""
    asked = False
    while True:
        message = await pubsub.get_message(timeout=IDLE_SECONDS)
        if message is not None:
            asked = False
            yield str(message["type"]), str(message["data"])
        elif asked:
            raise TimeoutError
        else:
            await pubsub.ping()
            asked = True


def _facts(text: str) -> dict[str, float]:
    """What a message says. Whatever else somebody publishes there is not ours, and harms nothing."""
    facts = {}
    for until, _, fact in (line.partition(" ") for line in text.splitlines()):
        with suppress(ValueError):
            facts[fact] = float(until)
    return {fact: until for fact, until in facts.items() if math.isfinite(until)}


async def _closed(pubsub: Any) -> None:  # noqa: ANN401 - as above
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await pubsub.aclose()
    except _failures():
        return


def _failures() -> tuple[type[BaseException], ...]:
    from redis.exceptions import RedisError  # noqa: PLC0415 - an extra

    return (RedisError, OSError, TimeoutError)


def require_redis() -> None:
    """See that the `redis` extra is there.

    Raises:
        ConfigurationError: where it is not installed.
    """
    try:
        import redis.asyncio  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise ConfigurationError("redis_url is set: pip install 'fastapi-stackauth[redis]'.") from None


def _check_url(url: str) -> None:
    """See that connections can be made with an address, before one is needed.

    Raises:
        ConfigurationError: where they cannot; it says nothing of the address, which may hold a password.
    """
    try:
        pool = redis_pool(url)
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError):
        raise ConfigurationError("redis_url cannot be read: check its port, its options and its password.") from None


def redis_pool(url: str, *, decode_responses: bool = False) -> "ConnectionPool":
    """Connections to a Redis server that fail soon instead of waiting, for the running event loop."""
    from redis.asyncio import BlockingConnectionPool  # noqa: PLC0415 - an extra
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    return BlockingConnectionPool.from_url(
        url,
        decode_responses=decode_responses,
        max_connections=50,
        timeout=ANSWER_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )
