"""Team invitations. A user accepts one with the code from the email, or by its id if the user's address is verified."""

import sqlite3
from typing import Any

from fastapi_stackauth.emulator import mailing, membership, profiles, trust, verification
from fastapi_stackauth.emulator.errors import KnownError, PlainError
from fastapi_stackauth.emulator.operations.team_memberships import own_user
from fastapi_stackauth.emulator.schema import URL, Text, UserId
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.tokens import restricted_reason
from fastapi_stackauth.emulator.wire import Call, operation

KIND = "team_invitation"
SEND = {"team_id": Text(form="uuid"), "email": Text(form="email"), "callback_url": URL}
LIST_QUERY = {"team_id": Text(required=False, form="uuid"), "user_id": UserId(required=False)}
ONE = {"id": Text(form="uuid")}


@operation("POST", "/team-invitations/send-code", body=SEND)
async def send(call: Call) -> dict[str, Any]:
    """Invite an address to a team."""
    team_id = call.body["team_id"]
    if call.is_client:
        membership.required_permission(call, team_id, membership.required_user(call), "$invite_members")
    team = membership.existing_team(call, team_id)  # the real server returns 500 for an unknown team with server access
    trust.check_redirect(call.server, call.project, call.body["callback_url"])
    data = {"id": call.server.chance.uuid(), "team_id": team["id"], "email": call.body["email"]}
    code = call.server.store.codes.create(call.project.id, KIND, data)
    mailing.send(call.server, call.project, call.body["email"], KIND, call.body["callback_url"], code)
    return {"success": True, "id": data["id"]}


def to_json(call: Call, row: Row) -> dict[str, Any] | None:
    """Return an invitation. None if its team no longer exists."""
    data = row["data"]
    team = call.server.store.teams.get(call.project.id, data["team_id"])
    return team and {
        "id": data["id"],
        "team_id": team["id"],
        "team_display_name": team["display_name"],
        "expires_at_millis": row["expires_at"],
        "recipient_email": data["email"],
    }


def verified_addresses(call: Call, user_id: str) -> set[str]:
    """Return the verified addresses of a user."""
    return {row["value"] for row in call.server.store.channels.list_for_user(user_id) if row["is_verified"]}


@operation("GET", "/team-invitations", query=LIST_QUERY)
async def list_invitations(call: Call) -> dict[str, Any]:
    """List the open invitations to a team, or to a user's verified addresses."""
    team_id, user_id = call.query.get("team_id"), call.query.get("user_id")
    if team_id is not None and user_id is not None:
        raise PlainError(400, "Specify a team or a user, not both.")
    if team_id is None and user_id is None:
        raise PlainError(400, "Name a team or a user.")
    rows = call.server.store.codes.open(call.project.id, KIND)
    if user_id is not None:
        check_own(call, user_id)
        addresses = verified_addresses(call, user_id)
        rows = [row for row in rows if row["data"]["email"] in addresses]
    else:
        team = listed_team(call, str(team_id))
        rows = [row for row in rows if row["data"]["team_id"] == team["id"]]
    return {"items": [item for row in rows if (item := to_json(call, row))], "is_paginated": False}


def check_own(call: Call, user_id: str) -> None:
    """Reject a client's request about another user, as the real server does."""
    if call.is_client and (call.user is None or call.user["id"] != user_id):
        raise KnownError("CANNOT_GET_OWN_USER_WITHOUT_USER")


def listed_team(call: Call, team_id: str) -> Row:
    """Return the team of the list. A client's user must be allowed to see and invite members."""
    if call.is_client:
        asker = own_user(call)
        for permission_id in ("$read_members", "$invite_members"):
            membership.required_permission(call, team_id, asker, permission_id)
    return membership.existing_team(call, team_id)


def find(call: Call, invitation_id: str) -> Row | None:
    """Return an open invitation by its id."""
    rows = call.server.store.codes.open(call.project.id, KIND)
    return next((row for row in rows if row["data"]["id"] == invitation_id.lower()), None)


DELETE_QUERY = {"team_id": Text(required=False, form="uuid"), "user_id": UserId(required=False)}


@operation("DELETE", "/team-invitations/{id}", params=ONE, query=DELETE_QUERY)
async def delete(call: Call) -> dict[str, Any]:
    """Revoke an invitation."""
    team_id = call.query.get("team_id")
    if team_id is None:
        raise PlainError(400, "The id of the invitation's team is missing.")
    if call.is_client:
        membership.required_permission(call, team_id, own_user(call), "$remove_members")
    membership.existing_team(call, team_id)
    row = find(call, call.path["id"])
    if row is None:  # the real server returns 500
        raise KnownError("VERIFICATION_CODE_NOT_FOUND")
    call.server.store.codes.delete(row)
    return {"success": True}


# --- accepting ---


def joins(call: Call, data: dict[str, Any], user: Row) -> None:
    """Add an invited user to the team, unless they are a member."""
    primary = call.server.store.channels.primary(user["id"])
    reason = restricted_reason(call.project, user, primary)
    if reason is not None:
        raise KnownError("TEAM_INVITATION_RESTRICTED_USER_NOT_ALLOWED", restricted_reason=reason)
    team = membership.existing_team(call, data["team_id"])
    if call.server.store.teams.membership(team["id"], user["id"]) is None:
        try:
            membership.join(call, team, user["id"], "team_member")
        except sqlite3.IntegrityError:  # another request was faster
            return
        membership.tell_joined(call, team["id"], user["id"])


@operation("POST", "/team-invitations/accept", body=verification.BODY)
async def accept(call: Call) -> dict[str, Any]:
    """Join the team with the code from the email. The code is used up even if an error follows."""
    data = verification.consume_code(call, KIND)
    joins(call, data, membership.required_user(call))
    return {}


@operation("POST", "/team-invitations/accept/details", body=verification.BODY)
async def details(call: Call) -> dict[str, Any]:
    """Return the team of an invitation code, without using up the code."""
    row = verification.attempt_code(call, KIND)
    user = membership.required_user(call)
    reason = restricted_reason(call.project, user, call.server.store.channels.primary(user["id"]))
    if reason is not None:
        raise KnownError("TEAM_INVITATION_RESTRICTED_USER_NOT_ALLOWED", restricted_reason=reason)
    team = membership.existing_team(call, row["data"]["team_id"])
    return {"team_id": team["id"], "team_display_name": team["display_name"]}


@operation("POST", "/team-invitations/accept/check-code", body=verification.BODY)
async def check(call: Call) -> dict[str, Any]:
    """Check a code without using it up."""
    verification.attempt_code(call, KIND)
    return verification.VALID


@operation("POST", "/team-invitations/{id}/accept", params=ONE, query={"user_id": UserId()})
async def accept_by_id(call: Call) -> dict[str, Any]:
    """Join the team by the invitation's id. The user must have verified the invited address."""
    user_id = call.query["user_id"]
    check_own(call, user_id)
    user, row = profiles.existing(call, user_id), find(call, call.path["id"])
    if row is None or row["data"]["email"] not in verified_addresses(call, user["id"]):
        raise KnownError("VERIFICATION_CODE_NOT_FOUND")
    joins(call, row["data"], user)
    verification.used_up(call, row)
    return {}
