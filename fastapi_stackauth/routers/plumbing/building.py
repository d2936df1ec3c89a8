"""Build a router's routes from their declarations, and document their responses."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse

from fastapi_stackauth.errors import (
    AuthError,
    AuthServerMisconfigured,
    AuthServerRateLimited,
    AuthServerUnavailable,
    ClockSkew,
    KnownApiError,
    RateLimitExceeded,
    RequestError,
    RequestInvalid,
    SecondFactorRequired,
    StackAuthError,
    UnexpectedResponse,
    VerificationUnavailable,
)
from fastapi_stackauth.http.bodies import not_json
from fastapi_stackauth.http.responses import Schema, problem_response
from fastapi_stackauth.routers.plumbing.context import Mount
from fastapi_stackauth.routers.plumbing.declaration import Declaration, Delivery, RouteError, Routes
from fastapi_stackauth.routers.plumbing.forms import FORM_TYPES
from fastapi_stackauth.routers.plumbing.oauth_errors import document_oauth_errors, oauth_status
from fastapi_stackauth.routers.plumbing.route import AuthRoute
from fastapi_stackauth.services import Stack
from fastapi_stackauth.settings import COOKIE_NAME

METHODS_WITHOUT_FORMS = ("DELETE", "PATCH")
"""Methods that HTML forms cannot send. Such a route also accepts POST, at its path plus the name of the method."""

_PAGE: Schema = {"text/html": {"schema": {"type": "string"}}}
_CROSS_SITE = AuthError("cross_site_request", details={"origin": "not_trusted"})
_EVERYWHERE: tuple[StackAuthError, ...] = (
    RequestInvalid((("body.email", "Field required"),)),
    AuthServerMisconfigured(),
    UnexpectedResponse(),
    AuthServerUnavailable(),
    AuthServerRateLimited(),
    VerificationUnavailable(),
    ClockSkew(),
)
_DESCRIPTIONS = {
    400: "The request is rejected; `code` gives the reason.",
    401: "There is no session, or it has ended.",
    403: "The caller may not do this; `code` gives the reason.",
    404: "Not found.",
    409: "The request conflicts with existing data.",
    413: "The request body is too large.",
    422: "The request does not fit the schema of the route.",
    429: "Too many attempts. Try again later.",
    502: "The auth server does not accept this app's configuration, or its response cannot be read.",
    503: "The auth server cannot be reached right now.",
}


def add_routes(router: APIRouter, routes: Routes, stack: Stack, mount: Mount) -> None:
    """Add the routes of a module to a router, if they belong to its delivery."""
    for declaration in routes.declarations:
        if mount.has(declaration):
            add_route(router, declaration, stack, mount)


def add_route(
    router: APIRouter,
    declaration: Declaration,
    stack: Stack,
    mount: Mount,
    route_class: type[AuthRoute] = AuthRoute,
) -> None:
    """Add a route to a router.

    Args:
        router: The router.
        declaration: The route.
        stack: The stack that the router belongs to.
        mount: The options of the router.
        route_class: The class of the route.
    """
    delivery, endpoint = mount.delivery, _mark_rejections(declaration.bind(mount.delivery), stack)
    operation = declaration.operation_id(delivery)
    hidden = declaration.options.get("hidden", False)
    owner = stack.services.settings.cookie_name  # identifies the stack among those of the app
    # This is a class, because `include_router` may use it to copy routes.
    bound = type("BoundRoute", (route_class,), {"stack": stack, "mount": mount, "declaration": declaration})
    requirement = mount.requirements.get(declaration.options.get("requirement", ""))
    dependencies = [] if requirement is None else [Depends(requirement)]
    answer = {**_success(declaration, delivery), "route_class_override": bound, "dependencies": dependencies}
    if declaration.method in METHODS_WITHOUT_FORMS and delivery == "cookie":
        path = f"{declaration.path}/{declaration.method.lower()}"
        router.add_api_route(path, endpoint, methods=["POST"], include_in_schema=False, **answer)
    if declaration.page_errors is not None and declaration.method == "GET":
        router.add_api_route(declaration.path, endpoint, methods=["HEAD"], include_in_schema=False, **answer)
    router.add_api_route(
        declaration.path,
        endpoint,
        methods=[declaration.method],
        operation_id=operation if owner == COOKIE_NAME else f"{owner}_{operation}",
        summary=declaration.summary,
        description=declaration.description(delivery),
        response_description=declaration.response_description,
        tags=[declaration.tag],
        responses=_document(declaration, delivery, answer["status_code"]),
        openapi_extra=_document_form(endpoint) if declaration.takes_forms and not hidden else None,
        include_in_schema=not hidden,
        **answer,
    )


def _mark_rejections(handler: Callable[..., Awaitable[Any]], stack: Stack) -> Callable[..., Awaitable[Any]]:
    """Wrap a handler, so that traces do not record client errors as application errors."""

    @wraps(handler)
    async def endpoint(**arguments: Any) -> Any:  # noqa: ANN401 - the parameters of the handler
        try:
            return await handler(**arguments)
        except StackAuthError as error:
            stack.services.events.mark_rejection(error)
            raise

    return endpoint


def _success(declaration: Declaration, delivery: Delivery) -> dict[str, Any]:
    """Return FastAPI's arguments for the status and the form of a successful response."""
    if declaration.page_errors is not None:
        return {"status_code": 200, "response_class": HTMLResponse, "response_model": None}
    result = declaration.result(delivery)
    if result.model is not None:
        return {"status_code": declaration.options.get("status_code", 200), "response_model": result.model}
    return {"status_code": 303 if result.redirects else 204, "response_class": Response, "response_model": None}


def _document(declaration: Declaration, delivery: Delivery, status_code: int) -> dict[int | str, Schema]:
    """Return the responses of a route for OpenAPI, with an example for each error."""
    result = declaration.result(delivery)
    if declaration.page_errors is not None:
        texts = {422: "The URL is incomplete.", **declaration.page_errors}
        pages: dict[int | str, Schema] = {
            status: {"description": text, "content": _PAGE} for status, text in sorted(texts.items())
        }
        return {**pages, 303: {"description": "The browser is redirected."}} if result.redirects else pages
    oauth = declaration.for_oauth_clients
    by_status: dict[int, list[StackAuthError]] = {}
    for error in (*_errors(declaration, delivery), *_EVERYWHERE):
        by_status.setdefault(oauth_status(error) if oauth else error.status_code, []).append(error)
    document = document_oauth_errors if oauth else problem_response
    responses: dict[int | str, Schema] = {
        status: document(_DESCRIPTIONS[status], tuple(by_status[status])) for status in sorted(by_status)
    }
    if oauth:
        # This replaces the 422 that FastAPI adds.
        responses["default"] = document_oauth_errors("Another error.", [AuthServerUnavailable()])
    content: Schema = {}
    if "example" in declaration.options:
        content["application/json"] = {"example": declaration.options["example"]}
    if declaration.takes_forms:
        for response in responses.values():
            response["content"] |= _PAGE
        if result.model is not None:
            content |= _PAGE
    return {**responses, status_code: {"content": content}} if content else responses


def _errors(declaration: Declaration, delivery: Delivery) -> list[StackAuthError]:
    """Return the error responses that are specific to a route."""
    options, browser = declaration.options, delivery == "cookie"
    own = (*options.get("errors", ()), *(options.get("cookie_errors", ()) if browser else ()))
    errors = [_to_error(error) for error in own]
    if declaration.second_factor:
        errors.append(SecondFactorRequired(None if browser else "attempt-code"))
    if declaration.method != "GET":
        too_large = RequestError("request_too_large", details={"max_body_size": declaration.max_body})
        errors += [not_json(), too_large, *([_CROSS_SITE] if browser and not declaration.for_oauth_clients else [])]
    if declaration.attempt:
        errors.append(RateLimitExceeded(30))
    return errors


def _to_error(error: RouteError) -> StackAuthError:
    if isinstance(error, int):
        return UnexpectedResponse(error)
    return KnownApiError.of(error) if isinstance(error, str) else error


def _document_form(endpoint: Any) -> Schema:  # noqa: ANN401 - a function with its own signature
    """Return the OpenAPI documentation of a body that may be a form or JSON."""
    model = endpoint.__signature__.parameters["body"].annotation
    return {"requestBody": {"content": {FORM_TYPES[0]: {"schema": model.model_json_schema()}}}}
