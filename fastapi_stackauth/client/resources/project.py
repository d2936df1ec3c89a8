"""The project (contract/endpoints.json, area `projects`)."""

from fastapi_stackauth.client.calls import Call
from fastapi_stackauth.client.resources.base import Family
from fastapi_stackauth.models import Project


class ProjectApi(Family):
    """The project's public side."""

    async def current(self) -> Project:
        """Its name and what it allows.

        Raises:
            AuthServerError: where it cannot be read.
        """
        return await self._client.call(Call("GET", "/projects/current", rights="any"), Project)
