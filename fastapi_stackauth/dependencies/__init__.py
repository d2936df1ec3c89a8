"""Step 3: what an endpoint declares to learn who is calling, and to demand what they must be."""

from fastapi_stackauth.dependencies.account import CurrentTeam, ProfileOf, access_token, current_profile, current_team
from fastapi_stackauth.dependencies.identity import Resolution, resolve
from fastapi_stackauth.dependencies.users import Optionally, Require, current_user, optional_user
from fastapi_stackauth.dependencies.watch import SessionCheck, SessionWatch, WatchSession

__all__ = [
    "CurrentTeam",
    "Optionally",
    "ProfileOf",
    "Require",
    "Resolution",
    "SessionCheck",
    "SessionWatch",
    "WatchSession",
    "access_token",
    "current_profile",
    "current_team",
    "current_user",
    "optional_user",
    "resolve",
]
