"""The project's public side, remembered for a minute: one call of the auth server for all who ask meanwhile."""

import time
from collections.abc import Callable

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.models import Project
from fastapi_stackauth.runtime.cache import Cache, Entry

REMEMBERED = 60.0
"""Seconds that an answer is remembered."""


class CurrentProject:
    """What `GET /projects/current` says, at most a minute old. A failed call is not remembered.

    Args:
        client: asks the auth server.
        clock: unix time in seconds.
    """

    def __init__(self, client: StackAuthClient, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._projects: Cache[str, Project] = Cache(clock, size=1)

    async def get(self) -> Project:
        """The project.

        Raises:
            AuthServerError: where it cannot be read.
        """
        if entry := self._projects.get("current"):
            return entry.value
        return await self._projects.fetch("current", self._fetch)

    async def aclose(self) -> None:
        """Cancel the call under way in the running loop."""
        await self._projects.aclose()

    async def _fetch(self) -> Entry[Project]:
        return Entry(await self._client.project.current(), self._clock() + REMEMBERED)
