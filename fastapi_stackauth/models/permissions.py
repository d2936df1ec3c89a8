"""Permissions that a user holds (contract/endpoints.json, `team_permissions`, `project_permissions`)."""

from fastapi_stackauth.models.base import ApiModel


class ProjectPermission(ApiModel):
    """A permission in the whole project."""

    id: str
    user_id: str


class TeamPermission(ProjectPermission):
    """A permission within one team."""

    team_id: str
