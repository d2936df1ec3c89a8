"""Sessions: refresh, sign-out, the list of them, ending others."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import Field, SecretStr, field_validator

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.dependencies import resolve
from fastapi_stackauth.errors import (
    AccessTokenRefused,
    AuthError,
    AuthServerUnavailable,
    KnownApiError,
    SessionGone,
    UnexpectedAnswer,
)
from fastapi_stackauth.http.installed import InstalledStack
from fastapi_stackauth.models import Session
from fastapi_stackauth.routers.plumbing.caller import SIGNED_OUT, PersonsClient, SignedInUser
from fastapi_stackauth.routers.plumbing.delivery import RefreshedToken, deliver_refreshed
from fastapi_stackauth.routers.plumbing.examples import SESSIONS
from fastapi_stackauth.routers.plumbing.inputs import Uuid
from fastapi_stackauth.routers.plumbing.operations import add
from fastapi_stackauth.routers.plumbing.route import Delivery, Form, RouteStack
from fastapi_stackauth.runtime.events import SESSION_ENDED
from fastapi_stackauth.sessions.cookie_sessions import renewal

TAG = "session"

SessionId = Annotated[Uuid, Path(description="The session's id, as the list has it.")]


class RefreshToken(Form):
    """The refresh token of a session."""

    refresh_token: SecretStr = Field(
        min_length=1,
        max_length=512,
        description="What the sign-in gave.",
        examples=["7bd52h01bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg28"],
    )

    @field_validator("refresh_token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr) -> SecretStr:
        token = value.get_secret_value()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("must be visible ASCII characters")
        return value


# --- body delivery ---


async def refresh(body: RefreshToken, stack: RouteStack) -> RefreshedToken:
    """Trade a refresh token for a new access token. The refresh token stays valid and is not given again."""
    with renewal(stack.events, "body"):
        token = await stack.client.refresh(body.refresh_token.get_secret_value())
    return deliver_refreshed(token)


async def sign_out(body: RefreshToken, request: Request, stack: RouteStack) -> None:
    """End the session of this refresh token, and that of the bearer token where it is another.

    It may be repeated: a session that has ended before is no error. Access tokens of it that are out are refused by
    this app from then on.
    """
    ended = await _end_session(stack, body.refresh_token.get_secret_value())
    resolution = await resolve(request, stack)
    user, credential = resolution.user, resolution.credential
    if user and credential and not credential.ambient and user.session_id != ended:
        await stack.revocations.revoke_sessions([user.session_id] if user.session_id else [])
        await stack.client.as_user(credential.token).sessions.sign_out()


async def _end_session(stack: InstalledStack, refresh_token: str) -> str | None:
    """End the session of a refresh token; its id, or None where it had ended before."""
    try:
        # The access token at hand may have expired or be another session's; a fresh one is surely this session's.
        fresh = await stack.client.refresh(refresh_token)
    except SessionGone:
        return None
    session_id = fresh.session_id
    await stack.revocations.revoke_sessions([session_id] if session_id else [])
    try:
        await stack.client.as_user(fresh.access_token).sessions.sign_out()
    except AccessTokenRefused:  # the signing keys were rotated in between
        fresh = await stack.client.refresh(refresh_token)
        await stack.client.as_user(fresh.access_token).sessions.sign_out()
    stack.events.emit(SESSION_ENDED, reason="signed_out")
    return session_id


# --- cookie delivery ---


async def refresh_cookies(request: Request, stack: RouteStack) -> None:
    """Renew the access cookie now. It happens by itself shortly before its end.

    Call it after the account's facts changed: a verified e-mail address, for one, stands in the token only then.
    """
    await stack.sessions.renew(request)


async def sign_out_cookies(request: Request, stack: RouteStack) -> None:
    """End the session and remove its cookies. It may be repeated, and works with an expired access token too.

    The cookies go even where the auth server cannot be reached.
    """
    await stack.sessions.end(request)


# --- both ---


async def list_sessions(client: PersonsClient) -> list[Session]:
    """The signed-in person's sessions, newest first: one for each device or browser."""
    return list(await client.sessions.list())


async def end_session(session_id: SessionId, stack: RouteStack, client: PersonsClient) -> None:
    """End another session of one's own, on a device that was lost. The one in use ends with `/sign-out`.

    Access tokens of it that are out are refused by this app from then on.
    """
    sessions = await client.sessions.list()
    own = next((session.id for session in sessions if session.id.lower() == session_id.lower()), None)
    if own is None:
        await client.sessions.revoke(session_id)  # the auth server says why not
    else:
        await _end(stack, client, own)


async def _end(stack: InstalledStack, client: StackAuthClient, session_id: str) -> None:
    """End one of a person's listed sessions; where the answer is lost it may have ended, and is refused as well."""
    try:
        await client.sessions.revoke(session_id)
    except UnexpectedAnswer as error:
        if error.status_code != 404:  # it has ended meanwhile, perhaps at our first attempt
            raise
    except AuthServerUnavailable:
        await stack.revocations.revoke_sessions([session_id])
        raise
    await stack.revocations.revoke_sessions([session_id])


async def end_other_sessions(stack: RouteStack, user: SignedInUser, client: PersonsClient) -> None:
    """End all sessions of one's own but the one in use. Their access tokens are refused from then on."""
    for session in await client.sessions.list():
        if session.is_current_session or session.id == user.session_id:
            continue
        await _end(stack, client, session.id)


def add_routes(router: APIRouter, delivery: Delivery) -> None:
    """Put the routes of sessions on a router."""
    gone = KnownApiError.of("REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    if delivery == "cookie":
        add(router, delivery, "/session/refresh", refresh_cookies, operation="session_refresh",
            summary="Renew the access cookie", response_description="Renewed.", tag=TAG,
            errors=(AuthError("authentication_required"),))  # fmt: skip
        add(router, delivery, "/sign-out", sign_out_cookies, operation="sign_out", summary="Sign out",
            response_description="The session has ended.", tag=TAG)  # fmt: skip
    else:
        add(router, delivery, "/session/refresh", refresh, operation="session_refresh",
            summary="Get a new access token", response_model=RefreshedToken,
            response_description="The new access token.", tag=TAG,
            errors=(gone,))  # fmt: skip
        add(router, delivery, "/sign-out", sign_out, operation="sign_out", summary="Sign out",
            response_description="The session has ended.", tag=TAG)  # fmt: skip
    _add_list(router, delivery)


def _add_list(router: APIRouter, delivery: Delivery) -> None:
    add(router, delivery, "/sessions", list_sessions, method="GET", operation="sessions_list",
        summary="One's sessions", response_model=list[Session], response_description="The sessions.", tag=TAG,
        errors=SIGNED_OUT, example=SESSIONS)  # fmt: skip
    add(router, delivery, "/sessions", end_other_sessions, method="DELETE", operation="sessions_end_others",
        summary="End all other sessions", response_description="Ended.", tag=TAG, errors=SIGNED_OUT)  # fmt: skip
    add(router, delivery, "/sessions/{session_id}", end_session, method="DELETE", operation="sessions_end",
        summary="End another session", response_description="Ended.", tag=TAG,
        errors=(*SIGNED_OUT, KnownApiError.of("CANNOT_DELETE_CURRENT_SESSION"),
                UnexpectedAnswer(404)))  # fmt: skip
