"""Which stacks an app has: its own, and those of the apps mounted in it."""

from collections.abc import Iterator

from starlette.applications import Starlette

from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.http.installed import find_installation
from fastapi_stackauth.plugin import StackAuth


def stacks_under(app: Starlette) -> tuple[StackAuth, ...]:
    """Every stack installed on this app and on apps mounted in it, each once, the default one of an app first.

    Raises:
        ConfigurationError: there is none.
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
    """This app and those mounted in it, however deep, behind routers and middleware too."""
    yield from _apps(app, set())


def _apps(node: object, seen: set[int]) -> Iterator[Starlette]:
    """The apps among an app, a route or a middleware and what is within: by convention `app` or `routes`.

    FastAPI keeps a router that was included as it is, as `original_router`.
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
    """The stack that `current_user` means on this app; the first one where none is the default.

    Raises:
        ConfigurationError: the app has none.
    """
    return stacks_under(app)[0]
