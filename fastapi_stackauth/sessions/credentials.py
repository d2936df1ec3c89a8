"""Step 1, pure: an ASGI scope in, a `Credential` or None out. Nothing is verified here.

Explicit beats ambient: headers come first, cookies after them, and the first source that is present decides.
What is present but unreadable is refused, and never falls through to the next source.
"""

import base64
import binascii
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol
from urllib.parse import unquote, unquote_plus

from fastapi_stackauth.errors import AuthError, ConfigurationError
from fastapi_stackauth.startup.guards import Guarded

MAX_SIZE = 16 * 1024
"""Bytes that a header or cookie with a credential may have."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110 §9.2.1)."""

_LONGEST_ORIGIN = 200  # characters of a header that a log line shows

Scope = MutableMapping[str, Any]
"""An ASGI connection scope."""


_SOURCE_USE = "`StackAuth(sources=[{name}(...)])`, and `user: CurrentUser` in the endpoint"


@dataclass(slots=True)  # made for each request, and a frozen one takes three times as long to make
class Credential(Guarded):
    """An access token as it came, not verified. Its repr does not show it.

    Attributes:
        token: the raw token.
        source: where it came from, such as ``authorization`` or ``cookie:stack-access``.
        ambient: whether the browser attaches it by itself, as it does with cookies, so that other sites
            can make it travel.
        refresh_token: the session's refresh token, where the source is a session that can renew its access token.
    """

    _use: ClassVar[str] = "`user: CurrentUser` for the caller, or `token: AccessToken` for their verified token"

    token: str = field(repr=False)
    source: str
    ambient: bool = False
    refresh_token: str | None = field(default=None, repr=False)


class CredentialSource(Protocol):
    """A place where an access token may be found. Write your own for places of your own.

    Example:
        A browser cannot set headers on a WebSocket, but it can offer sub-protocols::

            class SubprotocolToken:
                def read(self, scope):
                    offered = scope.get("subprotocols", [])
                    if len(offered) == 2 and offered[0] == "access_token":
                        return Credential(offered[1], "subprotocol")
                    return None

            stack = StackAuth(sources=[HeaderCredentials(), SubprotocolToken()])
    """

    def read(self, scope: Scope) -> Credential | None:
        """The credential of this connection, or None where there is none.

        Raises:
            AuthError: `credentials_malformed` or `credentials_too_large`.
        """
        ...


def check_sources(sources: object) -> tuple[CredentialSource, ...]:
    """Return an app's own sources of credentials.

    Raises:
        ConfigurationError: they are no list, or one of them is a class or has no `read`.
    """
    if not isinstance(sources, Iterable) or isinstance(sources, str):
        raise ConfigurationError(
            f"sources must be a list; got {type(sources).__name__}. Write StackAuth(sources=[HeaderCredentials()])."
        )
    given = tuple(sources)
    for source in given:
        if isinstance(source, type) or not callable(getattr(source, "read", None)):
            name = f"the class {source.__name__}" if isinstance(source, type) else f"a {type(source).__name__}"
            raise ConfigurationError(
                f"sources must hold objects with a method read(scope); got {name}. "
                "Write StackAuth(sources=[HeaderCredentials()])."
            )
    return given


def read_credential(scope: Scope, sources: Iterable[CredentialSource]) -> Credential | None:
    """The credential of the first source that has one.

    Raises:
        AuthError: where the first source that is present cannot be read, or two headers disagree.
    """
    for source in sources:
        if (credential := source.read(scope)) is not None:
            return credential
    return None


# --- headers ---------------------------------------------------------------------------------------------


class HeaderCredentials(Guarded):
    """`Authorization: Bearer`, `x-stack-access-token`, `x-hexclave-access-token` and the legacy `x-stack-auth`.

    A bearer may be the token itself or the JavaScript SDK's bundle (contract/tokens.md §4). Other schemes, empty
    headers and the bundle of a signed-out SDK count as absent. The same token twice is one credential.
    """

    _use: ClassVar[str] = _SOURCE_USE

    def read(self, scope: Scope) -> Credential | None:
        """The token of this connection's headers, if any."""
        found: Credential | None = None
        for name, value in scope["headers"]:
            if name not in _PARSERS:
                continue
            source, parse = _PARSERS[name]
            if (token := parse(value)) is None:
                continue
            if found is None:
                found = Credential(token, source)
            elif found.token != token:
                raise AuthError("credentials_conflict", reason=f"{found.source} and {source} differ")
        return found


def _bearer(value: bytes) -> str | None:
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    token = _text(rest.strip())
    if not token:
        raise AuthError("credentials_malformed", reason="a bearer scheme without a token")
    if token.startswith(("stackauth_", "hexclave_")):
        return _bundle_token(_base64(token.partition("_")[2]))
    return token


def _plain(value: bytes) -> str | None:
    return _text(value.strip(b" ")) or None


def _json_bundle(value: bytes) -> str | None:
    text = _text(value.strip(b" "))
    return _bundle_token(text.encode()) if text else None


_PARSERS: Mapping[bytes, tuple[str, Callable[[bytes], str | None]]] = {
    b"authorization": ("authorization", _bearer),
    b"x-stack-access-token": ("x-stack-access-token", _plain),
    b"x-hexclave-access-token": ("x-hexclave-access-token", _plain),
    b"x-stack-auth": ("x-stack-auth", _json_bundle),
}


def _text(raw: bytes) -> str:
    if len(raw) > MAX_SIZE:
        raise AuthError("credentials_too_large", reason=f"{len(raw)} bytes")
    if not raw.isascii():
        raise AuthError("credentials_malformed", reason="not ASCII")
    return raw.decode("ascii")


def _base64(text: str) -> bytes:
    """Decode either alphabet, padded or not: browsers' `btoa` pads, other SDKs need not."""
    standard = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise AuthError("credentials_malformed", reason="the bundle is not base64") from None


def _bundle_token(raw: bytes) -> str | None:
    """The access token of an SDK bundle; None where the SDK says that nobody is signed in."""
    bundle = _json(raw)
    if not isinstance(bundle, dict):
        raise AuthError("credentials_malformed", reason="the bundle is not a JSON object")
    token = bundle.get("accessToken")
    if token is None or token == "":
        return None
    if not isinstance(token, str) or not token.isascii():
        raise AuthError("credentials_malformed", reason="the bundle's accessToken is not a token")
    return token


def _json(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise AuthError("credentials_malformed", reason="not JSON") from None


# --- cookies and query -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Site:
    """The app's own public origin, and the other origins whose pages may use its cookies (design decision 11)."""

    app_url: str
    trusted_origins: tuple[str, ...] = ()

    def check(self, scope: Scope) -> None:
        """Refuse what another site makes the browser send.

        Safe methods pass. Browsers send no Sec-Fetch-Site on WebSockets nor over plain http; the Origin decides there.

        Raises:
            AuthError: `cross_site_request`.
        """
        if scope["type"] != "websocket" and scope["method"] in SAFE_METHODS:
            return
        origin, fetch_site = _header(scope, b"origin"), _header(scope, b"sec-fetch-site")
        named = origin is not None and origin != "null"  # sandboxed pages of any site share the origin "null"
        if named and origin in self.trusted_origins:
            return
        if fetch_site in ("same-origin", "none"):
            return
        if fetch_site is None and named and origin == self.app_url:
            return
        raise self._error(origin, fetch_site)

    def _error(self, origin: str | None, fetch_site: str | None) -> AuthError:
        """Return the error, which says to the caller whether the Origin was missing, and to the log what it was."""
        seen = "no Origin" if origin is None else f"Origin {origin[:_LONGEST_ORIGIN]}"
        allowed = ", ".join((self.app_url, *self.trusted_origins))
        reason = f"{seen}, Sec-Fetch-Site {(fetch_site or 'absent')[:_LONGEST_ORIGIN]}; allowed: {allowed}"
        details = {"origin": "missing" if origin is None else "not_trusted"}
        return AuthError("cross_site_request", reason=reason, details=details)


class SdkCookies(Guarded):
    """The JavaScript SDK's cookies: a JSON pair of refresh and access token, and the refresh token of this project.

    The pair counts only if its refresh token is the one of the project's newest refresh cookie, as in the SDK itself.
    Otherwise the pair belongs to a session that the SDK has ended, or to another project on this host.

    Opt-in (`sdk_cookies=True`), and only for requests of the app's own site.

    Args:
        site: the app's own origin and the origins that it trusts.
        project_id: names the refresh cookies of this project. Without it, no pair counts.
    """

    _use: ClassVar[str] = _SOURCE_USE

    NAMES = ("hexclave-access", "stack-access")

    def __init__(self, site: Site, project_id: str | None) -> None:
        self._site = site
        self._project_id = project_id

    def read(self, scope: Scope) -> Credential | None:
        """Return the access token of the SDK's cookies, or None if the browser has no session of this project.

        Raises:
            AuthError: `credentials_malformed`, `credentials_too_large` or `cross_site_request`.
        """
        for name in self.NAMES:
            value = cookie(scope, name)
            if not value or (pair := _pair(value)) is None:
                continue
            refresh_token, access_token = pair
            if self._project_id and refresh_token == _newest_refresh_token(scope, self._project_id):
                self._site.check(scope)
                return Credential(access_token, f"cookie:{name}", ambient=True)
        return None


class SessionCookies(Guarded):
    """The app's own cookie session: an access and a refresh cookie. One without the other is no session.

    Only requests of the app's own site may use it where they change something.
    """

    _use: ClassVar[str] = _SOURCE_USE

    def __init__(self, site: Site, access_name: str, refresh_name: str) -> None:
        self._site = site
        self._access_name = access_name
        self._refresh_name = refresh_name

    def read(self, scope: Scope) -> Credential | None:
        """The session of this connection's cookies, if any."""
        access, refresh = cookie(scope, self._access_name), cookie(scope, self._refresh_name)
        if not access or not refresh:
            return None
        self._site.check(scope)
        if not (access.isascii() and refresh.isascii()):
            raise AuthError("credentials_malformed", reason="a session cookie that is not ASCII")
        return Credential(access, f"cookie:{self._access_name}", ambient=True, refresh_token=refresh)


def _pair(value: str) -> tuple[str, str] | None:
    """Return refresh and access token of the SDK's cookie, or None if it holds no access token."""
    if len(value) > MAX_SIZE:
        raise AuthError("credentials_too_large", reason="the SDK's cookie")
    pair = _json(unquote(value).encode("utf-8", "replace"))
    if not isinstance(pair, list) or len(pair) != 2:
        raise AuthError("credentials_malformed", reason="the SDK's cookie is not a pair")
    refresh_token, access_token = pair
    if not access_token:
        return None
    if not isinstance(access_token, str) or not access_token.isascii():
        raise AuthError("credentials_malformed", reason="the SDK's cookie holds no token")
    return (refresh_token, access_token) if isinstance(refresh_token, str) else None


def _newest_refresh_token(scope: Scope, project_id: str) -> str | None:
    """Return the refresh token that the SDK would use, or None if the browser holds none of this project.

    A `hexclave-` cookie beats all others, however old it is; then a plain cookie of older SDKs; then the newest
    `stack-` cookie with a date (contract/drift.md §3).
    """
    found = _newest_dated(scope, f"hexclave-refresh-{project_id}--")
    if found is None:
        found = cookie(scope, f"stack-refresh-{project_id}") or cookie(scope, "stack-refresh")
        found = unquote(found) if found else _newest_dated(scope, f"stack-refresh-{project_id}--")
    return found


def _newest_dated(scope: Scope, prefix: str) -> str | None:
    names = (prefix.encode(), b"__Host-" + prefix.encode())
    newest, found = -math.inf, None
    for name, value in _cookies(scope):
        dated = _dated(value) if name.startswith(names) else None
        if dated is not None and (found is None or dated[1] > newest):
            found, newest = dated
    return found


def _dated(value: bytes) -> tuple[str, float] | None:
    """Return refresh token and date of a refresh cookie, or None if it is unreadable: the SDK skips it as well."""
    try:
        fields = json.loads(unquote(value.strip(b' "').decode("latin-1")))
    except (ValueError, RecursionError):
        return None
    token = fields.get("refresh_token") if isinstance(fields, dict) else None
    if not token or not isinstance(token, str):
        return None
    date = fields.get("updated_at_millis")
    return token, date if isinstance(date, int | float) else -math.inf


class QueryToken(Guarded):
    """A token in the query string. Leaks into histories and logs of other systems: for links that nothing else can do.

    The library's log filter keeps the value out of uvicorn's access log.
    """

    _use: ClassVar[str] = _SOURCE_USE

    def __init__(self, parameter: str = "access_token") -> None:
        self.parameter = parameter

    def read(self, scope: Scope) -> Credential | None:
        """The token of the query parameter, if any."""
        query = scope.get("query_string", b"")
        if self.parameter.encode() not in query:
            return None
        # The name counts as it is written: an encoded one would pass by the log filter.
        pairs = (part.partition("=") for part in _text(query).split("&"))
        values = {unquote_plus(value) for name, _, value in pairs if name == self.parameter and value}
        if len(values) > 1:
            raise AuthError("credentials_conflict", reason="the query names two tokens")
        token = next(iter(values), "")
        if not token.isascii():
            raise AuthError("credentials_malformed", reason="not ASCII")
        return Credential(token, f"query:{self.parameter}") if token else None


def cookie(scope: Scope, name: str) -> str | None:
    """The value of the first cookie of this name (RFC 6265 §5.4); no other cookie is looked at."""
    wanted = name.encode("ascii")
    for key, value in _cookies(scope):
        if key == wanted:
            return value.strip(b' "').decode("latin-1")
    return None


def cookie_names(scope: Scope, prefix: str) -> list[str]:
    """The names of the cookies that begin like this, oldest first, as browsers send them (RFC 6265 §5.4)."""
    wanted = prefix.encode("ascii")
    return [key.decode("latin-1") for key, _ in _cookies(scope) if key.startswith(wanted)]


def _cookies(scope: Scope) -> Iterator[tuple[bytes, bytes]]:
    for name, value in scope["headers"]:
        if name == b"cookie":
            for part in value.split(b";"):
                key, _, content = part.partition(b"=")
                yield key.strip(), content


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)
