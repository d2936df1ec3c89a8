"""Step 1, pure: an ASGI scope in, a `Credential` or None out. Nothing is verified here.

Explicit beats ambient: headers come first, cookies after them, and the first source that is present decides.
What is present but unreadable is refused, and never falls through to the next source.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote, unquote_plus

from fastapi_stackauth.errors import AuthError

MAX_SIZE = 16 * 1024
"""Bytes that a header or cookie with a credential may have."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110 §9.2.1)."""

Scope = MutableMapping[str, Any]
"""An ASGI connection scope."""


@dataclass(slots=True)  # made for each request, and a frozen one takes three times as long to make
class Credential:
    """An access token as it came, not verified. Its repr does not show it.

    Attributes:
        token: the raw token.
        source: where it came from, such as ``authorization`` or ``cookie:stack-access``.
        ambient: whether the browser attaches it by itself, as it does with cookies, so that other sites
            can make it travel.
        refresh_token: the session's refresh token, where the source is a session that can renew its access token.
    """

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


class HeaderCredentials:
    """`Authorization: Bearer`, `x-stack-access-token`, `x-hexclave-access-token` and the legacy `x-stack-auth`.

    A bearer may be the token itself or the JavaScript SDK's bundle (contract/tokens.md §4). Other schemes, empty
    headers and the bundle of a signed-out SDK count as absent. The same token twice is one credential.
    """

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
        raise AuthError("cross_site_request", reason=f"origin {origin!r}, sec-fetch-site {fetch_site!r}")


class SdkCookies:
    """The JavaScript SDK's cookie, a JSON pair of refresh and access token; under its newer or its older name.

    Opt-in (`sdk_cookies=True`), and only for requests of the app's own site.
    """

    NAMES = ("hexclave-access", "stack-access")

    def __init__(self, site: Site) -> None:
        self._site = site

    def read(self, scope: Scope) -> Credential | None:
        """The access token of the SDK's cookie, if any."""
        for name in self.NAMES:
            value = cookie(scope, name)
            if value and (token := _pair_token(value)):
                self._site.check(scope)
                return Credential(token, f"cookie:{name}", ambient=True)
        return None


class SessionCookies:
    """The app's own cookie session: an access and a refresh cookie. One without the other is no session.

    Only requests of the app's own site may use it where they change something.
    """

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


def _pair_token(value: str) -> str | None:
    if len(value) > MAX_SIZE:
        raise AuthError("credentials_too_large", reason="the SDK's cookie")
    pair = _json(unquote(value).encode("utf-8", "replace"))
    if not isinstance(pair, list) or len(pair) != 2:
        raise AuthError("credentials_malformed", reason="the SDK's cookie is not a pair")
    token = pair[1]
    if not token:
        return None
    if not isinstance(token, str) or not token.isascii():
        raise AuthError("credentials_malformed", reason="the SDK's cookie holds no token")
    return token


class QueryToken:
    """A token in the query string. Leaks into histories and logs of other systems: for links that nothing else can do.

    The library's log filter keeps the value out of uvicorn's access log.
    """

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
