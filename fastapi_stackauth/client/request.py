"""A request to the auth server, before it is sent. Pure: ids can never change the path."""

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
"""The rights that the auth server checks.

``none``: the request carries no ``x-stack-*`` headers. ``any``: client and server access have the same effect, once the
library narrows body and response. ``user``: only client access makes the server check what the user may do.
``server``: only the app itself may do this, with its secret key.
"""


@dataclass(frozen=True)
class ApiRequest:
    """One request to the auth server.

    Attributes:
        template: the path below ``/api/v1``, with parameters such as ``{team_id}``; also names the operation.
        ids: the values of the template's parameters, in their order.
        json: the body; None for no body. Operations without required fields may still need ``{}``.
        params: the query.
        idempotent: whether repeating the request is harmless; None: by its method.
        attempts: the most attempts.
        timeout: seconds for all attempts together; None: the client's setting.
        rights: the rights that the auth server checks. A body that only a server may send needs ``server``.
        without_user: the access token does not travel with it.
        refresh_token: travels as a header, for the few operations that read it.
        translate: maps an error of the auth server to the error that this operation raises.
        is_custom: the app wrote the path, so it may hold ids.
        url: the whole address at another server. The template then only names the operation.
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
        """Method and path template, without a query. In a custom path, segments that look like ids are left out."""
        path = self.template.partition("?")[0]
        return f"{self.method} {_ID.sub('/{id}', path) if self.is_custom else path}"

    @property
    def label(self) -> str:
        """The operation for metrics and spans, which hold no id: a custom path is ``other``."""
        return f"{self.method} other" if self.is_custom else self.operation

    @property
    def repeatable(self) -> bool:
        """Whether the request may be sent again after it may have reached the server (RFC 9110 §9.2.2)."""
        return self.method in ("GET", "PUT", "DELETE") if self.idempotent is None else self.idempotent

    @property
    def content(self) -> bytes | None:
        """The body as it travels: ASCII only, so that any text can be written.

        Raises:
            SchemaError: a value that JSON cannot hold.
        """
        if self.json is None:
            return None
        body = self.json.to_json() if isinstance(self.json, ApiRequestBody) else self.json
        try:
            return json.dumps(body, allow_nan=False, separators=(",", ":")).encode("ascii")
        except (ValueError, TypeError, RecursionError):
            raise KnownApiError.of("SCHEMA_ERROR", 400, operation=self.operation) from None


def check_path(path: str) -> str:
    """Return a path that the app wrote, if it stays below ``/api/v1``.

    Raises:
        SchemaError: no leading slash, dot segments, a fragment, a query, or characters that no path has.
    """
    segments = [unquote(segment) for segment in path.split("/")]
    plain = path.isascii() and path.isprintable() and not set(path) & set(" #?\\")
    if not plain or not path.startswith("/") or set(segments) & {".", ".."}:
        raise KnownApiError.of("SCHEMA_ERROR", 400, operation="a path below /api/v1")
    return path


def encode_path(template: str, ids: Sequence[str]) -> str:
    """Fill the parameters of a template, each id percent-encoded as one segment (RFC 3986 §3.3).

    Raises:
        SchemaError: an id that no encoding keeps in its segment: empty, ``.``, ``..`` or half a surrogate pair.
    """
    try:
        encoded = [quote(value, safe="") for value in ids]
    except UnicodeEncodeError:
        encoded = [""]
    if not {"", ".", ".."}.isdisjoint(encoded):
        raise KnownApiError.of("SCHEMA_ERROR", 400, operation=template)
    return _PARAMETER.sub("{}", template).format(*encoded)
