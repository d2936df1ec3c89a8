"""Sessions: refresh, sign out, list them, and end others."""

from typing import Annotated

from fastapi import Path

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.dependencies import resolve
from fastapi_stackauth.errors import AuthError, AuthServerUnavailable, UnexpectedResponse
from fastapi_stackauth.models import Session
from fastapi_stackauth.routers.plumbing.context import Context, SignedInUser, UserClient
from fastapi_stackauth.routers.plumbing.declaration import Routes
from fastapi_stackauth.routers.plumbing.examples import SESSIONS
from fastapi_stackauth.routers.plumbing.inputs import RefreshToken, RequestBody, Uuid
from fastapi_stackauth.routers.plumbing.transport import AccessTokenResponse, require_lifetime
from fastapi_stackauth.services import Services

routes = Routes("session")

_LIST = ("sessions",)

SessionId = Annotated[Uuid, Path(description="The id of the session, as returned when sessions are listed.")]


class RefreshTokenRequest(RequestBody):
    """The refresh token of a session."""

    refresh_token: RefreshToken


# --- refresh and sign-out: each delivery has routes of its own ---


@routes.post(
    "/session/refresh", "Refresh the access cookie", errors=(AuthError("authentication_required"),), only="cookie"
)
async def session_refresh(context: Context) -> None:
    """Refresh the access cookie now. The library does so automatically shortly before it expires.

    Call this after the account changes, for example when an email address is verified: only a new token has the change.

    Returns:
        The access cookie is refreshed.
    """
    await context.services.sessions.refresh(context.request)


@routes.post(
    "/session/refresh", "Refresh the access token", errors=("REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED",), only="body"
)
async def token_session_refresh(body: RefreshTokenRequest, context: Context) -> AccessTokenResponse:
    """Exchange a refresh token for a new access token. The refresh token stays valid; the response does not repeat it.

    Returns:
        The new access token.
    """
    token = await context.services.sessions.tokens.refresh(body.refresh_token.get_secret_value(), "body")
    return AccessTokenResponse(access_token=token.access_token, expires_in=require_lifetime(token))


@routes.post("/sign-out", "Sign out", only="cookie")
async def sign_out(context: Context) -> None:
    """End the session and remove its cookies. Repeating this is safe, and the access token may be expired.

    The response removes the cookies even if the auth server is down.

    Returns:
        The user is signed out.
    """
    await context.services.sessions.end(context.request)


@routes.post("/sign-out", "Sign out", only="body")
async def token_sign_out(body: RefreshTokenRequest, context: Context) -> None:
    """End the session of this refresh token, and also that of the bearer token if they differ.

    You may repeat it: a session that has already ended is not an error. From then on, this app rejects the access
    tokens of the session.
    """
    services = context.services
    ended = await services.sessions.tokens.end(body.refresh_token.get_secret_value())
    resolution = await resolve(context.request, services)
    user, credential = resolution.user, resolution.credential
    if user and credential and not credential.ambient and user.session_id != ended:
        await services.revocations.revoke_sessions([user.session_id] if user.session_id else [])
        await services.client.as_user(credential.token).sessions.sign_out()


# --- the list ---


@routes.get("/sessions", "List your sessions", example=SESSIONS, features=_LIST)
async def sessions_list(client: UserClient) -> list[Session]:
    """List the signed-in user's sessions, newest first. Each device or browser has its own.

    Returns:
        The sessions of the user.
    """
    return list(await client.sessions.list())


@routes.delete("/sessions", "End all other sessions", features=_LIST)
async def sessions_end_others(context: Context, user: SignedInUser, client: UserClient) -> None:
    """End all your sessions except the current one. From then on, this app rejects their access tokens.

    Returns:
        All other sessions are ended.
    """
    for session in await client.sessions.list():
        if not session.is_current_session and session.id != user.session_id:
            await _end(context.services, client, session.id)


@routes.delete(
    "/sessions/{session_id}",
    "End another session",
    errors=("CANNOT_DELETE_CURRENT_SESSION", 404),
    features=_LIST,
)
async def sessions_end(session_id: SessionId, context: Context, client: UserClient) -> None:
    """End another session, for example on a lost device. To end the current one, use `/sign-out`.

    From then on, this app rejects the access tokens of the session.

    Returns:
        The session is ended.
    """
    sessions = await client.sessions.list()
    own = next((session.id for session in sessions if session.id.lower() == session_id.lower()), None)
    if own is None:
        await client.sessions.revoke(session_id)  # the auth server returns the error
    else:
        await _end(context.services, client, own)


async def _end(services: Services, client: StackAuthClient, session_id: str) -> None:
    """End one of a user's listed sessions, and revoke it. If the response is lost, the session may have ended."""
    try:
        await client.sessions.revoke(session_id)
    except UnexpectedResponse as error:
        if error.status_code != 404:  # it has ended by now, perhaps because of the first attempt
            raise
    except AuthServerUnavailable:
        await services.revocations.revoke_sessions([session_id])
        raise
    await services.revocations.revoke_sessions([session_id])
