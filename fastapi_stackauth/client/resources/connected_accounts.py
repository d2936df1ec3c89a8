"""Connected accounts (contract/endpoints.json, area `connected-accounts`)."""

from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import ME, Resource, build_query, rights_over
from fastapi_stackauth.models import ConnectedAccount, ProviderToken

_USER = "/connected-accounts/{user_id}"
_TOKEN = "/connected-accounts/{user_id}/{provider_id}/access-token"  # noqa: S105 - a path
_ACCOUNT_TOKEN = "/connected-accounts/{user_id}/{provider_id}/{provider_account_id}/access-token"  # noqa: S105 - likewise


class ConnectedAccountsApi(Resource):
    """OAuth provider accounts that the app may use on behalf of the user."""

    async def list(self, user_id: str = ME) -> tuple[ConnectedAccount, ...]:
        """List a user's connected accounts.

        Raises:
            SignInRequired: No user is signed in.
            UserNotFound: There is no such user.
            UnexpectedResponse: Status 403: the accounts belong to another user.
        """
        return await self._list(
            ApiRequest("GET", _USER, (user_id,), rights=rights_over(user_id)), Page[ConnectedAccount]
        )

    async def access_token(
        self, provider_id: str, *, provider_account_id: str | None = None, scope: str | None = None, user_id: str = ME
    ) -> ProviderToken:
        """Return an access token from the provider, to call the provider's API on behalf of the user.

        Args:
            provider_id: The provider, such as `github`.
            provider_account_id: One of the user's accounts there. By default, any account that matches.
            scope: The scopes that the token must have, separated by spaces.
            user_id: The id of the user.

        Raises:
            OAuthConnectionError: The account is not connected, or is connected without this scope.
            MethodNotEnabled: The project does not have this provider.
            SignInRequired: No user is signed in.
        """
        ids = (user_id, provider_id) if provider_account_id is None else (user_id, provider_id, provider_account_id)
        template = _TOKEN if provider_account_id is None else _ACCOUNT_TOKEN
        request = ApiRequest("POST", template, ids, json=build_query(scope=scope), rights=rights_over(user_id))
        return await self._client.fetch(request, ProviderToken)
