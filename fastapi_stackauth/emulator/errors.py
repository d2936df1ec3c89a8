"""All errors that the server can return.

    ApiError
    ├── KnownError    a code of the contract (known_errors.json), as JSON
    ├── PlainError    a sentence without a code, as text
    └── OAuthError    RFC 6749 section 5.2, as JSON without a code

Law: codes, statuses and names of details are those of the contract. The sentences are this project's own.
"""

from typing import Any, ClassVar

Details = dict[str, Any]


class ApiError(Exception):
    """An error response; `status` is its HTTP status."""

    status: int


class KnownError(ApiError):
    """An error with a code of the contract."""

    KNOWN: ClassVar[dict[str, tuple[int, str]]] = {
        "BODY_PARSING_ERROR": (400, "The body does not match its content type."),
        "SCHEMA_ERROR": (400, "The request does not match the schema of this endpoint."),
        "PROJECT_KEY_WITHOUT_ACCESS_TYPE": (400, "A key was sent without x-stack-access-type."),
        "INVALID_ACCESS_TYPE": (400, "x-stack-access-type must be client, server or admin."),
        "ACCESS_TYPE_WITHOUT_PROJECT_ID": (400, "x-stack-access-type came without x-stack-project-id."),
        "ACCESS_TYPE_REQUIRED": (400, "x-stack-access-type is missing."),
        "CANNOT_GET_OWN_USER_WITHOUT_USER": (400, "The request is about the user 'me', but no user is signed in."),
        "INSUFFICIENT_ACCESS_TYPE": (401, "This endpoint is not available to this access type."),
        "INVALID_PUBLISHABLE_CLIENT_KEY": (401, "The publishable client key does not belong to this project."),
        "INVALID_SECRET_SERVER_KEY": (401, "The secret server key does not belong to this project."),
        "INVALID_SUPER_SECRET_ADMIN_KEY": (401, "The super secret admin key does not belong to this project."),
        "UNPARSABLE_ADMIN_ACCESS_TOKEN": (401, "The admin access token cannot be read."),
        "PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT": (401, "This project needs a publishable client key."),
        "SERVER_AUTHENTICATION_REQUIRED": (401, "The access type server needs a secret server key."),
        "ADMIN_AUTHENTICATION_REQUIRED": (401, "The access type admin needs a super secret admin key."),
        "UNPARSABLE_ACCESS_TOKEN": (401, "The access token cannot be read."),
        "ACCESS_TOKEN_EXPIRED": (401, "The access token has expired: refresh it."),
        "INVALID_PROJECT_FOR_ACCESS_TOKEN": (401, "The access token belongs to another project."),
        "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED": (401, "The refresh token is unknown, or its session has ended."),
        "INVALID_POLLING_CODE": (400, "The polling code is unknown."),
        "CANNOT_DELETE_CURRENT_SESSION": (400, "The current session cannot be ended this way."),
        "USER_EMAIL_ALREADY_EXISTS": (409, "Another user signs in with this email address."),
        "USER_ID_DOES_NOT_EXIST": (400, "There is no user with this id."),
        "USER_NOT_FOUND": (404, "There is no such user."),
        "RESTRICTED_USER_NOT_ALLOWED": (403, "Restricted users cannot do this."),
        "CURRENT_PROJECT_NOT_FOUND": (400, "There is no project with the id of x-stack-project-id."),
        "BRANCH_DOES_NOT_EXIST": (400, "The project has no such branch."),
        "SIGN_UP_NOT_ENABLED": (400, "This project does not accept new users."),
        "SIGN_UP_REJECTED": (403, "A rule of this project rejects the sign-up."),
        "BOT_CHALLENGE_REQUIRED": (409, "Try again with a visible bot challenge."),
        "BOT_CHALLENGE_FAILED": (400, "The bot challenge failed."),
        "PASSWORD_AUTHENTICATION_NOT_ENABLED": (400, "Password sign-in is disabled in this project."),
        "PASSKEY_AUTHENTICATION_NOT_ENABLED": (400, "Passkeys are disabled in this project."),
        "ANONYMOUS_AUTHENTICATION_NOT_ALLOWED": (401, "Anonymous users cannot do this."),
        "EMAIL_PASSWORD_MISMATCH": (400, "Email address and password do not match."),
        "REDIRECT_URL_NOT_WHITELISTED": (400, "The redirect URL is not on one of this project's trusted domains."),
        "PASSWORD_TOO_SHORT": (400, "The password is too short."),
        "PASSWORD_TOO_LONG": (400, "The password is too long."),
        "USER_DOES_NOT_HAVE_PASSWORD": (400, "This user has no password."),
        "VERIFICATION_CODE_NOT_FOUND": (404, "The code is unknown."),
        "VERIFICATION_CODE_EXPIRED": (400, "The code has expired."),
        "VERIFICATION_CODE_ALREADY_USED": (409, "The code was used before."),
        "VERIFICATION_CODE_MAX_ATTEMPTS_REACHED": (400, "There were too many attempts with this code."),
        "PASSWORD_CONFIRMATION_MISMATCH": (400, "The old password is wrong."),
        "EMAIL_ALREADY_VERIFIED": (409, "The email address is already verified."),
        "EMAIL_IS_NOT_PRIMARY_EMAIL": (400, "This is not the user's primary email address."),
        "PASSKEY_REGISTRATION_FAILED": (400, "The passkey cannot be registered."),
        "PASSKEY_AUTHENTICATION_FAILED": (400, "The passkey was not accepted."),
        "TEAM_MEMBERSHIP_NOT_FOUND": (404, "The user is not in this team."),
        "TEAM_MEMBERSHIP_ALREADY_EXISTS": (409, "The user is already in this team."),
        "TEAM_NOT_FOUND": (404, "There is no such team."),
        "TEAM_PERMISSION_REQUIRED": (401, "The user lacks a permission in this team."),
        "TEAM_PERMISSION_NOT_FOUND": (401, "The user was not granted this permission in this team."),
        "TEAM_INVITATION_RESTRICTED_USER_NOT_ALLOWED": (403, "A restricted user cannot join a team."),
        "PERMISSION_NOT_FOUND": (404, "There is no such permission."),
        "PERMISSION_ID_ALREADY_EXISTS": (400, "A permission with this id already exists."),
        "CONTAINED_PERMISSION_NOT_FOUND": (400, "A contained permission does not exist."),
        "WRONG_PERMISSION_SCOPE": (404, "The permission has a different scope."),
        "USER_AUTHENTICATION_REQUIRED": (401, "A user must be signed in for this."),
        "API_KEY_NOT_FOUND": (404, "There is no such API key."),
        "API_KEY_EXPIRED": (401, "The API key has expired."),
        "API_KEY_REVOKED": (401, "The API key was revoked."),
        "WRONG_API_KEY_TYPE": (400, "The API key is of the wrong kind."),
        "OAUTH_CONNECTION_NOT_CONNECTED_TO_USER": (400, "The user has no account with this provider."),
        "OAUTH_CONNECTION_ALREADY_CONNECTED_TO_ANOTHER_USER": (409, "Another user has this provider account."),
        "OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE": (400, "The account was not connected with this scope."),
        "OAUTH_EXTRA_SCOPE_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS": (
            400,
            "Shared provider keys do not allow extra scopes.",
        ),
        "OAUTH_ACCESS_TOKEN_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS": (400, "Shared provider keys give no tokens."),
        "INVALID_OAUTH_CLIENT_ID_OR_SECRET": (400, "The OAuth client id or secret is wrong."),
        "OUTER_OAUTH_TIMEOUT": (408, "The sign-in took too long: start again."),
        "OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED": (400, "The OAuth provider is unknown or disabled."),
        "OAUTH_PROVIDER_ACCOUNT_ID_ALREADY_USED_FOR_SIGN_IN": (
            400,
            "This provider account is already used to sign in.",
        ),
        "MULTI_FACTOR_AUTHENTICATION_REQUIRED": (400, "A second factor is required; see attempt_code."),
        "INVALID_TOTP_CODE": (400, "The one-time password is wrong."),
        "INVALID_AUTHORIZATION_CODE": (400, "The authorization code is wrong, used or expired."),
        "OAUTH_PROVIDER_ACCESS_DENIED": (400, "The provider or the user denied access."),
        "OAUTH_PROVIDER_TEMPORARILY_UNAVAILABLE": (503, "The provider cannot be reached at the moment."),
        "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE": (409, "Another user signs in with this address."),
    }

    def __init__(self, code: str, message: str | None = None, /, **details: object) -> None:
        self.code = code
        self.status, sentence = self.KNOWN[code]
        self.message = message or sentence
        self.details: Details | None = details or None
        super().__init__(code)

    def body(self) -> Details:
        """Return the JSON body: code, details if any, error."""
        middle = {} if self.details is None else {"details": self.details}
        return {"code": self.code, **middle, "error": self.message}


class PlainError(ApiError):
    """An error with a message but no code."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text
        super().__init__(text)


class OAuthError(ApiError):
    """An error of the token endpoint without a code in the contract."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        self.status, self.error, self.description = status, error, description
        super().__init__(error)
