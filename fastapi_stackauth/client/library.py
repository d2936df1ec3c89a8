"""Find out whether a client or transport of the app comes from httpx or httpx2.

This library depends on httpx. httpx2 has classes of the same names, which are not subclasses of those in httpx.
"""

import sys
from typing import Any, Protocol

import httpx

from fastapi_stackauth.errors import ConfigurationError


class HttpClient(Protocol):
    """The type of an `AsyncClient` from httpx or httpx2."""

    def build_request(self, method: str, url: str, /) -> Any:  # noqa: ANN401 - a request of its library
        """Build a request."""
        ...

    async def aclose(self) -> None:
        """Close it."""
        ...


class HttpTransport(Protocol):
    """The type of an `AsyncBaseTransport` from httpx or httpx2."""

    async def handle_async_request(self, request: Any, /) -> Any:  # noqa: ANN401 - of its library, as the response
        """Send a request and return the response."""
        ...

    async def aclose(self) -> None:
        """Close it."""
        ...


def find_library(http_client: HttpClient | None, transport: HttpTransport | None) -> Any:  # noqa: ANN401 - a module
    """Return the module that an object of the app comes from: httpx or httpx2.

    Raises:
        ConfigurationError: The object comes from neither, or is not async.
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
