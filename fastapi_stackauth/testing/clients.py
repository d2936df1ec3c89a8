"""httpx clients for an app in this process, signed in as a user.

Law: a client in a `with` or `async with` block runs the app's lifespan, and also works without a block. The base URL is
https, so that the client's cookie jar keeps Secure cookies, and `Origin` is the app's own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import urlsplit

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI

from fastapi_stackauth.models import User
from fastapi_stackauth.plugin import StackAuth
from fastapi_stackauth.sessions.cookie_sessions import ACCESS, REFRESH
from fastapi_stackauth.sessions.cookies import CookiePolicy
from fastapi_stackauth.testing.lifespan import Lifespan
from fastapi_stackauth.testing.overrides import override_user
from fastapi_stackauth.testing.stacks import default_stack
from fastapi_stackauth.testing.users import KitUser

By = Literal["header", "cookie"]
NO_SITE = "https://app.test"
"""The origin of an app without `app_url`."""


class AppTransport(httpx.ASGITransport):
    """A transport to an app in this process."""

    def __init__(self, lifespan: Lifespan) -> None:
        super().__init__(lifespan)
        self._lifespan = lifespan

    async def __aenter__(self) -> Self:
        _require_asyncio()
        await self._lifespan.enter()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._lifespan.leave()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the app's response, or raise the app's exception."""
        _require_asyncio()
        return await super().handle_async_request(request)


class SyncAppTransport(httpx.BaseTransport):
    """A transport for sync code. The app runs in an event loop on another thread."""

    def __init__(self, lifespan: Lifespan, portal: Callable[[], BlockingPortal]) -> None:
        self._lifespan = lifespan
        self._inner = AppTransport(lifespan)
        self._portal = portal

    def __enter__(self) -> Self:
        self._portal().call(self._lifespan.enter)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._portal().call(self._lifespan.leave)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the app's complete response, or raise the app's exception."""
        request.read()
        return self._portal().call(self._exchange, request)

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        sent = httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
        response = await self._inner.handle_async_request(sent)
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - ASGITransport promises it
        body = b"".join([chunk async for chunk in response.stream])
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(body))


class ClientDefaults(NamedTuple):
    """The keyword arguments for httpx that sign a client in."""

    base_url: str
    headers: dict[str, str]
    cookies: dict[str, str]


def build_defaults(stack: StackAuth, user: KitUser | str | None, by: By) -> ClientDefaults:
    """Return the keyword arguments that sign a client in as a user, or as the user of a token.

    Raises:
        ConfigurationError: `by` is ``cookie`` and `app_url` is missing.
    """
    origin = stack.settings.app_url or NO_SITE
    headers = {"origin": origin}
    access, refresh = _tokens(user)
    cookies: dict[str, str] = {}
    if by == "cookie":
        policy = CookiePolicy.of(stack.settings)
        pairs = {policy.name(ACCESS): access, policy.name(REFRESH): refresh}
        cookies = {name: value for name, value in pairs.items() if value}
    elif access:
        headers["authorization"] = f"Bearer {access}"
    return ClientDefaults(urlsplit(origin)._replace(scheme="https").geturl(), headers, cookies)


def _tokens(user: KitUser | str | None) -> tuple[str, str]:
    if isinstance(user, str):
        return user, ""
    return (user.access_token, user.refresh_token) if user else ("", "")


class Clients:
    """Creates instances of `httpx.AsyncClient` for an app.

    Example:
        >>> async with stack_client(stack_user()) as client:
        ...     response = await client.get("/me")
    """

    def __init__(self, app: Callable[[FastAPI | None], FastAPI]) -> None:
        self._app = app
        self._lifespans: dict[int, Lifespan] = {}

    def __call__(
        self,
        user: KitUser | str | None = None,
        *,
        by: By = "header",
        app: FastAPI | None = None,
        stack: StackAuth | None = None,
        **options: Any,  # noqa: ANN401 - httpx's own
    ) -> httpx.AsyncClient:
        """Return a client that is signed in as this user, or as the user of this token.

        Args:
            user: The caller. None means that no user is signed in.
            by: Whether the token travels in the `Authorization` header or in the app's session cookies.
            app: The app. By default, the app under test.
            stack: The `StackAuth` whose cookies are sent, if the app has several. By default, the app's default one.
            **options: Further arguments of `httpx.AsyncClient`, such as `headers` or `follow_redirects`.

        Raises:
            ConfigurationError: There is no app, it has no `StackAuth`, or `by` is ``cookie`` and `app_url` is missing.
        """
        chosen = self._app(app)
        lifespan = self._lifespans.setdefault(id(chosen), Lifespan(chosen))
        defaults = _merge_options(build_defaults(stack or default_stack(chosen), user, by), options)
        return httpx.AsyncClient(**{"transport": AppTransport(lifespan), **defaults})


class SyncClients:
    """Creates instances of `httpx.Client` for sync tests. The app runs in an event loop on another thread.

    Example:
        >>> client = stack_sync_client(stack_user())
        >>> assert client.get("/me").status_code == 200
    """

    def __init__(self, app: Callable[[FastAPI | None], FastAPI], blocks: ExitStack) -> None:
        self._app = app
        self._blocks = blocks
        self._running: BlockingPortal | None = None
        self._lifespans: dict[int, Lifespan] = {}

    def __call__(
        self,
        user: KitUser | str | None = None,
        *,
        by: By = "header",
        app: FastAPI | None = None,
        stack: StackAuth | None = None,
        **options: Any,  # noqa: ANN401 - httpx's own
    ) -> httpx.Client:
        """Return a sync client for a user. The arguments and errors are the same as for `Clients`."""
        chosen = self._app(app)
        lifespan = self._lifespans.setdefault(id(chosen), Lifespan(chosen))
        defaults = _merge_options(build_defaults(stack or default_stack(chosen), user, by), options)
        return httpx.Client(**{"transport": SyncAppTransport(lifespan, self._portal), **defaults})

    def _portal(self) -> BlockingPortal:
        """Return the event loop that all clients share, because the app keeps separate state for each event loop."""
        if self._running is None:
            self._running = self._blocks.enter_context(start_blocking_portal("asyncio"))
        return self._running


@asynccontextmanager
async def signed_in(
    app: FastAPI,
    user: KitUser | User | str | None = None,
    *,
    by: By = "header",
    stack: StackAuth | None = None,
    **options: Any,  # noqa: ANN401 - httpx's own
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an app, signed in as a user, while the app's lifespan runs.

    Args:
        app: The app.
        user: A `KitUser` of an app under `emulate`; a token, such as one from a `TokenFactory`; a `User`, who replaces
            the caller as in `override_user`; or None for a caller who is not signed in.
        by: Whether the token travels in the `Authorization` header or in the app's session cookies.
        stack: The `StackAuth` whose cookies are sent, if the app has several. By default, the app's default one.
        **options: Further arguments of `httpx.AsyncClient`.

    Raises:
        ConfigurationError: The app has no `StackAuth`, or `by` is ``cookie`` and `app_url` is missing.

    Example:
        >>> async with signed_in(app, User(id="ada")) as client:
        ...     response = await client.get("/me")
    """
    with ExitStack() as blocks:
        if isinstance(user, User):
            blocks.enter_context(override_user(app, user))
        caller = None if isinstance(user, User) else user
        async with Clients(lambda _: app)(caller, by=by, stack=stack, **options) as client:
            yield client


def _merge_options(defaults: ClientDefaults, options: Mapping[str, Any]) -> dict[str, Any]:
    more_headers, more_cookies = options.get("headers"), options.get("cookies")
    base_url = options.get("base_url", defaults.base_url)
    host = urlsplit(str(base_url)).hostname or ""
    jar = httpx.Cookies(more_cookies)
    for name, value in defaults.cookies.items():
        # Cookie jars append ".local" to a host name without a dot (RFC 2965 §1).
        jar.set(name, value, domain=host if "." in host else f"{host}.local")
    headers = httpx.Headers(defaults.headers)
    headers.update(more_headers)
    return {**options, "base_url": base_url, "headers": headers, "cookies": jar}


def _require_asyncio() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "fastapi-stackauth runs on asyncio only. With anyio's pytest plugin, let the fixture anyio_backend "
            'return "asyncio".'
        ) from None
