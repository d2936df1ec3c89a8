"""Shared parts of the team routes: ids in paths, errors, and the caches that every worker clears after a change."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, Path
from pydantic import AfterValidator

from fastapi_stackauth.dependencies import Require
from fastapi_stackauth.errors import AuthError, AuthServerError, AuthServerUnavailable
from fastapi_stackauth.models import User
from fastapi_stackauth.routers.plumbing.context import RouteContext
from fastapi_stackauth.routers.plumbing.inputs import RequestBody, Uuid

TEAM_ID = "9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11"
USER_ID = "f7383500-3cc7-45ea-b3c1-50d16bdbdf35"

# The auth server ignores the case of ids, and caches here do not.
TeamId = Annotated[Uuid, AfterValidator(str.lower), Path(description="The team's id.")]
MemberId = Annotated[Uuid, AfterValidator(str.lower), Path(description="The member's user id.")]

FullUser = Annotated[User, Depends(Require())]
"""A user who is neither anonymous nor restricted."""

NOT_IN_TEAM = "TEAM_MEMBERSHIP_NOT_FOUND"
"""There is no such team, or the user is not in it; the auth server does not say which."""


def permission_missing(permission_id: str, team_id: str) -> AuthError:
    """Return the error for a member without a permission."""
    return AuthError("permission_missing", details={"permission_id": permission_id, "team_id": team_id})


def needs_permission(permission_id: str) -> AuthError:
    """Return the error of a route whose caller needs a permission, for OpenAPI."""
    return permission_missing(permission_id, TEAM_ID)


def changed_fields(body: RequestBody) -> dict[str, Any]:
    """Return the fields that a body sets. A name that is null, such as an empty field of a form, changes nothing."""
    fields = body.model_dump(exclude_unset=True)
    return {name: value for name, value in fields.items() if name != "display_name" or value is not None}


@asynccontextmanager
async def changing(
    context: RouteContext, *, team_id: str, user_id: str = "", doubtful: tuple[type[AuthServerError], ...] = ()
) -> AsyncIterator[None]:
    """Wrap a change of a team, or of a user in a team: every worker then forgets what it has cached about them.

    They forget nothing after a rejected change: otherwise a stranger could keep the caches of any team empty.

    Args:
        context: the request's.
        team_id: the team.
        user_id: the user in the team; all of its members if it is empty.
        doubtful: errors after which the change may have been made, in addition to those of an unavailable auth server.
    """
    unclear: tuple[type[AuthServerError], ...] = (AuthServerUnavailable, *doubtful)
    try:
        yield
    except unclear:
        await context.services.revocations.forget(user_id=user_id, team_id=team_id)
        raise
    await context.services.revocations.forget(user_id=user_id, team_id=team_id)
