"""The access tokens of sessions, by refresh token: refresh and replace tokens, and end sessions.

Cookie sessions and routes that return tokens in the body share this module. `client.session` has its own `TokenSource`.
Law: there is one refresh at a time for each session, and the cache contains only the SHA-256 hash of a refresh token.
"""

import hashlib
import math
import time
from collections.abc import Callable
from typing import NamedTuple

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.client.tokens import IssuedToken
from fastapi_stackauth.errors import AccessTokenRejected, AuthError, AuthServerError, SessionEnded
from fastapi_stackauth.models import AccessToken, User
from fastapi_stackauth.runtime.cache import Cache, Entry
from fastapi_stackauth.runtime.events import SESSION_ENDED, SESSION_REFRESH_FAILED, SESSION_REFRESHED, get_error_code
from fastapi_stackauth.verification.rejections import is_key_unknown
from fastapi_stackauth.verification.verifier import Verifier

_SIZE = 10_000


class _Refreshed(NamedTuple):
    """A refreshed token, and how many key sets the verifier had fetched at that time."""

    issued: IssuedToken
    key_generation: int


class SessionTokens:
    """Access tokens for refresh tokens.

    Args:
        client: Refreshes and ends sessions.
        verifier: Verifies new tokens and rejects those of ended sessions.
        clock: Unix time in seconds.
    """

    def __init__(self, client: StackAuthClient, verifier: Verifier, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._verifier = verifier
        self._clock = clock
        self._cache: Cache[bytes, _Refreshed] = Cache(clock, size=_SIZE)

    async def refresh(self, refresh_token: str, delivery: str | None) -> AccessToken:
        """Fetch a new access token.

        Args:
            refresh_token: The session's refresh token.
            delivery: `cookie` or `body`, as a label of the event that reports the result. None emits no event.

        Raises:
            SessionEnded: The session has ended.
            AuthServerError: The refresh failed for another reason.
        """
        with self._client.events.span("stackauth.refresh") as span:
            span.set("stackauth.delivery", delivery)
            return await self._refresh(refresh_token, delivery)

    async def _refresh(self, refresh_token: str, delivery: str | None) -> AccessToken:
        events = self._client.events
        try:
            token = await self._client.refresh(refresh_token)
        except AuthServerError as error:
            if delivery and isinstance(error, SessionEnded):
                events.emit(SESSION_ENDED, reason="not_found")
            elif delivery:
                events.emit(SESSION_REFRESH_FAILED, delivery=delivery, code=get_error_code(error))
            raise
        if delivery:
            events.emit(SESSION_REFRESHED, delivery=delivery)
        return token

    async def verify(self, refresh_token: str) -> tuple[str, User]:
        """Return an access token of a session that is not about to expire, and its user.

        The key that signed the cached token may have been rotated since. A new token replaces it if the verifier has
        fetched keys since; otherwise the verifier would reject the new token as well.

        Raises:
            SessionEnded, AuthServerError: As `refresh`.
            AuthError: The verifier rejects the new token.
        """
        refreshed = await self._get(refresh_token, "cookie")
        token = refreshed.issued.token
        try:
            return token, await self._verifier.verify(token)
        except AuthError as rejection:
            if not is_key_unknown(rejection) or refreshed.key_generation >= self._verifier.keys.generation:
                raise
        token = await self.replace(refresh_token, token)
        return token, await self._verifier.verify(token)

    async def replace(self, refresh_token: str, rejected: str | None = None, delivery: str | None = "cookie") -> str:
        """Replace a rejected access token. All callers with the same rejected token share a refresh.

        Without a rejected token, replace every cached one.

        Raises:
            SessionEnded, AuthServerError: As `refresh`.
        """
        digest = _digest(refresh_token)
        cached = self._cache.get(digest)
        if cached is not None and rejected in (None, cached.value.issued.token):
            self._cache.pop(digest)
        return (await self._get(refresh_token, delivery)).issued.token

    async def end(self, refresh_token: str, delivery: str | None = None) -> str | None:
        """End a session in this app and at the auth server. Return its id, or None if it had already ended.

        The caller's access token may be expired or belong to another session, so this fetches a new one.

        Raises:
            AuthServerError: The session may still be valid. This app rejects its tokens if the refresh succeeded.
        """
        digest = _digest(refresh_token)
        self._cache.pop(digest)  # its key may have been rotated
        try:
            token = (await self._get(refresh_token, delivery)).issued.token
            session_id = AccessToken(access_token=token).session_id
            await self._verifier.revocations.revoke_sessions([session_id] if session_id else [])
            try:
                await self._client.as_user(token).sessions.sign_out()
            except AccessTokenRejected:  # the signing keys were rotated in between
                another = await self.replace(refresh_token, token, delivery)
                await self._client.as_user(another).sessions.sign_out()
        except SessionEnded:
            return None
        finally:
            self._cache.pop(digest)
        self._client.events.emit(SESSION_ENDED, reason="signed_out")
        return session_id

    async def aclose(self) -> None:
        """Cancel the refreshes that are running in this event loop."""
        await self._cache.aclose()

    async def _get(self, refresh_token: str, delivery: str | None) -> _Refreshed:
        """Return the cached token, or a new one if it needs a refresh. All callers share the refresh."""
        digest = _digest(refresh_token)
        cached = self._cache.get(digest)
        if cached is not None and cached.value.issued.is_fresh(self._clock()):
            return cached.value
        return await self._cache.fetch(digest, lambda: self._load(refresh_token, delivery))

    async def _load(self, refresh_token: str, delivery: str | None) -> Entry[_Refreshed]:
        token = await self.refresh(refresh_token, delivery)
        issued = IssuedToken.from_token(token, self._clock())
        # `IssuedToken.is_fresh` decides, because an expiry is useless after the clock was set back.
        return Entry(_Refreshed(issued, self._verifier.keys.generation), math.inf)


def _digest(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode()).digest()
