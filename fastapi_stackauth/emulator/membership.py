"""Checks of team membership and team permissions.

Law: servers and admins may do everything. A client's user must be a member and then have the permission.
"""

from .errors import KnownError
from .store.database import Row
from .wire import Call


def existing_team(call: Call, team_id: str) -> Row:
    """Return a team of the project, or raise."""
    team = call.server.store.teams.get(call.project.id, team_id)
    if team is None:
        raise KnownError("TEAM_NOT_FOUND", team_id=team_id)
    return team


def required_user(call: Call) -> Row:
    """Return the user of a client call, or raise."""
    if call.user is None:
        raise KnownError("USER_AUTHENTICATION_REQUIRED")
    return call.user


def required_membership(call: Call, team_id: str, user_id: str) -> Row:
    """Return a user's membership. The error is the same for a user who is not a member and for an unknown team."""
    team = call.server.store.teams.get(call.project.id, team_id)
    membership = team and call.server.store.teams.membership(team["id"], user_id)
    if membership is None:
        raise KnownError("TEAM_MEMBERSHIP_NOT_FOUND", team_id=team_id, user_id=user_id)
    return membership


def may(call: Call, team_id: str, user_id: str, permission_id: str) -> bool:
    """Return whether a member has a permission, directly or through another one."""
    permissions = call.server.store.permissions
    return permission_id in permissions.with_contained(call.project.id, permissions.in_team(team_id, user_id))


def required_permission(call: Call, team_id: str, user: Row, permission_id: str) -> None:
    """Raise unless the user is a member of the team and has the permission."""
    required_membership(call, team_id, user["id"])
    if not may(call, team_id, user["id"], permission_id):
        details = {"team_id": team_id, "user_id": user["id"], "permission_id": permission_id}
        raise KnownError("TEAM_PERMISSION_REQUIRED", **details)


def join(call: Call, team: Row, user_id: str, permission_id: str) -> None:
    """Add a user to a team with an initial permission, if the project defines it.

    Raises:
        sqlite3.IntegrityError: The user is already a member.
    """
    store = call.server.store
    with store.transaction():
        store.teams.join(team["id"], user_id)
        if store.permissions.definition(call.project.id, permission_id) is not None:
            store.permissions.grant_in_team(team["id"], user_id, permission_id)


def tell_joined(call: Call, team_id: str, user_id: str) -> None:
    """Send the webhooks for a new member and the member's permissions."""
    call.tell("team_membership.created", {"team_id": team_id, "user_id": user_id})
    for permission_id in call.server.store.permissions.in_team(team_id, user_id):
        call.tell("team_permission.created", {"id": permission_id, "user_id": user_id, "team_id": team_id})
