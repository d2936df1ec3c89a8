"""The project's public signing keys (contract/tokens.md §2)."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from fastapi_stackauth.client.answers import Answer
from fastapi_stackauth.client.calls import Call
from fastapi_stackauth.client.resources.base import Family
from fastapi_stackauth.errors import KnownApiError

_PATH = "/projects/{project_id}/.well-known/jwks.json"


@dataclass(frozen=True)
class FetchedKeys:
    """A JSON Web Key Set as it came (None where the answer was no JSON), and for how many seconds it may be kept."""

    document: object
    max_age: float | None


class KeysApi(Family):
    """The key set that verifies the project's tokens."""

    async def fetch(self, *, timeout: float | None = None) -> FetchedKeys:
        """The keys of all three kinds of tokens; tried once, within `timeout` seconds.

        Servers from before anonymous users (August 2025) refuse the flag and are asked without it.

        Raises:
            AuthServerError: where the keys cannot be had.
        """
        try:
            answer = await self._client.exchange(self._call({"include_anonymous": "true"}, timeout))
        except KnownApiError as error:
            if error.code != "SCHEMA_ERROR":
                raise
            answer = await self._client.exchange(self._call(None, timeout))
        return FetchedKeys(answer.json, max_age_of(answer))

    def _call(self, params: dict[str, str] | None, timeout: float | None) -> Call:
        project = quote(self._client.settings.require_project_id(), safe="")
        path = _PATH.format(project_id=project)
        return Call("GET", path, _PATH, params=params, attempts=1, timeout=timeout, public=True)


def max_age_of(answer: Answer) -> float | None:
    """Seconds an answer may be kept (RFC 9111 §5.2.2); 0 for `no-store` and `no-cache`, None where it does not say."""
    cache_control = answer.headers.get("cache-control", "").lower()
    if re.search(r"\bno-(store|cache)\b", cache_control):
        return 0.0
    found = re.search(r"\bmax-age=\"?(\d{1,9})\b", cache_control)
    return float(found[1]) if found else None
