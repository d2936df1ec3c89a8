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
"""The values that servers accept since August 2026. Older servers accept more."""


class UsersApi(Resource):
    """The signed-in user or, as server, all users. Methods raise UserNotFound if no user has the id."""

    async def me(self, *, attempts: int = MAX_ATTEMPTS) -> CurrentUserProfile:
        """Return the current account of the client's user.

        Raises:
            SignInRequired: No user is signed in, or the account was deleted.
            AccessTokenRejected: The server does not accept the access token.
        """
        request = ApiRequest("GET", _ME, attempts=attempts, rights="any", translate=to_own_user_error)
        return await self._client.fetch(request, CurrentUserProfile)

    async def update_me(self, change: CurrentUserUpdate) -> CurrentUserProfile:
        """Change the account of the client's user.

        Raises:
            SignInRequired: No user is signed in.
            EmailAlreadyExists: Another account has this email address.
            TeamNotFound: There is no such team, or the user is not in it.
            SchemaError: A value does not have the expected form.
            UnexpectedResponse: Status 400: the server rejects a value without an error code, such as an unreadable
                image.
        """
        request = ApiRequest("PATCH", _ME, json=change, rights="any", translate=to_own_user_error)
        return await self._client.fetch(request, CurrentUserProfile)

    async def delete_me(self) -> None:
        """Delete the account of the client's user, if the project lets users do so.

        Raises:
            SignInRequired: No user is signed in.
            UnexpectedResponse: Status 400: the project does not let users delete their accounts.
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
        """List the project's users by sign-up time, as server. By default, without anonymous and restricted users.

        Do not delete users while you iterate over the list. If the user that the cursor refers to no longer exists, the
        server ends the list early.

        Args:
            query: Part of a name or an email address, or a complete id.
            team_id: Only members of this team.
            newest_first: Reverse the order.
            include_anonymous: Include anonymous and restricted users.
            only_anonymous: Only anonymous users.
            include_restricted: Include restricted users.
            limit: The number of users on a page, from 1 to 1000. The list itself continues over all pages.

        Raises:
            SchemaError: `limit` is out of range. Raised immediately.
            AuthServerError: A page cannot be fetched. Raised while you iterate.
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
        """Return a user, as server; also if the user is anonymous or restricted."""
        return await self._client.fetch(ApiRequest("GET", _ONE, (user_id,), rights="server"), ServerUser)

    async def create(self, user: ServerUserCreate) -> ServerUser:
        """Create a user, as server. This works even if the project does not allow sign-up.

        Raises:
            EmailAlreadyExists: Another account has this email address.
            SchemaError: A value does not have the expected form.
            UnexpectedResponse: The server rejects a value.
        """
        return await self._client.fetch(ApiRequest("POST", "/users", json=user, rights="server"), ServerUser)

    async def update(self, user_id: str, change: ServerUserUpdate) -> ServerUser:
        """Change a user, as server.

        Raises:
            UserNotFound: There is no such user.
            EmailAlreadyExists: Another account has this email address.
            TeamNotFound: There is no such team, or the user is not in it.
            SchemaError: A value does not have the expected form.
            UnexpectedResponse: The server rejects a value.
        """
        return await self._client.fetch(ApiRequest("PATCH", _ONE, (user_id,), json=change, rights="server"), ServerUser)

    async def delete(self, user_id: str) -> None:
        """Delete a user, as server."""
        await self._client.fetch(ApiRequest("DELETE", _ONE, (user_id,), rights="server"), Done)
