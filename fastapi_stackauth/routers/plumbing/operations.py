"""How a route is put on a router: stable names, the guard against other sites, documented answers."""

from collections.abc import Callable, Mapping
from inspect import getdoc
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from fastapi_stackauth.dependencies import Require
from fastapi_stackauth.errors import (
    AuthError,
    KnownApiError,
    RateLimitExceeded,
    RequestError,
    SecondFactorRequired,
    StackAuthError,
)
from fastapi_stackauth.http.bodies import MEDIUM, SMALL, not_json
from fastapi_stackauth.http.installed import InstalledStack
from fastapi_stackauth.routers.plumbing.caller import check_signed_in, count_address
from fastapi_stackauth.routers.plumbing.delivery import SignedIn, Tokens
from fastapi_stackauth.routers.plumbing.examples import Example
from fastapi_stackauth.routers.plumbing.posted import documents_forms
from fastapi_stackauth.routers.plumbing.route import AuthRoute, Check, Delivery, answers, declare
from fastapi_stackauth.settings import COOKIE_NAME

Handler = Callable[..., Any]

_CROSS_SITE = AuthError("cross_site_request", details={"origin": "not_trusted"})
_UNREADABLE: tuple[StackAuthError, ...] = (not_json(),)
"""The response to a body that cannot be read."""
VERIFICATION_CODE_ERRORS: tuple[StackAuthError, ...] = (
    KnownApiError.of("VERIFICATION_CODE_NOT_FOUND"),
    KnownApiError.of("VERIFICATION_CODE_EXPIRED"),
    KnownApiError.of("VERIFICATION_CODE_ALREADY_USED"),
    KnownApiError.of("VERIFICATION_CODE_MAX_ATTEMPTS_REACHED"),
)
"""What every operation that takes a one-time code can answer."""

_PAGE = {"text/html": {"schema": {"type": "string"}}}

FOR_FORMS = ("DELETE", "PATCH")
"""Methods that HTML forms do not have: such a route takes POST too, at its path with the method's name after it."""

_WHAT_NEXT = {
    "cookie": "Both tokens travel in HttpOnly cookies: the browser is signed in, and there is nothing more to do.",
    "body": "Keep the refresh token, and send the access token as `Authorization: Bearer` until it expires.",
}


def operation_id(router: APIRouter, delivery: Delivery, operation: str) -> str:
    """The stable name of an operation.

    The same routes may be mounted once for each delivery, and by several stacks, which their `cookie_name` tells apart.
    """
    name = operation if delivery == "cookie" else f"token_{operation}"
    routes = router.route_class
    owner = routes.stack.services.settings.cookie_name if issubclass(routes, AuthRoute) else COOKIE_NAME
    return name if owner == COOKIE_NAME else f"{owner}_{name}"


def add(
    router: APIRouter,
    delivery: Delivery,
    path: str,
    handler: Handler,
    *,
    operation: str,
    summary: str,
    tag: str,
    method: str = "POST",
    status_code: int = 200,
    response_model: Any = None,  # noqa: ANN401 - whatever FastAPI takes
    response_description: str = "Done.",
    description: str | None = None,
    errors: tuple[StackAuthError, ...] = (),
    attempt: str | None = None,
    max_body: int | None = None,
    redirects: bool = False,
    demands: tuple[Require, ...] = (),
    page_for_forms: bool = False,
    example: Example | None = None,
    openapi_extra: dict[str, Any] | None = None,
) -> None:
    """Put a route on a router. Without a response model it answers 204, or 303 where it `redirects`.

    `attempt` is the action whose attempts are limited: an unsafe route counts the address itself, before it reads the
    body, and its handler the account; a GET route's handler counts both. `max_body` is the bytes that the body may
    have: without it 16 KiB on a limited route and 64 KiB on others; a larger body is read only if the caller is signed
    in. `demands` are made of the caller beside those of the handler; `page_for_forms`: a form gets a page instead of
    the model; `example` is what success looks like where the fields of its model have no examples.
    """
    unsafe, max_body = method != "GET", max_body or _max_body(attempt)
    if unsafe:
        errors = (*errors, *_UNREADABLE, RequestError("request_too_large", details={"max_body_size": max_body}))
    if unsafe and delivery == "cookie":
        errors = (*errors, _CROSS_SITE)
    if attempt:
        errors = (*errors, RateLimitExceeded(30))
    answer: dict[str, Any] = {"status_code": status_code}
    if redirects:
        answer = {"status_code": 303, "response_class": Response}
    elif response_model is None:
        answer = {"status_code": 204, "response_class": Response}
    responses = answers(*errors, pages=documents_forms(openapi_extra))
    content: dict[str, Any] = {"application/json": {"example": example}} if example is not None else {}
    if page_for_forms:
        content |= _PAGE
    if content:
        responses[status_code] = {"content": content}
    answer |= {"response_model": response_model, "dependencies": [Depends(demand) for demand in demands]}
    answer |= {"route_class_override": declare(router, max_body, _check(attempt, max_body))}
    _add_for_forms(router, delivery, method, path, handler, answer)
    router.add_api_route(
        path,
        handler,
        methods=[method],
        operation_id=operation_id(router, delivery, operation),
        summary=summary,
        description=description or getdoc(handler),
        response_description=response_description,
        tags=[tag],
        responses=responses,
        openapi_extra=openapi_extra,
        **answer,
    )


def _max_body(attempt: str | None) -> int:
    return SMALL if attempt else MEDIUM


def _check(attempt: str | None, max_body: int = MEDIUM) -> Check | None:
    if attempt is None:
        return check_signed_in if max_body > MEDIUM else None

    async def check(request: Request, stack: InstalledStack) -> None:
        await count_address(request, stack, attempt)

    return check


def _add_for_forms(
    router: APIRouter, delivery: Delivery, method: str, path: str, handler: Handler, answer: dict[str, Any]
) -> None:
    if method in FOR_FORMS and delivery == "cookie":
        router.add_api_route(f"{path}/{method.lower()}", handler, methods=["POST"], include_in_schema=False, **answer)


def add_page(
    router: APIRouter,
    delivery: Delivery,
    path: str,
    handler: Handler,
    *,
    operation: str,
    summary: str,
    tag: str,
    method: str = "GET",
    attempt: str | None = None,
    redirects: bool = False,
    errors: Mapping[int, str] = MappingProxyType({}),
) -> None:
    """Put a page for people on a router; its errors are pages too. `attempt` is as for `add`."""
    described = {422: "The address is not whole.", **errors}
    responses: dict[int | str, dict[str, Any]] = {
        status: {"description": text, "content": _PAGE} for status, text in sorted(described.items())
    }
    if redirects:
        responses[303] = {"description": "Signed in, and sent on."}
    router.add_api_route(
        path,
        handler,
        methods=[method],
        operation_id=operation_id(router, delivery, operation),
        summary=summary,
        description=getdoc(handler),
        response_class=HTMLResponse,
        response_model=None,
        response_description="A page.",
        route_class_override=declare(router, _max_body(attempt), _check(attempt)),
        tags=[tag],
        responses=responses,
    )


def add_sign_in(
    router: APIRouter,
    delivery: Delivery,
    path: str,
    handler: Handler,
    *,
    operation: str,
    summary: str,
    tag: str,
    attempt: str | None = None,
    errors: tuple[StackAuthError, ...] = (),
    second_factor: bool = True,
) -> None:
    """Put a route on a router that signs in: it is limited, may need a second factor, and delivers tokens.

    Attempts are those of the operation, if `attempt` does not name another action.
    """
    if second_factor:
        errors = (*errors, SecondFactorRequired("attempt-code" if delivery == "body" else None))
    add(
        router,
        delivery,
        path,
        handler,
        operation=operation,
        summary=summary,
        tag=tag,
        response_model=SignedIn if delivery == "cookie" else Tokens,
        response_description="Signed in.",
        description=f"{getdoc(handler)}\n\n{_WHAT_NEXT[delivery]}",
        errors=errors,
        attempt=attempt or operation,
    )
