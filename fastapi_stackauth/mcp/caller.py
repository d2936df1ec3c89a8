"""The caller of an MCP server, identified only by `Authorization: Bearer` and verified once for each request.

Law: the caller belongs to one request. Nothing is stored between requests, and other headers and cookies are ignored.
"""

from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

from fastapi_stackauth.access.api_keys import looks_like_a_key
from fastapi_stackauth.client.forwarding import end_user_address
from fastapi_stackauth.dependencies import (
    LoadProfile,
    Require,
    RequireTeamApiKey,
    RequireUserApiKey,
    WatchSession,
)
from fastapi_stackauth.dependencies.account import RequireAccessToken
from fastapi_stackauth.dependencies.requirements import REQUIREMENTS
from fastapi_stackauth.errors import AuthError, ConfigurationError
from fastapi_stackauth.http.installed import Resolution
from fastapi_stackauth.http.schemes import Secured
from fastapi_stackauth.mcp.discovery import resource_url
from fastapi_stackauth.models import Team, User
from fastapi_stackauth.services import Services, Stack
from fastapi_stackauth.sessions.context import RequestContext
from fastapi_stackauth.sessions.credentials import Credential, HeaderCredentials, InProcessCaller
from fastapi_stackauth.verification.resource_tokens import ResourceTokens

CALLER_KEY = "fastapi_stackauth.mcp"
_BEARER = HeaderCredentials()


@dataclass(frozen=True)
class Caller:
    """The caller of an MCP server.

    Attributes:
        services: The services that verified the caller.
        credential: The access token or API key. None if the caller sent none.
        user: The user of the token or the API key.
        team: The team of the API key.
        by_api_key: Whether the credential is an API key.
        by_resource_token: Whether it is a token bound to the MCP server. Such a token never leaves the server.
    """

    services: Services
    credential: Credential | None = field(default=None, repr=False)
    user: User | None = None
    team: Team | None = None
    by_api_key: bool = field(default=False, repr=False)
    by_resource_token: bool = field(default=False, repr=False)

    def new_context(self, *, verified: bool) -> RequestContext[Services, Resolution]:
        """Return the context for an in-process call, which contains the caller for the route.

        Args:
            verified: Whether the route treats the caller as verified. If a test overrides `current_user`, the override
                decides.
        """
        context: RequestContext[Services, Resolution] = RequestContext()
        context.caller = InProcessCaller(None if self.by_resource_token else self.credential)
        if verified and self.user is not None:
            resolution = Resolution(self.services, by_api_key=self.by_api_key, by_resource_token=self.by_resource_token)
            resolution.user = self.user
            resolution.credential = None if self.by_api_key or self.by_resource_token else self.credential
            context.resolutions = (resolution,)
        return context

    def is_ruled_out_by(self, dependency: object, stack: Stack | None) -> bool:
        """Whether a dependency of a route rejects this caller regardless of the caller's permissions.

        Args:
            dependency: The dependency of the route.
            stack: The stack that has verified the caller. Dependencies of another one are left open; None: of none.
        """
        # A dependency of an app may have an attribute of this name, and decide by itself what it does with it.
        require: Any = getattr(dependency, "require", dependency) if isinstance(dependency, Secured) else dependency
        if self.by_resource_token and isinstance(dependency, LoadProfile | RequireAccessToken | WatchSession):
            return _serves(require, stack)
        if isinstance(require, RequireTeamApiKey):
            return _serves(require, stack) and self.team is None
        if isinstance(require, RequireUserApiKey):
            return _serves(require, stack) and (self.user is None or not self.by_api_key)
        if not _is_plain_require(require) or not _serves(require, stack):
            return False
        if self.user is None or (self.by_api_key and not require.allow_api_key):
            return True
        if self.by_resource_token and (require.live or require.max_age is not None):
            return True
        return require.find_error(self.user) is not None


def is_decided_by_token(require: Require) -> bool:
    """Whether the token is enough to decide if a caller meets the requirements."""
    asked = (each.field for each in REQUIREMENTS if each.check is not None)
    return _is_plain_require(require) and not any(getattr(require, field) for field in asked)


def _is_plain_require(dependency: object) -> bool:
    """Whether this is a `Require`. A subclass with its own `__call__` may accept other callers."""
    return isinstance(dependency, Require) and type(dependency).__call__ is Require.__call__


def _serves(dependency: Any, stack: Stack | None) -> bool:  # noqa: ANN401 - one of ours
    return dependency.stack is None or dependency.stack is stack


async def identify(
    scope: Scope, services: Services, *, path: str = "", resource_tokens: ResourceTokens | None = None
) -> Caller:
    """Read the bearer credential of a request and verify it.

    Args:
        scope: The scope of the request.
        services: The services of the stack that verifies callers.
        path: The path of the server.
        resource_tokens: The authorization server. Its tokens are accepted if they are bound to this server.

    Raises:
        AuthError: 401: It is malformed or not accepted, or there are two.
        VerificationUnavailable, AuthServerMisconfigured, ConfigurationError: The library cannot determine
            whether the token is valid.
    """
    headers = [(name, value) for name, value in scope["headers"] if name == b"authorization"]
    credential = _BEARER.read({"headers": headers})
    if credential is None:
        return Caller(services)
    if not looks_like_a_key(credential.token):
        if resource_tokens is not None:
            resource = resource_url(services.settings, path)
            user = await services.resource_tokens.verify(credential.token, resource_tokens, resource)
            if user is not None:
                return Caller(services, credential, user, by_resource_token=True)
        return Caller(services, credential, await services.verifier.verify(credential.token))
    if not services.settings.secret_server_key:
        raise AuthError("api_key_invalid", reason="API keys need secret_server_key")
    owner = await services.api_keys.owner(credential.token)
    if isinstance(owner, Team):
        return Caller(services, credential, team=owner, by_api_key=True)
    await services.revocations.check(owner)
    return Caller(services, credential, owner, by_api_key=True)


def check_resource_tokens(stack: Stack, resource_tokens: object, where: str) -> None:
    """Reject an invalid option `resource_tokens`, and one that would match the project's own tokens.

    Raises:
        ConfigurationError: It is not a `ResourceTokens`, or its issuer is that of the project's access tokens.
    """
    if resource_tokens is None:
        return
    if not isinstance(resource_tokens, ResourceTokens):
        raise ConfigurationError(
            f"{where}(resource_tokens=...) must be a ResourceTokens; got {type(resource_tokens).__name__}. "
            f'Write {where}(..., resource_tokens=ResourceTokens("https://login.example.com/oidc")).'
        )
    settings = stack.services.settings
    if settings.project_id and resource_tokens.issuer.rstrip("/") in settings.issuer_kinds:
        raise ConfigurationError(
            f"{where}(resource_tokens=...) names the issuer of the project's own access tokens, "
            f'"{resource_tokens.issuer}", which are accepted without it. Name the authorization server that issues '
            "tokens for MCP servers, or remove the option."
        )


def remember_caller(scope: Scope, caller: Caller) -> None:
    """Store the caller on the scope of the request, for its tools."""
    scope[CALLER_KEY] = caller


def find_caller(scope: Scope) -> Caller | None:
    """Return the caller of the MCP request with this scope."""
    caller: Caller | None = scope.get(CALLER_KEY)
    return caller


def find_address(scope: Scope, services: Services) -> tuple[str, int] | None:
    """Return the end user's address and port, for the scope of an in-process call."""
    peer = scope.get("client")
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    proxies = services.settings.trusted_proxies
    address = end_user_address(peer[0] if peer else None, ",".join(forwarded), proxies)
    return (address, peer[1] if peer else 0) if address is not None else peer
