"""Accounts at OAuth providers that belong to who is signed in."""

from fastapi import APIRouter
from pydantic import Field

from fastapi_stackauth.errors import KnownApiError, OAuthConnectionError, UnexpectedAnswer
from fastapi_stackauth.models import ConnectedAccount, ProviderToken
from fastapi_stackauth.routers.methods.oauth_parts import Provider, Scope
from fastapi_stackauth.routers.plumbing.caller import SIGNED_OUT, PersonsClient
from fastapi_stackauth.routers.plumbing.examples import CONNECTED_ACCOUNTS, PROVIDER_TOKEN
from fastapi_stackauth.routers.plumbing.operations import add
from fastapi_stackauth.routers.plumbing.route import Delivery, Form

TAG = "connected accounts"


class TokenRequest(Form):
    """What the provider's token is to be good for."""

    scope: Scope = None
    provider_account_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="Which of the person's accounts there; any that fits where it is absent.",
        examples=["583231"],
    )


async def list_accounts(client: PersonsClient) -> list[ConnectedAccount]:
    """The accounts at providers that the app may use in the person's name. `POST /oauth/{provider}/link` adds one."""
    return list(await client.connected_accounts.list())


async def access_token(provider: Provider, body: TokenRequest, client: PersonsClient) -> ProviderToken:
    """The provider's own access token, to call the provider in the person's name.

    Where it does not reach far enough (`OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE`), link the account again with
    the missing `scope`.
    """
    return await client.connected_accounts.access_token(
        provider, provider_account_id=body.provider_account_id, scope=body.scope
    )


_NOT_CONNECTED = tuple(
    OAuthConnectionError(code)
    for code in (
        "OAUTH_CONNECTION_NOT_CONNECTED_TO_USER",
        "OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE",
        "OAUTH_ACCESS_TOKEN_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS",
    )
)


def add_routes(router: APIRouter, delivery: Delivery) -> None:
    """Put these routes on a router."""
    add(router, delivery, "/connected-accounts", list_accounts, method="GET", operation="connected_accounts_list",
        summary="One's accounts at providers", response_model=list[ConnectedAccount],
        response_description="The accounts.", tag=TAG, example=CONNECTED_ACCOUNTS, errors=SIGNED_OUT)  # fmt: skip
    add(router, delivery, "/connected-accounts/{provider}/access-token", access_token,
        operation="connected_accounts_token", summary="A provider's access token", response_model=ProviderToken,
        response_description="The token.", tag=TAG, example=PROVIDER_TOKEN,
        errors=(*SIGNED_OUT, *_NOT_CONNECTED, KnownApiError.of("OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED"),
                UnexpectedAnswer(400)))  # fmt: skip
