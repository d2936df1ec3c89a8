"""Step 1, pure: find the `Credential` in an ASGI scope, if there is one. Nothing is verified here.

Explicit credentials come before ambient ones: headers first, then cookies. Only the first source that is present
counts. If it is malformed, the request is rejected; the next source is not tried.
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
"""The maximum size of a header or cookie with a credential, in bytes."""

Scope = MutableMapping[str, Any]
"""An ASGI connection scope."""


SOURCE_USE = "`StackAuth(sources=[{name}(...)])`, and `user: CurrentUser` in the endpoint"


@dataclass(slots=True)  # one is created for each request, and a frozen dataclass takes three times as long to create
class Credential(Guarded):
    """An unverified access token. The repr hides it.

    Attributes:
        token: The raw token.
        source: The place in the request, such as ``authorization`` or ``cookie:stack-access``.
        ambient: Whether browsers attach it automatically, like a cookie, so that other sites can cause them to send it.
        refresh_token: The session's refresh token, if the library may refresh the access token of this source.
    """

    _use: ClassVar[str] = "`user: CurrentUser` for the caller, or `token: AccessToken` for their verified token"

    token: str = field(repr=False)
    source: str
    ambient: bool = False
    refresh_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class InProcessCaller:
    """The caller of an in-process request, such as an MCP tool's request to a route.

    The sender has already read the credential. Headers, cookies and query of the request are ignored.

    Attributes:
        credential: The access token or API key. None if the caller sent none.
    """

    credential: Credential | None = field(default=None, repr=False)

    def read_bearer(self) -> str:
        """Return the access token or API key, or an empty string if there is none."""
        return self.credential.token if self.credential else ""


class CredentialSource(Protocol):
    """Reads the access token from one place in a request. Write your own class for other places.

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
    """Check an app's own sources of credentials and return them.

    Raises:
        ConfigurationError: They are not a list, or one of them is a class or has no method `read`.
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
        AuthError: The first source that is present is malformed, or two headers contradict each other.
    """
    for source in sources:
        if (credential := source.read(scope)) is not None:
            return credential
    return None


# --- headers ---------------------------------------------------------------------------------------------


class HeaderCredentials(Guarded):
    """`Authorization: Bearer`, `x-stack-access-token`, `x-hexclave-access-token` and the legacy `x-stack-auth`.

    A bearer may be the token itself or the JavaScript SDK's bundle of tokens (contract/tokens.md §4). Other schemes,
    empty headers and the bundle of a signed-out SDK are ignored. The same token in two headers is one credential.
    """

    _use: ClassVar[str] = SOURCE_USE

    def read(self, scope: Scope) -> Credential | None:
        """Return the token from the connection's headers, if any."""
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
    """Decode both alphabets, with or without padding: `btoa` in browsers adds it, other SDKs may not."""
    standard = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise AuthError("credentials_malformed", reason="the bundle is not base64") from None


def _bundle_token(raw: bytes) -> str | None:
    """Return the access token of an SDK bundle, or None if no user is signed in."""
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
    """A token in the query string, for links that cannot send it otherwise. It leaks into histories and logs.

    The library removes the value from uvicorn's access log and from the telemetry span of the request.
    """

    _use: ClassVar[str] = SOURCE_USE

    def __init__(self, parameter: str = "access_token") -> None:
        self.parameter = parameter

    def read(self, scope: Scope) -> Credential | None:
        """Return the token of the query parameter, if any."""
        query = scope.get("query_string", b"")
        if self.parameter.encode() not in query:
            return None
        # The parameter's name must not be percent-encoded, because the log filter would miss such a parameter.
        pairs = (part.partition("=") for part in _text(query).split("&"))
        values = {unquote_plus(value) for name, _, value in pairs if name == self.parameter and value}
        if len(values) > 1:
            raise AuthError("credentials_conflict", reason="the query names two tokens")
        token = next(iter(values), "")
        if not token.isascii():
            raise AuthError("credentials_malformed", reason="not ASCII")
        return Credential(token, f"query:{self.parameter}") if token else None
