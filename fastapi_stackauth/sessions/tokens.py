"""The access tokens of sessions, by their refresh tokens: refresh one, replace one, end a session.

Cookie sessions and the routes that deliver tokens in bodies share it; `client.session` has a `TokenSource` of its own.
Law: one refresh at a time for each session, and the cache knows a refresh token by its SHA-256 alone.
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
    """A token of a refresh, and how many key sets the verifier had fetched by then."""

    issued: IssuedToken
    key_generation: int


class SessionTokens:
    """Access tokens for refresh tokens.

    Args:
        client: refreshes and ends sessions.
        verifier: verifies new tokens and rejects those of ended sessions.
        clock: unix time in seconds.
    """

    def __init__(self, client: StackAuthClient, verifier: Verifier, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._verifier = verifier
        self._clock = clock
        self._cache: Cache[bytes, _Refreshed] = Cache(clock, size=_SIZE)

    async def refresh(self, refresh_token: str, delivery: str | None) -> AccessToken:
        """Fetch a new access token.

        Args:
            refresh_token: the session's.
            delivery: `cookie` or `body`, for the events that count how it went; None emits none.

        Raises:
            SessionEnded: the session has ended.
            AuthServerError: any other failure.
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
        """Return an access token of a session that has time left, and its user.

        The cached token may be signed by a key that was rotated away since then. If the verifier has fetched keys
        since then, a new token replaces it; otherwise another token would fare no better.

        Raises:
            SessionEnded, AuthServerError: as `refresh`.
            AuthError: the verifier rejects the new token.
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
        """Return another access token than the one that was rejected: all callers who hold that one share a refresh.

        Without a rejected token, every cached one is replaced.

        Raises:
            SessionEnded, AuthServerError: as `refresh`.
        """
        digest = _digest(refresh_token)
        cached = self._cache.get(digest)
        if cached is not None and rejected in (None, cached.value.issued.token):
            self._cache.pop(digest)
        return (await self._get(refresh_token, delivery)).issued.token

    async def end(self, refresh_token: str, delivery: str | None = None) -> str | None:
        """End a session here and at the auth server. Return its id, or None if it had ended before.

        The access token at hand may have expired or be another session's; a new one is surely this session's.

        Raises:
            AuthServerError: the session may live on; this app rejects its tokens if the refresh succeeded.
        """
        digest = _digest(refresh_token)
        self._cache.pop(digest)  # its key may have been rotated away
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
        """Cancel the refreshes under way in the running loop."""
        await self._cache.aclose()

    async def _get(self, refresh_token: str, delivery: str | None) -> _Refreshed:
        """Return the cached token if it needs no refresh yet, or a new one: one refresh for all callers."""
        digest = _digest(refresh_token)
        cached = self._cache.get(digest)
        if cached is not None and cached.value.issued.is_fresh(self._clock()):
            return cached.value
        return await self._cache.fetch(digest, lambda: self._load(refresh_token, delivery))

    async def _load(self, refresh_token: str, delivery: str | None) -> Entry[_Refreshed]:
        token = await self.refresh(refresh_token, delivery)
        issued = IssuedToken.from_token(token, self._clock())
        # `IssuedToken.is_fresh` decides, because an expiry means nothing after the clock was set back.
        return Entry(_Refreshed(issued, self._verifier.keys.generation), math.inf)


def _digest(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode()).digest()
