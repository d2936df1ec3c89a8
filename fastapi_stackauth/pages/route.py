"""The routes of pages: a form whose handler fails shows its page again, with the errors and what the user typed.

The handlers of the forms are those of the JSON routes: `PageRoutes.action` takes them with their declarations.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar, cast

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from fastapi_stackauth.errors import AuthError, ConfigurationError, SecondFactorRequired, StackAuthError
from fastapi_stackauth.errors.problems import get_error_headers
from fastapi_stackauth.http.handlers import find_sign_in_page, log_error_response, refresh_rejected_session
from fastapi_stackauth.pages.messages import FAILED_HEADING, HEADINGS, find_message
from fastapi_stackauth.pages.showing import find_return_to, find_site, keep_return_to, show, translate
from fastapi_stackauth.routers.plumbing.context import RouteContext
from fastapi_stackauth.routers.plumbing.declaration import Declaration, RouteOptions, Routes
from fastapi_stackauth.routers.plumbing.route import AuthRoute, Handle

View = Callable[[RouteContext], Awaitable[Response]]
"""Shows a page. It is the endpoint of GET requests, and called again after a form with an error."""
NextPage = Callable[[RouteContext], str]
"""Returns where a form leads."""

V = TypeVar("V", bound=Callable[..., Any])
_UNAUTHORIZED = 401


@dataclass(frozen=True)
class PageDeclaration(Declaration):
    """A page, or the form of one.

    Attributes:
        view: shows the page again after an error; None if errors have a page of their own.
        next_page: where the browser goes after the form; None if the handler returns the response.
        origin: the path of the form's page, to which a user comes back who must sign in first.
    """

    view: View | None = None
    next_page: NextPage | None = None
    origin: str = ""


class PageRoutes:
    """The routes of one module of pages."""

    def __init__(self) -> None:
        self.declarations: list[PageDeclaration] = []

    def page(self, path: str, **options: Any) -> Callable[[V], V]:  # noqa: ANN401 - see RouteOptions
        """Declare a page: its function shows it."""

        def declare(view: V) -> V:
            self._add(Declaration(cast("Any", view), "GET", path, "pages", "", {}, page_errors={}), path, options)
            return view

        return declare

    def action(
        self,
        path: str,
        routes: Routes,
        handler: Any,  # noqa: ANN401 - the handler of a JSON route
        *,
        view: View | None,
        next_page: NextPage,
        origin: str = "",
    ) -> None:
        """Declare the form of a page.

        Args:
            path: where the form posts to. Declare a page there too, for browsers that load it again.
            routes: the module of the JSON route.
            handler: its handler, which the form calls.
            view: shows the page again after an error.
            next_page: where the browser goes afterwards.
            origin: the path of the form's page, if it is for signed-in users.
        """
        declared = next(each for each in routes.declarations if each.handler is handler)
        self._add(declared, path, {}, method="POST", view=view, next_page=next_page, origin=origin)

    def include(self, routes: Routes, handler: Any, path: str | None = None, *, origin: str = "") -> None:  # noqa: ANN401 - as above
        """Declare a route whose handler returns the response itself; its errors are pages."""
        declared = next(each for each in routes.declarations if each.handler is handler)
        self._add(declared, path or declared.path, {}, origin=origin)

    def _add(self, declared: Declaration, path: str, options: dict[str, Any], **more: Any) -> None:  # noqa: ANN401 - see PageDeclaration
        known = {each.name: getattr(declared, each.name) for each in fields(Declaration)}
        merged = cast("RouteOptions", {**declared.options, **options, "hidden": True, "form": True})
        self.declarations.append(PageDeclaration(**{**known, "path": path, "options": merged, **more}))


class PageRoute(AuthRoute):
    """A route whose response is a page, also if the request fails."""

    declaration: PageDeclaration

    async def _respond(self, handle: Handle, request: Request) -> Response:
        context = self._open(request)
        try:
            response = await self._handle(handle, context, None)
            if self.declaration.next_page is not None:
                response = RedirectResponse(self.declaration.next_page(context), 303)
        except StackAuthError as error:
            response = await self._fail(context, error)
        response.headers.setdefault("cache-control", "no-store")
        return response

    async def _fail(self, context: RouteContext, error: StackAuthError) -> Response:
        """Return the page for an error.

        Raises:
            ConfigurationError: the app must be fixed.
        """
        if isinstance(error, ConfigurationError):
            raise error
        error = await refresh_rejected_session(context.request, error)
        log_error_response(error, context.services.events)
        if isinstance(error, SecondFactorRequired):
            return RedirectResponse(find_site(context).link("/mfa", return_to=keep_return_to(context)), 303)
        if sign_in_page := self._find_sign_in_page(context, error):
            return RedirectResponse(sign_in_page, 303)
        try:
            response = await self._show_again(context, error)
        except StackAuthError as failure:  # the page itself needs the auth server
            log_error_response(failure, context.services.events)
            response = await show_error(context, failure)
        return response

    def _find_sign_in_page(self, context: RouteContext, error: StackAuthError) -> str | None:
        """Return the sign-in page if a user must sign in first. A form that was sent is lost."""
        if not isinstance(error, AuthError) or error.status_code != _UNAUTHORIZED:
            return None
        if context.request.method == "GET":
            return find_sign_in_page(context.request, error, context.settings, self.stack)
        site, prompt = find_site(context), "login" if error.code == "reauthentication_required" else ""
        back = site.prefix + self.declaration.origin if self.declaration.origin else find_return_to(context)
        return site.link("/sign-in", return_to=back, prompt=prompt)

    async def _show_again(self, context: RouteContext, error: StackAuthError) -> Response:
        if self.declaration.view is None:
            return await show_error(context, error)
        context.error = error
        response = await self.declaration.view(context)
        if response.status_code < 300:
            response.status_code = error.status_code
            copied = {name: value for name, value in get_error_headers(error).items() if name != "cache-control"}
            response.headers.update(copied)
        return response


async def show_error(context: RouteContext, error: StackAuthError) -> Response:
    """Return the page for an error that belongs to no form."""
    heading = translate(context, HEADINGS.get(error.status_code, FAILED_HEADING))
    headers = {name: value for name, value in get_error_headers(error).items() if name != "cache-control"}
    message = translate(context, find_message(error.code))
    return await show(
        context, "error.html", status_code=error.status_code, headers=headers, heading=heading, message=message
    )
