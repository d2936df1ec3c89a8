"""httpx or httpx2: the library that a client or a transport of the app belongs to.

This library depends on httpx. httpx2 has the same names, but its classes are no subclasses of httpx's.
"""

import sys
from typing import Any, Protocol

import httpx

from fastapi_stackauth.errors import ConfigurationError


class HttpClient(Protocol):
    """An `AsyncClient` of httpx or httpx2, for type checkers: an app may have either."""

    def build_request(self, method: str, url: str, /) -> Any:  # noqa: ANN401 - a request of its library
        """Return a request."""
        ...

    async def aclose(self) -> None:
        """Close it."""
        ...


class HttpTransport(Protocol):
    """An `AsyncBaseTransport` of httpx or httpx2, likewise."""

    async def handle_async_request(self, request: Any, /) -> Any:  # noqa: ANN401 - of its library, as the response
        """Return the response to a request."""
        ...

    async def aclose(self) -> None:
        """Close it."""
        ...


def find_library(http_client: HttpClient | None, transport: HttpTransport | None) -> Any:  # noqa: ANN401 - a module
    """Return httpx, or httpx2 if what the app gives is of that.

    Raises:
        ConfigurationError: it is of neither, or not async.
    """
    if http_client is not None:
        return _find_owner("http_client", http_client, "AsyncClient")
    return httpx if transport is None else _find_owner("transport", transport, "AsyncBaseTransport")


def _find_owner(name: str, given: object, base: str) -> Any:  # noqa: ANN401 - as above
    for library in (httpx, sys.modules.get("httpx2")):
        if library is not None and isinstance(given, getattr(library, base)):
            return library
    raise ConfigurationError(
        f"{name} must be an {base} of httpx or httpx2; got {type(given).__module__}.{type(given).__name__}. "
        "Calls of the auth server are async."
    )
