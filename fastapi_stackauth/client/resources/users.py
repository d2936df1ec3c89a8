"""Users (contract/endpoints.json, area `users`)."""

from fastapi_stackauth.client.paging import Listing, Page
from fastapi_stackauth.client.request import MAX_ATTEMPTS, ApiRequest
from fastapi_stackauth.client.resources.base import Done, Resource, build_query
from fastapi_stackauth.errors import KnownApiError, UnexpectedResponse
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
"""The values that servers since August 2026 accept; older ones accept more."""


class UsersApi(Resource):
    """The signed-in user; as server, all users. UserNotFound means that there is no user with an id."""

    async def me(self, *, attempts: int = MAX_ATTEMPTS) -> CurrentUserProfile:
        """Return the current account of the user this client is bound to.

        Raises:
            SignInRequired: no user is signed in, or the account was deleted.
            AccessTokenRejected: the server does not accept the access token.
        """
        request = ApiRequest("GET", _ME, attempts=attempts, rights="any", translate=to_own_user_error)
        return await self._client.fetch(request, CurrentUserProfile)

    async def update_me(self, change: CurrentUserUpdate) -> CurrentUserProfile:
        """Change the account of the user this client is bound to.

        Raises:
            SignInRequired: no user is signed in.
            EmailAlreadyExists: another account has this email address.
            TeamNotFound: there is no such team, or the user is not in it.
            SchemaError: a value does not have the expected form.
            UnexpectedResponse: 400, a value that the server rejects without a code, such as an unreadable image.
        """
        request = ApiRequest("PATCH", _ME, json=change, rights="any", translate=to_own_user_error)
        return await self._client.fetch(request, CurrentUserProfile)

    async def delete_me(self) -> None:
        """Delete the account of the user this client is bound to, if the project lets its users do so.

        Raises:
            SignInRequired: no user is signed in.
            UnexpectedResponse: 400, the project does not let its users do so.
        """
        if self._client.uses_secret_key_for_users:
            # With server access the server does not check this setting of the project.
            project = await self._client.fetch(ApiRequest("GET", "/projects/current", rights="any"), Project)
            if not project.config.client_user_deletion_enabled:
                raise UnexpectedResponse(400, operation=f"DELETE {_ME}")
        await self._client.fetch(ApiRequest("DELETE", _ME, rights="any", translate=to_own_user_error), Done)

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
        """List the project's users by sign-up time, as server, without anonymous and restricted users.

        Do not delete users while you read the list: if the user of the cursor no longer exists, the server ends it
        early.

        Args:
            query: part of a name or address, or a whole id.
            team_id: only members of this team.
            newest_first: reverse the order.
            include_anonymous: include anonymous and restricted users.
            only_anonymous: only anonymous users.
            include_restricted: include restricted users.
            limit: users on a page, from 1 to 1000; the list itself continues over all pages.

        Raises:
            SchemaError: at once, if `limit` is out of range.
            AuthServerError: while you read the list, if that fails.
        """
        if not 1 <= limit <= MAX_PAGE_SIZE:
            message = (
                f"limit must be from 1 to {MAX_PAGE_SIZE}; got {limit}. It is the size of a page: to read more users, "
                "iterate over the list, which fetches page after page."
            )
            raise KnownApiError.of("SCHEMA_ERROR", 400, message=message, operation="GET /users")
        params = build_query(
            query=query,
            team_id=team_id,
            order_by="signed_up_at",
            desc=newest_first,
            include_anonymous=(include_anonymous or only_anonymous) or None,
            only_anonymous=only_anonymous or None,
            include_restricted=include_restricted or None,
            limit=str(limit),
        )
        request = ApiRequest("GET", "/users", params=params, rights="server")
        return self._listing(request, Page[ServerUser])

    async def get(self, user_id: str) -> ServerUser:
        """Return a user, also an anonymous or restricted one, as server."""
        return await self._client.fetch(ApiRequest("GET", _ONE, (user_id,), rights="server"), ServerUser)

    async def create(self, user: ServerUserCreate) -> ServerUser:
        """Create a user, as server, even if the project allows no sign-up.

        Raises:
            EmailAlreadyExists: another account has this email address.
            SchemaError: a value does not have the expected form.
            UnexpectedResponse: the server rejects a value.
        """
        return await self._client.fetch(ApiRequest("POST", "/users", json=user, rights="server"), ServerUser)

    async def update(self, user_id: str, change: ServerUserUpdate) -> ServerUser:
        """Change a user, as server.

        Raises:
            UserNotFound: there is no such user.
            EmailAlreadyExists: another account has this email address.
            TeamNotFound: there is no such team, or the user is not in it.
            SchemaError: a value does not have the expected form.
            UnexpectedResponse: the server rejects a value.
        """
        return await self._client.fetch(ApiRequest("PATCH", _ONE, (user_id,), json=change, rights="server"), ServerUser)

    async def delete(self, user_id: str) -> None:
        """Delete a user, as server."""
        await self._client.fetch(ApiRequest("DELETE", _ONE, (user_id,), rights="server"), Done)
