"""What `Require` may demand beyond a full user: one small check for each, in the order in which they are made.

What the token alone tells comes first, so that a refusal for it costs no call of the auth server. A user whom a test
puts in place has no token to ask with; what only the auth server knows is not demanded of them.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

from starlette.requests import HTTPConnection

from fastapi_stackauth.dependencies.team_source import team_id_of
from fastapi_stackauth.errors import AuthError
from fastapi_stackauth.http.installed import Resolution
from fastapi_stackauth.models import User

PERMISSION_ID = re.compile(r"\$?[a-z0-9_:]{1,200}")  # contract/endpoints.json, `permission_id`

Told = tuple[tuple[str, Mapping[str, Any]], str]
"""For OpenAPI: a code with its details, and a sentence."""


class Wanted(Protocol):
    """What is demanded: the fields of `Require` that these checks read."""

    signed_in_within: timedelta | None
    permission: str | None
    team_permission: str | None
    team_member: str | None
    team: str | None


class Asked(NamedTuple):
    """Of whom, and in which request."""

    connection: HTTPConnection
    resolution: Resolution
    user: User

    @property
    def token(self) -> str | None:
        """What to ask with (see `Resolution.token`)."""
        return self.resolution.token


@dataclass(frozen=True)
class Demand:
    """One demand.

    Attributes:
        field: which field of `Require` makes it.
        documented: what OpenAPI says of it.
        refusal: what stands against a user, as far as the token alone tells.
        check: asks the auth server, and raises where it is not met.
        lasting: whether it must go on being met while a connection lasts (see `WatchSession`).
    """

    field: str
    documented: Callable[[Any], Told]
    refusal: Callable[[User], AuthError | None] | None = None
    check: Callable[[Any, Asked], Awaitable[None]] | None = None
    lasting: bool = False

    def made(self, wanted: object) -> bool:
        """Whether it is demanded at all."""
        return bool(getattr(wanted, self.field))


# --- what the token tells ---


def _verified_email(user: User) -> AuthError | None:
    return None if user.email_verified else AuthError("email_not_verified")


def _mfa(user: User) -> AuthError | None:
    return None if user.mfa_required else AuthError("mfa_enrolment_required")


# --- what the auth server knows ---


async def _live(_: Wanted, asked: Asked) -> None:
    if asked.token is not None:
        await asked.resolution.services.live_sessions.check(asked.token, asked.user)


async def _recent(wanted: Wanted, asked: Asked) -> None:
    if asked.token is not None and wanted.signed_in_within is not None:
        await asked.resolution.services.live_sessions.check_recent(asked.token, asked.user, wanted.signed_in_within)


async def _permission(wanted: Wanted, asked: Asked) -> None:
    if asked.token is not None and wanted.permission is not None:
        await asked.resolution.services.authorization.require_permission(asked.user, asked.token, wanted.permission)


async def _team_permission(wanted: Wanted, asked: Asked) -> None:
    if wanted.team is None or wanted.team_permission is None:
        return
    team_id = team_id_of(asked.connection, wanted.team, asked.user)
    if asked.token is not None:
        authorization = asked.resolution.services.authorization
        await authorization.require_team_permission(asked.user, asked.token, team_id, wanted.team_permission)


async def _team_member(wanted: Wanted, asked: Asked) -> None:
    if wanted.team_member is None:
        return
    team_id = team_id_of(asked.connection, wanted.team_member, asked.user)
    if asked.token is not None:
        await asked.resolution.services.authorization.require_member(asked.user, asked.token, team_id)


def _seconds(wanted: Wanted) -> int:
    return int(wanted.signed_in_within.total_seconds()) if wanted.signed_in_within else 0


DEMANDS: tuple[Demand, ...] = (
    Demand(
        "verified_email",
        lambda _: (("email_not_verified", {}), "The e-mail address must be verified."),
        refusal=_verified_email,
    ),
    Demand("mfa", lambda _: (("mfa_enrolment_required", {}), "A second factor must be switched on."), refusal=_mfa),
    Demand("live", lambda _: (("session_revoked", {}), "The session must still exist."), check=_live),
    Demand(
        "signed_in_within",
        lambda wanted: (
            ("reauthentication_required", {"max_age": _seconds(wanted)}),
            f"The sign-in must be younger than {_seconds(wanted)} seconds.",
        ),
        check=_recent,
    ),
    Demand(
        "permission",
        lambda wanted: (
            ("permission_missing", {"permission_id": wanted.permission}),
            f"Needs the permission `{wanted.permission}`.",
        ),
        check=_permission,
        lasting=True,
    ),
    Demand(
        "team_permission",
        lambda wanted: (
            ("permission_missing", {"permission_id": wanted.team_permission}),
            f"Needs the permission `{wanted.team_permission}` in the team (`{wanted.team}`).",
        ),
        check=_team_permission,
        lasting=True,
    ),
    Demand(
        "team_member",
        lambda wanted: (("permission_missing", {}), f"For members of the team (`{wanted.team_member}`)."),
        check=_team_member,
        lasting=True,
    ),
)
"""Every demand, in the order in which they are checked."""
