"""The routers that an app mounts. There is a file for each sign-in method, with its handlers at module level."""

from typing import TYPE_CHECKING

from fastapi_stackauth.runtime.late import load_late

if TYPE_CHECKING:
    from fastapi_stackauth.routers.api_keys import ApiKeyFeature, build_api_keys_router
    from fastapi_stackauth.routers.device.router import build_cli_router
    from fastapi_stackauth.routers.methods.mfa import TotpEnrollment, totp_enrollment
    from fastapi_stackauth.routers.methods.overview import SignInMethods, sign_in_methods
    from fastapi_stackauth.routers.plumbing.declaration import CliPage, Delivery, Page, TeamPage
    from fastapi_stackauth.routers.router import Feature, build_router
    from fastapi_stackauth.routers.teams.grants import Grants
    from fastapi_stackauth.routers.teams.router import TeamFeature, build_teams_router

__all__ = [
    "ApiKeyFeature",
    "CliPage",
    "Delivery",
    "Feature",
    "Grants",
    "Page",
    "SignInMethods",
    "TeamFeature",
    "TeamPage",
    "TotpEnrollment",
    "build_api_keys_router",
    "build_cli_router",
    "build_router",
    "build_teams_router",
    "sign_in_methods",
    "totp_enrollment",
]

if not TYPE_CHECKING:  # type checkers use the imports above, and report unknown names
    __getattr__, __dir__ = load_late(
        __name__,
        (
            "router",
            "teams.router",
            "teams.grants",
            "api_keys",
            "device.router",
            "methods.mfa",
            "methods.overview",
            "plumbing.declaration",
        ),
        __all__,
    )
