"""Check the arguments that all routers share."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.routers.plumbing.declaration import Delivery
from fastapi_stackauth.services import Stack
from fastapi_stackauth.sessions.cookies import CookiePolicy

_PAGE_ADDRESS = re.compile(r"(/(?!/)|[A-Za-z][A-Za-z0-9+.-]*://[^\s/])\S*|/")


def check_mount(stack: Stack, delivery: Delivery, pages: Mapping[Any, str], known_pages: Iterable[str]) -> None:
    """Check the delivery and the pages of a router.

    Raises:
        ConfigurationError: The delivery or a page does not exist, a page is not a path or URL, or browsers would not
            store cookies for `app_url`.
    """
    _check("delivery", [delivery], get_args(Delivery))
    _check("pages", pages, known_pages)
    _check_pages(pages)
    if delivery == "cookie" and stack.services.settings.app_url:
        CookiePolicy.of(stack.services.settings)


def _check_pages(pages: Mapping[Any, str]) -> None:
    """Reject a page with an invalid address.

    Raises:
        ConfigurationError: An address is neither a path nor a complete URL.
    """
    for page, address in pages.items():
        if not isinstance(address, str) or not _PAGE_ADDRESS.fullmatch(address):
            raise ConfigurationError(
                f'pages: "{page}" must be a path such as "/{page.replace("_", "-")}", or a whole address such as '
                f'"https://app.example.com/{page.replace("_", "-")}". Put a slash or the scheme before it.'
            )


def _check(name: str, given: Iterable[object], known: Iterable[str]) -> None:
    if strange := [each for each in given if each not in tuple(known)]:
        raise ConfigurationError(
            f"{name}: {', '.join(map(repr, strange))} is not one of {', '.join(known)}. Choose among these."
        )
