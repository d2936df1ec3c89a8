"""Connected accounts (contract/endpoints.json, area `connected-accounts`)."""

from fastapi_stackauth.client.calls import Call, path_of
from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.resources.base import ME, Family, given, rights_over
from fastapi_stackauth.models import ConnectedAccount, ProviderToken

_USER = "/connected-accounts/{user_id}"
_TOKEN = "/connected-accounts/{user_id}/{provider_id}/access-token"  # noqa: S105 - a path
_ACCOUNT_TOKEN = "/connected-accounts/{user_id}/{provider_id}/{provider_account_id}/access-token"  # noqa: S105 - likewise


class ConnectedAccountsApi(Family):
    """Accounts at OAuth providers that the app may use for its user."""

    async def list(self, user_id: str = ME) -> tuple[ConnectedAccount, ...]:
        """A user's connected accounts.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            UserNotFound, AuthServerError.
            UnexpectedAnswer: 403, somebody else's.
        """
        call = Call("GET", *path_of(_USER, user_id=user_id), rights=rights_over(user_id))
        return await self._list(call, Page[ConnectedAccount])

    async def access_token(
        self, provider_id: str, *, provider_account_id: str | None = None, scope: str | None = None, user_id: str = ME
    ) -> ProviderToken:
        """The provider's own access token, to call the provider in the user's name.

        Args:
            provider_id: such as `github`.
            provider_account_id: which of the user's accounts there; any that fits by default.
            scope: what the token must be good for, separated by blanks.
            user_id: whose account.

        Raises:
            OAuthConnectionError: the account is not connected, or not for this scope.
            MethodNotEnabled: the project has no such provider.
            UserGone: no user is signed in, or the account was deleted.
            AuthServerError: any other failure.
        """
        ids = {"user_id": user_id, "provider_id": provider_id}
        path = (
            path_of(_TOKEN, **ids)
            if provider_account_id is None
            else path_of(_ACCOUNT_TOKEN, **ids, provider_account_id=provider_account_id)
        )
        call = Call("POST", *path, json=given(scope=scope), rights=rights_over(user_id))
        return await self._client.call(call, ProviderToken)
