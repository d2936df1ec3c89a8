"""The requirements of `Require`, each with its check, in order.

Checks that only need the token come first, because they need no call to the auth server. If a test overrides the user,
there is no token, so the library skips the checks that call the auth server.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from starlette.requests import HTTPConnection

from fastapi_stackauth.dependencies.team_source import check_source, find_team_id
from fastapi_stackauth.errors import AuthError, ConfigurationError
from fastapi_stackauth.http.installed import Resolution
from fastapi_stackauth.models import User

PERMISSION_ID = re.compile(r"\$?[a-z0-9_:]{1,200}")  # contract/endpoints.json, `permission_id`


@dataclass(frozen=True, kw_only=True, eq=False)
class RequirementFields:
    """The requirements as fields. `Require` documents them."""

    verified_email: bool = False
    mfa: bool = False
    live: bool = False
    max_age: timedelta | None = None
    permission: str | None = None
    team_permission: str | None = None
    team_member: str | None = None
    team: str | None = None
    allow_api_key: bool = False

    def check_fields(self) -> None:
        """Reject invalid requirements and combinations of them.

        Raises:
            ConfigurationError: A requirement is not valid. The message names the field.
        """
        for name in ("permission", "team_permission"):
            wanted = getattr(self, name)
            if wanted is not None and not (isinstance(wanted, str) and PERMISSION_ID.fullmatch(wanted)):
                raise ConfigurationError(
                    f"{name} must be the id of a permission: lowercase letters, digits, : and _; got {wanted!r}."
                )
        for source in (self.team, self.team_member):
            if source is not None:
                check_source(source)
        age: object = self.max_age
        if age is not None and not (isinstance(age, timedelta) and age > timedelta(0)):
            raise ConfigurationError(
                f"max_age must be a timedelta longer than zero; got {age!r}. Write max_age=timedelta(minutes=10)."
            )
        if self.allow_api_key and (self.live or age is not None):
            raise ConfigurationError(
                "allow_api_key cannot be combined with live or max_age, because a key has no session. "
                "Remove one of them."
            )
        if (self.team_permission is None) != (self.team is None):
            raise ConfigurationError(
                "team_permission and team need each other: write "
                'Require(team_permission="posts:delete", team="team_id").'
            )


class RequirementContext(NamedTuple):
    """The request and the user for which a requirement is checked."""

    connection: HTTPConnection
    resolution: Resolution
    user: User


class RequirementDoc(NamedTuple):
    """The documentation of a requirement in OpenAPI."""

    code: str
    sentence: str
    details: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Requirement:
    """A requirement.

    Attributes:
        field: The field that states it.
        document: Returns its documentation in OpenAPI.
        find_error: Returns the error for a user, judged only by the token.
        check: Calls the auth server, and raises if the requirement is not met.
        lasting: Whether a `WatchSession` checks it repeatedly during a connection.
    """

    field: str
    document: Callable[[Any], RequirementDoc]
    find_error: Callable[[User], AuthError | None] | None = None
    check: Callable[[Any, RequirementContext, str | None], Awaitable[None]] | None = None
    lasting: bool = False


def _find_email_error(user: User) -> AuthError | None:
    return None if user.email_verified else AuthError("email_not_verified")


def _find_mfa_error(user: User) -> AuthError | None:
    return None if user.mfa_required else AuthError("mfa_enrollment_required")


async def _check_live(_: RequirementFields, context: RequirementContext, token: str | None) -> None:
    if context.resolution.by_resource_token:  # there is no session to look up
        raise AuthError("session_revoked")
    if token is not None:
        await context.resolution.services.live_sessions.check(token, context.user)


async def _check_recent(fields: RequirementFields, context: RequirementContext, token: str | None) -> None:
    if fields.max_age is None:
        return
    if context.resolution.by_resource_token:  # the time of the user's sign-in is unknown
        raise AuthError("reauthentication_required", details={"max_age": int(fields.max_age.total_seconds())})
    if token is not None:
        await context.resolution.services.live_sessions.check_recent(token, context.user, fields.max_age)


async def _check_permission(fields: RequirementFields, context: RequirementContext, token: str | None) -> None:
    if token is not None and fields.permission is not None:
        await context.resolution.services.authorization.require_permission(context.user, token, fields.permission)


async def _check_team_permission(fields: RequirementFields, context: RequirementContext, token: str | None) -> None:
    if fields.team is None or fields.team_permission is None:
        return
    team_id = find_team_id(context.connection, fields.team, context.user)
    if token is not None:
        authorization = context.resolution.services.authorization
        await authorization.require_team_permission(context.user, token, team_id, fields.team_permission)


async def _check_team_member(fields: RequirementFields, context: RequirementContext, token: str | None) -> None:
    if fields.team_member is None:
        return
    team_id = find_team_id(context.connection, fields.team_member, context.user)
    if token is not None:
        await context.resolution.services.authorization.require_member(context.user, token, team_id)


def _document_age(fields: RequirementFields) -> RequirementDoc:
    seconds = int(fields.max_age.total_seconds()) if fields.max_age else 0
    sentence = f"The user must have signed in within the last {seconds} seconds."
    return RequirementDoc("reauthentication_required", sentence, {"max_age": seconds})


def _document_permission(fields: RequirementFields) -> RequirementDoc:
    sentence = f"Requires the permission `{fields.permission}`."
    return RequirementDoc("permission_missing", sentence, {"permission_id": fields.permission})


def _document_team_permission(fields: RequirementFields) -> RequirementDoc:
    sentence = f"Requires the permission `{fields.team_permission}` in the team (`{fields.team}`)."
    return RequirementDoc("permission_missing", sentence, {"permission_id": fields.team_permission})


_EMAIL_DOC = RequirementDoc("email_not_verified", "The email address must be verified.")
_MFA_DOC = RequirementDoc("mfa_enrollment_required", "Two-factor authentication must be enabled.")
_LIVE_DOC = RequirementDoc("session_revoked", "The session must still exist.")

REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement("verified_email", lambda _: _EMAIL_DOC, find_error=_find_email_error),
    Requirement("mfa", lambda _: _MFA_DOC, find_error=_find_mfa_error),
    Requirement("live", lambda _: _LIVE_DOC, check=_check_live),
    Requirement("max_age", _document_age, check=_check_recent),
    Requirement("permission", _document_permission, check=_check_permission, lasting=True),
    Requirement("team_permission", _document_team_permission, check=_check_team_permission, lasting=True),
    Requirement(
        "team_member",
        lambda fields: RequirementDoc("permission_missing", f"For members of the team (`{fields.team_member}`)."),
        check=_check_team_member,
        lasting=True,
    ),
)
"""Every requirement, in the order of the checks."""
