"""The pages of teams: the user's teams and invitations, and a team with its members, its invitations and its API keys.

Law: the auth server decides what a user may do, and the pages only show this.
"""

import re
from typing import Any
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import RedirectResponse

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import KnownApiError
from fastapi_stackauth.models import TeamInvitation, TeamMemberProfile
from fastapi_stackauth.pages.keys import FIELDS as KEY_FIELDS
from fastapi_stackauth.pages.keys import describe_keys, list_expiries, show_new_key
from fastapi_stackauth.pages.messages import NO_TEXTS, OF_TEAMS
from fastapi_stackauth.pages.route import NextPage, PageRoutes
from fastapi_stackauth.pages.showing import find_account, find_site, refresh_changed_session, show
from fastapi_stackauth.routers import api_keys
from fastapi_stackauth.routers.methods import session
from fastapi_stackauth.routers.plumbing.context import Context, RouteContext
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.routers.plumbing.inputs import UUID
from fastapi_stackauth.routers.teams import invitations, members, teams

routes = PageRoutes()

PATH = "/teams"
TEAM = f"{PATH}/{{team_id}}"
_FIELDS = {
    "/update": ("display_name",),
    "/profile": ("display_name",),
    "/invitations": ("email",),
    "/api-keys": KEY_FIELDS,
    "/delete": ("confirm",),
}
"""The fields of the forms on the page of a team."""


# --- the user's teams ---


@routes.page(PATH)
async def show_teams(context: Context) -> Response:
    """Show the user's teams, the open invitations to the user's addresses, and a form to create a team."""
    _, client = await find_account(context)
    account, project = await client.users.me(), await context.services.project.get()
    creating = context.declaration.path == PATH
    return await show(
        context,
        "teams.html",
        fields=("display_name",) if creating else (),
        texts=OF_TEAMS,
        kept=("display_name",),
        is_anonymous=account.is_anonymous,
        teams=[
            {"id": each.id, "name": each.display_name, "is_selected": each.id == account.selected_team_id}
            for each in await client.teams.list()
        ],
        invitations=[_describe_invitation(each) for each in await client.team_invitations.list_for_user()],
        may_create=project.config.client_team_creation_enabled,
    )


def _describe_invitation(invitation: TeamInvitation) -> dict[str, Any]:
    expires_at = invitation.expires_at_millis
    return {
        "id": invitation.id,
        "team": invitation.team_display_name or "",
        "email": invitation.recipient_email or "",
        "expires": f"{expires_at:%Y-%m-%d}" if expires_at else "",
    }


async def _open_new_team(context: RouteContext, team: Any) -> Response:  # noqa: ANN401 - JSON of the route
    return RedirectResponse(find_site(context).link(f"{PATH}/{quote(team['id'])}", done="team"), 303)


async def open_joined_team(context: RouteContext, joined: Any) -> Response:  # noqa: ANN401 - JSON of the route
    """Redirect to the page of a team that the user has just joined."""
    return RedirectResponse(find_site(context).link(f"{PATH}/{quote(joined['team_id'])}", done="joined"), 303)


routes.action(PATH, teams.routes, teams.teams_create, view=show_teams, show_result=_open_new_team, origin=PATH)
routes.action(
    f"{PATH}/invitations/{{invitation_id}}/accept",
    invitations.routes,
    invitations.invitations_accept_by_id,
    view=show_teams,
    show_result=open_joined_team,
    origin=PATH,
)


# --- a team ---


@routes.page(TEAM)
async def show_team(context: Context) -> Response:
    """Show a team to a member, with a form for each change that the member may make."""
    team_id = _find_team_id(context)
    user, client = await find_account(context)
    team, account = await client.teams.get(team_id), await client.users.me()
    await refresh_changed_session(context, user, account)  # only users with this claim in the token may invite
    may = {each.id for each in await client.team_permissions.list(team_id=team_id, recursive=True)}
    own = await client.team_members.get(team_id)
    form = context.declaration.path.removeprefix(TEAM)
    fields = _FIELDS.get(form, ())
    return await show(
        context,
        "team.html",
        fields=fields,
        texts=NO_TEXTS if form == "/profile" else OF_TEAMS,
        kept=tuple(name for name in fields if name != "confirm"),
        form=form,
        team={"id": team_id, "name": team.display_name, "is_selected": team_id == account.selected_team_id},
        own_name=own.display_name or "",
        may={name: f"${name}" in may for name in ("update_team", "delete_team", "remove_members", "invite_members")},
        is_verified=account.primary_email_verified,
        **await _find_lists(client, team_id, may, user.id),
        **await _find_keys(context, client, team_id, may),
    )


def _find_team_id(context: RouteContext) -> str:
    """Return the id of the team in the URL.

    Raises:
        KnownApiError: 404: It is not an id.
    """
    team_id: str = context.request.path_params["team_id"]
    if not re.fullmatch(UUID, team_id):
        raise KnownApiError.of("TEAM_NOT_FOUND")
    return team_id.lower()


async def _find_lists(client: StackAuthClient, team_id: str, may: set[str], user_id: str) -> dict[str, Any]:
    reads = "$read_members" in may
    listed = await client.team_members.list(team_id) if reads else ()
    invites = reads and "$invite_members" in may
    invited = await client.team_invitations.list(team_id) if invites else ()
    return {
        "members": [_describe_member(each, user_id) for each in listed],
        "invitations": [_describe_invitation(each) for each in invited],
    }


def _describe_member(member: TeamMemberProfile, user_id: str) -> dict[str, Any]:
    return {"id": member.user_id, "name": member.display_name or "", "is_self": member.user_id == user_id}


async def _find_keys(context: RouteContext, client: StackAuthClient, team_id: str, may: set[str]) -> dict[str, Any]:
    project = await context.services.project.get()
    has_keys = project.config.allow_team_api_keys and "$manage_api_keys" in may
    keys = await client.team_api_keys.list(team_id) if has_keys else ()
    return {"has_keys": has_keys, "keys": describe_keys(context, keys), "expiries": list_expiries(context)}


def _team_path(context: RouteContext) -> str:
    return f"{PATH}/{_find_team_id(context)}"


def _back(done: str) -> NextPage:
    return lambda context: find_site(context).link(_team_path(context), done=done)


def _list(done: str) -> NextPage:
    return lambda context: find_site(context).link(PATH, done=done)


def _add(path: str, module: Routes, handler: Any, next_page: NextPage, **more: Any) -> None:  # noqa: ANN401 - see PageRoutes.action
    routes.action(TEAM + path, module, handler, view=show_team, next_page=next_page, origin=PATH, **more)


async def _select(context: RouteContext, _: object) -> Response:
    """Refresh the session, so that its token contains the selected team."""
    await session.session_refresh(context)
    return RedirectResponse(find_site(context).link(_team_path(context), done="selected"), 303)


_add("/update", teams.routes, teams.teams_update, _back("saved"))
_add("/profile", members.routes, members.team_profile_update, _back("saved"))
_add("/members/{user_id}/delete", members.routes, members.team_members_remove, _back("removed"))
_add("/invitations", invitations.routes, invitations.team_invitations_send, _back("invited"))
_add("/invitations/{invitation_id}/delete", invitations.routes, invitations.team_invitations_revoke, _back("removed"))
_add("/api-keys/{api_key_id}/delete", api_keys.team_routes, api_keys.team_api_keys_revoke, _back("removed"))
_add("/leave", teams.routes, teams.teams_leave, _list("left"))
_add("/delete", teams.routes, teams.teams_delete, _list("removed"), confirmation="confirm")
routes.action(f"{TEAM}/select", teams.routes, teams.teams_select, view=show_team, show_result=_select, origin=PATH)
routes.action(
    f"{TEAM}/api-keys",
    api_keys.team_routes,
    api_keys.team_api_keys_create,
    view=show_team,
    show_result=show_new_key(_team_path),
    origin=PATH,
)


@routes.page(f"{TEAM}/{{rest:path}}")
async def reopen_team(context: Context) -> RedirectResponse:
    """Redirect to the page, for a browser that reloads the URL of one of its forms."""
    team_id: str = context.request.path_params["team_id"]
    path = f"{PATH}/{team_id.lower()}" if re.fullmatch(UUID, team_id) else PATH
    return RedirectResponse(find_site(context).link(path), 303)
