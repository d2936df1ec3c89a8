"""Find missing settings that the routes of an app need.

They follow from declarations: the dependencies of each route, and the `needs` of handlers. Law: a missing setting does
not change routes or schema. The library reports it by name, and the routes that need it return 500.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import FastAPI

from fastapi_stackauth.http.schemes import Secured, unwrap_dependency
from fastapi_stackauth.runtime.events import MFA_NOT_MOUNTED, SETTING_MISSING, SINGLE_WORKER, AuthEvents
from fastapi_stackauth.services import Stack
from fastapi_stackauth.settings import documented_name
from fastapi_stackauth.startup.routes import flatten_routes

CHECKED = ("project_id", "app_url", "secret_server_key", "webhook_secrets")
"""The settings without a default that some routes need."""
_NEEDS = "__stack_auth_needs__"
_MOST_ROUTES = 100  # the maximum number of routes in a log line

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Needs:
    """The settings that a handler or a dependency needs.

    Attributes:
        settings: The names of the settings.
        unless_page: One of the router's pages. If the app has its own page with a full URL, `app_url` is not needed.
        stack: The stack with the settings. None means the stack of the route, or the app's default.
    """

    settings: frozenset[str] = frozenset()
    unless_page: str | None = None
    stack: Stack | None = None


@dataclass(frozen=True)
class MissingSetting:
    """A setting that is not set, though routes need it.

    Attributes:
        name: The name of the setting.
        routes: The routes, such as ``POST /auth/otp/send``.
    """

    name: str
    routes: tuple[str, ...]


def declare_needs(function: object, *settings: str, stack: Stack) -> None:
    """Declare the settings that an object needs to serve a route (see `Needs`)."""
    setattr(function, _NEEDS, Needs(frozenset(settings), stack=stack))


def needs(*settings: str, unless_page: str | None = None, stack: Stack | None = None) -> Callable[[F], F]:
    """Declare the settings that a handler or a dependency function needs (see `Needs`)."""

    def declare(function: F) -> F:
        setattr(function, _NEEDS, Needs(frozenset(settings), unless_page, stack))
        return function

    return declare


def declared_needs(function: object) -> Needs | None:
    """Return what a function declares with `needs`, or None."""
    found: Needs | None = getattr(function, _NEEDS, None)
    return found


def find_missing(app: FastAPI, stack: Stack, *, default: bool) -> tuple[MissingSetting, ...]:
    """Return the missing settings of a stack that routes of the app need.

    Args:
        app: The app. Mounted apps are not included.
        stack: The stack with the settings.
        default: Whether dependencies without a stack use this one.
    """
    absent = [name for name in CHECKED if not getattr(stack.services.settings, name)]
    if not absent:
        return ()
    routes: dict[str, dict[str, None]] = {name: {} for name in absent}
    for route in flatten_routes(app.routes):
        needed = _needed_settings(route, stack, default=default)
        for name in absent:
            if name in needed:
                routes[name][_describe(route)] = None
    return tuple(MissingSetting(name, tuple(found)) for name, found in routes.items() if found)


def report_missing(events: AuthEvents, missing: Iterable[MissingSetting]) -> None:
    """Log one ERROR line for each missing setting, unless it was reported before."""
    for setting in missing:
        if events.is_first(f"missing {setting.name}"):
            variable = documented_name(setting.name)
            events.emit(
                SETTING_MISSING,
                setting=setting.name,
                variable=variable,
                routes=_join(setting.routes),
                advice=f"Set {variable}, or pass StackAuth({setting.name}=...).",
            )


def report_unfinished_sign_ins(app: FastAPI, stack: Stack) -> None:
    """Log one WARNING if users with TOTP cannot finish a sign-in, because no route of the app accepts their code."""
    signing_in: dict[str, list[str]] = {}
    finishing: set[str] = set()
    for route in flatten_routes(app.routes):
        original = getattr(route, "original_route", route)
        if getattr(original, "stack", None) is stack:
            delivery, declaration = original.mount.delivery, original.declaration
            if declaration.may_need_mfa:
                signing_in.setdefault(delivery, []).append(_describe(route))
            if "mfa" in declaration.features:
                finishing.add(delivery)
    unfinished = [each for delivery, names in signing_in.items() if delivery not in finishing for each in names]
    if unfinished and stack.services.events.is_first("mfa_not_mounted"):
        advice = 'Mount the feature "mfa" too: users with two-factor authentication cannot finish signing in.'
        stack.services.events.emit(MFA_NOT_MOUNTED, routes=_join(unfinished), advice=advice)


def report_single_worker(app: FastAPI, stack: Stack) -> None:
    """Log one WARNING line if routes work in a single worker only, because there is no `redis_url`."""
    if stack.services.storage.is_shared:
        return
    bound = [
        _describe(route)
        for route in flatten_routes(app.routes)
        if getattr(original := getattr(route, "original_route", route), "stack", None) is stack
        and original.declaration.options.get("needs_redis", False)
    ]
    if bound and stack.services.events.is_first("single_worker"):
        advice = (
            "Set redis_url if the app has several workers: a worker does not know the codes and sessions of the others."
        )
        stack.services.events.emit(SINGLE_WORKER, routes=_join(bound), advice=advice)


def _join(routes: Sequence[str]) -> str:
    more = len(routes) - _MOST_ROUTES
    return ", ".join(routes[:_MOST_ROUTES]) + (f" and {more} more" if more > 0 else "")


def _describe(route: Any) -> str:  # noqa: ANN401 - a route, or FastAPI's context of one
    methods = getattr(route, "methods", None)
    return f"{'/'.join(sorted(methods)) if methods else 'WebSocket'} {route.path}"


def _needed_settings(route: Any, stack: Stack, *, default: bool) -> set[str]:  # noqa: ANN401 - as above
    needed: set[str] = set()
    original = getattr(route, "original_route", route)
    of_router = getattr(original, "needed_settings", None)
    unnamed = original.stack is stack if of_router else default
    if of_router and unnamed:
        needed |= of_router()
    for function in _functions(route):
        declared = _find_needs(function)
        if declared is not None and (declared.stack is stack or (declared.stack is None and unnamed)):
            needed |= declared.settings if not of_router or isinstance(function, Secured) else set()
    return needed


def _functions(route: Any) -> Iterator[object]:  # noqa: ANN401 - as above
    """Iterate over the endpoint of a route and everything that it depends on."""
    if getattr(route, "dependant", None) is None:
        yield getattr(route, "endpoint", None)  # an ASGI app such as an MCP server
    waiting = [dependant for dependant in (getattr(route, "dependant", None),) if dependant is not None]
    while waiting:
        dependant = waiting.pop()
        yield unwrap_dependency(dependant.call)
        waiting += dependant.dependencies


def _find_needs(function: object) -> Needs | None:
    if not isinstance(function, Secured):
        return declared_needs(function)
    documented = function.describe()
    with_key = documented.api_key or documented.api_key_only
    return Needs(frozenset({"project_id", *(("secret_server_key",) if with_key else ())}), stack=_find_stack(function))


def _find_stack(dependency: object) -> Any:  # noqa: ANN401 - a StackAuth, which is unknown here
    """Return the stack that a dependency has, itself or in the dependency that it is based on."""
    own, inner = getattr(dependency, "stack", None), getattr(dependency, "require", None)
    return own if own is not None or inner is None else _find_stack(inner)
