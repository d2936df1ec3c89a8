"""The storage that an app's workers share: values that expire, and sets of entries of which each worker has a copy.

One worker stores them in memory, several workers in Redis. A worker waits only briefly for Redis and then continues
without it. The `redis` extra is imported on first use, because apps with one worker do not need it.
"""

import asyncio
import hashlib
import hmac
import math
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, Protocol

from fastapi_stackauth.errors import ConfigurationError, VerificationUnavailable
from fastapi_stackauth.runtime.cache import Cache
from fastapi_stackauth.runtime.events import STORAGE_UNAVAILABLE, AuthEvents
from fastapi_stackauth.runtime.loops import PerLoop
from fastapi_stackauth.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool, Redis

ANSWER_SECONDS = 0.5
"""The time limit for Redis to connect or respond, in seconds. After it, a worker continues without Redis."""
IDLE_SECONDS = 0.5
"""Seconds without a message after which a subscription sends a ping."""
_CHUNK = 1_000
MAX_VALUES = 50_000
"""The maximum number of values of one kind in memory. Callers can add some, such as one for each email."""
_SLACK_SECONDS = 60  # because the workers' clocks may differ


def seal(settings: Settings, text: str) -> str:
    """Return a MAC of the text with the secret key, to prove that this app wrote a value in Redis or in a cookie."""
    secret = settings.secret_server_key
    key = secret.get_secret_value().encode() if secret else b""
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class StorageUnavailable(Exception):
    """The shared storage is unavailable."""


Entries = Mapping[str, float]
"""Entries of a set and the Unix time at which each expires."""
Phase = Literal["start", "part", "whole", "news"]
"""The events of `Storage.follow`: the beginning of the set, a part of it, its end, or new entries."""


class Storage(Protocol):
    """The shared state of the workers: strings by key, which expire after `seconds`, and sets of entries.

    A key starts with the kind of its value and a colon. If the storage is unavailable, `remove` does nothing, and
    neither do `get` and `set` if `tolerant` is True. All other methods raise `StorageUnavailable`.
    """

    @property
    def is_shared(self) -> bool:
        """Whether other workers share this storage."""

    async def get(self, key: str, *, tolerant: bool = True) -> str | None:
        """Return a value, or None."""

    async def set(self, key: str, value: str, seconds: float, *, tolerant: bool = True) -> None:
        """Store a value."""

    async def add(self, key: str, seconds: float) -> bool:
        """Claim a key. Return False if it is already claimed."""

    async def remove(self, key: str) -> None:
        """Remove a value or a claim."""

    async def publish(self, name: str, entries: Entries, seconds: float) -> None:
        """Add entries to a set and notify its followers. No entry may last longer than `seconds`."""

    async def count(self, name: str) -> int:
        """Return the number of entries of a set, which may include expired ones."""

    def follow(self, name: str) -> AsyncGenerator[tuple[Entries, Phase], None]:
        """Yield the set at the start and after each gap, and new entries as they arrive.

        The set comes in parts: ``start``, any number of ``part``, and ``whole``; only parts have entries. ``news`` has
        new entries, or none if there are no new entries for a while. After `StorageUnavailable`, call it again to get
        the entries that were missed.
        """

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""


class MemoryStorage(Storage):
    """Storage for one worker. If there are too many values of a kind, the least recently used is evicted.

    So callers who add many values of one kind cannot evict values of another kind.

    Args:
        clock: Unix time in seconds.
    """

    is_shared = False

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: defaultdict[str, Cache[str, str]] = defaultdict(lambda: Cache(clock, size=MAX_VALUES))

    async def get(self, key: str, *, tolerant: bool = True) -> str | None:  # noqa: ARG002 - memory is always available
        """Return a value, or None."""
        entry = self._kind(key).get(key)
        return entry.value if entry else None

    async def set(self, key: str, value: str, seconds: float, *, tolerant: bool = True) -> None:  # noqa: ARG002 - as `get`
        """Store a value."""
        self._kind(key).put(key, value, self._clock() + seconds)

    async def add(self, key: str, seconds: float) -> bool:
        """Claim a key. Return False if it is already claimed."""
        with self._lock:  # another thread may claim the key in between
            if self._kind(key).get(key):
                return False
            self._kind(key).put(key, "1", self._clock() + seconds)
        return True

    async def remove(self, key: str) -> None:
        """Remove a value or a claim."""
        self._kind(key).pop(key)

    def _kind(self, key: str) -> Cache[str, str]:
        return self._kinds[key.partition(":")[0]]

    async def publish(self, name: str, entries: Entries, seconds: float) -> None:
        """Do nothing, because there is no other worker."""

    async def count(self, name: str) -> int:  # noqa: ARG002 - the protocol's
        """Return 0, because nothing is shared."""
        return 0

    async def follow(self, name: str) -> AsyncGenerator[tuple[Entries, Phase], None]:  # noqa: ARG002 - the protocol's
        """Yield no entries, because there is no other worker."""
        yield {}, "start"
        yield {}, "whole"

    async def aclose(self) -> None:
        """Do nothing, because there are no connections."""


class RedisStorage(Storage):
    """Storage for several workers, in a Redis server.

    Args:
        url: The URL of the Redis server.
        prefix: The prefix of all keys, so that apps and projects do not share keys.
        clock: Unix time in seconds.
        events: Counts and logs when Redis is unavailable.

    Raises:
        ConfigurationError: The `redis` extra is not installed, or the URL cannot be parsed.
    """

    is_shared = True

    def __init__(
        self, url: str, prefix: str, clock: Callable[[], float] = time.time, events: AuthEvents | None = None
    ) -> None:
        require_redis()
        try:
            pool = redis_pool(url)
            pool.connection_class(**pool.connection_kwargs)
        except (ValueError, TypeError):  # their messages may contain the password
            raise ConfigurationError(
                "redis_url cannot be read: check its port, its options and its password."
            ) from None
        self._prefix = prefix
        self._clock = clock
        self._events = events or AuthEvents()
        self._pools: PerLoop[ConnectionPool] = PerLoop(lambda: redis_pool(url, decode_responses=True))

    async def get(self, key: str, *, tolerant: bool = True) -> str | None:
        """Return a value, or None."""
        value = None
        with self._tolerate("get") if tolerant else _translate():
            value = await self._redis().get(self._prefix + key)
        return None if value is None else str(value)

    async def set(self, key: str, value: str, seconds: float, *, tolerant: bool = True) -> None:
        """Store a value."""
        with self._tolerate("set") if tolerant else _translate():
            await self._redis().set(self._prefix + key, value, px=max(1, int(seconds * 1000)))

    async def add(self, key: str, seconds: float) -> bool:
        """Claim a key. Return False if it is already claimed."""
        name, own = self._prefix + key, secrets.token_hex(8)
        with _translate():
            if await self._redis().set(name, own, px=max(1, int(seconds * 1000)), nx=True):
                return True
            # The Redis client repeats a command if the reply was lost, and may then find its own claim.
            return bool(await self._redis().get(name) == own)

    async def remove(self, key: str) -> None:
        """Remove a value or a claim."""
        with self._tolerate("remove"):
            await self._redis().delete(self._prefix + key)

    async def publish(self, name: str, entries: Entries, seconds: float) -> None:
        """Add entries to a set, and notify its followers."""
        key, pairs = self._prefix + name, list(entries.items())
        with _translate():
            for start in range(0, len(pairs), _CHUNK):
                chunk = dict(pairs[start : start + _CHUNK])
                async with self._redis().pipeline(transaction=True) as pipeline:
                    pipeline.zadd(key, chunk)
                    pipeline.zremrangebyscore(key, "-inf", self._clock())
                    pipeline.expire(key, math.ceil(seconds) + _SLACK_SECONDS)
                    pipeline.publish(key, "\n".join(f"{until!r} {entry}" for entry, until in chunk.items()))
                    await pipeline.execute()

    async def count(self, name: str) -> int:
        """Return the number of entries of a set."""
        with _translate():
            return int(await self._redis().zcard(self._prefix + name))

    async def follow(self, name: str) -> AsyncGenerator[tuple[Entries, Phase], None]:
        """Yield the whole set whenever the subscription starts, then new entries as they arrive."""
        key, redis = self._prefix + name, self._redis()
        pubsub: Any = redis.pubsub()  # redis-py has no type for this
        try:
            with _translate():
                await pubsub.subscribe(key)
                async for kind, text in _messages(pubsub):
                    if kind == "subscribe":  # also after a short interruption
                        # Everything published from now on arrives here. What was published before is read in small
                        # parts, because one large reply would take too long and stop the event loop.
                        yield {}, "start"
                        cursor = -1
                        while cursor:
                            cursor, pairs = await redis.zscan(key, cursor=max(cursor, 0), count=_CHUNK)
                            yield {str(entry): float(until) for entry, until in pairs}, "part"
                        yield {}, "whole"
                    else:
                        yield (_parse(text) if kind == "message" else {}), "news"
        finally:
            with suppress(*_failures()):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await pubsub.aclose()

    async def aclose(self) -> None:
        """Close the running loop's connections."""
        if pool := self._pools.pop():
            await pool.aclose()

    @contextmanager
    def _tolerate(self, operation: str) -> Iterator[None]:
        try:
            yield
        except _failures() as error:
            self._events.emit(STORAGE_UNAVAILABLE, operation=operation, reason=type(error).__name__)

    def _redis(self) -> "Redis":
        from redis.asyncio import Redis  # noqa: PLC0415 - an extra

        return Redis(connection_pool=self._pools.get())


async def _messages(pubsub: Any) -> AsyncIterator[tuple[str, str]]:  # noqa: ANN401 - as above
    """Yield the messages of a subscription. After a silence, send a ping, and end if there is no reply."""
    pinged = False
    while True:
        message = await pubsub.get_message(timeout=IDLE_SECONDS)
        if message is not None:
            pinged = False
            yield str(message["type"]), str(message["data"])
        elif pinged:
            raise TimeoutError
        else:
            await pubsub.ping()
            pinged = True


def _parse(text: str) -> dict[str, float]:
    """Parse the entries of a message, and ignore any other message."""
    entries = {}
    for until, _, entry in (line.partition(" ") for line in text.splitlines()):
        with suppress(ValueError):
            entries[entry] = float(until)
    return {entry: until for entry, until in entries.items() if math.isfinite(until)}


@contextmanager
def _translate() -> Iterator[None]:
    try:
        yield
    except _failures() as error:
        raise StorageUnavailable from error


@contextmanager
def needing_storage() -> Iterator[None]:
    """Return 503 if the code in this block cannot continue without the shared storage.

    Raises:
        VerificationUnavailable: The storage is unavailable. Try again later.
    """
    try:
        yield
    except StorageUnavailable:
        raise VerificationUnavailable(retry_after=1.0) from None


def _failures() -> tuple[type[BaseException], ...]:
    from redis.exceptions import RedisError  # noqa: PLC0415 - an extra

    return (RedisError, OSError, TimeoutError)


def require_redis() -> None:
    """Check that the `redis` extra is installed.

    Raises:
        ConfigurationError: The extra is not installed.
    """
    try:
        import redis.asyncio  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise ConfigurationError("redis_url is set: pip install 'fastapi-stackauth[redis]'.") from None


def redis_pool(url: str, *, decode_responses: bool = False) -> "ConnectionPool":
    """Return connections to a Redis server for the running event loop. They fail quickly instead of waiting."""
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
