"""What all routes of the router share: which stack they serve, how tokens are delivered, answers to bad requests."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, model_validator
from starlette.exceptions import HTTPException

from fastapi_stackauth.errors import (
    AuthServerError,
    AuthServerMisconfigured,
    AuthServerUnavailable,
    ClockSkew,
    ConfigurationError,
    RateLimited,
    RequestInvalid,
    StackAuthError,
    UnexpectedAnswer,
    VerificationUnavailable,
)
from fastapi_stackauth.http.bodies import MEDIUM, not_json, read_body, read_form
from fastapi_stackauth.http.handlers import log_answer, refresh_rejected_session
from fastapi_stackauth.http.installed import InstalledStack, find_services, route_services
from fastapi_stackauth.http.openapi import Schema, problem_answer
from fastapi_stackauth.routers.plumbing.forms import Places, as_json, model_of, places_of
from fastapi_stackauth.routers.plumbing.pages import error_page
from fastapi_stackauth.routers.plumbing.posted import documents_forms, place_of, posted_by_page
from fastapi_stackauth.services import Stack
from fastapi_stackauth.sessions.context import context_of
from fastapi_stackauth.sessions.credentials import SAFE_METHODS
from fastapi_stackauth.startup.configuration import Needs, declared_needs
from fastapi_stackauth.verification.rejections import to_route_error

Delivery = Literal["cookie", "body"]
"""How tokens travel: in HttpOnly cookies, out of reach of scripts, or in request and response bodies."""

Page = Literal["password_reset", "verify_email", "magic_link"]
"""The pages that links in mails lead to."""

_UNREADABLE_BODY = "There was an error parsing the body"  # FastAPI's own 400, raised while it reads a body


@dataclass(frozen=True)
class Mount:
    """How one router was built.

    Attributes:
        delivery: how its tokens travel.
        pages: addresses of the app's own pages, in place of those that the router brings.
        oauth_scopes: by provider, the scopes to ask for beside those of a plain sign-in.
    """

    delivery: Delivery
    pages: Mapping[Page, str]
    oauth_scopes: Mapping[str, str]


Check = Callable[[Request, InstalledStack], Awaitable[None]]
"""What a route checks before it reads the body; it raises the error that the route answers."""


class AuthRoute(APIRoute):
    """A route that knows its stack, and answers requests of the wrong form with `request_invalid`, echoing nothing.

    Laws of every unsafe route: requests that another site made a browser send are rejected first (decision 11), then
    its own check runs, and only then is the body read, up to its limit. None of this can be forgotten or overridden.

    Attributes:
        stack: whose route it is.
        mount: how its router was built.
        max_body: the bytes that a body may have; the setting `max_body_size` raises it.
        check: what else runs before the body is read.
    """

    stack: Stack
    mount: Mount
    max_body: int = MEDIUM
    check: Check | None = None

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, with the stack put within reach and validation errors made ours."""
        handle = super().get_route_handler()

        async def handle_for_stack(request: Request) -> Response:
            context = context_of(request.scope)
            context.services, context.mount = find_services(request, self.stack), self.mount
            places = places_of(request, self.stack.services.settings) if self.mount.delivery == "cookie" else None
            if places is not None:
                response = await self._answered_by_redirect(handle, request, places)
            else:
                response = await self._answered(handle, request)
            response.headers.setdefault("cache-control", "no-store")
            return response

        return handle_for_stack

    async def _answered(self, handle: "Handle", request: Request) -> Response:
        try:
            return await _handled(handle, await self._admitted(request))
        except StackAuthError as error:
            if isinstance(error, ConfigurationError) or not self._read_by_a_person(request):
                raise
            told = await refresh_rejected_session(request, error)
            log_answer(told, self.stack.services.events)
            return error_page(told)

    async def _answered_by_redirect(self, handle: "Handle", request: Request, places: Places) -> Response:
        model = model_of(self.body_field.field_info.annotation) if self.body_field else None
        try:
            await _handled(handle, await as_json(await self._admitted(request), model))
        except StackAuthError as error:
            return places.after(await refresh_rejected_session(request, error), self.stack.services.events)
        return places.done()

    async def _admitted(self, request: Request) -> Request:
        """Check the request, then read its body; the request that holds it.

        Raises:
            AuthError: 403 `cross_site_request`.
            RequestError: 413.
            RequestInvalid: 400, a form that cannot be parsed, or that has a file.
        """
        if request.method == "GET":
            return request
        if self.mount.delivery == "cookie":  # where tokens travel in bodies, another site has nothing to abuse
            self.stack.services.sessions.site.check(request.scope)
        if self.check is not None:
            await self.check(request, self.stack.services)
        request = await read_body(request, max(self.max_body, self.stack.services.settings.max_body_size))
        await read_form(request)  # before FastAPI does, which would take files
        return request

    def needed_settings(self) -> frozenset[str]:
        """Return the settings without which this route cannot work (see `needs`)."""
        declared = declared_needs(self.endpoint) or Needs(frozenset({"project_id"}))
        needed = declared.settings
        if any(page == declared.unless_page and "://" in address for page, address in self.mount.pages.items()):
            needed -= {"app_url"}
        if self.mount.delivery == "cookie" and set(self.methods or ()) - SAFE_METHODS:
            needed |= {"app_url"}
        return needed

    def _read_by_a_person(self, request: Request) -> bool:
        page = self.response_class is HTMLResponse
        return page or (documents_forms(self.openapi_extra) and posted_by_page(request))


def route_class_for(stack: Stack, mount: Mount) -> type[AuthRoute]:
    """The route class of one router."""
    return type("BoundAuthRoute", (AuthRoute,), {"stack": stack, "mount": mount})


def declare(router: APIRouter, max_body: int, check: Check | None) -> type[APIRoute]:
    """Make the class of one route from its router's: a class, because `include_router` may copy routes by it."""
    attributes = {"max_body": max_body, "check": staticmethod(check) if check else None}
    return type("DeclaredAuthRoute", (router.route_class,), attributes)


def mount_of(request: Request) -> Mount:
    """How the router of this request was built."""
    mount = context_of(request.scope).mount
    assert isinstance(mount, Mount)  # noqa: S101 - every route of a router puts it there
    return mount


def address_of(request: Request, stack: InstalledStack, own: str, target: str) -> str:
    """The public address of another route of the same router, for links in mails.

    It is `app_url`, the prefix under which this router answers, and the target; never the Host header or `url_for`,
    since addresses in mails must not follow what a request claims.

    Args:
        request: the request being answered.
        stack: whose router it is.
        own: the path of the route that answers, without prefix.
        target: the path of the other route, without prefix.

    Raises:
        ConfigurationError: where `app_url` is missing.
    """
    path: str = request.scope["path"]
    return stack.settings.require_app_url("links in mails") + path.removesuffix(own) + target


def page_address(request: Request, stack: InstalledStack, page: Page, own: str, target: str) -> str:
    """Where the link in a mail leads: the app's own page where it has one, else a route of this router."""
    chosen = mount_of(request).pages.get(page)
    if chosen is None:
        return address_of(request, stack, own, target)
    return stack.settings.require_app_url("links in mails") + chosen if chosen.startswith("/") else chosen


RouteStack = Annotated[InstalledStack, Depends(route_services)]
"""The stack whose router a handler belongs to."""


class Form(BaseModel):
    """A request body: exactly the fields it names, of exactly their types."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _reject_other_fields(cls, body: object) -> object:
        """Reject other fields all at once: one fault for each would repeat their names, of which there may be many."""
        if isinstance(body, dict) and not body.keys() <= cls.model_fields.keys():
            raise ValueError(f"must have no other fields than {', '.join(cls.model_fields)}")
        return body


Handle = Callable[[Request], Coroutine[Any, Any, Response]]


async def _handled(handle: Handle, request: Request) -> Response:
    """What the handler answers, every error being one of ours."""
    try:
        return await handle(request)
    except RequestValidationError as error:
        if isinstance(error.body, bytes) or any(fault["type"] == "json_invalid" for fault in error.errors()):
            raise not_json() from None  # FastAPI leaves a body as bytes if its type is not JSON
        raise RequestInvalid(_faults(error)) from None
    except HTTPException as error:
        if error.detail != _UNREADABLE_BODY:  # an app's own dependency may answer 400 as well
            raise
        raise not_json() from None
    except AuthServerError as error:
        if (meant := to_route_error(error)) is error:
            raise
    raise meant


_EVERYWHERE: tuple[StackAuthError, ...] = (
    AuthServerMisconfigured(),
    UnexpectedAnswer(),
    AuthServerUnavailable(),
    RateLimited(),
    VerificationUnavailable(),
    ClockSkew(),
)
_DESCRIPTIONS = {
    400: "Refused, for the reason that `code` names.",
    401: "The session has ended, or there is none.",
    403: "Not allowed.",
    404: "There is no such thing.",
    409: "This contradicts what is there already.",
    413: "The body is longer than this route takes.",
    422: "The request does not have the expected form.",
    429: "Too many attempts.",
    502: "The auth server does not accept this app's configuration, or its answer cannot be read.",
    503: "The auth server cannot be reached right now.",
}


def answers(*errors: StackAuthError, pages: bool = False) -> dict[int | str, Schema]:
    """A route's error answers for OpenAPI, one example for each error, beside those that any route can give.

    Args:
        errors: the route's own.
        pages: whether it also takes forms, so that a person may read its answers as pages.
    """
    by_status: dict[int | str, Schema] = {}
    every = (*errors, RequestInvalid((("body.email", "Field required"),)), *_EVERYWHERE)
    for status in sorted({error.status_code for error in every}):
        same = tuple(error for error in every if error.status_code == status)
        by_status[status] = problem_answer(_DESCRIPTIONS[status], same)
        if pages:
            by_status[status]["content"]["text/html"] = {"schema": {"type": "string"}}
    return by_status


def _faults(error: RequestValidationError) -> tuple[tuple[str, str], ...]:
    return tuple((place_of(fault["loc"]), str(fault["msg"])) for fault in error.errors())
