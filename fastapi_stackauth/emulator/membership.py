"""What somebody may do in a team: being in it, and having been granted a permission there.

Law: the server and the admin may do everything; a client's user must be a member first, and have the permission then.
"""

from .errors import KnownError
from .store.database import Row
from .wire import Call


def existing_team(call: Call, team_id: str) -> Row:
    """Return a team of the project, or refuse."""
    team = call.server.store.teams.get(call.project.id, team_id)
    if team is None:
        raise KnownError("TEAM_NOT_FOUND", team_id=team_id)
    return team


def required_user(call: Call) -> Row:
    """Return the user whom a client speaks for, or refuse."""
    if call.user is None:
        raise KnownError("USER_AUTHENTICATION_REQUIRED")
    return call.user


def required_membership(call: Call, team_id: str, user_id: str) -> Row:
    """Return a user's membership, or refuse; a team that does not exist is refused alike."""
    team = call.server.store.teams.get(call.project.id, team_id)
    membership = team and call.server.store.teams.membership(team["id"], user_id)
    if membership is None:
        raise KnownError("TEAM_MEMBERSHIP_NOT_FOUND", team_id=team_id, user_id=user_id)
    return membership


def may(call: Call, team_id: str, user_id: str, permission_id: str) -> bool:
    """Return whether a member has a permission, be it by one that contains it."""
    permissions = call.server.store.permissions
    return permission_id in permissions.with_contained(call.project.id, permissions.in_team(team_id, user_id))


def required_permission(call: Call, team_id: str, user: Row, permission_id: str) -> None:
    """Refuse who is not in the team, or lacks a permission there."""
    required_membership(call, team_id, user["id"])
    if not may(call, team_id, user["id"], permission_id):
        details = {"team_id": team_id, "user_id": user["id"], "permission_id": permission_id}
        raise KnownError("TEAM_PERMISSION_REQUIRED", **details)


def join(call: Call, team: Row, user_id: str, permission_id: str) -> None:
    """Put a user into a team with a first permission, where the project defines it.

    Raises:
        sqlite3.IntegrityError: they are in it already.
    """
    store = call.server.store
    with store.transaction():
        store.teams.join(team["id"], user_id)
        if store.permissions.definition(call.project.id, permission_id) is not None:
            store.permissions.grant_in_team(team["id"], user_id, permission_id)


def tell_joined(call: Call, team_id: str, user_id: str) -> None:
    """Tell that somebody joined a team, and then of what they may do there by that."""
    call.tell("team_membership.created", {"team_id": team_id, "user_id": user_id})
    for permission_id in call.server.store.permissions.in_team(team_id, user_id):
        call.tell("team_permission.created", {"id": permission_id, "user_id": user_id, "team_id": team_id})
