"""Step 1, pure: an ASGI scope in, a `Credential` or None out. Nothing is verified here.

Explicit beats ambient: headers come first, cookies after them, and the first source that is present decides.
If it cannot be read, the request is rejected: it never falls through to the next source.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol
from urllib.parse import unquote_plus

from fastapi_stackauth.errors import AuthError, ConfigurationError
from fastapi_stackauth.startup.guards import Guarded

MAX_SIZE = 16 * 1024
"""Bytes that a header or cookie with a credential may have."""

Scope = MutableMapping[str, Any]
"""An ASGI connection scope."""


SOURCE_USE = "`StackAuth(sources=[{name}(...)])`, and `user: CurrentUser` in the endpoint"


@dataclass(slots=True)  # made for each request, and a frozen one takes three times as long to make
class Credential(Guarded):
    """An unverified access token. The repr does not show it.

    Attributes:
        token: the raw token.
        source: its place in the request, such as ``authorization`` or ``cookie:stack-access``.
        ambient: whether browsers attach it by themselves, as they do with cookies, so that other sites can send it.
        refresh_token: the session's refresh token, if the source is a session that can refresh its access token.
    """

    _use: ClassVar[str] = "`user: CurrentUser` for the caller, or `token: AccessToken` for their verified token"

    token: str = field(repr=False)
    source: str
    ambient: bool = False
    refresh_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class InProcessCaller:
    """The caller of a request that one part of the app sends to another, such as an MCP tool to a route.

    The sender has read the credential already. No header, cookie or query of the request counts.

    Attributes:
        credential: the access token or API key; None if the caller sent none.
    """

    credential: Credential | None = field(default=None, repr=False)

    def read_bearer(self) -> str:
        """Return the access token or API key; empty if there is none."""
        return self.credential.token if self.credential else ""


class CredentialSource(Protocol):
    """Reads the access token from one place of a request. Write your own for other places.

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
        """Return the credential of this connection, or None.

        Raises:
            AuthError: `credentials_malformed` or `credentials_too_large`.
        """
        ...


def check_sources(sources: object) -> tuple[CredentialSource, ...]:
    """Return an app's own sources of credentials.

    Raises:
        ConfigurationError: they are not a list, or one of them is a class or has no `read`.
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
    """Return the credential of the first source that has one.

    Raises:
        AuthError: the first source that is present cannot be read, or two headers disagree.
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

    _use: ClassVar[str] = SOURCE_USE

    def read(self, scope: Scope) -> Credential | None:
        """Return the token of this connection's headers, if any."""
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
    """Decode either alphabet, padded or not: browsers' `btoa` pads, other SDKs may not."""
    standard = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise AuthError("credentials_malformed", reason="the bundle is not base64") from None


def _bundle_token(raw: bytes) -> str | None:
    """Return the access token of an SDK bundle, or None if no user is signed in there."""
    bundle = read_json(raw)
    if not isinstance(bundle, dict):
        raise AuthError("credentials_malformed", reason="the bundle is not a JSON object")
    token = bundle.get("accessToken")
    if token is None or token == "":
        return None
    if not isinstance(token, str) or not token.isascii():
        raise AuthError("credentials_malformed", reason="the bundle's accessToken is not a token")
    return token


def read_json(raw: bytes) -> object:
    """Return the JSON value of a credential.

    Raises:
        AuthError: `credentials_malformed`.
    """
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise AuthError("credentials_malformed", reason="not JSON") from None


# --- query ----------------------------------------------------------------------------------------------


class QueryToken(Guarded):
    """A token in the query string, for links that cannot carry it otherwise: it leaks into histories and other logs.

    The library's log filter keeps the value out of uvicorn's access log, and telemetry out of the span of the request.
    """

    _use: ClassVar[str] = SOURCE_USE

    def __init__(self, parameter: str = "access_token") -> None:
        self.parameter = parameter

    def read(self, scope: Scope) -> Credential | None:
        """Return the token of the query parameter, if any."""
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
