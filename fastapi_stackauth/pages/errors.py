"""Error pages, for the prebuilt pages and for the app's own routes if a browser opened them."""

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, urlencode

from fastapi import Request, Response

from fastapi_stackauth.errors import AuthServerError, RequestInvalid, StackAuthError
from fastapi_stackauth.errors.problems import get_error_headers
from fastapi_stackauth.http.handlers import find_address
from fastapi_stackauth.pages import messages
from fastapi_stackauth.pages.messages import FAILED_HEADING, HEADINGS, describe_problem, find_message
from fastapi_stackauth.pages.showing import find_site, keep_return_to, read_query, show, translate
from fastapi_stackauth.pages.site import PagesMount
from fastapi_stackauth.routers.plumbing.context import RouteContext
from fastapi_stackauth.routers.plumbing.declaration import Declaration
from fastapi_stackauth.services import Services
from fastapi_stackauth.sessions.redirects import allowed_redirect

_VERIFY = "email_not_verified"
_URL_SAFE = ":/%#?=@[]!$&'()*+,;"


@dataclass(frozen=True)
class Action:
    """A link that helps the user after an error.

    Attributes:
        label: The text of the link, in English.
        address: The URL of the link.
    """

    label: str
    address: str


async def show_error(context: RouteContext, error: StackAuthError, action: Action | None = None) -> Response:
    """Return the page for an error outside of a form.

    Args:
        context: The context of the request.
        error: The error.
        action: The link for the user. By default, it helps against the error, or leads to the sign-in page.
    """
    action = action or _find_remedy(context, error, _find_own_address(context))
    headers = {name: value for name, value in get_error_headers(error).items() if name != "cache-control"}
    return await show(
        context,
        "error.html",
        status_code=error.status_code,
        headers=headers,
        offline=isinstance(error, AuthServerError),
        heading=translate(context, HEADINGS.get(error.status_code, FAILED_HEADING)),
        message=translate(context, _describe(error)),
        action=describe_action(context, action),
    )


def describe_action(context: RouteContext, action: Action | None = None) -> dict[str, str]:
    """Return the template's values for an action. By default, it leads to the sign-in page."""
    action = action or Action(messages.BACK, find_site(context).link("/sign-in", return_to=keep_return_to(context)))
    return {"label": translate(context, action.label), "address": action.address}


class OutsidePages:
    """Shows pages at URLs outside of the prefix (see `PrebuiltPages`).

    Args:
        mount: The options of the router of the pages.
    """

    def __init__(self, mount: PagesMount) -> None:
        self._mount = mount
        self.prefix: str = mount.site.prefix

    async def show_error(self, request: Request, services: Services, error: StackAuthError) -> Response:
        """Return a page for an error of an app's own route, with a link that helps the user."""
        here = find_address(request) if request.method == "GET" else ""
        context = self._open(request, services, here)
        return await show_error(context, error, _choose_action(context, error, here))

    async def show_onward(self, request: Request, services: Services, address: str) -> Response:
        """Return a page that automatically continues to a provider (see `onward_page`)."""
        address = quote(address, safe=_URL_SAFE)  # a header may only contain ASCII
        headers = {"refresh": f"0; url={address}"}
        return await show(self._open(request, services, ""), "onward.html", headers=headers, address=address)

    def _open(self, request: Request, services: Services, here: str) -> RouteContext:
        """Create a context with only `return_to` in its query, because the query of the app means something else."""
        scope = {**request.scope, "query_string": urlencode({"return_to": here}).encode()}
        return RouteContext(Request(scope), services, self._mount, _OUTSIDE, self)


def _outside() -> None:
    """A placeholder for the handler of a route outside of the pages."""


_OUTSIDE = Declaration(_outside, "GET", "", "pages", "", {})  # type: ignore[arg-type]  # a function is such a handler


def _describe(error: StackAuthError) -> str:
    """Return the text for users."""
    if error.code == "permission_missing":
        return messages.PERMISSION
    if isinstance(error, RequestInvalid):
        return describe_problem(error, ()).summary
    text = find_message(_VERIFY if _must_verify(error) else error.code)
    unclear = text == messages.FAILED and error.status_code == HTTPStatus.UNAUTHORIZED
    return find_message("authentication_required") if unclear else text


def _must_verify(error: StackAuthError) -> bool:
    return _VERIFY in (error.code, error.public_details.get("restricted_reason"))


def _choose_action(context: RouteContext, error: StackAuthError, here: str) -> Action:
    """Return the link for an error of an app's own page. `here` is the URL of the page, or empty after a form."""
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        prompt = "login" if error.code == "reauthentication_required" else ""
        page = find_site(context).link("/sign-in", return_to=keep_return_to(context), prompt=prompt)
        return Action(messages.SIGN_IN, context.settings.sign_in_url or page)
    return _find_remedy(context, error, here) or Action(messages.CONTINUE, context.settings.after_sign_in)


def _find_own_address(context: RouteContext) -> str:
    """Return the URL of a page of this router; empty after a form, and if the URL has a code."""
    is_page = context.request.method == "GET" and context.declaration.tag == "pages"
    return find_address(context.request) if is_page and not read_query(context, "code") else ""


def _find_remedy(context: RouteContext, error: StackAuthError, here: str) -> Action | None:
    """Return the link that helps against an error of the page at the URL `here`; None if there is none."""
    site = find_site(context)
    back = allowed_redirect(keep_return_to(context) or here, context.settings) or ""
    if error.code == "anonymous_not_allowed":
        return Action(messages.SIGN_UP, site.link("/sign-up", return_to=back))
    if _must_verify(error):
        return Action(messages.VERIFY, site.link("/account-settings") + "#emails")
    if error.code == "mfa_enrollment_required":
        return Action(messages.ENABLE_MFA, site.link("/account-settings/two-factor"))
    if error.status_code == HTTPStatus.SERVICE_UNAVAILABLE and here:
        return Action(messages.TRY_AGAIN, here)
    return None
