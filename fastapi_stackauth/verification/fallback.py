"""While the keys cannot be fetched, ask the auth server for the user of a token: `GET /users/me` (design decision 6).

The call replaces only the signature check. Concurrent requests with the same token share a call, and its result is
cached. The number of concurrent calls is limited, and requests beyond the limit get 503, so an outage cannot cause a
flood of calls.
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
        fetch_user_id: Returns the id of an access token's user.
        concurrency: The maximum number of concurrent calls.
        ttl: Seconds for which a result is cached.
        clock: A monotonic clock, in seconds.
        events: Counts and logs the calls.
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
        """Check that the auth server accepts the token for this subject.

        Args:
            token: The raw token.
            digest: Its SHA-256, the key of the cache.
            subject: The `sub` claim.
            retry_after: Seconds after which the caller may try again if the auth server is unavailable.

        Raises:
            AuthError: The auth server rejects the token, or it belongs to another user.
            AuthServerMisconfigured: The auth server rejects this app.
            VerificationUnavailable: The auth server is unavailable.
        """
        known = self._outcomes.get(digest)
        outcome = known.value if known else await self._ask(token, digest, retry_after)
        if isinstance(outcome, AuthError):
            raise AuthError(outcome.code, reason=outcome.reason)
        if outcome != subject:
            raise AuthError("token_signature_invalid", reason="the auth server returned another user")

    async def aclose(self) -> None:
        """Cancel the calls that are running in this event loop."""
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
