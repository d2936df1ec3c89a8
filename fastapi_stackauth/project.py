"""The project's public side, remembered for a minute: one call of the auth server for all who ask meanwhile."""

import time
from collections.abc import Callable

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.loops import SingleFlight
from fastapi_stackauth.models import Project

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
        self._known: tuple[float, Project] | None = None
        self._flight: SingleFlight[Project] = SingleFlight()

    async def get(self) -> Project:
        """The project.

        Raises:
            AuthServerError: where it cannot be read.
        """
        if self._known is not None and self._clock() < self._known[0]:
            return self._known[1]
        return await self._flight.run("current", self._fetch)

    async def aclose(self) -> None:
        """Cancel the call under way in the running loop."""
        await self._flight.aclose()

    async def _fetch(self) -> Project:
        project = await self._client.project.current()
        self._known = (self._clock() + REMEMBERED, project)
        return project
