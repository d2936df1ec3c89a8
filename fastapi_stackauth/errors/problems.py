"""Convert an error to a problem document and headers. Pure functions; the result contains no part of the request."""

import math
from http import HTTPStatus
from typing import Any

from fastapi_stackauth.errors.tree import AuthServerUnavailable, RateLimitExceeded, StackAuthError

PROBLEM_MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:fastapi-stackauth:error:"


def problem_document(
    error: StackAuthError, *, instance: str | None = None, docs_url: str | None = None
) -> dict[str, Any]:
    """Return the problem document of an error (RFC 9457 §3), with a stable `code` beside the standard members.

    Args:
        error: The error.
        instance: The id of this occurrence.
        docs_url: The URL of a page about errors, to which the code is appended.
    """
    document: dict[str, Any] = {
        "type": _TYPE + error.code.lower() if docs_url is None else docs_url + error.code,
        "title": _phrase(error.status_code),
        "status": error.status_code,
        "detail": error.message,
        "code": error.code,
    }
    if instance:
        document["instance"] = instance
    if error.public_details:
        document["details"] = error.public_details
    return document


def get_error_headers(error: StackAuthError) -> dict[str, str]:
    """Return an error's headers: WWW-Authenticate for 401 (RFC 6750 §3), Retry-After for 503 (RFC 9110 §10.2.3)."""
    headers = {"cache-control": "no-store"}
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = _challenge(error)
    if isinstance(error, AuthServerUnavailable | RateLimitExceeded):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    return headers


def _challenge(error: StackAuthError) -> str:
    """Return the constant challenge of a 401 (RFC 6750 §3, or RFC 9470 §3 if the sign-in is too long ago)."""
    if error.code == "authentication_required":
        return "Bearer"
    if error.code == "reauthentication_required":
        seconds = error.public_details.get("max_age", 0)
        return f'Bearer error="insufficient_user_authentication", max_age="{seconds:d}"'
    return 'Bearer error="invalid_token"'


def _phrase(status: int) -> str:
    """Return the name of a status or of its class (RFC 9110 §15), because the auth server may send any number."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return HTTPStatus(status // 100 * 100).phrase
