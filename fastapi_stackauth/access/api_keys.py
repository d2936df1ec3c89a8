"""API keys: whose a key is, asked of the auth server as the server and remembered for a short time.

A key that is not accepted is remembered too, and calls under way at once are capped, so that guessing costs the auth
server little. A key is known by its SHA-256 alone. With Redis the workers share whose keys are.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from typing import Literal

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import (
    ApiKeyNotValid,
    AuthError,
    AuthServerError,
    TeamNotFound,
    UserNotFound,
    VerificationUnavailable,
)
from fastapi_stackauth.kinds import TokenKind
from fastapi_stackauth.models import ServerUser, Team, User
from fastapi_stackauth.runtime.cache import Cache, Entry
from fastapi_stackauth.runtime.events import API_KEY_REJECTED, API_KEY_VERIFIED
from fastapi_stackauth.runtime.storage import Storage, seal
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.rejections import require_rejection

PREFIX = re.compile(r"[sp]k_[!-~]+")
MAX_KEY = 512
OwnerKind = Literal["user", "team"]

_REMEMBERED = 10_000
_NOBODY = ""


def looks_like_a_key(value: str) -> bool:
    """Whether this is an API key by its prefix, and no access token."""
    return PREFIX.fullmatch(value) is not None


class ApiKeys:
    """Tells whose an API key is.

    Args:
        settings: `api_key_ttl` and `api_key_concurrency`.
        client: asks the auth server; it needs the secret key.
        storage: shares answers with the other workers.
        clock: unix time in seconds.
    """

    def __init__(
        self, settings: Settings, client: StackAuthClient, storage: Storage, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._client = client
        self._storage = storage
        self._clock = clock
        self._owners: Cache[tuple[OwnerKind, str], User | Team | None] = Cache(
            clock, size=_REMEMBERED, concurrency=settings.api_key_concurrency
        )

    async def user(self, key: str) -> User:
        """The user whom a key belongs to, as the auth server knows them: no session, no claims.

        Raises:
            AuthError: 401 `api_key_invalid`.
            VerificationUnavailable: the auth server cannot be asked, or too many keys are being checked.
            AuthServerMisconfigured: it refuses this app.
            ConfigurationError: no secret key is set.
        """
        owner = await self._owner("user", key)
        assert isinstance(owner, User)  # noqa: S101 - what was asked for
        return owner

    async def team(self, key: str) -> Team:
        """The team that a key belongs to.

        Raises:
            As `user` does.
        """
        owner = await self._owner("team", key)
        assert isinstance(owner, Team)  # noqa: S101 - what was asked for
        return owner

    def forget(self, owner_id: str) -> None:
        """Forget a user or team, so that their keys are checked anew."""
        self._owners.forget(lambda _, owner: owner is not None and owner.id == owner_id)

    async def aclose(self) -> None:
        """Cancel the calls under way in the running loop."""
        await self._owners.aclose()

    async def _owner(self, kind: OwnerKind, key: str) -> User | Team:
        self._client.as_server()  # says by name that the secret key is missing, whatever key was presented
        if len(key) > MAX_KEY or not looks_like_a_key(key):
            raise self._reject(kind, "not of the form of a key")
        digest = hashlib.sha256(key.encode("ascii")).hexdigest()
        known = self._owners.get((kind, digest))
        owner = known.value if known else await self._ask(kind, key, digest)
        if owner is None:
            raise self._reject(kind, "unknown, expired or revoked")
        self._client.events.emit(API_KEY_VERIFIED, cache="hit" if known else "miss", owner=kind)
        return owner

    def _reject(self, kind: OwnerKind, reason: str) -> AuthError:
        self._client.events.emit(API_KEY_REJECTED, owner=kind, reason=reason)
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
        """Whose a key is, and until when that counts; from another worker, if one has asked."""
        shared = f"api-key:{kind}:{digest}"
        if (known := self._unseal(shared, await self._storage.get(shared))) is not None:
            return known
        until = self._clock() + self._settings.api_key_ttl
        owner_id = await self._check(kind, key)
        await self._storage.set(shared, self._seal(shared, owner_id, until), self._settings.api_key_ttl)
        return owner_id, until

    def _seal(self, name: str, owner_id: str, until: float) -> str:
        """Return the value that the workers share.

        It ends with a MAC over name, owner and expiry: without the secret key, write access to Redis forges none.
        """
        return f"{owner_id} {until!r} {seal(self._settings, f'{name} {owner_id} {until!r}')}"

    def _unseal(self, name: str, value: str | None) -> tuple[str, float] | None:
        if value is None or value.count(" ") != 2:
            return None
        owner_id, until, given = value.split(" ")
        if not hmac.compare_digest(given.encode(), seal(self._settings, f"{name} {owner_id} {until}").encode()):
            return None
        if not 0 < float(until) - self._clock() <= self._settings.api_key_ttl:
            return None  # a value of the past that somebody wrote back: its seal is right, its time is over
        return owner_id, float(until)

    async def _check(self, kind: OwnerKind, key: str) -> str:
        client = self._client.as_server()
        try:
            if kind == "user":
                return (await client.user_api_keys.check(key)).user_id
            return (await client.team_api_keys.check(key)).team_id
        except ApiKeyNotValid:
            return _NOBODY

    async def _load(self, kind: OwnerKind, owner_id: str) -> User | Team | None:
        if owner_id == _NOBODY:
            return None
        client = self._client.as_server()
        try:
            if kind == "user":
                return _to_user(await client.users.get(owner_id))
            return (await client.teams.get(owner_id)).as_members_see()
        except (UserNotFound, TeamNotFound):
            return None


def _to_user(user: ServerUser) -> User:
    kind = TokenKind.RESTRICTED if user.is_restricted else TokenKind.NORMAL
    return User(
        id=user.id,
        email=user.primary_email,
        email_verified=user.primary_email_verified,
        display_name=user.display_name,
        kind=TokenKind.ANONYMOUS if user.is_anonymous else kind,
        restricted_reason=user.restricted_reason.type if user.restricted_reason else None,
        selected_team_id=user.selected_team_id,
        mfa_required=user.requires_totp_mfa,
        signed_up_at=user.signed_up_at_millis,
    )
