"""A user's accounts at OAuth providers (contract/endpoints.json, area `oauth-providers`)."""

from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import ME, Done, Resource, build_query, rights_over
from fastapi_stackauth.models import OAuthProvider, OAuthProviderUpdate, ServerOAuthProvider, ServerOAuthProviderCreate

_ALL = "/oauth-providers"
_ONE = "/oauth-providers/{user_id}/{provider_id}"


class OAuthProvidersApi(Resource):
    """What accounts at OAuth providers may be used for: those of the client's user or, as server, of any user.

    All methods may raise SignInRequired, UserNotFound, and UnexpectedResponse: with status 403 for another user's
    account, and 404 if there is no such account.
    """

    async def list(self, user_id: str | None = ME) -> tuple[OAuthProvider, ...]:
        """List a user's accounts. As server, pass None for those of all users."""
        request = ApiRequest("GET", _ALL, params=build_query(user_id=user_id), rights=rights_over(user_id))
        return await self._list(request, Page[OAuthProvider])

    async def create(self, account: ServerOAuthProviderCreate) -> ServerOAuthProvider:
        """Add an account to a user, as server.

        Raises:
            UserNotFound: There is no such user.
            OAuthConnectionError: Another user signs in with it.
            UnexpectedResponse: Status 404 if the project does not have this provider; 400 if the user already has the
                account.
        """
        request = ApiRequest("POST", _ALL, json=account, rights="server")
        return await self._client.fetch(request, ServerOAuthProvider)

    async def get(self, provider_id: str, user_id: str = ME) -> OAuthProvider:
        """Return one account, by its own id."""
        request = ApiRequest("GET", _ONE, (user_id, provider_id), rights=rights_over(user_id))
        return await self._client.fetch(request, OAuthProvider)

    async def update(self, provider_id: str, change: OAuthProviderUpdate, user_id: str = ME) -> OAuthProvider:
        """Change what an account may be used for.

        Raises:
            OAuthConnectionError: Sign-in with this account cannot be enabled again.
            UnexpectedResponse: Also with status 400 if the server rejects a value.
        """
        request = ApiRequest("PATCH", _ONE, (user_id, provider_id), json=change, rights=rights_over(user_id))
        return await self._client.fetch(request, OAuthProvider)

    async def delete(self, provider_id: str, user_id: str = ME) -> None:
        """Remove an account from its user."""
        request = ApiRequest("DELETE", _ONE, (user_id, provider_id), rights=rights_over(user_id))
        await self._client.fetch(request, Done)
