"""Rate limits for sign-in attempts, counted per client address and per account.

With `redis_url`, all workers count together, using the `limits` library. Without it, or while Redis is unavailable,
each worker counts separately, with exact sliding windows, constant work for each attempt and bounded memory.

Law: counters that an attacker can add are evicted before the one under attack. Counters are grouped in levels by their
number of attempts. If memory is full, the oldest counter of the lowest level is evicted first, and a full counter last.
"""

import hashlib
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError

from fastapi_stackauth.client.forwarding import counted_address
from fastapi_stackauth.errors import ConfigurationError, RateLimitExceeded
from fastapi_stackauth.runtime.events import RATE_LIMITED, RATE_LIMITS_LOCAL, AuthEvents
from fastapi_stackauth.runtime.loops import PerLoop
from fastapi_stackauth.runtime.storage import redis_pool, require_redis
from fastapi_stackauth.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

MOST_AMOUNT = 10_000
"""A higher limit would protect nothing, and each attempt takes memory."""
TOTAL_LIMIT = "300/minute"
"""The limit for all callers together, for actions where attackers guess short codes from many addresses."""
MOST_COUNTERS = 100_000
MOST_ATTEMPTS = 1_000_000
"""The maximum number of attempts in all counters together, which takes about 32 MB."""
_FEWEST_COUNTERS = 100


class AttemptLimiter:
    """Counts attempts and rejects them if there are too many.

    Args:
        settings: The limits, such as ``10/minute``, and `redis_url`.
        events: Counts and logs rejected attempts.

    Raises:
        ConfigurationError: A limit cannot be parsed, or `redis_url` is set but the `redis` extra is not installed.
    """

    def __init__(self, settings: Settings, events: AuthEvents | None = None) -> None:
        self._events = events or AuthEvents()
        parsed = {by: _parse_limit(settings, f"rate_limit_{by}") for by in ("address", "account")}
        self._limits = {by: limit for by, limit in parsed.items() if limit}
        if self._limits:
            self._limits["total"] = parse(TOTAL_LIMIT)
        # Addresses and accounts are separate, so that a flood of one cannot evict counters of the other.
        self._own = {by: AttemptCounters(limit.amount, limit.get_expiry()) for by, limit in self._limits.items()}
        self._pools: PerLoop[ConnectionPool] | None = None
        if settings.redis_url and (url := settings.redis_url.get_secret_value()):
            require_redis()
            self._pools = PerLoop(lambda: redis_pool(url))

    async def count(
        self, action: str, *, address: str | None, account: str | None = None, in_total: bool = False
    ) -> None:
        """Count one attempt.

        Args:
            action: The name of the action. Each action has its own counters.
            address: The client's address. If it is unknown, no address is counted, so that such clients do not use up
                each other's attempts.
            account: The email address or code of the attempt. Only its hash is stored.
            in_total: Whether there is also a limit for the attempts of all callers together.

        Raises:
            RateLimitExceeded: 429, with the seconds to wait.
        """
        seen = {"address": counted_address(address)} if address else {}
        if account:
            seen["account"] = hashlib.sha256(account.strip().lower().encode("utf-8", "replace")).hexdigest()
        if in_total:
            seen["total"] = "all"
        for by, limit in self._limits.items():
            if by not in seen:
                continue
            wait = (
                None if self._pools is None else await self._hit_shared(self._pools.get(), limit, action, by, seen[by])
            )
            if wait is None:
                wait = self._own[by].hit(f"{action} {seen[by]}")
            if wait:
                error = RateLimitExceeded(max(1.0, wait))
                self._events.emit(RATE_LIMITED, action=action, by=by, retry_after=error.retry_after)
                raise error

    async def _hit_shared(self, pool: "ConnectionPool", limit: RateLimitItem, *key: str) -> float | None:
        """Count one attempt against the limit that all workers share through Redis.

        Return the seconds to wait, or None if Redis is unavailable.
        """
        options: dict[str, Any] = {"connection_pool": pool}  # `limits` documents this but its types are too narrow
        storage = RedisStorage(
            "redis://", wrap_exceptions=True, implementation="redispy", key_prefix="stackauth:attempts", **options
        )
        strategy = MovingWindowRateLimiter(storage)
        try:
            if await strategy.hit(limit, *key):
                return 0.0
            window = await strategy.get_window_stats(limit, *key)
        except StorageError as error:
            self._events.emit(RATE_LIMITS_LOCAL, reason=type(error.storage_error).__name__)
            return None
        return max(1.0, window.reset_time - time.time())

    async def aclose(self) -> None:
        """Close the running loop's connections."""
        if self._pools and (pool := self._pools.pop()):
            await pool.aclose()


class AttemptCounters:
    """Counters of attempts in this worker, by key, all with the same limit. They are thread-safe.

    Args:
        amount: The number of attempts allowed within a window.
        window: The length of the window in seconds.
        most: The maximum number of counters. By default, as many as the memory limit of this module allows.
        clock: A monotonic clock in seconds.
    """

    def __init__(
        self, amount: int, window: float, most: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._amount = amount
        self._window = window
        self.most = most or max(_FEWEST_COUNTERS, min(MOST_COUNTERS, MOST_ATTEMPTS // amount))
        self._clock = clock
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}
        self._levels: list[OrderedDict[str, None]] = [OrderedDict() for _ in range(amount.bit_length() + 1)]
        # The level of a counter by its number of attempts. Only full counters are in the last level.
        self._level = [self._levels[held.bit_length() - 1] for held in range(amount)] + [self._levels[-1]]

    def __len__(self) -> int:
        return len(self._times)

    def hit(self, key: str) -> float:
        """Count one attempt, if it is allowed.

        Returns:
            The seconds until the next attempt is allowed, or zero if this one was counted.
        """
        now = self._clock()
        over = now - self._window
        with self._lock:
            self._drop(over, key)
            times = self._times.get(key)
            if times is None:
                times = self._times[key] = deque(maxlen=self._amount)
            elif len(times) == self._amount and times[0] > over:
                self._levels[-1].move_to_end(key)
                return times[0] - over
            else:
                del self._level[len(times)][key]
            for _ in range(2):  # each attempt adds one and removes at most two, so that the work is constant
                if times and times[0] <= over:
                    times.popleft()
            times.append(now)
            self._level[len(times)][key] = None
            return 0.0

    def _drop(self, over: float, key: str) -> None:
        """Drop the least recent counter of each level if its window is over. Make room if the key is new."""
        for level in self._levels:
            if level and self._times[oldest := next(iter(level))][-1] <= over:
                del level[oldest], self._times[oldest]
        if len(self._times) >= self.most and key not in self._times:
            oldest, _ = next(level for level in self._levels if level).popitem(last=False)
            del self._times[oldest]


def _parse_limit(settings: Settings, setting: str) -> RateLimitItem | None:
    text: str | None = getattr(settings, setting)
    if text is None:
        return None
    try:
        limit = parse(text)
    except ValueError:
        raise ConfigurationError(f'{setting} must be such as "10/minute".') from None
    if not 0 < limit.amount <= MOST_AMOUNT:
        raise ConfigurationError(
            f'{setting} must allow 1 to {MOST_AMOUNT} attempts in its time, such as "10/minute"; got "{text}". '
            "Set it to None for no limit."
        )
    return limit
