"""How often a client may try to sign in: attempts are counted per client address and per account.

With `redis_url` all workers count together, by the `limits` library. Without it, and while Redis is out of reach, each
worker counts for itself.
"""

import hashlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError

from fastapi_stackauth.client.forwarding import counted_address
from fastapi_stackauth.errors import ConfigurationError, RateLimitExceeded
from fastapi_stackauth.runtime.attempts import AttemptCounters
from fastapi_stackauth.runtime.events import RATE_LIMITED, RATE_LIMITS_LOCAL, Events
from fastapi_stackauth.runtime.loops import PerLoop
from fastapi_stackauth.runtime.storage import redis_pool, require_redis
from fastapi_stackauth.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

MOST_AMOUNT = 10_000
"""A higher limit protects nothing, and each of its attempts takes memory."""
_PREFIX = "stackauth:attempts"


class AttemptLimiter:
    """Counts attempts and refuses when they are too many.

    Args:
        settings: the limits, such as ``10/minute``, and `redis_url`.
        events: where refusals are counted and told.

    Raises:
        ConfigurationError: where a limit cannot be read, or `redis_url` is set and the `redis` extra is not installed.
    """

    def __init__(self, settings: Settings, events: Events | None = None) -> None:
        self._events = events or Events()
        self._address = _limit(settings.rate_limit_address, "rate_limit_address")
        self._account = _limit(settings.rate_limit_account, "rate_limit_account")
        url = settings.redis_url and settings.redis_url.get_secret_value()
        if url:
            require_redis()
        limits = {by: limit for by, limit in (("address", self._address), ("account", self._account)) if limit}
        self._counters: PerLoop[_Counters] = PerLoop(
            lambda: _Counters(limits, redis_pool(url) if url else None, self._events)
        )

    async def count(self, action: str, *, address: str | None, account: str | None = None) -> None:
        """Count one attempt.

        Args:
            action: what is attempted; each action has counters of its own.
            address: the client's address; where it cannot be told, nothing is counted for it, so that those without
                an address do not use up each other's attempts.
            account: the e-mail address or code that the attempt is about; counted by its hash.

        Raises:
            RateLimitExceeded: 429, with the seconds to wait.
        """
        if self._address and address:
            await self._hit(self._address, action, "address", counted_address(address))
        if self._account and account:
            digest = hashlib.sha256(account.strip().lower().encode("utf-8", "replace")).hexdigest()
            await self._hit(self._account, action, "account", digest)

    async def _hit(self, limit: RateLimitItem, action: str, by: str, who: str) -> None:
        try:
            await self._counters.get().hit(limit, action, by, who)
        except RateLimitExceeded as refusal:
            self._events.emit(RATE_LIMITED, action=action, by=by, retry_after=refusal.retry_after)
            raise

    async def aclose(self) -> None:
        """Forget this worker's counts of the running loop, and close what they hold."""
        if counters := self._counters.pop():
            await counters.aclose()


class _Counters:
    """One event loop's counts: its own, and those that all workers share."""

    def __init__(self, limits: Mapping[str, RateLimitItem], pool: "ConnectionPool | None", events: Events) -> None:
        self._pool = pool
        self._events = events
        # Of their own, so that a flood of addresses evicts no account, and a flood of accounts no address.
        self._own = {by: AttemptCounters(limit.amount, limit.get_expiry()) for by, limit in limits.items()}

    async def hit(self, limit: RateLimitItem, action: str, by: str, who: str) -> None:
        """Count one attempt, together with the other workers if that is possible.

        Raises:
            RateLimitExceeded: there were too many.
        """
        if self._pool is not None:
            try:
                await _hit_shared(_shared(self._pool), limit, action, by, who)
            except StorageError as error:
                self._events.emit(RATE_LIMITS_LOCAL, reason=type(error.storage_error).__name__)
            else:
                return
        if wait := self._own[by].hit(f"{action} {who}"):
            raise RateLimitExceeded(max(1.0, wait))

    async def aclose(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()


async def _hit_shared(storage: RedisStorage, limit: RateLimitItem, *identifiers: str) -> None:
    strategy = MovingWindowRateLimiter(storage)
    if await strategy.hit(limit, *identifiers):
        return
    window = await strategy.get_window_stats(limit, *identifiers)
    raise RateLimitExceeded(max(1.0, window.reset_time - time.time()))


def _shared(pool: "ConnectionPool") -> RedisStorage:
    options: dict[str, Any] = {"connection_pool": pool}  # which the library documents, and types too narrowly
    return RedisStorage("redis://", wrap_exceptions=True, implementation="redispy", key_prefix=_PREFIX, **options)


def _limit(text: str | None, setting: str) -> RateLimitItem | None:
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
