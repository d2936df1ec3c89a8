"""Puts the chosen routes on one router."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, get_args

from fastapi import APIRouter

from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.installed import InstalledStack
from fastapi_stackauth.routers import (
    account,
    anonymous,
    connected_accounts,
    contact_channels,
    mfa,
    oauth,
    otp,
    passkey,
    password,
    session,
)
from fastapi_stackauth.routers import methods as offer
from fastapi_stackauth.routers.route import Delivery, Mount, Page, route_class_for

Method = Literal["password", "otp", "oauth", "passkey", "anonymous"]

AddRoutes = Callable[[APIRouter, Delivery], None]
_METHODS: Mapping[Method, AddRoutes] = {
    "password": password.add_routes,
    "otp": otp.add_routes,
    "oauth": oauth.add_routes,
    "passkey": passkey.add_routes,
    "anonymous": anonymous.add_routes,
}
_ALWAYS: tuple[AddRoutes, ...] = (
    mfa.add_routes,
    session.add_routes,
    account.add_routes,
    contact_channels.add_routes,
    connected_accounts.add_routes,
)


def build_router(
    stack: InstalledStack,
    *,
    delivery: Delivery,
    methods: Iterable[Method] | None = None,
    pages: Mapping[Page, str] | None = None,
    oauth_scopes: Mapping[str, str] | None = None,
) -> APIRouter:
    """A router with the sign-in routes of one stack, for `app.include_router`.

    Raises:
        ConfigurationError: for a delivery, method or page that does not exist, or scopes that are no text.
    """
    chosen = list(_METHODS) if methods is None else list(methods)
    _check("delivery", [delivery], get_args(Delivery))
    _check("methods", chosen, get_args(Method))
    _check("pages", pages or (), get_args(Page))
    if strange := [provider for provider, scopes in (oauth_scopes or {}).items() if not isinstance(scopes, str)]:
        raise ConfigurationError(f"oauth_scopes: {', '.join(strange)} must be one text, scopes separated by blanks.")
    router = APIRouter(route_class=route_class_for(stack, Mount(delivery, dict(pages or {}), dict(oauth_scopes or {}))))
    sign_in_routes = (_METHODS[method] for method in dict.fromkeys(chosen))
    for add_routes in (offer.add_routes, *sign_in_routes, *_ALWAYS):
        add_routes(router, delivery)
    return router


def _check(name: str, given: Iterable[str], known: Iterable[str]) -> None:
    if strange := sorted(set(given) - set(known)):
        raise ConfigurationError(f"{name}: {', '.join(strange)} is none of {', '.join(known)}.")
