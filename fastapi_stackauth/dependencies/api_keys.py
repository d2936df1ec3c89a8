"""Callers with an API key in `x-api-key` or in `Authorization: Bearer`. The prefix distinguishes a key from a token."""

from dataclasses import dataclass, field
from typing import ClassVar

from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection

from fastapi_stackauth.access.api_keys import looks_like_a_key
from fastapi_stackauth.errors import AuthError, ConfigurationError, RequestError
from fastapi_stackauth.http.installed import Resolution, find_services
from fastapi_stackauth.http.schemes import Documentation, Secured
from fastapi_stackauth.models import Team
from fastapi_stackauth.services import Stack
from fastapi_stackauth.sessions.context import get_context

HEADER = "x-api-key"
_TOKEN_HEADERS = ("x-stack-access-token", "x-hexclave-access-token", "x-stack-auth")


def read_api_key(connection: HTTPConnection) -> str | None:
    """Return the API key of a request, or None.

    Raises:
        AuthError: 401 `credentials_conflict`: the request also has another key or an access token.
    """
    if (caller := get_context(connection.scope).caller) is not None:
        bearer = caller.read_bearer()
        return bearer if looks_like_a_key(bearer) else None
    bearers = [value for value in map(_bearer, connection.headers.getlist("authorization")) if value]
    keys = {*filter(None, connection.headers.getlist(HEADER)), *(value for value in bearers if looks_like_a_key(value))}
    if not keys:
        return None
    others = [value for value in bearers if not looks_like_a_key(value)]
    others += [name for name in _TOKEN_HEADERS if connection.headers.get(name)]
    if len(keys) > 1 or others:
        raise AuthError("credentials_conflict", reason="an API key beside another credential")
    return keys.pop()


def require_api_key(connection: HTTPConnection) -> str:
    """Return the API key of a request that needs one.

    Raises:
        AuthError: 401 `authentication_required` without one; `credentials_conflict` as `read_api_key` does.
    """
    key = read_api_key(connection)
    if key is None:
        raise AuthError("authentication_required")
    return key


def _bearer(value: str) -> str:
    scheme, _, rest = value.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True, kw_only=True, eq=False)
class RequireTeamApiKey(Secured):
    """Return the team that owns the API key of the request; 401 without a key.

    Attributes:
        stack: The `StackAuth` that checks the keys. None means the app's default. Compared by identity.

    Raises:
        AuthError: 401 `authentication_required`, `api_key_invalid` or `credentials_conflict`.
        VerificationUnavailable: 503, if the auth server cannot be reached.
        ConfigurationError: No secret key is set.
    """

    _use: ClassVar[str] = "`team: ApiKeyTeam`, or `team: Annotated[Team, Depends({name}(...))]`"

    stack: Stack | None = field(default=None, repr=False)

    def describe(self) -> Documentation:
        """Return the OpenAPI documentation of its routes."""
        return Documentation((("api_key_invalid", {}),), ("For the API key of a team.",), api_key_only=True)

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> Team:
        """Return the team, which FastAPI passes to the endpoint."""
        reject_scopes(scopes)
        services = find_services(connection, self.stack)
        get_context(connection.scope).resolution = Resolution(
            services, by_api_key=True
        )  # errors are returned by this stack
        try:
            team = await services.api_keys.team(require_api_key(connection))
        except RequestError as error:
            services.events.mark_rejection(error)
            raise
        await services.revocations.follow()  # receive from other workers which keys are outdated
        return team


def reject_scopes(scopes: SecurityScopes) -> None:
    """Reject scopes, because the library would ignore them.

    Raises:
        ConfigurationError: There are scopes.
    """
    if scopes.scopes:
        raise ConfigurationError(
            "Security(..., scopes=[...]) is not supported by this dependency: scopes would be ignored. "
            "Use Depends(...), and Require(...) for requirements."
        )


api_key_team = RequireTeamApiKey()
"""The team that the caller's API key belongs to (see `RequireTeamApiKey`)."""
