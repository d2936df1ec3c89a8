"""The one seam to the network: a call goes out with the right headers and comes back as an answer or a typed error.

Retries (design decision 13): a call that the server never had and a 429 for any call; other failures only if
repeating does no harm. If an idle connection breaks, such a call is sent again at once, on a new connection.
Redirects are never followed: headers with keys would follow them.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from fastapi_stackauth.client.answers import Answer, error_of
from fastapi_stackauth.client.calls import Call
from fastapi_stackauth.client.progress import Progress
from fastapi_stackauth.errors import (
    AuthServerError,
    AuthServerTimeout,
    AuthServerUnavailable,
    AuthServerUnreachable,
    ConfigurationError,
    RateLimited,
    UnexpectedAnswer,
)
from fastapi_stackauth.runtime.events import AUTH_SERVER_CALL, Events
from fastapi_stackauth.runtime.loops import PerLoop

MAX_BODY = 16 * 1024 * 1024
KEEPALIVE_EXPIRY = 4.0
"""Seconds after which an idle connection is closed: less than the 5 s after which the auth server (Node) closes it."""
_BROKE_OFF = (
    "The connection to the auth server broke before a response arrived. The auth server may have executed the request."
)
_TOO_LATE = "The auth server did not respond in time. It may have executed the request."
_BACKOFF_BASE, _BACKOFF_CAP = 0.2, 3.0


@dataclass(frozen=True)
class _Failure:
    """Why a call failed, whether it may have reached the server, and the pause the server asks for, in seconds.

    `stale`: an idle connection broke, which says nothing about the server.
    """

    error: AuthServerError
    sent: bool = True
    asked: float = 0.0
    hopeless: bool = False
    stale: bool = False


@dataclass
class _Course:
    """How a call has gone so far: when it began, its attempts, and how far the last one got.

    `stale_attempts` counts those on idle connections that broke; they do not use up the call's attempts.
    """

    begun: float
    attempts: int = 0
    stale_attempts: int = 0
    status: int | None = None
    progress: Progress = field(default_factory=Progress)


class Http:
    """Sends calls. One pooled `httpx.AsyncClient` for each event loop, opened on first use.

    Args:
        base_url: the server's address without ``/api/v1``.
        timeout: seconds a call may take in all, its retries included.
        client: an own `httpx.AsyncClient`; it is used as it is and stays the caller's to close.
        transport: an own httpx transport, such as `httpx.ASGITransport`.
        sleep: waits for a number of seconds.
        jitter: a random number from 0 to 1.
        clock: a monotonic clock, in seconds.
        events: where each call is counted and told.
        keepalive_expiry: seconds after which an idle connection is closed.
    """

    def __init__(
        self,
        base_url: str,
        timeout: float,
        *,
        client: httpx.AsyncClient | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
        events: Events | None = None,
        keepalive_expiry: float = KEEPALIVE_EXPIRY,
    ) -> None:
        self._root = f"{base_url}/api/v1"
        self._timeout = timeout
        self._own = client
        self._transport = transport
        self._sleep = sleep
        self._jitter = jitter
        self._clock = clock
        self._events = events or Events()
        self._pools: PerLoop[httpx.AsyncClient] = PerLoop(partial(self._open, keepalive_expiry))
        self._fresh: PerLoop[httpx.AsyncClient] = PerLoop(partial(self._open, 0.0))
        self._dated: tuple[float, float] | None = None

    @property
    def server_time(self) -> float | None:
        """Unix time at the server, by the `Date` of its last answer (RFC 9110 §6.6.1); None where it told none.

        Exact to about a second. Between answers it is carried on by a clock that nobody sets.
        """
        return None if self._dated is None else self._dated[0] + self._clock() - self._dated[1]

    async def send(self, call: Call) -> Answer:
        """The answer to a call, whatever its status below 400.

        Raises:
            AuthServerError: for every other outcome.
            ConfigurationError: the environment names proxies or certificates that cannot be used.
        """
        if self._own is None:
            self._pools.get()  # before the time runs: reading the trusted certificates is slow, and no server's fault
        course = _Course(self._clock())
        try:
            answer = await self._in_time(call, course)
        except AuthServerError as error:
            self._tell(call, course, type(error).__name__)
            raise
        self._tell(call, course, None)
        return answer

    async def aclose(self) -> None:
        """Close the running loop's pools; the next call opens another."""
        for pools in (self._pools, self._fresh):
            if (pool := pools.pop()) is not None:
                await pool.aclose()

    def _open(self, keepalive_expiry: float) -> httpx.AsyncClient:
        try:
            return self._opened(keepalive_expiry)
        except (OSError, ValueError, httpx.InvalidURL, ImportError) as fault:
            raise ConfigurationError(
                "The environment allows no calls of the auth server. Correct the proxies (HTTPS_PROXY, HTTP_PROXY, "
                "ALL_PROXY) or the trusted certificates (SSL_CERT_FILE, SSL_CERT_DIR) that it names."
            ) from fault

    def _opened(self, keepalive_expiry: float) -> httpx.AsyncClient:
        idle = 20 if keepalive_expiry else 0
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=idle, keepalive_expiry=keepalive_expiry)
        # One pool serves everybody: a cookie that the server sets for one caller must not travel with another's call.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        return httpx.AsyncClient(transport=self._transport, limits=limits, follow_redirects=False, cookies=no_cookies)

    def _tell(self, call: Call, course: _Course, error: str | None) -> None:
        self._events.emit(
            AUTH_SERVER_CALL,
            operation=call.series,
            status=course.status,
            duration=self._clock() - course.begun,
            retries=course.attempts + course.stale_attempts - 1,
            error=error,
        )

    async def _in_time(self, call: Call, course: _Course) -> Answer:
        timeout = call.timeout or self._timeout
        try:
            async with asyncio.timeout(timeout):
                return await self._with_retries(call, course, course.begun + timeout)
        except TimeoutError:
            raise self._timed_out(call, course) from None

    def _timed_out(self, call: Call, course: _Course) -> AuthServerTimeout:
        unknown = course.progress.may_have_arrived and not call.repeatable
        return AuthServerTimeout(_TOO_LATE if unknown else None, outcome_unknown=unknown, operation=call.operation)

    def _broke_off(self, call: Call, course: _Course) -> _Failure:
        arrived, stale = course.progress.may_have_arrived, course.progress.is_reused
        unknown = arrived and not call.repeatable
        message = _BROKE_OFF if unknown else None
        error = AuthServerUnreachable(message, outcome_unknown=unknown, operation=call.operation)
        return _Failure(error, sent=arrived, stale=stale)

    async def _with_retries(self, call: Call, course: _Course, deadline: float) -> Answer:
        while True:
            course.attempts, course.status = course.attempts + 1, None
            attempt, outcome = course.attempts, await self._once(call, course, deadline)
            if isinstance(outcome, Answer):
                return outcome
            pause = self._pause(attempt, outcome)
            # A pause that ends after the deadline would only turn a telling error into a timeout.
            if attempt >= call.attempts or not _worth_repeating(outcome, call) or self._clock() + pause >= deadline:
                raise outcome.error
            await self._sleep(pause)

    def _pause(self, attempt: int, failure: _Failure) -> float:
        backoff = self._jitter() * min(_BACKOFF_CAP, _BACKOFF_BASE * 2.0**attempt)
        return max(failure.asked, backoff)

    async def _once(self, call: Call, course: _Course, deadline: float) -> Answer | _Failure:
        outcome = await self._attempt(call, course, deadline, self._own or self._pools.get())
        if not isinstance(outcome, _Failure) or not outcome.stale or course.stale_attempts:
            return outcome
        if outcome.sent and not call.repeatable:
            return outcome
        # The pool may hold more connections that the server has closed by now: this one is new for certain.
        course.stale_attempts += 1
        return await self._attempt(call, course, deadline, self._own or self._fresh.get())

    async def _attempt(
        self, call: Call, course: _Course, deadline: float, pool: httpx.AsyncClient
    ) -> Answer | _Failure:
        course.progress = Progress()
        try:
            answer = await self._exchange(call, deadline, pool, course.progress)
        except (httpx.ConnectTimeout, httpx.PoolTimeout):
            return _Failure(AuthServerTimeout(operation=call.operation), sent=False)
        except (httpx.ConnectError, httpx.ProxyError) as error:
            return _not_connected(error, call)
        except httpx.TimeoutException:
            return _Failure(self._timed_out(call, course))
        except httpx.DecodingError:
            return _Failure(UnexpectedAnswer(operation=call.operation), hopeless=True)
        except httpx.RequestError:
            return self._broke_off(call, course)
        course.status = answer.status
        refusal = error_of(answer, call.operation)
        return _Failure(refusal, asked=answer.retry_after or 0.0) if refusal else answer

    async def _exchange(self, call: Call, deadline: float, pool: httpx.AsyncClient, progress: Progress) -> Answer:
        body = {} if call.json is None else {"content-type": "application/json"}
        request = pool.build_request(
            call.method,
            self._root + call.path,
            params=call.params,
            content=call.content,
            headers={**body, **call.headers},
            timeout=httpx.USE_CLIENT_DEFAULT if self._own else _parts_of(deadline - self._clock()),
            extensions={"trace": progress},
        )
        if "cookie" not in pool.headers:  # those of an own client's jar: the server set them for another caller
            request.headers.pop("cookie", None)
        response = await pool.send(request, stream=True, follow_redirects=False)
        try:
            content = await _read(response, call.operation)
        finally:
            await response.aclose()
        answer = Answer.of(response.status_code, {k.lower(): v for k, v in response.headers.items()}, content)
        if (date := answer.date) is not None:
            self._dated = date, self._clock()
        return answer


def _parts_of(left: float) -> httpx.Timeout:
    """How long the parts of an attempt may take that must end in so many seconds.

    A wait for the pool, a connection and its TLS handshake, each with a limit of its own, end before the deadline does:
    a handshake that is cancelled leaves its socket open, one that times out does not.
    """
    return httpx.Timeout(left, connect=left / 4, pool=left / 4)


def _not_connected(error: httpx.RequestError, call: Call) -> _Failure:
    """The failure to connect; a certificate that is not trusted will not be trusted a moment later either."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return _Failure(AuthServerUnreachable(operation=call.operation), sent=False)
    message = "The auth server's TLS certificate is not trusted."
    return _Failure(AuthServerUnreachable(message, operation=call.operation), sent=False, hopeless=True)


def _worth_repeating(failure: _Failure, call: Call) -> bool:
    if failure.hopeless:
        return False
    if not failure.sent or isinstance(failure.error, RateLimited):
        return True
    passing = isinstance(failure.error, AuthServerUnavailable) and failure.error.answer_status in (None, 502, 503, 504)
    return call.repeatable and passing


async def _read(response: httpx.Response, operation: str) -> bytes:
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > MAX_BODY:
            raise UnexpectedAnswer(message="The auth server's answer is too large.", operation=operation)
        chunks.append(chunk)
    return b"".join(chunks)
