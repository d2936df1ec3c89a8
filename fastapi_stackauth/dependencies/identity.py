"""Identify the caller of a connection: find the credential and verify it, once per connection.

Every dependency of this library starts here. The connection's context stores the result, including errors, so that
several dependencies of a request verify the token only once.
"""

import inspect
from collections.abc import Callable
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.types import Scope
from starlette.websockets import WebSocket

from fastapi_stackauth.errors import AuthError, ConfigurationError
from fastapi_stackauth.http.installed import RequestContext, Resolution
from fastapi_stackauth.models import User
from fastapi_stackauth.runtime.events import CREDENTIALS_REJECTED
from fastapi_stackauth.services import Services
from fastapi_stackauth.sessions.context import CONTEXT_KEY, get_context
from fastapi_stackauth.sessions.credentials import Credential, read_credential

_CONNECTIONS = (HTTPConnection, Request, WebSocket)
_CONNECTION_NAMES = ("connection", "request", "websocket")


async def resolve(
    connection: HTTPConnection, services: Services, override: Callable[..., Any] | None = None
) -> Resolution:
    """Identify the caller, and store the result on the connection.

    Args:
        connection: The request or WebSocket.
        services: The services of the stack that verifies the token.
        override: A test's override of `current_user`.

    Raises:
        VerificationUnavailable, AuthServerMisconfigured, ConfigurationError: The library cannot determine
            whether the token is valid.
    """
    scope = connection.scope
    context: RequestContext = scope.get(CONTEXT_KEY) or get_context(scope)
    for resolution in context.resolutions:
        if resolution.services is services and not resolution.by_api_key:
            break
    else:
        resolution = context.resolution = Resolution(services)
        credential = None
        try:
            if override is not None:
                resolution.user = await _call_override(override, connection)
            elif (credential := _find_credential(context, scope, services)) is not None:
                if credential.refresh_token is None:
                    resolution.credential = credential
                    resolution.user = await services.verifier.verify(credential.token)
                else:
                    await _resume(connection, resolution, credential)
        except AuthError as error:
            resolution.error = error
            # The credential is malformed; the verifier logs the tokens that it rejects.
            if credential is None and override is None:
                services.events.emit(CREDENTIALS_REJECTED, code=error.code, reason=error.reason)
        context.resolutions += (resolution,)
    context.resolution = resolution
    scope.setdefault("state", {})["credential"] = resolution.credential
    return resolution


async def resolve_api_key(connection: HTTPConnection, services: Services, key: str) -> Resolution:
    """Identify the caller by an API key.

    Raises:
        AuthError: 401 `api_key_invalid`, or `user_deleted`.
        VerificationUnavailable, AuthServerMisconfigured, ConfigurationError: The library cannot determine
            whether the key is valid.
    """
    context: RequestContext = get_context(connection.scope)
    connection.scope.setdefault("state", {})["credential"] = None
    for resolution in context.resolutions:
        if resolution.services is services and resolution.by_api_key:
            break
    else:
        resolution = context.resolution = Resolution(services, by_api_key=True)
        user = await services.api_keys.user(key)
        await services.revocations.check(user)
        resolution.user = user
        context.resolutions += (resolution,)
    context.resolution = resolution
    return resolution


def _find_credential(context: RequestContext, scope: Scope, services: Services) -> Credential | None:
    if context.caller is not None:
        return context.caller.credential
    return read_credential(scope, services.sources)


async def _resume(connection: HTTPConnection, resolution: Resolution, credential: Credential) -> None:
    session = await resolution.services.sessions.authenticate(connection, credential)
    if session is not None:
        resolution.credential, resolution.user = session


# --- overrides in tests ----------------------------------------------------------------------------------


async def _call_override(override: Callable[..., Any], connection: HTTPConnection) -> User | None:
    arguments = [connection] if _takes_connection(override) else []
    result = override(*arguments)
    user = await result if inspect.isawaitable(result) else result
    if user is not None and not isinstance(user, User):
        raise ConfigurationError(
            "The override of current_user must return a User, or None for a caller who is not signed in; it returned "
            f"{type(user).__name__}. "
            "Dependencies built on current_user have no other way to identify the caller."
        )
    return user


def _takes_connection(override: Callable[..., Any]) -> bool:
    """Return whether an override takes the connection (True) or no arguments (False).

    Raises:
        ConfigurationError: It has other parameters, which only FastAPI could fill in.
    """
    generator = inspect.isgeneratorfunction(override) or inspect.isasyncgenfunction(override)
    needed = [p for p in inspect.signature(override).parameters.values() if p.default is p.empty]
    needed = [p for p in needed if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if not generator and not needed:
        return False
    if not generator and len(needed) == 1 and _is_connection(needed[0]):
        return True
    raise ConfigurationError(
        "The override of current_user must take no arguments or only the connection, and return a user: Require, "
        "profiles "
        "and access tokens are derived from it. Use fastapi_stackauth.testing.override_user(app, user), or override "
        "each dependency by itself."
    )


def _is_connection(parameter: inspect.Parameter) -> bool:
    if parameter.kind is parameter.KEYWORD_ONLY:
        return False
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return parameter.name in _CONNECTION_NAMES
    if isinstance(annotation, str):  # in a file with postponed annotations
        return annotation.rpartition(".")[2] in {kind.__name__ for kind in _CONNECTIONS}
    return annotation in _CONNECTIONS
