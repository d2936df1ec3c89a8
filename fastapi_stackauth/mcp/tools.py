"""The FastMCP tools for routes, and the server with these tools.

Law: a tool makes no decisions. It turns arguments into a request, and the route's response into a result.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from fastmcp import FastMCP
from fastmcp.server.dependencies import get_http_request
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import Tool
from fastmcp.tools.base import ToolResult
from fastmcp.utilities.openapi import HTTPRoute, parse_openapi_to_http_routes
from fastmcp.utilities.openapi.director import RequestDirector
from jsonschema_path import SchemaPath
from mcp_types import ListToolsRequest, ToolAnnotations
from pydantic import PrivateAttr
from pydantic_core import from_json

from fastapi_stackauth.errors import ConfigurationError, RequestError, RequestInvalid, StackAuthError
from fastapi_stackauth.errors.problems import problem_document
from fastapi_stackauth.http.handlers import log_error_response
from fastapi_stackauth.mcp.caller import Caller, find_caller
from fastapi_stackauth.mcp.calls import RouteRequest, RouteResponse, ToolHost, is_reserved, make_scope
from fastapi_stackauth.mcp.results import describe_error
from fastapi_stackauth.mcp.selection import ToolOperation

MAX_NAME = 64
"""The maximum length of a tool's name. Clients reject longer ones."""
_NAME = re.compile(r"[A-Za-z0-9_.-]+")  # the characters allowed by the MCP specification
_LONGEST_NUMBER = 10  # digits of a Retry-After
_ANNOTATIONS: Mapping[str, ToolAnnotations] = {
    "GET": ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True),
    "HEAD": ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True),
    "OPTIONS": ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True),
    "POST": ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False),
    "PUT": ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True),
    "PATCH": ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False),
    "DELETE": ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True),
}
_LONGEST_TEXT = 1000  # the maximum number of characters of another error's body


class RouteTool(Tool):
    """A route of the app as a tool."""

    _operation: ToolOperation = PrivateAttr()
    _definition: HTTPRoute = PrivateAttr()
    _director: RequestDirector = PrivateAttr()
    _host: ToolHost = PrivateAttr()

    @classmethod
    def make(cls, operation: ToolOperation, definition: HTTPRoute, director: RequestDirector, host: ToolHost) -> Tool:
        """Create the tool for an operation."""
        tool = cls(
            name=definition.operation_id or "",
            title=definition.summary,
            description=definition.description or definition.summary,
            parameters=definition.flat_param_schema,
            tags=set(definition.tags),
            annotations=_ANNOTATIONS.get(operation.method),
        )
        tool._operation, tool._definition, tool._director, tool._host = operation, definition, director, host
        return tool

    async def run(self, arguments: dict[str, Any]) -> ToolResult:
        """Call the route with these arguments as the caller of the MCP request."""
        outer = get_http_request().scope
        caller = find_caller(outer)
        if caller is None:
            raise ConfigurationError("This tool works behind stack.mount_mcp alone.")
        try:
            request = self._build_request(arguments)
            scope = make_scope(request, outer, caller, self._host)
            response = await self._host.client.call(scope, request.body, caller.services.events)
            return _to_result(response)
        except StackAuthError as error:
            log_error_response(error, caller.services.events)
            docs_url = caller.services.settings.error_docs_url
            return _to_error(error.status_code, problem_document(error, instance=error.instance, docs_url=docs_url))

    def is_hidden_from(self, caller: Caller) -> bool:
        """Whether the route always rejects this caller. In tests with overrides, no tool is hidden."""
        return not self._host.app.dependency_overrides and any(
            caller.is_ruled_out_by(each, self._host.stack) for each in self._operation.dependencies()
        )

    def _build_request(self, arguments: dict[str, Any]) -> RouteRequest:
        known = {name: value for name, value in arguments.items() if name in self._definition.parameter_map}
        try:
            self._check_arguments(known)
            built = self._director.build(self._definition, known, "http://route")
            target = built.url.raw_path.decode("ascii")
            body = built.read()
        except Exception:  # noqa: BLE001 - arguments may have any form, and the error must not repeat them
            raise RequestInvalid((("arguments", "Do not fit the schema of this tool"),)) from None
        path = unquote(target.partition("?")[0])
        host = urlsplit(self._host.stack.services.settings.app_url or "").hostname or ""
        if self._host.table.find(self._operation.method, path, host) is not self._operation.route:
            raise RequestInvalid((("arguments", "Lead to another route"),))
        names = {each.name.lower() for each in self._definition.parameters if each.location == "header"}
        headers = {name.lower(): value for name, value in built.headers.items() if name.lower() in names}
        return RouteRequest(self._operation.method, target, headers, body, built.headers.get("content-type"))

    def _check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Reject arguments that FastMCP would turn into other parameters or into several headers.

        Raises:
            ValueError: There is an object outside of the body, or a header with control characters.
        """
        for name, value in arguments.items():
            location = self._definition.parameter_map[name]["location"]
            if location != "body" and isinstance(value, dict):
                raise ValueError(name)
            if location == "header" and not all(each.isprintable() for each in _iterate_texts(value)):
                raise ValueError(name)


class HideTools(Middleware):
    """Hides tools that always reject the caller. This does not protect them; the routes check each call."""

    async def on_list_tools(
        self, context: MiddlewareContext[ListToolsRequest], call_next: CallNext[ListToolsRequest, Sequence[Tool]]
    ) -> Sequence[Tool]:
        """Return the tools, without those that always reject this caller."""
        tools = await call_next(context)
        caller = find_caller(get_http_request().scope)
        if caller is None:
            return tools
        return [tool for tool in tools if not (isinstance(tool, RouteTool) and tool.is_hidden_from(caller))]


def build_server(
    name: str, version: str, schema: dict[str, Any], operations: Sequence[ToolOperation], host: ToolHost
) -> FastMCP[Any]:
    """Return a FastMCP server with a tool for each operation.

    Args:
        name: The name of the app.
        version: The version of the app.
        schema: The OpenAPI document of the app.
        operations: The operations that become tools.
        host: The shared parts of the tools.

    Raises:
        ConfigurationError: Clients would reject the name of a tool, two tools have the same name, or a route requires
            what no argument may set.
    """
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = schema["paths"][operation.path][
            operation.method.lower()
        ]
    own = {**schema, "paths": {path: _without_reserved(item) for path, item in paths.items()}}
    director = RequestDirector(SchemaPath.from_dict(own))
    definitions = {(each.path, each.method): each for each in parse_openapi_to_http_routes(own)}
    server: FastMCP[Any] = FastMCP(name, version=version, middleware=[HideTools()], mask_error_details=True)
    names: set[str] = set()
    for operation in operations:
        tool = RouteTool.make(operation, definitions[operation.path, operation.method], director, host)  # type: ignore[index]
        _check_name(tool.name, names)
        _check_path_parameters(operation, definitions[operation.path, operation.method])  # type: ignore[index]
        _check_required_parameters(operation, paths[operation.path][operation.method.lower()])
        server.add_tool(tool)
    return server


def _without_reserved(item: dict[str, Any]) -> dict[str, Any]:
    """Return the operations of a path without parameters that arguments must not set: credentials and cookies."""
    return {method: {**operation, "parameters": _own_parameters(operation)} for method, operation in item.items()}


def _own_parameters(operation: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        each
        for each in operation.get("parameters", ())
        if (place := each.get("in")) in ("path", "query")
        or (place == "header" and not is_reserved(each["name"].lower()))
    ]


def _iterate_texts(value: object) -> Iterator[str]:
    values = value if isinstance(value, list) else [value]
    return (each for each in values if isinstance(each, str))


def _check_name(name: str, names: set[str]) -> None:
    if len(name) > MAX_NAME:
        raise ConfigurationError(
            f"The operation id {name!r} is too long for the name of a tool: at most {MAX_NAME} characters. "
            f'Write operation_id="..." at the route.'
        )
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"The operation id {name!r} cannot be the name of a tool: only ASCII letters, digits, _, - and . are "
            'allowed. Write operation_id="..." at the route.'
        )
    if name in names:
        raise ConfigurationError(f"Two tools have the operation id {name!r}. Give each route one of its own.")
    names.add(name)


def _check_required_parameters(operation: ToolOperation, described: dict[str, Any]) -> None:
    own = _own_parameters(described)
    for each in described.get("parameters", ()):
        if each.get("required") and each not in own:
            raise ConfigurationError(
                f"{operation.method} {operation.path} cannot be a tool: it requires the {each.get('in')} "
                f"{each.get('name')!r}, which no argument may set. Use the dependencies of this library to identify "
                "the caller, or give the parameter a default."
            )


def _check_path_parameters(operation: ToolOperation, definition: HTTPRoute) -> None:
    declared = {each.name for each in definition.parameters if each.location == "path"}
    if missing := sorted(operation.path_parameters - declared):
        raise ConfigurationError(
            f"{operation.method} {operation.path} cannot be a tool: its OpenAPI operation does not declare the path "
            f"parameter {missing[0]!r}. Make it a parameter of the endpoint."
        )


# --- results ---


def _to_result(response: RouteResponse) -> ToolResult:
    """Return the result of a call.

    Raises:
        RequestError: The response is neither JSON nor text.
    """
    if not 200 <= response.status < 300:
        return _to_error(response.status, _read_problem(response), _read_retry_after(response))
    if not response.body:
        return ToolResult(content=[])
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestError("tool_response_unsupported")
    value = _read_json(response)
    if value is not _NOT_JSON:
        structured = value if isinstance(value, dict) else {"result": value}
        return ToolResult(content=response.body.decode("utf-8"), structured_content=structured)
    if not response.media_type.startswith("text/"):
        raise RequestError("tool_response_unsupported")
    return ToolResult(content=response.text)


def _to_error(status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> ToolResult:
    """Return a tool error with a problem document."""
    document = describe_error(status, problem, retry_after)
    return ToolResult(content=json.dumps(document), structured_content=document, is_error=True)


def _read_retry_after(response: RouteResponse) -> float | None:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < _LONGEST_NUMBER else None


def _read_problem(response: RouteResponse) -> Mapping[str, Any]:
    """Return the problem document of a response. If the app has errors of another form, it contains their text."""
    value = _read_json(response)
    if isinstance(value, dict):
        return value
    status = response.status
    title = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"
    is_text = response.media_type == "text/plain"
    return {"title": title, **({"detail": response.text[:_LONGEST_TEXT]} if is_text else {})}


_NOT_JSON = object()


def _read_json(response: RouteResponse) -> Any:  # noqa: ANN401 - any JSON
    """Return the JSON of a response if FastMCP can forward it: it is UTF-8, not nested too deeply, and has no NaN."""
    if response.media_type != "application/json" and not response.media_type.endswith("+json"):
        return _NOT_JSON
    try:
        value = from_json(response.body, allow_inf_nan=False)
        json.dumps(value, allow_nan=False)  # a number may be too large for a float
    except ValueError:
        return _NOT_JSON
    return value
