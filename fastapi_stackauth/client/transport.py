"""The only module that uses the network. It sends a request, and returns a response or raises a typed error.

Retries (design decision 13): any request is retried if the server never received it or returned 429, and after other
failures only if it is safe to repeat. If an idle connection breaks, such a request is sent again immediately on a new
connection. Redirects are never followed, because headers with keys would be sent along.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, cast
from urllib.parse import urlsplit

import httpx

from fastapi_stackauth.client.library import HttpClient, HttpTransport, find_library
from fastapi_stackauth.client.request import ApiRequest, encode_path
from fastapi_stackauth.client.response import ApiResponse, error_from_response
from fastapi_stackauth.errors import (
    AuthServerError,
    AuthServerRateLimited,
    AuthServerTimeout,
    AuthServerUnavailable,
    AuthServerUnreachable,
    ConfigurationError,
    UnexpectedResponse,
)
from fastapi_stackauth.runtime.events import AUTH_SERVER_CALL, AuthEvents
from fastapi_stackauth.runtime.loops import PerLoop
from fastapi_stackauth.runtime.spans import NO_SPAN, Span

MAX_BODY = 16 * 1024 * 1024
KEEPALIVE_EXPIRY = 4.0
"""Seconds after which an idle connection is closed, before the auth server (Node) closes it after 5 s."""
_BROKE_OFF = (
    "The connection to the auth server broke before a response arrived. The auth server may have executed the request."
)
_TOO_LATE = "The auth server did not respond in time. It may have executed the request."
_UNTRUSTED = "The auth server's TLS certificate is not trusted."
_BACKOFF_BASE, _BACKOFF_CAP = 0.2, 3.0


@dataclass
class Progress:
    """The progress of one attempt, from the trace events of httpcore, httpx's transport.

    Other transports report no events. Their requests count as sent, on a new connection.

    Attributes:
        is_reused: Whether the connection was used before, so that the server may have closed it as idle.
        may_have_arrived: Whether the complete request may have reached the server.
    """

    is_reused: bool = False
    may_have_arrived: bool = True
    _connected: bool = False

    async def __call__(self, event: str, _info: Mapping[str, Any]) -> None:
        """Handle an event, such as ``http11.send_request_headers.started``."""
        step, _, state = event.partition(".")[2].rpartition(".")
        if step.startswith("connect_"):
            self._connected, self.may_have_arrived = True, False
        elif step == "send_request_headers":
            self.is_reused = not self._connected
            self.may_have_arrived = state != "failed"
        elif step == "send_request_body" and state == "failed":
            # A body is sent in one piece. A server that has only received the headers cannot execute the request.
            self.may_have_arrived = False


@dataclass(frozen=True)
class _Failure:
    """The failure of an attempt.

    Attributes:
        error: The error for the caller if this was the last attempt.
        is_sent: Whether the request may have reached the server.
        retry_after: The pause that the server requests, in seconds.
        is_final: Whether another attempt would fail in the same way.
        is_stale: Whether an idle connection broke, so that the request may be sent again.
    """

    error: AuthServerError
    is_sent: bool = True
    retry_after: float = 0.0
    is_final: bool = False
    is_stale: bool = False

    def is_worth_repeating(self, request: ApiRequest) -> bool:
        """Whether another attempt may succeed and cannot execute the request twice."""
        error = self.error
        if self.is_final:
            return False
        if not self.is_sent or isinstance(error, AuthServerRateLimited):
            return True
        may_pass = isinstance(error, AuthServerUnavailable) and error.response_status in (None, 502, 503, 504)
        return request.repeatable and may_pass


@dataclass
class _Delivery:
    """The delivery of one request: the request, its deadline and its progress.

    `fresh_attempts` counts attempts on a new connection after an idle one broke. They do not use up `attempts`.
    """

    request: ApiRequest
    headers: Mapping[str, str] = field(repr=False)
    path: str
    start: float
    deadline: float
    attempts: int = 0
    fresh_attempts: int = 0
    status: int | None = None
    progress: Progress = field(default_factory=Progress)

    def timeout_error(self) -> AuthServerTimeout:
        """Return the error for a request without a timely response."""
        unknown = self.progress.may_have_arrived and not self.request.repeatable
        operation = self.request.operation
        return AuthServerTimeout(_TOO_LATE if unknown else None, outcome_unknown=unknown, operation=operation)


class Transport:
    """Sends requests. Each event loop has its own pooled `httpx.AsyncClient`, which is opened on first use.

    Args:
        base_url: The server's URL without ``/api/v1``.
        timeout: The total time limit of a request in seconds, including retries.
        client: Your own `AsyncClient` from httpx or httpx2. It is used unchanged, and you close it yourself.
        transport: Your own transport from httpx or httpx2, such as `httpx.ASGITransport`.
        sleep: Waits for a number of seconds.
        jitter: Returns a random number from 0 to 1.
        clock: A monotonic clock, in seconds.
        events: Counts and reports each request.
        keepalive_expiry: Seconds after which an idle connection is closed.
    """

    def __init__(
        self,
        base_url: str,
        timeout: float,
        *,
        client: HttpClient | None = None,
        transport: HttpTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
        events: AuthEvents | None = None,
        keepalive_expiry: float = KEEPALIVE_EXPIRY,
    ) -> None:
        self._root = f"{base_url}/api/v1"
        self._timeout = timeout
        self._http = find_library(client, transport)
        self._own = cast("httpx.AsyncClient | None", client)  # or the one of httpx2, which has the same methods
        self._transport = transport
        self._sleep = sleep
        self._jitter = jitter
        self._clock = clock
        self._events = events or AuthEvents()
        self._pools: PerLoop[httpx.AsyncClient] = PerLoop(partial(self._open, keepalive_expiry))
        self._fresh: PerLoop[httpx.AsyncClient] = PerLoop(partial(self._open, 0.0))
        self._dated: tuple[float, float] | None = None

    @property
    def server_time(self) -> float | None:
        """The server's Unix time, from the `Date` of its last response (RFC 9110 §6.6.1). None if it sent none.

        It is accurate to about a second. Between responses, a monotonic clock advances it.
        """
        return None if self._dated is None else self._dated[0] + self._clock() - self._dated[1]

    async def aclose(self) -> None:
        """Close the pools of the running event loop. The next request opens a new one."""
        for pools in (self._pools, self._fresh):
            if (pool := pools.pop()) is not None:
                await pool.aclose()

    def _open(self, keepalive_expiry: float) -> httpx.AsyncClient:
        http, idle = self._http, 20 if keepalive_expiry else 0
        limits = http.Limits(max_connections=100, max_keepalive_connections=idle, keepalive_expiry=keepalive_expiry)
        # All callers share one pool, so a cookie that the server sets for one caller must not be sent for another.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        try:
            pool: httpx.AsyncClient = http.AsyncClient(
                transport=self._transport, limits=limits, follow_redirects=False, cookies=no_cookies
            )
        except (OSError, ValueError, http.InvalidURL, ImportError) as fault:
            raise ConfigurationError(
                "The environment prevents calls to the auth server. Correct the proxies (HTTPS_PROXY, HTTP_PROXY, "
                "ALL_PROXY) or the trusted certificates (SSL_CERT_FILE, SSL_CERT_DIR) that it names."
            ) from fault
        return pool

    async def send_before_deadline(self, request: ApiRequest, headers: Mapping[str, str]) -> ApiResponse:
        """Send a request, with retries, and report the outcome as an event.

        Raises:
            AuthServerError: The request failed.
            ConfigurationError: The environment has proxies or certificates that cannot be used.
        """
        path = encode_path(request.template, request.ids) if request.ids else request.template
        if self._own is None:
            self._pools.get()  # before the deadline starts, because reading the trusted certificates is slow
        start, timeout = self._clock(), request.timeout or self._timeout
        delivery = _Delivery(request, headers, path, start, start + timeout)
        with self._start_span(request) as span:
            try:
                try:
                    async with asyncio.timeout(timeout):
                        response = await self._send_with_retries(delivery)
                except TimeoutError:
                    raise delivery.timeout_error() from None
            except AuthServerError as error:
                self._report(delivery, type(error).__name__, span)
                raise
            self._report(delivery, None, span)
            return response

    def _start_span(self, request: ApiRequest) -> Span:
        """Return the span of a call, with the attributes of OpenTelemetry's conventions for HTTP clients.

        There is no `url.full`, because paths contain ids and queries contain codes.
        """
        tracer = self._events.tracer
        if tracer is None:
            return NO_SPAN
        url = urlsplit(request.url or self._root)
        path = "" if request.url else request.template.partition("?")[0]
        known = {} if request.is_custom else {"url.template": url.path + path}
        attributes: dict[str, str | int] = {
            "http.request.method": request.method,
            "server.address": url.hostname or "",
            "server.port": url.port or (443 if url.scheme == "https" else 80),
            "url.scheme": url.scheme,
            "stackauth.operation": request.label,
            **known,
        }
        return tracer.start("stackauth.call", attributes, is_call=True)

    def _report(self, delivery: _Delivery, error: str | None, span: Span) -> None:
        retries = delivery.attempts + delivery.fresh_attempts - 1
        span.set("http.response.status_code", delivery.status)
        span.set("http.request.resend_count", retries or None)
        self._events.emit(
            AUTH_SERVER_CALL,
            operation=delivery.request.label,
            status=delivery.status,
            duration=self._clock() - delivery.start,
            retries=retries,
            error=error,
        )

    async def _send_with_retries(self, delivery: _Delivery) -> ApiResponse:
        request = delivery.request
        while True:
            delivery.attempts += 1
            outcome = await self._send_once(delivery, self._own or self._pools.get())
            if isinstance(outcome, _Failure) and outcome.is_stale and not delivery.fresh_attempts:
                # The server may have closed more idle connections of the pool by now, so use a new one.
                delivery.fresh_attempts += 1
                outcome = await self._send_once(delivery, self._own or self._fresh.get())
            if isinstance(outcome, ApiResponse):
                return outcome
            backoff = self._jitter() * min(_BACKOFF_CAP, _BACKOFF_BASE * 2.0**delivery.attempts)
            pause = max(outcome.retry_after, backoff)
            # A pause that ends after the deadline would only replace a clear error with a timeout.
            in_time = self._clock() + pause < delivery.deadline
            if delivery.attempts >= request.attempts or not in_time or not outcome.is_worth_repeating(request):
                raise outcome.error
            await self._sleep(pause)

    async def _send_once(self, delivery: _Delivery, pool: httpx.AsyncClient) -> ApiResponse | _Failure:
        delivery.progress, delivery.status = Progress(), None
        try:
            http_response = await pool.send(self._build(delivery, pool), stream=True, follow_redirects=False)
            try:
                body = await _read(http_response, delivery.request)
            finally:
                await http_response.aclose()
        except self._http.RequestError as error:
            return _failure(self._http, error, delivery)
        response = ApiResponse.from_http(http_response.status_code, http_response.headers, body)
        if (date := response.date) is not None and delivery.request.url is None:
            self._dated = date, self._clock()
        delivery.status = response.status
        if response.is_success:
            return response
        rejection = error_from_response(response, delivery.request.operation)
        return _Failure(rejection, retry_after=response.retry_after or 0.0)

    def _build(self, delivery: _Delivery, pool: httpx.AsyncClient) -> httpx.Request:
        content, left = delivery.request.content, delivery.deadline - self._clock()
        # The time limit for connecting ends before the deadline, because a canceled TLS handshake leaves its socket
        # open, but one that times out does not.
        http = self._http
        timeout = http.USE_CLIENT_DEFAULT if self._own else http.Timeout(left, connect=left / 4, pool=left / 4)
        request = pool.build_request(
            delivery.request.method,
            delivery.request.url or self._root + delivery.path,
            params=delivery.request.params,
            content=content,
            headers={**({} if content is None else {"content-type": "application/json"}), **delivery.headers},
            timeout=timeout,
            extensions={"trace": delivery.progress},
        )
        if "cookie" not in pool.headers:  # cookies in your own client's jar, which the server set for another caller
            request.headers.pop("cookie", None)
        return request


async def _read(response: httpx.Response, request: ApiRequest) -> bytes:
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > MAX_BODY:
            raise UnexpectedResponse(message="The auth server's response is too large.", operation=request.operation)
        chunks.append(chunk)
    return b"".join(chunks)


def _failure(http: Any, error: Exception, delivery: _Delivery) -> _Failure:  # noqa: ANN401 - the module `httpx` or `httpx2`
    """Return the reason why an attempt has no response."""
    request, progress = delivery.request, delivery.progress
    operation = request.operation
    if isinstance(error, http.ConnectTimeout | http.PoolTimeout):
        return _Failure(AuthServerTimeout(operation=operation), is_sent=False)
    if isinstance(error, http.ConnectError | http.ProxyError):
        untrusted = _is_untrusted(error)
        unreachable = AuthServerUnreachable(_UNTRUSTED if untrusted else None, operation=operation)
        return _Failure(unreachable, is_sent=False, is_final=untrusted)
    if isinstance(error, http.TimeoutException):
        return _Failure(delivery.timeout_error())
    if isinstance(error, http.DecodingError):
        return _Failure(UnexpectedResponse(operation=operation), is_final=True)
    unknown = progress.may_have_arrived and not request.repeatable
    broken = AuthServerUnreachable(_BROKE_OFF if unknown else None, outcome_unknown=unknown, operation=operation)
    return _Failure(broken, is_sent=progress.may_have_arrived, is_stale=progress.is_reused and not unknown)


def _is_untrusted(error: BaseException | None) -> bool:
    """Whether the server's certificate is not trusted, so that there is no point in another attempt."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None
