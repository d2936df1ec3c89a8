"""Every code that an error can have: its HTTP status, its sentence and what its details may show.

Sources: contract/known_errors.json for the auth server's codes and statuses.
"""

from collections.abc import Mapping
from typing import NamedTuple

REFUSALS: Mapping[str, tuple[int, str]] = {
    # no usable credential
    "authentication_required": (401, "Sign in to use this."),
    "credentials_malformed": (401, "The credentials of this request cannot be read."),
    "credentials_too_large": (401, "The credentials of this request are too large."),
    "credentials_conflict": (401, "This request carries two different access tokens."),
    # a token that is not accepted, in the order of the checks
    "token_malformed": (401, "The access token is not a well-formed JSON Web Token."),
    "token_algorithm_not_allowed": (401, "The access token is not signed with ES256."),
    "token_key_unknown": (401, "The access token is signed by an unknown key."),
    "token_signature_invalid": (401, "The signature of the access token is wrong."),
    "token_claims_missing": (401, "The access token lacks a required claim."),
    "token_issuer_not_allowed": (401, "The access token comes from another issuer."),
    "token_audience_not_allowed": (401, "The access token is meant for another audience."),
    "token_project_mismatch": (401, "The access token belongs to another project or branch."),
    "token_kind_mismatch": (401, "Issuer, audience and claims of the access token contradict each other."),
    "token_expired": (401, "The access token has expired."),
    "token_not_yet_valid": (401, "The access token is not valid yet."),
    "user_gone": (401, "The user of this access token no longer exists."),
    "session_revoked": (401, "The session of this access token has ended."),
    "reauthentication_required": (401, "Sign in again to do this."),
    # a known user who may not
    "anonymous_not_allowed": (403, "Guests may not do this: sign up first."),
    "restricted_not_allowed": (403, "This account is restricted for now."),
    "email_not_verified": (403, "Verify your e-mail address first."),
    "cross_site_request": (403, "This request came from another site."),
    "mfa_enrolment_required": (403, "Switch a second factor on first."),
    "permission_missing": (403, "A permission is missing for this."),
    "team_not_found": (404, "There is no such team."),
    # a machine with a key
    "api_key_invalid": (401, "This API key is not accepted."),
}
"""Every refusal: its HTTP status and its sentence. Order follows the checks."""


class ServerCode(NamedTuple):
    """One code of the auth server.

    Attributes:
        status: the HTTP status that the server gives today; a response's own status wins.
        message: a sentence that is safe to show to the caller.
        public_details: the members of the server's details that the caller may see.
    """

    status: int = 400
    message: str = "The auth server refused this."
    public_details: tuple[str, ...] = ()


UNKNOWN = ServerCode()
"""What stands for a code that the auth server may add later."""

SERVER_CODES: Mapping[str, ServerCode] = {
    "SCHEMA_ERROR": ServerCode(400, "The auth server could not accept a value of this request."),
    "BODY_PARSING_ERROR": ServerCode(400, "The auth server could not accept a value of this request."),
    "ALL_OVERLOADS_FAILED": ServerCode(400, "The auth server could not accept a value of this request."),
    "EMAIL_PASSWORD_MISMATCH": ServerCode(400, "E-mail address or password is wrong."),
    "USER_EMAIL_ALREADY_EXISTS": ServerCode(
        409, "An account with this e-mail address exists already.", ("would_work_if_email_was_verified",)
    ),
    "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE": ServerCode(
        409, "An account with this e-mail address exists already.", ("would_work_if_email_was_verified",)
    ),
    "PASSWORD_TOO_SHORT": ServerCode(400, "This password is too short.", ("min_length",)),
    "PASSWORD_TOO_LONG": ServerCode(400, "This password is too long.", ("maxLength",)),
    "PASSWORD_CONFIRMATION_MISMATCH": ServerCode(400, "The current password is wrong."),
    "USER_DOES_NOT_HAVE_PASSWORD": ServerCode(400, "This account has no password."),
    "SIGN_UP_NOT_ENABLED": ServerCode(400, "New accounts cannot be made here."),
    "SIGN_UP_REJECTED": ServerCode(403, "This sign-up was rejected."),
    "PASSWORD_AUTHENTICATION_NOT_ENABLED": ServerCode(400, "This way to sign in is switched off."),
    "PASSKEY_AUTHENTICATION_NOT_ENABLED": ServerCode(400, "This way to sign in is switched off."),
    "ANONYMOUS_ACCOUNTS_NOT_ENABLED": ServerCode(400, "This way to sign in is switched off."),
    "OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED": ServerCode(400, "This way to sign in is switched off."),
    "BOT_CHALLENGE_REQUIRED": ServerCode(409, "Solve the bot challenge and try again."),
    "BOT_CHALLENGE_FAILED": ServerCode(400, "The bot challenge was not solved."),
    "REDIRECT_URL_NOT_WHITELISTED": ServerCode(
        400, "The project does not trust the address that the link should lead to."
    ),
    "VERIFICATION_CODE_NOT_FOUND": ServerCode(404, "This code is wrong."),
    "VERIFICATION_CODE_EXPIRED": ServerCode(400, "This code has expired; ask for a new one."),
    "VERIFICATION_CODE_ALREADY_USED": ServerCode(409, "This code has been used already; ask for a new one."),
    "VERIFICATION_CODE_MAX_ATTEMPTS_REACHED": ServerCode(
        400, "There were too many attempts with this code; ask for a new one."
    ),
    "MULTI_FACTOR_AUTHENTICATION_REQUIRED": ServerCode(400, "A code from your authenticator app is needed."),
    "INVALID_TOTP_CODE": ServerCode(400, "This code is wrong; try the next one your app shows."),
    "PASSKEY_AUTHENTICATION_FAILED": ServerCode(400, "This passkey was not accepted."),
    "PASSKEY_REGISTRATION_FAILED": ServerCode(400, "This passkey was not accepted."),
    "PASSKEY_WEBAUTHN_ERROR": ServerCode(400, "This passkey was not accepted."),
    "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED": ServerCode(401, "This session has ended; sign in again."),
    "CANNOT_DELETE_CURRENT_SESSION": ServerCode(400, "This is the session in use: sign out instead."),
    "ACCESS_TOKEN_EXPIRED": ServerCode(401, "The auth server does not accept this access token."),
    "UNPARSABLE_ACCESS_TOKEN": ServerCode(401, "The auth server does not accept this access token."),
    "INVALID_PROJECT_FOR_ACCESS_TOKEN": ServerCode(401, "The auth server does not accept this access token."),
    "CANNOT_GET_OWN_USER_WITHOUT_USER": ServerCode(401, "No user is signed in."),
    "USER_AUTHENTICATION_REQUIRED": ServerCode(401, "No user is signed in."),
    "USER_NOT_FOUND": ServerCode(404, "There is no such user."),
    "USER_ID_DOES_NOT_EXIST": ServerCode(404, "There is no such user."),
    "ANONYMOUS_AUTHENTICATION_NOT_ALLOWED": ServerCode(401, "Guests may not do this: sign up first."),
    "RESTRICTED_USER_NOT_ALLOWED": ServerCode(403, "This account is restricted for now.", ("restricted_reason",)),
    "TEAM_INVITATION_RESTRICTED_USER_NOT_ALLOWED": ServerCode(
        403, "This account is restricted for now.", ("restricted_reason",)
    ),
    "EMAIL_ALREADY_VERIFIED": ServerCode(409, "This e-mail address has been verified already."),
    "TEAM_PERMISSION_REQUIRED": ServerCode(403, "A permission is missing for this.", ("permission_id", "team_id")),
    "PROJECT_PERMISSION_REQUIRED": ServerCode(403, "A permission is missing for this.", ("permission_id", "team_id")),
    "TEAM_PERMISSION_NOT_FOUND": ServerCode(403, "A permission is missing for this.", ("permission_id", "team_id")),
    "TEAM_NOT_FOUND": ServerCode(404, "There is no such team."),
    "TEAM_MEMBERSHIP_NOT_FOUND": ServerCode(404, "There is no such team."),
    "TEAM_MEMBERSHIP_ALREADY_EXISTS": ServerCode(409, "This user is a member of the team already."),
    "OAUTH_CONNECTION_NOT_CONNECTED_TO_USER": ServerCode(400, "The connected account cannot be used for this."),
    "OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE": ServerCode(400, "The connected account cannot be used for this."),
    "OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER": ServerCode(
        400, "The connected account cannot be used for this."
    ),
    "OAUTH_ACCESS_TOKEN_NOT_AVAILABLE": ServerCode(400, "The connected account cannot be used for this."),
    "OAUTH_ACCESS_TOKEN_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS": ServerCode(
        400, "The connected account cannot be used for this."
    ),
    "OAUTH_EXTRA_SCOPE_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS": ServerCode(
        400, "The connected account cannot be used for this."
    ),
    "OAUTH_PROVIDER_ACCOUNT_ID_ALREADY_USED_FOR_SIGN_IN": ServerCode(
        400, "The connected account cannot be used for this."
    ),
    "OAUTH_PROVIDER_ACCESS_DENIED": ServerCode(400, "The sign-in at the provider did not succeed."),
    "OAUTH_PROVIDER_TEMPORARILY_UNAVAILABLE": ServerCode(400, "The sign-in at the provider did not succeed."),
    "OUTER_OAUTH_TIMEOUT": ServerCode(400, "The sign-in at the provider did not succeed."),
    "INVALID_AUTHORIZATION_CODE": ServerCode(400, "This authorization code was not accepted."),
    "API_KEY_NOT_FOUND": ServerCode(401, "This API key was not accepted."),
    "API_KEY_EXPIRED": ServerCode(401, "This API key was not accepted."),
    "API_KEY_REVOKED": ServerCode(401, "This API key was not accepted."),
    "WRONG_API_KEY_TYPE": ServerCode(401, "This API key was not accepted."),
    "PUBLIC_API_KEY_CANNOT_BE_REVOKED": ServerCode(401, "This API key was not accepted."),
}
"""Every code of the auth server that this library knows."""

MISCONFIGURATION_CODES = frozenset(
    {
        "PROJECT_KEY_WITHOUT_ACCESS_TYPE",
        "INVALID_ACCESS_TYPE",
        "ACCESS_TYPE_WITHOUT_PROJECT_ID",
        "ACCESS_TYPE_REQUIRED",
        "INSUFFICIENT_ACCESS_TYPE",
        "INVALID_PUBLISHABLE_CLIENT_KEY",
        "INVALID_SECRET_SERVER_KEY",
        "INVALID_SUPER_SECRET_ADMIN_KEY",
        "CLIENT_AUTHENTICATION_REQUIRED",
        "PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT",
        "SERVER_AUTHENTICATION_REQUIRED",
        "CLIENT_OR_SERVER_AUTHENTICATION_REQUIRED",
        "ADMIN_AUTHENTICATION_REQUIRED",
        "INVALID_OAUTH_CLIENT_ID_OR_SECRET",
        "CURRENT_PROJECT_NOT_FOUND",
        "PROJECT_NOT_FOUND",
        "BRANCH_DOES_NOT_EXIST",
    }
)
"""Codes by which the server refuses the app itself; they surface as `AuthServerMisconfigured`."""
