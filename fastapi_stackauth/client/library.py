"""httpx or httpx2: the library that a client or a transport of the app belongs to.

This library depends on httpx. httpx2 has the same names, but its classes are no subclasses of httpx's.
"""

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx

from fastapi_stackauth.errors import ConfigurationError

if TYPE_CHECKING:  # an app may have it or not
    import httpx2

    HttpClient: TypeAlias = httpx.AsyncClient | httpx2.AsyncClient
    HttpTransport: TypeAlias = httpx.AsyncBaseTransport | httpx2.AsyncBaseTransport
else:
    HttpClient, HttpTransport = httpx.AsyncClient, httpx.AsyncBaseTransport


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
