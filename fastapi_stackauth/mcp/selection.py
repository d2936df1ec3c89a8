"""Select the routes of an app that are tools, and find the route for a path.

Law: a tool only reaches its own route, and no route of this library is a tool, whatever its tags.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import Host, Mount, WebSocketRoute, compile_path

from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.http.schemes import unwrap_dependency
from fastapi_stackauth.startup.routes import flatten_routes

_PACKAGE = "fastapi_stackauth"


@dataclass(frozen=True)
class Selection:
    """The routes that are tools.

    Attributes:
        tags: GET routes with one of these tags are tools.
        operations: Routes with one of these operation ids are tools, whatever their method.
    """

    tags: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()

    @classmethod
    def check(cls, tags: object, operations: object) -> "Selection":
        """Create a selection from the arguments of `mount_mcp`.

        Raises:
            ConfigurationError: Both are empty, or one is not a collection of strings.
        """
        selection = cls(_to_names("include_tags", tags), _to_names("include_operations", operations))
        if not selection.tags and not selection.operations:
            raise ConfigurationError(
                "mount_mcp needs the routes that are tools: pass include_tags={...} or include_operations={...}. "
                "No route is a tool unless you choose it."
            )
        return selection


@dataclass(frozen=True)
class ToolOperation:
    """An operation of the app that becomes a tool.

    Attributes:
        path: The operation's path in the OpenAPI document.
        method: The HTTP method, in upper case.
        route: The route, or FastAPI's wrapper around it.
    """

    path: str
    method: str
    route: Any

    @property
    def path_parameters(self) -> frozenset[str]:
        """The names of the parameters in the operation's path."""
        return frozenset(compile_path(self.route.path)[2])

    def dependencies(self) -> Iterator[object]:
        """Iterate over all dependencies of the route."""
        waiting = list(self.route.dependant.dependencies)
        while waiting:
            dependant = waiting.pop()
            yield unwrap_dependency(dependant.call)
            waiting += dependant.dependencies


class RouteTable:
    """The HTTP routes of an app in the order in which they match."""

    def __init__(self, app: FastAPI) -> None:
        self._routes = [
            (
                _host_pattern(route),
                compile_path(_pattern(route))[0],
                frozenset(getattr(route, "methods", None) or ()),
                route,
            )
            for route in flatten_routes(app.routes)
            if not isinstance(getattr(route, "original_route", route), WebSocketRoute)
        ]

    def find(self, method: str, path: str, host: str = "") -> Any:  # noqa: ANN401 - a route, or FastAPI's view of one
        """Return the route for this method, path and host, or None."""
        for host_pattern, pattern, methods, route in self._routes:
            if host_pattern is not None:
                if host_pattern.match(host):
                    return route
            elif (not methods or method in methods) and pattern.match(path):
                return route
        return None

    def __iter__(self) -> Iterator[Any]:
        return (route for *_, route in self._routes)


def make_schema(app: FastAPI) -> dict[str, Any]:
    """Return the app's current OpenAPI document, without changing the cache of `app.openapi()`."""
    return get_openapi(title=app.title, version=app.version, routes=app.routes)


def choose_operations(schema: dict[str, Any], table: RouteTable, selection: Selection) -> list[ToolOperation]:
    """Return the operations in a selection.

    Raises:
        ConfigurationError: The selection contains an unknown operation or tag, a route of this library, or a route that
            no request can reach.
    """
    routes = {(compile_path(route.path)[1], method): route for route in table for method in _methods(route)}
    chosen: list[ToolOperation] = []
    seen: set[str] = set()
    for path, item in schema.get("paths", {}).items():
        for method, operation in item.items():
            route = routes.get((path, method.upper()))
            if route is None or not isinstance(operation, dict):
                continue
            names = _reasons(method, operation, selection)
            if _is_own(route):
                _reject_own(operation, selection)
            elif names:
                seen |= names
                _check_reached(route, method.upper(), path, table)
                chosen.append(ToolOperation(path, method.upper(), route))
    _check_all_found(selection, seen)
    return chosen


def _reasons(method: str, operation: dict[str, Any], selection: Selection) -> set[str]:
    """Return the names in the selection that match an operation."""
    by_id = {operation.get("operationId", "")} & selection.operations
    by_tag = set(operation.get("tags", ())) & selection.tags if method == "get" else set()
    return {f"operation {name!r}" for name in by_id} | {f"tag {name!r}" for name in by_tag}


def _check_reached(route: Any, method: str, path: str, table: RouteTable) -> None:  # noqa: ANN401 - as below
    """Reject a route that is shadowed by an earlier one, because all of its calls would be rejected."""
    first = table.find(method, path)
    if first is not None and first is not route:
        raise ConfigurationError(
            f"{method} {path} cannot be a tool: the route {getattr(first, 'path', '')!r}, which is declared before it, "
            "takes its requests. Declare it earlier, or give it another path."
        )


def _check_all_found(selection: Selection, seen: set[str]) -> None:
    wanted = {f"operation {name!r}" for name in selection.operations} | {f"tag {name!r}" for name in selection.tags}
    if missing := sorted(wanted - seen):
        raise ConfigurationError(
            f"mount_mcp chooses routes that do not exist: {', '.join(missing)}. A tag chooses GET routes of the "
            "OpenAPI document; other methods need their operation id in include_operations=. Routes with "
            "include_in_schema=False cannot be tools."
        )


def _reject_own(operation: dict[str, Any], selection: Selection) -> None:
    if (name := operation.get("operationId", "")) in selection.operations:
        raise ConfigurationError(
            f"mount_mcp(include_operations=...) names {name!r}, a route of fastapi-stackauth. Its routes return "
            "tokens, so they are never tools. Remove it."
        )


def _is_own(route: Any) -> bool:  # noqa: ANN401 - a route, or FastAPI's view of one
    original = getattr(route, "original_route", route)
    modules = (getattr(getattr(route, "endpoint", None), "__module__", None), type(original).__module__)
    return any((module or "").partition(".")[0] == _PACKAGE for module in modules)


def _methods(route: Any) -> Collection[str]:  # noqa: ANN401 - a route, or FastAPI's view of one
    return getattr(route, "methods", None) or () if getattr(route, "dependant", None) is not None else ()


def _host_pattern(route: Any) -> re.Pattern[str] | None:  # noqa: ANN401 - a route, or FastAPI's view of one
    original = getattr(route, "original_route", route)
    return original.host_regex if isinstance(original, Host) else None


def _pattern(route: Any) -> str:  # noqa: ANN401 - a route, or FastAPI's view of one
    path: str = getattr(route, "path", None) or ""
    return f"{path}/{{path:path}}" if isinstance(getattr(route, "original_route", route), Mount) else path


def _to_names(argument: str, value: object) -> frozenset[str]:
    given = value if isinstance(value, Collection) else (value,)
    if isinstance(value, str) or any(not isinstance(name, str) or not name for name in given):
        raise ConfigurationError(f'mount_mcp({argument}=...) must be a set of strings. Write {argument}={{"notes"}}.')
    return frozenset(given)
