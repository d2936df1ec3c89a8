"""API keys (contract/endpoints.json, area `api-keys`).

The server checks whether a user may manage a key only for client access, so requests for a user are always sent as
``client``.
"""

from fastapi_stackauth.client.paging import Page
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import ME, Resource
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


class UserApiKeysApi(Resource):
    """API keys of the client's user or, as server, of any user.

    All methods raise UnexpectedResponse (400) if the project has no such keys, and SignInRequired if no user is signed
    in.
    """

    async def list(self, user_id: str = ME) -> tuple[UserApiKey, ...]:
        """List a user's keys."""
        return await self._list(ApiRequest("GET", _USER, params={"user_id": user_id}), Page[UserApiKey])

    async def create(self, key: ApiKeyCreate, user_id: str = ME) -> NewUserApiKey:
        """Create a key. Only this response contains its value."""
        body = {"user_id": user_id, **key.to_json()}
        return await self._client.fetch(ApiRequest("POST", _USER, json=body), NewUserApiKey)

    async def get(self, api_key_id: str, user_id: str = ME) -> UserApiKey:
        """Return a key by its id.

        Raises:
            ApiKeyNotValid: There is no such key.
        """
        request = ApiRequest("GET", _USER_ONE, (api_key_id,), params={"user_id": user_id})
        return await self._client.fetch(request, UserApiKey)

    async def update(self, api_key_id: str, change: ApiKeyUpdate, user_id: str = ME) -> UserApiKey:
        """Change or revoke a key.

        Raises:
            ApiKeyNotValid: There is no such key.
        """
        request = ApiRequest("PATCH", _USER_ONE, (api_key_id,), params={"user_id": user_id}, json=change)
        return await self._client.fetch(request, UserApiKey)

    async def check(self, api_key: str) -> UserApiKey:
        """Return the key with this value, as server.

        Raises:
            ApiKeyNotValid: The key is unknown, expired or revoked, or belongs to a team.
        """
        body = {"api_key": api_key}
        request = ApiRequest("POST", f"{_USER}/check", json=body, idempotent=True, rights="server")
        return await self._client.fetch(request, UserApiKey)


class TeamApiKeysApi(Resource):
    """API keys of teams. A member needs the permission `$manage_api_keys`; the server may use the keys of any team.

    All methods raise UnexpectedResponse (400) if the project has no such keys, and SignInRequired if no user is signed
    in.
    """

    async def list(self, team_id: str) -> tuple[TeamApiKey, ...]:
        """List a team's keys."""
        return await self._list(ApiRequest("GET", _TEAM, params={"team_id": team_id}), Page[TeamApiKey])

    async def create(self, key: ApiKeyCreate, *, team_id: str) -> NewTeamApiKey:
        """Create a key. Only this response contains its value."""
        body = {"team_id": team_id, **key.to_json()}
        return await self._client.fetch(ApiRequest("POST", _TEAM, json=body), NewTeamApiKey)

    async def get(self, api_key_id: str, *, team_id: str) -> TeamApiKey:
        """Return a key by its id.

        Raises:
            ApiKeyNotValid: There is no such key.
        """
        request = ApiRequest("GET", _TEAM_ONE, (api_key_id,), params={"team_id": team_id})
        return await self._client.fetch(request, TeamApiKey)

    async def update(self, api_key_id: str, change: ApiKeyUpdate, *, team_id: str) -> TeamApiKey:
        """Change or revoke a key.

        Raises:
            ApiKeyNotValid: There is no such key.
        """
        request = ApiRequest("PATCH", _TEAM_ONE, (api_key_id,), params={"team_id": team_id}, json=change)
        return await self._client.fetch(request, TeamApiKey)

    async def check(self, api_key: str) -> TeamApiKey:
        """Return the key with this value, as server.

        Raises:
            ApiKeyNotValid: The key is unknown, expired or revoked, or belongs to a user.
        """
        body = {"api_key": api_key}
        request = ApiRequest("POST", f"{_TEAM}/check", json=body, idempotent=True, rights="server")
        return await self._client.fetch(request, TeamApiKey)
