"""Accounts at OAuth providers that belong to the signed-in user."""

from pydantic import Field

from fastapi_stackauth.models import ConnectedAccount, ProviderToken
from fastapi_stackauth.routers.methods.oauth_parts import Provider, Scope
from fastapi_stackauth.routers.plumbing.context import UserClient
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.routers.plumbing.examples import CONNECTED_ACCOUNTS, PROVIDER_TOKEN
from fastapi_stackauth.routers.plumbing.inputs import RequestBody

routes = Routes("connected accounts")


@routes.get("/connected-accounts", "List your accounts at providers", example=CONNECTED_ACCOUNTS)
async def connected_accounts_list(client: UserClient) -> list[ConnectedAccount]:
    """List the accounts at providers that the app may use for the user. `POST /oauth/{provider}/link` adds one."""
    return list(await client.connected_accounts.list())


class ProviderTokenRequest(RequestBody):
    """Which token of the provider is wanted."""

    scope: Scope = None
    provider_account_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="Which of the user's accounts there; any account with the scope if it is absent.",
        examples=["583231"],
    )


@routes.post(
    "/connected-accounts/{provider}/access-token",
    "Get a provider's access token",
    errors=(
        "OAUTH_CONNECTION_NOT_CONNECTED_TO_USER",
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
    """Get the provider's own access token, to call the provider for the user.

    If its scope is too small (`OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE`), link the account again with the missing
    `scope`.
    """
    return await client.connected_accounts.access_token(
        provider, provider_account_id=body.provider_account_id, scope=body.scope
    )
