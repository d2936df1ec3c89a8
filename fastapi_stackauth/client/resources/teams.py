"""Teams (contract/endpoints.json, area `teams`).

The server checks what a member may do only for client access, so requests for a user are always sent as ``client``.
"""

from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import ME, Done, Resource, build_query
from fastapi_stackauth.models import Team, TeamCreate, TeamUpdate

_ALL = "/teams"
_ONE = "/teams/{team_id}"


class TeamsApi(Resource):
    """The teams of the client's user or, as server, all teams.

    Methods may raise SignInRequired. If there is no such team or the user is not a member, they raise TeamNotFound.
    """

    async def list(self, user_id: str | None = ME) -> tuple[Team, ...]:
        """List a user's teams, oldest first. As server, pass None for all teams.

        Raises:
            SignInRequired: No user is signed in.
            UnexpectedResponse: Status 403: the teams belong to another user.
        """
        return await self._list(ApiRequest("GET", _ALL, params=build_query(user_id=user_id)), Page[Team])

    async def create(self, team: TeamCreate) -> Team:
        """Create a team. The client's user becomes its first member.

        Raises:
            SignInRequired: No user is signed in.
            UserNotFound: The creator does not exist.
            UnexpectedResponse: Status 400 or 403: the project does not let users create teams, or the server rejects a
                value.
        """
        return await self._client.fetch(ApiRequest("POST", _ALL, json=team), Team)

    async def get(self, team_id: str) -> Team:
        """Return a team."""
        return await self._client.fetch(ApiRequest("GET", _ONE, (team_id,)), Team)

    async def update(self, team_id: str, change: TeamUpdate) -> Team:
        """Change a team.

        Raises:
            PermissionMissing: `$update_team`.
            UnexpectedResponse: Status 400: the server rejects a value.
        """
        return await self._client.fetch(ApiRequest("PATCH", _ONE, (team_id,), json=change), Team)

    async def delete(self, team_id: str) -> None:
        """Delete a team.

        Raises:
            PermissionMissing: `$delete_team`.
        """
        await self._client.fetch(ApiRequest("DELETE", _ONE, (team_id,)), Done)
