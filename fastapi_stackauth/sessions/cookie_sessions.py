"""Cookie sessions: both tokens are in HttpOnly cookies, and the library refreshes the access token automatically."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from starlette.requests import HTTPConnection

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.client.tokens import REFRESH_BEFORE
from fastapi_stackauth.errors import (
    AuthError,
    AuthServerError,
    ClockSkew,
    SessionEnded,
    StackAuthError,
    VerificationUnavailable,
)
from fastapi_stackauth.models import TokenPair, User
from fastapi_stackauth.runtime.events import (
    CLOCK_SKEW,
    COOKIES_ON_OTHER_HOST,
    SESSION_END_FAILED,
    SESSION_ENDED,
    get_error_code,
)
from fastapi_stackauth.sessions.context import get_cookies
from fastapi_stackauth.sessions.cookies import CookiePolicy, OriginPolicy, cookie
from fastapi_stackauth.sessions.credentials import Credential
from fastapi_stackauth.sessions.tokens import SessionTokens
from fastapi_stackauth.settings import Settings, to_origin
from fastapi_stackauth.verification.rejections import judge_refresh
from fastapi_stackauth.verification.verifier import TokenEndsSoon, Verifier

ACCESS, REFRESH = "access", "refresh"
_LONGEST_HOST = 200  # the maximum number of characters of a header in a log line
_SKEW_LOG_INTERVAL = 30.0  # seconds


class Sessions:
    """The cookie sessions of one `StackAuth`.

    Args:
        settings: `app_url`, and the names and attributes of the cookies.
        client: Refreshes and ends sessions.
        verifier: Verifies access tokens.
        clock: Unix time in seconds.

    Attributes:
        tokens: Refreshes and ends sessions by their refresh tokens.

    Raises:
        ConfigurationError: `app_url` is missing. Raised at first use.
    """

    def __init__(
        self, settings: Settings, client: StackAuthClient, verifier: Verifier, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._client = client
        self._verifier = verifier
        self._clock = clock
        self._skew_logged_at = -math.inf
        self.tokens = SessionTokens(client, verifier, clock)

    @cached_property
    def policy(self) -> CookiePolicy:
        """The names and attributes of the cookies."""
        return CookiePolicy.of(self._settings)

    @cached_property
    def site(self) -> OriginPolicy:
        """The origins that may send requests with the cookies."""
        return OriginPolicy(self._settings.require_app_url("cookies"), self._settings.trusted_origins)

    # --- for routers and for an app's own form handlers ---

    def start(self, connection: HTTPConnection, tokens: TokenPair) -> None:
        """Sign the browser in. The response to this request sets both tokens as cookies.

        Raises:
            AuthError: 403 `cross_site_request`: The request comes from another site (login CSRF).
            RequestError, UnexpectedResponse: A token does not fit into a cookie, or is not valid.
            ConfigurationError: `app_url` is missing.
        """
        self.site.check(connection.scope)
        self.warn_of_other_host(connection)
        policy, max_age = self.policy, self._settings.session_max_age
        access = policy.set(ACCESS, tokens.access_token, max_age)
        refresh = policy.set(REFRESH, tokens.refresh_token, max_age)
        queue = get_cookies(connection.scope)
        queue.set(policy.name(ACCESS), access)
        queue.set(policy.name(REFRESH), refresh)

    def warn_of_other_host(self, connection: HTTPConnection) -> None:
        """Log once if cookies are set on another host than that of `app_url`. Browsers never send such cookies back."""
        seen = _other_origin(connection, self.site.app_url)
        if seen is not None and self._client.events.is_first("cookies_on_other_host"):
            self._client.events.emit(
                COOKIES_ON_OTHER_HOST,
                seen=seen[:_LONGEST_HOST],
                app_url=self.site.app_url,
                advice="Open the app under app_url, or set STACK_APP_URL to what browsers use. If a proxy replaces the "
                "Host header, let it pass on the original one.",
            )

    async def end(self, connection: HTTPConnection) -> None:
        """Sign the browser out: end the session at the auth server, and remove the cookies even if this fails.

        Raises:
            AuthError: 403 `cross_site_request`.
            ConfigurationError: `app_url` is missing.
        """
        self.site.check(connection.scope)
        refresh_token = self._refresh_token(connection)
        self.forget(connection)
        await self._revoke_session(cookie(connection.scope, self.policy.name(ACCESS)) or "")
        try:
            if refresh_token:
                await self.tokens.end(refresh_token, delivery="cookie")
        except AuthServerError as error:
            self._client.events.emit(SESSION_END_FAILED, code=get_error_code(error), detail=str(error))

    def forget(self, connection: HTTPConnection) -> None:
        """Remove the cookies from the browser. The session continues at the auth server."""
        policy, queue = self.policy, get_cookies(connection.scope)
        for purpose in (ACCESS, REFRESH):
            queue.set(policy.name(purpose), policy.remove(purpose))

    async def refresh(self, connection: HTTPConnection) -> None:
        """Refresh the access cookie now, so that it reflects changes to the user.

        Raises:
            AuthError: 401 `authentication_required` if there is no session or it has ended; 403 `cross_site_request`.
            AuthServerError: The refresh failed.
        """
        self.site.check(connection.scope)
        await self._replace(connection, self._refresh_token(connection), None)

    # --- for the dependencies ---

    async def authenticate(self, connection: HTTPConnection, credential: Credential) -> tuple[Credential, User] | None:
        """Return the user of a cookie session, or None if the session has ended.

        The refresh token decides whether there is a session. If the access token is rejected or about to expire, the
        library refreshes it and verifies only the new one. While the auth server is down, the old token stays in use
        until it expires.

        Raises:
            VerificationUnavailable: The old token has expired, and either the auth server is down or this worker does
                not have the key of the new token yet.
            ClockSkew: The times of the new token are not valid. The cookies stay.
            AuthServerMisconfigured: The auth server rejects this app.
            AuthError: 401: The verifier rejects the new token for another reason.
        """
        get_cookies(connection.scope).private = True
        if user := await self._verify(credential.token, REFRESH_BEFORE):
            return credential, user
        try:
            token, user = await self.tokens.verify(credential.refresh_token or "")
        except (AuthError, AuthServerError) as failure:
            error = self._judge(failure)
            if error is None:
                self.forget(connection)
                return None
            if isinstance(error, VerificationUnavailable) and (user := await self._verify(credential.token)):
                return credential, user
            raise error from None
        self._set_access(connection, token)
        return replace(credential, token=token), user

    async def replace(self, connection: HTTPConnection, credential: Credential) -> None:
        """Refresh the access cookie after the auth server rejected a token that this worker accepted.

        Raises:
            AuthError: 401 `authentication_required`: the session has ended.
            AuthServerError: The refresh failed.
        """
        await self._replace(connection, credential.refresh_token, credential.token)

    async def aclose(self) -> None:
        """Cancel the refreshes that are running in this event loop."""
        await self.tokens.aclose()

    async def _verify(self, token: str, min_left: float | None = None) -> User | None:
        try:
            user = await self._verifier.verify(token, min_left=min_left)
        except (AuthError, TokenEndsSoon):
            return None
        return user if min_left is None or user.claims["exp"] - self._clock() > min_left else None

    async def _replace(self, connection: HTTPConnection, refresh_token: str | None, rejected: str | None) -> None:
        if not refresh_token:
            raise AuthError("authentication_required")
        try:
            self._set_access(connection, await self.tokens.replace(refresh_token, rejected))
        except SessionEnded:
            self.forget(connection)
            raise AuthError("authentication_required") from None

    def _judge(self, failure: AuthError | AuthServerError) -> StackAuthError | None:
        """Return and log the error for a session whose refresh failed, or return None if the session has ended."""
        error, now = judge_refresh(failure), time.monotonic()
        if error is None and isinstance(failure, AuthError):
            self._client.events.emit(SESSION_ENDED, reason=failure.code)
        if isinstance(error, ClockSkew) and now - self._skew_logged_at >= _SKEW_LOG_INTERVAL:
            self._skew_logged_at = now
            there = self._client.server_time
            self._client.events.emit(CLOCK_SKEW, seconds=None if there is None else round(self._clock() - there))
        return error

    def _refresh_token(self, connection: HTTPConnection) -> str | None:
        value = cookie(connection.scope, self.policy.name(REFRESH))
        return value if value and value.isascii() else None

    def _set_access(self, connection: HTTPConnection, token: str) -> None:
        header = self.policy.set(ACCESS, token, self._settings.session_max_age)
        get_cookies(connection.scope).set(self.policy.name(ACCESS), header)

    async def _revoke_session(self, token: str) -> None:
        """Revoke the session of a token, if the token is genuine."""
        try:
            session_id = (await self._verifier.identify(token)).session_id
        except (AuthError, AuthServerError):  # also if neither the keys nor the fallback are available
            return
        await self._verifier.revocations.revoke_sessions([session_id] if session_id else [])


def _other_origin(connection: HTTPConnection, app_url: str) -> str | None:
    """Return the origin under which a browser reaches the app, or None if it is `app_url` or unknown."""
    origin = connection.headers.get("origin")
    if origin == app_url:
        return None
    if origin and connection.headers.get("sec-fetch-site") == "same-origin":
        return origin
    try:
        seen = to_origin(f"{app_url.partition(':')[0]}://{connection.headers.get('host', '')}")
    except ValueError:
        return None
    return None if seen == app_url else seen
