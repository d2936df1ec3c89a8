"""Teams: create, read, change and delete them."""

import json
from typing import Any

from fastapi_stackauth.emulator import images, membership, profiles, views
from fastapi_stackauth.emulator.errors import PlainError
from fastapi_stackauth.emulator.schema import TRUE_FALSE, Check, Text, UserId
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.wire import Call, operation

PARAMS = {"team_id": Text(form="uuid")}
ANY = Check(required=False, nullable=True)
IMAGE = Text(required=False, nullable=True, form="url", longest=1_000_000)
CLIENT: dict[str, Check] = {"profile_image_url": IMAGE, "client_metadata": ANY}
SERVER_FIELDS: dict[str, Check] = {**CLIENT, "client_read_only_metadata": ANY, "server_metadata": ANY}
CREATION: dict[str, Check] = {"display_name": Text(), "creator_user_id": UserId(required=False)}
CHANGE: dict[str, Check] = {"display_name": Text(required=False)}
CREATE_BODY = {
    "client": {**CREATION, **CLIENT},
    "server": {**CREATION, **SERVER_FIELDS},
    "admin": {**CREATION, **SERVER_FIELDS},
}
UPDATE_BODY = {
    "client": {**CHANGE, **CLIENT},
    "server": {**CHANGE, **SERVER_FIELDS},
    "admin": {**CHANGE, **SERVER_FIELDS},
}
FOREIGN = "A client can only list its own user's teams."


def to_json(call: Call, team: Row) -> dict[str, Any]:
    """Return a team with the fields for this access type."""
    return views.client_team(team) if call.is_client else views.server_team(team)


def columns(call: Call) -> Row:
    """Return the columns for the fields of the body, or raise."""
    body = call.body
    profiles.check_image(call)
    plain: Row = {name: body[name] for name in ("display_name",) if name in body}
    plain |= images.image_columns(call.server, call.project, body, "team-profile-images")
    metadata = {name: None if body[name] is None else json.dumps(body[name]) for name in views.METADATA if name in body}
    return {**plain, **metadata}


@operation("GET", "/teams", query={"user_id": UserId(required=False), "add_current_user": TRUE_FALSE})
async def list_teams(call: Call) -> dict[str, Any]:
    """List teams, oldest first. A client sees the teams of its user."""
    user_id, teams = call.query.get("user_id"), call.server.store.teams
    call.only_own(user_id, FOREIGN)
    rows = teams.list_for_project(call.project.id) if user_id is None else teams.list_for_user(call.project.id, user_id)
    return {"items": [to_json(call, row) for row in rows], "is_paginated": False}


@operation("POST", "/teams", body=CREATE_BODY, query={"add_current_user": TRUE_FALSE}, status=201)
async def create(call: Call) -> dict[str, Any]:
    """Create a team. Its creator gets all permissions in it."""
    fields, creator = columns(call), find_creator(call)
    store = call.server.store
    with store.transaction():
        team = store.teams.create(call.project.id, fields)
        if creator is not None:
            membership.join(call, team, creator, "team_admin")
    call.tell("team.created", views.server_team(team))
    return to_json(call, team)


def find_creator(call: Call) -> str | None:
    """Return the creator of the team, or raise."""
    named, joins = call.body.get("creator_user_id"), call.query.get("add_current_user") == "true"
    if call.is_client:
        user = membership.required_user(call)
        if not call.project.config["client_team_creation_enabled"]:
            raise PlainError(403, "This project does not let clients create teams.")
        if named not in (None, user["id"]):
            raise PlainError(403, "A client can only create teams for its own user.")
        return str(user["id"])
    if joins and named is not None:
        raise PlainError(400, "creator_user_id and add_current_user exclude each other.")
    if joins:
        if call.user is None:
            raise PlainError(401, "add_current_user needs a signed-in user.")
        return str(call.user["id"])
    return None if named is None else str(profiles.existing(call, named)["id"])


@operation("GET", "/teams/{team_id}", params=PARAMS)
async def read(call: Call) -> dict[str, Any]:
    """Return one team."""
    if call.is_client:
        membership.required_membership(call, call.path["team_id"], membership.required_user(call)["id"])
    return to_json(call, membership.existing_team(call, call.path["team_id"]))


@operation("PATCH", "/teams/{team_id}", params=PARAMS, body=UPDATE_BODY)
async def update(call: Call) -> dict[str, Any]:
    """Change a team."""
    check(call, "$update_team")
    fields = columns(call)
    team = membership.existing_team(call, call.path["team_id"])
    call.server.store.teams.update(team["id"], fields)
    changed = membership.existing_team(call, team["id"])
    call.tell("team.updated", views.server_team(changed))
    return to_json(call, changed)


@operation("DELETE", "/teams/{team_id}", params=PARAMS)
async def delete(call: Call) -> dict[str, Any]:
    """Delete a team."""
    check(call, "$delete_team")
    team_id = membership.existing_team(call, call.path["team_id"])["id"]
    call.server.store.teams.delete(team_id)
    call.tell("team.deleted", {"id": team_id})
    return {"success": True}


def check(call: Call, permission_id: str) -> None:
    """Reject a client whose user may not do this."""
    if call.is_client:
        membership.required_permission(call, call.path["team_id"], membership.required_user(call), permission_id)
