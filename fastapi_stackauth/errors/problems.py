"""The response to an error. Pure: an error in, a document and headers out, and no part of the request in them."""

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
        error: what went wrong.
        instance: names this occurrence.
        docs_url: the URL of a page about errors, to which the code is appended.
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
    """The headers of an error: WWW-Authenticate for 401 (RFC 6750 §3), Retry-After for 503 (RFC 9110 §10.2.3)."""
    headers = {"cache-control": "no-store"}
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = _challenge(error)
    if isinstance(error, AuthServerUnavailable | RateLimitExceeded):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    return headers


def _challenge(error: StackAuthError) -> str:
    """The challenge of a 401 (RFC 6750 §3; RFC 9470 §3 if the sign-in is too long ago), made of constants."""
    if error.code == "authentication_required":
        return "Bearer"
    if error.code == "reauthentication_required":
        seconds = error.public_details.get("max_age", 0)
        return f'Bearer error="insufficient_user_authentication", max_age="{seconds:d}"'
    return 'Bearer error="invalid_token"'


def _phrase(status: int) -> str:
    """The name of a status; for one that has none, that of its class (RFC 9110 §15): the auth server's may be any."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return HTTPStatus(status // 100 * 100).phrase
