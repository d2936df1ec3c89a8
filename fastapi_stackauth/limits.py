"""How often somebody may try to sign in: counted per client address and per account, by the `limits` library.

Each worker counts for itself, in memory.
"""

import asyncio
import hashlib
import time

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from fastapi_stackauth.errors import ConfigurationError, RateLimitExceeded
from fastapi_stackauth.loops import PerLoop
from fastapi_stackauth.settings import Settings


class AttemptLimiter:
    """Counts attempts and refuses when they are too many.

    Args:
        settings: the limits, such as ``10/minute``.

    Raises:
        ConfigurationError: where a limit cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._address = _limit(settings.rate_limit_address, "rate_limit_address")
        self._account = _limit(settings.rate_limit_account, "rate_limit_account")
        self._counters: PerLoop[MemoryStorage] = PerLoop(MemoryStorage)

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
            await self._hit(self._address, action, "address", address)
        if self._account and account:
            digest = hashlib.sha256(account.strip().lower().encode("utf-8", "replace")).hexdigest()
            await self._hit(self._account, action, "account", digest)

    async def aclose(self) -> None:
        """Forget the counts of the running loop, and end the task that sweeps them."""
        counters = self._counters.pop()
        if counters is not None and counters.timer is not None:
            counters.timer.cancel()
            await asyncio.gather(counters.timer, return_exceptions=True)

    async def _hit(self, limit: RateLimitItem, *identifiers: str) -> None:
        strategy = MovingWindowRateLimiter(self._counters.get())
        if await strategy.hit(limit, *identifiers):
            return
        window = await strategy.get_window_stats(limit, *identifiers)
        raise RateLimitExceeded(max(1.0, window.reset_time - time.time()))


def _limit(text: str | None, setting: str) -> RateLimitItem | None:
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError:
        raise ConfigurationError(f'{setting} must be such as "10/minute".') from None
