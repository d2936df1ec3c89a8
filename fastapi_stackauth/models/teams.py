"""Teams and invitations to them (contract/endpoints.json, `teams`, `team_invitations`)."""

from typing import ClassVar

from pydantic import Field, JsonValue

from fastapi_stackauth.models.base import ApiModel, ApiRequestBody, Millis

_TEAM_ID = "9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11"


class Team(ApiModel):
    """A team. Only servers receive the last two fields."""

    _use: ClassVar[str] = "`{name}: CurrentTeam`"

    id: str = Field(description="The team's id.", examples=["9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11"])
    display_name: str = Field(description="Its name.", examples=["Red team"])
    profile_image_url: str | None = Field(default=None, description="Its picture.", examples=[None])
    client_metadata: JsonValue = Field(
        default=None, description="Data that members can write.", examples=[{"colour": "red"}]
    )
    client_read_only_metadata: JsonValue = Field(
        default=None, description="Data that members can read.", examples=[None]
    )
    server_metadata: JsonValue = Field(default=None, description="Data that only the server can read.", examples=[None])
    created_at_millis: Millis | None = Field(default=None, description="When it was created.", examples=[1762333949000])

    def as_members_see(self) -> "Team":
        """Return the team without the fields that only a server may read (design decision 15)."""
        return Team.model_validate(self.model_dump(include=_MEMBERS_SEE))


_MEMBERS_SEE = {"id", "display_name", "profile_image_url", "client_metadata", "client_read_only_metadata"}


class TeamCreate(ApiRequestBody):
    """A new team."""

    display_name: str
    creator_user_id: str | None = Field(
        default=None, description="The user who becomes the first member; for clients, `me` by default."
    )
    profile_image_url: str | None = None
    client_metadata: JsonValue = None


class ServerTeamCreate(TeamCreate):
    """A new team, created by the server. Without `creator_user_id`, it has no members."""

    server_only: ClassVar[bool] = True

    client_read_only_metadata: JsonValue = None
    server_metadata: JsonValue = None


class TeamUpdate(ApiRequestBody):
    """The fields that a member with the permission `$update_team` may change; only fields that are set change."""

    display_name: str | None = None
    profile_image_url: str | None = None
    client_metadata: JsonValue = None


class ServerTeamUpdate(TeamUpdate):
    """The fields of a team that a server may change."""

    server_only: ClassVar[bool] = True

    client_read_only_metadata: JsonValue = None
    server_metadata: JsonValue = None


class TeamInvitation(ApiModel):
    """An invitation that has not been accepted yet."""

    id: str = Field(description="The invitation's id.", examples=["3b0f9a52-7c1e-4b7e-9a57-2f1d6c0e8d44"])
    team_id: str = Field(description="The team to join.", examples=[_TEAM_ID])
    team_display_name: str | None = Field(default=None, description="The team's name.", examples=["Red team"])
    expires_at_millis: Millis | None = Field(
        default=None, description="When the invitation expires.", examples=[1796039263397]
    )
    recipient_email: str | None = Field(
        default=None, description="The invited email address.", examples=["grace@example.com"]
    )


class InvitedTo(ApiModel):
    """The team that an invitation code belongs to."""

    team_id: str = Field(description="The team's id.", examples=[_TEAM_ID])
    team_display_name: str = Field(description="Its name.", examples=["Red team"])
