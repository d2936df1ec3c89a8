"""Every error that this library raises on purpose. This folder imports nothing else of the package.

StackAuthError                      status_code, code, message
├── ConfigurationError              the app's developer: a setting is missing, wrong or contradicts another
│   └── MisuseError                 a dependency or model stands where it protects nothing; also a TypeError
├── AuthError                       the caller: 401 (who are you?) or 403 (you may not)
├── RequestInvalid                  the caller: a request of our own routes has the wrong form (422, or 400 unreadable)
├── WebhookRefused, -InProgress     who sent a webhook: not the auth server (400), or this one is under way (409)
├── SecondFactorRequired            the caller: the first factor was right, a code is needed to finish (403)
├── OAuthFlowInvalid                the caller: came back from a provider without a flow of this app (400)
├── RateLimitExceeded               the caller: too many attempts (429)
├── SessionTooLarge                 a session that does not fit into a cookie
├── ProfileMetadataInvalid          the user's stored metadata does not fit the app's own model
└── AuthServerError                 the auth server, or the way to it
    ├── UnexpectedAnswer            it refused without one of its codes, or answered something unreadable
    │   └── OAuthRefused            it refused with one of OAuth's own codes
    ├── KnownApiError               it answered one of its codes; unknown codes stay this class
    │   └── SchemaError, ...        a class for each that callers catch; all codes are in `codes.py`
    ├── AuthServerMisconfigured     502: it refuses our own keys or project id
    └── AuthServerUnavailable       503: no answer, or one that says "later"
        ├── AuthServerUnreachable   refused, reset, TLS or name resolution
        ├── AuthServerTimeout       no whole answer in time
        ├── RateLimited             it answered 429
        └── VerificationUnavailable a token could be neither accepted nor refused
            └── ClockSkew           since this host's clock and the auth server's disagree

Sources: contract/known_errors.json for codes and statuses; RFC 6750 and RFC 9457 for what callers are told.
No error ever holds a token, code, password or key.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar
from uuid import uuid4

from fastapi_stackauth.errors.codes import REFUSALS, SERVER_CODES, UNKNOWN


class StackAuthError(Exception):
    """Anything this library raises on purpose.

    Attributes:
        status_code: the HTTP status an app answers with.
        code: a stable name for programs; texts may change, codes do not.
        message: one sentence for people, safe to show to the caller.
    """

    status_code: int = 500
    code: str = "stack_auth_error"
    message: str = "Something went wrong with authentication."

    def __init__(self, message: str | None = None) -> None:
        if message is not None:
            self.message = message
        super().__init__(self.message)

    @cached_property
    def instance(self) -> str:
        """A URN for this very occurrence: in its answer and in the log (RFC 9457 §3.1.5)."""
        return uuid4().urn


class ConfigurationError(StackAuthError):
    """A setting is missing, wrong or contradicts another; the message names it.

    Attributes:
        setting: the setting that is missing; None for other mistakes. A request that needs a missing setting is
            answered with a problem document, other mistakes with a plain 500 and a traceback in the log.
    """

    code = "configuration_error"
    message = "The Stack Auth settings of this app are incomplete."

    def __init__(self, message: str | None = None, *, setting: str | None = None) -> None:
        self.setting = setting
        super().__init__(message)


class MisuseError(ConfigurationError, TypeError):
    """A route uses a dependency or a model of this library in a way that protects nothing; the message says how.

    It is also a TypeError, because `inspect`, `pydoc` and `dataclasses` expect one if a class has no signature.
    """


# --- the caller ------------------------------------------------------------------------------------------


class AuthError(StackAuthError):
    """The caller is not who, or not what, this endpoint demands: 401 or 403, or 404 for a team that is hidden.

    Args:
        code: a key of `REFUSALS`.
        reason: which check failed, for the log alone; never shown to the caller and never a secret.
        details: facts the caller may see, such as why a user is restricted.

    Raises:
        KeyError: for a code that `REFUSALS` does not list.
    """

    def __init__(self, code: str, *, reason: str | None = None, details: Mapping[str, Any] | None = None) -> None:
        self.status_code, message = REFUSALS[code]
        self.code = code
        self.reason = reason
        self.details = dict(details or {})
        super().__init__(message)


class RequestInvalid(StackAuthError):
    """A request of this library's routes does not have the form it should.

    Attributes:
        faults: where and what, as pairs of a place such as ``body.email`` and a sentence; never what was sent.
        reason: what the auth server said of a request that passed the checks here, for the log alone.
    """

    status_code = 422
    code = "request_invalid"
    message = "This request does not have the expected form."

    def __init__(
        self, faults: tuple[tuple[str, str], ...] = (), status_code: int = 422, *, reason: str | None = None
    ) -> None:
        self.faults = faults
        self.reason = reason
        self.status_code = status_code
        super().__init__()


class RequestTooLarge(StackAuthError):
    """The body of a request is longer than its route takes. `max_body_size` is the limit in bytes."""

    status_code = 413
    code = "request_too_large"
    message = "The body of this request is too large."

    def __init__(self, max_body_size: int) -> None:
        self.max_body_size = max_body_size
        super().__init__()


class WebhookRefused(StackAuthError):
    """A webhook message that is not the auth server's, or too old: its headers or its signature are wrong.

    Attributes:
        reason: what is wrong, for the log alone.
    """

    status_code = 400
    code = "webhook_invalid"
    message = "This message could not be verified."

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__()


class WebhookInProgress(StackAuthError):
    """The same webhook message is being handled right now: the auth server tries again, should that fail."""

    status_code = 409
    code = "webhook_in_progress"
    message = "This message is being handled."


class SecondFactorRequired(StackAuthError):
    """A sign-in through this library's routes needs a TOTP code to finish.

    Attributes:
        attempt: what goes with the code, valid for 5 minutes; None where it travels in a cookie.
    """

    status_code = 403
    code = "mfa_required"
    message = "A code from your authenticator app is needed."

    def __init__(self, attempt: str | None = None) -> None:
        self.attempt = attempt
        super().__init__()


class OAuthFlowInvalid(StackAuthError):
    """A browser came back from a provider without the flow that this app began in it (RFC 9700 §2.1)."""

    status_code = 400
    code = "oauth_flow_invalid"
    message = "This sign-in was begun in another browser, took too long or is over: start it again."


class RateLimitExceeded(StackAuthError):
    """Too many attempts from one address or for one account. `retry_after` is a number of seconds."""

    status_code = 429
    code = "rate_limit_exceeded"
    message = "Too many attempts; wait a moment."

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__()


class SessionTooLarge(StackAuthError):
    """A token, with its name, is more than the 4,096 bytes that browsers keep; `purpose` says which cookie's."""

    code = "session_too_large"
    message = "This session does not fit into a cookie."

    def __init__(self, purpose: str) -> None:
        self.purpose = purpose
        super().__init__()


class ProfileMetadataInvalid(StackAuthError):
    """The metadata stored for a user does not fit the model given to `LoadProfile`; `fields` names where."""

    status_code = 409
    code = "profile_metadata_invalid"
    message = "The metadata stored for this user does not have the expected shape."

    def __init__(self, fields: tuple[str, ...] = ()) -> None:
        self.fields = fields
        super().__init__()


# --- the auth server -------------------------------------------------------------------------------------


class AuthServerError(StackAuthError):
    """The auth server, or the way to it.

    Args:
        message: one sentence; the class's own where absent.
        operation: method and path template of the call, such as ``POST /auth/password/sign-in``.
        request_id: the server's id of the exchange, for its operators.
    """

    status_code = 502
    code = "auth_server_error"
    message = "The auth server could not do this."

    def __init__(
        self, message: str | None = None, *, operation: str | None = None, request_id: str | None = None
    ) -> None:
        self.operation = operation
        self.request_id = request_id
        super().__init__(message)

    def __str__(self) -> str:
        """The sentence, with the operation and the request id where they are known."""
        facts = [part for part in (self.operation, self.request_id and f"request {self.request_id}") if part]
        return f"{self.message} ({', '.join(facts)})" if facts else self.message


class UnexpectedAnswer(AuthServerError):
    """The server refused without one of its codes (a plain-text 4xx), or its answer cannot be read (502)."""

    code = "auth_server_unexpected_answer"
    message = "The auth server gave an unexpected answer."

    def __init__(
        self,
        status_code: int = 502,
        message: str | None = None,
        *,
        operation: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self.status_code = status_code
        if 400 <= status_code < 500:
            self.code, self.message = "auth_server_refused", "The auth server refused this."
        super().__init__(message, operation=operation, request_id=request_id)


class OAuthRefused(UnexpectedAnswer):
    """OAuth's token endpoint refused in its own words (RFC 6749 §5.2).

    Attributes:
        oauth_error: the error's code there, such as ``invalid_request``.
    """

    def __init__(
        self,
        oauth_error: str,
        status_code: int = 400,
        *,
        operation: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self.oauth_error = oauth_error
        super().__init__(status_code, operation=operation, request_id=request_id)


class AuthServerMisconfigured(AuthServerError):
    """The server refuses the app's own keys, project id or branch: a fault of the set-up, never of the caller."""

    code = "auth_server_misconfigured"
    message = "The auth server does not accept this app's configuration."


class AuthServerUnavailable(AuthServerError):
    """No answer, or one that says "later".

    Attributes:
        retry_after: seconds after which trying again makes sense.
        answer_status: the HTTP status that the server answered; None where no answer came.
        outcome_unknown: whether the auth server may have executed the call: it was sent, no response arrived, and
            sending it again could execute it twice. Check before you repeat it.
    """

    status_code = 503
    code = "auth_server_unavailable"
    message = "The auth server cannot be reached right now."

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float = 5.0,
        answer_status: int | None = None,
        outcome_unknown: bool = False,
        operation: str | None = None,
        request_id: str | None = None,
    ) -> None:
        self.retry_after = retry_after
        self.answer_status = answer_status
        self.outcome_unknown = outcome_unknown
        super().__init__(message, operation=operation, request_id=request_id)


class AuthServerUnreachable(AuthServerUnavailable):
    """The connection failed: refused, reset, TLS, or the name did not resolve."""


class AuthServerTimeout(AuthServerUnavailable):
    """No whole answer came in time."""

    message = "The auth server did not answer in time."


class RateLimited(AuthServerUnavailable):
    """The auth server answered 429, and went on doing so through the retries."""

    code = "auth_server_rate_limited"
    message = "The auth server asks for a pause."


class VerificationUnavailable(AuthServerUnavailable):
    """A token could be neither accepted nor refused: keys and fallback are both out of reach.

    503 and not 401: a 401 would make front ends sign their users out because of an outage.
    """

    code = "verification_unavailable"
    message = "Sign-ins cannot be checked right now; try again shortly."


class ClockSkew(VerificationUnavailable):
    """A token that the auth server has just given is refused for its time: one of the two clocks is wrong.

    503 and not 401: the session is fine, and signing in again would bring a token of the same kind.
    """

    code = "clock_skew"
    message = "Sign-ins cannot be checked right now: the clocks of this server and of the auth server disagree."


# --- the auth server's own codes -------------------------------------------------------------------------


class KnownApiError(AuthServerError):
    """The auth server answered one of its codes (`SERVER_CODES`). Codes it adds later stay this class.

    Attributes:
        code: the server's code, such as ``USER_EMAIL_ALREADY_EXISTS``.
        status_code: the server's HTTP status.
        details: the server's details, verbatim. They may hold what the caller must not see
            (an MFA attempt code): handlers show only those named in `public_details`.
        public_details: the names of those that the caller may see.
    """

    codes: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        code: str,
        status_code: int | None = None,
        details: Mapping[str, Any] | None = None,
        *,
        message: str | None = None,
        operation: str | None = None,
        request_id: str | None = None,
    ) -> None:
        known = SERVER_CODES.get(code, UNKNOWN)
        self.code = code
        self.status_code = known.status if status_code is None else status_code
        self.details = dict(details or {})
        self.public_details = known.public_details
        super().__init__(message or known.message, operation=operation, request_id=request_id)

    @classmethod
    def of(
        cls, code: str, status_code: int | None = None, details: Mapping[str, Any] | None = None, **known: str | None
    ) -> "KnownApiError":
        """Return the error of a code: of the class that callers catch for it, or of this one if there is none."""
        return _CLASSES.get(code, KnownApiError)(code, status_code, details, **known)

    def __str__(self) -> str:
        """The code and the sentence; never the details, which may hold a code that signs in."""
        return f"{self.code}: {super().__str__()}"


class SchemaError(KnownApiError):
    """The server found the request's form wrong."""

    codes = (
        "SCHEMA_ERROR",
        "BODY_PARSING_ERROR",
        "ALL_OVERLOADS_FAILED",
    )


class EmailPasswordMismatch(KnownApiError):
    """Unknown e-mail address or wrong password; the server does not tell which."""

    codes = ("EMAIL_PASSWORD_MISMATCH",)


class EmailAlreadyExists(KnownApiError):
    """An account with this e-mail address exists already."""

    codes = (
        "USER_EMAIL_ALREADY_EXISTS",
        "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE",
    )


class SignUpNotEnabled(KnownApiError):
    """The project takes no new accounts."""

    codes = ("SIGN_UP_NOT_ENABLED",)


class MethodNotEnabled(KnownApiError):
    """The project has this sign-in method switched off."""

    codes = (
        "PASSWORD_AUTHENTICATION_NOT_ENABLED",
        "PASSKEY_AUTHENTICATION_NOT_ENABLED",
        "ANONYMOUS_ACCOUNTS_NOT_ENABLED",
        "OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED",
    )


class RedirectUrlNotAllowed(KnownApiError):
    """A link's address is not among the project's trusted domains."""

    codes = ("REDIRECT_URL_NOT_WHITELISTED",)


class VerificationCodeError(KnownApiError):
    """A one-time code was not accepted."""

    codes = (
        "VERIFICATION_CODE_NOT_FOUND",
        "VERIFICATION_CODE_EXPIRED",
        "VERIFICATION_CODE_ALREADY_USED",
        "VERIFICATION_CODE_MAX_ATTEMPTS_REACHED",
    )


class MfaRequired(KnownApiError):
    """The first factor was right; a TOTP code is needed to finish. The attempt code is a secret."""

    codes = ("MULTI_FACTOR_AUTHENTICATION_REQUIRED",)

    @property
    def attempt_code(self) -> str:
        """What `client.mfa.sign_in` takes beside the six digits; valid for 5 minutes (tokens.md §7)."""
        return str(self.details.get("attempt_code", ""))


class PasskeyFailed(KnownApiError):
    """The passkey was not accepted, at registration or at sign-in."""

    codes = (
        "PASSKEY_AUTHENTICATION_FAILED",
        "PASSKEY_REGISTRATION_FAILED",
        "PASSKEY_WEBAUTHN_ERROR",
    )


class SessionGone(KnownApiError):
    """The refresh token is unknown, revoked or expired: the session is over."""

    codes = ("REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED",)


class AccessTokenRefused(KnownApiError):
    """The server does not accept the access token that was sent along."""

    codes = (
        "ACCESS_TOKEN_EXPIRED",
        "UNPARSABLE_ACCESS_TOKEN",
        "INVALID_PROJECT_FOR_ACCESS_TOKEN",
    )


class UserGone(KnownApiError):
    """The call needs a signed-in user, and there is none: no token, or its user was deleted."""

    codes = (
        "CANNOT_GET_OWN_USER_WITHOUT_USER",
        "USER_AUTHENTICATION_REQUIRED",
    )


class UserNotFound(KnownApiError):
    """There is no user with this id."""

    codes = (
        "USER_NOT_FOUND",
        "USER_ID_DOES_NOT_EXIST",
    )


class PermissionMissing(KnownApiError):
    """The user lacks a permission the server demands."""

    codes = (
        "TEAM_PERMISSION_REQUIRED",
        "PROJECT_PERMISSION_REQUIRED",
        "TEAM_PERMISSION_NOT_FOUND",
    )


class TeamNotFound(KnownApiError):
    """There is no such team, or it is none of the user's."""

    codes = (
        "TEAM_NOT_FOUND",
        "TEAM_MEMBERSHIP_NOT_FOUND",
    )


class OAuthConnectionError(KnownApiError):
    """A connected account cannot do what was asked of it."""

    codes = (
        "OAUTH_CONNECTION_NOT_CONNECTED_TO_USER",
        "OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE",
        "OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER",
        "OAUTH_ACCESS_TOKEN_NOT_AVAILABLE",
        "OAUTH_ACCESS_TOKEN_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS",
        "OAUTH_EXTRA_SCOPE_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS",
        "OAUTH_PROVIDER_ACCOUNT_ID_ALREADY_USED_FOR_SIGN_IN",
    )


class OAuthProviderFailed(KnownApiError):
    """The OAuth provider denied the request or was not available."""

    codes = (
        "OAUTH_PROVIDER_ACCESS_DENIED",
        "OAUTH_PROVIDER_TEMPORARILY_UNAVAILABLE",
        "OUTER_OAUTH_TIMEOUT",
    )


class ApiKeyNotValid(KnownApiError):
    """The API key is unknown, expired, revoked or of another type."""

    codes = (
        "API_KEY_NOT_FOUND",
        "API_KEY_EXPIRED",
        "API_KEY_REVOKED",
        "WRONG_API_KEY_TYPE",
        "PUBLIC_API_KEY_CANNOT_BE_REVOKED",
    )


_CLASSES: Mapping[str, type[KnownApiError]] = {
    code: kind
    for kind in tuple(globals().values())
    if isinstance(kind, type) and issubclass(kind, KnownApiError)
    for code in kind.codes
}
