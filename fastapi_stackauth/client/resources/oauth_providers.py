"""A user's accounts at OAuth providers (contract/endpoints.json, area `oauth-providers`)."""

from fastapi_stackauth.client.calls import Call, path_of
from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.resources.base import ME, Done, Family, given, rights_over
from fastapi_stackauth.models import (
    OAuthProvider,
    OAuthProviderUpdate,
    ServerOAuthProvider,
    ServerOAuthProviderCreate,
)

_ALL = "/oauth-providers"
_ONE = "/oauth-providers/{user_id}/{provider_id}"


class OAuthProvidersApi(Family):
    """What accounts at OAuth providers are good for: those of the user this client is bound to; as server, of any."""

    async def list(self, user_id: str | None = ME) -> tuple[OAuthProvider, ...]:
        """A user's accounts; with None, as server, those of all users.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            UserNotFound, AuthServerError.
            UnexpectedAnswer: 403, somebody else's.
        """
        call = Call("GET", _ALL, params=given(user_id=user_id), rights=rights_over(user_id))
        return await self._list(call, Page[OAuthProvider])

    async def create(self, account: ServerOAuthProviderCreate) -> ServerOAuthProvider:
        """Add an account to a user, as server.

        Raises:
            UserNotFound.
            OAuthConnectionError: another user signs in with it.
            UnexpectedAnswer: 404, the project has no such provider; 400, the user has the account already.
            AuthServerError: any other failure.
        """
        call = Call("POST", _ALL, json=account.to_json(), rights="server")
        return await self._client.call(call, ServerOAuthProvider)

    async def get(self, provider_id: str, user_id: str = ME) -> OAuthProvider:
        """One account, by its own id.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            UserNotFound, AuthServerError.
            UnexpectedAnswer: 404, there is none; 403, somebody else's.
        """
        path = path_of(_ONE, user_id=user_id, provider_id=provider_id)
        return await self._client.call(Call("GET", *path, rights=rights_over(user_id)), OAuthProvider)

    async def update(self, provider_id: str, change: OAuthProviderUpdate, user_id: str = ME) -> OAuthProvider:
        """Change what an account is good for.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            OAuthConnectionError: sign-in cannot be switched on with it again.
            UserNotFound, AuthServerError.
            UnexpectedAnswer: 404, there is none; 403, somebody else's; 400, a value is refused.
        """
        path = path_of(_ONE, user_id=user_id, provider_id=provider_id)
        call = Call("PATCH", *path, json=change.to_json(), rights=rights_over(user_id, change))
        return await self._client.call(call, OAuthProvider)

    async def delete(self, provider_id: str, user_id: str = ME) -> None:
        """Take an account away from its user.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            UserNotFound, AuthServerError.
            UnexpectedAnswer: 404, there is none; 403, somebody else's.
        """
        path = path_of(_ONE, user_id=user_id, provider_id=provider_id)
        await self._client.call(Call("DELETE", *path, rights=rights_over(user_id)), Done)
