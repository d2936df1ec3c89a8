"""When keys are out of reach, the auth server is asked about the token itself, through `GET /users/me` (decision 6).

It stands in for the signature check and for nothing else. One call for each token at a time, its answer kept for a
moment, and never more than a fixed number at once: what does not fit is 503, so an outage cannot become a flood.
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
from fastapi_stackauth.runtime.events import FALLBACK_ASKED, Events
from fastapi_stackauth.verification.rejections import require_rejection

_REMEMBERED = 1_000


class Fallback:
    """Asks the auth server whose token this is.

    Args:
        whose: from an access token to the id of the user it belongs to, as the auth server says.
        concurrency: how many calls may be under way at once.
        ttl: seconds an answer is remembered.
        clock: a monotonic clock, in seconds.
        events: where questions are counted and told.
    """

    def __init__(
        self,
        whose: Callable[[str], Awaitable[str]],
        *,
        concurrency: int,
        ttl: float,
        clock: Callable[[], float] = time.monotonic,
        events: Events | None = None,
    ) -> None:
        self._whose = whose
        self._ttl = ttl
        self._clock = clock
        self._events = events or Events()
        self._answers: Cache[bytes, str | AuthError] = Cache(clock, size=_REMEMBERED, concurrency=concurrency)

    async def confirm(self, token: str, digest: bytes, subject: str, retry_after: float) -> None:
        """Return where the auth server knows the token as this subject's.

        Args:
            token: the raw token.
            digest: its SHA-256, under which the answer is remembered.
            subject: the `sub` claim.
            retry_after: seconds to tell the caller, should the server not be able to say.

        Raises:
            AuthError: the server does not accept the token, or it belongs to another user.
            AuthServerMisconfigured: the server does not accept this app.
            VerificationUnavailable: the server cannot be asked.
        """
        known = self._answers.get(digest)
        answer = known.value if known else await self._ask(token, digest, retry_after)
        if isinstance(answer, AuthError):
            raise AuthError(answer.code, reason=answer.reason)
        if answer != subject:
            raise AuthError("token_signature_invalid", reason="the auth server names another user")

    async def aclose(self) -> None:
        """Cancel the calls under way in the running loop."""
        await self._answers.aclose()

    async def _ask(self, token: str, digest: bytes, retry_after: float) -> str | AuthError:
        if not self._answers.has_room(digest):
            self._events.emit(FALLBACK_ASKED, outcome="full")
            raise VerificationUnavailable(retry_after=retry_after)
        try:
            return await self._answers.fetch(digest, lambda: self._call(token))
        except AuthServerUnavailable as error:
            raise VerificationUnavailable(retry_after=max(retry_after, error.retry_after)) from None

    async def _call(self, token: str) -> Entry[str | AuthError]:
        begun, outcome = self._clock(), "unavailable"
        try:
            answer = await self._answered(token)
            outcome = "refused" if isinstance(answer, AuthError) else "accepted"
        except AuthServerMisconfigured:
            outcome = "misconfigured"
            raise
        finally:
            self._events.emit(FALLBACK_ASKED, outcome=outcome, duration=self._clock() - begun)
        return Entry(answer, self._clock() + self._ttl)

    async def _answered(self, token: str) -> str | AuthError:
        try:
            return await self._whose(token)
        except AuthServerError as error:
            return require_rejection(error, self._events, "token")
