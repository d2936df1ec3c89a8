"""Teams (contract/endpoints.json, area `teams`).

What a member may do, the server judges for client access alone; so a person's calls are always made as ``client``.
"""

from fastapi_stackauth.client.calls import Call, Rights, path_of
from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.resources.base import ME, Done, Family, given
from fastapi_stackauth.models import ApiRequestBody, Team, TeamCreate, TeamUpdate

_ALL = "/teams"
_ONE = "/teams/{team_id}"


class TeamsApi(Family):
    """Teams of the user this client is bound to; as server, all teams."""

    async def list(self, user_id: str | None = ME) -> tuple[Team, ...]:
        """The teams of a user, oldest first; with None, as server, all teams.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            UnexpectedAnswer: 403, somebody else's teams.
            AuthServerError: any other failure.
        """
        return await self._list(Call("GET", _ALL, params=given(user_id=user_id)), Page[Team])

    async def create(self, team: TeamCreate) -> Team:
        """Make a team; the user this client is bound to becomes its first member.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            UserNotFound: the creator does not exist.
            UnexpectedAnswer: 400 or 403, the project does not let its users make teams, or a value is refused.
            AuthServerError: any other failure.
        """
        return await self._client.call(Call("POST", _ALL, json=team.to_json(), rights=_rights(team)), Team)

    async def get(self, team_id: str) -> Team:
        """A team.

        Raises:
            TeamNotFound: there is none, or it is none of the user's.
            UserGone: no user is signed in, or the account was deleted.
            AuthServerError: any other failure.
        """
        return await self._client.call(Call("GET", *path_of(_ONE, team_id=team_id)), Team)

    async def update(self, team_id: str, change: TeamUpdate) -> Team:
        """Change a team.

        Raises:
            PermissionMissing: the user lacks `$update_team`.
            TeamNotFound: there is none, or it is none of the user's.
            UserGone: no user is signed in, or the account was deleted.
            UnexpectedAnswer: 400, a value is refused.
            AuthServerError: any other failure.
        """
        path = path_of(_ONE, team_id=team_id)
        return await self._client.call(Call("PATCH", *path, json=change.to_json(), rights=_rights(change)), Team)

    async def delete(self, team_id: str) -> None:
        """Delete a team.

        Raises:
            PermissionMissing: the user lacks `$delete_team`.
            TeamNotFound: there is none, or it is none of the user's.
            UserGone: no user is signed in, or the account was deleted.
            AuthServerError: any other failure.
        """
        await self._client.call(Call("DELETE", *path_of(_ONE, team_id=team_id)), Done)


def _rights(change: ApiRequestBody) -> Rights:
    return "server" if change.server_only else "person"
