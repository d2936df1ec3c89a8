"""The auth server's error codes and their exception classes. Source: contract/known_errors.json."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Unpack

from fastapi_stackauth.errors.tree import AuthServerError, Exchange

__all__ = [
    "MISCONFIGURATION_CODES", "SERVER_CODES", "AccessTokenRejected", "ApiKeyNotValid", "EmailAlreadyExists",
    "EmailPasswordMismatch", "KnownApiError", "MethodNotEnabled", "MfaRequired", "OAuthConnectionError",
    "PasskeyFailed", "PermissionMissing", "RedirectUrlNotAllowed", "SchemaError", "SessionEnded", "SignInRequired",
    "SignUpNotEnabled", "TeamNotFound", "UserNotFound", "VerificationCodeError",
]  # fmt: skip

_TYPES: Mapping[str, type] = {"maxLength": int, "min_length": int, "would_work_if_email_was_verified": bool}


class KnownApiError(AuthServerError):
    """The auth server returned one of its error codes. Raised itself for codes without a class and for unknown codes.

    Attributes:
        code: The server's code, such as ``USER_EMAIL_ALREADY_EXISTS``.
        status_code: The server's HTTP status.
        details: The server's details, unchanged. They may contain data that the caller must not see, such as an MFA
            attempt code. Handlers return `public_details`, which only has the details that `SERVER_CODES` allows.
    """

    def __init__(
        self,
        code: str,
        status_code: int | None = None,
        details: Mapping[str, Any] | None = None,
        *,
        message: str | None = None,
        **exchange: Unpack[Exchange],
    ) -> None:
        known = SERVER_CODES.get(code, _UNKNOWN)
        self.code = code
        self.status_code = known.status if status_code is None else status_code
        self.details = dict(details or {})
        self.public_details = dict(_select(known.public_details, self.details))
        super().__init__(message or known.message, **exchange)

    @classmethod
    def of(
        cls, code: str, status_code: int | None = None, details: Mapping[str, Any] | None = None, **known: str | None
    ) -> "KnownApiError":
        """Return the error for a code, as an instance of its class."""
        return SERVER_CODES.get(code, _UNKNOWN).error_class(code, status_code, details, **known)

    def __str__(self) -> str:
        """Return the code and the sentence, but never the details, which may contain a code for signing in."""
        return f"{self.code}: {super().__str__()}"


def _select(names: tuple[str, ...], details: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the details of these names that have the type documented in `http.responses.DETAIL_SCHEMAS`."""
    for name in names:
        value = details.get(name)
        if name == "restricted_reason" and isinstance(value, Mapping):  # the server nests it (contract/tokens.md §1)
            value = value.get("type")
        if isinstance(value, str):
            value = value.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be encoded
        if type(value) is _TYPES.get(name, str):
            yield name, value


class SchemaError(KnownApiError):
    """The request does not fit the server's schema."""


class EmailPasswordMismatch(KnownApiError):
    """The email address is unknown or the password is wrong. The server does not distinguish them."""


class EmailAlreadyExists(KnownApiError):
    """An account with this email address already exists."""


class SignUpNotEnabled(KnownApiError):
    """The project does not allow sign-up."""


class MethodNotEnabled(KnownApiError):
    """This sign-in method is disabled in the project."""


class RedirectUrlNotAllowed(KnownApiError):
    """The URL of a link is not on one of the project's trusted domains."""


class VerificationCodeError(KnownApiError):
    """The server rejects a one-time code."""


class MfaRequired(KnownApiError):
    """The first factor was correct, and a TOTP code is needed to complete the sign-in. The attempt code is a secret."""

    @property
    def attempt_code(self) -> str:
        """The code that `client.mfa.sign_in` needs besides the six digits; valid for 5 minutes (tokens.md §7)."""
        return str(self.details.get("attempt_code", ""))


class PasskeyFailed(KnownApiError):
    """The server rejects the passkey, at registration or at sign-in."""


class SessionEnded(KnownApiError):
    """The refresh token is unknown, revoked or expired: the session is over."""


class AccessTokenRejected(KnownApiError):
    """The server rejected the access token of the request."""


class SignInRequired(KnownApiError):
    """The request needs a signed-in user: there is no token, or its user was deleted."""


class UserNotFound(KnownApiError):
    """There is no user with this id."""


class PermissionMissing(KnownApiError):
    """The user does not have a permission that the server requires."""


class TeamNotFound(KnownApiError):
    """There is no such team, or the user is not a member."""


class OAuthConnectionError(KnownApiError):
    """A connected account cannot be used for this request."""


class ApiKeyNotValid(KnownApiError):
    """The API key is unknown, expired, revoked or of another type."""


class Code(NamedTuple):
    """A code's current status, a sentence and the server's details that are safe to show, and its exception class."""

    status: int
    message: str
    error_class: type[KnownApiError] = KnownApiError
    public_details: tuple[str, ...] = ()


_UNKNOWN = Code(400, "The auth server rejected the request.")
SERVER_CODES: Mapping[str, Code] = {code: row for codes, row in (
    ("SCHEMA_ERROR BODY_PARSING_ERROR ALL_OVERLOADS_FAILED",
     Code(400, "The auth server could not accept a value of this request.", SchemaError)),
    ("EMAIL_PASSWORD_MISMATCH", Code(400, "The email address or the password is wrong.", EmailPasswordMismatch)),
    ("USER_EMAIL_ALREADY_EXISTS CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE",
     Code(409, "An account with this email address already exists.", EmailAlreadyExists,
          ("would_work_if_email_was_verified",))),
    ("PASSWORD_TOO_SHORT", Code(400, "This password is too short.", public_details=("min_length",))),
    ("PASSWORD_TOO_LONG", Code(400, "This password is too long.", public_details=("maxLength",))),
    ("PASSWORD_CONFIRMATION_MISMATCH", Code(400, "The current password is wrong.")),
    ("USER_DOES_NOT_HAVE_PASSWORD", Code(400, "This account has no password.")),
    ("SIGN_UP_NOT_ENABLED", Code(400, "New accounts cannot be created here.", SignUpNotEnabled)),
    ("SIGN_UP_REJECTED", Code(403, "This sign-up was rejected.")),
    (("PASSWORD_AUTHENTICATION_NOT_ENABLED PASSKEY_AUTHENTICATION_NOT_ENABLED ANONYMOUS_ACCOUNTS_NOT_ENABLED "
      "OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED"), Code(400, "This sign-in method is disabled.", MethodNotEnabled)),
    ("BOT_CHALLENGE_REQUIRED", Code(409, "Solve the bot challenge and try again.")),
    ("BOT_CHALLENGE_FAILED", Code(400, "The bot challenge was not solved.")),
    ("REDIRECT_URL_NOT_WHITELISTED",
     Code(400, "The project does not trust the URL that the link should lead to.", RedirectUrlNotAllowed)),
    ("VERIFICATION_CODE_NOT_FOUND", Code(404, "This code is wrong.", VerificationCodeError)),
    ("VERIFICATION_CODE_EXPIRED", Code(400, "This code has expired. Request a new one.", VerificationCodeError)),
    ("VERIFICATION_CODE_ALREADY_USED",
     Code(409, "This code has already been used. Request a new one.", VerificationCodeError)),
    ("VERIFICATION_CODE_MAX_ATTEMPTS_REACHED",
     Code(400, "There were too many attempts with this code. Request a new one.", VerificationCodeError)),
    ("MULTI_FACTOR_AUTHENTICATION_REQUIRED", Code(400, "Enter a code from your authenticator app.", MfaRequired)),
    ("INVALID_TOTP_CODE", Code(400, "This code is wrong. Try the next code that your app shows.")),
    ("PASSKEY_AUTHENTICATION_FAILED PASSKEY_REGISTRATION_FAILED PASSKEY_WEBAUTHN_ERROR",
     Code(400, "This passkey was not accepted.", PasskeyFailed)),
    ("REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED", Code(401, "This session has ended. Sign in again.", SessionEnded)),
    ("CANNOT_DELETE_CURRENT_SESSION", Code(400, "This is the current session. Sign out instead.")),
    ("ACCESS_TOKEN_EXPIRED UNPARSABLE_ACCESS_TOKEN INVALID_PROJECT_FOR_ACCESS_TOKEN",
     Code(401, "The auth server does not accept this access token.", AccessTokenRejected)),
    ("CANNOT_GET_OWN_USER_WITHOUT_USER USER_AUTHENTICATION_REQUIRED",
     Code(401, "No user is signed in.", SignInRequired)),
    ("USER_NOT_FOUND USER_ID_DOES_NOT_EXIST", Code(404, "There is no such user.", UserNotFound)),
    ("ANONYMOUS_AUTHENTICATION_NOT_ALLOWED", Code(401, "Anonymous users cannot do this. Sign up first.")),
    ("RESTRICTED_USER_NOT_ALLOWED TEAM_INVITATION_RESTRICTED_USER_NOT_ALLOWED",
     Code(403, "This account is restricted.", public_details=("restricted_reason",))),
    ("EMAIL_ALREADY_VERIFIED", Code(409, "This email address is already verified.")),
    ("TEAM_PERMISSION_REQUIRED PROJECT_PERMISSION_REQUIRED",
     Code(403, "A permission is missing for this.", PermissionMissing, ("permission_id", "team_id"))),
    ("TEAM_PERMISSION_NOT_FOUND",
     Code(404, "The member was not granted this permission.", PermissionMissing, ("permission_id", "team_id"))),
    ("PERMISSION_NOT_FOUND WRONG_PERMISSION_SCOPE",
     Code(404, "There is no such permission.", public_details=("permission_id",))),
    ("TEAM_NOT_FOUND TEAM_MEMBERSHIP_NOT_FOUND", Code(404, "There is no such team.", TeamNotFound)),
    ("TEAM_MEMBERSHIP_ALREADY_EXISTS", Code(409, "This user is already a member of the team.")),
    (("OAUTH_CONNECTION_NOT_CONNECTED_TO_USER OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE "
      "OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER OAUTH_ACCESS_TOKEN_NOT_AVAILABLE "
      "OAUTH_ACCESS_TOKEN_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS OAUTH_EXTRA_SCOPE_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS "
      "OAUTH_PROVIDER_ACCOUNT_ID_ALREADY_USED_FOR_SIGN_IN"),
     Code(400, "The connected account cannot be used for this.", OAuthConnectionError)),
    ("OAUTH_PROVIDER_ACCESS_DENIED OAUTH_PROVIDER_TEMPORARILY_UNAVAILABLE OUTER_OAUTH_TIMEOUT",
     Code(400, "The sign-in with the provider failed. Try again.")),
    ("INVALID_AUTHORIZATION_CODE", Code(400, "This authorization code was not accepted.")),
    ("API_KEY_NOT_FOUND", Code(404, "There is no such API key.", ApiKeyNotValid)),
    ("API_KEY_EXPIRED API_KEY_REVOKED WRONG_API_KEY_TYPE PUBLIC_API_KEY_CANNOT_BE_REVOKED",
     Code(401, "This API key was not accepted.", ApiKeyNotValid)),
) for code in codes.split()}  # fmt: skip
"""All known codes of the auth server, each with the other codes of the same row."""

MISCONFIGURATION_CODES = frozenset((
    "PROJECT_KEY_WITHOUT_ACCESS_TYPE", "INVALID_ACCESS_TYPE", "ACCESS_TYPE_WITHOUT_PROJECT_ID", "ACCESS_TYPE_REQUIRED",
    "INSUFFICIENT_ACCESS_TYPE", "INVALID_PUBLISHABLE_CLIENT_KEY", "INVALID_SECRET_SERVER_KEY",
    "INVALID_SUPER_SECRET_ADMIN_KEY", "CLIENT_AUTHENTICATION_REQUIRED", "PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT",
    "SERVER_AUTHENTICATION_REQUIRED", "CLIENT_OR_SERVER_AUTHENTICATION_REQUIRED", "ADMIN_AUTHENTICATION_REQUIRED",
    "INVALID_OAUTH_CLIENT_ID_OR_SECRET", "CURRENT_PROJECT_NOT_FOUND", "PROJECT_NOT_FOUND", "BRANCH_DOES_NOT_EXIST",
))  # fmt: skip
"""Codes with which the server rejects the app itself. They become `AuthServerMisconfigured`."""
