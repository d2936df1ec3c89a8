"""A user as returned to a server, and the fields that a server may set (contract/endpoints.json, `users.server`)."""

from typing import ClassVar

from pydantic import Field, JsonValue

from fastapi_stackauth.models.account import ConnectedProvider, RestrictedReason
from fastapi_stackauth.models.base import ApiModel, ApiRequestBody, Millis
from fastapi_stackauth.models.teams import Team


class SignUpRisk(ApiModel):
    """The risk scores of a sign-up, each from 0 to 100."""

    bot: int | float
    free_trial_abuse: int | float


class RiskScores(ApiModel):
    """The risk scores of a user."""

    sign_up: SignUpRisk | None = None


class ServerUser(ApiModel):
    """A user with all fields that a server may read. Do not show it to the user."""

    id: str
    primary_email: str | None = None
    primary_email_verified: bool = False
    primary_email_auth_enabled: bool = False
    display_name: str | None = None
    client_metadata: JsonValue = None
    client_read_only_metadata: JsonValue = None
    server_metadata: JsonValue = None
    profile_image_url: str | None = None
    signed_up_at_millis: Millis | None = None
    last_active_at_millis: Millis | None = None
    has_password: bool = False
    auth_with_email: bool = False
    oauth_providers: tuple[ConnectedProvider, ...] = ()
    selected_team_id: str | None = None
    selected_team: Team | None = None
    requires_totp_mfa: bool = False
    otp_auth_enabled: bool = False
    passkey_auth_enabled: bool = False
    is_anonymous: bool = False
    is_restricted: bool = False
    restricted_reason: RestrictedReason | None = None
    restricted_by_admin: bool = False
    restricted_by_admin_reason: str | None = None
    restricted_by_admin_private_details: str | None = None
    country_code: str | None = None
    risk_scores: RiskScores | None = None


class _ServerUserFields(ApiRequestBody):
    server_only: ClassVar[bool] = True

    display_name: str | None = None
    profile_image_url: str | None = None
    client_metadata: JsonValue = Field(
        default=None, description="Metadata replaces the previous value; it is not merged."
    )
    client_read_only_metadata: JsonValue = None
    server_metadata: JsonValue = None
    primary_email: str | None = None
    primary_email_verified: bool | None = None
    primary_email_auth_enabled: bool | None = Field(default=None, description="The server's default is False.")
    passkey_auth_enabled: bool | None = None
    password: str | None = Field(
        default=None, repr=False, description="At most 70 characters; there is no minimum length."
    )
    password_hash: str | None = Field(
        default=None, repr=False, description="A bcrypt hash instead of the password; its cost is at most 16."
    )
    otp_auth_enabled: bool | None = None
    totp_secret_base64: str | None = Field(default=None, repr=False)
    is_anonymous: bool | None = None
    restricted_by_admin: bool | None = None
    restricted_by_admin_reason: str | None = Field(
        default=None, description="Needs `restricted_by_admin=True` beside it."
    )
    restricted_by_admin_private_details: str | None = Field(default=None, description="Likewise.")
    country_code: str | None = None
    risk_scores: RiskScores | None = None


class NewOAuthAccount(ApiRequestBody):
    """The OAuth account of a new user."""

    id: str = Field(description="The provider, such as `github`.")
    account_id: str
    email: str | None = None


class ServerUserCreate(_ServerUserFields):
    """A new user, created by the server (`POST /users`)."""

    oauth_providers: tuple[NewOAuthAccount, ...] = ()


class ServerUserUpdate(_ServerUserFields):
    """The fields of a user that a server may change (`PATCH /users/{user_id}`); only fields that are set change."""

    selected_team_id: str | None = None
