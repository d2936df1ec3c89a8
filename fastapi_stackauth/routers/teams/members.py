"""Members of a team: their profiles there, the user's own permissions, and removing a member."""

from pydantic import BaseModel, ConfigDict, Field

from fastapi_stackauth.errors import KnownApiError, UserNotFound
from fastapi_stackauth.http.bodies import PICTURE
from fastapi_stackauth.models import TeamMemberProfile, TeamMemberProfileUpdate, TeamPermission
from fastapi_stackauth.routers.plumbing.context import Context, UserClient
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.routers.plumbing.inputs import RequestBody
from fastapi_stackauth.routers.plumbing.lists import ListResponse, list_example
from fastapi_stackauth.routers.teams.shared import (
    NOT_IN_TEAM,
    TEAM_ID,
    USER_ID,
    MemberId,
    TeamId,
    changed_fields,
    changing,
    needs_permission,
)
from fastapi_stackauth.routers.teams.teams import Picture

routes = Routes("team members", feature="members")

_MEMBER = {"team_id": TEAM_ID, "user_id": USER_ID, "display_name": "Ada Lovelace", "profile_image_url": None}


class TeamMemberResponse(BaseModel):
    """A member of a team, with their profile in the team."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    team_id: str = Field(description="The team's id.", examples=[TEAM_ID])
    user_id: str = Field(description="The member's user id.", examples=[USER_ID])
    display_name: str | None = Field(default=None, description="Their name in the team.", examples=["Ada Lovelace"])
    profile_image_url: str | None = Field(default=None, description="Their picture.", examples=[None])


class TeamMemberList(ListResponse[TeamMemberResponse]):
    """The members of a team."""


@routes.get(
    "/teams/{team_id}/members",
    "List a team's members",
    errors=(NOT_IN_TEAM, needs_permission("$read_members")),
    example=list_example(_MEMBER),
)
async def team_members_list(team_id: TeamId, client: UserClient) -> TeamMemberList:
    """List the members of a team with their profiles there. This needs the permission `$read_members` in the team."""
    members = await client.team_members.list(team_id)
    return TeamMemberList(items=tuple(map(_as_members_see, members)))


@routes.delete(
    "/teams/{team_id}/members/{user_id}",
    "Remove a member",
    errors=(NOT_IN_TEAM, needs_permission("$remove_members")),
)
async def team_members_remove(team_id: TeamId, user_id: MemberId, context: Context, client: UserClient) -> None:
    """Remove a member from a team. This needs the permission `$remove_members` in it, unless you remove yourself.

    This app rejects the member's requests about the team from then on.
    """
    async with changing(context, team_id=team_id, user_id=user_id):
        try:
            await client.team_members.remove(team_id, user_id)
        except UserNotFound:  # this is not about the caller, who stays signed in
            raise KnownApiError.of(NOT_IN_TEAM) from None


@routes.get(
    "/teams/{team_id}/profile",
    "Get your profile in a team",
    errors=(NOT_IN_TEAM,),
    example=_MEMBER,
    features=("profiles",),
)
async def team_profile_get(team_id: TeamId, client: UserClient) -> TeamMemberResponse:
    """Get your profile in a team, as its members see it."""
    return _as_members_see(await client.team_members.get(team_id))


class TeamProfileUpdateRequest(RequestBody):
    """The fields to change. Omitted fields do not change. Null removes the picture, and does not change the name."""

    display_name: str | None = Field(
        default=None, max_length=256, description="Your name in the team.", examples=["Ada Lovelace"]
    )
    profile_image_url: Picture = None


@routes.patch(
    "/teams/{team_id}/profile",
    "Change your profile in a team",
    features=("profiles",),
    errors=(NOT_IN_TEAM, 400),
    example=_MEMBER,
    max_body=PICTURE,
)
async def team_profile_update(
    team_id: TeamId, body: TeamProfileUpdateRequest, client: UserClient
) -> TeamMemberResponse:
    """Change how you appear in a team. Your account stays as it is."""
    change = TeamMemberProfileUpdate(**changed_fields(body))
    return _as_members_see(await client.team_members.update(team_id, change))


class TeamPermissionList(ListResponse[TeamPermission]):
    """The permissions that a user has in a team."""


@routes.get(
    "/teams/{team_id}/permissions",
    "List your permissions in a team",
    features=("permissions",),
    example=list_example({"id": "notes:delete", "user_id": USER_ID, "team_id": TEAM_ID}),
)
async def team_permissions_list(team_id: TeamId, client: UserClient) -> TeamPermissionList:
    """List your permissions in a team, including those that they contain. Empty if you are not a member of the team."""
    return TeamPermissionList(items=await client.team_permissions.list(team_id=team_id, recursive=True))


def _as_members_see(profile: TeamMemberProfile) -> TeamMemberResponse:
    return TeamMemberResponse.model_validate(profile)
