"""All there is to the integration: one `StackAuth`, its routers, and a name for each kind of caller that the app knows.

The pages' forms post to the routers under `/auth`, so no file of this app handles a password, a code or a token.
"""

from typing import Annotated

from fastapi import Depends, FastAPI
from pydantic import SecretStr

from fastapi_stackauth import (
    Grants,
    IdentifyUser,
    Require,
    RequireAccessToken,
    RequireTeam,
    SessionWatch,
    SignInMethods,
    StackAuth,
    StackAuthClient,
    Team,
    User,
    WatchSession,
    sign_in_methods,
)

# Project id, keys, addresses and Redis come from the environment: STACK_PROJECT_ID, STACK_APP_URL, STACK_REDIS_URL, ...
stack = StackAuth(sign_in_url="/sign-in", after_sign_in="/notes")

DELETE_NOTES = "notes:delete"  # in a team; its creator has it, because the project contains it in team_admin
READ_REPORTS = "reports:read"  # in the project
GRANTS = Grants(by="team_admin", grantable={DELETE_NOTES})  # what a team's admins may grant its members

anybody = Require(allow_anonymous=True)  # any signed-in user, also anonymous ones and those without a verified address

Anybody = Annotated[User, Depends(anybody)]
AnybodyOrKey = Annotated[User, Depends(Require(allow_anonymous=True, allow_api_key=True))]  # or one of their API keys
MaybeAnybody = Annotated[User | None, Depends(IdentifyUser(allow_anonymous=True))]
TeamOfMember = Annotated[Team, Depends(RequireTeam("team_id"))]
MayDeleteNotes = Annotated[User, Depends(Require(team_permission=DELETE_NOTES, team="team_id"))]
Admin = Annotated[User, Depends(Require(permission=READ_REPORTS))]
Offered = Annotated[SignInMethods, Depends(sign_in_methods)]

# A WebSocket ends when its token expires or the session is revoked; it is checked every ten seconds.
Watch = Annotated[SessionWatch, Depends(WatchSession(every=10, require=anybody))]
WatchOfMember = Annotated[SessionWatch, Depends(WatchSession(every=10, require=Require(team_member="team_id")))]


webhooks = stack.webhooks("/webhooks/stack-auth")  # `notes.py` registers a handler


async def client_of_caller(token: Annotated[SecretStr, Depends(RequireAccessToken(anybody))]) -> StackAuthClient:
    """Return the auth server's API with the rights of the caller."""
    return stack.client.as_user(token.get_secret_value())


Caller = Annotated[StackAuthClient, Depends(client_of_caller)]


def install(app: FastAPI) -> None:
    """Give an app the sign-in routes, answers for errors, cookie sessions, and a health check."""
    stack.install(app)
    # For browsers: tokens in cookies that scripts cannot read. Two of its pages are our own.
    app.include_router(
        stack.router(pages={"password_reset": "/new-password", "verify_email": "/verify-email"}), prefix="/auth"
    )
    app.include_router(
        stack.teams_router(pages={"team_invitation": "/invitation"}, manage_permissions=GRANTS), prefix="/auth"
    )
    app.include_router(stack.api_keys_router(), prefix="/auth")
    app.include_router(stack.cli_router(), prefix="/auth")
    app.include_router(stack.router(delivery="body"), prefix="/api/auth")  # for mobile and command-line apps
    app.include_router(stack.teams_router(delivery="body", manage_permissions=GRANTS), prefix="/api/auth")
    app.include_router(stack.api_keys_router(delivery="body"), prefix="/api/auth")
    app.include_router(stack.readiness("/health/ready"))
    if stack.settings.webhook_secrets:
        app.include_router(webhooks)
