"""Stack Auth (Hexclave) for FastAPI: dependencies, sign-in routes, typed errors.

What `__all__` lists is the public API; everything else may change.

Example:
    >>> from fastapi import FastAPI
    >>> from fastapi_stackauth import CurrentUser, StackAuth, User
    >>> stack = StackAuth()
    >>> app = FastAPI()
    >>> stack.install(app)
    >>> app.include_router(stack.router(delivery="body"), prefix="/api/auth")
    >>> @app.get("/me")
    ... async def me(user: CurrentUser) -> User:
    ...     return user
"""

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from pydantic import SecretStr

from fastapi_stackauth._version import __version__
from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.dependencies import (
    IdentifyUser,
    LoadProfile,
    Require,
    RequireTeam,
    RequireTeamApiKey,
    RequireUserApiKey,
    SessionCheck,
    SessionWatch,
    WatchSession,
    access_token,
    api_key_team,
    api_key_user,
    current_profile,
    current_team,
    current_user,
    display_user,
    optional_user,
)
from fastapi_stackauth.dependencies.account import Profile, RequireAccessToken
from fastapi_stackauth.errors import (
    AuthError,
    AuthServerError,
    AuthServerMisconfigured,
    AuthServerUnavailable,
    ConfigurationError,
    KnownApiError,
    StackAuthError,
    VerificationUnavailable,
)
from fastapi_stackauth.errors.problems import problem_document
from fastapi_stackauth.http.handlers import error_response, stack_auth_error_handler
from fastapi_stackauth.http.health import HealthReport
from fastapi_stackauth.kinds import TokenKind
from fastapi_stackauth.models import CurrentUserProfile, Team, User
from fastapi_stackauth.plugin import StackAuth
from fastapi_stackauth.runtime.events import AuthEvent, AuthEvents
from fastapi_stackauth.runtime.late import load_late as _load_late
from fastapi_stackauth.sessions.cookies import OriginPolicy, SdkCookies
from fastapi_stackauth.sessions.credentials import Credential, CredentialSource, HeaderCredentials, QueryToken
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.startup.guards import guard_alias as _guard_alias

if TYPE_CHECKING:
    from fastapi_stackauth.http.webhooks import WebhookRouter
    from fastapi_stackauth.models.webhooks import (
        ProjectPermissionEvent,
        TeamDeletedEvent,
        TeamEvent,
        TeamMembershipEvent,
        TeamPermissionEvent,
        UserDeletedEvent,
        UserEvent,
        WebhookEvent,
    )
    from fastapi_stackauth.pages import Theme
    from fastapi_stackauth.routers import Grants, SignInMethods, TotpEnrollment, sign_in_methods, totp_enrollment

CurrentUser = Annotated[User, Depends(current_user)]
"""The signed-in user: `async def me(user: CurrentUser)`. Without a user the response is 401; for anonymous and
restricted users it is 403."""

OptionalUser = Annotated[User | None, Depends(optional_user)]
"""The signed-in user or None: `async def hello(user: OptionalUser)`."""

DisplayUser = Annotated[User | None, Depends(display_user)]
"""The signed-in user to show, as in a navigation bar, or None: `async def page(user: DisplayUser)`. It never fails a
page: no session, an invalid one and an outage of the auth server are None. Never decide with it what a caller may
do."""

AccessToken = Annotated[SecretStr, Depends(access_token)]
"""The signed-in user's verified access token, for calls to the auth server on their behalf."""

CurrentTeam = Annotated[Team, Depends(current_team)]
"""The team of the path parameter `team_id`; 403 unless the user is a member."""

ApiKeyUser = Annotated[User, Depends(api_key_user)]
"""The owner of the user API key in the request; 401 without a key."""

ApiKeyTeam = Annotated[Team, Depends(api_key_team)]
"""The owner of the team API key in the request; 401 without a key."""

CurrentProfile = Annotated[CurrentUserProfile, Depends(current_profile)]
"""The signed-in user's account, fresh from the auth server."""

for _alias in (
    "AccessToken",
    "ApiKeyTeam",
    "ApiKeyUser",
    "CurrentProfile",
    "CurrentTeam",
    "CurrentUser",
    "DisplayUser",
    "OptionalUser",
):
    _guard_alias(globals()[_alias], _alias)

__all__ = [
    "AccessToken",
    "ApiKeyTeam",
    "ApiKeyUser",
    "AuthError",
    "AuthEvent",
    "AuthEvents",
    "AuthServerError",
    "AuthServerMisconfigured",
    "AuthServerUnavailable",
    "ConfigurationError",
    "Credential",
    "CredentialSource",
    "CurrentProfile",
    "CurrentTeam",
    "CurrentUser",
    "CurrentUserProfile",
    "DisplayUser",
    "Grants",
    "HeaderCredentials",
    "HealthReport",
    "IdentifyUser",
    "KnownApiError",
    "LoadProfile",
    "OptionalUser",
    "OriginPolicy",
    "Profile",
    "ProjectPermissionEvent",
    "QueryToken",
    "Require",
    "RequireAccessToken",
    "RequireTeam",
    "RequireTeamApiKey",
    "RequireUserApiKey",
    "SdkCookies",
    "SessionCheck",
    "SessionWatch",
    "Settings",
    "SignInMethods",
    "StackAuth",
    "StackAuthClient",
    "StackAuthError",
    "Team",
    "TeamDeletedEvent",
    "TeamEvent",
    "TeamMembershipEvent",
    "TeamPermissionEvent",
    "Theme",
    "TokenKind",
    "TotpEnrollment",
    "User",
    "UserDeletedEvent",
    "UserEvent",
    "VerificationUnavailable",
    "WatchSession",
    "WebhookEvent",
    "WebhookRouter",
    "__version__",
    "access_token",
    "api_key_team",
    "api_key_user",
    "current_profile",
    "current_team",
    "current_user",
    "display_user",
    "error_response",
    "optional_user",
    "problem_document",
    "sign_in_methods",
    "stack_auth_error_handler",
    "totp_enrollment",
]

if not TYPE_CHECKING:  # type checkers use the imports above, and report unknown names
    __getattr__, __dir__ = _load_late(__name__, ("http.webhooks", "routers", "pages"), __all__)
