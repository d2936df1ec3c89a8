"""The members of teams (contract/endpoints.json, `team_memberships`, `team_member_profiles`)."""

from fastapi_stackauth.models.base import ApiModel, ApiRequestBody
from fastapi_stackauth.models.server_user import ServerUser


class TeamMembership(ApiModel):
    """The membership of a user in a team."""

    team_id: str
    user_id: str


class TeamMemberProfile(TeamMembership):
    """A member of a team, as the team sees them. `user` is sent to servers only."""

    display_name: str | None = None
    profile_image_url: str | None = None
    user: ServerUser | None = None


class TeamMemberProfileUpdate(ApiRequestBody):
    """The fields that members may change of their own profile; only fields that are set change."""

    display_name: str | None = None
    profile_image_url: str | None = None
