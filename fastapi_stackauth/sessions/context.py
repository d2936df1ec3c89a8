"""The library's state for one connection, stored under one key of the ASGI scope.

Every request has its own scope, but some servers share `scope["state"]` between the requests of a connection.
"""

from collections.abc import Awaitable, Iterable
from typing import Any, Generic, TypeVar

from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_stackauth.sessions.credentials import InProcessCaller

CONTEXT_KEY = "fastapi_stackauth"
_STARTS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})

S = TypeVar("S")  # the services of a `StackAuth`, and
R = TypeVar("R")  # the caller: a type of `http/installed.py`, which has a higher rank


class CookieQueue:
    """The cookies that a response will set. The last one with a name is used.

    Attributes:
        private: Whether the response depends on the session, so that caches must not store it.
    """

    def __init__(self) -> None:
        self.private = False
        self._cookies: dict[str, bytes] = {}

    def set(self, name: str, header: bytes) -> None:
        """Queue a `Set-Cookie` value under the cookie's name."""
        self._cookies[name] = header

    def apply(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the headers of a response with the cookies, and with `no-store` unless the app set it to private."""
        own = list(headers)
        kept = [value for name, value in own if name.lower() == b"cache-control"]
        if self._cookies or not any(b"private" in value or b"no-store" in value for value in kept):
            own = [pair for pair in own if pair[0].lower() != b"cache-control"] + [(b"cache-control", b"no-store")]
        return own + [(b"set-cookie", value) for value in self._cookies.values()]


class RequestContext(Generic[S, R]):
    """The library's state for one connection.

    Attributes:
        services: The services of the router that serves the connection. None on an app's own routes.
        route: The context that a handler of the router's route receives.
        resolution: The latest one.
        resolutions: One for each stack and one more for its API keys, so that a request verifies a token only once.
        cookies: The cookies that the response sets. None until a cookie is queued.
        checked_origin_policy: The policy that has accepted the connection.
        caller: The caller of an in-process request. None if the credentials are in the request.
    """

    __slots__ = ("caller", "checked_origin_policy", "cookies", "resolution", "resolutions", "route", "services")

    def __init__(self) -> None:
        self.services: S | None = None
        self.route: Any = None  # of a higher rank
        self.resolution: R | None = None
        self.resolutions: tuple[R, ...] = ()
        self.cookies: CookieQueue | None = None
        self.checked_origin_policy: Any = None  # of another module of this rank
        self.caller: InProcessCaller | None = None


def get_context(scope: Scope) -> RequestContext[Any, Any]:
    """Return the context of a connection."""
    context: RequestContext[Any, Any] | None = scope.get(CONTEXT_KEY)
    if context is None:
        context = scope[CONTEXT_KEY] = RequestContext()
    return context


def get_cookies(scope: Scope) -> CookieQueue:
    """Return the cookie queue of a connection."""
    context = get_context(scope)
    if context.cookies is None:
        context.cookies = CookieQueue()
    return context.cookies


def add_cookie_middleware(app: Starlette) -> None:
    """Add the middleware that sets queued cookies, unless the app already has it."""
    factory: Any = CookieMiddleware
    if all(middleware.cls is not factory for middleware in app.user_middleware):
        app.add_middleware(factory)


class CookieMiddleware:
    """Sets the queued cookies on every response, including WebSocket handshakes.

    It never responds by itself, because such a response would lack the headers of other middleware, such as CORS.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        context = get_context(scope)

        def send_with_cookies(message: Message) -> Awaitable[None]:  # a coroutine would cost time on each message
            if context.cookies is not None and message["type"] in _STARTS:
                message["headers"] = context.cookies.apply(message.get("headers", ()))
            return send(message)

        await self._app(scope, receive, send_with_cookies)
