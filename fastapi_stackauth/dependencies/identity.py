"""Who is calling: steps 1 and 2 for one connection, done once and kept on it.

Every dependency of this library starts here. The outcome is kept on `request.state`, refusals included, so that
several dependencies of one request verify once.
"""

import inspect
from collections.abc import Callable
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.websockets import WebSocket

from fastapi_stackauth.errors import AuthError, ConfigurationError, StackAuthError
from fastapi_stackauth.http.installed import REFUSED_KEY, RESOLUTIONS_KEY, InstalledStack, asked
from fastapi_stackauth.models import User
from fastapi_stackauth.runtime.events import CREDENTIALS_REFUSED
from fastapi_stackauth.sessions.credentials import Credential, read_credential

_CONNECTIONS = (HTTPConnection, Request, WebSocket)
_CONNECTION_NAMES = ("connection", "request", "websocket")


class Resolution:
    """The outcome of steps 1 and 2 for one connection: a user, a refusal, or neither where there is no credential."""

    __slots__ = ("by_api_key", "credential", "refusal", "stack", "user")

    def __init__(self, stack: InstalledStack) -> None:
        self.stack = stack
        self.credential: Credential | None = None
        self.user: User | None = None
        self.refusal: AuthError | None = None
        self.by_api_key = False

    @property
    def token(self) -> str | None:
        """The verified token: none (empty) of an API key, so the app asks as itself; None where a test put the user."""
        if self.by_api_key:
            return ""
        return self.credential.token if self.credential else None


async def resolve(
    connection: HTTPConnection, stack: InstalledStack, override: Callable[..., Any] | None = None
) -> Resolution:
    """Who is calling. Asked again on the same connection, the first answer stands.

    Args:
        connection: the request or WebSocket.
        stack: whose tokens count.
        override: what a test has put in place of `current_user`.

    Raises:
        VerificationUnavailable, AuthServerMisconfigured, ConfigurationError: where that cannot be said.
    """
    state = connection.scope.setdefault("state", {})
    known: dict[InstalledStack, Resolution] = state.setdefault(RESOLUTIONS_KEY, {})
    if (resolution := known.get(stack)) is None:
        resolution = Resolution(stack)
        credential = None
        try:
            if override is not None:
                resolution.user = await _call_override(override, connection)
            elif (credential := read_credential(connection.scope, stack.sources)) is not None:
                if credential.refresh_token is None:
                    resolution.credential = credential
                    resolution.user = await stack.verifier.verify(credential.token)
                else:
                    await _resume(connection, resolution, credential)
        except AuthError as refusal:
            resolution.refusal = refusal
            if credential is None and override is None:  # it could not be read; who verifies tells of what they refuse
                stack.events.emit(CREDENTIALS_REFUSED, code=refusal.code, reason=refusal.reason)
        except StackAuthError:
            state[REFUSED_KEY] = stack  # as `asked` does, which would cost on every request
            raise
        known[stack] = resolution
    state["credential"] = resolution.credential
    return resolution


async def resolve_api_key(connection: HTTPConnection, stack: InstalledStack, key: str) -> Resolution:
    """Who is calling with an API key.

    Raises:
        AuthError: 401 `api_key_invalid`, or `user_gone`.
        VerificationUnavailable, AuthServerMisconfigured, ConfigurationError: where that cannot be said.
    """
    state = connection.scope.setdefault("state", {})
    state["credential"] = None
    known: dict[InstalledStack, Resolution] = state.setdefault("stack_auth_api_keys", {})
    if stack not in known:
        resolution = Resolution(stack)
        resolution.by_api_key = True
        with asked(connection, stack):
            resolution.user = await stack.api_keys.user(key)
            await stack.revocations.check(resolution.user)
        known[stack] = resolution
    return known[stack]


async def _resume(connection: HTTPConnection, resolution: Resolution, credential: Credential) -> None:
    session = await resolution.stack.sessions.authenticate(connection, credential)
    if session is not None:
        resolution.credential, resolution.user = session


# --- overrides in tests ----------------------------------------------------------------------------------


async def _call_override(override: Callable[..., Any], connection: HTTPConnection) -> User | None:
    arguments = [connection] if _takes_connection(override) else []
    result = override(*arguments)
    user = await result if inspect.isawaitable(result) else result
    if user is not None and not isinstance(user, User):
        raise ConfigurationError(
            f"The override of current_user must return a User, or None for nobody; it returned {type(user).__name__}. "
            "What is derived from it has no other way to judge who is calling."
        )
    return user


def _takes_connection(override: Callable[..., Any]) -> bool:
    """Whether an override takes the connection (True) or nothing (False).

    Raises:
        ConfigurationError: for any other signature, which FastAPI alone could fill.
    """
    generator = inspect.isgeneratorfunction(override) or inspect.isasyncgenfunction(override)
    needed = [p for p in inspect.signature(override).parameters.values() if p.default is p.empty]
    needed = [p for p in needed if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if not generator and not needed:
        return False
    if not generator and len(needed) == 1 and _is_connection(needed[0]):
        return True
    raise ConfigurationError(
        "The override of current_user must take nothing, or the connection alone, and return a user: Require, profiles "
        "and access tokens are derived from it. Use fastapi_stackauth.testing.override_user(app, user), or override "
        "each dependency by itself."
    )


def _is_connection(parameter: inspect.Parameter) -> bool:
    if parameter.kind is parameter.KEYWORD_ONLY:
        return False
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return parameter.name in _CONNECTION_NAMES
    if isinstance(annotation, str):  # of a file with postponed annotations
        return annotation.rpartition(".")[2] in {kind.__name__ for kind in _CONNECTIONS}
    return annotation in _CONNECTIONS
