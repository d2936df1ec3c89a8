"""The choice of a language: links in the footer of the pages, and a cookie that stores it."""

import re
from typing import Annotated

from fastapi import Path
from fastapi.responses import RedirectResponse

from fastapi_stackauth.pages.languages import COOKIE
from fastapi_stackauth.pages.route import PageRoutes
from fastapi_stackauth.pages.showing import KEPT_CHOICES, MAX_CHOICE, find_site, keep_return_to, read_query
from fastapi_stackauth.routers.plumbing.context import Context

routes = PageRoutes()

_PAGE = re.compile(r"(?:/[A-Za-z0-9_-]{1,100}){1,6}")
_YEAR = 365 * 24 * 3600


@routes.page("/language/{tag}")
async def choose_language(context: Context, tag: Annotated[str, Path(max_length=35)]) -> RedirectResponse:
    """Store the language in a cookie, and return to the page. It does not change the account, so a link may do it."""
    site, page = find_site(context), read_query(context, "page")
    query = {name: read_query(context, name)[:MAX_CHOICE] for name in KEPT_CHOICES}
    page = page if _PAGE.fullmatch(page) else "/sign-in"
    response = RedirectResponse(site.link(page, return_to=keep_return_to(context), **query), 303)
    if site.languages.get(tag):
        secure = (context.settings.app_url or "").startswith("https:")
        response.set_cookie(COOKIE, tag, max_age=_YEAR, path="/", secure=secure, httponly=True, samesite="lax")
    return response
