"""Teams: list, create, read, change, delete, select and leave them, as the user."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from fastapi_stackauth.errors import TeamNotFound
from fastapi_stackauth.http.bodies import PICTURE
from fastapi_stackauth.models import CurrentUserUpdate, Team, TeamCreate, TeamUpdate
from fastapi_stackauth.routers.plumbing.context import Context, SignedInUser, UserClient
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.routers.plumbing.inputs import Json, RequestBody, Url
from fastapi_stackauth.routers.plumbing.lists import ListResponse, list_example
from fastapi_stackauth.routers.teams.shared import (
    NOT_IN_TEAM,
    TEAM_ID,
    TeamId,
    changed_fields,
    changing,
    needs_permission,
)

routes = Routes("teams", feature="teams")

MAX_NAME = 100
_ADDRESS = re.compile(r"[/\\]{2}|@\S|[A-Za-z]:\S|\S[.\u3002][^\s\d]|\d\.\d{1,3}\.")
"""Text that email programs may turn into a link: two slashes, an address, a scheme, a domain, numbers with dots."""
_TEAM = {
    "id": TEAM_ID,
    "display_name": "Red team",
    "profile_image_url": None,
    "client_metadata": {"color": "red"},
    "client_read_only_metadata": None,
}


def check_name(text: str) -> str:
    """Check a team's name, which invitations send to arbitrary addresses. Return it without surrounding spaces.

    Raises:
        ValueError: The name is empty or too long, has a character that cannot be printed, or contains a web address.
    """
    name = text.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError(f"must have 1 to {MAX_NAME} printable characters")
    if _ADDRESS.search(unicodedata.normalize("NFKC", name)):  # NFKC turns some characters into dots
        raise ValueError("must not contain a web address, such as example.com")
    return name


TeamName = Annotated[
    str,
    AfterValidator(check_name),
    Field(
        min_length=1,
        max_length=MAX_NAME,
        description="The team's name. It may not contain a web address.",
        examples=["Red team"],
    ),
]
Picture = Annotated[
    Url | None, Field(max_length=1_000_000, description="An image as a base64 data URL.", examples=[None])
]
Metadata = Annotated[Json, Field(description="Any JSON that members may write.", examples=[{"color": "red"}])]


class TeamResponse(BaseModel):
    """A team, as its members see it."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str = Field(description="The team's id.", examples=[TEAM_ID])
    display_name: str = Field(description="Its name.", examples=["Red team"])
    profile_image_url: str | None = Field(default=None, description="Its picture.", examples=[None])
    client_metadata: JsonValue = Field(default=None, description="Data that members can write.", examples=[None])
    client_read_only_metadata: JsonValue = Field(
        default=None, description="Data that members can read.", examples=[None]
    )


class TeamList(ListResponse[TeamResponse]):
    """The user's teams."""


@routes.get("/teams", "List your teams", example=list_example(_TEAM))
async def teams_list(client: UserClient) -> TeamList:
    """List the teams of the signed-in user, oldest first."""
    return TeamList(items=tuple(map(_as_members_see, await client.teams.list())))


class TeamCreateRequest(RequestBody):
    """A new team."""

    display_name: TeamName
    profile_image_url: Picture = None
    client_metadata: Metadata = None


@routes.post(
    "/teams",
    "Create a team",
    errors=(400, 403),
    example=_TEAM,
    max_body=PICTURE,
    status_code=201,
    requirement="create_team",
    features=("team_creation",),
)
async def teams_create(body: TeamCreateRequest, client: UserClient) -> TeamResponse:
    """Create a team, if the project lets users create teams. You become its first member and its administrator."""
    return _as_members_see(await client.teams.create(TeamCreate(**body.model_dump(exclude_unset=True))))


@routes.get("/teams/{team_id}", "Get a team", errors=(NOT_IN_TEAM,), example=_TEAM)
async def teams_get(team_id: TeamId, client: UserClient) -> TeamResponse:
    """Get a team of which you are a member."""
    return _as_members_see(await client.teams.get(team_id))


class TeamUpdateRequest(RequestBody):
    """The fields to change. Missing fields do not change. Null clears the picture or metadata, but never the name."""

    display_name: TeamName | None = Field(
        default=None, description="The team's name. It may not contain a web address.", examples=["Red team"]
    )
    profile_image_url: Picture = None
    client_metadata: Metadata = None


@routes.patch(
    "/teams/{team_id}",
    "Change a team",
    errors=(NOT_IN_TEAM, needs_permission("$update_team"), 400),
    example=_TEAM,
    max_body=PICTURE,
)
async def teams_update(team_id: TeamId, body: TeamUpdateRequest, context: Context, client: UserClient) -> TeamResponse:
    """Change a team. This needs the permission `$update_team` in it."""
    async with changing(context, team_id=team_id):
        change = TeamUpdate(**changed_fields(body))
        return _as_members_see(await client.teams.update(team_id, change))


@routes.delete(
    "/teams/{team_id}",
    "Delete a team",
    errors=(NOT_IN_TEAM, needs_permission("$delete_team")),
    features=("team_deletion",),
)
async def teams_delete(team_id: TeamId, context: Context, client: UserClient) -> None:
    """Delete a team. This needs the permission `$delete_team` in it, and cannot be undone."""
    async with changing(context, team_id=team_id):
        await client.teams.delete(team_id)


@routes.post("/teams/{team_id}/select", "Select a team", errors=(NOT_IN_TEAM,))
async def teams_select(team_id: TeamId, client: UserClient) -> None:
    """Select the team that you are working in. Access tokens contain it after a refresh (`/session/refresh`)."""
    await client.users.update_me(CurrentUserUpdate(selected_team_id=team_id))


@routes.post("/teams/{team_id}/leave", "Leave a team", errors=(NOT_IN_TEAM,))
async def teams_leave(team_id: TeamId, context: Context, user: SignedInUser, client: UserClient) -> None:
    """Leave a team. This app rejects your requests about it from then on."""
    # Perhaps the first attempt succeeded and its response was lost.
    async with changing(context, team_id=team_id, user_id=user.id, doubtful=(TeamNotFound,)):
        await client.team_members.remove(team_id)


def _as_members_see(team: Team) -> TeamResponse:
    return TeamResponse.model_validate(team)
