"""Cookie sessions: an access and a refresh token in HttpOnly cookies, renewed without anybody noticing.

Cookies are queued on the connection, and a small ASGI middleware writes them on whatever response leaves. It never
answers by itself: its answers would miss what other middleware adds, CORS above all.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from starlette.requests import HTTPConnection

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.client.tokens import REFRESH_BEFORE, IssuedToken
from fastapi_stackauth.errors import (
    AccessTokenRefused,
    AuthError,
    AuthServerError,
    AuthServerMisconfigured,
    AuthServerUnavailable,
    ClockSkew,
    SessionGone,
    VerificationUnavailable,
)
from fastapi_stackauth.models import AccessToken, TokenPair, User
from fastapi_stackauth.runtime.cache import Cache, Entry
from fastapi_stackauth.runtime.events import (
    CLOCK_SKEW,
    COOKIES_ON_OTHER_HOST,
    SESSION_END_FAILED,
    SESSION_ENDED,
    SESSION_RENEWAL_FAILED,
    SESSION_RENEWED,
    Events,
    code_of,
)
from fastapi_stackauth.sessions.context import cookies_of
from fastapi_stackauth.sessions.cookies import CookiePolicy
from fastapi_stackauth.sessions.credentials import Credential, Site, cookie
from fastapi_stackauth.settings import Settings, origin_of
from fastapi_stackauth.verification.verifier import Verifier

ACCESS, REFRESH = "access", "refresh"
_LONGEST_HOST = 200  # characters of a header that a log line shows
_REMEMBERED = 10_000
_ENDED = ("session_revoked", "user_gone")
_OF_THE_KEY = ("token_key_unknown", "token_signature_invalid")
_MISTIMED = ("token_expired", "token_not_yet_valid")
_SKEW_RETRY_AFTER = 30.0
_KEYS_RETRY_AFTER = 5.0
_SKEW_TOLD_EVERY = 30.0  # seconds between two lines in the log


class _Renewed(NamedTuple):
    """A refreshed token, and how many key sets the verifier had fetched by then."""

    received: IssuedToken
    key_generation: int


class Sessions:
    """The cookie sessions of one `StackAuth`.

    Args:
        settings: `app_url` and what cookies are to be like.
        client: refreshes and ends sessions.
        verifier: tells whose an access token is.
        clock: unix time in seconds.

    Raises:
        ConfigurationError: at first use, where `app_url` is missing.
    """

    def __init__(
        self,
        settings: Settings,
        client: StackAuthClient,
        verifier: Verifier,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._client = client
        self._verifier = verifier
        self._clock = clock
        self._renewed: Cache[bytes, _Renewed] = Cache(clock, size=_REMEMBERED)
        self._skew_told_at = -math.inf

    @property
    def policy(self) -> CookiePolicy:
        """How cookies are named and sent."""
        return CookiePolicy.of(self._settings)

    @property
    def site(self) -> Site:
        """Whose requests may use the cookies."""
        return Site(self._settings.require_app_url("cookies"), self._settings.trusted_origins)

    # --- for routers and for an app's own form handlers ---

    def start(self, connection: HTTPConnection, tokens: TokenPair) -> None:
        """Sign the browser in: both tokens go into cookies of the response to this request.

        Raises:
            AuthError: 403 `cross_site_request`: another site must not sign this browser in (login CSRF).
            RequestError, UnexpectedAnswer: where a token does not fit into a cookie, or is none.
            ConfigurationError: where `app_url` is missing.
        """
        self.site.check(connection.scope)
        self.write(connection, tokens)

    def write(self, connection: HTTPConnection, tokens: TokenPair) -> None:
        """Do what `start` does on a route that has rejected requests of other sites already."""
        self.warn_of_other_host(connection)
        policy, max_age, queue = self.policy, self._settings.session_max_age, cookies_of(connection.scope)
        access = policy.set(ACCESS, tokens.access_token, max_age)
        refresh = policy.set(REFRESH, tokens.refresh_token, max_age)
        queue.set(policy.name(ACCESS), access)
        queue.set(policy.name(REFRESH), refresh)

    def warn_of_other_host(self, connection: HTTPConnection) -> None:
        """Warn once if cookies are set under a host that is not that of `app_url`: they never come back there."""
        app_url = self.site.app_url
        seen = _other_origin(connection, app_url)
        if seen is not None and self._client.events.is_first("cookies_on_other_host"):
            self._client.events.emit(
                COOKIES_ON_OTHER_HOST,
                seen=seen[:_LONGEST_HOST],
                app_url=app_url,
                advice="Open the app under app_url, or set STACK_APP_URL to what browsers use. If a proxy replaces the "
                "Host header, let it pass on the original one.",
            )

    async def end(self, connection: HTTPConnection) -> None:
        """Sign the browser out: the session ends at the auth server, and the cookies go even where that fails.

        Raises:
            AuthError: 403 `cross_site_request`.
            ConfigurationError: where `app_url` is missing.
        """
        self.site.check(connection.scope)
        refresh_token = cookie(connection.scope, self.policy.name(REFRESH))
        self.forget(connection)
        await self._refuse_genuine(cookie(connection.scope, self.policy.name(ACCESS)) or "")
        if not refresh_token or not refresh_token.isascii():
            return
        self._renewed.pop(_digest(refresh_token))  # its key may have been rotated away
        try:
            await self._sign_out(refresh_token)
            self._client.events.emit(SESSION_ENDED, reason="signed_out")
        except SessionGone:
            pass
        except AuthServerError as error:
            self._client.events.emit(SESSION_END_FAILED, code=code_of(error), detail=str(error))
        self._renewed.pop(_digest(refresh_token))

    def forget(self, connection: HTTPConnection) -> None:
        """Remove the cookies from the browser, and nothing more."""
        policy, queue = self.policy, cookies_of(connection.scope)
        for purpose in (ACCESS, REFRESH):
            queue.set(policy.name(purpose), policy.remove(purpose))

    async def renew(self, connection: HTTPConnection) -> None:
        """Renew the access cookie now, so that it tells what has changed about the user since it was made.

        Raises:
            AuthError: 401 `authentication_required`: there is no session, or it has ended; 403 `cross_site_request`.
            AuthServerError: where the auth server cannot be asked.
        """
        self.site.check(connection.scope)
        refresh_token = cookie(connection.scope, self.policy.name(REFRESH))
        if not refresh_token or not refresh_token.isascii():
            raise AuthError("authentication_required")
        self._renewed.pop(_digest(refresh_token))
        try:
            self._write_access(connection, await self._access_token(refresh_token))
        except SessionGone:
            self.forget(connection)
            raise AuthError("authentication_required") from None

    # --- for the dependencies ---

    async def authenticate(self, connection: HTTPConnection, credential: Credential) -> tuple[Credential, User] | None:
        """The user of a cookie session, its access token renewed where that is due; None where the session has ended.

        An access token that is near its end, or not accepted, is renewed by the refresh token, which is what the
        session rests on. While the auth server is down the old token serves until it expires.

        Raises:
            VerificationUnavailable: the auth server is down, or the key of the new token is not known here yet, and the
                old token has expired.
            ClockSkew: the new token is refused for its time; the cookies stay.
            AuthServerMisconfigured: it refuses this app.
            AuthError: 401, it gives a token that is not accepted.
        """
        cookies_of(connection.scope).private = True
        user = await self._still_good(credential.token)
        if user is not None and self._seconds_left(user) > REFRESH_BEFORE:
            return credential, user
        try:
            renewed, renewed_user = await self._renewal(credential.refresh_token or "")
        except SessionGone:
            self.forget(connection)
            return None
        except AuthServerMisconfigured:
            raise
        except AuthServerError as error:
            if user is not None:
                return credential, user
            retry_after = error.retry_after if isinstance(error, AuthServerUnavailable) else 5.0
            raise VerificationUnavailable(retry_after=retry_after) from None
        except AuthError as refusal:
            return self._refused(connection, credential, user, refusal)
        self._write_access(connection, renewed)
        return replace(credential, token=renewed), renewed_user

    async def replace(self, connection: HTTPConnection, credential: Credential) -> None:
        """Renew the access cookie whose token the auth server refuses, though it was accepted here.

        Raises:
            AuthError: 401 `authentication_required`: the session has ended.
            AuthServerError: where the auth server cannot be asked.
        """
        try:
            token = await self._another_token(credential.refresh_token or "", credential.token)
        except SessionGone:
            self.forget(connection)
            raise AuthError("authentication_required") from None
        self._write_access(connection, token)

    async def aclose(self) -> None:
        """Cancel the refreshes under way in the running loop."""
        await self._renewed.aclose()

    async def _renewal(self, refresh_token: str) -> tuple[str, User]:
        """An access token of this session with time left, and whose it is.

        One that this worker has from before may be signed by a key that was rotated away since then: once more then.
        Where no keys were fetched since then, another would fare no better.
        """
        token = await self._access_token(refresh_token)
        try:
            return token, await self._verifier.verify(token)
        except AuthError as refusal:
            known = self._renewed.get(_digest(refresh_token))
            rotated = known is None or known.value.key_generation < self._verifier.keys.generation
            if refusal.code not in _OF_THE_KEY or not rotated:
                raise
        token = await self._another_token(refresh_token, token)
        return token, await self._verifier.verify(token)

    async def _another_token(self, refresh_token: str, refused: str) -> str:
        """An access token of this session in place of one that is refused: one refresh for all who hold that."""
        digest = _digest(refresh_token)
        if (known := self._renewed.get(digest)) is not None and known.value.received.token == refused:
            self._renewed.pop(digest)
        return await self._access_token(refresh_token)

    def _refused(
        self, connection: HTTPConnection, credential: Credential, user: User | None, refusal: AuthError
    ) -> tuple[Credential, User] | None:
        """What a session comes to whose new token is refused; `user` is whom the old one still names."""
        if (passing := self._passing(refusal)) is not None:
            if user is not None:
                return credential, user
            raise passing from None
        if refusal.code in _ENDED:
            self._client.events.emit(SESSION_ENDED, reason=refusal.code)
            self.forget(connection)
            return None
        raise refusal

    def _passing(self, refusal: AuthError) -> VerificationUnavailable | None:
        """What a refusal of a fresh token means that says nothing against its session; None where it does."""
        if refusal.code in _MISTIMED:
            self._tell_skew()
            return ClockSkew(retry_after=_SKEW_RETRY_AFTER)
        if refusal.code == "token_key_unknown":  # keys were asked for a moment ago, and may not be again yet
            return VerificationUnavailable(retry_after=_KEYS_RETRY_AFTER)
        return None

    def _tell_skew(self) -> None:
        """Say in the log now and then that the clocks disagree, and how far this one is ahead."""
        now = time.monotonic()
        if now - self._skew_told_at < _SKEW_TOLD_EVERY:
            return
        self._skew_told_at = now
        there = self._client.server_time
        self._client.events.emit(CLOCK_SKEW, seconds=None if there is None else round(self._clock() - there))

    def _write_access(self, connection: HTTPConnection, token: str) -> None:
        policy = self.policy
        header = policy.set(ACCESS, token, self._settings.session_max_age)
        cookies_of(connection.scope).set(policy.name(ACCESS), header)

    async def _still_good(self, token: str) -> User | None:
        try:
            return await self._verifier.verify(token)
        except AuthError:
            return None

    async def _refuse_genuine(self, token: str) -> None:
        """Refuse from now on all tokens of the session of this one, if it is a genuine one."""
        try:
            user = await self._verifier.identify(token)
        except (AuthError, AuthServerError):  # or neither keys nor fallback are in reach: whose it is cannot be said
            return
        await self._refuse(user.session_id)

    async def _refuse(self, session_id: str | None) -> None:
        await self._verifier.revocations.revoke_sessions([session_id] if session_id else [])

    def _seconds_left(self, user: User) -> float:
        return user.expires_at.timestamp() - self._clock() if user.expires_at else 0.0

    async def _sign_out(self, refresh_token: str) -> None:
        access_token = await self._access_token(refresh_token)
        await self._refuse(AccessToken(access_token=access_token).session_id)
        try:
            await self._client.as_user(access_token).sessions.sign_out()
        except AccessTokenRefused:  # the signing keys were rotated in between
            another = await self._another_token(refresh_token, access_token)
            await self._client.as_user(another).sessions.sign_out()

    async def _access_token(self, refresh_token: str) -> str:
        """An access token of this session with time left: one refresh for all who ask, stragglers included."""
        digest = _digest(refresh_token)
        known = self._renewed.get(digest)
        if known is not None and known.value.received.is_fresh(self._clock()):
            return known.value.received.token
        return (await self._renewed.fetch(digest, lambda: self._refresh(refresh_token))).received.token

    async def _refresh(self, refresh_token: str) -> Entry[_Renewed]:
        with renewal(self._client.events, "cookie"):
            token = await self._client.refresh(refresh_token)
        renewed = _Renewed(IssuedToken.from_token(token, self._clock()), self._verifier.keys.generation)
        return Entry(renewed, math.inf)  # `IssuedToken.is_fresh` decides: a clock that was set back says nothing


@contextmanager
def renewal(events: Events, delivery: str) -> Iterator[None]:
    """Around the call that gets a new access token for a session: it tells how that went."""
    try:
        yield
    except SessionGone:
        events.emit(SESSION_ENDED, reason="gone")
        raise
    except AuthServerError as error:
        events.emit(SESSION_RENEWAL_FAILED, delivery=delivery, code=code_of(error))
        raise
    events.emit(SESSION_RENEWED, delivery=delivery)


def _other_origin(connection: HTTPConnection, app_url: str) -> str | None:
    """Return under which origin a browser reaches the app, if that is not `app_url`; None if it is, or is unknown."""
    origin = connection.headers.get("origin")
    if origin == app_url:
        return None
    if origin and connection.headers.get("sec-fetch-site") == "same-origin":
        return origin
    try:
        seen = origin_of(f"{app_url.partition(':')[0]}://{connection.headers.get('host', '')}")
    except ValueError:
        return None
    return None if seen == app_url else seen


def _digest(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode("ascii")).digest()
