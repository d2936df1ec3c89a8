"""Step 2 as a whole: verify a raw token and return a `User`, or raise an `AuthError` (design decisions 1 to 7).

A token that was verified before costs a hash and two lookups. The cache contains only data that never changes, and the
verifier checks revocation on every request. The log shows why a token was rejected, but never the token.
"""

import math
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import AuthError, VerificationUnavailable
from fastapi_stackauth.models import User
from fastapi_stackauth.runtime.cache import Cache
from fastapi_stackauth.runtime.events import (
    FALLBACK_CALLED,
    KEYS_FETCH_FAILED,
    KEYS_FETCHED,
    KEYS_SERVED_STALE,
    TOKEN_REJECTED,
    TOKEN_VERIFIED,
    AuthEvents,
    Kind,
)
from fastapi_stackauth.runtime.spans import Tracer
from fastapi_stackauth.runtime.storage import MemoryStorage
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.claims import Binding, check_claims, is_time, parse_token
from fastapi_stackauth.verification.fallback import Fallback
from fastapi_stackauth.verification.jwks import KeyStore, KeysUnavailable
from fastapi_stackauth.verification.keys import VerificationKey
from fastapi_stackauth.verification.revocation import Revocations


class _Verified(NamedTuple):
    user: User
    key: VerificationKey


@dataclass(frozen=True)
class VerifierStats:
    """The verifier's counters since the start, taken from the events.

    Attributes:
        hits: Tokens found in the cache.
        misses: Tokens that were not in the cache, accepted or rejected.
        fallbacks: Calls to `/users/me` because the keys were unavailable.
        rejections: Rejected tokens by error code.
        fetches: Fetches of keys, including failed ones.
        failed_fetches: Fetches of keys that failed.
        stale_serves: Uses of expired keys because newer keys could not be fetched.
    """

    hits: int
    misses: int
    fallbacks: int
    rejections: Mapping[str, int]
    fetches: int
    failed_fetches: int
    stale_serves: int

    @classmethod
    def from_events(cls, events: AuthEvents) -> "VerifierStats":
        """Return the current counts."""
        counts = [(name, dict(labels), count) for (name, labels), count in events.counts().items()]

        def total(kind: Kind, **wanted: str) -> int:
            return sum(n for name, labels, n in counts if name == kind.name and wanted.items() <= labels.items())

        rejections = {labels["code"]: n for name, labels, n in counts if name == TOKEN_REJECTED.name}
        failed = total(KEYS_FETCH_FAILED)
        return cls(
            hits=total(TOKEN_VERIFIED, cache="hit"),
            misses=total(TOKEN_VERIFIED, cache="miss") + sum(rejections.values()),
            fallbacks=total(FALLBACK_CALLED) - total(FALLBACK_CALLED, outcome="full"),
            rejections=rejections,
            fetches=total(KEYS_FETCHED) + failed,
            failed_fetches=failed,
            stale_serves=total(KEYS_SERVED_STALE),
        )


class TokenEndsSoon(Exception):
    """The token expires sooner than the caller of `verify` requires. Nothing else was checked."""


class Verifier:
    """Verifies access tokens.

    Args:
        settings: The project, its issuers, the leeway and the limits.
        client: Fetches keys and, if this fails, asks the auth server about tokens.
        clock: Unix time in seconds.
        monotonic: A monotonic clock in seconds.
        revocations: Revoked sessions and users, whose tokens are rejected. By default, a new list.
    """

    def __init__(
        self,
        settings: Settings,
        client: StackAuthClient,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        revocations: Revocations | None = None,
    ) -> None:
        self._settings = settings
        if revocations is None:
            revocations = Revocations(settings, MemoryStorage(clock), clock, client.events)
        self.revocations = revocations
        self._client = client
        self._clock = clock
        self._cache: Cache[bytes, _Verified] = Cache(clock, size=settings.token_cache_size)
        self._events = client.events
        self._hits = self._events.tally(TOKEN_VERIFIED, cache="hit", source="keys")
        self._misses = self._events.tally(TOKEN_VERIFIED, cache="miss", source="keys")
        self._binding = _bind(settings) if settings.project_id else None
        self.keys = KeyStore(
            lambda: client.keys.fetch(timeout=settings.jwks_timeout), settings, monotonic, self._events
        )
        self.fallback = Fallback(
            self._fetch_user_id,
            concurrency=settings.fallback_concurrency,
            ttl=settings.fallback_ttl,
            clock=monotonic,
            events=self._events,
        )

    @property
    def stats(self) -> VerifierStats:
        """A snapshot of the counters since the verifier was created."""
        return VerifierStats.from_events(self._events)

    def __len__(self) -> int:
        return len(self._cache)

    def verify(self, token: str, *, min_left: float | None = None) -> Coroutine[Any, Any, User]:
        """Return the user of a token.

        Args:
            token: The raw token.
            min_left: The minimum number of seconds before the expiry of a token that is not in the cache.

        Raises:
            AuthError: 401, with the code of the first check that failed.
            TokenEndsSoon: The token expires in less than `min_left` seconds.
            VerificationUnavailable: Neither the keys nor the fallback are available.
            AuthServerMisconfigured: The auth server rejects this app.
            ConfigurationError: No project id is set.
        """
        tracer = self._events.tracer
        return self._verify(token, min_left) if tracer is None else self._trace(tracer, token, min_left)

    async def _trace(self, tracer: Tracer, token: str, min_left: float | None) -> User:
        with tracer.start("stackauth.verify", {"stackauth.credential": "access_token"}) as span:
            try:
                user = await self._verify(token, min_left)
            except TokenEndsSoon:
                span.set("stackauth.code", "token_ends_soon")
            else:
                span.identify(user.id)
                return user
        raise TokenEndsSoon

    async def _verify(self, token: str, min_left: float | None) -> User:
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        try:
            known = self._cache.get(digest)
            if known is not None and self.keys.is_current(known.value.key):
                hits = self._hits
                hits.count += 1
                if hits.hooks:
                    hits.notify(hits.event)
                user = known.value.user
            else:
                user = await self._check(token, digest, min_left)
            revocations = self.revocations
            if revocations.is_shared:  # as in `revocations.check`, without the cost of its coroutine
                await revocations.follow()
            if revocations.entries.filled:
                revocations.check_here(user)
        except AuthError as rejection:
            self._events.emit(TOKEN_REJECTED, code=rejection.code, reason=rejection.reason)
            raise
        else:
            return user

    async def identify(self, token: str) -> User:
        """Return the user even if the session is revoked. Use this only to end a session, never to authorize a request.

        Raises:
            As `verify` does.
        """
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._cache.get(digest)
        return known.value.user if known else await self._check(token, digest, None)

    def seconds_left(self, user: User) -> float:
        """Return the seconds until the user's token expires, including leeway. Infinite if the user has no token."""
        exp = user.claims.get("exp")
        return math.inf if exp is None else exp + self._settings.leeway - self._clock()

    async def warm_up(self) -> None:
        """Fetch the keys now.

        Raises:
            VerificationUnavailable: The fetch failed. The message gives the reason.
            ConfigurationError: No project id is set.
        """
        try:
            await self.keys.warm_up()
        except KeysUnavailable as unavailable:
            cause = unavailable.__cause__
            unknown = getattr(cause, "status_code", None) == HTTPStatus.NOT_FOUND
            why = "it returned 404, as for an unknown project." if unknown else str(cause)
            message = (
                f"The signing keys of project {self._settings.project_id} cannot be fetched from "
                f"{self._settings.base_url}: {why} Check base_url (STACK_API_URL) and project_id (STACK_PROJECT_ID)."
            )
            raise VerificationUnavailable(message, retry_after=unavailable.retry_after) from cause

    async def aclose(self) -> None:
        """Cancel the calls of the running loop."""
        await self.keys.aclose()
        await self.fallback.aclose()

    async def _check(self, token: str, digest: bytes, min_left: float | None) -> User:
        """Check form, signature, issuer and audience, and time, in this order."""
        unverified = parse_token(token)
        claims = unverified.claims
        if min_left is not None and is_time(exp := claims.get("exp")) and exp - self._clock() <= min_left:
            raise TokenEndsSoon
        try:
            key, retry_after = await self.keys.find(unverified.key_id), 0.0
        except KeysUnavailable as unavailable:
            key, retry_after = None, unavailable.retry_after
        if key is not None and not key.verify(unverified.signing_input, unverified.signature):
            raise AuthError("token_signature_invalid", reason=f"kid {unverified.key_id!r}")
        binding, leeway = self._binding or _bind(self._settings), self._settings.leeway
        kind = check_claims(claims, binding, self._clock(), leeway)
        if key is None:
            await self.fallback.confirm(token, digest, claims["sub"], retry_after)
            self._events.emit(TOKEN_VERIFIED, cache="miss", source="fallback")
            return User.from_claims(claims, kind)
        user = User.from_claims(claims, kind)
        self._cache.put(digest, _Verified(user, key), claims["exp"] + leeway)
        self._misses.add()
        return user

    async def _fetch_user_id(self, token: str) -> str:
        return (await self._client.as_user(token).users.me(attempts=1)).id


def _bind(settings: Settings) -> Binding:
    project_id = settings.require_project_id()
    return Binding(project_id, settings.branch_id, settings.issuer_kinds, settings.audience_kinds)
