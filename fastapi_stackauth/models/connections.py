"""Accounts at OAuth providers (contract/endpoints.json, `connected_accounts`, `oauth_providers`, `auth/oauth`)."""

from typing import ClassVar

from pydantic import Field

from fastapi_stackauth.models.base import ApiModel, ApiRequestBody


class ConnectedAccount(ApiModel):
    """An account at a provider that the app may use on behalf of the user."""

    user_id: str = Field(description="The id of the user.", examples=["f7383500-3cc7-45ea-b3c1-50d16bdbdf35"])
    provider: str = Field(description="The provider.", examples=["github"])
    provider_account_id: str = Field(description="The account's id there.", examples=["583231"])


class ProviderToken(ApiModel):
    """An access token issued by a provider."""

    access_token: str = Field(
        description="A secret token for the provider's own API.",
        examples=["gho_16C7e42F292c6912E7710c838347Ae178B4a"],
        repr=False,
    )


class OAuthProvider(ApiModel):
    """A user's account at a provider and its permitted uses. Only servers receive `account_id`."""

    id: str
    user_id: str
    provider_config_id: str
    type: str
    email: str | None = None
    allow_sign_in: bool = False
    allow_connected_accounts: bool = False


class ServerOAuthProvider(OAuthProvider):
    """A user's account at a provider, with the fields that only a server may read."""

    account_id: str


class OAuthProviderUpdate(ApiRequestBody):
    """The fields that a user may change. A user who disables sign-in with the account cannot enable it again."""

    allow_sign_in: bool | None = None
    allow_connected_accounts: bool | None = None


class ServerOAuthProviderUpdate(OAuthProviderUpdate):
    """The fields that a server may change."""

    server_only: ClassVar[bool] = True

    account_id: str | None = None
    email: str | None = None


class ServerOAuthProviderCreate(ApiRequestBody):
    """A new account at a provider, created by the server."""

    server_only: ClassVar[bool] = True

    user_id: str
    provider_config_id: str
    account_id: str
    email: str | None = None
    allow_sign_in: bool
    allow_connected_accounts: bool


class Authorization(ApiModel):
    """The URL that starts a sign-in with a provider. Redirect the browser to it."""

    location: str = Field(repr=False)


class Handoff(ApiModel):
    """The URL that moves a session to another domain. Redirect the browser to it."""

    redirect_url: str = Field(repr=False)
