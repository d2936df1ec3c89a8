"""A resolver of the tests' own: it knows this machine alone, so no test waits for the network's name server."""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

HERE = {"", "localhost", socket.gethostname()}
_resolve = socket.getaddrinfo


@contextmanager
def resolve_here_only() -> Iterator[None]:
    """Let every name but those of this machine be unknown at once.

    The patch is of Python's own function: a real name server may be slow, absent, or answer for any name.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", _resolve_here)
        yield


def _resolve_here(host: Any, *arguments: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host or ""
    if name not in HERE and not _is_address(name):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return _resolve(host, *arguments, **options)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
