"""Permissions (contract/endpoints.json, areas `team-permissions`, `project-permissions`)."""

from fastapi_stackauth.client.calls import Call, path_of
from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.resources.base import ME, Done, Family, given, rights_over
from fastapi_stackauth.models import ProjectPermission, TeamPermission

_TEAM = "/team-permissions"
_TEAM_ONE = "/team-permissions/{team_id}/{user_id}/{permission_id}"
_PROJECT = "/project-permissions"
_PROJECT_ONE = "/project-permissions/{user_id}/{permission_id}"


class TeamPermissionsApi(Family):
    """Permissions within teams."""

    async def list(
        self,
        *,
        team_id: str | None = None,
        user_id: str | None = ME,
        permission_id: str | None = None,
        recursive: bool = False,
    ) -> tuple[TeamPermission, ...]:
        """The permissions of a user; with None, as server, of all users.

        Args:
            team_id: only within this team.
            user_id: whose.
            permission_id: only this one.
            recursive: with those that are contained in others.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            SchemaError: no permission can have this id.
            UnexpectedAnswer: 403, somebody else's permissions.
            AuthServerError: any other failure.
        """
        params = given(team_id=team_id, user_id=user_id, permission_id=permission_id, recursive=recursive)
        call = Call("GET", _TEAM, params=params, rights=rights_over(user_id))
        return await self._list(call, Page[TeamPermission])

    async def check(self, permission_id: str, *, team_id: str, user_id: str = ME) -> bool:
        """Whether a user holds a permission in a team, be it through another that contains it.

        Raises:
            As `list` does.
        """
        held = await self.list(team_id=team_id, user_id=user_id, permission_id=permission_id, recursive=True)
        return bool(held)

    async def grant(self, permission_id: str, *, team_id: str, user_id: str) -> TeamPermission:
        """Give a member a permission, as server.

        Raises:
            TeamNotFound, UserNotFound.
            KnownApiError: `PERMISSION_NOT_FOUND`, `WRONG_PERMISSION_SCOPE`.
            AuthServerError: any other failure.
        """
        path = path_of(_TEAM_ONE, team_id=team_id, user_id=user_id, permission_id=permission_id)
        return await self._client.call(Call("POST", *path, json={}, rights="server"), TeamPermission)

    async def revoke(self, permission_id: str, *, team_id: str, user_id: str) -> None:
        """Take a permission from a member, as server.

        Raises:
            PermissionMissing: the member has no such permission.
            TeamNotFound, AuthServerError.
        """
        path = path_of(_TEAM_ONE, team_id=team_id, user_id=user_id, permission_id=permission_id)
        await self._client.call(Call("DELETE", *path, rights="server"), Done)


class ProjectPermissionsApi(Family):
    """Permissions in the whole project."""

    async def list(
        self, *, user_id: str | None = ME, permission_id: str | None = None, recursive: bool = False
    ) -> tuple[ProjectPermission, ...]:
        """The permissions of a user; with None, as server, of all users.

        Args:
            user_id: whose.
            permission_id: only this one.
            recursive: with those that are contained in others.

        Raises:
            UserGone: no user is signed in, or the account was deleted.
            SchemaError: no permission can have this id.
            UnexpectedAnswer: 403, somebody else's permissions.
            AuthServerError: any other failure.
        """
        params = given(user_id=user_id, permission_id=permission_id, recursive=recursive)
        call = Call("GET", _PROJECT, params=params, rights=rights_over(user_id))
        return await self._list(call, Page[ProjectPermission])

    async def check(self, permission_id: str, *, user_id: str = ME) -> bool:
        """Whether a user holds a permission, be it through another that contains it.

        Raises:
            As `list` does.
        """
        return bool(await self.list(user_id=user_id, permission_id=permission_id, recursive=True))

    async def grant(self, permission_id: str, *, user_id: str) -> ProjectPermission:
        """Give a user a permission, as server.

        Raises:
            UserNotFound.
            KnownApiError: `PERMISSION_NOT_FOUND`, `WRONG_PERMISSION_SCOPE`.
            AuthServerError: any other failure.
        """
        path = path_of(_PROJECT_ONE, user_id=user_id, permission_id=permission_id)
        return await self._client.call(Call("POST", *path, json={}, rights="server"), ProjectPermission)

    async def revoke(self, permission_id: str, *, user_id: str) -> None:
        """Take a permission from a user, as server.

        Raises:
            UserNotFound.
            KnownApiError: `PERMISSION_NOT_FOUND`.
            AuthServerError: any other failure.
        """
        path = path_of(_PROJECT_ONE, user_id=user_id, permission_id=permission_id)
        await self._client.call(Call("DELETE", *path, rights="server"), Done)
