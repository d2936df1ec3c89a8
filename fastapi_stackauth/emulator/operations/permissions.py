"""Permissions granted in teams and in the project. To check one, list it, including those that contain it."""

import re
from typing import Any

from fastapi_stackauth.emulator import membership, profiles
from fastapi_stackauth.emulator.errors import KnownError
from fastapi_stackauth.emulator.schema import TRUE_FALSE, Text, UserId
from fastapi_stackauth.emulator.store.permissions import SYSTEM
from fastapi_stackauth.emulator.wire import SERVER, Call, operation, schema_error

ID = re.compile(r"\$?[a-z0-9_:]+")
OPTIONAL = Text(required=False)
TEAM_QUERY = {
    "team_id": Text(required=False, form="uuid"),
    "user_id": UserId(required=False),
    "permission_id": OPTIONAL,
    "recursive": TRUE_FALSE,
}
PROJECT_QUERY = {name: check for name, check in TEAM_QUERY.items() if name != "team_id"}
TEAM_PARAMS = {"team_id": Text(form="uuid"), "user_id": UserId(), "permission_id": Text()}
PROJECT_PARAMS = {"user_id": UserId(), "permission_id": Text()}
FOREIGN = "A client can only list its own user's permissions."


def checked_id(call: Call, where: str, permission_id: str) -> str:
    """Return a permission's id, or raise if it is malformed."""
    if not ID.fullmatch(permission_id) or (permission_id.startswith("$") and permission_id not in SYSTEM):
        raise schema_error(call.request, [f"{where}.permission_id must be the id of a permission"])
    return permission_id


def asked_for(call: Call, granted: list[str]) -> list[str]:
    """Return the granted permissions that the query selects."""
    wanted = call.query.get("permission_id")
    if call.query.get("recursive") == "true":
        granted = list(call.server.store.permissions.with_contained(call.project.id, granted))
    return sorted(name for name in granted if wanted in (None, name))


def require_definition(call: Call, permission_id: str, scope: str) -> None:
    """Reject a permission that is not defined in this scope."""
    definition = call.server.store.permissions.definition(call.project.id, permission_id)
    if definition is None or (permission_id in SYSTEM and scope == "project"):
        raise KnownError("PERMISSION_NOT_FOUND", permission_id=permission_id)
    if definition["scope"] != scope:
        details = {"permission_id": permission_id, "expected_scope": scope, "actual_scope": definition["scope"]}
        raise KnownError("WRONG_PERMISSION_SCOPE", **details)


# --- in teams ---


@operation("GET", "/team-permissions", query=TEAM_QUERY)
async def list_in_teams(call: Call) -> dict[str, Any]:
    """List permissions in teams, in order of team, user and id."""
    if "permission_id" in call.query:
        checked_id(call, "query", call.query["permission_id"])
    team_id, user_id = call.query.get("team_id"), call.query.get("user_id")
    call.only_own(user_id, FOREIGN)
    store = call.server.store
    rows = store.teams.members(call.project.id, team_id and team_id.lower())
    rows = sorted(
        (row for row in rows if user_id in (None, row["user_id"])), key=lambda r: (r["team_id"], r["user_id"])
    )
    items = [
        {"id": name, "user_id": row["user_id"], "team_id": row["team_id"]}
        for row in rows
        for name in asked_for(call, store.permissions.in_team(row["team_id"], row["user_id"]))
    ]
    return {"items": items, "is_paginated": False}


@operation(
    "POST", "/team-permissions/{team_id}/{user_id}/{permission_id}",
    access=SERVER, params=TEAM_PARAMS, body={}, status=201,
)  # fmt: skip
async def grant_in_team(call: Call) -> dict[str, Any]:
    """Grant a member a permission. Repeating it has no effect."""
    permission_id = checked_id(call, "params", call.path["permission_id"])
    user = profiles.existing(call, call.path["user_id"])
    held = membership.required_membership(call, call.path["team_id"], user["id"])
    require_definition(call, permission_id, "team")
    call.server.store.permissions.grant_in_team(held["team_id"], user["id"], permission_id)
    granted = {"id": permission_id, "user_id": user["id"], "team_id": held["team_id"]}
    call.tell("team_permission.created", granted)
    return granted


@operation("DELETE", "/team-permissions/{team_id}/{user_id}/{permission_id}", access=SERVER, params=TEAM_PARAMS)
async def revoke_in_team(call: Call) -> dict[str, Any]:
    """Take a permission away that was granted directly."""
    permission_id = checked_id(call, "params", call.path["permission_id"])
    held = membership.required_membership(call, call.path["team_id"], call.path["user_id"])
    if not call.server.store.permissions.revoke_in_team(held["team_id"], held["user_id"], permission_id):
        details = {"team_id": held["team_id"], "user_id": held["user_id"], "permission_id": permission_id}
        raise KnownError("TEAM_PERMISSION_NOT_FOUND", **details)
    gone = {"id": permission_id, "user_id": held["user_id"], "team_id": held["team_id"]}
    call.tell("team_permission.deleted", gone)
    return {"success": True}


# --- in the project ---


@operation("GET", "/project-permissions", query=PROJECT_QUERY)
async def list_in_project(call: Call) -> dict[str, Any]:
    """List permissions in the project, in order of user and id."""
    if "permission_id" in call.query:
        checked_id(call, "query", call.query["permission_id"])
    user_id = call.query.get("user_id")
    call.only_own(user_id, FOREIGN)
    granted: dict[str, list[str]] = {}
    for row in call.server.store.permissions.in_project(call.project.id):
        if user_id in (None, row["user_id"]):
            granted.setdefault(row["user_id"], []).append(row["permission_id"])
    items = [{"id": name, "user_id": owner} for owner in sorted(granted) for name in asked_for(call, granted[owner])]
    return {"items": items, "is_paginated": False}


@operation(
    "POST", "/project-permissions/{user_id}/{permission_id}", access=SERVER, params=PROJECT_PARAMS, body={}, status=201
)
async def grant_in_project(call: Call) -> dict[str, Any]:
    """Grant a user a permission. Repeating it has no effect."""
    permission_id = checked_id(call, "params", call.path["permission_id"])
    user = profiles.existing(call, call.path["user_id"])
    require_definition(call, permission_id, "project")
    call.server.store.permissions.grant_in_project(user["id"], permission_id)
    call.tell("project_permission.created", {"id": permission_id, "user_id": user["id"]})
    return {"id": permission_id, "user_id": user["id"]}


@operation("DELETE", "/project-permissions/{user_id}/{permission_id}", access=SERVER, params=PROJECT_PARAMS)
async def revoke_in_project(call: Call) -> dict[str, Any]:
    """Take a permission away that was granted directly."""
    permission_id = checked_id(call, "params", call.path["permission_id"])
    user = profiles.existing(call, call.path["user_id"])
    if not call.server.store.permissions.revoke_in_project(user["id"], permission_id):
        raise KnownError("PERMISSION_NOT_FOUND", permission_id=permission_id)
    call.tell("project_permission.deleted", {"id": permission_id, "user_id": user["id"]})
    return {"success": True}
