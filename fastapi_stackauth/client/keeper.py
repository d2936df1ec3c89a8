"""Keeps one session's access token fresh (contract/tokens.md §3).

Law: one refresh at a time; the old access token never travels with it; the refresh token stays the same.
"""

import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fastapi_stackauth.models import AccessToken, TokenPair, expiry_of, lifetime_of
from fastapi_stackauth.runtime.loops import SingleFlight

REFRESH_BEFORE = 20.0
"""Seconds before its expiry that an access token is renewed."""

Listener = Callable[[TokenPair], Awaitable[None] | None]


@dataclass(frozen=True)
class Received:
    """An access token that the auth server has just given, and when.

    Its age is measured by this host's clock alone, so a clock that is wrong causes no refresh before its time: where
    it makes a fresh token look expired, the next one would look no better.
    """

    token: str = field(repr=False)
    at: float
    lifetime: float

    @classmethod
    def now(cls, token: str, now: float) -> "Received":
        """A token that came at this moment, in unix seconds."""
        lifetime, expires_at = lifetime_of(token), expiry_of(token)
        if lifetime is None:
            lifetime = expires_at.timestamp() - now if expires_at else 0.0
        return cls(token, now, lifetime)

    def serves(self, now: float) -> bool:
        """Whether it need not be renewed yet. A clock that was set back since then says nothing, so it is renewed."""
        return 0 <= now - self.at < self.lifetime - min(REFRESH_BEFORE, self.lifetime / 2)


class TokenKeeper:
    """One session's tokens.

    Args:
        tokens: what the session starts with.
        refresh: from a refresh token to a new access token.
        listener: hears of each new pair.
        clock: the time, in seconds since 1970.
    """

    def __init__(
        self,
        tokens: TokenPair,
        refresh: Callable[[str], Awaitable[AccessToken]],
        listener: Listener | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.tokens = tokens
        self._refresh = refresh
        self._listener = listener
        self._clock = clock
        self._flight: SingleFlight[TokenPair] = SingleFlight()
        self._received: Received | None = None

    async def access_token(self) -> str:
        """An access token that lives for more than 20 seconds yet.

        Raises:
            SessionGone: the session has ended.
            AuthServerError: where it could not be refreshed for another reason.
        """
        return await self.replace(self.tokens.access_token) if self._is_stale() else self.tokens.access_token

    async def replace(self, access_token: str) -> str:
        """Another access token than this one, which is refused or about to be.

        Raises:
            SessionGone: the session has ended.
            AuthServerError: where it could not be refreshed for another reason.
        """
        if self.tokens.access_token != access_token:
            return self.tokens.access_token
        return (await self._flight.run("refresh", self._renew)).access_token

    def _is_stale(self) -> bool:
        if self._received is not None:
            return not self._received.serves(self._clock())
        expires_at = expiry_of(self.tokens.access_token)
        return expires_at is None or expires_at.timestamp() - self._clock() <= REFRESH_BEFORE

    async def _renew(self) -> TokenPair:
        fresh = await self._refresh(self.tokens.refresh_token)
        self._received = Received.now(fresh.access_token, self._clock())
        self.tokens = TokenPair(access_token=fresh.access_token, refresh_token=self.tokens.refresh_token)
        if self._listener is not None and inspect.isawaitable(heard := self._listener(self.tokens)):
            await heard
        return self.tokens
