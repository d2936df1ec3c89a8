"""API keys: the library asks the auth server who owns a key, with the secret key, and caches the result.

It also caches "no such key" and limits concurrent calls, so that guessed keys put little load on the auth server. The
cache contains the SHA-256 hash of a key, never the key. With Redis, the workers share the results.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal

from fastapi_stackauth.access.accounts import user_from_account
from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import (
    ApiKeyNotValid,
    AuthError,
    AuthServerError,
    TeamNotFound,
    UserNotFound,
    VerificationUnavailable,
)
from fastapi_stackauth.models import Team, User
from fastapi_stackauth.runtime.cache import Cache, Entry
from fastapi_stackauth.runtime.events import API_KEY_REJECTED, API_KEY_VERIFIED
from fastapi_stackauth.runtime.spans import Tracer
from fastapi_stackauth.runtime.storage import Storage, seal
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.rejections import require_rejection

PREFIX = re.compile(r"[sp]k_[!-~]+")
MAX_KEY = 512
OwnerKind = Literal["user", "team"]

_CACHE_SIZE = 10_000
_NO_OWNER = ""


def looks_like_a_key(value: str) -> bool:
    """Whether a credential is an API key and not an access token, judged by its prefix."""
    return PREFIX.fullmatch(value) is not None


class ApiKeys:
    """Finds the owners of API keys.

    Args:
        settings: `api_key_ttl` and `api_key_concurrency`.
        client: Calls the auth server. It needs the secret key.
        storage: Shares results with the other workers.
        clock: Unix time in seconds.
    """

    def __init__(
        self, settings: Settings, client: StackAuthClient, storage: Storage, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._client = client
        self._storage = storage
        self._clock = clock
        self._owners: Cache[tuple[OwnerKind, str], User | Team | None] = Cache(
            clock, size=_CACHE_SIZE, concurrency=settings.api_key_concurrency
        )
        self._forgotten: Cache[str, float] = Cache(clock, size=_CACHE_SIZE)

    async def user(self, key: str) -> User:
        """Return the user that owns a key. The user has no session and no claims.

        Raises:
            AuthError: 401 `api_key_invalid`.
            VerificationUnavailable: The auth server is unavailable, or too many keys are being checked.
            AuthServerMisconfigured: The auth server rejects this app.
            ConfigurationError: No secret key is set.
        """
        owner = await self._owner(("user",), key)
        assert isinstance(owner, User)  # noqa: S101 - `_owner` returns the kind that it gets
        return owner

    async def team(self, key: str) -> Team:
        """Return the team that owns a key.

        Raises:
            Raises the same errors as `user`.
        """
        owner = await self._owner(("team",), key)
        assert isinstance(owner, Team)  # noqa: S101 - `_owner` returns the kind that it gets
        return owner

    async def owner(self, key: str) -> User | Team:
        """Return the user or the team that owns a key.

        Raises:
            Raises the same errors as `user`.
        """
        return await self._owner(("user", "team"), key)

    def forget(self, owner_id: str) -> None:
        """Drop the cached keys of a user or team, so that they are checked again."""
        self._owners.forget(lambda _, owner: owner is not None and owner.id == owner_id)
        now = self._clock()
        self._forgotten.put(owner_id, now, now + self._settings.api_key_ttl)  # until shared entries have expired too

    async def aclose(self) -> None:
        """Cancel the calls that are running in this event loop."""
        await self._owners.aclose()

    def _owner(self, kinds: tuple[OwnerKind, ...], key: str) -> Coroutine[Any, Any, User | Team]:
        tracer = self._client.events.tracer
        check = self._check_owner(kinds, key)
        return check if tracer is None else _trace_check(tracer, check)

    async def _check_owner(self, kinds: tuple[OwnerKind, ...], key: str) -> User | Team:
        self._client.as_server()  # raise if the secret key is missing, whatever key the caller sent
        if len(key) > MAX_KEY or not looks_like_a_key(key):
            raise self._reject(kinds, "not a well-formed API key")
        digest = hashlib.sha256(key.encode("ascii")).hexdigest()
        for kind in kinds:
            known = self._owners.get((kind, digest))
            owner = known.value if known else await self._ask(kind, key, digest)
            if owner is not None:
                self._client.events.emit(API_KEY_VERIFIED, cache="hit" if known else "miss", owner=kind)
                return owner
        raise self._reject(kinds, "unknown, expired or revoked")

    def _reject(self, kinds: tuple[OwnerKind, ...], reason: str) -> AuthError:
        self._client.events.emit(API_KEY_REJECTED, owner="any" if len(kinds) > 1 else kinds[0], reason=reason)
        return AuthError("api_key_invalid", reason=reason)

    async def _ask(self, kind: OwnerKind, key: str, digest: str) -> User | Team | None:
        if not self._owners.has_room((kind, digest)):
            raise VerificationUnavailable(retry_after=1.0)
        try:
            return await self._owners.fetch((kind, digest), lambda: self._find(kind, key, digest))
        except AuthServerError as error:
            raise require_rejection(error, self._client.events, "api_key") from None

    async def _find(self, kind: OwnerKind, key: str, digest: str) -> Entry[User | Team | None]:
        owner_id, until = await self._owner_id(kind, key, digest)
        return Entry(await self._load(kind, owner_id), until)

    async def _owner_id(self, kind: OwnerKind, key: str, digest: str) -> tuple[str, float]:
        """Return the owner of a key and when this result expires. Another worker may have stored the result."""
        shared = f"api-key:{kind}:{digest}"
        if (known := self._unseal(shared, await self._storage.get(shared))) is not None:
            return known
        until = self._clock() + self._settings.api_key_ttl
        owner_id = await self._check(kind, key)
        await self._storage.set(shared, self._seal(shared, owner_id, until), self._settings.api_key_ttl)
        return owner_id, until

    def _seal(self, name: str, owner_id: str, until: float) -> str:
        """Return the value that the workers share for a key.

        It ends with a MAC over name, owner and expiry, so that write access to Redis is not enough to forge one.
        """
        return f"{owner_id} {until!r} {seal(self._settings, f'{name} {owner_id} {until!r}')}"

    def _unseal(self, name: str, value: str | None) -> tuple[str, float] | None:
        if value is None or value.count(" ") != 2:
            return None
        owner_id, until, given = value.split(" ")
        if not hmac.compare_digest(given.encode(), seal(self._settings, f"{name} {owner_id} {until}").encode()):
            return None
        if not 0 < float(until) - self._clock() <= self._settings.api_key_ttl:
            return None  # an old value that was written back: its MAC is valid, but it has expired
        forgotten = self._forgotten.get(owner_id)
        if forgotten and float(until) - self._settings.api_key_ttl <= forgotten.value:
            return None  # stored before the owner's keys changed
        return owner_id, float(until)

    async def _check(self, kind: OwnerKind, key: str) -> str:
        client = self._client.as_server()
        try:
            if kind == "user":
                return (await client.user_api_keys.check(key)).user_id
            return (await client.team_api_keys.check(key)).team_id
        except ApiKeyNotValid:
            return _NO_OWNER

    async def _load(self, kind: OwnerKind, owner_id: str) -> User | Team | None:
        if owner_id == _NO_OWNER:
            return None
        client = self._client.as_server()
        try:
            if kind == "user":
                return user_from_account(await client.users.get(owner_id))
            return (await client.teams.get(owner_id)).as_members_see()
        except (UserNotFound, TeamNotFound):
            return None


async def _trace_check(tracer: Tracer, check: Awaitable[User | Team]) -> User | Team:
    with tracer.start("stackauth.verify", {"stackauth.credential": "api_key"}) as span:
        owner = await check
        if isinstance(owner, User):
            span.identify(owner.id)
        return owner
