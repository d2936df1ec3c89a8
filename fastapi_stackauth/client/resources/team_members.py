"""Members of teams (contract/endpoints.json, areas `team-memberships`, `team-member-profiles`)."""

from fastapi_stackauth.client.calls import Call, path_of
from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.resources.base import ME, Done, Family, given
from fastapi_stackauth.models import TeamMemberProfile, TeamMemberProfileUpdate, TeamMembership

_MEMBERSHIP = "/team-memberships/{team_id}/{user_id}"
_PROFILE = "/team-member-profiles/{team_id}/{user_id}"


class TeamMembersApi(Family):
    """Who is a member of a team, and how they appear there."""

    async def add(self, team_id: str, user_id: str) -> TeamMembership:
        """Make a user a member, as server.

        Raises:
            UserNotFound, TeamNotFound, `TEAM_MEMBERSHIP_ALREADY_EXISTS`, AuthServerError.
        """
        path = path_of(_MEMBERSHIP, team_id=team_id, user_id=user_id)
        return await self._client.call(Call("POST", *path, json={}, rights="server"), TeamMembership)

    async def remove(self, team_id: str, user_id: str = ME) -> None:
        """End a membership; one's own, others' with the permission `$remove_members`.

        Raises:
            PermissionMissing, TeamNotFound, UserNotFound.
            UserGone: no user is signed in, or the account was deleted.
            AuthServerError: any other failure.
        """
        await self._client.call(Call("DELETE", *path_of(_MEMBERSHIP, team_id=team_id, user_id=user_id)), Done)

    async def list(self, team_id: str | None = None, *, user_id: str | None = None) -> tuple[TeamMemberProfile, ...]:
        """How members appear in a team; in all of them, as server, with None.

        Raises:
            PermissionMissing: the user lacks `$read_members`.
            TeamNotFound: there is none, or it is none of the user's.
            UserGone: no user is signed in, or the account was deleted.
            UserNotFound, UnexpectedAnswer, AuthServerError.
        """
        params = given(team_id=team_id, user_id=user_id)
        return await self._list(Call("GET", "/team-member-profiles", params=params), Page[TeamMemberProfile])

    async def get(self, team_id: str, user_id: str = ME) -> TeamMemberProfile:
        """How one member appears.

        Raises:
            TeamNotFound, PermissionMissing, UserGone, AuthServerError.
        """
        path = path_of(_PROFILE, team_id=team_id, user_id=user_id)
        return await self._client.call(Call("GET", *path), TeamMemberProfile)

    async def update(self, team_id: str, change: TeamMemberProfileUpdate, user_id: str = ME) -> TeamMemberProfile:
        """Change how a member appears; one's own.

        Raises:
            TeamNotFound, UserGone.
            UnexpectedAnswer: 403, somebody else's.
            AuthServerError: any other failure.
        """
        path = path_of(_PROFILE, team_id=team_id, user_id=user_id)
        return await self._client.call(Call("PATCH", *path, json=change.to_json()), TeamMemberProfile)
