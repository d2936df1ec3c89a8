"""The `auth=` of an app's own FastMCP server, and the caller inside its tools.

Law: an outage is 503, never 401. So FastMCP's own check of tokens, which only returns yes or no, is not used.
"""

import json
from typing import Any

from fastapi.security import SecurityScopes
from fastmcp.exceptions import ToolError
from fastmcp.server.auth import AccessToken, AuthCheck, AuthContext, TokenVerifier
from fastmcp.server.auth.auth import TokenVerificationError
from fastmcp.server.dependencies import get_http_request
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_stackauth.dependencies import Require, current_user
from fastapi_stackauth.errors import AuthError, ConfigurationError, StackAuthError
from fastapi_stackauth.errors.problems import problem_document
from fastapi_stackauth.http.handlers import error_response, log_error_response
from fastapi_stackauth.http.installed import remember
from fastapi_stackauth.mcp.caller import (
    Caller,
    check_resource_tokens,
    find_caller,
    identify,
    is_decided_by_token,
    remember_caller,
)
from fastapi_stackauth.mcp.discovery import is_plain_path, metadata_path, resource_url
from fastapi_stackauth.mcp.endpoint import MetadataEndpoint, check_origin
from fastapi_stackauth.mcp.results import describe_error
from fastapi_stackauth.models import User
from fastapi_stackauth.services import Stack
from fastapi_stackauth.sessions.context import CONTEXT_KEY
from fastapi_stackauth.verification.resource_tokens import ResourceTokens

_APP_KEY = "fastapi_stackauth.mcp.app"
_NO_CALLER = (
    "There is no caller: this is not a request to a FastMCP server with auth=StackAuthProvider(stack, ...). "
    "Pass auth= to FastMCP, and call get_current_user() inside a tool, resource or prompt."
)


class StackAuthProvider(TokenVerifier):
    """The `auth=` of a FastMCP server: accepts the project's access tokens, and API keys if there is a secret key.

    Args:
        stack: Verifies callers.
        path: The public path of the server, such as ``/mcp``. Its identifier is `app_url` plus this path.
        name: The name of the server in its metadata.
        resource_tokens: An authorization server. Its tokens are also accepted if they are bound to this server.

    FastMCP serves the metadata (RFC 9728) with its own app. If that app is mounted in another one, add
    `provider.get_well_known_routes()` to the routes of the outer app.

    Example:
        >>> server = FastMCP("Notes", auth=StackAuthProvider(stack, "/mcp"))
        >>> @server.tool
        ... async def whoami() -> str:
        ...     return (await get_current_user()).id
    """

    def __init__(
        self, stack: Stack, path: str, *, name: str = "MCP server", resource_tokens: ResourceTokens | None = None
    ) -> None:
        super().__init__()
        if not isinstance(stack, Stack) or not is_plain_path(path):
            raise ConfigurationError('Write StackAuthProvider(stack, "/mcp"): a StackAuth, and the path of the server.')
        check_resource_tokens(stack, resource_tokens, "StackAuthProvider")
        self._stack = stack
        self.path = path
        self._name = name
        self._resource_tokens = resource_tokens
        self._app = _AppOfStack()
        remember(self._app, stack, default=True)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Verify a token outside of a request, for FastMCP's own code.

        Raises:
            TokenVerificationError: The library cannot determine whether the token is valid.
        """
        scope = {"headers": [(b"authorization", b"Bearer " + token.encode("utf-8", "replace"))]}
        try:
            return _describe_caller(await self.identify(scope))
        except AuthError:
            return None
        except StackAuthError as error:
            raise TokenVerificationError(error.message) from None

    async def identify(self, scope: Scope) -> Caller:
        """Identify the caller of a request."""
        return await identify(scope, self._stack.services, path=self.path, resource_tokens=self._resource_tokens)

    def get_middleware(self) -> list[Middleware]:
        """Return the middleware that identifies the caller of each request."""
        identifying: Any = _IdentifyCaller
        keeping: Any = AuthContextMiddleware
        return [Middleware(identifying, provider=self, stack=self._stack, app_of_stack=self._app), Middleware(keeping)]

    def get_routes(self, mcp_path: str | None = None) -> list[Route]:  # noqa: ARG002 - FastMCP only knows its inner path
        """Return the route of the metadata."""
        endpoint: Any = MetadataEndpoint(self._stack, self.path, self._name, self._resource_tokens)
        return [Route(metadata_path(self.path), endpoint)]

    def _get_resource_url(self, path: str | None = None) -> AnyHttpUrl | None:  # noqa: ARG002 - as above
        settings = self._stack.services.settings
        return AnyHttpUrl(resource_url(settings, self.path)) if settings.app_url else None


async def get_current_user(require: Require = current_user, **path_params: str) -> User:
    """Return the caller of a FastMCP tool, resource or prompt, if they meet the requirements.

    Args:
        require: The requirements. By default, the same as for `current_user`.
        path_params: The values of the path parameters that the requirements name, such as a team's id.

    Example:
        >>> MAY_DELETE = Require(team_permission="posts:delete", team="team_id")
        >>> @server.tool
        ... async def delete_post(team_id: str, post_id: str) -> str:
        ...     user = await get_current_user(MAY_DELETE, team_id=team_id)
        ...     return user.id

    Raises:
        ToolError: They do not; it carries the problem document.
        ConfigurationError: There is no request to a server with `StackAuthProvider`.
    """
    outer = get_http_request().scope
    caller, app = find_caller(outer), outer.get(_APP_KEY)
    if caller is None or app is None:
        raise ConfigurationError(_NO_CALLER)
    scope: Scope = {
        "type": "http",
        "app": app,
        "method": "POST",
        "path": outer["path"],
        "query_string": b"",
        "headers": [],
        "path_params": path_params,
        "state": {},
        CONTEXT_KEY: caller.new_context(verified=True),
    }
    try:
        return await require(HTTPConnection(scope), SecurityScopes())
    except ConfigurationError:
        raise
    except StackAuthError as error:
        log_error_response(error, caller.services.events)
        document = problem_document(error, instance=error.instance, docs_url=caller.services.settings.error_docs_url)
        retry_after = getattr(error, "retry_after", None)
        raise ToolError(json.dumps(describe_error(error.status_code, document, retry_after))) from None


def requires(require: Require) -> AuthCheck:
    """Return an `auth=` of a tool, resource, template or prompt: it is hidden from callers whose token rules it out.

    It decides by the token alone. Permissions and teams are checked by `await get_current_user(...)` inside.

    Example:
        >>> VERIFIED = Require(verified_email=True)
        >>> @server.tool(auth=requires(VERIFIED))
        ... async def publish(text: str) -> str:
        ...     user = await get_current_user(VERIFIED)
        ...     return user.id

    Raises:
        ConfigurationError: It is no `Require`, or it has requirements that a token alone cannot meet.
    """
    if not isinstance(require, Require):
        raise ConfigurationError("requires(...) takes an instance of Require. Write requires(Require(...)).")
    if not is_decided_by_token(require):
        raise ConfigurationError(
            "requires(...) decides by the token alone, so it cannot check live, max_age, permission, team_permission, "
            "team_member, or a Require of your own. Write await get_current_user(Require(...)) with them inside of the "
            "tool, and leave them out of requires(...)."
        )

    def check(_: AuthContext) -> bool:
        caller = find_caller(get_http_request().scope)
        return caller is not None and not caller.is_ruled_out_by(require, None)

    return check


class _AppOfStack(Starlette):
    """An app without routes, on which `Require` finds the stack."""

    def __init__(self) -> None:
        super().__init__()
        self.dependency_overrides: dict[Any, Any] = {}


class _IdentifyCaller:
    """Middleware that identifies the caller, except for requests to the public metadata.

    FastMCP sends the 401, with the URL of the metadata.
    """

    def __init__(self, app: ASGIApp, provider: StackAuthProvider, stack: Stack, app_of_stack: _AppOfStack) -> None:
        self._app = app
        self._provider = provider
        self._stack = stack
        self._app_of_stack = app_of_stack
        self._public_path = metadata_path(provider.path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != scope.get("root_path", "") + self._public_path:
            services = self._stack.services
            try:
                check_origin(scope, services)
                await self._identify(scope)
            except ConfigurationError:
                raise
            except StackAuthError as error:
                log_error_response(error, services.events)
                if error.status_code != 401:
                    await error_response(error, docs_url=services.settings.error_docs_url)(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _identify(self, scope: Scope) -> None:
        caller = await self._provider.identify(scope)
        remember_caller(scope, caller)
        scope[_APP_KEY] = self._app_of_stack
        if (described := _describe_caller(caller)) is not None:
            scope["user"], scope["auth"] = AuthenticatedUser(described), AuthCredentials([])


def _describe_caller(caller: Caller) -> AccessToken | None:
    """Return the caller in FastMCP's form, without the token, because the repr would show it."""
    owner = caller.user or caller.team
    if owner is None:
        return None
    expires = caller.user.expires_at if caller.user else None
    seconds = int(expires.timestamp()) if expires else None
    claims = dict(caller.user.claims) if caller.user else {}
    return AccessToken(token="", client_id=owner.id, subject=owner.id, scopes=[], expires_at=seconds, claims=claims)
