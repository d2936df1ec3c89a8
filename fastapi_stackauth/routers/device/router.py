"""Build the router for command-line sign-in."""

from collections.abc import Mapping
from typing import get_args

from fastapi import APIRouter

from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.routers.device import confirmation, terminal
from fastapi_stackauth.routers.plumbing.arguments import check_mount
from fastapi_stackauth.routers.plumbing.building import add_routes
from fastapi_stackauth.routers.plumbing.context import Mount
from fastapi_stackauth.routers.plumbing.declaration import CliPage, Delivery
from fastapi_stackauth.services import Stack


def build_cli_router(
    stack: Stack,
    *,
    delivery: Delivery,
    pages: Mapping[CliPage, str] | None = None,
    share_browser_session: bool = False,
) -> APIRouter:
    """Return a router with the routes for command-line sign-in of a stack, for `app.include_router`.

    Raises:
        ConfigurationError: The delivery or the page does not exist, browsers would not store cookies for `app_url`, or
            body delivery has no page or `share_browser_session`.
    """
    check_mount(stack, delivery, pages or {}, get_args(CliPage))
    if not isinstance(share_browser_session, bool):
        raise ConfigurationError(f"share_browser_session must be True or False; got {share_browser_session!r}.")
    settings = stack.services.settings
    if share_browser_session and settings.redis_url and not settings.secret_server_key:
        raise ConfigurationError(
            "share_browser_session with redis_url needs secret_server_key: what is stored in Redis is sealed with it."
        )
    if delivery == "body" and not pages:
        raise ConfigurationError(
            'delivery="body" has no page on which users type the code of a device. '
            'Name your own: cli_router(delivery="body", pages={"device": "https://app.example.com/device"}).'
        )
    if delivery == "body" and share_browser_session:
        raise ConfigurationError(
            'share_browser_session needs delivery="cookie", because only a cookie holds the refresh token.'
        )
    router = APIRouter()
    mount = Mount(delivery, dict(pages or {}), share_browser_session=share_browser_session)
    if delivery == "cookie":
        stack.cli_shares_session = share_browser_session
    for routes in (terminal.routes, confirmation.routes):
        add_routes(router, routes, stack, mount)
    return router
