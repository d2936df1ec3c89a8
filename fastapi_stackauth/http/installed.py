"""Find the `StackAuth` that serves a connection."""

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import HTTPConnection

from fastapi_stackauth.errors import AuthError, ConfigurationError
from fastapi_stackauth.models import User
from fastapi_stackauth.services import Services, Stack
from fastapi_stackauth.sessions import context
from fastapi_stackauth.sessions.context import CONTEXT_KEY
from fastapi_stackauth.sessions.credentials import Credential

_APP_KEY = "stack_auth"
"""The name of a plain attribute of the app. Every request reads it, and `app.state` would take six times as long."""
_NOT_INSTALLED = (
    "No StackAuth is installed on the app that serves this route: call stack.install(app). "
    "A mounted FastAPI app is an app of its own and needs its own install."
)


class Resolution:
    """The caller as identified by one `StackAuth`: a user, an error, or neither if there is no credential."""

    __slots__ = ("by_api_key", "by_resource_token", "credential", "error", "services", "user")

    def __init__(self, services: Services, *, by_api_key: bool = False, by_resource_token: bool = False) -> None:
        self.services = services
        self.by_api_key = by_api_key
        self.by_resource_token = by_resource_token
        self.credential: Credential | None = None
        self.user: User | None = None
        self.error: AuthError | None = None

    @property
    def token(self) -> str | None:
        """The verified token of the project; None if a test overrides the user.

        It is empty for an API key and for a token bound to a resource. The app then calls the auth server as itself.
        """
        if self.by_api_key or self.by_resource_token:
            return ""
        return self.credential.token if self.credential else None


RequestContext = context.RequestContext[Services, Resolution]
"""The state of the library on one connection, with types."""


class StackNotInstalled(ConfigurationError):
    """No `StackAuth` is installed on the app that serves a route.

    `install` registers None as its handler, so a parent app re-raises it unchanged. With a handler, the parent would
    raise Starlette's "response already started", because the mounted app has already sent 500.
    """


@dataclass(frozen=True)
class Installation:
    """The stacks of one app. Apps mounted in it have their own.

    Attributes:
        default: The stack for dependencies without a stack, such as `current_user`.
        stacks: All stacks, in the order of their installation.
    """

    default: Stack | None = None
    stacks: tuple[Stack, ...] = ()


_NOTHING = Installation()


def find_installation(app: Starlette) -> Installation:
    """Return the installation of an app."""
    installation: Installation = vars(app).get(_APP_KEY, _NOTHING)
    return installation


def remember(app: Starlette, stack: Stack, *, default: bool) -> None:
    """Record that a stack is installed on an app.

    Raises:
        ConfigurationError: The app has another default stack.
    """
    known = find_installation(app)
    if default and known.default not in (None, stack):
        raise ConfigurationError(
            "This app has a default StackAuth already: install further ones with install(app, default=False) "
            "and use their own stack.current_user."
        )
    stacks = known.stacks if stack in known.stacks else (*known.stacks, stack)
    setattr(app, _APP_KEY, Installation(stack if default else known.default, stacks))


def check_app(app: object) -> None:
    """Reject objects that are not a FastAPI app, such as a router or an app wrapped in middleware.

    Raises:
        ConfigurationError: It is not a FastAPI app.
    """
    if isinstance(app, FastAPI):
        return
    advice = {
        "APIRouter": "Install on the app, then app.include_router(...) serves the routes of this router",
        "Starlette": "Create the app with FastAPI(); a Starlette app has no dependencies and no OpenAPI document",
    }.get(type(app).__name__, "Call it on the app itself, before wrapping ASGI middleware around the app")
    raise ConfigurationError(f"install() takes a FastAPI app; got {type(app).__name__}. {advice}.")


def add_router(stack: Stack) -> None:
    """Record that a stack has a router.

    Raises:
        ConfigurationError: Another stack of the same app has a router with the same name.
    """
    stack.has_router = True
    for app in stack.apps:
        check_cookie_name(stack, find_installation(app).stacks)


def check_cookie_name(stack: Stack, others: Iterable[Stack]) -> None:
    """Reject a second stack if its cookies or operation ids are the same as those of another stack of the app.

    Raises:
        ConfigurationError: Both can set cookies, or both have a router, under the same name.
    """
    settings = stack.services.settings
    for other in others:
        theirs = other.services.settings
        if other is stack or theirs.cookie_name != settings.cookie_name:
            continue
        cookies = settings.cookies_possible and theirs.cookies_possible
        if cookies or (stack.has_router and other.has_router):
            shared = "cookies" if cookies else "routes' operation ids"
            raise ConfigurationError(
                f'Two StackAuth of this app have the cookie_name "{settings.cookie_name}", so their {shared} would '
                'mix. Each needs a name of its own: pass StackAuth(cookie_name="...") for one of them.'
            )


def find_services(connection: HTTPConnection, stack: Stack | None) -> Services:
    """Return the services of the given stack, or else of the route's stack or the app's default.

    Raises:
        StackNotInstalled: No stack is installed on this app, so it has no handler for this library's errors.
    """
    installation: Installation = vars(connection.scope["app"]).get(_APP_KEY, _NOTHING)
    if stack is None:
        known: RequestContext | None = connection.scope.get(CONTEXT_KEY)
        if known is not None and known.services is not None:
            return known.services
        stack = installation.default
    elif stack not in installation.stacks:
        stack = None
    if stack is None:
        raise StackNotInstalled(_NOT_INSTALLED)
    return stack.services


def route_services(connection: HTTPConnection) -> Services:
    """Return the services of the route's stack; a dependency of the router's handlers."""
    return find_services(connection, None)


def answering_services(connection: HTTPConnection) -> Services | None:
    """Return the services of the stack that responds to an error.

    It is the stack of the route, or the stack that last identified the caller, or the app's default.
    """
    known: RequestContext | None = connection.scope.get(CONTEXT_KEY)
    if known is not None and known.services is not None:
        return known.services
    if known is not None and known.resolution is not None:
        return known.resolution.services
    default = find_installation(connection.scope["app"]).default
    return None if default is None else default.services


def find_owner(app: Starlette, services: Services) -> Stack | None:
    """Return the stack of an app that currently has these services."""
    return next((stack for stack in find_installation(app).stacks if stack.services is services), None)
