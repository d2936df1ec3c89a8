"""What a user may do, asked of the auth server and remembered for a short time (contract/endpoints.json, permissions).

A permission is checked by listing it, those that it is contained in included. With a secret key the app asks as the
server, else as the user; the answer is the same. What is remembered is of one user, and of one team where there is one.
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

_REMEMBERED = 10_000


class Question(NamedTuple):
    """What is asked about a user.

    Attributes:
        kind: a permission in the project or in a team, membership, or the team itself.
        user_id: about whom.
        team_id: in which team; empty for the project.
        permission: the permission's id; empty where none is asked for.
    """

    kind: Literal["project", "team", "member", "read"]
    user_id: str
    team_id: str = ""
    permission: str = ""


class Authorization:
    """Answers questions about users: one call of the auth server for all who ask at a time.

    Args:
        settings: `authorization_ttl`, and whether a secret key is there.
        client: asks the auth server.
        clock: unix time in seconds.
    """

    def __init__(self, settings: Settings, client: StackAuthClient, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._answers: Cache[Question, Any] = Cache(clock, size=_REMEMBERED)

    async def require_permission(self, user: User, token: str, permission: str) -> None:
        """Return where the user has a permission in the project.

        Raises:
            AuthError: 403 `permission_missing`, which names it.
            VerificationUnavailable, AuthServerMisconfigured: it cannot be said.
        """
        question = Question("project", user.id, permission=permission)
        if not await self._answer(question, token):
            raise AuthError("permission_missing", details={"permission_id": permission})

    async def require_team_permission(self, user: User, token: str, team_id: str, permission: str) -> None:
        """Return where the user has a permission in a team.

        Raises:
            AuthError: 403 `permission_missing`; 404 `team_not_found` for who is not in it, if the settings say so.
            VerificationUnavailable, AuthServerMisconfigured: it cannot be said.
        """
        if await self._answer(Question("team", user.id, team_id, permission), token):
            return
        if self._settings.unknown_team == "not_found":
            await self.require_member(user, token, team_id)
        raise AuthError("permission_missing", details={"permission_id": permission})

    async def require_member(self, user: User, token: str, team_id: str) -> None:
        """Return where the user is in a team.

        Raises:
            AuthError: 403 `permission_missing`, or 404 `team_not_found` if the settings say so.
            VerificationUnavailable, AuthServerMisconfigured: it cannot be said.
        """
        if not await self._answer(Question("member", user.id, team_id), token):
            raise self._not_in_team()

    async def team(self, user: User, token: str, team_id: str) -> Team:
        """A team of the user's.

        Raises:
            AuthError: 403 `permission_missing`, or 404 `team_not_found` if the settings say so.
            VerificationUnavailable, AuthServerMisconfigured: it cannot be said.
        """
        team: Team | None = await self._answer(Question("read", user.id, team_id), token)
        if team is None:
            raise self._not_in_team()
        return team

    def forget(self, *, user_id: str | None = None, team_id: str | None = None) -> None:
        """Forget what is known of a user, of a team, or of a user in a team."""
        self._answers.forget(
            lambda question, _: user_id in (None, question.user_id) and team_id in (None, question.team_id)
        )

    async def aclose(self) -> None:
        """Cancel the calls under way in the running loop."""
        await self._answers.aclose()

    def _not_in_team(self) -> AuthError:
        hidden = self._settings.unknown_team == "permission_missing"
        return AuthError("permission_missing" if hidden else "team_not_found")

    async def _answer(self, question: Question, token: str) -> Any:  # noqa: ANN401 - a yes or no, or a team
        if entry := self._answers.get(question):
            return entry.value
        try:
            return await self._answers.fetch(question, lambda: self._ask(question, token))
        except AuthServerError as error:
            raise require_rejection(error, self._client.events, "permission") from None

    async def _ask(self, question: Question, token: str) -> Entry[Any]:
        ask: dict[str, Callable[[Question, str], Awaitable[Any]]] = {
            "project": self._in_project,
            "team": self._in_team,
            "member": self._is_member,
            "read": self._read,
        }
        answer = await ask[question.kind](question, token)
        return Entry(answer, self._clock() + self._settings.authorization_ttl)

    # --- the calls ---

    def _asker(self, question: Question, token: str) -> tuple[StackAuthClient, str]:
        """Who asks about whom: the app about the user where it has a secret key, else the user about themselves."""
        if self._settings.secret_server_key:
            return self._client.as_server(), question.user_id
        return self._client.as_user(token), "me"

    async def _in_project(self, question: Question, token: str) -> bool:
        client, user_id = self._asker(question, token)
        return await client.project_permissions.check(question.permission, user_id=user_id)

    async def _in_team(self, question: Question, token: str) -> bool:
        client, user_id = self._asker(question, token)
        return bool(
            await _or_none(
                client.team_permissions.check(question.permission, team_id=question.team_id, user_id=user_id)
            )
        )

    async def _is_member(self, question: Question, token: str) -> bool:
        client, user_id = self._asker(question, token)
        return await _or_none(client.team_members.get(question.team_id, user_id)) is not None

    async def _read(self, question: Question, token: str) -> Team | None:
        if not await self._is_member(question, token):
            return None
        team: Team | None = await _or_none(self._asker(question, token)[0].teams.get(question.team_id))
        return team and team.as_members_see()


async def _or_none(answer: Awaitable[Any]) -> Any:  # noqa: ANN401 - whatever the call yields
    """Return the answer, or None if the server says that there is no such team or member."""
    try:
        return await answer
    except AuthServerError as error:
        if is_absent(error):
            return None
        raise
