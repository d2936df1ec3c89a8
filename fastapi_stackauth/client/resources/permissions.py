"""Permissions (contract/endpoints.json, areas `team-permissions`, `project-permissions`)."""

from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import ME, Done, Resource, build_query, rights_over
from fastapi_stackauth.models import ProjectPermission, TeamPermission

_TEAM = "/team-permissions"
_TEAM_ONE = "/team-permissions/{team_id}/{user_id}/{permission_id}"
_PROJECT = "/project-permissions"
_PROJECT_ONE = "/project-permissions/{user_id}/{permission_id}"


class TeamPermissionsApi(Resource):
    """Permissions in teams."""

    async def list(
        self,
        *,
        team_id: str | None = None,
        user_id: str | None = ME,
        permission_id: str | None = None,
        recursive: bool = False,
    ) -> tuple[TeamPermission, ...]:
        """List the permissions of a user. As server, pass None for those of all users.

        Args:
            team_id: Only in this team.
            user_id: The id of the user.
            permission_id: Only this permission.
            recursive: Include the permissions that are contained in others.

        Raises:
            SignInRequired: No user is signed in.
            SchemaError: No permission can have this id.
            UnexpectedResponse: Status 403: the permissions belong to another user.
        """
        params = build_query(team_id=team_id, user_id=user_id, permission_id=permission_id, recursive=recursive)
        request = ApiRequest("GET", _TEAM, params=params, rights=rights_over(user_id))
        return await self._list(request, Page[TeamPermission])

    async def check(self, permission_id: str, *, team_id: str, user_id: str = ME) -> bool:
        """Whether a user has a permission in a team, also through another one. Raises the same errors as `list`."""
        return bool(await self.list(team_id=team_id, user_id=user_id, permission_id=permission_id, recursive=True))

    async def grant(self, permission_id: str, *, team_id: str, user_id: str) -> TeamPermission:
        """Grant a permission to a member, as server.

        Raises:
            TeamNotFound: There is no such team, or the user is not in it.
            UserNotFound: There is no such user.
            KnownApiError: `PERMISSION_NOT_FOUND`, `WRONG_PERMISSION_SCOPE`.
        """
        request = ApiRequest("POST", _TEAM_ONE, (team_id, user_id, permission_id), json={}, rights="server")
        return await self._client.fetch(request, TeamPermission)

    async def revoke(self, permission_id: str, *, team_id: str, user_id: str) -> None:
        """Revoke a member's permission, as server.

        Raises:
            PermissionMissing: The member has no such permission.
            TeamNotFound: There is no such team, or the user is not in it.
        """
        await self._client.fetch(
            ApiRequest("DELETE", _TEAM_ONE, (team_id, user_id, permission_id), rights="server"), Done
        )


class ProjectPermissionsApi(Resource):
    """Permissions in the whole project."""

    async def list(
        self, *, user_id: str | None = ME, permission_id: str | None = None, recursive: bool = False
    ) -> tuple[ProjectPermission, ...]:
        """List the permissions of a user. As server, pass None for those of all users.

        Args:
            user_id: The id of the user.
            permission_id: Only this permission.
            recursive: Include the permissions that are contained in others.

        Raises:
            SignInRequired: No user is signed in.
            SchemaError: No permission can have this id.
            UnexpectedResponse: Status 403: the permissions belong to another user.
        """
        params = build_query(user_id=user_id, permission_id=permission_id, recursive=recursive)
        request = ApiRequest("GET", _PROJECT, params=params, rights=rights_over(user_id))
        return await self._list(request, Page[ProjectPermission])

    async def check(self, permission_id: str, *, user_id: str = ME) -> bool:
        """Whether a user has a permission, also through another one. Raises the same errors as `list`."""
        return bool(await self.list(user_id=user_id, permission_id=permission_id, recursive=True))

    async def grant(self, permission_id: str, *, user_id: str) -> ProjectPermission:
        """Grant a permission to a user, as server.

        Raises:
            UserNotFound: There is no such user.
            KnownApiError: `PERMISSION_NOT_FOUND`, `WRONG_PERMISSION_SCOPE`.
        """
        request = ApiRequest("POST", _PROJECT_ONE, (user_id, permission_id), json={}, rights="server")
        return await self._client.fetch(request, ProjectPermission)

    async def revoke(self, permission_id: str, *, user_id: str) -> None:
        """Revoke a user's permission, as server.

        Raises:
            UserNotFound: There is no such user.
            KnownApiError: `PERMISSION_NOT_FOUND`.
        """
        await self._client.fetch(ApiRequest("DELETE", _PROJECT_ONE, (user_id, permission_id), rights="server"), Done)
