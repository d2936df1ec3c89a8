"""Render a page for a request: the values of all templates, and the return URL.

Law: templates get plain values, never the stack, its settings or the request.
"""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from fastapi.responses import HTMLResponse

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.dependencies import resolve
from fastapi_stackauth.errors import AuthError, StackAuthError
from fastapi_stackauth.models import CurrentUserProfile, User
from fastapi_stackauth.pages.languages import COOKIE, Language
from fastapi_stackauth.pages.messages import ACCOUNT, NO_TEXTS, NOTICES, ONCE, describe_problem
from fastapi_stackauth.pages.site import PagesMount, Site
from fastapi_stackauth.routers.plumbing.context import RouteContext
from fastapi_stackauth.routers.plumbing.pages import find_foreign_origin
from fastapi_stackauth.sessions.context import get_context
from fastapi_stackauth.sessions.redirects import MAX_ADDRESS, allowed_redirect

MAX_TYPED = 320
KEPT_CHOICES = ("by", "prompt", "step")
"""The query parameters of pages that are kept when the user changes the language."""
MAX_CHOICE = 20
_LONGEST = MAX_ADDRESS - 400
"""The maximum length of a quoted `return_to`, which must fit into a URL that is itself a `return_to`."""


def find_site(context: RouteContext) -> Site:
    """Return the `Site` of this router."""
    mount = context.mount
    assert isinstance(mount, PagesMount)  # noqa: S101 - a route of pages has no other
    site: Site = mount.site
    return site


def find_language(context: RouteContext) -> Language:
    """Return the language for this browser."""
    request = context.request
    accepted = request.headers.get("accept-language", "")
    return find_site(context).languages.choose(request.cookies.get(COOKIE, ""), accepted)


def translate(context: RouteContext, text: str) -> str:
    """Return a text of the library in the language of the page."""
    return find_language(context).translate(text)


def read_query(context: RouteContext, name: str) -> str:
    """Return a query parameter, or an empty string if it is missing."""
    return context.request.query_params.get(name, "")


def keep_return_to(context: RouteContext) -> str:
    """Return `return_to` from the query if it is an allowed redirect target, else an empty string."""
    address = allowed_redirect(read_query(context, "return_to"), context.settings) or ""
    return address if len(quote(quote(address, safe=""), safe="")) <= _LONGEST else ""


def find_return_to(context: RouteContext) -> str:
    """Return the URL to redirect to after the pages: the checked `return_to`, or the setting `after_sign_in`."""
    return keep_return_to(context) or context.settings.after_sign_in


async def find_user(context: RouteContext, *, known: bool = False) -> User | None:
    """Return the user of this browser. None if no user is signed in, or if the session cannot be verified now.

    Args:
        context: The context of the request.
        known: Return the user only if this request has already identified them.
    """
    if known:
        resolution = get_context(context.request.scope).resolution
        return resolution.user if resolution else None
    with suppress(StackAuthError):
        return (await resolve(context.request, context.services)).user
    return None


async def find_account(context: RouteContext) -> tuple[User, StackAuthClient]:
    """Return the signed-in user and the client for this user.

    Raises:
        AuthError: 401: No user is signed in.
    """
    resolution = await resolve(context.request, context.services)
    if resolution.user is None or resolution.credential is None:
        raise resolution.error or AuthError("authentication_required")
    return resolution.user, context.client.as_user(resolution.credential.token)


async def refresh_changed_session(context: RouteContext, user: User, account: CurrentUserProfile) -> bool:
    """Refresh the session if the account has been verified or is no longer restricted, but the token does not show it.

    Returns:
        Whether the next request of this browser has a new token.
    """
    verified = account.primary_email_verified and not user.email_verified
    if not verified and not (user.is_restricted and not account.is_restricted):
        return False
    with suppress(StackAuthError):
        await context.services.sessions.refresh(context.request)
        return True
    return False


async def show(
    context: RouteContext,
    template: str,
    *,
    fields: tuple[str, ...] = (),
    texts: Mapping[str, str] = NO_TEXTS,
    kept: tuple[str, ...] = (),
    status_code: int = 200,
    headers: Mapping[str, str] | None = None,
    leads_to: str | None = None,
    picture: str | None = None,
    offline: bool = False,
    **values: Any,  # noqa: ANN401 - any plain value for a template
) -> HTMLResponse:
    """Return a page.

    Args:
        context: The context of the request.
        template: The file of the template.
        fields: The fields of its form. Errors are shown next to them.
        texts: Texts for this page only, by the name of the invalid field or by the error's code.
        kept: The fields with values that are shown again after an error; never passwords.
        status_code: The status of the response.
        headers: Additional headers of the response.
        picture: The origin of a picture on the page.
        leads_to: The URL to which its form leads. By default, the URL after the pages.
        offline: Whether to show the page without calling the auth server, as in an outage.
        **values: The values for the template.
    """
    site, user = find_site(context), await find_user(context, known=offline)
    language, problem = find_language(context), describe_problem(context.error, fields, texts)
    notice = "" if context.error or read_query(context, "error") else NOTICES.get(read_query(context, "done"), "")
    shared = {
        "site_name": site.theme.name or await _find_project_name(context, known=offline),
        "user": describe_user(user),
        "languages": _list_languages(context),
        "return_to": keep_return_to(context),
        "target": find_return_to(context),
        "notice": language.translate(notice),
        "problem": language.translate(problem.summary),
        "errors": {name: language.translate(text) for name, text in problem.fields.items()},
        "first_error": next(iter(problem.fields), ""),
        ONCE: secrets.token_urlsafe(16),
        ACCOUNT: user.id if user else "",
        "typed": {name: context.form.get(name, "")[:MAX_TYPED] for name in kept},
    }
    origin = find_foreign_origin(leads_to or find_return_to(context), context.settings)
    html = site.render(template, {**shared, **values}, language)
    return HTMLResponse(
        html, status_code, {**site.headers(language, form_target=origin, picture=picture), **(headers or {})}
    )


def _list_languages(context: RouteContext) -> list[dict[str, str]]:
    """Return links to the page in each language. There are none if there is no choice or the page has no such URL."""
    site, offered = find_site(context), find_site(context).languages.offered
    only_now = read_query(context, "code") or read_query(context, "error") or context.form.get("code")
    _, inside, page = context.request.scope["path"].partition(f"{site.prefix}/")
    if len(offered) < 2 or only_now or not inside:
        return []
    query = {"page": f"/{page}", "return_to": keep_return_to(context)}
    query |= {name: read_query(context, name)[:MAX_CHOICE] for name in KEPT_CHOICES}
    links = [site.link(f"/language/{each.tag}", **query) for each in offered]
    return [{"tag": each.tag, "name": each.name, "address": link} for each, link in zip(offered, links, strict=True)]


def describe_user(user: User | None) -> dict[str, Any] | None:
    """Return the template's values for a user."""
    if user is None:
        return None
    email = user.email or ""
    return {
        "name": user.display_name or email or user.id,
        "email": email,
        "is_anonymous": user.is_anonymous,
    }


async def _find_project_name(context: RouteContext, *, known: bool) -> str:
    project = context.services.project.cached_project
    if known:
        return project.display_name if project else ""
    with suppress(StackAuthError):
        return (await context.services.project.get()).display_name
    return ""
