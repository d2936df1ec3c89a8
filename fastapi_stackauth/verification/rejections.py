"""Decide what an error of the auth server means for a caller, for a session and for a route.

No other module decides this; `client/response.py` only turns a response into an exception.
"""

import logging

from fastapi_stackauth.errors import (
    AccessTokenRejected,
    AuthError,
    AuthServerError,
    AuthServerMisconfigured,
    AuthServerUnavailable,
    ClockSkew,
    PermissionMissing,
    RedirectUrlNotAllowed,
    RequestInvalid,
    SchemaError,
    SessionEnded,
    SignInRequired,
    StackAuthError,
    TeamNotFound,
    UnexpectedResponse,
    UserNotFound,
    VerificationUnavailable,
)
from fastapi_stackauth.runtime.events import LOOKUP_FAILED, AuthEvents, get_error_code

_TOKEN_CODES = {
    "ACCESS_TOKEN_EXPIRED": "token_expired",
    "UNPARSABLE_ACCESS_TOKEN": "token_signature_invalid",
    "INVALID_PROJECT_FOR_ACCESS_TOKEN": "token_project_mismatch",
}

# --- for the caller --------------------------------------------------------------------------------------


def find_rejection(error: StackAuthError) -> AuthError | None:
    """Return the error for the caller if the auth server rejected their token, or None for any other error."""
    if isinstance(error, AccessTokenRejected):
        return AuthError(_TOKEN_CODES[error.code], reason="rejected by the auth server")
    if isinstance(error, SignInRequired | UserNotFound):
        return AuthError("user_deleted")
    return None


def require_rejection(error: AuthServerError, events: AuthEvents, about: str) -> AuthError:
    """Return the error for the caller if the auth server rejected their token, or raise for any other error.

    Args:
        error: The auth server's error.
        events: Counts and logs an error that is not the caller's.
        about: What the call was about: a `token`, `permission`, `session`, `api_key` or `user`.

    Raises:
        AuthServerMisconfigured: The auth server rejects this app.
        VerificationUnavailable: Any other error that is not about the token.
    """
    if rejection := find_rejection(error):
        return rejection
    misconfigured = isinstance(error, AuthServerMisconfigured)
    level = logging.ERROR if misconfigured else None
    events.emit(LOOKUP_FAILED, level=level, about=about, code=get_error_code(error), detail=str(error))
    if misconfigured:
        raise error
    raise to_unavailable(error, 1.0) from None


def to_unavailable(error: AuthServerError, retry_after: float) -> VerificationUnavailable:
    """Return the 503 for a failed call. `retry_after` (seconds) applies if the error has none of its own."""
    asked = error.retry_after if isinstance(error, AuthServerUnavailable) else retry_after
    return VerificationUnavailable(retry_after=asked)


def to_own_user_error(error: AuthServerError) -> AuthServerError:
    """Return the error for the caller if the auth server no longer has their account."""
    if not isinstance(error, UserNotFound):
        return error
    return SignInRequired(error.code, error.status_code, operation=error.operation, request_id=error.request_id)


def is_absent(error: AuthServerError) -> bool:
    """Return whether an error means that there is no such team or member, or that the id is malformed."""
    if isinstance(error, UnexpectedResponse):
        return error.status_code in (400, 403, 404)
    return isinstance(error, TeamNotFound | SchemaError | PermissionMissing | UserNotFound)


def to_route_error(error: StackAuthError) -> StackAuthError:
    """Return the error for the caller of a route. It is about the token, the request or the configuration."""
    if isinstance(error, RedirectUrlNotAllowed):
        return AuthServerMisconfigured(f"{error.message} Add it there: it follows app_url, or `pages`.")
    if isinstance(error, SchemaError):  # this library does not check this rule; see the log
        return RequestInvalid((("body", "Must have the format that the auth server expects"),), reason=str(error))
    if isinstance(error, PermissionMissing) and error.code != "TEAM_PERMISSION_NOT_FOUND":
        return AuthError("permission_missing", details=error.public_details)  # a 401 would sign the user out
    return find_rejection(error) or error


# --- for a session ---------------------------------------------------------------------------------------


def is_refreshable(error: StackAuthError) -> bool:
    """Return whether a new token may succeed, because the old one expired or its key was rotated."""
    return error.code in ("token_expired", "token_signature_invalid")


def is_key_unknown(rejection: AuthError) -> bool:
    """Return whether a token may be rejected only because the signing keys were rotated."""
    return rejection.code in ("token_key_unknown", "token_signature_invalid")


def judge_refresh(failure: AuthError | AuthServerError) -> StackAuthError | None:
    """Return the error for a session whose refresh failed, or None if the session has ended.

    An outage, a wrong clock on this host, or a key that this worker may not fetch yet does not end the session.

    Args:
        failure: The auth server's error, or the verifier's error for the token that the auth server just issued.
    """
    if isinstance(failure, AuthServerError):
        if isinstance(failure, SessionEnded):
            return None
        return failure if isinstance(failure, AuthServerMisconfigured) else to_unavailable(failure, 5.0)
    if failure.code in ("token_expired", "token_not_yet_valid"):
        return ClockSkew(retry_after=30.0)
    if failure.code == "token_key_unknown":
        return VerificationUnavailable(retry_after=5.0)
    return None if failure.code in ("session_revoked", "user_deleted") else failure
