"""Find the stacks of an app and of the apps mounted in it."""

from collections.abc import Iterator

from starlette.applications import Starlette

from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.http.installed import find_installation
from fastapi_stackauth.plugin import StackAuth


def stacks_under(app: Starlette) -> tuple[StackAuth, ...]:
    """Return all stacks installed on this app and on apps mounted in it, with the default of each app first.

    Raises:
        ConfigurationError: No stack is installed.
    """
    found: dict[int, StackAuth] = {}
    for each in apps_under(app):
        installation = find_installation(each)
        for stack in sorted(installation.stacks, key=lambda stack: stack is not installation.default):
            if isinstance(stack, StackAuth):
                found.setdefault(id(stack), stack)
    if not found:
        raise ConfigurationError("No StackAuth is installed on the app under test: call stack.install(app).")
    return tuple(found.values())


def apps_under(app: Starlette) -> Iterator[Starlette]:
    """Yield this app and all apps mounted in it, also inside routers and middleware."""
    yield from _apps(app, set())


def _apps(node: object, seen: set[int]) -> Iterator[Starlette]:
    """Yield the apps inside an app, a route or a middleware, found by the attributes `app` and `routes`.

    FastAPI keeps an included router as `original_router`.
    """
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, Starlette):
        yield node
    else:
        for within in ("app", "original_router"):
            yield from _apps(getattr(node, within, None), seen)
    for route in getattr(node, "routes", None) or ():
        yield from _apps(route, seen)


def default_stack(app: Starlette) -> StackAuth:
    """Return the default stack of this app, or the first one if there is no default.

    Raises:
        ConfigurationError: No stack is installed.
    """
    return stacks_under(app)[0]
