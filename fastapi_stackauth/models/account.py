"""The current account of a user at the auth server, and the project (contract/endpoints.json)."""

from typing import ClassVar

from pydantic import Field, JsonValue

from fastapi_stackauth.models.base import ApiModel, ApiRequestBody, Millis


class SelectedTeam(ApiModel):
    """The team that a user last selected."""

    id: str = Field(description="The team's id.", examples=["9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11"])
    display_name: str = Field(description="Its name.", examples=["Red team"])
    profile_image_url: str | None = Field(default=None, description="Its picture.", examples=[None])
    client_metadata: JsonValue = Field(
        default=None, description="Data that members can write.", examples=[{"colour": "red"}]
    )
    client_read_only_metadata: JsonValue = Field(
        default=None, description="Data that members can read.", examples=[None]
    )


class ConnectedProvider(ApiModel):
    """An OAuth account that a user signs in with."""

    id: str = Field(description="The provider, such as `github`.", examples=["github"])
    account_id: str = Field(description="The account's id there.", examples=["583231"])
    email: str | None = Field(default=None, description="Its address there.", examples=["ada@example.com"])


class RestrictedReason(ApiModel):
    """Why a user is restricted; later servers may add types."""

    type: str = Field(description="The reason; later servers may add types.", examples=["email_not_verified"])


class CurrentUserProfile(ApiModel):
    """The fields of an account that its own user may read (`GET /users/me` as access type `client`).

    Do not add fields that only a server may read. If a request for a user is sent with the secret key, the client keeps
    only the fields declared here.
    """

    _use: ClassVar[str] = "`{name}: CurrentProfile`"

    id: str = Field(description="The user's id.", examples=["f7383500-3cc7-45ea-b3c1-50d16bdbdf35"])
    primary_email: str | None = Field(
        default=None, description="The primary email address.", examples=["ada@example.com"]
    )
    primary_email_verified: bool = Field(
        default=False, description="Whether the primary email address is verified.", examples=[True]
    )
    display_name: str | None = Field(default=None, description="The display name.", examples=["Ada Lovelace"])
    client_metadata: JsonValue = Field(
        default=None, description="JSON that the user may write.", examples=[{"theme": "dark"}]
    )
    client_read_only_metadata: JsonValue = Field(
        default=None, description="JSON that the user may only read.", examples=[None]
    )
    profile_image_url: str | None = Field(default=None, description="The user's picture.", examples=[None])
    signed_up_at_millis: Millis | None = Field(
        default=None, description="When the account was created.", examples=[1762333949000]
    )
    has_password: bool = Field(
        default=False, description="Whether the user can sign in with a password.", examples=[True]
    )
    auth_with_email: bool = Field(
        default=False, description="Whether the user can sign in with the email address.", examples=[True]
    )
    oauth_providers: tuple[ConnectedProvider, ...] = Field(
        default=(), description="The OAuth provider accounts with which the user can sign in.", examples=[[]]
    )
    selected_team_id: str | None = Field(
        default=None, description="The team last selected.", examples=["9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11"]
    )
    selected_team: SelectedTeam | None = Field(default=None, description="That team.", examples=[None])
    requires_totp_mfa: bool = Field(
        default=False, description="Whether signing in requires a second factor.", examples=[False]
    )
    otp_auth_enabled: bool = Field(
        default=False, description="Whether the user can sign in with a code by email.", examples=[True]
    )
    passkey_auth_enabled: bool = Field(
        default=False, description="Whether the user can sign in with a passkey.", examples=[False]
    )
    is_anonymous: bool = Field(default=False, description="Whether the user is anonymous.", examples=[False])
    is_restricted: bool = Field(default=False, description="Whether the account is restricted.", examples=[False])
    restricted_reason: RestrictedReason | None = Field(default=None, description="Why, if it is.", examples=[None])
    restricted_by_admin: bool = Field(
        default=False, description="Whether an administrator restricted the account.", examples=[False]
    )
    restricted_by_admin_reason: str | None = Field(
        default=None, description="The administrator's reason for the restriction.", examples=[None]
    )


class CurrentUserUpdate(ApiRequestBody):
    """The fields of an account that its own user may change (`PATCH /users/me` as access type `client`)."""

    display_name: str | None = None
    profile_image_url: str | None = Field(default=None, description="A base64 data URL.")
    client_metadata: JsonValue = Field(default=None, description="Replaces the previous value; it is not merged.")
    selected_team_id: str | None = None
    totp_secret_base64: str | None = Field(
        default=None,
        repr=False,
        description="20 random bytes in base64 enable two-factor authentication; None disables it.",
    )
    otp_auth_enabled: bool | None = None
    passkey_auth_enabled: bool | None = None
    primary_email: str | None = None


class EnabledProvider(ApiModel):
    """An OAuth provider that the project has enabled. Custom providers have ids of their own."""

    id: str


class TrustedDomain(ApiModel):
    """A domain that the project allows for links and redirects."""

    domain: str
    handler_path: str | None = None


class ProjectConfig(ApiModel):
    """The project's settings that a client may read."""

    sign_up_enabled: bool = False
    credential_enabled: bool = False
    magic_link_enabled: bool = False
    passkey_enabled: bool = False
    client_team_creation_enabled: bool = False
    client_user_deletion_enabled: bool = False
    allow_user_api_keys: bool = False
    allow_team_api_keys: bool = False
    enabled_oauth_providers: tuple[EnabledProvider, ...] = ()
    domains: tuple[TrustedDomain, ...] = ()


class Project(ApiModel):
    """The public data of the project (`GET /projects/current`)."""

    id: str
    display_name: str
    config: ProjectConfig
