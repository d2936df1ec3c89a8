"""Declarations of routes: a decorator on a handler specifies the path, the summary and the errors.

A declaration is data that is created at import. For each router, `building.py` creates a route from it. If the
deliveries need different models, the handler uses `ByDelivery`, and its docstring may have paragraphs for one of them.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType
from typing import Any, Literal, TypedDict, TypeVar, Unpack, cast, get_args

from fastapi import Response
from fastapi.responses import RedirectResponse

from fastapi_stackauth.errors import StackAuthError
from fastapi_stackauth.http.bodies import MEDIUM, SMALL
from fastapi_stackauth.routers.plumbing.examples import Example

Delivery = Literal["cookie", "body"]
"""How tokens are delivered: in HttpOnly cookies, which scripts cannot read, or in request and response bodies."""

Page = Literal["password_reset", "verify_email", "magic_link"]
"""The pages that links in emails of the sign-in router open."""
TeamPage = Literal["team_invitation"]
"""The page that links in emails of the teams router open."""
CliPage = Literal["device"]
"""The page on which users type the code of a command-line tool."""

PAGE_PATHS: Mapping[str, str] = {
    "password_reset": "/password/reset",
    "verify_email": "/verify-email",
    "magic_link": "/magic-link/callback",
    "team_invitation": "/invitations/accept",
    "device": "/device",
}
"""The paths of the routers' own pages."""
PREBUILT_PATHS: Mapping[str, str] = {
    "password_reset": "/password-reset",
    "verify_email": "/email-verification",
    "magic_link": "/magic-link-callback",
    "team_invitation": "/team-invitation",
    "device": "/cli-auth-confirm",
}
"""The paths of the prebuilt pages that links in emails open, after the prefix of the pages."""

VERIFICATION_CODE_ERRORS = (
    "VERIFICATION_CODE_NOT_FOUND",
    "VERIFICATION_CODE_EXPIRED",
    "VERIFICATION_CODE_ALREADY_USED",
    "VERIFICATION_CODE_MAX_ATTEMPTS_REACHED",
)
"""The errors of every operation that takes a one-time code."""

RouteError = StackAuthError | str | int
"""An error of a route: an error of this library, a code of the auth server, or the status of its 4xx without a code."""

H = TypeVar("H", bound=Callable[..., Any])
_LABELS: Mapping[Delivery, str] = {"cookie": "Cookie delivery: ", "body": "Body delivery: "}
_WHAT_NEXT: Mapping[Delivery, str] = {
    "cookie": "The tokens are set as HttpOnly cookies: the browser is signed in, and scripts do not handle tokens.",
    "body": "Store the refresh token, and send the access token as `Authorization: Bearer` until it expires.",
}


@dataclass(frozen=True)
class ByDelivery:
    """Metadata for `Annotated`: the type of a parameter or a response in each delivery.

    None means that a delivery does not have the parameter, or that the response has no body.
    """

    cookie: Any
    body: Any


class RouteOptions(TypedDict, total=False):
    """The arguments of a decorator in addition to path and summary.

    Attributes:
        errors: The errors of this route, for OpenAPI. Errors of every route are added automatically.
        cookie_errors: Additional errors in cookie delivery.
        attempt: The action, if attempts are limited. An unsafe route counts the caller's address before it reads the
            body, and its handler counts the account. The handler of a GET route counts both.
        max_body: The maximum size of the body in bytes. By default, 16 KiB for routes that limit attempts and 64 KiB
            for others. A route with a higher limit only reads the body if the caller is signed in.
        example: An example of the response, if the fields of its model have none.
        form: Whether the route accepts a form instead of JSON, in both deliveries.
        shows_result: Whether a form gets a page with the result even if it has a next page, because no later page can
            show the result.
        oauth: Whether OAuth clients call the route. They have no cookies, send forms, and expect errors of RFC 6749.
        needs_redis: Whether several workers need `redis_url` for the route to work correctly.
        only: The delivery, if only one has this route.
        hidden: Whether the route is left out of OpenAPI.
        operation: The operation id, if it is not the handler's name.
        status_code: The status of a successful response, if it is not 200, 204 (no model) or 303 (a redirect).
        mfa_by_redirect: Whether its redirect may require a second factor.
        requirement: The key of this route in `Mount.requirements`.
        features: The features that the route belongs to, if it is not that of its module.
    """

    errors: tuple[RouteError, ...]
    cookie_errors: tuple[RouteError, ...]
    attempt: str
    max_body: int
    example: Example
    form: bool
    shows_result: bool
    oauth: bool
    needs_redis: bool
    only: Delivery
    hidden: bool
    operation: str
    status_code: int
    mfa_by_redirect: bool
    requirement: str
    features: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """The return type of a handler: the model of the response, and whether the handler may redirect."""

    model: Any
    redirects: bool


@dataclass(frozen=True)
class Declaration:
    """A route.

    Attributes:
        handler: The function that returns the response.
        method: Its HTTP method.
        path: Its path, without the router's prefix.
        tag: The group of the route in OpenAPI. For a route that signs in, also the method in events.
        summary: The summary for OpenAPI.
        options: The other arguments of the decorator.
        attempt: The action whose attempts are limited.
        signs_in: Whether it delivers the tokens of a sign-in.
        second_factor: Whether its response may require a second factor.
        page_errors: The error statuses of a page with their descriptions. None if the route is not a page.
        features: The features that the route belongs to. Any of them mounts it; a route without a feature is always
            mounted.
    """

    handler: FunctionType
    method: str
    path: str
    tag: str
    summary: str
    options: RouteOptions
    attempt: str | None = None
    signs_in: bool = False
    second_factor: bool = False
    page_errors: Mapping[int, str] | None = None
    features: tuple[str, ...] = ()

    @cached_property
    def max_body(self) -> int:
        """The maximum size of the body, in bytes."""
        return self.options.get("max_body", SMALL if self.attempt else MEDIUM)

    @cached_property
    def may_need_mfa(self) -> bool:
        """Whether a sign-in that starts here may need the feature `mfa`."""
        return self.second_factor or self.options.get("mfa_by_redirect", False)

    @cached_property
    def for_oauth_clients(self) -> bool:
        """Whether OAuth clients, not browsers, call the route."""
        return self.options.get("oauth", False)

    @cached_property
    def takes_forms(self) -> bool:
        """Whether the route accepts a form instead of JSON in both deliveries."""
        return self.options.get("form", False)

    def operation_id(self, delivery: Delivery) -> str:
        """Return the operation id. The same route may be mounted once for each delivery."""
        name = self.options.get("operation", self.handler.__name__).removeprefix("token_")
        return name if delivery == "cookie" else f"token_{name}"

    def bind(self, delivery: Delivery) -> FunctionType:
        """Return the handler with its signature for a delivery, from which FastAPI reads the models."""
        code, defaults = self.handler.__code__, self.handler.__defaults__
        bound = FunctionType(code, self.handler.__globals__, self.handler.__name__, defaults, self.handler.__closure__)
        vars(bound).update(vars(self.handler))
        bound.__doc__, bound.__module__ = self.handler.__doc__, self.handler.__module__
        signature = inspect.signature(self.handler, eval_str=True)
        chosen = {name: _choose(each.annotation, delivery) for name, each in signature.parameters.items()}
        parameters = [
            each.replace(annotation=chosen[name])
            for name, each in signature.parameters.items()
            if chosen[name] is not None
        ]
        bound.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # PEP 362
        return bound

    def result(self, delivery: Delivery) -> Result:
        """Return the return type of the handler in a delivery."""
        annotation = _choose(inspect.signature(self.handler, eval_str=True).return_annotation, delivery)
        parts = (annotation,) if isinstance(annotation, type) else get_args(annotation) or (annotation,)
        responses = [part for part in parts if isinstance(part, type) and issubclass(part, Response)]
        if not responses:
            return Result(annotation, redirects=False)
        models = [part for part in parts if part not in (*responses, type(None))]
        return Result(models[0] if models else None, redirects=RedirectResponse in responses)

    def description(self, delivery: Delivery) -> str:
        """Return the description of the route: the docstring without the paragraphs of the other delivery."""
        other = _LABELS["body" if delivery == "cookie" else "cookie"]
        paragraphs = self._docstring()[0].split("\n\n")
        own = [each.removeprefix(_LABELS[delivery]) for each in paragraphs if not each.startswith(other)]
        return "\n\n".join([*own, _WHAT_NEXT[delivery]] if self.signs_in else own)

    @property
    def response_description(self) -> str:
        """Return the description of success: the section `Returns` of the docstring."""
        if self.page_errors is not None:
            return "An HTML page."
        return self._docstring()[1] or ("Signed in." if self.signs_in else "The request succeeded.")

    def _docstring(self) -> tuple[str, str]:
        text, _, returns = (inspect.getdoc(self.handler) or "").partition("\n\nReturns:\n")
        return text, " ".join(returns.split())


class Routes:
    """The routes of one module: its methods are decorators for handlers.

    Args:
        tag: The group of the routes in OpenAPI. For routes that sign in, also the method in events.
        feature: The feature that they belong to. None if they are always mounted.

    Example:
        >>> routes = Routes("password")
        >>> @routes.sign_in("/password/sign-in", "Sign in with a password")
        ... async def password_sign_in(body: PasswordSignInRequest, context: Context) -> SignInResult: ...
    """

    def __init__(self, tag: str, *, feature: str | None = None) -> None:
        self.tag = tag
        self.feature = feature
        self.declarations: list[Declaration] = []

    def get(self, path: str, summary: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Declare a GET route."""
        return self._declare("GET", path, summary, options)

    def post(self, path: str, summary: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Declare a POST route."""
        return self._declare("POST", path, summary, options)

    def patch(self, path: str, summary: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Declare a PATCH route."""
        return self._declare("PATCH", path, summary, options)

    def delete(self, path: str, summary: str, **options: Unpack[RouteOptions]) -> Callable[[H], H]:
        """Declare a DELETE route."""
        return self._declare("DELETE", path, summary, options)

    def sign_in(
        self, path: str, summary: str, *, second_factor: bool = True, **options: Unpack[RouteOptions]
    ) -> Callable[[H], H]:
        """Declare a POST route that signs in. Attempts are limited, by default under the handler's name."""
        return self._declare("POST", path, summary, options, signs_in=True, second_factor=second_factor)

    def page(
        self,
        path: str,
        summary: str,
        *,
        method: str = "GET",
        page_errors: Mapping[int, str] | None = None,
        **options: Unpack[RouteOptions],
    ) -> Callable[[H], H]:
        """Declare a route that returns HTML pages, also for errors."""
        return self._declare(method, path, summary, options, page_errors=page_errors or {})

    def _declare(
        self,
        method: str,
        path: str,
        summary: str,
        options: RouteOptions,
        **more: Any,  # noqa: ANN401 - see Declaration
    ) -> Callable[[H], H]:
        def declare(handler: H) -> H:
            features = options.get("features", (self.feature,) if self.feature else ())
            attempt = options.get("attempt", handler.__name__ if more.get("signs_in") else None)
            self.declarations.append(
                Declaration(
                    cast("FunctionType", handler),
                    method,
                    path,
                    self.tag,
                    summary,
                    options,
                    attempt,
                    features=features,
                    **more,
                )
            )
            return handler

        return declare


def _choose(annotation: Any, delivery: Delivery) -> Any:  # noqa: ANN401 - an annotation may be anything
    """Return an annotation, resolved for a delivery."""
    for metadata in getattr(annotation, "__metadata__", ()):
        if isinstance(metadata, ByDelivery):
            return metadata.cookie if delivery == "cookie" else metadata.body
    return annotation
