"""The texts of errors and notices on the pages, and the fields of errors.

Law: a code in a URL only selects one of these texts. A page never repeats parts of the URL.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from fastapi_stackauth.errors import AUTH_CODES, SERVER_CODES, RequestError, RequestInvalid, StackAuthError

FAILED = "That did not work. Try again."
FAILED_HEADING = "That did not work"
SENT_ALREADY = "You have sent this form already."
SWITCHED = "You have switched accounts since you opened this page. Check it, then try again."
MFA_OVER = "That took too long, or was started in another browser. Sign in again."
QR_CODE = "QR code for an authenticator app"
PERMISSION = "A permission is missing for this."
UNAVAILABLE = "Sign-in is not available right now. Try again soon."

BACK = "Back to sign-in"
CONTINUE = "Continue"
ENABLE_MFA = "Enable two-factor authentication"
SIGN_IN = "Sign in"
SIGN_UP = "Sign up"
TRY_AGAIN = "Try again"
VERIFY = "Verify your email address"
ACTIONS = (BACK, CONTINUE, ENABLE_MFA, SIGN_IN, SIGN_UP, TRY_AGAIN, VERIFY)
"""The links of error pages."""

ONCE = "once"
"""The hidden field of forms that must have an effect only once. It contains a random value of the page."""
ACCOUNT = "account"
"""The hidden field of forms that change an account. It contains the id of the user who opened the page."""

NOTICES: Mapping[str, str] = {
    "account-deleted": "Your account has been deleted.",
    "address": "The email address has been added. Verify it to use it.",
    "code": "If this address can sign in here, we have sent an email with a code and a link.",
    "connected": "The account has been connected.",
    "mfa-off": "Two-factor authentication is disabled.",
    "mfa-on": "Two-factor authentication is enabled. The next sign-in asks for a code.",
    "passkey": "The passkey has been added. You can sign in with it now.",
    "password-changed": "Your password has been changed, and all other sessions have ended.",
    "password": "Your password has been changed. Sign in with it now.",
    "reset": "If there is an account with this address, we have sent an email with a link.",
    "removed": "Deleted.",
    "saved": "Saved.",
    "sent": "We have sent an email with a link.",
    "sessions": "The session has ended.",
    "invited": "We have sent the invitation.",
    "joined": "Welcome to the team.",
    "left": "You have left the team.",
    "selected": "You work in this team now.",
    "team": "The team has been created. Invite its members.",
    "device-allowed": "The device is signed in.",
    "device-denied": "Access was denied.",
    "everywhere": "You are signed out everywhere.",
    "signed-out": "You are signed out.",
    "verified": "Your email address is verified. Thank you.",
}
"""Notices, by their name in the query."""

MESSAGES: Mapping[str, str] = {
    "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE": "An account with this email address exists already. Sign "
    "in to it, then connect the other account in its settings.",
    "EMAIL_PASSWORD_MISMATCH": "The email address or the password is wrong.",
    "INVALID_TOTP_CODE": "This code is wrong. Codes change every 30 seconds; enter the current one.",
    "OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER": "That account belongs to another user of this app.",
    "OAUTH_PROVIDER_ACCESS_DENIED": "You canceled the sign-in at the provider, or it was denied there.",
    "PASSWORD_CONFIRMATION_MISMATCH": "The current password is wrong.",
    "PASSWORD_AUTHENTICATION_NOT_ENABLED": "Signing in with a password is disabled.",
    "PASSWORD_TOO_LONG": "A password has at most 70 characters.",
    "PASSWORD_TOO_SHORT": "A password has at least 8 characters.",
    "SIGN_UP_NOT_ENABLED": "Sign-up is disabled.",
    "USER_EMAIL_ALREADY_EXISTS": "There is an account with this address already. Sign in instead.",
    "VERIFICATION_CODE_ALREADY_USED": "This code has been used. Request a new one.",
    "VERIFICATION_CODE_EXPIRED": "This code has expired. Request a new one.",
    "VERIFICATION_CODE_MAX_ATTEMPTS_REACHED": "Too many attempts. Request a new code.",
    "VERIFICATION_CODE_NOT_FOUND": "This code is wrong, or was requested in another browser.",
    "auth_server_misconfigured": UNAVAILABLE,
    "auth_server_rate_limited": UNAVAILABLE,
    "auth_server_unavailable": UNAVAILABLE,
    "clock_skew": UNAVAILABLE,
    "rate_limit_exceeded": "Too many attempts. Wait a minute, then try again.",
    "API_KEY_NOT_FOUND": "There is no such API key any more.",
    "TEAM_INVITATION_RESTRICTED_USER_NOT_ALLOWED": "Verify your email address first, then accept the invitation.",
    "permission_missing": "You may not do this in this team.",
    "reauthentication_required": "Sign in again to do this.",
    "request_invalid": "Something is missing or invalid.",
    "session_revoked": "This session has ended. Sign in again.",
    "user_deleted": "This account no longer exists.",
    "verification_unavailable": UNAVAILABLE,
}
"""Texts of error codes for users, if the message of the error is for developers."""

FIELDS: Mapping[str, str] = {
    "EMAIL_PASSWORD_MISMATCH": "password",
    "INVALID_TOTP_CODE": "code",
    "PASSWORD_CONFIRMATION_MISMATCH": "old_password",
    "PASSWORD_TOO_LONG": "password",
    "PASSWORD_TOO_SHORT": "password",
    "USER_EMAIL_ALREADY_EXISTS": "email",
    "request_too_large": "profile_image_url",
    "user_code_invalid": "user_code",
    "VERIFICATION_CODE_ALREADY_USED": "code",
    "VERIFICATION_CODE_EXPIRED": "code",
    "VERIFICATION_CODE_MAX_ATTEMPTS_REACHED": "code",
    "VERIFICATION_CODE_NOT_FOUND": "code",
}
"""The field of an error. On a page without this field, the error is shown above the form."""

_OF_PASSKEYS = (
    "PASSKEY_AUTHENTICATION_FAILED",
    "PASSKEY_REGISTRATION_FAILED",
    "PASSKEY_WEBAUTHN_ERROR",
    "PASSKEY_AUTHENTICATION_NOT_ENABLED",
    "auth_server_unavailable",
    "authentication_required",
    "rate_limit_exceeded",
    "reauthentication_required",
    "session_revoked",
    "verification_unavailable",
)
_OF_NEW_PASSWORD = ("PASSWORD_TOO_LONG", "PASSWORD_TOO_SHORT")

INVALID_FIELDS: Mapping[str, str] = {
    "code": "Enter the whole code.",
    "confirm": "Tick the box first: this cannot be undone.",
    "description": "Enter what the key is for.",
    "expires_at_millis": "Choose when the key expires.",
    "display_name": "Enter a name of at most 256 characters.",
    "email": "Enter an email address, such as ada@example.com.",
    "new_password": "Enter a password of at most 70 characters.",
    "old_password": "Enter your current password.",
    "password": "Enter a password of at most 70 characters.",
    "profile_image_url": "Choose a PNG, JPEG, GIF or WebP image of at most 700 KB.",
    "value": "Enter an email address, such as ada@example.com.",
}
"""The hints for fields with an invalid value."""

OF_TEAMS: Mapping[str, str] = {
    "display_name": "Enter a name of 1 to 100 characters, without a web address.",
    "confirm": "Tick the box first: this cannot be undone.",
}
"""Texts of the forms that change or delete a team."""

OF_INVITATIONS: Mapping[str, str] = {
    "TEAM_NOT_FOUND": "This team no longer exists.",
    "VERIFICATION_CODE_ALREADY_USED": "This invitation has been accepted.",
    "VERIFICATION_CODE_EXPIRED": "This invitation has expired. Ask for a new one.",
    "VERIFICATION_CODE_MAX_ATTEMPTS_REACHED": "This invitation has been opened too many times. Ask for a new one.",
    "VERIFICATION_CODE_NOT_FOUND": "There is no such invitation. It may have been revoked.",
}
"""Texts of the page that an invitation opens."""

OF_DEVICES: Mapping[str, str] = {
    "user_code": "Enter the code that the device shows.",
    "user_code_invalid": "There is no such code. It may have expired or been used.",
}
"""Texts of the page where users enter a device's code."""

DEVICE_NOTICES = ("device-allowed", "device-denied")
"""The notices after which that page has no form."""

NO_TEXTS: Mapping[str, str] = {}

HEADINGS: Mapping[int, str] = {
    401: "Sign in to continue",
    403: "Access denied",
    404: "Not found",
    429: "Too many attempts",
    502: "Try again soon",
    503: "Try again soon",
}
"""The headings of error pages, by status."""

_NOT_FOR_USERS = ("credentials_", "token_", "tool_", "webhook_")
"""The prefixes of codes with messages for developers, which no page shows."""


@dataclass(frozen=True)
class Problem:
    """The texts of an error.

    Attributes:
        summary: The text above the form. Empty if every error belongs to a field.
        fields: The texts next to the fields, by the field's name.
    """

    summary: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


def describe_problem(
    error: StackAuthError | None, fields: tuple[str, ...], texts: Mapping[str, str] = NO_TEXTS
) -> Problem:
    """Return the texts for an error on a page with these fields and optional texts of its own."""
    if error is None:
        return Problem()
    if isinstance(error, RequestInvalid):
        names = {location.removeprefix("body.") for location, _ in error.errors}
        if names in ({ONCE}, {ACCOUNT}):
            return Problem(SENT_ALREADY if ONCE in names else SWITCHED)
        invalid = {**INVALID_FIELDS, **texts}
        known = {name: invalid[name] for name in fields if name in names and name in invalid}
        return Problem("" if known and known.keys() == names else find_message(error.code), known)
    name, text = FIELDS.get(error.code, ""), texts.get(error.code) or find_message(error.code)
    name = f"new_{name}" if f"new_{name}" in fields and error.code in _OF_NEW_PASSWORD else name
    return Problem(fields={name: text}) if name in fields else Problem(text)


def find_message(code: str) -> str:
    """Return the text for an error code, which may come from a URL."""
    return MESSAGES.get(code) or _find_texts().get(code) or FAILED


@cache
def _find_texts() -> Mapping[str, str]:
    """Return the messages of the errors that pages may show, by code."""
    ours = {code: text for code, (_, text) in {**AUTH_CODES, **RequestError.codes}.items()}
    shown = {code: text for code, text in ours.items() if not code.startswith(_NOT_FOR_USERS)}
    return {**{code: known.message for code, known in SERVER_CODES.items()}, **shown}


SCRIPT_TEXTS: Mapping[str, str] = {
    "already_registered": "This device already has a passkey for this account.",
    "failed": FAILED,
    "not_allowed": "That was canceled, or took too long.",
    "not_supported": "This device cannot create a passkey.",
    "wrong_origin": "Passkeys do not work at this address.",
    **{code: find_message(code) for code in _OF_PASSKEYS},
}
"""Texts of the errors that the script shows, by code."""


def collect_texts() -> tuple[str, ...]:
    """Return all texts in this module that appear on pages, so that the catalogs contain them."""
    codes = {code: text for code, text in _find_texts().items() if code not in MESSAGES}
    of_pages = (OF_TEAMS, OF_INVITATIONS, OF_DEVICES)
    tables = (NOTICES, MESSAGES, INVALID_FIELDS, *of_pages, HEADINGS, SCRIPT_TEXTS, codes)
    single = (*ACTIONS, PERMISSION, FAILED, FAILED_HEADING, MFA_OVER, SENT_ALREADY, SWITCHED, QR_CODE, UNAVAILABLE)
    return tuple(dict.fromkeys([*single, *(text for table in tables for text in table.values())]))
