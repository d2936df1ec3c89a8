"""A user as the auth server knows them today, and the project they belong to (contract/endpoints.json)."""

from pydantic import Field, JsonValue

from fastapi_stackauth.models.base import ApiModel, ApiRequest, Millis


class SelectedTeam(ApiModel):
    """The team a user last selected."""

    id: str
    display_name: str
    profile_image_url: str | None = None
    client_metadata: JsonValue = None
    client_read_only_metadata: JsonValue = None


class ConnectedProvider(ApiModel):
    """An OAuth account that a user signs in with."""

    id: str = Field(description="The provider, such as `github`.")
    account_id: str
    email: str | None = None


class RestrictedReason(ApiModel):
    """Why a user is restricted; later servers may add types."""

    type: str


class CurrentUserProfile(ApiModel):
    """What a signed-in person may read of their own account (`GET /users/me` as access type `client`).

    What only a server may read is no field of this model and must not become one: where a person's call is made with
    the secret key, the client keeps the declared fields alone.
    """

    id: str
    primary_email: str | None = None
    primary_email_verified: bool = False
    display_name: str | None = None
    client_metadata: JsonValue = None
    client_read_only_metadata: JsonValue = None
    profile_image_url: str | None = None
    signed_up_at_millis: Millis | None = None
    has_password: bool = False
    auth_with_email: bool = False
    oauth_providers: tuple[ConnectedProvider, ...] = ()
    selected_team_id: str | None = None
    selected_team: SelectedTeam | None = None
    requires_totp_mfa: bool = False
    otp_auth_enabled: bool = False
    passkey_auth_enabled: bool = False
    is_anonymous: bool = False
    is_restricted: bool = False
    restricted_reason: RestrictedReason | None = None
    restricted_by_admin: bool = False
    restricted_by_admin_reason: str | None = None


class CurrentUserUpdate(ApiRequest):
    """What a signed-in person may change of their own account (`PATCH /users/me` as access type `client`)."""

    display_name: str | None = None
    profile_image_url: str | None = Field(None, description="A base64 data URL.")
    client_metadata: JsonValue = Field(None, description="Replaces what is there; it is not merged.")
    selected_team_id: str | None = None
    totp_secret_base64: str | None = Field(
        None, repr=False, description="20 random bytes in base64 switch the second factor on; None switches it off."
    )
    otp_auth_enabled: bool | None = None
    passkey_auth_enabled: bool | None = None
    primary_email: str | None = None


class EnabledProvider(ApiModel):
    """An OAuth provider that the project has switched on; ids are open (custom providers)."""

    id: str


class TrustedDomain(ApiModel):
    """A domain that links and redirects may lead to."""

    domain: str
    handler_path: str | None = None


class ProjectConfig(ApiModel):
    """What the project allows."""

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
    """The project's public side (`GET /projects/current`)."""

    id: str
    display_name: str
    config: ProjectConfig
