"""Build the router of the pages, with the files and the JSON routes that their script needs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from fastapi_stackauth.dependencies import Require
from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.pages import account, device, emails, invitation, language, sign_in, teams
from fastapi_stackauth.pages.errors import OutsidePages
from fastapi_stackauth.pages.languages import LANGUAGES, Languages
from fastapi_stackauth.pages.route import PageRoute
from fastapi_stackauth.pages.site import Asset, PagesMount, Site
from fastapi_stackauth.pages.theme import Theme
from fastapi_stackauth.routers.methods import passkey
from fastapi_stackauth.routers.plumbing.building import add_route
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.routers.teams.router import check_create
from fastapi_stackauth.services import Stack
from fastapi_stackauth.sessions.cookies import CookiePolicy
from fastapi_stackauth.startup.routes import expect_path

_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_MODULES = (sign_in, emails, account, teams, invitation, device, language)
_SCRIPT_HANDLERS = (
    passkey.passkey_options,
    passkey.passkey_sign_in,
    passkey.passkey_register_options,
    passkey.passkey_register,
)
"""The JSON routes that the script of the pages calls."""
_RECENT = timedelta(hours=1)
"""The maximum age of a sign-in for creating an API key, as in `api_keys_router`."""
_FOREVER = "public, max-age=31536000, immutable"


def build_pages_router(
    stack: Stack,
    *,
    prefix: str,
    theme: Theme | None = None,
    templates: str | FilePath | None = None,
    languages: Sequence[str] = LANGUAGES,
    catalogs: str | FilePath | None = None,
    oauth_scopes: Mapping[str, str] | None = None,
    create_team: Require | None = None,
) -> APIRouter:
    """Return a router with the pages of a stack, for `app.include_router` without a prefix.

    Raises:
        ConfigurationError: The prefix is not a path, the stack has pages under another prefix, the theme is something
            else, a template has a mistake, a language has no catalog, `create_team` is not a requirement for users, the
            extra `pages` is not installed, or browsers would not store cookies for `app_url`.
    """
    _check(stack, prefix, theme)
    if stack.services.settings.app_url:
        CookiePolicy.of(stack.services.settings)
    site = Site(prefix, theme or Theme(), _load_languages(languages, catalogs), templates)
    requirements = {"create_api_key": Require(allow_anonymous=True, live=True, max_age=_RECENT)}
    if create_team is not None:
        check_create(stack, create_team)
        requirements["create_team"] = create_team
    mount = PagesMount("cookie", {}, dict(oauth_scopes or {}), requirements=requirements, site=site)
    router = APIRouter(prefix=prefix)
    for module in _MODULES:
        for declaration in module.routes.declarations:
            add_route(router, declaration, stack, mount, PageRoute)
    _add_script_routes(router, passkey.routes, stack, mount)
    for asset in (site.stylesheet, site.script):
        _add_asset(router, asset)
    first: Any = router.routes[0]
    expect_path(first.endpoint, first.path, f'stack.pages_router(prefix="{prefix}")')
    stack.prebuilt_pages = OutsidePages(mount)
    return router


def _check(stack: Stack, prefix: object, theme: object) -> None:
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        raise ConfigurationError(
            f'pages_router: prefix must be a path without a slash at its end, such as "/handler"; got {prefix!r:.200}.'
        )
    if stack.pages_prefix not in (None, prefix):
        raise ConfigurationError(
            f'pages_router: this StackAuth has pages under "{stack.pages_prefix}", so links in emails lead there. '
            "Call pages_router once."
        )
    if theme is not None and not isinstance(theme, Theme):
        raise ConfigurationError(
            f'pages_router: theme must be a Theme; got {type(theme).__name__}. Write theme=Theme(name="Acme").'
        )


def _load_languages(tags: object, folder: object) -> Languages:
    if isinstance(tags, str) or not isinstance(tags, Sequence) or not tags:
        raise ConfigurationError(
            f'pages_router: languages must be a list of language tags, such as ["en", "de"]; got {tags!r:.100}.'
        )
    if folder is None:
        return Languages(tags, None)
    if not isinstance(folder, (str, FilePath)) or not FilePath(folder).is_dir():
        raise ConfigurationError(f"pages_router: catalogs must be a folder with gettext catalogs; got {folder!r:.200}.")
    return Languages(tags, FilePath(folder))


def _add_script_routes(router: APIRouter, routes: Routes, stack: Stack, mount: PagesMount) -> None:
    for declaration in routes.declarations:
        if declaration.handler in _SCRIPT_HANDLERS:
            hidden = replace(declaration, options={**declaration.options, "hidden": True})
            add_route(router, hidden, stack, mount)


def _add_asset(router: APIRouter, asset: Asset) -> None:
    """Serve a file at a URL with its hash. For an older hash, serve the current file without caching."""
    stem, _, ending = asset.name.partition(".")

    async def serve(request: Request, digest: Annotated[str, Path(max_length=64)]) -> Response:
        headers = {"cache-control": _FOREVER if digest == asset.digest else "no-cache", "etag": f'"{asset.digest}"'}
        headers |= {"x-content-type-options": "nosniff"}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(asset.content, media_type=f"{asset.media_type}; charset=utf-8", headers=headers)

    router.add_api_route(f"/{stem}-{{digest}}.{ending}", serve, include_in_schema=False, methods=["GET", "HEAD"])
