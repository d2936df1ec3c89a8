"""Discovery: the metadata of a protected resource (RFC 9728), and the challenge that leads to it. Pure."""

from typing import Any

from fastapi_stackauth.errors import StackAuthError
from fastapi_stackauth.errors.problems import get_error_headers
from fastapi_stackauth.settings import Settings

WELL_KNOWN = "/.well-known/oauth-protected-resource"
_PURPOSE = "MCP servers"


def resource_url(settings: Settings, path: str) -> str:
    """Return the identifier of an MCP server: `app_url` and its path, whatever the Host header says.

    Raises:
        ConfigurationError: `app_url` is not set.
    """
    return settings.require_app_url(_PURPOSE) + path


def metadata_path(path: str) -> str:
    """Return the path of the metadata: the well-known path, then that of the server (RFC 9728 §3.1)."""
    return WELL_KNOWN + path


def describe_resource(settings: Settings, path: str, name: str) -> dict[str, Any]:
    """Return the metadata of the MCP server at this path (RFC 9728 §2).

    Raises:
        ConfigurationError: `app_url` is not set.
    """
    servers = {"authorization_servers": list(settings.authorization_servers)} if settings.authorization_servers else {}
    return {
        "resource": resource_url(settings, path),
        **servers,
        "bearer_methods_supported": ["header"],
        "resource_name": name,
    }


def challenge_headers(error: StackAuthError, settings: Settings, path: str) -> dict[str, str]:
    """Return the headers of an error; the challenge of a 401 names the metadata (RFC 9728 §5.1).

    Raises:
        ConfigurationError: `app_url` is not set.
    """
    headers = get_error_headers(error)
    challenge = headers.get("www-authenticate")
    if challenge is not None:
        separator = ", " if "=" in challenge else " "
        address = settings.require_app_url(_PURPOSE) + metadata_path(path)
        headers["www-authenticate"] = f'{challenge}{separator}resource_metadata="{address}"'
    return headers
