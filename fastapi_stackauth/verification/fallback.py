"""If the keys cannot be fetched, `GET /users/me` identifies the user of a token (design decision 6).

The call replaces the signature check only. There is one call per token at a time, its outcome is cached, and the number
of concurrent calls is limited: further requests get 503, so an outage cannot cause a flood of calls.
"""

import time
from collections.abc import Awaitable, Callable

from fastapi_stackauth.errors import (
    AuthError,
    AuthServerError,
    AuthServerMisconfigured,
    AuthServerUnavailable,
    VerificationUnavailable,
)
from fastapi_stackauth.runtime.cache import Cache, Entry
from fastapi_stackauth.runtime.events import FALLBACK_CALLED, AuthEvents
from fastapi_stackauth.verification.rejections import require_rejection

_SIZE = 1_000


class Fallback:
    """Asks the auth server for the user of a token.

    Args:
        fetch_user_id: returns the id of the user of an access token.
        concurrency: how many calls may be under way at once.
        ttl: seconds for which an outcome is cached.
        clock: a monotonic clock, in seconds.
        events: count and log the calls.
    """

    def __init__(
        self,
        fetch_user_id: Callable[[str], Awaitable[str]],
        *,
        concurrency: int,
        ttl: float,
        clock: Callable[[], float] = time.monotonic,
        events: AuthEvents | None = None,
    ) -> None:
        self._fetch_user_id = fetch_user_id
        self._ttl = ttl
        self._clock = clock
        self._events = events or AuthEvents()
        self._outcomes: Cache[bytes, str | AuthError] = Cache(clock, size=_SIZE, concurrency=concurrency)

    async def confirm(self, token: str, digest: bytes, subject: str, retry_after: float) -> None:
        """Return if the auth server accepts the token for this subject.

        Args:
            token: the raw token.
            digest: its SHA-256, the key of the cache.
            subject: the `sub` claim.
            retry_after: seconds after which the caller may try again if the auth server is unavailable.

        Raises:
            AuthError: the auth server rejects the token, or it belongs to another user.
            AuthServerMisconfigured: the auth server rejects this app.
            VerificationUnavailable: the auth server is unavailable.
        """
        known = self._outcomes.get(digest)
        outcome = known.value if known else await self._ask(token, digest, retry_after)
        if isinstance(outcome, AuthError):
            raise AuthError(outcome.code, reason=outcome.reason)
        if outcome != subject:
            raise AuthError("token_signature_invalid", reason="the auth server names another user")

    async def aclose(self) -> None:
        """Cancel the calls under way in the running loop."""
        await self._outcomes.aclose()

    async def _ask(self, token: str, digest: bytes, retry_after: float) -> str | AuthError:
        if not self._outcomes.has_room(digest):
            self._events.emit(FALLBACK_CALLED, outcome="full")
            raise VerificationUnavailable(retry_after=retry_after)
        try:
            return await self._outcomes.fetch(digest, lambda: self._load(token))
        except AuthServerUnavailable as error:
            raise VerificationUnavailable(retry_after=max(retry_after, error.retry_after)) from None

    async def _load(self, token: str) -> Entry[str | AuthError]:
        begun, label = self._clock(), "unavailable"
        outcome: str | AuthError
        try:
            try:
                outcome = await self._fetch_user_id(token)
                label = "accepted"
            except AuthServerError as error:
                outcome = require_rejection(error, self._events, "token")
                label = "rejected"
        except AuthServerMisconfigured:
            label = "misconfigured"
            raise
        finally:
            self._events.emit(FALLBACK_CALLED, outcome=label, duration=self._clock() - begun)
        return Entry(outcome, self._clock() + self._ttl)
