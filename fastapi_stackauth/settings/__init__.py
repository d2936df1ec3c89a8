"""The settings: their fields, environment variables and validation."""

from fastapi_stackauth.settings.environment import documented_name, environment_names, secret_file_names
from fastapi_stackauth.settings.fields import (
    COOKIE_NAME,
    Settings,
    variables_conflict,
    variables_in_use,
    variables_unread,
)
from fastapi_stackauth.settings.options import Options
from fastapi_stackauth.settings.values import check_issuer, to_origin

__all__ = [
    "COOKIE_NAME",
    "Options",
    "Settings",
    "check_issuer",
    "documented_name",
    "environment_names",
    "secret_file_names",
    "to_origin",
    "variables_conflict",
    "variables_in_use",
    "variables_unread",
]
