"""Cookies, pure: the cookies that the app sets, and the credentials that it reads from cookies.

Names and attributes depend on the app's public origin, never on the request (decision 11).

The names have the prefix `__Host-`, so that no other host of the domain can set such a cookie (RFC 6265bis §4.1.3.2).
With a `cookie_domain`, the prefix is `__Secure-`. Only with `insecure_cookies=True` on a loopback http origin is there
no prefix.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self
from urllib.parse import unquote

from fastapi_stackauth.errors import AuthError, ConfigurationError, RequestError, UnexpectedResponse
from fastapi_stackauth.sessions.context import get_context
from fastapi_stackauth.sessions.credentials import MAX_SIZE, SOURCE_USE, Credential, Scope, read_json
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.startup.guards import Guarded

MAX_COOKIE = 4096
"""The size of name, value and attributes that every browser accepts, in bytes (RFC 6265 §6.1)."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110 §9.2.1)."""
_LONGEST_ORIGIN = 200  # the maximum number of characters of a header in a log line
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")  # RFC 6265 §4.1.1: no character that ends a value


@dataclass(frozen=True)
class CookiePolicy:
    """The names and attributes of this app's cookies.

    Attributes:
        prefix: The beginning of all names.
        attributes: The attributes after the value, except `Max-Age`.
    """

    prefix: str
    attributes: str

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the policy for these settings.

        Raises:
            ConfigurationError: `app_url` is missing, or is http but not on loopback.
        """
        origin = settings.require_app_url("cookies")
        if settings.insecure_cookies:
            return cls(f"{settings.cookie_name}-", "; Path=/; HttpOnly; SameSite=Lax")
        if not settings.cookies_possible:
            raise ConfigurationError(
                f"app_url is {origin}, and browsers keep no Secure cookies over plain http. Cookie sessions need https "
                "or localhost. Set STACK_APP_URL to the https origin of this app, or mount "
                'router(delivery="body").'
            )
        prefix = "__Secure-" if settings.cookie_domain else "__Host-"
        domain = f"; Domain={settings.cookie_domain}" if settings.cookie_domain else ""
        return cls(f"{prefix}{settings.cookie_name}-", f"; Path=/{domain}; HttpOnly; SameSite=Lax; Secure")

    def name(self, purpose: str) -> str:
        """Return the name of the cookie for a purpose, such as ``access``."""
        return self.prefix + purpose

    def set(self, purpose: str, value: str, max_age: int | None) -> bytes:
        """Return a `Set-Cookie` value. `max_age` is in seconds; None means until the browser is closed.

        Raises:
            UnexpectedResponse: The auth server returned a value that a cookie cannot contain.
            RequestError: 500 `session_too_large`: browsers would reject the cookie.
        """
        if not _VALUE.fullmatch(value):
            raise UnexpectedResponse
        lifetime = "" if max_age is None else f"; Max-Age={max_age}"
        header = f"{self.prefix}{purpose}={value}{lifetime}{self.attributes}".encode("ascii")
        if len(header) > MAX_COOKIE:
            raise RequestError("session_too_large", reason=purpose)
        return header

    def remove(self, purpose: str) -> bytes:
        """Return a `Set-Cookie` value that removes the cookie."""
        return self.set(purpose, "", 0)


def cookie(scope: Scope, name: str) -> str | None:
    """Return the value of the first cookie with this name in an ASGI scope (RFC 6265 §5.4)."""
    wanted = name.encode("ascii")
    for key, value in _read_cookies(scope):
        if key == wanted:
            return value.strip(b' "').decode("latin-1")
    return None


def cookie_names(scope: Scope, prefix: str) -> list[str]:
    """Return the names of the cookies with this prefix, oldest first, as browsers send them (RFC 6265 §5.4)."""
    wanted = prefix.encode("ascii")
    return [key.decode("latin-1") for key, _ in _read_cookies(scope) if key.startswith(wanted)]


def _read_cookies(scope: Scope) -> Iterator[tuple[bytes, bytes]]:
    for name, value in scope["headers"]:
        if name == b"cookie":
            for part in value.split(b";"):
                key, _, content = part.partition(b"=")
                yield key.strip(), content


# --- credentials in cookies, which browsers attach by themselves ------------------------------------------


@dataclass(frozen=True)
class OriginPolicy:
    """The app's own public origin, and the other origins that may use its cookies (design decision 11)."""

    app_url: str
    trusted_origins: tuple[str, ...] = ()

    def check(self, scope: Scope) -> None:
        """Reject a request that another site caused the browser to send.

        Safe methods pass. For WebSockets and over plain http, browsers send no Sec-Fetch-Site, so the Origin decides.
        The connection's context stores that the request passed, so that it is checked only once.

        Raises:
            AuthError: `cross_site_request`. The details show whether the Origin was missing; the log contains the
                Origin.
        """
        if scope["type"] != "websocket" and scope["method"] in SAFE_METHODS:
            return
        context = get_context(scope)
        if context.checked_origin_policy != self:
            self._check_headers(scope)
            context.checked_origin_policy = self

    def _check_headers(self, scope: Scope) -> None:
        origin, fetch_site = _header(scope, b"origin"), _header(scope, b"sec-fetch-site")
        named = origin is not None and origin != "null"  # sandboxed pages of any site share the origin "null"
        if named and origin in self.trusted_origins:
            return
        if fetch_site in ("same-origin", "none"):
            return
        if fetch_site is None and named and origin == self.app_url:
            return
        seen = "no Origin" if origin is None else f"Origin {origin[:_LONGEST_ORIGIN]}"
        allowed = ", ".join((self.app_url, *self.trusted_origins))
        reason = f"{seen}, Sec-Fetch-Site {(fetch_site or 'absent')[:_LONGEST_ORIGIN]}; allowed: {allowed}"
        details = {"origin": "missing" if origin is None else "not_trusted"}
        raise AuthError("cross_site_request", reason=reason, details=details)


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


class SessionCookies(Guarded):
    """The app's own cookie session, which consists of an access and a refresh cookie. Both are required.

    Requests that change something may only use it if they come from the app's own site.
    """

    _use: ClassVar[str] = SOURCE_USE

    def __init__(self, site: OriginPolicy, access_name: str, refresh_name: str) -> None:
        self._site = site
        self._access_name = access_name
        self._refresh_name = refresh_name

    def read(self, scope: Scope) -> Credential | None:
        """Return the session of this connection's cookies, if any."""
        access, refresh = cookie(scope, self._access_name), cookie(scope, self._refresh_name)
        if not access or not refresh:
            return None
        self._site.check(scope)
        if not (access.isascii() and refresh.isascii()):
            raise AuthError("credentials_malformed", reason="a session cookie that is not ASCII")
        return Credential(access, f"cookie:{self._access_name}", ambient=True, refresh_token=refresh)


class SdkCookies(Guarded):
    """The JavaScript SDK's cookies: one with a JSON pair of both tokens, and one with the project's refresh token.

    As in the SDK, the pair is only used if its refresh token is that of the project's newest refresh cookie. Otherwise
    it belongs to a session that the SDK has ended, or to another project on this host.

    The library reads these cookies only with `sdk_cookies=True`, and only for requests from the app's own site.

    Args:
        site: The app's own origin and the origins that it trusts.
        project_id: The project id, which is part of the names of refresh cookies. Without it, no pair is used.
    """

    _use: ClassVar[str] = SOURCE_USE

    NAMES = ("hexclave-access", "stack-access")

    def __init__(self, site: OriginPolicy, project_id: str | None) -> None:
        self._site = site
        self._project_id = project_id

    def read(self, scope: Scope) -> Credential | None:
        """Return the access token from the SDK's cookies, or None if the browser has no session of this project.

        Raises:
            AuthError: `credentials_malformed`, `credentials_too_large` or `cross_site_request`.
        """
        for name in self.NAMES:
            value = cookie(scope, name)
            if not value or (pair := _read_pair(value)) is None:
                continue
            refresh_token, access_token = pair
            if self._project_id and refresh_token == _newest_refresh_token(scope, self._project_id):
                self._site.check(scope)
                return Credential(access_token, f"cookie:{name}", ambient=True)
        return None


def _read_pair(value: str) -> tuple[str, str] | None:
    """Return refresh and access token from the SDK's cookie, or None if it contains no access token."""
    if len(value) > MAX_SIZE:
        raise AuthError("credentials_too_large", reason="the SDK's cookie")
    pair = read_json(unquote(value).encode("utf-8", "replace"))
    if not isinstance(pair, list) or len(pair) != 2:
        raise AuthError("credentials_malformed", reason="the SDK's cookie is not a pair")
    refresh_token, access_token = pair
    if not access_token:
        return None
    if not isinstance(access_token, str) or not access_token.isascii():
        raise AuthError("credentials_malformed", reason="the SDK's cookie holds no token")
    return (refresh_token, access_token) if isinstance(refresh_token, str) else None


def _newest_refresh_token(scope: Scope, project_id: str) -> str | None:
    """Return the refresh token that the SDK would use, or None if the browser has none for this project.

    A `hexclave-` cookie comes first, however old it is, then a plain cookie of older SDKs, then the newest `stack-`
    cookie with a date (contract/drift.md §3).
    """
    found = _newest_dated(scope, f"hexclave-refresh-{project_id}--")
    if found is None:
        found = cookie(scope, f"stack-refresh-{project_id}") or cookie(scope, "stack-refresh")
        found = unquote(found) if found else _newest_dated(scope, f"stack-refresh-{project_id}--")
    return found


def _newest_dated(scope: Scope, prefix: str) -> str | None:
    names = (prefix.encode(), b"__Host-" + prefix.encode())
    newest, found = -math.inf, None
    for name, value in _read_cookies(scope):
        dated = _read_dated(value) if name.startswith(names) else None
        if dated is not None and (found is None or dated[1] > newest):
            found, newest = dated
    return found


def _read_dated(value: bytes) -> tuple[str, float] | None:
    """Return refresh token and date from a refresh cookie, or None if it is malformed: the SDK skips it as well."""
    try:
        fields = json.loads(unquote(value.strip(b' "').decode("latin-1")))
    except (ValueError, RecursionError):
        return None
    token = fields.get("refresh_token") if isinstance(fields, dict) else None
    if not token or not isinstance(token, str):
        return None
    date = fields.get("updated_at_millis")
    return token, date if isinstance(date, int | float) else -math.inf
