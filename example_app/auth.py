"""The complete integration: a `StackAuth`, its pages and routers, and a name for each kind of caller."""

from contextlib import suppress
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.security import SecurityScopes
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from fastapi_stackauth import (
    Grants,
    IdentifyUser,
    Require,
    RequireAccessToken,
    RequireTeam,
    SessionWatch,
    StackAuth,
    StackAuthClient,
    StackAuthError,
    Team,
    Theme,
    User,
    WatchSession,
)

# Project id, keys, addresses and Redis come from the environment: STACK_PROJECT_ID, STACK_APP_URL, STACK_REDIS_URL, ...
stack = StackAuth(after_sign_in="/notes", after_sign_out="/")
theme = Theme(name="Notes", logo="/static/icon.svg", accent="#0f766e", accent_dark="#5eead4", background="#f7f8f8")

DELETE_NOTES = "notes:delete"  # a team permission; the creator of a team has it, because team_admin contains it
GRANTS = Grants(by="team_admin", grantable={DELETE_NOTES})  # the permissions that a team's admins may grant to members
anybody = Require(allow_anonymous=True)  # any signed-in user, also anonymous ones and those without a verified address
admin = Require(permission="reports:read")  # in the project

Anybody = Annotated[User, Depends(anybody)]
AnybodyOrKey = Annotated[User, Depends(Require(allow_anonymous=True, allow_api_key=True))]  # or one of their API keys
MaybeAnybody = Annotated[User | None, Depends(IdentifyUser(allow_anonymous=True))]
TeamOfMember = Annotated[Team, Depends(RequireTeam("team_id"))]
MayDeleteNotes = Annotated[User, Depends(Require(team_permission=DELETE_NOTES, team="team_id"))]
Admin = Annotated[User, Depends(admin)]

# A WebSocket ends when its token expires or the session is revoked; it is checked every ten seconds.
Watch = Annotated[SessionWatch, Depends(WatchSession(every=10, require=anybody))]
WatchOfMember = Annotated[SessionWatch, Depends(WatchSession(every=10, require=Require(team_member="team_id")))]

webhooks = stack.webhooks("/webhooks/stack-auth")  # `notes.py` registers a handler


async def client_of_caller(token: Annotated[SecretStr, Depends(RequireAccessToken(anybody))]) -> StackAuthClient:
    """Return the client for the caller, with the caller's permissions."""
    return stack.client.as_user(token.get_secret_value())


async def may_see_admin_page(connection: HTTPConnection) -> bool:
    """Return whether the navigation shows the admin page, which checks the permission itself."""
    with suppress(StackAuthError):
        return bool(await admin(connection, SecurityScopes()))
    return False


Caller = Annotated[StackAuthClient, Depends(client_of_caller)]
SeesAdminPage = Annotated[bool, Depends(may_see_admin_page)]


def install(app: FastAPI) -> None:
    """Give an app sign-in, account and team pages, JSON routes, error responses, cookie sessions and health checks."""
    stack.install(app)
    app.include_router(stack.pages_router(prefix="/handler", theme=theme))
    app.include_router(stack.router(), prefix="/auth")  # for scripts of a browser: tokens in cookies
    app.include_router(stack.teams_router(manage_permissions=GRANTS), prefix="/auth")
    app.include_router(stack.api_keys_router(), prefix="/auth")
    app.include_router(stack.router(delivery="body"), prefix="/api/auth")  # for mobile and command-line apps
    app.include_router(stack.teams_router(delivery="body", manage_permissions=GRANTS), prefix="/api/auth")
    app.include_router(stack.api_keys_router(delivery="body"), prefix="/api/auth")
    app.include_router(stack.cli_router(), prefix="/auth")
    app.include_router(stack.readiness("/health/ready"))
    if stack.settings.webhook_secrets:
        app.include_router(webhooks)
