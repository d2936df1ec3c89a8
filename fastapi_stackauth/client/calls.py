"""A call of the server as a value, before it is sent. Pure; path parameters can never change the path."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, unquote

from fastapi_stackauth.errors import AuthServerError, KnownApiError

MAX_ATTEMPTS = 4
_ID = re.compile(r"/[^/]*[\d@%][^/]*")

Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
Rights = Literal["any", "person", "server"]


@dataclass(frozen=True)
class Call:
    """One call of the server, before it is sent.

    Attributes:
        path: below ``/api/v1``, already encoded.
        template: the path with its parameters' names, for errors and logs.
        json: the body, as JSON; None for none. Operations without fields that want a body take ``{}``.
        idempotent: whether repeating the call does no harm; by default as its method says.
        attempts: how often it is tried at most.
        timeout: seconds for all attempts together; the settings' where None.
        public: it takes no ``x-stack-*`` headers at all.
        rights: whose rights the server weighs. ``any``: client and server access come to the same here, once body
            and answer are narrowed. ``person``: only client access makes the server look at what the person may do.
            ``server``: only the app in its own name may do this.
        without_user: no access token travels with it.
        refresh_token: travels as a header, for the few operations that read it.
        translate: what an error means for this operation, where that differs from what it means elsewhere.
        foreign: somebody else put the path together, so it may hold ids.
    """

    method: Method
    path: str
    template: str = ""
    json: object = field(default=None, repr=False)
    params: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    idempotent: bool | None = None
    attempts: int = MAX_ATTEMPTS
    timeout: float | None = None
    public: bool = False
    rights: Rights = "person"
    without_user: bool = False
    refresh_token: str | None = field(default=None, repr=False)
    translate: Callable[[AuthServerError], AuthServerError] | None = None
    foreign: bool = False

    @property
    def series(self) -> str:
        """The operation as metrics count it: never with an id in it."""
        return f"{self.method} other" if self.foreign else self.operation

    @property
    def operation(self) -> str:
        """Method and path template; never a query. In a path that is no template, what looks like an id is left out."""
        path = (self.template or self.path).partition("?")[0]
        return f"{self.method} {_ID.sub('/{id}', path) if self.foreign else path}"

    @property
    def repeatable(self) -> bool:
        """Whether a call that may have reached the server can be sent again (RFC 9110 §9.2.2)."""
        return self.method in ("GET", "PUT", "DELETE") if self.idempotent is None else self.idempotent

    @property
    def content(self) -> bytes | None:
        """The body as it travels: ASCII alone, so that any text can be written.

        Raises:
            SchemaError: for what JSON does not have.
        """
        if self.json is None:
            return None
        try:
            return json.dumps(self.json, allow_nan=False, separators=(",", ":")).encode("ascii")
        except (ValueError, TypeError, RecursionError):
            raise KnownApiError.of("SCHEMA_ERROR", 400, operation=self.operation) from None


def checked_path(path: str) -> str:
    """A path that somebody else put together, where it is one below ``/api/v1`` and stays there.

    Raises:
        SchemaError: for one without its slash, with dot segments, a fragment or a query, or characters no path has.
    """
    segments = [unquote(segment) for segment in path.split("/")]
    plain = path.isascii() and path.isprintable() and not set(path) & set(" #?\\")
    if not plain or not path.startswith("/") or set(segments) & {".", ".."}:
        raise KnownApiError.of("SCHEMA_ERROR", 400, operation="a path below /api/v1")
    return path


def path_of(template: str, **parameters: str) -> tuple[str, str]:
    """A path and its template, each parameter percent-encoded as one segment (RFC 3986 §3.3).

    Raises:
        SchemaError: for a value that no encoding keeps in its segment (empty, ``.`` and ``..``).
    """
    return template.format_map({name: _segment(value, template) for name, value in parameters.items()}), template


def _segment(value: str, template: str) -> str:
    try:
        if value not in ("", ".", ".."):
            return quote(value, safe="")
    except UnicodeEncodeError:
        pass  # half a surrogate pair: no id of any server
    raise KnownApiError.of("SCHEMA_ERROR", 400, operation=template) from None
