"""The endpoint of an MCP server. It checks origin, caller and size before FastMCP receives the request."""

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_stackauth.errors import AuthError, ConfigurationError, StackAuthError
from fastapi_stackauth.http.bodies import read_body
from fastapi_stackauth.http.handlers import error_response, log_error_response
from fastapi_stackauth.mcp.caller import Caller, identify, remember_caller
from fastapi_stackauth.mcp.discovery import challenge_headers, describe_resource, resource_url
from fastapi_stackauth.services import Services, Stack
from fastapi_stackauth.startup.configuration import declare_needs
from fastapi_stackauth.verification.resource_tokens import ResourceTokens

MAX_REQUEST = 1_000_000
"""The maximum size of the body of an MCP request, in bytes."""
_LONGEST_ORIGIN = 200  # the maximum number of characters of a header in a log line
_NOT_STARTED = (
    "The MCP server has not started: FastMCP runs within the lifespan of the app. Serve the app itself, not mounted in "
    "another one, with a server that runs lifespans; in tests, use `async with app.router.lifespan_context(app):` or "
    "`with TestClient(app):`. If you replace app.router.lifespan_context, do so before stack.mount_mcp(...)."
)


class McpEndpoint:
    """Serves an MCP server at one path.

    Args:
        stack: Verifies callers.
        path: The path of the server.
        allow_unauthenticated: Whether to accept requests without a credential. The routes then decide.
        resource_tokens: The authorization server. Its tokens are accepted if they are bound to this server.
    """

    def __init__(
        self, stack: Stack, path: str, *, allow_unauthenticated: bool, resource_tokens: ResourceTokens | None
    ) -> None:
        self._stack = stack
        self._path = path
        self._allow_unauthenticated = allow_unauthenticated
        self._resource_tokens = resource_tokens
        self.server: ASGIApp | None = None
        secret = () if resource_tokens is None else ("secret_server_key",)
        declare_needs(self, "project_id", "app_url", *secret, stack=stack)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            ConfigurationError: A setting is missing, or the lifespan of the app has not run.
        """
        request = Request(scope, receive)
        services = self._stack.services
        try:
            bounded = await self._admit(request, services)
        except ConfigurationError:
            raise  # the app's handler responds, and reports the setting
        except StackAuthError as error:
            log_error_response(error, services.events)
            await self._reject(error, services)(scope, receive, send)
            return
        if self.server is None:
            raise ConfigurationError(_NOT_STARTED)
        # A copy, because FastMCP's app stores itself and its routes in the scope.
        await self.server(dict(scope), _Replay(await bounded.body(), receive), send)

    async def _admit(self, request: Request, services: Services) -> Request:
        resource_url(services.settings, self._path)
        check_origin(request.scope, services)
        caller: Caller = await identify(request.scope, services, path=self._path, resource_tokens=self._resource_tokens)
        if caller.credential is None and not self._allow_unauthenticated:
            raise AuthError("authentication_required")
        remember_caller(request.scope, caller)
        return await read_body(request, MAX_REQUEST)

    def _reject(self, error: StackAuthError, services: Services) -> Response:
        settings = services.settings
        response = error_response(error, shape=settings.error_format, docs_url=settings.error_docs_url)
        for name, value in challenge_headers(error, settings, self._path).items():
            response.headers[name] = value
        return response


class MetadataEndpoint:
    """Serves the metadata of an MCP server (RFC 9728 §3), which is public and readable by pages of any origin.

    Args:
        stack: The stack with the settings.
        path: The path of the server.
        name: The name of the app.
        resource_tokens: The authorization server for tokens bound to the server.
    """

    def __init__(self, stack: Stack, path: str, name: str, resource_tokens: ResourceTokens | None = None) -> None:
        self._stack = stack
        self._path = path
        self._name = name
        self._resource_tokens = resource_tokens
        declare_needs(self, "app_url", stack=stack)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            ConfigurationError: `app_url` is not set.
        """
        response = self._respond(scope["method"], self._stack.services)
        await response(scope, receive, send)

    def _respond(self, method: str, services: Services) -> Response:
        headers = {"access-control-allow-origin": "*", "cache-control": "public, max-age=300"}
        if method == "OPTIONS":  # clients in browsers name the revision of the protocol, which needs a preflight
            allowed = {"access-control-allow-methods": "GET", "access-control-allow-headers": "mcp-protocol-version"}
            return Response(status_code=204, headers={**headers, **allowed})
        if method not in ("GET", "HEAD"):
            return Response(status_code=405, headers={"allow": "GET, HEAD, OPTIONS"})
        document: Mapping[str, Any] = describe_resource(
            services.settings, self._path, self._name, self._resource_tokens
        )
        return JSONResponse(document, headers=headers)


class _Replay:
    """Replays the body that was read, and then passes on the messages of the connection."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def check_origin(scope: Scope, services: Services) -> None:
    """Reject pages of other origins, which also prevents DNS rebinding.

    Raises:
        AuthError: 403 `cross_site_request`.
    """
    settings = services.settings
    allowed = (settings.app_url, *settings.trusted_origins)
    for origin in Headers(scope=scope).getlist("origin"):
        if origin not in allowed:
            reason = f"Origin {origin[:_LONGEST_ORIGIN]}; allowed: {', '.join(map(str, allowed))}"
            raise AuthError("cross_site_request", reason=reason, details={"origin": "not_trusted"})
