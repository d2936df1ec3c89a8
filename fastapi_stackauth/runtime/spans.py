"""Spans: pieces of the library's work that a tracer may record. Without telemetry, nothing is recorded.

`http/telemetry.py` records them with OpenTelemetry.
Law: no attribute holds a token, code, password, key, address, or an id that a caller made up. The id of a verified
user is the exception.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from fastapi_stackauth.errors import StackAuthError

Attribute = str | int | bool


class Span:
    """A piece of work while it runs, as a context manager. An instance of this class records nothing."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it. An outage or a bug is an error; a caller's mistake is not."""

    def set(self, name: str, value: Attribute | None) -> None:
        """Set an attribute; None is left out."""

    def fail(self, code: str) -> None:
        """Note that the work failed without raising."""

    def identify(self, user_id: str) -> None:
        """Note the user, here and on the span of the request."""


NO_SPAN = Span()


class Tracer(Protocol):
    """Records spans."""

    def start(self, name: str, attributes: Mapping[str, Attribute] | None = None, *, is_call: bool = False) -> Span:
        """Return a span that begins when it is entered; `is_call` if it is a call to another server."""
        ...

    def redact_query(self) -> None:
        """Remove the secrets in the query from the span of the request."""
        ...

    def mark_rejection(self, error: StackAuthError) -> None:
        """Note that a caller's mistake, which is about to be raised, is no error of the app."""
        ...
