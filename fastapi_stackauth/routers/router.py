"""Build the sign-in router."""

from collections.abc import Collection, Mapping
from typing import Literal, get_args

from fastapi import APIRouter

from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.routers.account import connected_accounts, contact_channels, profile
from fastapi_stackauth.routers.methods import (
    anonymous,
    mfa,
    oauth,
    oauth_app,
    otp,
    overview,
    passkey,
    password,
    session,
)
from fastapi_stackauth.routers.plumbing.arguments import check_mount
from fastapi_stackauth.routers.plumbing.building import add_routes
from fastapi_stackauth.routers.plumbing.context import Mount
from fastapi_stackauth.routers.plumbing.declaration import Delivery, Page
from fastapi_stackauth.routers.plumbing.features import choose_features
from fastapi_stackauth.services import Stack

Feature = Literal[
    "password",
    "sign_up",
    "otp",
    "oauth",
    "passkey",
    "anonymous",
    "mfa",
    "sessions",
    "account",
    "account_deletion",
    "contact_channels",
    "connected_accounts",
]

_FEATURES_OF_PAGES: Mapping[Page, Feature] = {"password_reset": "password", "magic_link": "otp"}
_MODULES = (
    overview,
    password,
    otp,
    oauth,
    oauth_app,
    passkey,
    anonymous,
    mfa,
    session,
    profile,
    contact_channels,
    connected_accounts,
)


def build_router(
    stack: Stack,
    *,
    delivery: Delivery,
    include: Collection[Feature] | None = None,
    exclude: Collection[Feature] | None = None,
    pages: Mapping[Page, str] | None = None,
    oauth_scopes: Mapping[str, str] | None = None,
) -> APIRouter:
    """Return a router with the sign-in routes of a stack, for `app.include_router`.

    Raises:
        ConfigurationError: The delivery, a feature or a page does not exist, a page is not a path or URL, scopes are
            not strings, or browsers would not store cookies for `app_url`.
    """
    options = {f"pages: {page}": feature for page, feature in _FEATURES_OF_PAGES.items() if page in (pages or {})}
    if oauth_scopes:
        options["oauth_scopes"] = "oauth"
    features = choose_features(get_args(Feature), include, exclude, options=options, may_be_empty=True)
    check_mount(stack, delivery, pages or {}, get_args(Page))
    if oauth_scopes is not None and not isinstance(oauth_scopes, Mapping):
        raise ConfigurationError(
            f"oauth_scopes must be a mapping from provider to scopes; got {type(oauth_scopes).__name__}. "
            'Write oauth_scopes={"github": "repo read:org"}.'
        )
    if strange := [provider for provider, scopes in (oauth_scopes or {}).items() if not isinstance(scopes, str)]:
        raise ConfigurationError(f"oauth_scopes: {', '.join(strange)} must be a string with space-separated scopes.")
    router, mount = APIRouter(), Mount(delivery, dict(pages or {}), dict(oauth_scopes or {}), features=features)
    for module in _MODULES:
        add_routes(router, module.routes, stack, mount)
    return router
