"""Find users by id, for credentials that contain nothing about a user except the id.

The library asks the auth server with the secret key, and caches the result.
"""

import time
from collections.abc import Callable
from contextlib import suppress

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import AuthError, AuthServerError, SchemaError, UserNotFound
from fastapi_stackauth.kinds import TokenKind
from fastapi_stackauth.models import ServerUser, User
from fastapi_stackauth.runtime.cache import Cache, Entry
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.rejections import require_rejection

_SIZE = 10_000


class Accounts:
    """Finds users by id. Concurrent lookups of the same user share a call.

    Args:
        settings: `authorization_ttl`.
        client: Calls the auth server. It needs the secret key.
        clock: Unix time in seconds.
    """

    def __init__(self, settings: Settings, client: StackAuthClient, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._users: Cache[str, User | None] = Cache(clock, size=_SIZE)

    async def get(self, user_id: str) -> User:
        """Return the current data of a user. The user has no session and no claims.

        Raises:
            AuthError: 401 `user_deleted`: There is no such user.
            VerificationUnavailable: The auth server is unavailable.
            AuthServerMisconfigured: The auth server rejects this app.
            ConfigurationError: No secret key is set.
        """
        known = self._users.get(user_id)
        try:
            user = known.value if known else await self._users.fetch(user_id, lambda: self._load(user_id))
        except AuthServerError as error:
            raise require_rejection(error, self._client.events, "user") from None
        if user is None or user.id.lower() != user_id.lower():
            raise AuthError("user_deleted")
        return user

    def forget(self, user_id: str) -> None:
        """Drop the cached data of a user. The case of ids does not matter to the auth server."""
        self._users.forget(lambda known, _: known.lower() == user_id.lower())

    async def aclose(self) -> None:
        """Cancel the calls that run in this event loop."""
        await self._users.aclose()

    async def _load(self, user_id: str) -> Entry[User | None]:
        user: User | None = None
        with suppress(UserNotFound, SchemaError):  # or the value is not a valid user id
            user = user_from_account(await self._client.as_server().users.get(user_id))
        return Entry(user, self._clock() + self._settings.authorization_ttl)


def user_from_account(user: ServerUser) -> User:
    """Return the user of an account, without a session and without claims."""
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
