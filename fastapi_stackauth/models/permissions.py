"""Permissions that a user holds (contract/endpoints.json, `team_permissions`, `project_permissions`)."""

from pydantic import Field

from fastapi_stackauth.models.base import ApiModel


class ProjectPermission(ApiModel):
    """A permission in the whole project."""

    id: str = Field(description="The permission's id.", examples=["notes:delete"])
    user_id: str = Field(description="The id of the user.", examples=["f7383500-3cc7-45ea-b3c1-50d16bdbdf35"])


class TeamPermission(ProjectPermission):
    """A permission within one team."""

    team_id: str = Field(description="The team.", examples=["9a3c8f8e-2b0b-4f0e-8c5d-8f1f6c3a7b11"])
