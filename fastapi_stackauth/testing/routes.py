"""List the public routes of an app, for a test that compares them with the intended ones."""

from collections.abc import Iterator

from starlette.applications import Starlette

from fastapi_stackauth.dependencies import IdentifyUser
from fastapi_stackauth.http.schemes import Secured
from fastapi_stackauth.startup.misuse import list_dependencies
from fastapi_stackauth.startup.routes import DeclaredRoute, iterate_routes


def unguarded_routes(app: Starlette, *, optional: bool = False) -> list[str]:
    """Return the routes without any dependency of this library, such as ``GET /about``, sorted.

    The list includes included routers, mounted apps, WebSockets (``WEBSOCKET /feed``) and the pages of FastAPI's docs.
    It omits the library's own routes, which check their callers themselves (`docs/routes.md`).

    Args:
        app: The app.
        optional: Also list routes with `OptionalUser`, which accept any caller.

    Example:
        >>> assert unguarded_routes(app) == ["GET /about", "GET /docs", "GET /openapi.json"]
    """
    return sorted({name for route in iterate_routes(app) if _is_open(route, optional) for name in _names(route)})


def _is_open(route: DeclaredRoute, optional: bool) -> bool:
    if _module(route.endpoint).partition(".")[0] == "fastapi_stackauth":
        return False
    guards = [call for call in list_dependencies(route) if isinstance(call, Secured)]
    return all(optional and isinstance(guard, IdentifyUser) for guard in guards)


def _module(endpoint: object) -> str:
    """Return the module of a function, a method or a class, or that of an object's class."""
    return str(getattr(endpoint, "__module__", ""))


def _names(route: DeclaredRoute) -> Iterator[str]:
    for method in route.methods:
        if method != "HEAD" or "GET" not in route.methods:  # Starlette adds HEAD to each GET
            yield f"{method} {route.path}"
