"""Team memberships and member profiles."""

import sqlite3
from typing import Any

from fastapi_stackauth.emulator import images, membership, profiles, views
from fastapi_stackauth.emulator.errors import KnownError, PlainError
from fastapi_stackauth.emulator.schema import Check, Text, UserId
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.wire import SERVER, Call, operation

PARAMS = {"team_id": Text(form="uuid"), "user_id": UserId()}
PROFILE: dict[str, Check] = {
    "display_name": Text(required=False),
    "profile_image_url": Text(required=False, nullable=True, form="url", longest=1_000_000),
}
LIST_QUERY = {"team_id": Text(required=False, form="uuid"), "user_id": UserId(required=False)}


@operation("POST", "/team-memberships/{team_id}/{user_id}", access=SERVER, params=PARAMS, body={}, status=201)
async def add(call: Call) -> dict[str, Any]:
    """Add a user to a team."""
    user = profiles.existing(call, call.path["user_id"])
    team = membership.existing_team(call, call.path["team_id"])
    try:
        membership.join(call, team, user["id"], "team_member")
    except sqlite3.IntegrityError:
        raise KnownError("TEAM_MEMBERSHIP_ALREADY_EXISTS") from None
    membership.tell_joined(call, team["id"], user["id"])
    return {"team_id": team["id"], "user_id": user["id"]}


@operation("DELETE", "/team-memberships/{team_id}/{user_id}", params=PARAMS)
async def remove(call: Call) -> dict[str, Any]:
    """Remove a user from a team. Every member may leave."""
    team_id, user_id = call.path["team_id"], call.path["user_id"]
    if call.is_client:
        asker = own_user(call)
        if asker["id"] != user_id:
            membership.required_permission(call, team_id, asker, "$remove_members")
    profiles.existing(call, user_id)
    held = membership.required_membership(call, team_id, user_id)
    call.server.store.teams.leave(held["team_id"], held["user_id"])
    call.tell("team_membership.deleted", {"team_id": held["team_id"], "user_id": held["user_id"]})
    return {"success": True}


def own_user(call: Call) -> Row:
    """Return the signed-in user, or raise."""
    if call.user is None:
        raise KnownError("CANNOT_GET_OWN_USER_WITHOUT_USER")
    return call.user


# --- profiles ---


def to_json(call: Call, held: Row) -> dict[str, Any]:
    """Return a member with the fields for this access type."""
    user = profiles.existing(call, held["user_id"])
    return views.team_member(call.server.store, call.project, held, user, for_client=call.is_client)


@operation("GET", "/team-member-profiles", query=LIST_QUERY)
async def list_profiles(call: Call) -> dict[str, Any]:
    """List the members of a team, in the order in which they joined."""
    team_id, user_id = call.query.get("team_id"), call.query.get("user_id")
    if call.is_client:
        asker = own_user(call)
        if team_id is None:
            raise PlainError(400, "The team is missing; clients must specify it.")
        if user_id == asker["id"]:
            membership.required_membership(call, team_id, asker["id"])
        else:
            membership.required_permission(call, team_id, asker, "$read_members")
    if team_id is not None:
        team_id = membership.existing_team(call, team_id)["id"]
    rows = call.server.store.teams.members(call.project.id, team_id)
    found = [to_json(call, row) for row in rows if user_id in (None, row["user_id"])]
    return {"items": found, "is_paginated": False}


@operation("GET", "/team-member-profiles/{team_id}/{user_id}", params=PARAMS)
async def read_profile(call: Call) -> dict[str, Any]:
    """Return one member."""
    team_id, user_id = call.path["team_id"], call.path["user_id"]
    if call.is_client:
        asker = own_user(call)
        if user_id == asker["id"]:
            membership.required_membership(call, team_id, asker["id"])
        else:
            membership.required_permission(call, team_id, asker, "$read_members")
    profiles.existing(call, user_id)
    return to_json(call, membership.required_membership(call, team_id, user_id))


@operation("PATCH", "/team-member-profiles/{team_id}/{user_id}", params=PARAMS, body=PROFILE)
async def change_profile(call: Call) -> dict[str, Any]:
    """Change the profile of a member in the team."""
    team_id, user_id = call.path["team_id"], call.path["user_id"]
    call.only_own(user_id, "A client can only change its own user's profile.")
    profiles.existing(call, user_id)
    held = membership.required_membership(call, team_id, user_id)
    image = images.image_columns(call.server, call.project, call.body, "team-member-profile-images")
    call.server.store.teams.change_profile(held, {**call.body, **image})
    return to_json(call, membership.required_membership(call, team_id, user_id))
