"""How a route is declared: a decorator on its handler names the path, the summary and the errors.

A declaration is data, made at import. `building.py` makes a route from it for each router: if both deliveries need
different models, the handler names them with `ByDelivery`, and its docstring may have paragraphs for one of them.
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
"""How tokens travel: in HttpOnly cookies, out of reach of scripts, or in request and response bodies."""

Page = Literal["password_reset", "verify_email", "magic_link"]
"""The pages that links in emails of the sign-in router open."""
TeamPage = Literal["team_invitation"]
"""The page that links in emails of the teams router open."""
CliPage = Literal["device"]
"""The page on which users of a command-line tool type the tool's code."""

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
"""An error of a route: one of this library; a code of the auth server; or the status of a 4xx of it without a code."""

H = TypeVar("H", bound=Callable[..., Any])
_LABELS: Mapping[Delivery, str] = {"cookie": "Cookie delivery: ", "body": "Body delivery: "}
_WHAT_NEXT: Mapping[Delivery, str] = {
    "cookie": "The tokens are set as HttpOnly cookies: the browser is signed in, and scripts do not handle tokens.",
    "body": "Store the refresh token, and send the access token as `Authorization: Bearer` until it expires.",
}


@dataclass(frozen=True)
class ByDelivery:
    """Metadata of `Annotated`: the type of a parameter or of a response in each delivery.

    None means a parameter that a delivery does not have, or a response without a body.
    """

    cookie: Any
    body: Any


class RouteOptions(TypedDict, total=False):
    """The arguments of a decorator beside path and summary.

    Attributes:
        errors: the route's own errors, for OpenAPI; errors of every route are added.
        cookie_errors: more of them, in cookie delivery alone.
        attempt: the action whose attempts are limited. An unsafe route counts the caller's address before it reads the
            body, and its handler counts the account; the handler of a GET route counts both.
        max_body: bytes of the body. By default 16 KiB on a limited route and 64 KiB on others. A route that takes more
            reads the body only if the caller is signed in.
        example: of the response, if the fields of its model have none.
        form: whether a form may come instead of JSON, in both deliveries.
        shows_result: whether a form gets the page of the response even if it names a next page, because no later page
            can show the same.
        oauth: whether an OAuth client calls the route: it has no cookies, sends a form, and reads errors of RFC 6749.
        needs_redis: whether several workers need `redis_url` to serve the route, or to keep what it promises.
        only: the one delivery that has this route.
        hidden: whether OpenAPI leaves the route out.
        operation: the operation's id, if it is not the handler's name.
        status_code: of success, if it is not 200, 204 (no model) or 303 (a redirect).
        mfa_by_redirect: whether its redirect may ask for a second factor.
        requirement: the key in `Mount.requirements` of what the app requires of the caller of this route.
        features: the features that have the route, if they are not that of its module.
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
    """The return type of a handler: the model of the response, and whether it may redirect."""

    model: Any
    redirects: bool


@dataclass(frozen=True)
class Declaration:
    """A route.

    Attributes:
        handler: the function that returns the response.
        method: its HTTP method.
        path: its path, without the router's prefix.
        tag: the group of the route in OpenAPI; of a route that signs in, also the method that events name.
        summary: for OpenAPI.
        options: the other arguments of the decorator.
        attempt: the action whose attempts are limited.
        signs_in: whether it delivers the tokens of a sign-in.
        second_factor: whether its response may require a second factor.
        page_errors: the other statuses of a page, with their descriptions; None if the route is not a page.
        features: the names by which an app includes or excludes the route. Any of them mounts it; a route without a
            name is always mounted.
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
        """The bytes that a body may have."""
        return self.options.get("max_body", SMALL if self.attempt else MEDIUM)

    @cached_property
    def may_need_mfa(self) -> bool:
        """Whether a sign-in that begins here may need the feature `mfa` to finish."""
        return self.second_factor or self.options.get("mfa_by_redirect", False)

    @cached_property
    def for_oauth_clients(self) -> bool:
        """Whether OAuth clients call the route, and no browsers."""
        return self.options.get("oauth", False)

    @cached_property
    def takes_forms(self) -> bool:
        """Whether a form may come instead of JSON, whatever the delivery."""
        return self.options.get("form", False)

    def operation_id(self, delivery: Delivery) -> str:
        """Return the operation's id; the same route may be mounted once for each delivery."""
        name = self.options.get("operation", self.handler.__name__).removeprefix("token_")
        return name if delivery == "cookie" else f"token_{name}"

    def bind(self, delivery: Delivery) -> FunctionType:
        """Return the handler with the signature that it has in a delivery: FastAPI reads its models from there."""
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
        """Return what the handler returns in a delivery."""
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
        tag: the group of the routes in OpenAPI; if they sign in, also the method that events name.
        feature: the name by which an app includes or excludes them; None if they are always mounted.

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
        """Declare a POST route that signs in. Attempts are limited; by default those of the handler's name."""
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
        """Declare a route that returns HTML pages. Its errors, described by status, are pages too."""
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


def _choose(annotation: Any, delivery: Delivery) -> Any:  # noqa: ANN401 - annotations may be anything
    """Return an annotation, resolved for a delivery."""
    for metadata in getattr(annotation, "__metadata__", ()):
        if isinstance(metadata, ByDelivery):
            return metadata.cookie if delivery == "cookie" else metadata.body
    return annotation
