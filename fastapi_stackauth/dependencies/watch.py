"""Long-lived connections: a WebSocket or an event stream ends when its token expires.

A dependency checks a token when a connection opens; a watch keeps checking while it is open. It ends when the token
expires, checks session, permissions and membership at an interval, and ends immediately after a revocation.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, Protocol, Self, TypeVar

from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection

from fastapi_stackauth.dependencies.requirements import RequirementContext
from fastapi_stackauth.dependencies.users import Require, check_require, current_user, resolve_with_token
from fastapi_stackauth.errors import AuthError, AuthServerError, ConfigurationError
from fastapi_stackauth.http.installed import Resolution
from fastapi_stackauth.http.schemes import Documentation, Secured
from fastapi_stackauth.models import User
from fastapi_stackauth.runtime.events import SESSION_CHECK_FAILED, get_error_code
from fastapi_stackauth.sessions.credentials import Credential
from fastapi_stackauth.startup.guards import Guarded
from fastapi_stackauth.verification.live import SharedCheck

T = TypeVar("T")

# Seconds after which the remaining time is computed again, because clocks are set and machines sleep.
_LONGEST_NAP = 60.0


class SessionCheck(Protocol):
    """Checks whether a session still exists. By default, the auth server decides; an app may have its own list."""

    async def check(self, token: str, user: User) -> None:
        """Check that the session exists.

        Raises:
            AuthError: The session does not exist.
            AuthServerError: The check failed. The watch tries again later.
        """
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class WatchSession(Secured):
    """Return a `SessionWatch` for the caller.

    Attributes:
        every: Seconds between two checks that the session still exists, and that the user still has the permissions and
            the membership in `require` (cached for `authorization_ttl` seconds). In this time, a worker calls the auth
            server once per session, however many connections the session has. With None, the watch only checks the
            token's expiry.
        require: The requirements that the user must meet first.
        check: Replaces the auth server's list of sessions.

    Example:
        >>> @app.websocket("/feed")
        ... async def feed(websocket: WebSocket, watch: Annotated[SessionWatch, Depends(WatchSession(every=30))]):
        ...     await websocket.accept()
        ...     async with watch:
        ...         async for text in websocket.iter_text():
        ...             await websocket.send_text(f"{watch.user.id}: {text}")

    Raises:
        AuthError, VerificationUnavailable, AuthServerMisconfigured, ConfigurationError: As `require` does.
    """

    _use: ClassVar[str] = "`watch: Annotated[SessionWatch, Depends({name}(...))]`"

    every: float | None = 60.0
    require: Require = current_user
    check: SessionCheck | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_require(self, self.require)
        super().__post_init__()
        self.require.reject_api_keys()
        every: object = self.every
        if every is not None and not (isinstance(every, int | float) and every > 0):
            raise ConfigurationError(
                f"WatchSession(every=...) takes a positive number of seconds, or None; got {every!r}."
            )

    def describe(self) -> Documentation:
        """Return the OpenAPI documentation of its routes: the requirements."""
        return self.require.describe()

    async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> "SessionWatch":
        """Return the watch, which FastAPI passes to the endpoint. It starts when it is entered or iterated over."""
        user, resolution = await resolve_with_token(self.require, connection, scopes)
        return SessionWatch(self, connection, user, resolution)


class SessionWatch(Guarded):
    """Ends its block when the token expires, the session is revoked, or a requirement is no longer met.

    `WatchSession` creates it. With `async with`, it cancels the body and raises the error, which closes an accepted
    WebSocket with code 1008. For an event stream use `stream`, which ends the stream instead. A watch belongs to one
    connection and cannot be used twice at the same time.

    Attributes:
        user: The user of the session.
        ended: The reason why the watch ended. None until then.
    """

    _use: ClassVar[str] = "`watch: Annotated[SessionWatch, Depends(WatchSession(...))]`"

    def __init__(self, watched: WatchSession, connection: HTTPConnection, user: User, resolution: Resolution) -> None:
        self.user = user
        self.ended: Exception | None = None
        self._watched = watched
        self._events = resolution.services.events
        self._verifier = resolution.services.verifier
        self._live_sessions = resolution.services.live_sessions
        self._check: SessionCheck = watched.check or self._live_sessions
        self._connection = connection
        self._resolution = resolution
        self._limit: asyncio.Timeout | None = None
        self._listening = ExitStack()
        self._on_revocation: Callable[[AuthError], object] = self._end
        self._context: AbstractAsyncContextManager[None] | None = None

    async def __aenter__(self) -> Self:
        self._context = self._watching_body()
        await self._context.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._context is not None:
            await self._context.__aexit__(kind, error, trace)

    async def stream(self, items: AsyncIterable[T]) -> AsyncGenerator[T, None]:
        """Yield the items until the session ends, for `StreamingResponse` and endpoints that yield.

        The stream ends without an error, because its status was sent before. The client's next request gets 401.
        """
        iterator = aiter(items)
        async with self._watching():
            try:
                while True:
                    # Only around this call, because the code that receives the items must not be canceled.
                    async with self._limit_time():
                        item = await anext(iterator)
                    yield item
            except StopAsyncIteration:
                return
            except AuthError as rejection:
                if rejection is not self.ended:
                    raise
            finally:
                if isinstance(iterator, AsyncGenerator):
                    await iterator.aclose()

    async def refresh(self, token: str) -> User:
        """Continue with a newer token of the same user, which the client sends before the old one expires.

        Raises:
            AuthError: The token is rejected or belongs to another user. The watch continues with the old token.
            VerificationUnavailable, AuthServerMisconfigured: The token cannot be verified now.
        """
        user = await self._verifier.verify(token)
        if user.id != self.user.id:
            raise AuthError("credentials_conflict", reason="another user's token")
        if error := self._watched.require.find_error(user):
            raise error
        self.user, self._resolution.credential = user, Credential(token, "refreshed")
        self._listen()
        return user

    def end(self, rejection: AuthError | None = None) -> None:
        """End the watch now, for example after a revocation. From other threads, use `loop.call_soon_threadsafe`.

        Args:
            rejection: The reason; None means `session_revoked`. Only the first call has an effect.
        """
        self._end(rejection or AuthError("session_revoked"))

    def _end(self, reason: Exception) -> None:
        if self.ended is None:
            self.ended = reason
            if self._limit is not None:
                self._limit.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def _watching_body(self) -> AsyncIterator[None]:
        async with self._watching(), self._limit_time():
            yield

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        watcher = asyncio.create_task(self._watch())
        loop = asyncio.get_running_loop()
        self._on_revocation = lambda rejection: loop.call_soon_threadsafe(self._end, rejection)
        self._listen()
        try:
            yield
        finally:
            self._listening.close()
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    def _listen(self) -> None:
        """End immediately if a worker of this app revokes the session, whatever the value of `every`."""
        self._listening.close()
        self._listening.enter_context(self._verifier.revocations.notify(self.user, self._on_revocation))

    @asynccontextmanager
    async def _limit_time(self) -> AsyncIterator[None]:
        if rejection := self.ended:
            raise rejection
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._limit = limit
                yield
        except TimeoutError:
            if self.ended is None or not limit.expired():
                raise  # the body's own
            raise self.ended from None
        finally:
            self._limit = None

    async def _watch(self) -> None:
        try:
            while (left := self._verifier.seconds_left(self.user)) > 0:
                shared = self._share()
                await asyncio.sleep(min(left, _LONGEST_NAP if shared is None else max(shared.seconds_left(), 0)))
                if shared is not None and self._verifier.seconds_left(self.user) > 0:
                    await self._ask(shared)
            self._end(AuthError("token_expired"))
        except Exception as error:  # noqa: BLE001 - after an unexpected error the connection must not stay open unchecked
            self._end(error)

    def _share(self) -> SharedCheck | None:
        """Return the check of the session; None if the expiry alone counts, or a test put the user in place."""
        if self._watched.every is None or self._resolution.credential is None:
            return None
        return self._live_sessions.share(self._check, self.user.session_id, self._watched.every)

    async def _ask(self, shared: SharedCheck) -> None:
        context = RequirementContext(self._connection, self._resolution, self.user)
        try:
            await shared.run(self._check_session)
            await self._watched.require.check(context, again=True)
        except AuthServerError as error:
            self._events.emit(SESSION_CHECK_FAILED, code=get_error_code(error), detail=str(error))

    async def _check_session(self) -> None:
        credential = self._resolution.credential
        if credential is not None:
            await self._check.check(credential.token, self.user)
