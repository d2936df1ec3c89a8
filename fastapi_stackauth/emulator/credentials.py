"""Identify the caller by the x-stack headers, checked in the real server's order (contract/tokens.md §5, step 4).

Law: this module reads headers and the store and changes nothing. It compares keys and tokens, but never shows them.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from . import keys
from .errors import KnownError
from .store.database import Row
from .store.projects import Project

if TYPE_CHECKING:
    from .server import Server

ACCESS_TYPES = ("client", "server", "admin")
KEY_HEADERS = ("publishable-client-key", "secret-server-key", "super-secret-admin-key", "admin-access-token")
NO_KEY = "__stack_public_client__"
MAIN_BRANCH = "main"
MAX_SAFE_INTEGER = 2**53 - 1  # the largest integer that all JSON parsers read exactly (RFC 8259 section 6)


@dataclass(frozen=True, repr=False)
class Asker:
    """The caller: the access type, the project, the access token's claims and the user."""

    access: str | None = None
    project: Project | None = None
    claims: dict[str, Any] | None = None
    user: Row | None = None


def identify(server: "Server", headers: Mapping[str, str]) -> Asker:
    """Return the caller.

    Raises:
        KnownError: The headers contradict each other, or a key or token is wrong.
    """
    access = headers.get("x-stack-access-type")
    if not access:
        if any(headers.get(f"x-stack-{name}") for name in KEY_HEADERS):
            raise KnownError("PROJECT_KEY_WITHOUT_ACCESS_TYPE")
        return Asker()
    if access not in ACCESS_TYPES:
        raise KnownError("INVALID_ACCESS_TYPE")
    project_id = headers.get("x-stack-project-id")
    if not project_id:
        raise KnownError("ACCESS_TYPE_WITHOUT_PROJECT_ID", request_type=access)
    claims = read_token(server, headers, project_id)
    project = server.store.projects.get(project_id)
    if project is None:
        raise KnownError("CURRENT_PROJECT_NOT_FOUND", project_id=project_id)
    check_key(project, access, headers)
    user = server.store.users.get(project.id, claims["sub"]) if claims else None
    return Asker(access, project, claims, user)


def read_token(server: "Server", headers: Mapping[str, str], project_id: str) -> dict[str, Any] | None:
    """Return the claims of the access token in the request, if there is one."""
    token = headers.get("x-stack-access-token")
    if not token:
        return None
    claims = token_claims(server, token)
    if claims["project_id"] != project_id:
        raise KnownError(
            "INVALID_PROJECT_FOR_ACCESS_TOKEN", expected_project_id=project_id, actual_project_id=claims["project_id"]
        )
    allows_anonymous = headers.get("x-stack-allow-anonymous-user") == "true"
    if claims["is_anonymous"]:
        if not allows_anonymous:
            raise KnownError("ANONYMOUS_AUTHENTICATION_NOT_ALLOWED")
    elif claims["is_restricted"] and not allows_anonymous and headers.get("x-stack-allow-restricted-user") != "true":
        raise KnownError("RESTRICTED_USER_NOT_ALLOWED", restricted_reason=claims["restricted_reason"])
    return claims


def token_claims(server: "Server", token: str) -> dict[str, Any]:
    """Check a token's signature, issuer, audience and time, without leeway, and return its claims."""
    try:
        claims = keys.verify(server.store.projects.server_secret(), token)
    except keys.BadToken:
        raise KnownError("UNPARSABLE_ACCESS_TOKEN") from None
    expected = server.tokens.binding(claims)
    if (claims.get("iss"), claims.get("aud")) != expected or not are_usable(claims):
        raise KnownError("UNPARSABLE_ACCESS_TOKEN")
    if claims["exp"] <= server.clock.now():
        raise_expired(claims)
    return claims


def are_usable(claims: dict[str, Any]) -> bool:
    """Return whether the claims that the server uses have valid types, because tests may request any claims."""
    ids = [claims.get(name) for name in ("sub", "project_id", "refresh_token_id")]
    if not all(isinstance(value, str) and is_unicode(value) for value in ids):
        return False
    return type(claims.get("exp")) is int and abs(claims["exp"]) <= MAX_SAFE_INTEGER


def is_unicode(text: str) -> bool:
    """Return whether a string can be encoded, because lone surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def raise_expired(claims: dict[str, Any]) -> NoReturn:
    """Raise the error for an expired token, with its expiry."""
    raise KnownError(
        "ACCESS_TOKEN_EXPIRED",
        expired_at_millis=claims["exp"] * 1000,
        project_id=claims["project_id"],
        user_id=claims["sub"],
        refresh_token_id=claims["refresh_token_id"],
    )


def same(given: str, right: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given.encode(), right.encode())


def check_key(project: Project, access: str, headers: Mapping[str, str]) -> None:
    """Reject a missing or wrong key, then an unknown branch."""
    if headers.get("x-stack-admin-access-token"):
        # Only users of the vendor's dashboard project have such tokens, and the emulator has no such project.
        raise KnownError("UNPARSABLE_ADMIN_ACCESS_TOKEN")
    branch = headers.get("x-stack-branch-id") or MAIN_BRANCH
    if access == "client":
        check_publishable_key(project, headers.get("x-stack-publishable-client-key"), branch)
    elif access == "server":
        check_secret("SECRET_SERVER_KEY", project, headers.get("x-stack-secret-server-key"))
    else:
        check_secret("SUPER_SECRET_ADMIN_KEY", project, headers.get("x-stack-super-secret-admin-key"))
    if branch != MAIN_BRANCH:
        raise KnownError("BRANCH_DOES_NOT_EXIST", branch_id=branch)


def check_publishable_key(project: Project, key: str | None, branch: str) -> None:
    """Reject a wrong publishable key, or a missing one if it is required."""
    if not key or key == NO_KEY:
        if project.config["require_publishable_client_key"] or branch != MAIN_BRANCH:
            raise KnownError("PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT", project_id=project.id)
    elif not same(key, project.publishable_client_key):
        raise KnownError("INVALID_PUBLISHABLE_CLIENT_KEY", project_id=project.id)


def check_secret(name: str, project: Project, key: str | None) -> None:
    """Reject a missing or wrong secret key."""
    right = project.secret_server_key if name == "SECRET_SERVER_KEY" else project.super_secret_admin_key
    if not key:
        raise KnownError(f"{name.split('_')[-2]}_AUTHENTICATION_REQUIRED")
    if not same(key, right):
        raise KnownError(f"INVALID_{name}", project_id=project.id)
