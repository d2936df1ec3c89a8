"""What callers are told of an error, pure: an error in, a document and headers out.

Both are made of constants and of facts named as public; nothing of the request is repeated.
"""

import math
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from fastapi_stackauth.errors import (
    AuthError,
    AuthServerUnavailable,
    KnownApiError,
    ProfileMetadataInvalid,
    RateLimitExceeded,
    RequestInvalid,
    RequestTooLarge,
    SecondFactorRequired,
    StackAuthError,
)

PROBLEM_MEDIA_TYPE = "application/problem+json"
PROBLEM_TYPE = "urn:fastapi-stackauth:error:{code}"


DETAIL_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "attempt": {"type": "string", "description": "Goes with the code from the authenticator app; a secret."},
    "faults": {
        "type": "array",
        "description": "Each place that is wrong, and why.",
        "items": {
            "type": "object",
            "required": ["where", "what"],
            "properties": {
                "where": {"type": "string", "description": "The place.", "examples": ["body.email"]},
                "what": {"type": "string", "description": "What is wrong there.", "examples": ["Field required"]},
            },
        },
    },
    "fields": {"type": "array", "description": "Where stored metadata do not fit.", "items": {"type": "string"}},
    "max_age": {"type": "integer", "description": "Seconds that the sign-in may lie back."},
    "max_body_size": {"type": "integer", "description": "Bytes that the body may have."},
    "maxLength": {"type": "integer", "description": "Characters that a password may have."},
    "min_length": {"type": "integer", "description": "Characters that a password must have."},
    "origin": {
        "type": "string",
        "enum": ["missing", "not_trusted"],
        "description": "Whether the request had no `Origin` header, or one that the app does not trust.",
    },
    "permission_id": {"type": "string", "description": "The permission that is missing."},
    "restricted_reason": {"type": ["string", "null"], "description": "Why the user is restricted."},
    "team_id": {"type": "string", "description": "The team in which it is missing."},
    "would_work_if_email_was_verified": {
        "type": "boolean",
        "description": "Whether the account could be linked, were its address verified.",
    },
}
"""The members of `details`, by name."""


def problem(error: StackAuthError, *, instance: str | None = None, docs_url: str | None = None) -> dict[str, Any]:
    """The problem document of an error (RFC 9457 §3), with a stable `code` beside the standard members.

    Args:
        error: what went wrong.
        instance: names this occurrence, where it is one.
        docs_url: where errors are explained; the code is put at its end.
    """
    kind = PROBLEM_TYPE.format(code=error.code.lower()) if docs_url is None else docs_url + error.code
    document: dict[str, Any] = {
        "type": kind,
        "title": _phrase(error.status_code),
        "status": error.status_code,
        "detail": error.message,
        "code": error.code,
        **({"instance": instance} if instance else {}),
    }
    if details := _public_details(error):
        document["details"] = details
    return document


def headers_of(error: StackAuthError) -> dict[str, str]:
    """The headers of an error: WWW-Authenticate for 401 (RFC 6750 §3), Retry-After for 503 (RFC 9110 §10.2.3)."""
    headers = {"cache-control": "no-store"}
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = _challenge(error)
    if isinstance(error, AuthServerUnavailable | RateLimitExceeded):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    return headers


def _challenge(error: StackAuthError) -> str:
    """What a 401 asks for (RFC 6750 §3; RFC 9470 §3 where the sign-in is too long ago), made of constants."""
    if error.code == "authentication_required":
        return "Bearer"
    if isinstance(error, AuthError) and error.code == "reauthentication_required":
        return f'Bearer error="insufficient_user_authentication", max_age="{error.details.get("max_age", 0):d}"'
    return 'Bearer error="invalid_token"'


def _phrase(status: int) -> str:
    """The name of a status; for one that has none, that of its class (RFC 9110 §15): the auth server's may be any."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return HTTPStatus(status // 100 * 100).phrase


def _public_details(error: StackAuthError) -> Mapping[str, Any]:
    if isinstance(error, AuthError):
        return error.details
    if isinstance(error, KnownApiError):
        return dict(_of_server(error))
    if isinstance(error, RequestInvalid):
        return {"faults": [{"where": where, "what": what} for where, what in error.faults]} if error.faults else {}
    if isinstance(error, RequestTooLarge):
        return {"max_body_size": error.max_body_size}
    if isinstance(error, SecondFactorRequired):
        return {"attempt": error.attempt} if error.attempt else {}
    if isinstance(error, ProfileMetadataInvalid):
        return {"fields": list(error.fields)}
    return {}


_FORMS: Mapping[str, type] = {
    "maxLength": int,
    "min_length": int,
    "permission_id": str,
    "restricted_reason": str,
    "team_id": str,
    "would_work_if_email_was_verified": bool,
}


def _of_server(error: KnownApiError) -> Iterator[tuple[str, Any]]:
    """The public details of the auth server's answer that have the form documented in `DETAIL_SCHEMAS`."""
    for name in error.public_details:
        value = error.details.get(name)
        if name == "restricted_reason" and isinstance(value, Mapping):  # the server nests it (contract/tokens.md §1)
            value = value.get("type")
        if isinstance(value, str):
            value = value.encode("utf-8", "replace").decode()  # half a surrogate pair could not be written
        if type(value) is _FORMS[name]:
            yield name, value
