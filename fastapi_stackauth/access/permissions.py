"""Check and cache the permissions of users at the auth server (contract/endpoints.json, permissions).

The library checks a permission by listing it, which takes permissions that contain it into account. It calls the auth
server as the server if there is a secret key, else as the user. The result is the same.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import AuthError, AuthServerError
from fastapi_stackauth.models import Team, User
from fastapi_stackauth.runtime.cache import Cache, Entry
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.rejections import is_absent, require_rejection

_SIZE = 10_000


class Question(NamedTuple):
    """A check of a permission, a membership or a team. `team_id` is empty for a permission in the project."""

    kind: Literal["project", "team", "member", "read"]
    user_id: str
    team_id: str = ""
    permission: str = ""


class Authorization:
    """Checks what users may do and caches the results. Concurrent checks share a call.

    Every check raises VerificationUnavailable if the auth server is unavailable, and AuthServerMisconfigured if it
    rejects this app. If the user is not in the team, it raises AuthError: 403 `permission_missing`, or 404
    `team_not_found`, depending on the setting `unknown_team`.

    Args:
        settings: `authorization_ttl`, `unknown_team` and the secret key, if there is one.
        client: Calls the auth server.
        clock: Unix time in seconds.
    """

    def __init__(self, settings: Settings, client: StackAuthClient, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._answers: Cache[Question, Any] = Cache(clock, size=_SIZE)

    async def require_permission(self, user: User, token: str, permission: str) -> None:
        """Require a permission in the project.

        Raises:
            AuthError: 403 `permission_missing`, with the permission's id.
        """
        if not await self._answer(Question("project", user.id, permission=permission), token):
            raise AuthError("permission_missing", details={"permission_id": permission})

    async def require_team_permission(self, user: User, token: str, team_id: str, permission: str) -> None:
        """Require a permission in a team.

        Raises:
            AuthError: 403 `permission_missing`, with the permission's id. If the user is not a member and the setting
                `unknown_team` is ``not_found``, 404 `team_not_found`.
        """
        if await self._answer(Question("team", user.id, team_id, permission), token):
            return
        if self._settings.unknown_team == "not_found":
            await self.require_member(user, token, team_id)
        raise AuthError("permission_missing", details={"permission_id": permission})

    async def require_member(self, user: User, token: str, team_id: str) -> None:
        """Check that the user is in a team."""
        if not await self._answer(Question("member", user.id, team_id), token):
            raise self._not_in_team()

    async def team(self, user: User, token: str, team_id: str) -> Team:
        """Return a team of which the user is a member."""
        team: Team | None = await self._answer(Question("read", user.id, team_id), token)
        if team is None:
            raise self._not_in_team()
        return team

    def forget(self, *, user_id: str | None = None, team_id: str | None = None) -> None:
        """Drop the cached data of a user, a team, or a user in a team. The case of ids does not matter."""
        user, team = (user_id and user_id.lower(), team_id and team_id.lower())
        self._answers.forget(
            lambda question, _: user in (None, question.user_id.lower()) and team in (None, question.team_id.lower())
        )

    async def aclose(self) -> None:
        """Cancel the calls that run in this event loop."""
        await self._answers.aclose()

    def _not_in_team(self) -> AuthError:
        hidden = self._settings.unknown_team == "permission_missing"
        return AuthError("permission_missing" if hidden else "team_not_found")

    async def _answer(self, question: Question, token: str) -> Any:  # noqa: ANN401 - a bool or a team
        if entry := self._answers.get(question):
            return entry.value
        with self._client.events.span("stackauth.permission") as span:
            span.set("stackauth.question", question.kind)
            span.set("stackauth.permission", question.permission or None)
            try:
                answer = await self._answers.fetch(question, lambda: self._load(question, token))
            except AuthServerError as error:
                raise require_rejection(error, self._client.events, "permission") from None
            span.set("stackauth.granted", bool(answer))
            return answer

    async def _load(self, question: Question, token: str) -> Entry[Any]:
        kind, user_id, team_id, permission = question
        if self._settings.secret_server_key:
            client = self._client.as_server()
        else:
            client, user_id = self._client.as_user(token), "me"
        answer: Any
        if kind == "project":
            answer = await client.project_permissions.check(permission, user_id=user_id)
        elif kind == "team":
            check = client.team_permissions.check(permission, team_id=team_id, user_id=user_id)
            answer = bool(await _or_none(check))
        else:
            answer = await _or_none(client.team_members.get(team_id, user_id)) is not None
            if kind == "read":
                team: Team | None = await _or_none(client.teams.get(team_id)) if answer else None
                answer = team and team.as_members_see()
        return Entry(answer, self._clock() + self._settings.authorization_ttl)


async def _or_none(answer: Awaitable[Any]) -> Any:  # noqa: ANN401 - the result of the call
    """Return the result, or None if there is no such team or member."""
    try:
        return await answer
    except AuthServerError as error:
        if is_absent(error):
            return None
        raise
