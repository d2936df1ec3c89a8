"""The API middleware: header names, CORS, injected faults, and the headers of every response.

Law: every response of the API passes through here, including errors and unknown paths. No code depends on an endpoint.
"""

import asyncio
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .calls import LONGEST, ApiCall, masked_body, masked_path, masked_query
from .server_profile import ServerProfile

if TYPE_CHECKING:
    from .server import Server

API = re.compile(r"/api/(v1|latest)(/|$)")
OLD, NEW = b"x-stack-", b"x-hexclave-"
TWINS = ("known-error", "actual-status", "request-id")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ALLOWED = (
    "project-id", "branch-id", "override-error-status", "random-nonce", "client-version",
    "disable-artificial-development-delay", "access-type", "publishable-client-key", "secret-server-key",
    "super-secret-admin-key", "admin-access-token", "refresh-token", "access-token", "allow-anonymous-user",
)  # fmt: skip
EXPOSED = ("actual-status", "known-error")


def cors_headers(profile: ServerProfile) -> dict[str, str]:
    """Return the headers that let web pages of any origin call the API."""
    brands = ("stack", "hexclave") if profile.uses_hexclave_headers else ("stack",)
    allowed = ", ".join([
        "content-type", "authorization", *(f"x-{brand}-{name}" for brand in brands for name in ALLOWED),
        "baggage", "sentry-trace", "x-vercel-protection-bypass", "ngrok-skip-browser-warning",
    ])  # fmt: skip
    exposed = ["content-type", *(f"x-{brand}-{name}" for brand in brands for name in EXPOSED)]
    return {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": ", ".join(METHODS),
        "access-control-max-age": "86400",
        "access-control-allow-headers": allowed,
        "access-control-expose-headers": ", ".join(exposed),
        "vary": allowed,
    }


def answer_as_framework(method: str, path: str, query: bytes, profile: ServerProfile) -> Response | None:
    """Return the response of the real server's web framework before it looks for an endpoint, or None."""
    if method == "OPTIONS":
        return Response(status_code=200)
    if method not in (*METHODS, "HEAD"):
        return Response(status_code=400)
    if path.endswith("/"):
        location = quote(path.rstrip("/")) + (f"?{quote(query, safe='%=&+')}" if query else "")
        return Response(location, 308, {"location": location})
    if method == "HEAD" and not profile.allows_head:
        return PlainTextResponse("HEAD is not a method of this API.", 405)
    return None


def one_family(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return request headers with newer names replaced by older ones. If a header has both, keep the older one."""
    present = {name for name, _ in headers}
    renamed = []
    for name, value in headers:
        older = OLD + name.removeprefix(NEW) if name.startswith(NEW) else name
        if older == name or older not in present:
            renamed.append((older, value))
    return renamed


class Record:
    """Records a call while it is in progress, with the first bytes of each body."""

    def __init__(self, scope: Scope) -> None:
        self._scope, self._status = scope, 500  # unless there is a response
        self._headers = Headers(raw=[])
        self._bodies = {"asked": b"", "answered": b""}

    def record_request(self, message: Message) -> Message:
        """Record a part of the request."""
        self._take("asked", message)
        return message

    def record_response(self, message: Message) -> None:
        """Record a part of the response."""
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], Headers(raw=message.get("headers", []))
        self._take("answered", message)

    def _take(self, which: str, message: Message) -> None:
        if len(self._bodies[which]) <= LONGEST:
            self._bodies[which] += message.get("body", b"")

    def call(self, now: float) -> ApiCall:
        """Return the recorded call."""
        headers = Headers(scope=self._scope)
        return ApiCall(
            at=now,
            method=self._scope["method"],
            path=masked_path(self._scope["path"]),
            query=masked_query(self._scope["query_string"].decode("latin-1")),
            access=headers.get("x-stack-access-type", "none")[:20],
            status=self._status,
            known_error=self._headers.get("x-stack-known-error", ""),
            asked=masked_body(self._bodies["asked"], headers.get("content-type", "")),
            answered=masked_body(self._bodies["answered"], self._headers.get("content-type", ""), answered=True),
        )


class ApiMiddleware:
    """ASGI middleware around the API's paths. Other paths pass through unchanged."""

    def __init__(self, app: ASGIApp, server: "Server") -> None:
        self._app, self._server, self._cors = app, server, cors_headers(server.profile)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not API.match(scope["path"]):
            await self._app(scope, receive, send)
            return
        if self._server.profile.uses_hexclave_headers:
            scope = {**scope, "headers": one_family(scope["headers"])}
        overrides = "x-stack-override-error-status" in Headers(scope=scope)
        record = Record(scope)

        async def send_with_headers(message: Message) -> None:
            record.record_response(message)
            if message["type"] == "http.response.start":
                self._finish(message, overrides=overrides)
            await send(message)

        async def read() -> Message:
            return record.record_request(await receive())

        app = await self._early(scope) or self._app
        try:
            await app(scope, read, send_with_headers)
        finally:
            if scope["method"] != "OPTIONS":
                self._server.calls.add(record.call(self._server.clock.now()))

    async def _early(self, scope: Scope) -> Response | None:
        """Return the response without calling an endpoint: that of the framework, or of a fault after its delay."""
        method, path, profile = scope["method"], scope["path"], self._server.profile
        early = answer_as_framework(method, path, scope["query_string"], profile)
        if early is not None:
            return early
        fault = self._server.faults.take(scope["method"], scope["path"])
        if fault is None:
            return None
        await asyncio.sleep(fault.delay)
        if fault.status is None:
            return None
        headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
        return PlainTextResponse("A fault on order.", fault.status, headers)

    def _finish(self, message: Message, *, overrides: bool) -> None:
        """Add the headers of every response, and replace a 4xx status with 200 if the caller requests it.

        A response without a media type comes from the framework or is a redirect, so it does not get the API's headers.
        """
        headers = MutableHeaders(scope=message)
        for name, value in self._cors.items():
            headers[name] = value
        if "content-type" in headers:
            headers.setdefault("cache-control", "no-store, max-age=0")
        elif message["status"] != 307:  # Temporary Redirect, from an endpoint
            return
        headers["x-stack-request-id"] = self._server.chance.code(16)
        if overrides and message["status"] // 100 == 4:  # 4xx
            headers["x-stack-actual-status"] = str(message["status"])
            message["status"] = 200
        for name in TWINS if self._server.profile.uses_hexclave_headers else ():
            if f"x-stack-{name}" in headers:
                headers[f"x-hexclave-{name}"] = headers[f"x-stack-{name}"]
