"""Dependencies that identify the caller of an endpoint and check its requirements."""

from fastapi_stackauth.dependencies.account import LoadProfile, RequireTeam, access_token, current_profile, current_team
from fastapi_stackauth.dependencies.api_keys import RequireTeamApiKey, api_key_team
from fastapi_stackauth.dependencies.identity import resolve
from fastapi_stackauth.dependencies.users import (
    IdentifyUser,
    Require,
    RequireUserApiKey,
    api_key_user,
    current_user,
    display_user,
    optional_user,
)
from fastapi_stackauth.dependencies.watch import SessionCheck, SessionWatch, WatchSession

__all__ = [
    "IdentifyUser",
    "LoadProfile",
    "Require",
    "RequireTeam",
    "RequireTeamApiKey",
    "RequireUserApiKey",
    "SessionCheck",
    "SessionWatch",
    "WatchSession",
    "access_token",
    "api_key_team",
    "api_key_user",
    "current_profile",
    "current_team",
    "current_user",
    "display_user",
    "optional_user",
    "resolve",
]
