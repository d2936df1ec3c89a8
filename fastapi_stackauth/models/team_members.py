"""The members of teams (contract/endpoints.json, `team_memberships`, `team_member_profiles`)."""

from fastapi_stackauth.models.base import ApiModel, ApiRequestBody
from fastapi_stackauth.models.server_user import ServerUser


class TeamMembership(ApiModel):
    """The membership of a user in a team."""

    team_id: str
    user_id: str


class TeamMemberProfile(TeamMembership):
    """How a member appears in a team. `user` is sent to servers only."""

    display_name: str | None = None
    profile_image_url: str | None = None
    user: ServerUser | None = None


class TeamMemberProfileUpdate(ApiRequestBody):
    """How a member wants to appear in a team; only what is set is changed."""

    display_name: str | None = None
    profile_image_url: str | None = None
