"""Teams (contract/endpoints.json, area `teams`).

Only client access makes the server check what a member may do; so users' requests are always made as ``client``.
"""

from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import ME, Done, Resource, build_query
from fastapi_stackauth.models import Team, TeamCreate, TeamUpdate

_ALL = "/teams"
_ONE = "/teams/{team_id}"


class TeamsApi(Resource):
    """Teams of the user this client is bound to; as server, all teams.

    Methods raise SignInRequired, and TeamNotFound if there is no such team or the user is not a member.
    """

    async def list(self, user_id: str | None = ME) -> tuple[Team, ...]:
        """List a user's teams, oldest first; with None, as server, all teams.

        Raises:
            SignInRequired: no user is signed in.
            UnexpectedResponse: 403, another user's teams.
        """
        return await self._list(ApiRequest("GET", _ALL, params=build_query(user_id=user_id)), Page[Team])

    async def create(self, team: TeamCreate) -> Team:
        """Create a team; the user this client is bound to becomes its first member.

        Raises:
            SignInRequired: no user is signed in.
            UserNotFound: the creator does not exist.
            UnexpectedResponse: 400 or 403, the project does not let its users create teams, or rejects a value.
        """
        return await self._client.fetch(ApiRequest("POST", _ALL, json=team), Team)

    async def get(self, team_id: str) -> Team:
        """Return a team."""
        return await self._client.fetch(ApiRequest("GET", _ONE, (team_id,)), Team)

    async def update(self, team_id: str, change: TeamUpdate) -> Team:
        """Change a team.

        Raises:
            PermissionMissing: `$update_team`.
            UnexpectedResponse: 400, the server rejects a value.
        """
        return await self._client.fetch(ApiRequest("PATCH", _ONE, (team_id,), json=change), Team)

    async def delete(self, team_id: str) -> None:
        """Delete a team.

        Raises:
            PermissionMissing: `$delete_team`.
        """
        await self._client.fetch(ApiRequest("DELETE", _ONE, (team_id,)), Done)
