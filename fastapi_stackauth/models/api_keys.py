"""API keys of users and teams (contract/endpoints.json, `user_api_keys`, `team_api_keys`).

The server returns the value of a key only once, when it creates the key. Later it returns the last four characters.
"""

from pydantic import Field

from fastapi_stackauth.models.base import ApiModel, ApiRequestBody, Millis


class LastFour(ApiModel):
    """The last four characters of a key's value."""

    last_four: str = Field(description="The last four characters.", examples=["1d3f"])


class _ApiKeyFields(ApiModel):
    id: str = Field(description="The key's id; not a secret.", examples=["378f9b70-e609-401e-83f9-6bd71db14249"])
    description: str = Field(description="What the key is for.", examples=["backup script"])
    type: str = Field(description="The kind of owner: `user` or `team`.", examples=["user"])
    is_public: bool = Field(default=False, description="Whether the key may be published.", examples=[False])
    created_at_millis: Millis = Field(description="When it was created.", examples=[1762333949000])
    expires_at_millis: Millis | None = Field(
        default=None, description="When the key expires. If absent, it never expires.", examples=[1770109949000]
    )
    manually_revoked_at_millis: Millis | None = Field(default=None, description="When it was revoked.", examples=[None])


class UserApiKey(_ApiKeyFields):
    """A key that acts for a user."""

    user_id: str = Field(description="The user.", examples=["f7383500-3cc7-45ea-b3c1-50d16bdbdf35"])
    value: LastFour = Field(description="The last four characters of the key.", examples=[{"last_four": "1d3f"}])


class TeamApiKey(_ApiKeyFields):
    """A key that acts for a team."""

    team_id: str = Field(description="The team.", examples=["9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11"])
    value: LastFour = Field(description="The last four characters of the key.", examples=[{"last_four": "1d3f"}])


class NewUserApiKey(_ApiKeyFields):
    """A new key of a user, with its value."""

    user_id: str = Field(description="The user.", examples=["f7383500-3cc7-45ea-b3c1-50d16bdbdf35"])
    value: str = Field(
        repr=False, description="The key itself, which is secret and is never shown again.", examples=["sk_..."]
    )


class NewTeamApiKey(_ApiKeyFields):
    """A new key of a team, with its value."""

    team_id: str = Field(description="The team.", examples=["9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11"])
    value: str = Field(
        repr=False, description="The key itself, which is secret and is never shown again.", examples=["sk_..."]
    )


class ApiKeyCreate(ApiRequestBody):
    """A new key. Only `is_public` may be left out: a key that never expires needs `expires_at_millis=None`."""

    description: str
    expires_at_millis: Millis | None
    is_public: bool | None = Field(
        default=None, description="Public keys are not revoked when secret scanners find them."
    )


class ApiKeyUpdate(ApiRequestBody):
    """A change to a key. Only the fields that are set change."""

    description: str | None = None
    revoked: bool | None = Field(default=None, description="True revokes the key for good.")
