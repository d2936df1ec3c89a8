"""Public signing keys of the project (contract/tokens.md §2) and of other authorization servers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import Resource
from fastapi_stackauth.client.response import ApiResponse
from fastapi_stackauth.errors import KnownApiError


@dataclass(frozen=True)
class FetchedKeys:
    """A JSON Web Key Set as received (None if it was not JSON), and how many seconds it may be cached."""

    document: object
    max_age: float | None


class KeysApi(Resource):
    """The key set that verifies the project's tokens."""

    async def fetch(self, *, url: str | None = None, timeout: float | None = None) -> FetchedKeys:
        """Fetch the keys for all three kinds of tokens, in one attempt that takes at most `timeout` seconds.

        Servers older than August 2025 have no anonymous users and reject that flag. They get a second request without
        it.

        Args:
            url: The URL of another server's key set, to fetch instead. The request contains nothing about the project.
            timeout: The time limit of the attempt, in seconds.

        Raises:
            AuthServerError: The keys cannot be fetched.
        """
        if url is not None:
            request = ApiRequest("GET", "/jwks_uri", attempts=1, timeout=timeout, rights="none", url=url)
            response = await self._client.send_with_auth(request, None)
            return FetchedKeys(response.json, _max_age(response))
        try:
            response = await self._fetch({"include_anonymous": "true"}, timeout)
        except KnownApiError as error:
            if error.code != "SCHEMA_ERROR":
                raise
            response = await self._fetch(None, timeout)
        return FetchedKeys(response.json, _max_age(response))

    async def _fetch(self, params: Mapping[str, str] | None, timeout: float | None) -> ApiResponse:
        path, ids = "/projects/{project_id}/.well-known/jwks.json", (self._client.settings.require_project_id(),)
        request = ApiRequest("GET", path, ids, params=params, attempts=1, timeout=timeout, rights="none")
        return await self._client.send_with_auth(request, None)


def _max_age(response: ApiResponse) -> float | None:
    """Return how many seconds a response may be cached (RFC 9111 §5.2.2); None if it sets no limit."""
    cache_control = response.headers.get("cache-control", "").lower()
    if re.search(r"\bno-(store|cache)\b", cache_control):
        return 0.0
    found = re.search(r"\bmax-age=\"?(\d{1,9})\b", cache_control)
    return float(found[1]) if found else None
