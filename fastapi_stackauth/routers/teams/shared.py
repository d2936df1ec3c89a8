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

# The auth server ignores the case of ids, but the caches do not.
TeamId = Annotated[Uuid, AfterValidator(str.lower), Path(description="The team's id.")]
MemberId = Annotated[Uuid, AfterValidator(str.lower), Path(description="The member's user id.")]

FullUser = Annotated[User, Depends(Require())]
"""A user who is neither anonymous nor restricted."""

NOT_IN_TEAM = "TEAM_MEMBERSHIP_NOT_FOUND"
"""There is no such team, or the user is not a member. The auth server does not distinguish them."""


def permission_missing(permission_id: str, team_id: str) -> AuthError:
    """Return the error for a member without a permission."""
    return AuthError("permission_missing", details={"permission_id": permission_id, "team_id": team_id})


def needs_permission(permission_id: str) -> AuthError:
    """Return the error of a route that needs a permission, for OpenAPI."""
    return permission_missing(permission_id, TEAM_ID)


def changed_fields(body: RequestBody) -> dict[str, Any]:
    """Return the fields that a body sets. A name that is null, such as an empty field of a form, changes nothing."""
    fields = body.model_dump(exclude_unset=True)
    return {name: value for name, value in fields.items() if name != "display_name" or value is not None}


@asynccontextmanager
async def changing(
    context: RouteContext, *, team_id: str, user_id: str = "", doubtful: tuple[type[AuthServerError], ...] = ()
) -> AsyncIterator[None]:
    """Wrap a change to a team or to a user in a team. Afterwards, every worker drops its cached data about them.

    They keep the data after a rejected change. Otherwise a stranger could keep the caches of any team empty.

    Args:
        context: The context of the request.
        team_id: The id of the team.
        user_id: The id of the user. Empty means all members of the team.
        doubtful: Errors after which the change may have been made, in addition to those of an unavailable auth server.
    """
    unclear: tuple[type[AuthServerError], ...] = (AuthServerUnavailable, *doubtful)
    try:
        yield
    except unclear:
        await context.services.revocations.forget(user_id=user_id, team_id=team_id)
        raise
    await context.services.revocations.forget(user_id=user_id, team_id=team_id)
