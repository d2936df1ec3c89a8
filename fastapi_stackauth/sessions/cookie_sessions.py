"""Cookie sessions: an access and a refresh token in HttpOnly cookies; the library refreshes the access token itself."""

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
_LONGEST_HOST = 200  # characters of a header that a log line shows
_SKEW_LOG_INTERVAL = 30.0  # seconds


class Sessions:
    """The cookie sessions of one `StackAuth`.

    Args:
        settings: `app_url`, and names and attributes of the cookies.
        client: refreshes and ends sessions.
        verifier: verifies access tokens.
        clock: unix time in seconds.

    Attributes:
        tokens: refreshes and ends sessions by their refresh tokens.

    Raises:
        ConfigurationError: at first use, if `app_url` is missing.
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
        """Names and attributes of the cookies."""
        return CookiePolicy.of(self._settings)

    @cached_property
    def site(self) -> OriginPolicy:
        """The origins whose requests may use the cookies."""
        return OriginPolicy(self._settings.require_app_url("cookies"), self._settings.trusted_origins)

    # --- for routers and for an app's own form handlers ---

    def start(self, connection: HTTPConnection, tokens: TokenPair) -> None:
        """Sign the browser in: the response to this request sets both tokens as cookies.

        Raises:
            AuthError: 403 `cross_site_request`: another site must not sign this browser in (login CSRF).
            RequestError, UnexpectedResponse: a token does not fit into a cookie, or is not a token.
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
        """Log once that cookies are set under a host that is not that of `app_url`: browsers never send them back."""
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
        """Sign the browser out: end the session at the auth server, and remove the cookies even if that fails.

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
        """Remove the cookies from the browser, and do no more."""
        policy, queue = self.policy, get_cookies(connection.scope)
        for purpose in (ACCESS, REFRESH):
            queue.set(policy.name(purpose), policy.remove(purpose))

    async def refresh(self, connection: HTTPConnection) -> None:
        """Refresh the access cookie now, so that it shows what has changed about the user.

        Raises:
            AuthError: 401 `authentication_required`: there is no session, or it has ended; 403 `cross_site_request`.
            AuthServerError: the refresh failed.
        """
        self.site.check(connection.scope)
        await self._replace(connection, self._refresh_token(connection), None)

    # --- for the dependencies ---

    async def authenticate(self, connection: HTTPConnection, credential: Credential) -> tuple[Credential, User] | None:
        """Return the user of a cookie session, or None if the session has ended.

        The session rests on its refresh token. An access token that is near its end or rejected is refreshed, and only
        the new one is verified. While the auth server is down, the old token serves until it expires.

        Raises:
            VerificationUnavailable: the old token has expired, and the auth server is down or the key of the new token
                is not known here yet.
            ClockSkew: the new token is rejected for its time; the cookies stay.
            AuthServerMisconfigured: the auth server rejects this app.
            AuthError: 401, the new token is rejected for another reason.
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
            AuthServerError: the refresh failed.
        """
        await self._replace(connection, credential.refresh_token, credential.token)

    async def aclose(self) -> None:
        """Cancel the refreshes under way in the running loop."""
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
        """Return the error for a session that could not be refreshed, or None if it has ended. Log it."""
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
        """Reject from now on all tokens of the session of this one, if it is a genuine token."""
        try:
            session_id = (await self._verifier.identify(token)).session_id
        except (AuthError, AuthServerError):  # also if neither keys nor fallback are in reach
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
