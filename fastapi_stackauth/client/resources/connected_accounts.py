"""Connected accounts (contract/endpoints.json, area `connected-accounts`)."""

from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import ME, Resource, build_query, rights_over
from fastapi_stackauth.models import ConnectedAccount, ProviderToken

_USER = "/connected-accounts/{user_id}"
_TOKEN = "/connected-accounts/{user_id}/{provider_id}/access-token"  # noqa: S105 - a path
_ACCOUNT_TOKEN = "/connected-accounts/{user_id}/{provider_id}/{provider_account_id}/access-token"  # noqa: S105 - likewise


class ConnectedAccountsApi(Resource):
    """Accounts at OAuth providers that the app may use for its user."""

    async def list(self, user_id: str = ME) -> tuple[ConnectedAccount, ...]:
        """List a user's connected accounts.

        Raises:
            SignInRequired: no user is signed in.
            UserNotFound: there is no such user.
            UnexpectedResponse: 403, another user's accounts.
        """
        return await self._list(
            ApiRequest("GET", _USER, (user_id,), rights=rights_over(user_id)), Page[ConnectedAccount]
        )

    async def access_token(
        self, provider_id: str, *, provider_account_id: str | None = None, scope: str | None = None, user_id: str = ME
    ) -> ProviderToken:
        """Return the provider's own access token, to call the provider for the user.

        Args:
            provider_id: such as `github`.
            provider_account_id: one of the user's accounts there; any matching account by default.
            scope: the scopes that the token must have, separated by spaces.
            user_id: the user's id.

        Raises:
            OAuthConnectionError: the account is not connected, or not for this scope.
            MethodNotEnabled: the project has no such provider.
            SignInRequired: no user is signed in.
        """
        ids = (user_id, provider_id) if provider_account_id is None else (user_id, provider_id, provider_account_id)
        template = _TOKEN if provider_account_id is None else _ACCOUNT_TOKEN
        request = ApiRequest("POST", template, ids, json=build_query(scope=scope), rights=rights_over(user_id))
        return await self._client.fetch(request, ProviderToken)
