"""The project (contract/endpoints.json, area `projects`)."""

from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.resources.base import Resource
from fastapi_stackauth.models import Project


class ProjectApi(Resource):
    """The public configuration of the project."""

    async def current(self) -> Project:
        """Return the project's name and its public settings."""
        return await self._client.fetch(ApiRequest("GET", "/projects/current", rights="any"), Project)
