"""Discovery: the metadata of a protected resource (RFC 9728), and the challenge with its URL. Pure."""

import re
from typing import Any

from fastapi_stackauth.errors import StackAuthError
from fastapi_stackauth.errors.problems import get_error_headers
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.resource_tokens import ResourceTokens

WELL_KNOWN = "/.well-known/oauth-protected-resource"
_PURPOSE = "MCP servers"
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def is_plain_path(path: object) -> bool:
    """Whether an MCP server may have this path: it is a part of an identifier, which clients compare as text."""
    return isinstance(path, str) and _PATH.fullmatch(path) is not None


def resource_url(settings: Settings, path: str) -> str:
    """Return the identifier of an MCP server: `app_url` and its path, regardless of the Host header.

    Raises:
        ConfigurationError: `app_url` is not set.
    """
    return settings.require_app_url(_PURPOSE) + path


def metadata_path(path: str) -> str:
    """Return the path of the metadata: the well-known path and then the path of the server (RFC 9728 §3.1)."""
    return WELL_KNOWN + path


def describe_resource(
    settings: Settings, path: str, name: str, resource_tokens: ResourceTokens | None = None
) -> dict[str, Any]:
    """Return the metadata of the MCP server at this path (RFC 9728 §2).

    Args:
        settings: `app_url` and `authorization_servers`.
        path: The path of the server.
        name: The name of the server.
        resource_tokens: The authorization server for tokens bound to this server. It comes first in the list.

    Raises:
        ConfigurationError: `app_url` is not set.
    """
    own = () if resource_tokens is None else (resource_tokens.issuer,)
    servers = list(dict.fromkeys((*own, *settings.authorization_servers)))
    return {
        "resource": resource_url(settings, path),
        **({"authorization_servers": servers} if servers else {}),
        "bearer_methods_supported": ["header"],
        "resource_name": name,
    }


def challenge_headers(error: StackAuthError, settings: Settings, path: str) -> dict[str, str]:
    """Return the headers of an error. The challenge of a 401 contains the metadata's URL (RFC 9728 §5.1).

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
