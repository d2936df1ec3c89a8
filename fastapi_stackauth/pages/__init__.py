"""Prebuilt HTML pages for sign-in, sign-up, the account and links in emails. They need the extra `pages`."""

from typing import TYPE_CHECKING

from fastapi_stackauth.runtime.late import load_late

if TYPE_CHECKING:
    from fastapi_stackauth.pages.router import build_pages_router
    from fastapi_stackauth.pages.theme import Theme

__all__ = ["Theme", "build_pages_router"]

if not TYPE_CHECKING:  # type checkers use the imports above, and report unknown names
    __getattr__, __dir__ = load_late(__name__, ("theme", "router"), __all__)
