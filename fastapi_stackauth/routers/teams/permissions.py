"""Grant and revoke permissions in a team. These routes are only mounted with `Grants`, and act as the server.

Law: all checks use current data from the auth server and come before the change. If a check fails, the response is 403
or 404, and nothing changes. The checks run before the team is claimed, so that a stranger cannot claim it, and again
afterwards. The caller must have a live session of a full user, and must have `Grants.by` and the permission itself in
this team. The permission must be grantable, the other user must be a member, and the last member with `Grants.by` never
loses it.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, Path

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.dependencies import Require
from fastapi_stackauth.errors import (
    AuthError,
    KnownApiError,
    PermissionMissing,
    UserNotFound,
    VerificationUnavailable,
)
from fastapi_stackauth.models import TeamPermission, User
from fastapi_stackauth.routers.plumbing.context import Context, RouteContext, UserClient, check_full_user
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.routers.teams.grants import Grants
from fastapi_stackauth.routers.teams.shared import (
    NOT_IN_TEAM,
    TEAM_ID,
    USER_ID,
    MemberId,
    TeamId,
    changing,
    needs_permission,
    permission_missing,
)
from fastapi_stackauth.runtime.storage import needing_storage
from fastapi_stackauth.startup.configuration import needs

routes = Routes("team permissions", feature="permissions")

GrantingUser = Annotated[User, Depends(Require(live=True))]
PermissionId = Annotated[str, Path(pattern=r"^\$?[a-z0-9_:]{1,200}$", description="The permission's id.")]

_PATH = "/teams/{team_id}/members/{user_id}/permissions/{permission_id}"
_NOT_HELD = KnownApiError.of("TEAM_PERMISSION_NOT_FOUND", 404, {"permission_id": "notes:delete", "team_id": TEAM_ID})
_ERRORS = (NOT_IN_TEAM, needs_permission("team_admin"))
_LOCK_SECONDS = 60.0
_LOCK_ATTEMPTS, _LOCK_PAUSE = 20, 0.1


@routes.post(
    _PATH,
    "Grant a member a permission",
    errors=(*_ERRORS, "PERMISSION_NOT_FOUND", "WRONG_PERMISSION_SCOPE"),
    example={"id": "notes:delete", "user_id": USER_ID, "team_id": TEAM_ID},
    status_code=201,
    needs_redis=True,
)
@needs("project_id", "secret_server_key")
async def team_permissions_grant(
    team_id: TeamId,
    user_id: MemberId,
    permission_id: PermissionId,
    context: Context,
    user: GrantingUser,
    client: UserClient,
) -> TeamPermission:
    """Grant a member of a team a permission that you have in the team yourself. Repeating this has no effect.

    The app decides which permissions can be granted, and which permission you need to grant them.
    """
    await _authorize(context, user, client, team_id, user_id, permission_id)
    async with _one_at_a_time(context, team_id):
        server = await _authorize(context, user, client, team_id, user_id, permission_id)
        async with changing(context, team_id=team_id, user_id=user_id):
            return await server.team_permissions.grant(permission_id, team_id=team_id, user_id=user_id)


@routes.delete(
    _PATH,
    "Revoke a member's permission",
    errors=(*_ERRORS, _NOT_HELD, AuthError("last_permission_holder")),
    needs_redis=True,
)
@needs("project_id", "secret_server_key")
async def team_permissions_revoke(
    team_id: TeamId,
    user_id: MemberId,
    permission_id: PermissionId,
    context: Context,
    user: GrantingUser,
    client: UserClient,
) -> None:
    """Revoke a member's permission in a team. The member keeps it if another of their permissions contains it.

    You need the same permissions as for granting it.
    """
    await _authorize(context, user, client, team_id, user_id, permission_id)
    async with _one_at_a_time(context, team_id):
        server = await _authorize(context, user, client, team_id, user_id, permission_id)
        await _check_other_holders(server, _grants(context).by, team_id, user_id, permission_id)
        async with changing(context, team_id=team_id, user_id=user_id):
            try:
                await server.team_permissions.revoke(permission_id, team_id=team_id, user_id=user_id)
            except PermissionMissing:
                details = {"permission_id": permission_id, "team_id": team_id}
                raise KnownApiError.of("TEAM_PERMISSION_NOT_FOUND", 404, details) from None


def _grants(context: RouteContext) -> Grants:
    grants = context.mount.grants
    assert grants is not None  # noqa: S101 - these routes are only mounted with `Grants`
    return grants


async def _authorize(
    context: RouteContext, user: User, client: StackAuthClient, team_id: str, user_id: str, permission_id: str
) -> StackAuthClient:
    """Check that a user may grant or revoke a member's permission, and return the client for the change.

    Raises:
        AuthError: 403: The user may not do this.
        TeamNotFound: 404: The other user is not a member.
    """
    grants = _grants(context)
    if permission_id not in grants.grantable:
        raise permission_missing(permission_id, team_id)
    await check_full_user(client)
    granted = await client.team_permissions.list(team_id=team_id, recursive=True)
    held = {each.id for each in granted if each.team_id == team_id and each.user_id == user.id}
    for permission in (grants.by, permission_id):
        if permission not in held:
            raise permission_missing(permission, team_id)
    server = context.client.as_server()
    try:
        await server.team_members.get(team_id, user_id)
    except UserNotFound:  # this is not about the caller, who stays signed in
        raise KnownApiError.of(NOT_IN_TEAM) from None
    return server


async def _check_other_holders(
    server: StackAuthClient, by: str, team_id: str, user_id: str, permission_id: str
) -> None:
    """Reject a change that might revoke `by` from the last member who has it.

    That member is certain to keep it only if it was granted directly and is not the permission to revoke, because only
    an admin can see which permissions contain it.

    Raises:
        AuthError: 403 `last_permission_holder`.
    """
    holders = await server.team_permissions.list(team_id=team_id, user_id=None, permission_id=by, recursive=True)
    if any(each.user_id != user_id and each.team_id == team_id for each in holders):
        return
    granted = await server.team_permissions.list(team_id=team_id, user_id=user_id)
    if permission_id == by or by not in {each.id for each in granted}:
        raise AuthError("last_permission_holder")


@asynccontextmanager
async def _one_at_a_time(context: RouteContext, team_id: str) -> AsyncIterator[None]:
    """Allow only one change at a time in a team, including its checks.

    Otherwise the last two members with `by` could revoke it from each other concurrently, or a member could grant a
    permission while losing it.

    Raises:
        VerificationUnavailable: Other changes take too long, or Redis is unavailable. Try again later.
    """
    storage, claim = context.services.storage, f"team-grants:{team_id}"
    for attempt in range(_LOCK_ATTEMPTS):
        if attempt:
            await asyncio.sleep(_LOCK_PAUSE)
        with needing_storage():
            if await storage.add(claim, _LOCK_SECONDS):
                break
    else:
        raise VerificationUnavailable(retry_after=1.0)
    expires_at = time.monotonic() + _LOCK_SECONDS
    try:
        yield
    finally:
        if time.monotonic() < expires_at:  # after this time, another request may have claimed the team
            await storage.remove(claim)
