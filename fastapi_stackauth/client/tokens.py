"""The access token of a session and its refresh, one at a time (contract/tokens.md §3).

Law: a refresh never sends the old access token. The refresh token stays the same.
"""

import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fastapi_stackauth.models import AccessToken, TokenPair
from fastapi_stackauth.runtime.loops import SingleFlight

REFRESH_BEFORE = 20.0
"""How many seconds before its expiry an access token is refreshed."""

Listener = Callable[[TokenPair], Awaitable[None] | None]


@dataclass(frozen=True)
class IssuedToken:
    """An access token that the auth server has just issued, with the time it arrived and its lifetime in seconds.

    Only the clock of this host measures the token's age. So if a wrong clock makes a fresh token look expired, there is
    no refresh: the next token would look the same.
    """

    token: str = field(repr=False)
    at: float
    lifetime: float

    @classmethod
    def from_token(cls, token: AccessToken, now: float) -> "IssuedToken":
        """Return a token that arrived at a moment, in Unix seconds."""
        lifetime: float | None = token.lifetime
        if lifetime is None:
            lifetime = token.expires_at.timestamp() - now if token.expires_at else 0.0
        return cls(token.access_token, now, lifetime)

    def is_fresh(self, now: float) -> bool:
        """Whether the token needs no refresh yet. It needs one if the clock was set back since the token arrived."""
        return 0 <= now - self.at < self.lifetime - min(REFRESH_BEFORE, self.lifetime / 2)


class TokenSource:
    """The tokens of one session.

    Args:
        tokens: The initial tokens of the session.
        refresh: Returns a new access token for a refresh token.
        listener: Called with each new pair of tokens.
        clock: Returns the Unix time in seconds.
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
        self._issued: IssuedToken | None = None

    async def access_token(self) -> str:
        """Return an access token that is valid for more than 20 seconds.

        Raises:
            SessionEnded: The session has ended.
            AuthServerError: The refresh failed for another reason.
        """
        token, now = self.tokens.access_token, self._clock()
        if self._issued is not None:
            fresh = self._issued.is_fresh(now)
        else:
            expires_at = self.tokens.expires_at
            fresh = expires_at is not None and expires_at.timestamp() - now > REFRESH_BEFORE
        return token if fresh else await self.replace(token)

    async def replace(self, access_token: str) -> str:
        """Replace an access token that the auth server rejected or that is about to expire, and return the new one.

        Raises:
            SessionEnded: The session has ended.
            AuthServerError: The refresh failed for another reason.
        """
        if self.tokens.access_token != access_token:
            return self.tokens.access_token
        return (await self._flight.run("refresh", self._fetch)).access_token

    async def _fetch(self) -> TokenPair:
        token = await self._refresh(self.tokens.refresh_token)
        self._issued = IssuedToken.from_token(token, self._clock())
        self.tokens = TokenPair(access_token=token.access_token, refresh_token=self.tokens.refresh_token)
        if self._listener is not None and inspect.isawaitable(result := self._listener(self.tokens)):
            await result
        return self.tokens
