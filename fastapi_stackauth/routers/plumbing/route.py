"""The steps of every route around its handler: checks, body limits, forms, and errors in the right form."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from starlette.exceptions import HTTPException

from fastapi_stackauth.errors import AuthServerError, ConfigurationError, RequestInvalid, StackAuthError
from fastapi_stackauth.http.bodies import MEDIUM, not_json, read_body, read_form
from fastapi_stackauth.http.handlers import find_sign_in_page, log_error_response, refresh_rejected_session
from fastapi_stackauth.http.installed import find_services
from fastapi_stackauth.routers.plumbing.context import ANY_USER, Mount, RouteContext
from fastapi_stackauth.routers.plumbing.declaration import Declaration
from fastapi_stackauth.routers.plumbing.forms import FormRedirects, convert_to_json, has_form, read_redirects
from fastapi_stackauth.routers.plumbing.oauth_errors import oauth_error_response
from fastapi_stackauth.routers.plumbing.pages import error_page
from fastapi_stackauth.services import Stack
from fastapi_stackauth.sessions.context import get_context
from fastapi_stackauth.sessions.cookies import SAFE_METHODS
from fastapi_stackauth.startup.configuration import Needs, declared_needs
from fastapi_stackauth.verification.rejections import to_route_error

_UNREADABLE_BODY = "There was an error parsing the body"  # FastAPI's own 400, raised while it reads a body

Handle = Callable[[Request], Awaitable[Response]]


class AuthRoute(APIRoute):
    """A route of a stack. For an invalid request, it returns `request_invalid` without the values.

    Laws for every unsafe route: it first rejects requests that another site caused a browser to send (decision 11),
    then requests above the rate limit, and only then reads the body, up to its limit. None of this can be overridden.

    Attributes:
        stack: The stack of the route.
        mount: The options of its router.
        declaration: The declaration of the route.
    """

    stack: Stack
    mount: Mount
    declaration: Declaration

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler with these checks."""
        return partial(self._respond, super().get_route_handler())

    async def _respond(self, handle: Handle, request: Request) -> Response:
        context = self._open(request)
        services = context.services
        in_browser = context.in_browser and not self.declaration.for_oauth_clients
        redirects = read_redirects(request, services.settings) if in_browser else None
        context.next_page = redirects.on_success if redirects else None
        try:
            response = await self._handle(handle, context, redirects)
            if redirects and not self.declaration.options.get("shows_result"):
                response = RedirectResponse(redirects.on_success, 303)
        except StackAuthError as error:
            reads_page = self.declaration.page_errors is not None or (
                self.declaration.takes_forms and context.is_page_form
            )
            oauth = self.declaration.for_oauth_clients
            if isinstance(error, ConfigurationError) or not (redirects or reads_page or oauth):
                raise
            shown = await refresh_rejected_session(request, error)
            log_error_response(shown, services.events)
            if oauth:
                response = oauth_error_response(shown, services.settings.error_docs_url)
            elif redirects:
                response = redirects.after(shown)
            elif sign_in_page := find_sign_in_page(request, shown, services.settings, self.stack):
                response = RedirectResponse(sign_in_page, 303)
            else:
                response = error_page(shown)
        response.headers.setdefault("cache-control", "no-store")
        return response

    def _open(self, request: Request) -> RouteContext:
        """Create the context of a request, and store it for handlers and error handlers."""
        services = find_services(request, self.stack)
        context = RouteContext(request, services, self.mount, self.declaration, self.stack.prebuilt_pages)
        if (tracer := services.events.tracer) is not None and request.scope["query_string"]:
            tracer.redact_query()
        shared = get_context(request.scope)
        shared.services, shared.route = services, context
        return context

    async def _handle(self, handle: Handle, context: RouteContext, redirects: FormRedirects | None) -> Response:
        """Let FastAPI handle the request, and convert its exceptions to errors of this library."""
        request = context.request
        try:
            if request.method not in SAFE_METHODS:
                request = await self._admit(context, redirects)
            return await handle(request)
        except RequestValidationError as error:
            if isinstance(error.body, bytes) or any(fault["type"] == "json_invalid" for fault in error.errors()):
                raise not_json() from None  # FastAPI does not parse a body if its media type is not JSON
            raise RequestInvalid(tuple((_place(fault), str(fault["msg"])) for fault in error.errors())) from None
        except HTTPException as error:
            if error.detail != _UNREADABLE_BODY:  # a dependency of the app may return 400 as well
                raise
            raise not_json() from None
        except AuthServerError as error:
            if (meant := to_route_error(error)) is error:
                raise
        raise meant

    async def _admit(self, context: RouteContext, redirects: FormRedirects | None) -> Request:
        """Check an unsafe request, then read its body and return the request with it.

        Raises:
            AuthError: 403 `cross_site_request`; 401 before it reads a large body.
            RateLimitExceeded: 429.
            RequestError: 413.
            RequestInvalid: 400: A form cannot be parsed or has a file.
        """
        declaration, services = self.declaration, context.services
        # With tokens in bodies, another site cannot abuse a request.
        if context.in_browser and not declaration.for_oauth_clients:
            services.sessions.site.check(context.request.scope)
        if declaration.attempt is not None:
            await services.limiter.count(declaration.attempt, address=context.address)
        elif declaration.max_body > MEDIUM:
            await ANY_USER(context.request, SecurityScopes())
        request = await read_body(context.request, max(declaration.max_body, services.settings.max_body_size))
        if redirects or (declaration.takes_forms and has_form(request)):
            context.form = await self._read_form(request)
            annotation = self.body_field.field_info.annotation if self.body_field else None
            return convert_to_json(request, context.form, annotation)
        if has_form(request):
            await read_form(request)  # before FastAPI reads it, which would accept files
        return request

    async def _read_form(self, request: Request) -> Mapping[str, str]:
        """Return the fields of a form. Its body has already been read.

        Raises:
            RequestInvalid: 400: The form cannot be parsed or has a file.
        """
        return await read_form(request)

    def needed_settings(self) -> frozenset[str]:
        """Return the settings that this route needs (see `needs`)."""
        declared = declared_needs(self.endpoint) or Needs(frozenset({"project_id"}))
        needed = declared.settings
        if any(page == declared.unless_page and "://" in address for page, address in self.mount.pages.items()):
            needed -= {"app_url"}
        if self.mount.delivery == "cookie" and set(self.methods or ()) - SAFE_METHODS:
            needed |= {"app_url"}
        if self.mount.share_browser_session:
            needed -= {"secret_server_key"}
        return needed


def _place(fault: dict[str, Any]) -> str:
    """Return the invalid field, without nested names: the caller chooses them, and they may be very long."""
    return ".".join(str(part) for part in fault["loc"][:2])
