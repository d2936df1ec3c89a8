"""Spans of the library's work, which a tracer records. Without telemetry, nothing is recorded.

`http/telemetry.py` records them with OpenTelemetry.
Law: no attribute contains a token, code, password, key or address. The only id is that of a verified user, never one
that a caller made up.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from fastapi_stackauth.errors import StackAuthError

Attribute = str | int | bool


class Span:
    """A span as a context manager. An instance of this class records nothing."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the span. An outage or a bug counts as an error, but a caller's mistake does not."""

    def set(self, name: str, value: Attribute | None) -> None:
        """Set an attribute, unless it is None."""

    def fail(self, code: str) -> None:
        """Record that the work failed without an exception."""

    def identify(self, user_id: str) -> None:
        """Record the user on this span and on the span of the request."""


NO_SPAN = Span()


class Tracer(Protocol):
    """Records spans."""

    def start(self, name: str, attributes: Mapping[str, Attribute] | None = None, *, is_call: bool = False) -> Span:
        """Return a span that starts when it is entered. `is_call` is True for a call to another server."""
        ...

    def redact_query(self) -> None:
        """Remove the secrets in the query string from the span of the request."""
        ...

    def mark_rejection(self, error: StackAuthError) -> None:
        """Record that the error to be raised is a client error, not an application error."""
        ...
