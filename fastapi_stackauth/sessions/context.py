"""The state of the library on one connection: one object, under one key of the scope.

The scope belongs to one request. `scope["state"]` may not: some servers share it between the requests of a connection.
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
    """The cookies that the response of one connection will set, the last one of each name winning.

    Attributes:
        private: whether the answer depends on the session, and so must not be stored.
    """

    def __init__(self) -> None:
        self.private = False
        self._cookies: dict[str, bytes] = {}

    def set(self, name: str, header: bytes) -> None:
        """Queue a `Set-Cookie` value under the cookie's name."""
        self._cookies[name] = header

    def apply(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the response's headers with the cookies, and `no-store` unless an app keeps its response private."""
        own = list(headers)
        kept = [value for name, value in own if name.lower() == b"cache-control"]
        if self._cookies or not any(b"private" in value or b"no-store" in value for value in kept):
            own = [pair for pair in own if pair[0].lower() != b"cache-control"] + [(b"cache-control", b"no-store")]
        return own + [(b"set-cookie", value) for value in self._cookies.values()]


class RequestContext(Generic[S, R]):
    """The state of the library on one connection.

    Attributes:
        services: those of the router that serves the connection; None on an app's own routes.
        route: the context of the router's route, which handlers get.
        resolution: the last one that was computed.
        resolutions: one for each stack, and one more for its API keys, so that a request verifies a token once.
        cookies: what the response sets; None until a cookie is queued.
        checked_origin_policy: the policy whose check the connection has passed.
        caller: the caller of a call in process; None if the credentials are those of the request.
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
    """Add the middleware that writes queued cookies, unless the app has it."""
    factory: Any = CookieMiddleware
    if all(middleware.cls is not factory for middleware in app.user_middleware):
        app.add_middleware(factory)


class CookieMiddleware:
    """Writes queued cookies on whatever response leaves, WebSocket handshakes included.

    It never responds by itself: its responses would miss what other middleware adds, CORS above all.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        context = get_context(scope)

        def send_with_cookies(message: Message) -> Awaitable[None]:  # a coroutine of its own costs time on each message
            if context.cookies is not None and message["type"] in _STARTS:
                message["headers"] = context.cookies.apply(message.get("headers", ()))
            return send(message)

        await self._app(scope, receive, send_with_cookies)
