"""All routes of an app with their full paths, including those of included routers and mounted apps."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import fastapi.routing
from fastapi.dependencies.models import Dependant
from starlette.routing import Host, Mount, WebSocketRoute

from fastapi_stackauth.errors import ConfigurationError

_EXPECTED_PATH = "__stack_auth_path__"
_PARAMETER = re.compile(r"{([a-zA-Z_][a-zA-Z0-9_]*)(?::[^}]*)?}")


class DeclaredRoute(NamedTuple):
    """A declared route of an app.

    Attributes:
        methods: The HTTP methods, sorted. `WEBSOCKET` for a WebSocket, `*` for a mounted app without routes.
        path: The path, with the prefixes of the routers and mounts around it.
        path_parameters: The names of the parameters in the path, and in the mounts and hosts around it.
        endpoint: The endpoint.
        dependant: FastAPI's analysis of its parameters. None for a route that FastAPI does not serve.
    """

    methods: tuple[str, ...]
    path: str
    path_parameters: frozenset[str]
    endpoint: Any
    dependant: Dependant | None

    def __str__(self) -> str:
        return f"{', '.join(self.methods)} {self.path}"


class _Place(NamedTuple):
    """The place of a mounted app: its path, and all patterns around it. `apps` detects a mount that contains itself."""

    path: str = ""
    patterns: str = ""
    apps: tuple[object, ...] = ()

    def under(self, path: str, pattern: str, app: object) -> "_Place":
        return _Place(self.path + path, self.patterns + pattern, (*self.apps, app))


def check_path(path: str, use: str) -> None:
    """Reject a path that no request could reach.

    Args:
        path: The path. It may be empty if the router has a prefix.
        use: The call with this argument, such as ``stack.readiness``.

    Raises:
        ConfigurationError: The path does not start with a slash.
    """
    if path and not path.startswith("/"):
        raise ConfigurationError(f'The path must begin with a slash; got "{path}". Write {use}("/{path}").')


def iterate_routes(app: object) -> Iterator[DeclaredRoute]:
    """Iterate over the routes of an app or router and of apps mounted in it, in the order of their declaration."""
    yield from _routes_at(app, _Place(apps=(app,)))


def _routes_at(app: object, place: _Place) -> Iterator[DeclaredRoute]:
    routes = getattr(app, "routes", None)
    for route in flatten_routes(routes if isinstance(routes, list | tuple) else ()):
        original = getattr(route, "original_route", route)
        if isinstance(original, Mount):
            yield from _iterate_mounted(route.app, place, route.path, route.path)
        elif isinstance(original, Host):
            yield from _iterate_mounted(route.app, place, "", route.host)
        else:
            yield _to_declared_route(route, place, websocket=isinstance(original, WebSocketRoute))
    yield from _frontends_at(app, place)


def _frontends_at(app: object, place: _Place) -> Iterator[DeclaredRoute]:
    """Iterate over the routes of `app.frontend()`, which newer FastAPI versions keep in a separate list."""
    iterate = getattr(getattr(app, "router", app), "_iter_low_priority_routes", tuple)
    for group in iterate():
        for route in getattr(getattr(group, "original_route", group), "routes", ()):
            path = getattr(group, "frontend_prefix", "") + route.path
            yield DeclaredRoute(
                methods=tuple(sorted(route.methods)),
                path=f"{place.path}{path.rstrip('/')}/{{path}}",
                path_parameters=frozenset(_PARAMETER.findall(place.patterns)),
                endpoint=route.app,
                dependant=getattr(group, "dependant", None),
            )


def _iterate_mounted(mounted: object, place: _Place, path: str, pattern: str) -> Iterator[DeclaredRoute]:
    app = _app_behind_middleware(mounted)
    if any(app is outer for outer in place.apps):
        return
    inner = place.under(path, pattern, app)
    if isinstance(getattr(app, "routes", None), list | tuple):
        yield from _routes_at(app, inner)
    else:
        yield DeclaredRoute(("*",), inner.path + "/", frozenset(_PARAMETER.findall(inner.patterns)), app, None)


def _to_declared_route(route: Any, place: _Place, *, websocket: bool) -> DeclaredRoute:  # noqa: ANN401 - or FastAPI's view of one
    path: str = getattr(route, "path", None) or ""
    methods = sorted(getattr(route, "methods", None) or ["WEBSOCKET" if websocket else "*"])
    return DeclaredRoute(
        methods=tuple(methods),
        path=place.path + path,
        path_parameters=frozenset(_PARAMETER.findall(place.patterns + path)),
        endpoint=getattr(route, "endpoint", None),
        dependant=getattr(route, "dependant", None),
    )


def flatten_routes(routes: Any) -> Iterator[Any]:  # noqa: ANN401 - routes, or FastAPI's views of them
    """Iterate over routes, including those of included routers, which older FastAPI copies and newer FastAPI wraps."""
    iterate = getattr(fastapi.routing, "iter_route_contexts", iter)
    yield from iterate(routes)


def _app_behind_middleware(app: object) -> object:
    """Return the app that middleware wraps, which is the first object in the chain of `app` attributes with routes."""
    seen: list[object] = []
    while not hasattr(app, "routes") and hasattr(app, "app") and all(app is not other for other in seen):
        seen.append(app)
        app = app.app
    return app


def expect_path(endpoint: object, path: str, origin: str) -> None:
    """Record the path at which an endpoint must be served, because links in emails lead to its router.

    Args:
        endpoint: The endpoint.
        path: The endpoint's full path.
        origin: The call that creates the router, for the error message.
    """
    setattr(endpoint, _EXPECTED_PATH, (path, origin))


def describe_misplacement(route: DeclaredRoute) -> str | None:
    """Return what is wrong with the path of a route, or None."""
    expected: tuple[str, str] | None = getattr(route.endpoint, _EXPECTED_PATH, None)
    if expected is None or route.path == expected[0]:
        return None
    return (
        f"{expected[1]} creates pages for {expected[0]}, and links in emails lead there. Pass the whole prefix to "
        "pages_router, and call app.include_router(...) without a prefix, on the app that serves app_url."
    )


def find_hidden_pages(routes: Iterable[DeclaredRoute]) -> Iterator[str]:
    """Return an error for each path at which two routers have pages. Requests reach only the first router's page."""
    first: dict[tuple[tuple[str, ...], str], object] = {}
    for route in routes:
        expected: tuple[str, str] | None = getattr(route.endpoint, _EXPECTED_PATH, None)
        if expected and first.setdefault((route.methods, route.path), route.endpoint) is not route.endpoint:
            yield (
                f"{route}: another router already has pages at this path, so links from {expected[1]} open "
                "those. Include one router with pages for each StackAuth, each with its own prefix."
            )
