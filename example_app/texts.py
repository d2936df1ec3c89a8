"""What pages say of errors and of what was done. A code comes from an address, so only known ones become words."""

from fastapi_stackauth.errors import AUTH_CODES, SERVER_CODES

NOTICES = {
    "account": "Your account has been deleted.",
    "address": "The address has been added. Have a mail sent to verify it.",
    "code": "If that address may sign in here, a mail with a code and a link is on its way.",
    "connected": "The account has been connected.",
    "invited": "The invitation is on its way.",
    "joined": "You are in the team now.",
    "left": "You have left the team.",
    "mfa-off": "Two-factor sign-in is off.",
    "mfa-on": "Two-factor sign-in is on. The next sign-in will ask for a code.",
    "passkey": "The passkey has been saved. You can sign in with it from now on.",
    "password": "Your password has been saved. Sign in with it now.",
    "password-changed": "Your password has been changed, and all other sessions have ended.",
    "password-set": "Your password has been saved.",
    "removed": "Removed.",
    "reset": "If there is an account with that address, a mail with a link is on its way.",
    "saved": "Saved.",
    "sent": "The mail is on its way.",
    "sessions": "The session has ended.",
    "signed-out": "You are signed out.",
    "team": "The team is there.",
    "verified": "Your address is verified. Thank you.",
}
SENTENCES = {
    "EMAIL_PASSWORD_MISMATCH": "E-mail address or password is wrong.",
    "INVALID_TOTP_CODE": "That code is wrong. Codes change every 30 seconds; type the one that is shown now.",
    "OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER": "That account belongs to another user of this app.",
    "PASSWORD_CONFIRMATION_MISMATCH": "The old password is wrong.",
    "PASSWORD_TOO_SHORT": "A password has at least 8 characters.",
    "USER_EMAIL_ALREADY_EXISTS": "There is an account with this address already. Sign in instead.",
    "VERIFICATION_CODE_ALREADY_USED": "This code has been used. Ask for a new one.",
    "VERIFICATION_CODE_EXPIRED": "This code has expired. Ask for a new one.",
    "VERIFICATION_CODE_NOT_FOUND": "This code is wrong, or the mail was asked for in another browser.",
    "anonymous_not_allowed": "Guests cannot do this. Sign up first: your notes stay yours.",
    "auth_server_unavailable": "Signing in does not work at the moment. Try again soon.",
    "note_form": "A note has between 1 and 2000 characters.",
    "permission_missing": "You may not do this: it takes a permission that you do not have.",
    "rate_limit_exceeded": "Too many attempts. Wait a minute, then try again.",
    "reauthentication_required": "For this the sign-in must be fresh. Sign in again, then come back.",
    "request_invalid": "Something is missing or has the wrong form.",
    "restricted_not_allowed": "Verify your e-mail address first: there is a link in the mail that we sent.",
    "verification_unavailable": "Signing in does not work at the moment. Try again soon.",
}
HEADINGS = {
    "anonymous_not_allowed": "An account is needed",
    "auth_server_unavailable": "Try again soon",
    "permission_missing": "Not allowed",
    "reauthentication_required": "Sign in again",
    "restricted_not_allowed": "Verify your address",
    "verification_unavailable": "Try again soon",
}


def notice(name: str | None) -> str:
    """What has been done."""
    return NOTICES.get(name or "", "")


def sentence(code: str | None) -> str:
    """What a code means, for people; empty without one."""
    if not code:
        return ""
    if code in AUTH_CODES:
        return SENTENCES.get(code) or AUTH_CODES[code][1]
    known = SERVER_CODES.get(code)
    return SENTENCES.get(code) or (known.message if known else "That did not work. Try again.")


def heading(code: str) -> str:
    """The title of an error's page."""
    return HEADINGS.get(code, "That did not work")
