"""The routes of pages. If the handler of a form fails, the page is shown again, with the errors and the user's input.

The handlers of the forms are those of the JSON routes: `PageRoutes.action` takes them with their declarations.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar, cast

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from fastapi_stackauth.dependencies import resolve
from fastapi_stackauth.errors import AuthError, ConfigurationError, RequestInvalid, SecondFactorRequired, StackAuthError
from fastapi_stackauth.errors.problems import get_error_headers
from fastapi_stackauth.http.handlers import find_sign_in_page, log_error_response, refresh_rejected_session
from fastapi_stackauth.http.installed import find_services
from fastapi_stackauth.pages.errors import show_error
from fastapi_stackauth.pages.messages import ACCOUNT, ONCE
from fastapi_stackauth.pages.pictures import MAX_UPLOAD, read_upload
from fastapi_stackauth.pages.showing import find_return_to, find_site, keep_return_to
from fastapi_stackauth.routers.plumbing.context import RouteContext
from fastapi_stackauth.routers.plumbing.declaration import Declaration, RouteOptions, Routes
from fastapi_stackauth.routers.plumbing.forms import FormRedirects
from fastapi_stackauth.routers.plumbing.route import AuthRoute, Handle
from fastapi_stackauth.runtime.storage import StorageUnavailable
from fastapi_stackauth.sessions.context import get_context

View = Callable[[RouteContext], Awaitable[Response]]
"""A function that shows a page. It is the endpoint of GET requests, and is called again after an error in a form."""
NextPage = Callable[[RouteContext], str]
"""A function that returns the URL of the page after a form."""
ShowResult = Callable[[RouteContext, Any], Awaitable[Response]]
"""A function that returns a page for the result of a form's handler, which is the JSON route's result or None."""

V = TypeVar("V", bound=Callable[..., Any])
_UNAUTHORIZED = 401
_REMEMBERED = 3600.0  # seconds in which a browser may send a form again


@dataclass(frozen=True)
class PageDeclaration(Declaration):
    """A page or a form of a page.

    Attributes:
        view: The function that shows the page again after an error. None if errors are shown on a separate page.
        next_page: The function that returns the URL to redirect to after the form is handled.
        show_result: The function that returns a page instead of a redirect, such as a page with a new key. If neither
            is set, the handler returns the response.
        confirmation: The name of the field that confirms an action that cannot be undone. The form must contain it.
        uploads: Whether the form can contain a picture.
        for_cli: Whether the route belongs to `stack.cli_router()`.
        origin: The path of the page with the form. Users who must sign in first return to it.
    """

    view: View | None = None
    next_page: NextPage | None = None
    show_result: ShowResult | None = None
    confirmation: str = ""
    uploads: bool = False
    for_cli: bool = False
    origin: str = ""


class PageRoutes:
    """The page routes that a module declares.

    Args:
        for_cli: Whether the routes belong to `stack.cli_router()`. They exist only in apps that use it.
    """

    def __init__(self, *, for_cli: bool = False) -> None:
        self.for_cli = for_cli
        self.declarations: list[PageDeclaration] = []

    def page(self, path: str, **options: Any) -> Callable[[V], V]:  # noqa: ANN401 - see RouteOptions
        """Declare a page. The decorated function shows it."""

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
        next_page: NextPage | None = None,
        show_result: ShowResult | None = None,
        confirmation: str = "",
        uploads: bool = False,
        origin: str = "",
    ) -> None:
        """Declare the form of a page.

        Args:
            path: The target of the form. Declare a page there too, for browsers that reload it.
            routes: The routes of the JSON route's module.
            handler: The handler of the JSON route.
            view: The function that shows the page again after an error.
            next_page: The function that returns the URL of the next page.
            show_result: The function that turns the handler's result into a page, instead of a redirect.
            confirmation: The name of the field that the form must contain.
            uploads: Whether the form can contain a picture.
            origin: The path of the form's page, if it is for signed-in users.
        """
        declared = next(each for each in routes.declarations if each.handler is handler)
        more: dict[str, Any] = {"view": view, "next_page": next_page, "show_result": show_result}
        more |= {"confirmation": confirmation, "uploads": uploads}
        options = {"max_body": MAX_UPLOAD} if uploads else {}
        self._add(declared, path, options, method="POST", origin=origin, **more)

    def include(self, routes: Routes, handler: Any, path: str | None = None, *, origin: str = "") -> None:  # noqa: ANN401 - as above
        """Declare a route with a handler that returns the response itself. Its errors are pages."""
        declared = next(each for each in routes.declarations if each.handler is handler)
        self._add(declared, path or declared.path, {}, origin=origin)

    def _add(self, declared: Declaration, path: str, options: dict[str, Any], **more: Any) -> None:  # noqa: ANN401 - see PageDeclaration
        known = {each.name: getattr(declared, each.name) for each in fields(Declaration)}
        merged = cast("RouteOptions", {**declared.options, **options, "hidden": True, "form": True})
        known |= {"path": path, "options": merged, "attempt": options.get("attempt", known["attempt"])}
        self.declarations.append(PageDeclaration(**{**known, **more}, for_cli=self.for_cli))


class PageRoute(AuthRoute):
    """A route that responds with a page, even if the request fails."""

    declaration: PageDeclaration

    async def _respond(self, handle: Handle, request: Request) -> Response:
        context = self._open(request)
        try:
            response = await self._handle(handle, context, None)
            response = await self._follow(context, response)
        except StackAuthError as error:
            if context.claim:  # it had no effect, so the same form may be sent again
                await context.services.storage.remove(context.claim)
            response = await self._fail(context, error)
        response.headers.setdefault("cache-control", "no-store")
        return response

    def _open(self, request: Request) -> RouteContext:
        """Create the context of a request.

        Raises:
            ConfigurationError: The app is mounted in another app, under a path that is missing in all links.
        """
        root_path = request.scope.get("root_path", "")
        mounted_at = root_path.removeprefix(request.scope.get("app_root_path", root_path))
        if mounted_at:  # a check at start-up cannot detect this if this library is not installed on the outer app
            raise ConfigurationError(
                f'The app with the prebuilt pages is mounted at "{mounted_at}", which is missing in their links. '
                "Include the router of pages_router on the outer app, without another prefix, and call "
                "stack.install on it."
            )
        context = super()._open(request)
        if self.declaration.for_cli:
            context.mount = replace(self.mount, share_browser_session=self.stack.cli_shares_session is True)
        if self.declaration.next_page or self.declaration.show_result:
            context.is_page_form = False  # the handler returns the result for programs, and the page shows it
        return context

    def needed_settings(self) -> frozenset[str]:
        """Return the settings that this route needs. The settings for a tool's sign-in belong to `cli_router`."""
        return frozenset() if self.declaration.for_cli else super().needed_settings()

    async def _handle(self, handle: Handle, context: RouteContext, redirects: FormRedirects | None) -> Response:
        if self.declaration.for_cli and self.stack.cli_shares_session is None:
            raise HTTPException(404)
        return await super()._handle(handle, context, redirects)

    async def _admit(self, context: RouteContext, redirects: FormRedirects | None) -> Request:
        request = await super()._admit(context, redirects)
        if (name := self.declaration.confirmation) and not context.form.get(name):
            raise RequestInvalid(((f"body.{name}", "Field required"),))
        return request

    async def _read_form(self, request: Request) -> Mapping[str, str]:
        read = read_upload if self.declaration.uploads else super()._read_form
        form = dict(await read(request))
        account, once = form.pop(ACCOUNT, ""), form.pop(ONCE, "")
        user = (await resolve(request, find_services(request, self.stack))).user if account or once else None
        if user and account not in ("", user.id):
            raise RequestInvalid(((f"body.{ACCOUNT}", "Is another account"),), status_code=409)
        if user and once:
            name = f"{request.scope['path']}\n{user.id}\n{once}"
            await _claim(request, "form:" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest())
        return form

    async def _follow(self, context: RouteContext, response: Response) -> Response:
        """Return the response after a successful request."""
        if self.declaration.show_result is not None:
            body = bytes(response.body)
            return await self.declaration.show_result(context, json.loads(body) if body else None)
        if self.declaration.next_page is not None:
            return RedirectResponse(self.declaration.next_page(context), 303)
        return response

    async def _fail(self, context: RouteContext, error: StackAuthError) -> Response:
        """Return the page for an error.

        Raises:
            ConfigurationError: The app is not configured correctly.
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
        except StackAuthError as failure:  # the page needs the auth server too, or its object no longer exists
            log_error_response(failure, context.services.events)
            if sign_in_page := self._find_sign_in_page(context, failure):
                return RedirectResponse(sign_in_page, 303)
            response = await show_error(context, error)
        return response

    def _find_sign_in_page(self, context: RouteContext, error: StackAuthError) -> str | None:
        """Return the URL of the sign-in page if a user must sign in first. The submitted form is lost."""
        if not isinstance(error, AuthError) or error.status_code != _UNAUTHORIZED:
            return None
        # A dependency of the app rejects the user, and would do so again.
        if self.declaration.path.startswith("/sign-in"):
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


async def _claim(request: Request, key: str) -> None:
    """Reject a form that this user has sent before, such as by pressing its button twice.

    Raises:
        RequestInvalid: 409.
    """
    context: RouteContext = get_context(request.scope).route
    with suppress(StorageUnavailable):  # then a second form is like the first
        if not await context.services.storage.add(key, _REMEMBERED):
            raise RequestInvalid(((f"body.{ONCE}", "Has been sent already"),), status_code=409)
        context.claim = key
