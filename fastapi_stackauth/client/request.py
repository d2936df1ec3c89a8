"""A request to the auth server, before it is sent. Ids are encoded, so that they cannot change the path."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, unquote

from fastapi_stackauth.errors import AuthServerError, KnownApiError
from fastapi_stackauth.models import ApiRequestBody

MAX_ATTEMPTS = 4
_PARAMETER = re.compile(r"\{\w+\}")
_ID = re.compile(r"/[^/]*[\d@%][^/]*")

Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
Rights = Literal["none", "any", "user", "server"]
"""Which rights the auth server checks for an operation.

``none``: the request is sent without ``x-stack-*`` headers. ``any``: client and server access have the same effect,
because the library limits the fields of body and response. ``user``: the server checks what the user may do, and does
so only for client access. ``server``: the operation needs the secret key.
"""


@dataclass(frozen=True)
class ApiRequest:
    """One request to the auth server.

    Attributes:
        template: The path below ``/api/v1``, with parameters such as ``{team_id}``. It also names the operation.
        ids: The values of the template's parameters, in order.
        json: The body, or None. Operations without required fields may still need ``{}``.
        params: The query parameters.
        idempotent: Whether the request may be repeated safely. None means that its method decides.
        attempts: The maximum number of attempts.
        timeout: Seconds for all attempts together. None means the client's setting.
        rights: Which rights the auth server checks. A body with fields that only a server may send needs ``server``.
        without_user: Send the request without the access token.
        refresh_token: Sent in a header, for the few operations that read it.
        translate: Maps an error of the auth server to the error that this operation raises.
        is_custom: Whether the app wrote the path, which may then contain ids.
        url: The full URL at another server. The template then only names the operation.
    """

    method: Method
    template: str
    ids: Sequence[str] = ()
    json: object = field(default=None, repr=False)
    params: Mapping[str, str] | None = field(default=None, repr=False)
    idempotent: bool | None = None
    attempts: int = MAX_ATTEMPTS
    timeout: float | None = None
    rights: Rights = "user"
    without_user: bool = False
    refresh_token: str | None = field(default=None, repr=False)
    translate: Callable[[AuthServerError], AuthServerError] | None = None
    is_custom: bool = False
    url: str | None = None

    @property
    def operation(self) -> str:
        """The method and path template, without a query. Segments of a custom path that look like ids are replaced."""
        path = self.template.partition("?")[0]
        return f"{self.method} {_ID.sub('/{id}', path) if self.is_custom else path}"

    @property
    def label(self) -> str:
        """The operation as a label for metrics and spans. A custom path is ``other``, because it may contain ids."""
        return f"{self.method} other" if self.is_custom else self.operation

    @property
    def repeatable(self) -> bool:
        """Whether the request may be sent again even if it has reached the server (RFC 9110 §9.2.2)."""
        return self.method in ("GET", "PUT", "DELETE") if self.idempotent is None else self.idempotent

    @property
    def content(self) -> bytes | None:
        """The encoded body. It is ASCII only, so that any text can be encoded.

        Raises:
            SchemaError: A value cannot be encoded as JSON.
        """
        if self.json is None:
            return None
        body = self.json.to_json() if isinstance(self.json, ApiRequestBody) else self.json
        try:
            return json.dumps(body, allow_nan=False, separators=(",", ":")).encode("ascii")
        except (ValueError, TypeError, RecursionError):
            raise KnownApiError.of("SCHEMA_ERROR", 400, operation=self.operation) from None


def check_path(path: str) -> str:
    """Return a path that the app wrote, after checking that it stays below ``/api/v1``.

    Raises:
        SchemaError: The path has no leading slash, or contains dot segments, a fragment, a query or invalid characters.
    """
    segments = [unquote(segment) for segment in path.split("/")]
    plain = path.isascii() and path.isprintable() and not set(path) & set(" #?\\")
    if not plain or not path.startswith("/") or set(segments) & {".", ".."}:
        raise KnownApiError.of("SCHEMA_ERROR", 400, operation="a path below /api/v1")
    return path


def encode_path(template: str, ids: Sequence[str]) -> str:
    """Fill in the parameters of a template. Each id is percent-encoded as one segment (RFC 3986 §3.3).

    Raises:
        SchemaError: An id cannot be encoded as one segment: it is empty, ``.``, ``..`` or contains half a surrogate
            pair.
    """
    try:
        encoded = [quote(value, safe="") for value in ids]
    except UnicodeEncodeError:
        encoded = [""]
    if not {"", ".", ".."}.isdisjoint(encoded):
        raise KnownApiError.of("SCHEMA_ERROR", 400, operation=template)
    return _PARAMETER.sub("{}", template).format(*encoded)
