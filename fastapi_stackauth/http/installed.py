"""Which `StackAuth` serves a connection, as those see it who are given one: the composition root stays unknown here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import HTTPConnection

from fastapi_stackauth.access.api_keys import ApiKeys
from fastapi_stackauth.access.permissions import Authorization
from fastapi_stackauth.access.project import CurrentProject
from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import ConfigurationError, StackAuthError
from fastapi_stackauth.runtime.events import Events
from fastapi_stackauth.runtime.limits import AttemptLimiter
from fastapi_stackauth.runtime.storage import Storage
from fastapi_stackauth.sessions.cookie_sessions import Sessions
from fastapi_stackauth.sessions.credentials import CredentialSource
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.live import LiveSessions
from fastapi_stackauth.verification.revocation import Revocations
from fastapi_stackauth.verification.verifier import Verifier

STATE_KEY = "stack_auth"
SCOPE_KEY = "fastapi_stackauth.stack"
RESOLUTIONS_KEY = "stack_auth_resolutions"
REFUSED_KEY = "stack_auth_refused"
STACKS_KEY = "stack_auths"
_NOT_INSTALLED = (
    "No StackAuth is installed on the app that serves this route: call stack.install(app). "
    "A mounted FastAPI app is an app of its own and needs its own install."
)


class StackNotInstalled(ConfigurationError):
    """No `StackAuth` is installed on the app that serves a route.

    `install` registers None as its handler, so a parent app passes it on as it is. A parent with a handler would raise
    Starlette's "response already started" instead, because the mounted app has answered 500 by then.
    """


class InstalledStack(Protocol):
    """What the dependencies need of a `StackAuth`."""

    @property
    def settings(self) -> Settings:
        """Its settings."""
        ...

    @property
    def events(self) -> Events:
        """What happens: counted, logged and told."""
        ...

    @property
    def sources(self) -> Sequence[CredentialSource]:
        """Where credentials are looked for, in this order."""
        ...

    @property
    def verifier(self) -> Verifier:
        """Step 2."""
        ...

    @property
    def live_sessions(self) -> LiveSessions:
        """Whether sessions still exist."""
        ...

    @property
    def sessions(self) -> Sessions:
        """Cookie sessions."""
        ...

    @property
    def project(self) -> CurrentProject:
        """What the project allows."""
        ...

    @property
    def authorization(self) -> Authorization:
        """What users may do."""
        ...

    @property
    def api_keys(self) -> ApiKeys:
        """Whose API keys are."""
        ...

    @property
    def revocations(self) -> Revocations:
        """Whose tokens are refused before they expire."""
        ...

    @property
    def storage(self) -> Storage:
        """What the workers share."""
        ...

    @property
    def clock(self) -> Callable[[], float]:
        """Unix time in seconds."""
        ...

    @property
    def limiter(self) -> AttemptLimiter:
        """How often somebody may try."""
        ...

    def missing_settings(self) -> Mapping[str, tuple[str, ...]]:
        """Return the settings that are not set though routes need them, each with those routes."""
        ...

    @property
    def client(self) -> StackAuthClient:
        """The auth server's API."""
        ...


def stack_of(connection: HTTPConnection) -> InstalledStack:
    """The `StackAuth` whose route this is; elsewhere the default one of the app that serves this connection.

    Raises:
        StackNotInstalled: where none is installed; a mounted app needs an install of its own.
    """
    stack = connection.scope.get(SCOPE_KEY) or vars(connection.scope["app"]).get(STATE_KEY)
    if stack is None:
        raise StackNotInstalled(_NOT_INSTALLED)
    return stack  # type: ignore[no-any-return]  # a scope is untyped; our own routes put a stack there


def check_app(app: object) -> None:
    """Reject what is no FastAPI app, such as a router or an app that middleware is wrapped around.

    Raises:
        ConfigurationError: it is something else.
    """
    if isinstance(app, FastAPI):
        return
    advice = {
        "APIRouter": "Install on the app, then app.include_router(...) serves the routes of this router",
        "Starlette": "Create the app with FastAPI(); a Starlette app has no dependencies and no OpenAPI document",
    }.get(type(app).__name__, "Call it on the app itself, before any ASGI middleware is wrapped around it")
    raise ConfigurationError(f"install() takes a FastAPI app; got {type(app).__name__}. {advice}.")


def installed_stack(connection: HTTPConnection, stack: InstalledStack) -> InstalledStack:
    """Return the stack that a route names, if the app that serves the route can answer its errors.

    Raises:
        StackNotInstalled: it is not installed on that app.
    """
    if stack not in vars(connection.scope["app"]).get(STACKS_KEY, ()):
        raise StackNotInstalled(_NOT_INSTALLED)
    return stack


def default_stack(app: Starlette) -> InstalledStack | None:
    """The app's default `StackAuth`.

    It is asked for on every request, so it is a plain attribute: one of `app.state` takes six times as long to read.
    """
    stack: InstalledStack | None = vars(app).get(STATE_KEY)
    return stack


@contextmanager
def asked(connection: HTTPConnection, stack: InstalledStack) -> Iterator[None]:
    """Around what a stack is asked: where it fails or refuses, `answering_stack` knows whose error it is."""
    try:
        yield
    except StackAuthError:
        connection.scope.setdefault("state", {})[REFUSED_KEY] = stack
        raise


def answering_stack(connection: HTTPConnection) -> InstalledStack | None:
    """The stack whose error is answered: that of its route, or the one that was asked last; else the app's default."""
    state = connection.scope.get("state", {})
    last = state.get(REFUSED_KEY) or next(reversed(state.get(RESOLUTIONS_KEY, {})), None)
    return connection.scope.get(SCOPE_KEY) or last or default_stack(connection.scope["app"])


def remember(app: Starlette, stack: InstalledStack) -> None:
    """Note that a stack is installed on an app."""
    if all(other is not stack for other in stacks_of_app(app)):
        setattr(app, STACKS_KEY, (*stacks_of_app(app), stack))


def stacks_of_app(app: Starlette) -> tuple[Any, ...]:
    """Every stack installed on this app, in order; apps mounted in it have their own."""
    installed: tuple[Any, ...] = vars(app).get(STACKS_KEY, ())
    return installed
