"""The public configuration of the project (`GET /projects/current`)."""

import time
from collections.abc import Callable

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.models import Project
from fastapi_stackauth.runtime.cache import Cache, Entry

_TTL = 60.0


class CurrentProject:
    """Caches the project for a minute. A failed call is not cached.

    Args:
        client: Calls the auth server.
        clock: Unix time in seconds.
    """

    def __init__(self, client: StackAuthClient, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._projects: Cache[str, Project] = Cache(clock, size=1)

    @property
    def cached_project(self) -> Project | None:
        """The project, if it is in the cache."""
        entry = self._projects.get("current")
        return entry.value if entry else None

    async def get(self) -> Project:
        """Return the project.

        Raises:
            AuthServerError: The project cannot be fetched.
        """
        if entry := self._projects.get("current"):
            return entry.value
        return await self._projects.fetch("current", self._fetch)

    async def aclose(self) -> None:
        """Cancel the call that runs in this event loop."""
        await self._projects.aclose()

    async def _fetch(self) -> Entry[Project]:
        return Entry(await self._client.project.current(), self._clock() + _TTL)
