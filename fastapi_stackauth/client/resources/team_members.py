"""Members of teams (contract/endpoints.json, areas `team-memberships`, `team-member-profiles`)."""

from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import ME, Done, Resource, build_query
from fastapi_stackauth.models import TeamMemberProfile, TeamMemberProfileUpdate, TeamMembership

_MEMBERSHIP = "/team-memberships/{team_id}/{user_id}"
_PROFILE = "/team-member-profiles/{team_id}/{user_id}"


class TeamMembersApi(Resource):
    """The members of a team and their profiles in it.

    Methods may raise SignInRequired, UserNotFound and PermissionMissing. If there is no such team or the user is not a
    member, they raise TeamNotFound.
    """

    async def add(self, team_id: str, user_id: str) -> TeamMembership:
        """Add a user to a team, as server.

        Raises:
            UserNotFound: There is no such user.
            TeamNotFound: There is no such team, or the user is not in it.
            KnownApiError: `TEAM_MEMBERSHIP_ALREADY_EXISTS`.
        """
        request = ApiRequest("POST", _MEMBERSHIP, (team_id, user_id), json={}, rights="server")
        return await self._client.fetch(request, TeamMembership)

    async def remove(self, team_id: str, user_id: str = ME) -> None:
        """Remove a member from a team. To remove anyone but yourself, you need the permission `$remove_members`."""
        await self._client.fetch(ApiRequest("DELETE", _MEMBERSHIP, (team_id, user_id)), Done)

    async def list(self, team_id: str | None = None, *, user_id: str | None = None) -> tuple[TeamMemberProfile, ...]:
        """List the profiles of the members of a team. As server, pass None for those of all teams.

        Raises:
            PermissionMissing: `$read_members`.
            UnexpectedResponse: The server rejects a value.
        """
        params = build_query(team_id=team_id, user_id=user_id)
        return await self._list(ApiRequest("GET", "/team-member-profiles", params=params), Page[TeamMemberProfile])

    async def get(self, team_id: str, user_id: str = ME) -> TeamMemberProfile:
        """Return the profile of one member."""
        return await self._client.fetch(ApiRequest("GET", _PROFILE, (team_id, user_id)), TeamMemberProfile)

    async def update(self, team_id: str, change: TeamMemberProfileUpdate, user_id: str = ME) -> TeamMemberProfile:
        """Change the profile of the client's user in a team.

        Raises:
            TeamNotFound: There is no such team, or the user is not in it.
            SignInRequired: No user is signed in.
            UnexpectedResponse: Status 403: the profile belongs to another member.
        """
        request = ApiRequest("PATCH", _PROFILE, (team_id, user_id), json=change)
        return await self._client.fetch(request, TeamMemberProfile)
