"""API keys of users and teams (contract/endpoints.json, `user_api_keys`, `team_api_keys`).

The value of a key is returned once, at its creation; later only its last four characters are.
"""

from pydantic import Field

from fastapi_stackauth.models.base import ApiModel, ApiRequestBody, Millis


class LastFour(ApiModel):
    """The end of a key's value."""

    last_four: str


class _ApiKeyFields(ApiModel):
    id: str
    description: str
    type: str
    is_public: bool = False
    created_at_millis: Millis
    expires_at_millis: Millis | None = None
    manually_revoked_at_millis: Millis | None = None


class UserApiKey(_ApiKeyFields):
    """A key that acts for a user."""

    user_id: str
    value: LastFour


class TeamApiKey(_ApiKeyFields):
    """A key that acts for a team."""

    team_id: str
    value: LastFour


class NewUserApiKey(_ApiKeyFields):
    """A new key of a user, with its value."""

    user_id: str
    value: str = Field(repr=False)


class NewTeamApiKey(_ApiKeyFields):
    """A new key of a team, with its value."""

    team_id: str
    value: str = Field(repr=False)


class ApiKeyCreate(ApiRequestBody):
    """A new key; `expires_at_millis` None means that it never expires."""

    description: str
    expires_at_millis: Millis | None
    is_public: bool | None = Field(
        default=None, description="Public keys are not revoked when secret scanners find them."
    )


class ApiKeyUpdate(ApiRequestBody):
    """A change of a key; only what is set is changed."""

    description: str | None = None
    revoked: bool | None = Field(default=None, description="True revokes the key for good.")
