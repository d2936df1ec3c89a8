"""The errors that this library raises: for the app's mistakes, the caller's mistakes, and the auth server's failures.

Law: no error shows a token, code, password or key in its message or repr.
"""

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, TypedDict, Unpack
from uuid import uuid4

__all__ = [
    "AUTH_CODES", "AuthError", "AuthServerError", "AuthServerMisconfigured", "AuthServerRateLimited",
    "AuthServerTimeout", "AuthServerUnavailable", "AuthServerUnreachable", "ClockSkew", "ConfigurationError",
    "MisuseError", "OAuthTokenError", "RateLimitExceeded", "RequestError", "RequestInvalid", "SecondFactorRequired",
    "StackAuthError", "UnexpectedResponse", "VerificationUnavailable", "WebhookInvalid",
]  # fmt: skip


class StackAuthError(Exception):
    """Base class of all errors that this library raises.

    Attributes:
        status_code: The HTTP status of the response.
        code: A stable identifier for programs. Messages may change, but codes do not.
        message: A sentence that is safe to show to the caller.
        public_details: Data that the caller may see, in `details` of the problem document.
    """

    status_code: int = 500
    code: str = "stack_auth_error"
    message: str = "Something went wrong with authentication."
    public_details: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, message: str | None = None) -> None:
        if message is not None:
            self.message = message
        super().__init__(self.message)

    @cached_property
    def instance(self) -> str:
        """A URN for this occurrence, in the response and in the log (RFC 9457 §3.1.5)."""
        return uuid4().urn


class ConfigurationError(StackAuthError):
    """A setting is missing or wrong, or contradicts another one. The message names the setting.

    Attributes:
        setting: The missing setting, or None for other mistakes. If a request needs a missing setting, the response is
            a problem document. For other mistakes, it is a plain 500, and the log contains a traceback.
    """

    code = "configuration_error"
    message = "The Stack Auth settings of this app are incomplete."

    def __init__(self, message: str | None = None, *, setting: str | None = None) -> None:
        self.setting = setting
        super().__init__(message)


class MisuseError(ConfigurationError, TypeError):
    """A route uses a dependency or a model of this library in a way that leaves it unprotected.

    It is also a TypeError, because `inspect`, `pydoc` and `dataclasses` expect one if a class has no signature.
    """


# --- the caller ---

AUTH_CODES: Mapping[str, tuple[int, str]] = {
    # no usable credential
    "authentication_required": (401, "Sign in to use this."),
    "credentials_malformed": (401, "The credentials of this request cannot be read."),
    "credentials_too_large": (401, "The credentials of this request are too large."),
    "credentials_conflict": (401, "This request contains two different access tokens."),
    # a rejected token, in the order of the checks
    "token_malformed": (401, "The access token is not a well-formed JSON Web Token."),
    "token_algorithm_not_allowed": (401, "The access token is not signed with ES256."),
    "token_key_unknown": (401, "The access token is signed by an unknown key."),
    "token_signature_invalid": (401, "The signature of the access token is wrong."),
    "token_claims_missing": (401, "A required claim of the access token is missing."),
    "token_issuer_not_allowed": (401, "The access token is from another issuer."),
    "token_audience_not_allowed": (401, "The access token is for another audience."),
    "token_project_mismatch": (401, "The access token belongs to another project or branch."),
    "token_kind_mismatch": (401, "The issuer, audience and claims of the access token do not match."),
    "token_expired": (401, "The access token has expired."),
    "token_not_yet_valid": (401, "The access token is not valid yet."),
    "user_deleted": (401, "The user of this access token no longer exists."),
    "session_revoked": (401, "The session of this access token has ended."),
    "reauthentication_required": (401, "Sign in again to do this."),
    # a signed-in user without the required permission
    "anonymous_not_allowed": (403, "Anonymous users cannot do this. Sign up first."),
    "restricted_not_allowed": (403, "This account is restricted."),
    "email_not_verified": (403, "Verify your email address first."),
    "cross_site_request": (403, "This request came from another site."),
    "mfa_enrollment_required": (403, "Enable two-factor authentication first."),
    "permission_missing": (403, "A permission is missing for this."),
    "last_permission_holder": (403, "This is the last member of the team with this permission."),
    "team_not_found": (404, "There is no such team."),
    # a machine with a key
    "api_key_invalid": (401, "This API key is not accepted."),
}
_REQUEST_CODES: Mapping[str, tuple[int, str]] = {
    "request_invalid": (422, "This request does not fit the schema of the route."),  # 400 if the body cannot be parsed
    "request_too_large": (413, "The body of this request is too large."),
    "rate_limit_exceeded": (429, "Too many attempts. Try again later."),
    "mfa_required": (403, "Enter a code from your authenticator app."),
    "oauth_flow_invalid": (
        400,
        "This sign-in was started in another browser, took too long or is already finished. Start it again.",
    ),
    "profile_metadata_invalid": (409, "The metadata stored for this user does not have the expected shape."),
    "session_too_large": (500, "This session does not fit into a cookie."),
    # device authorization (RFC 8628 §3.5, RFC 6749 §5.2)
    "authorization_pending": (400, "The user has not confirmed the sign-in yet. Try again later."),
    "slow_down": (400, "This request came too soon. Wait five seconds longer between requests."),
    "access_denied": (400, "The user has denied access."),
    "expired_token": (400, "The device code has expired. Start again."),
    "invalid_grant": (400, "This code or token is unknown, already used or revoked, or belongs to another client."),
    "unsupported_grant_type": (400, "This grant type is not supported."),
    "user_code_invalid": (404, "The code is invalid or has expired."),
    "webhook_invalid": (400, "This message could not be verified."),
    "webhook_in_progress": (409, "Another request is handling this message."),
    # a call of an MCP tool that has no usable response
    "tool_timeout": (504, "This tool took too long."),
    "tool_response_too_large": (502, "The response of this tool is too large."),
    "tool_response_unsupported": (502, "The response of this tool is neither JSON nor text."),
    "tool_failed": (500, "This tool failed."),
}


class RequestError(StackAuthError):
    """The library cannot serve this request, because of its caller, form, size or rate, or its user's stored data.

    Args:
        code: A code from docs/errors.md.
        reason: What exactly is wrong. It is only logged and never contains a secret.
        details: Data that the caller may see, such as why a user is restricted.

    Raises:
        KeyError: The class has no such code.
    """

    codes: ClassVar[Mapping[str, tuple[int, str]]] = _REQUEST_CODES

    def __init__(self, code: str, *, reason: str | None = None, details: Mapping[str, Any] | None = None) -> None:
        self.status_code, message = self.codes[code]
        self.code = code
        self.reason = reason
        self.details = self.public_details = dict(details or {})
        super().__init__(message)


class AuthError(RequestError):
    """The caller is not authenticated (401), may not do this (403), or may not see this team (404): `AUTH_CODES`."""

    codes = AUTH_CODES


class RequestInvalid(RequestError):
    """The request does not fit the schema of this library's route: 422, or 400 if it cannot be parsed.

    `errors` are pairs of a location such as ``body.email`` and a sentence. They never repeat what the caller sent.
    """

    def __init__(
        self, errors: tuple[tuple[str, str], ...] = (), status_code: int = 422, *, reason: str | None = None
    ) -> None:
        pairs = [{"location": location, "message": message} for location, message in errors]
        super().__init__("request_invalid", reason=reason, details={"errors": pairs} if pairs else {})
        self.errors, self.status_code = errors, status_code


class SecondFactorRequired(RequestError):
    """A sign-in needs a TOTP code to finish.

    `attempt` is a secret to send with the code, valid for 5 minutes; None if a cookie contains it.
    """

    def __init__(self, attempt: str | None = None) -> None:
        super().__init__("mfa_required", details={"attempt": attempt} if attempt else {})
        self.attempt = attempt


class RateLimitExceeded(RequestError):
    """There were too many attempts from one address or for one account; `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("rate_limit_exceeded")
        self.retry_after = retry_after


class WebhookInvalid(RequestError):
    """The headers or the signature of a webhook message are wrong, or it is too old. `reason` is only logged."""

    def __init__(self, reason: str) -> None:
        super().__init__("webhook_invalid", reason=reason)


# --- the auth server, or the way to it ---


class Exchange(TypedDict, total=False):
    """The failed call, such as ``POST /auth/password/sign-in``, and the server's request id, for its operators."""

    operation: str | None
    request_id: str | None


class AuthServerError(StackAuthError):
    """The auth server or the connection to it failed. By default, `message` is the class's message."""

    status_code = 502
    code = "auth_server_error"
    message = "The auth server failed."

    def __init__(self, message: str | None = None, **exchange: Unpack[Exchange]) -> None:
        self.operation = exchange.get("operation")
        self.request_id = exchange.get("request_id")
        super().__init__(message)

    def __str__(self) -> str:
        """Return the sentence, with the operation and the request id if they are known."""
        facts = [part for part in (self.operation, self.request_id and f"request {self.request_id}") if part]
        return f"{self.message} ({', '.join(facts)})" if facts else self.message


class UnexpectedResponse(AuthServerError):
    """The auth server's response has no error code (a plain-text 4xx) or cannot be parsed (502)."""

    code = "auth_server_unexpected_response"
    message = "The auth server's response cannot be read."

    def __init__(self, status_code: int = 502, message: str | None = None, **exchange: Unpack[Exchange]) -> None:
        self.status_code = status_code
        if 400 <= status_code < 500:
            self.code, self.message = "auth_server_rejected", "The auth server rejected the request."
        super().__init__(message, **exchange)


class OAuthTokenError(UnexpectedResponse):
    """OAuth's token endpoint returned an OAuth error, such as ``invalid_request``, in `oauth_error` (RFC 6749 §5.2)."""

    def __init__(self, oauth_error: str, status_code: int = 400, **exchange: Unpack[Exchange]) -> None:
        self.oauth_error = oauth_error
        super().__init__(status_code, **exchange)


class AuthServerMisconfigured(AuthServerError):
    """The server rejects the app's own keys, project id or branch. This is never the caller's mistake."""

    code = "auth_server_misconfigured"
    message = "The auth server does not accept this app's configuration."


class AuthServerUnavailable(AuthServerError):
    """The server did not respond, or asked the client to try again later.

    Attributes:
        retry_after: Seconds after which the caller may try again.
        response_status: The HTTP status of the server's response. None if there was none.
        outcome_unknown: Whether the auth server may have executed the call: the client sent it, no response arrived,
            and repeating it could execute it twice. Check before you repeat it.
    """

    status_code = 503
    code = "auth_server_unavailable"
    message = "The auth server is unavailable."

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float = 5.0,
        response_status: int | None = None,
        outcome_unknown: bool = False,
        **exchange: Unpack[Exchange],
    ) -> None:
        self.retry_after = retry_after
        self.response_status = response_status
        self.outcome_unknown = outcome_unknown
        super().__init__(message, **exchange)


class AuthServerUnreachable(AuthServerUnavailable):
    """The connection failed: no server is listening, it was reset, TLS failed, or the host name did not resolve."""


class AuthServerTimeout(AuthServerUnavailable):
    """The response did not arrive in time."""

    message = "The auth server did not respond in time."


class AuthServerRateLimited(AuthServerUnavailable):
    """The auth server returned 429, even after retries."""

    code = "auth_server_rate_limited"
    message = "The auth server is limiting requests. Try again later."


class VerificationUnavailable(AuthServerUnavailable):
    """Neither the keys nor the fallback are available. The status is 503, because a 401 would sign users out."""

    code = "verification_unavailable"
    message = "Access tokens cannot be verified right now. Try again shortly."


class ClockSkew(VerificationUnavailable):
    """The times of a newly issued token are not valid. The status is 503, because a new token would not help."""

    code = "clock_skew"
    message = "Access tokens cannot be verified right now because the clocks of this server and the auth server differ."
