"""Pages of teams and permissions."""

from typing import Any

from starlette.requests import Request

from fastapi_stackauth.emulator.schema import Problems
from fastapi_stackauth.emulator.seeding import PERMISSION, plant_permissions
from fastapi_stackauth.emulator.store.permissions import SYSTEM

from .dashboard import SHOWN, Dashboard, Form, Refused, action, segment, view


@view("/dashboard/teams", "teams.html")
async def teams(dashboard: Dashboard, _request: Request) -> dict[str, Any]:
    """Show all teams."""
    store, project = dashboard.server.store, dashboard.project
    rows = store.teams.list_for_project(project.id)[:SHOWN]
    found = [{**row, "members": len(store.teams.members(project.id, row["id"]))} for row in rows]
    return {"teams": found, "users": dashboard.list_users(), "shown": SHOWN}


@action("/dashboard/teams/create")
async def create_team(dashboard: Dashboard, form: Form) -> str:
    """Create a team."""
    creator = {"creator_user_id": form["creator_user_id"]} if form.get("creator_user_id") else {}
    made = await dashboard.call("POST", "/teams", {"display_name": form.get("display_name", ""), **creator})
    return f"/dashboard/teams/{made['id']}"


@view("/dashboard/teams/{team_id}", "team.html")
async def team_page(dashboard: Dashboard, request: Request) -> dict[str, Any]:
    """Show a team, its members and their permissions."""
    store, project = dashboard.server.store, dashboard.project
    team = store.teams.get(project.id, request.path_params["team_id"])
    if team is None:
        raise Refused("There is no such team.")
    users = {row["id"]: row for row in store.users.in_order(project.id, descending=True)}
    held = [row["user_id"] for row in store.teams.members(project.id, team["id"])]
    members = [
        {**dashboard.person(users[user_id]), "granted": sorted(store.permissions.in_team(team["id"], user_id))}
        for user_id in held
    ]
    others = [dashboard.person(row) for user_id, row in users.items() if user_id not in held][:SHOWN]
    grantable = [row["id"] for row in store.permissions.definitions(project.id, "team")]
    return {
        "team": team, "members": members, "others": others, "grantable": grantable, "shown": SHOWN,
        "api_keys": dashboard.api_keys("team", team["id"]),
    }  # fmt: skip


@action("/dashboard/teams/delete")
async def delete_team(dashboard: Dashboard, form: Form) -> str:
    """Delete a team."""
    await dashboard.call("DELETE", f"/teams/{segment(form, 'team_id')}")
    return "/dashboard/teams"


@action("/dashboard/teams/member")
async def change_member(dashboard: Dashboard, form: Form) -> str:
    """Add a user to a team, or remove a member."""
    team_id = segment(form, "team_id")
    leave = form.get("leave")
    path = f"/team-memberships/{team_id}/{segment(form, 'user_id')}"
    await dashboard.call("DELETE" if leave else "POST", path, None if leave else {})
    return f"/dashboard/teams/{team_id}"


@action("/dashboard/teams/grant")
async def grant_in_team(dashboard: Dashboard, form: Form) -> str:
    """Grant or revoke a permission in a team."""
    team_id, revoke = segment(form, "team_id"), form.get("revoke")
    path = f"/team-permissions/{team_id}/{segment(form, 'user_id')}/{segment(form, 'permission_id')}"
    await dashboard.call("DELETE" if revoke else "POST", path, None if revoke else {})
    return f"/dashboard/teams/{team_id}"


@view("/dashboard/permissions", "permissions.html")
async def permissions(dashboard: Dashboard, _request: Request) -> dict[str, Any]:
    """Show the permission definitions."""
    return {"definitions": dashboard.server.store.permissions.definitions(dashboard.project.id), "system": SYSTEM}


@action("/dashboard/permissions/define")
async def define_permission(dashboard: Dashboard, form: Form) -> str:
    """Define a permission."""
    wanted = {name: form[name] for name in ("id", "scope", "description") if form.get(name)}
    problems = Problems(me=None)
    contained = form.get("contained", "").replace(",", " ").split()
    read = PERMISSION.read({**wanted, "contained_permission_ids": contained}, "permission", problems)
    if problems.found:
        raise Refused("; ".join(problems.found))
    with dashboard.server.store.transaction():
        plant_permissions(dashboard.server, dashboard.project, [read])
    return "/dashboard/permissions"


@action("/dashboard/permissions/undefine")
async def undefine_permission(dashboard: Dashboard, form: Form) -> str:
    """Remove a permission definition, and revoke the permission from all users."""
    permission_id = form.get("id", "")
    if permission_id not in {row["id"] for row in dashboard.server.store.permissions.definitions(dashboard.project.id)}:
        raise Refused("There is no such permission.")
    dashboard.server.store.permissions.undefine(dashboard.project.id, permission_id)
    return "/dashboard/permissions"
