"""The texts of errors and notices. A code comes from the URL, so only known codes become text."""

from fastapi_stackauth.errors import AUTH_CODES, SERVER_CODES

NOTICES = {
    "account": "Your account has been deleted.",
    "address": "The address has been added. Send an email to verify it.",
    "code": "If this address can sign in here, we have sent an email with a code and a link.",
    "connected": "The account has been connected.",
    "invited": "The invitation has been sent.",
    "joined": "You have joined the team.",
    "left": "You have left the team.",
    "mfa-off": "Two-factor authentication is disabled.",
    "mfa-on": "Two-factor authentication is enabled. The next sign-in will ask for a code.",
    "passkey": "The passkey has been added. You can sign in with it now.",
    "password": "Your password has been saved. Sign in with it now.",
    "password-changed": "Your password has been changed, and all other sessions have ended.",
    "password-set": "Your password has been saved.",
    "removed": "Removed.",
    "reset": "If there is an account with this address, we have sent an email with a link.",
    "saved": "Saved.",
    "sent": "The email has been sent.",
    "sessions": "The session has ended.",
    "signed-out": "You are signed out.",
    "team": "The team has been created.",
    "verified": "Your address is verified. Thank you.",
}
SENTENCES = {
    "EMAIL_PASSWORD_MISMATCH": "The email address or the password is wrong.",
    "INVALID_TOTP_CODE": "That code is wrong. Codes change every 30 seconds; enter the current one.",
    "OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER": "That account belongs to another user of this app.",
    "PASSWORD_CONFIRMATION_MISMATCH": "The old password is wrong.",
    "PASSWORD_TOO_SHORT": "A password has at least 8 characters.",
    "USER_EMAIL_ALREADY_EXISTS": "There is an account with this address already. Sign in instead.",
    "VERIFICATION_CODE_ALREADY_USED": "This code has been used. Request a new one.",
    "VERIFICATION_CODE_EXPIRED": "This code has expired. Request a new one.",
    "VERIFICATION_CODE_NOT_FOUND": "This code is wrong, or was requested in another browser.",
    "anonymous_not_allowed": "You need an account for this. Sign up to keep your notes.",
    "auth_server_unavailable": "Sign-in is not available right now. Try again soon.",
    "note_form": "A note has between 1 and 2000 characters.",
    "permission_missing": "You do not have permission to do this.",
    "rate_limit_exceeded": "Too many attempts. Wait a minute, then try again.",
    "reauthentication_required": "Sign in again to do this.",
    "request_invalid": "Something is missing or invalid.",
    "restricted_not_allowed": "Verify your email address first. We have sent you an email with a link.",
    "verification_unavailable": "Sign-in is not available right now. Try again soon.",
}
HEADINGS = {
    "anonymous_not_allowed": "You need an account",
    "auth_server_unavailable": "Try again soon",
    "permission_missing": "Not allowed",
    "reauthentication_required": "Sign in again",
    "restricted_not_allowed": "Verify your address",
    "verification_unavailable": "Try again soon",
}


def notice(name: str | None) -> str:
    """Return the text of a notice."""
    return NOTICES.get(name or "", "")


def sentence(code: str | None) -> str:
    """Return the text of an error code; empty without a code."""
    if not code:
        return ""
    if code in AUTH_CODES:
        return SENTENCES.get(code) or AUTH_CODES[code][1]
    known = SERVER_CODES.get(code)
    return SENTENCES.get(code) or (known.message if known else "That did not work. Try again.")


def heading(code: str) -> str:
    """Return the title of an error's page."""
    return HEADINGS.get(code, "That did not work")
