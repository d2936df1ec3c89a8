"""Accounts at OAuth providers that belong to the signed-in user."""

from pydantic import Field

from fastapi_stackauth.errors import KnownApiError, UnexpectedResponse
from fastapi_stackauth.models import ConnectedAccount, ProviderToken
from fastapi_stackauth.routers.methods.oauth_parts import Provider, Scope
from fastapi_stackauth.routers.plumbing.context import UserClient
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.routers.plumbing.examples import CONNECTED_ACCOUNTS, PROVIDER_TOKEN
from fastapi_stackauth.routers.plumbing.inputs import RequestBody

_NOT_CONNECTED = "OAUTH_CONNECTION_NOT_CONNECTED_TO_USER"

routes = Routes("connected accounts", feature="connected_accounts")


@routes.get("/connected-accounts", "List your connected accounts", example=CONNECTED_ACCOUNTS)
async def connected_accounts_list(client: UserClient) -> list[ConnectedAccount]:
    """List the accounts at providers that are connected to the user. `POST /oauth/{provider}/link` adds one.

    Returns:
        The connected accounts of the user.
    """
    return list(await client.connected_accounts.list())


@routes.delete("/connected-accounts/{provider}", "Disconnect your accounts at a provider", errors=(_NOT_CONNECTED,))
async def connected_accounts_delete(provider: Provider, client: UserClient) -> None:
    """Disconnect all your accounts at a provider. You can no longer sign in with them, and the app cannot use them.

    Add another way to sign in before you disconnect the only one.

    Returns:
        The accounts are disconnected.
    """
    found = [account for account in await client.oauth_providers.list() if account.provider_config_id == provider]
    if not found:
        raise KnownApiError.of(_NOT_CONNECTED)
    for account in found:
        try:
            await client.oauth_providers.delete(account.id)
        except UnexpectedResponse as error:
            if error.status_code != 404:  # the account is gone by now, perhaps because the first attempt succeeded
                raise


class ProviderTokenRequest(RequestBody):
    """The scope that the provider's token must have."""

    scope: Scope = None
    provider_account_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="The id of the account at the provider. By default, any account that has the scope.",
        examples=["583231"],
    )


@routes.post(
    "/connected-accounts/{provider}/access-token",
    "Get a provider's access token",
    errors=(
        _NOT_CONNECTED,
        "OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE",
        "OAUTH_ACCESS_TOKEN_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS",
        "OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED",
        400,
    ),
    example=PROVIDER_TOKEN,
)
async def connected_accounts_get_token(
    provider: Provider, body: ProviderTokenRequest, client: UserClient
) -> ProviderToken:
    """Get an access token from the provider, to call the provider's API on behalf of the user.

    If a scope is missing (`OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE`), link the account again with that `scope`.

    Returns:
        The access token of the provider.
    """
    return await client.connected_accounts.access_token(
        provider, provider_account_id=body.provider_account_id, scope=body.scope
    )
