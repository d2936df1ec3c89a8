"""Users (contract/endpoints.json, area `users`)."""

from fastapi_stackauth.client.calls import Call, path_of
from fastapi_stackauth.client.paging import Listing, Page
from fastapi_stackauth.client.resources.base import ME, Done, Family, given, rights_over
from fastapi_stackauth.errors import KnownApiError, UnexpectedAnswer
from fastapi_stackauth.models import (
    CurrentUserProfile,
    CurrentUserUpdate,
    Project,
    ServerUser,
    ServerUserCreate,
    ServerUserUpdate,
)
from fastapi_stackauth.verification.rejections import to_own_user_error

_ME = "/users/me"
_ONE = "/users/{user_id}"
PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
"""What servers since August 2026 accept; older ones accept more."""


class UsersApi(Family):
    """The signed-in user; as server, all users."""

    async def me(self, *, attempts: int = 4) -> CurrentUserProfile:
        """The account of the user this client is bound to, as it is now.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            AccessTokenRefused: the access token is not accepted.
            AuthServerError: any other failure.
        """
        call = Call("GET", _ME, attempts=attempts, rights="any", translate=to_own_user_error)
        return await self._client.call(call, CurrentUserProfile)

    async def update_me(self, change: CurrentUserUpdate) -> CurrentUserProfile:
        """Change the account of the user this client is bound to.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            EmailAlreadyExists, TeamNotFound, SchemaError.
            UnexpectedAnswer: 400, a value that the server refuses without a code, such as an image that is none.
            AuthServerError: any other failure.
        """
        rights = rights_over(ME, change)
        call = Call("PATCH", _ME, json=change.to_json(), rights=rights, translate=to_own_user_error)
        return await self._client.call(call, CurrentUserProfile)

    async def delete_me(self) -> None:
        """Delete the account of the user this client is bound to, where the project lets its users do so.

        Raises:
            UserGone: no user is signed in, or the account was deleted before.
            UnexpectedAnswer: 400, the project does not let its users do so.
            AuthServerError: any other failure.
        """
        if self._client.lends_server_access:
            await self._require_self_deletion()
        await self._client.call(Call("DELETE", _ME, rights="any", translate=to_own_user_error), Done)

    async def _require_self_deletion(self) -> None:
        # With server access the server does not look at this setting of the project.
        project = await self._client.call(Call("GET", "/projects/current", rights="any"), Project)
        if not project.config.client_user_deletion_enabled:
            raise UnexpectedAnswer(400, operation=f"DELETE {_ME}")

    # --- as server ---

    def list(
        self,
        *,
        query: str | None = None,
        team_id: str | None = None,
        newest_first: bool = False,
        include_anonymous: bool = False,
        only_anonymous: bool = False,
        include_restricted: bool = False,
        limit: int = PAGE_SIZE,
    ) -> Listing[ServerUser]:
        """The project's users by the time they signed up, as server; guests and restricted users are left out.

        Delete none of them while the list is read: if the user whom the cursor names is gone, the server ends it early.

        Args:
            query: part of a name or address, or a whole id.
            team_id: only members of this team.
            newest_first: turn the order round.
            include_anonymous: with guests, and with restricted users.
            only_anonymous: guests alone.
            include_restricted: with restricted users.
            limit: users to a page, from 1 to 1000; the list itself goes on over all pages.

        Raises:
            SchemaError: at once, if `limit` is out of range.
            AuthServerError: while the list is read, if that fails.
        """
        if not 1 <= limit <= MAX_PAGE_SIZE:
            raise _limit_error(limit)
        params = given(
            query=query,
            team_id=team_id,
            order_by="signed_up_at",
            desc=newest_first,
            include_anonymous=(include_anonymous or only_anonymous) or None,
            only_anonymous=only_anonymous or None,
            include_restricted=include_restricted or None,
            limit=str(limit),
        )

        return self._listing(Call("GET", "/users", params=params, rights="server"), Page[ServerUser])

    async def get(self, user_id: str) -> ServerUser:
        """A user, guests and restricted users too, as server.

        Raises:
            UserNotFound, AuthServerError.
        """
        return await self._client.call(Call("GET", *path_of(_ONE, user_id=user_id), rights="server"), ServerUser)

    async def create(self, user: ServerUserCreate) -> ServerUser:
        """Make a user, as server, even where sign-up is switched off.

        Raises:
            EmailAlreadyExists, SchemaError, UnexpectedAnswer, AuthServerError.
        """
        return await self._client.call(Call("POST", "/users", json=user.to_json(), rights="server"), ServerUser)

    async def update(self, user_id: str, change: ServerUserUpdate) -> ServerUser:
        """Change a user, as server.

        Raises:
            UserNotFound, EmailAlreadyExists, TeamNotFound, SchemaError, UnexpectedAnswer, AuthServerError.
        """
        path = path_of(_ONE, user_id=user_id)
        return await self._client.call(Call("PATCH", *path, json=change.to_json(), rights="server"), ServerUser)

    async def delete(self, user_id: str) -> None:
        """Delete a user, as server.

        Raises:
            UserNotFound, AuthServerError.
        """
        await self._client.call(Call("DELETE", *path_of(_ONE, user_id=user_id), rights="server"), Done)


def _limit_error(limit: int) -> KnownApiError:
    message = (
        f"limit must be from 1 to {MAX_PAGE_SIZE}; got {limit}. It is the size of a page: to read more users, iterate "
        "over the list, which fetches page after page."
    )
    return KnownApiError.of("SCHEMA_ERROR", 400, message=message, operation="GET /users")
