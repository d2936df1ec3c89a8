"""In-process calls of routes. They pass through all of the app's middleware, like a request from the network.

Law: this module creates the scope. From the MCP request it only takes the caller, the caller's address and four
headers.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Scope

from fastapi_stackauth.dependencies.users import find_override
from fastapi_stackauth.errors import RequestError
from fastapi_stackauth.mcp.caller import Caller, find_address
from fastapi_stackauth.mcp.selection import RouteTable
from fastapi_stackauth.runtime.events import TOOL_FAILED, AuthEvents
from fastapi_stackauth.services import Stack
from fastapi_stackauth.sessions.context import CONTEXT_KEY

MAX_RESPONSE = 1_000_000
"""The maximum size of a tool's response, in bytes."""
_CHARSET = re.compile(r";\s*charset=\"?([A-Za-z0-9._-]+)", re.IGNORECASE)
PASSED_ON = frozenset({b"accept", b"accept-language", b"user-agent", b"traceparent"})
"""The headers of the MCP request that are passed on to the route."""
_RESERVED = frozenset(
    {
        "authorization", "connection", "content-length", "content-type", "cookie", "forwarded", "host", "origin",
        "referer", "remote-user", "te", "trailer", "transfer-encoding", "true-client-ip", "upgrade", "via", "x-api-key",
        "x-client-ip", "x-cluster-client-ip", "x-real-ip", "x-remote-user",
    }
)  # fmt: skip
_RESERVED_PREFIXES = (
    "x-stack-", "x-hexclave-", "x-forwarded-", "sec-", "proxy-",
    "cf-", "fastly-", "x-amzn-", "x-auth-request-", "x-goog-", "x-ms-client-principal",  # set by well-known proxies
)  # fmt: skip


@dataclass(frozen=True)
class RouteRequest:
    """A request to a route.

    Attributes:
        method: The HTTP method.
        target: The path and the query, percent-encoded.
        headers: The headers from arguments of the tool, in lower case. Reserved ones are dropped.
        body: The body.
        content_type: The media type of the body. None without a body.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    content_type: str | None = None


@dataclass
class RouteResponse:
    """The response of a route."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def media_type(self) -> str:
        """The media type, in lower case and without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body as text, decoded with the charset of its media type or else UTF-8."""
        named = _CHARSET.search(self.headers.get("content-type", ""))
        try:
            return self.body.decode(named[1] if named else "utf-8", "replace")
        except (LookupError, UnicodeError):
            return self.body.decode("utf-8", "replace")


def make_scope(request: RouteRequest, outer: Scope, caller: Caller, host: "ToolHost") -> Scope:
    """Create the ASGI scope for a call.

    Args:
        request: The request.
        outer: The scope of the MCP request.
        caller: The caller of the MCP request.
        host: The shared parts of the tools.
    """
    origin = urlsplit(caller.services.settings.require_app_url("MCP servers"))
    root = outer.get("root_path", "")
    path, _, query = request.target.partition("?")
    port = origin.port or (443 if origin.scheme == "https" else 80)
    return {
        "type": "http",
        "asgi": outer.get("asgi", {"version": "3.0"}),
        "http_version": "1.1",
        "method": request.method,
        "scheme": origin.scheme,
        "path": root + unquote(path),
        "raw_path": (root + path).encode("ascii", "replace"),
        "root_path": root,
        "query_string": query.encode("ascii", "replace"),
        "headers": list(_headers(request, outer["headers"], origin.netloc)),
        "client": find_address(outer, caller.services),
        "server": (origin.hostname or "", port),
        "state": dict(host.state),
        "extensions": {},
        CONTEXT_KEY: caller.new_context(verified=find_override(host.app, caller.services) is None),
    }


def _headers(request: RouteRequest, outer: Iterable[tuple[bytes, bytes]], host: str) -> Iterable[tuple[bytes, bytes]]:
    yield b"host", host.encode("ascii")
    yield from ((name, value) for name, value in outer if name in PASSED_ON and name.decode() not in request.headers)
    if request.content_type is not None:
        yield b"content-type", request.content_type.encode("latin-1", "replace")
        yield b"content-length", str(len(request.body)).encode()
    for name, value in request.headers.items():
        if not is_reserved(name):
            yield name.encode("latin-1", "replace"), value.encode("utf-8", "replace")


def is_reserved(name: str) -> bool:
    """Whether a header identifies the caller or its connection, so that an argument of a tool must not set it."""
    return name in _RESERVED or name.startswith(_RESERVED_PREFIXES)


class InProcessClient:
    """Calls the routes of an app.

    Args:
        app: The app.
        seconds: The time limit of a call.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._running: set[asyncio.Task[None]] = set()  # because an event loop only keeps weak references

    async def call(self, scope: Scope, body: bytes, events: AuthEvents) -> RouteResponse:
        """Call a route and return its response. Background tasks of the response continue afterwards.

        Args:
            scope: The scope of the call.
            body: The body of the request.
            events: Logs exceptions of the route.

        Raises:
            RequestError: `tool_timeout`, `tool_response_too_large`, `tool_failed`, or `tool_response_unsupported` for
                an event stream.
        """
        exchange = _Exchange(body, events)
        serving = asyncio.create_task(exchange.serve(self._app, scope))
        self._running.add(serving)
        serving.add_done_callback(self._running.discard)
        try:
            async with asyncio.timeout(self._seconds):
                await exchange.ended.wait()
        except TimeoutError:
            raise RequestError("tool_timeout", details={"seconds": self._seconds}) from None
        finally:
            if not exchange.complete:
                serving.cancel()
        if exchange.error is not None:
            raise exchange.error
        return exchange.response

    async def aclose(self) -> None:
        """Wait for background tasks of responses, up to the time limit of a call, then cancel them."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._seconds)
            for task in late:
                task.cancel()


@dataclass(frozen=True)
class ToolHost:
    """The shared parts of the tools of an MCP server.

    Attributes:
        app: The app. Tests may override its dependencies.
        stack: The stack that verifies callers.
        client: Calls the routes.
        table: Finds the route for a path.
        state: The state of the app's lifespan.
    """

    app: FastAPI
    stack: Stack
    client: InProcessClient
    table: RouteTable
    state: Mapping[str, Any] = field(repr=False)


class _Exchange:
    """A request and its response."""

    def __init__(self, body: bytes, events: AuthEvents) -> None:
        self._events = events
        self.response = RouteResponse()
        self.error: RequestError | None = None
        self.complete = False
        self.ended = asyncio.Event()
        self._body: bytes | None = body
        self._chunks: list[bytes] = []
        self._size = 0

    async def serve(self, app: ASGIApp, scope: Scope) -> None:
        """Run the app. Log its exception, as a server does. The response is already 500 then."""
        try:
            await app(scope, self.receive, self.send)
        except Exception as error:  # noqa: BLE001 - the app may raise any exception
            self._events.emit(TOOL_FAILED, exc_info=error, error=type(error).__name__)
        finally:
            if not self.complete and self.error is None:
                self.error = RequestError("tool_failed")
            self.ended.set()

    async def receive(self) -> Message:
        """Return the body, then wait until the response is complete."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Receive a part of the response.

        A server would wait for its client here. Without a pause, a generator that never awaits would block the event
        loop, and neither a limit nor a cancellation could end it.
        """
        if self.ended.is_set() or message.get("more_body", False):
            await asyncio.sleep(0)
        if self.ended.is_set():
            return
        if message["type"] == "http.response.start":
            self.response.status = message["status"]
            headers = message.get("headers", ())
            self.response.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
            if self.response.media_type == "text/event-stream":
                self._end(RequestError("tool_response_unsupported"))
        elif message["type"] == "http.response.body":
            self._add(message.get("body", b""))
            if self.error is None and not message.get("more_body", False):
                self.complete = True
                self.response.body = b"".join(self._chunks)
                self._end()

    def _add(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self._chunks.append(bytes(chunk))
        if self._size > MAX_RESPONSE:
            self._chunks.clear()
            self._end(RequestError("tool_response_too_large", details={"max_bytes": MAX_RESPONSE}))

    def _end(self, error: RequestError | None = None) -> None:
        self.error = self.error or error
        self.ended.set()
