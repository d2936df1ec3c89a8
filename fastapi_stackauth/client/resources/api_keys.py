"""API keys (contract/endpoints.json, area `api-keys`).

Whose keys a person may manage, the server judges for client access alone; so their calls are always made so.
"""

from fastapi_stackauth.client.calls import Call, path_of
from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.resources.base import ME, Family
from fastapi_stackauth.models import (
    ApiKeyCreate,
    ApiKeyUpdate,
    NewTeamApiKey,
    NewUserApiKey,
    TeamApiKey,
    UserApiKey,
)

_USER, _USER_ONE = "/user-api-keys", "/user-api-keys/{api_key_id}"
_TEAM, _TEAM_ONE = "/team-api-keys", "/team-api-keys/{api_key_id}"


class UserApiKeysApi(Family):
    """API keys of the user this client is bound to; as server, of any user.

    All methods raise UnexpectedAnswer (400) where the project has no such keys, and AuthServerError for other failures.
    """

    async def list(self, user_id: str = ME) -> tuple[UserApiKey, ...]:
        """A user's keys.

        Raises:
            UserGone, UnexpectedAnswer, AuthServerError.
        """
        return await self._list(Call("GET", _USER, params={"user_id": user_id}), Page[UserApiKey])

    async def create(self, key: ApiKeyCreate, user_id: str = ME) -> NewUserApiKey:
        """Make a key. Its value is shown here and never again.

        Raises:
            UserGone, UnexpectedAnswer, AuthServerError.
        """
        body = {"user_id": user_id, **key.to_json()}
        return await self._client.call(Call("POST", _USER, json=body), NewUserApiKey)

    async def get(self, api_key_id: str, user_id: str = ME) -> UserApiKey:
        """A key by its id.

        Raises:
            ApiKeyNotValid: there is none.
            UserGone, UnexpectedAnswer, AuthServerError.
        """
        path = path_of(_USER_ONE, api_key_id=api_key_id)
        return await self._client.call(Call("GET", *path, params={"user_id": user_id}), UserApiKey)

    async def update(self, api_key_id: str, change: ApiKeyUpdate, user_id: str = ME) -> UserApiKey:
        """Change or revoke a key.

        Raises:
            ApiKeyNotValid: there is none.
            UserGone, UnexpectedAnswer, AuthServerError.
        """
        path = path_of(_USER_ONE, api_key_id=api_key_id)
        call = Call("PATCH", *path, params={"user_id": user_id}, json=change.to_json())
        return await self._client.call(call, UserApiKey)

    async def check(self, api_key: str) -> UserApiKey:
        """Whose key a value is, as server.

        Raises:
            ApiKeyNotValid: it is unknown, expired, revoked or a team's.
            UnexpectedAnswer, AuthServerError.
        """
        call = Call("POST", f"{_USER}/check", json={"api_key": api_key}, idempotent=True, rights="server")
        return await self._client.call(call, UserApiKey)


class TeamApiKeysApi(Family):
    """API keys of teams, for members with the permission `$manage_api_keys`; as server, of any team.

    All methods raise UnexpectedAnswer (400) where the project has no such keys, and AuthServerError for other failures.
    """

    async def list(self, team_id: str) -> tuple[TeamApiKey, ...]:
        """A team's keys.

        Raises:
            UserGone, UnexpectedAnswer, AuthServerError.
        """
        return await self._list(Call("GET", _TEAM, params={"team_id": team_id}), Page[TeamApiKey])

    async def create(self, key: ApiKeyCreate, *, team_id: str) -> NewTeamApiKey:
        """Make a key. Its value is shown here and never again.

        Raises:
            UserGone, UnexpectedAnswer, AuthServerError.
        """
        body = {"team_id": team_id, **key.to_json()}
        return await self._client.call(Call("POST", _TEAM, json=body), NewTeamApiKey)

    async def get(self, api_key_id: str, *, team_id: str) -> TeamApiKey:
        """A key by its id.

        Raises:
            ApiKeyNotValid: there is none.
            UserGone, UnexpectedAnswer, AuthServerError.
        """
        path = path_of(_TEAM_ONE, api_key_id=api_key_id)
        return await self._client.call(Call("GET", *path, params={"team_id": team_id}), TeamApiKey)

    async def update(self, api_key_id: str, change: ApiKeyUpdate, *, team_id: str) -> TeamApiKey:
        """Change or revoke a key.

        Raises:
            ApiKeyNotValid: there is none.
            UserGone, UnexpectedAnswer, AuthServerError.
        """
        path = path_of(_TEAM_ONE, api_key_id=api_key_id)
        call = Call("PATCH", *path, params={"team_id": team_id}, json=change.to_json())
        return await self._client.call(call, TeamApiKey)

    async def check(self, api_key: str) -> TeamApiKey:
        """Which team's key a value is, as server.

        Raises:
            ApiKeyNotValid: it is unknown, expired, revoked or a user's.
            UnexpectedAnswer, AuthServerError.
        """
        call = Call("POST", f"{_TEAM}/check", json={"api_key": api_key}, idempotent=True, rights="server")
        return await self._client.call(call, TeamApiKey)
