"""`stack.mount_mcp`: the MCP server of an app, which is created when the app starts."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI

from fastapi_stackauth import mcp
from fastapi_stackauth.errors import ConfigurationError
from fastapi_stackauth.http.installed import find_installation
from fastapi_stackauth.mcp.caller import check_resource_tokens
from fastapi_stackauth.mcp.calls import InProcessClient, ToolHost
from fastapi_stackauth.mcp.discovery import is_plain_path, metadata_path
from fastapi_stackauth.mcp.endpoint import McpEndpoint, MetadataEndpoint
from fastapi_stackauth.mcp.selection import RouteTable, Selection, ToolOperation, choose_operations, make_schema
from fastapi_stackauth.services import Stack
from fastapi_stackauth.startup.routes import flatten_routes
from fastapi_stackauth.verification.resource_tokens import ResourceTokens


def mount(
    stack: Stack,
    app: FastAPI,
    path: str,
    *,
    include_tags: Collection[str],
    include_operations: Collection[str],
    allow_unauthenticated: bool,
    call_timeout: float,
    resource_tokens: ResourceTokens | None,
    enrich: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    """Add an MCP server to an app (see `StackAuth.mount_mcp`).

    Raises:
        ConfigurationError: An argument is wrong, the stack is not installed on the app, or the extra is missing.
    """
    _check_arguments(stack, app, path, call_timeout)
    if not isinstance(allow_unauthenticated, bool):  # a text such as "false" would let all callers pass
        raise ConfigurationError("mount_mcp(allow_unauthenticated=...) must be True or False.")
    check_resource_tokens(stack, resource_tokens, "mount_mcp")
    selection = Selection.check(include_tags, include_operations)
    endpoint = McpEndpoint(stack, path, allow_unauthenticated=allow_unauthenticated, resource_tokens=resource_tokens)
    metadata = MetadataEndpoint(stack, path, app.title, resource_tokens)
    # A `Route` serves the very path; a `Mount` would redirect to a path that ends with a slash.
    app.router.add_route(metadata_path(path), metadata, include_in_schema=False)  # type: ignore[arg-type]  # Starlette accepts ASGI apps too
    app.router.add_route(path, endpoint, include_in_schema=False)  # type: ignore[arg-type]  # as above

    def choose() -> tuple[dict[str, Any], RouteTable, list[ToolOperation]]:
        schema, table = enrich(make_schema(app)), RouteTable(app)
        return schema, table, choose_operations(schema, table, selection)

    @asynccontextmanager
    async def serve(state: Mapping[str, Any]) -> AsyncIterator[None]:
        schema, table, operations = choose()
        client = InProcessClient(app, call_timeout)
        host = ToolHost(app, stack, client, table, state)
        server = mcp.build_server(app.title, app.version, schema, operations, host)
        # The endpoint has already compared the origin with `app_url` instead of the Host header.
        served = server.http_app(path=path, json_response=True, stateless_http=True, host_origin_protection=False)
        async with served.router.lifespan_context(served):
            outer, endpoint.server = endpoint.server, served  # tests may nest the lifespan
            try:
                yield
            finally:
                endpoint.server = outer
                await client.aclose()

    _compose_lifespan(app, serve)


def _check_arguments(stack: Stack, app: FastAPI, path: str, call_timeout: float) -> None:
    if not isinstance(app, FastAPI) or stack not in find_installation(app).stacks:
        raise ConfigurationError(
            "mount_mcp needs an app that this stack is installed on: call stack.install(app) first."
        )
    if app.middleware_stack is not None:
        raise ConfigurationError("This app serves already: call stack.mount_mcp(app, ...) before the first request.")
    if not is_plain_path(path):
        raise ConfigurationError(
            "The path of mount_mcp must begin with a slash, must not end with one, and has ASCII letters, digits, "
            f'., _, ~ and - between; got "{path}". Write "/mcp".'
        )
    if any(getattr(route, "path", None) == path for route in flatten_routes(app.routes)):
        raise ConfigurationError(f'This app has a route at "{path}" already. Choose another path for mount_mcp.')
    if isinstance(call_timeout, bool) or not isinstance(call_timeout, int | float) or not 0 < call_timeout <= 3600:
        raise ConfigurationError("mount_mcp(call_timeout=...) must be seconds, more than 0 and at most 3600.")
    if find_spec("fastmcp") is None:
        raise ConfigurationError("mount_mcp needs more packages: pip install 'fastapi-stackauth[mcp]'.")


def _compose_lifespan(app: FastAPI, serve: Callable[[Mapping[str, Any]], AbstractAsyncContextManager[None]]) -> None:
    """Run the MCP server within the app's own lifespan, which may add routes."""
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(scope_app: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - Starlette's own types
        async with inner(scope_app) as state, serve(dict(state or {})):
            yield state

    app.router.lifespan_context = lifespan
