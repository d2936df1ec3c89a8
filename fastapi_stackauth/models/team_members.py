"""The members of teams (contract/endpoints.json, `team_memberships`, `team_member_profiles`)."""

from fastapi_stackauth.models.base import ApiModel, ApiRequestBody
from fastapi_stackauth.models.server_user import ServerUser


class TeamMembership(ApiModel):
    """The membership of a user in a team."""

    team_id: str
    user_id: str


class TeamMemberProfile(TeamMembership):
    """The profile that a member shows to the team. Only servers receive `user`."""

    display_name: str | None = None
    profile_image_url: str | None = None
    user: ServerUser | None = None


class TeamMemberProfileUpdate(ApiRequestBody):
    """The fields of a member's own profile that the member may change. Only the fields that are set change."""

    display_name: str | None = None
    profile_image_url: str | None = None
