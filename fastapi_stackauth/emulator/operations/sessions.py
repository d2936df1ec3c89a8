"""Sessions: refresh, list and end them."""

from typing import Any

from fastapi_stackauth.emulator import accounts, views
from fastapi_stackauth.emulator.errors import KnownError, PlainError
from fastapi_stackauth.emulator.schema import Flag, Number, Text, UserId
from fastapi_stackauth.emulator.store.sessions import YEAR_MILLIS
from fastapi_stackauth.emulator.wire import SERVER, Call, operation, schema_error

LONGEST_MILLIS = 367 * 24 * 3600 * 1000


@operation("POST", "/auth/sessions/current/refresh")
async def refresh(call: Call) -> dict[str, Any]:
    """Issue a new access token for a refresh token. The refresh token does not change."""
    token = call.header("refresh-token")
    if token is None:
        raise schema_error(call.request, ["headers.x-stack-refresh-token must be defined"])
    return {"access_token": refresh_session(call, token)}


def refresh_session(call: Call, refresh_token: str) -> str:
    """Return an access token for an active session of this project."""
    store = call.server.store
    with store.transaction():
        session = store.sessions.by_token(call.project.id, refresh_token)
        user = session and store.users.get(call.project.id, session["user_id"])
        if session is None or user is None:
            raise KnownError("REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
        store.sessions.touch(session)
    return call.server.tokens.issue(call.project, user, session["id"])


@operation("DELETE", "/auth/sessions/current")
async def sign_out(call: Call) -> dict[str, Any]:
    """End the session that the access token belongs to. The token itself stays valid until it expires."""
    claims = call.asker.claims
    if claims is None:
        now = call.server.clock.millis()
        raise KnownError(
            "ACCESS_TOKEN_EXPIRED", expired_at_millis=now, project_id=None, user_id=None, refresh_token_id=None
        )
    if not call.server.store.sessions.delete(claims["refresh_token_id"]):
        raise KnownError("REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    return {"success": True}


@operation(
    "POST",
    "/auth/sessions",
    access=SERVER,
    body={
        "user_id": UserId(),
        "expires_in_millis": Number(required=False, most=LONGEST_MILLIS),
        "is_impersonation": Flag(required=False),
    },
)
async def create_session(call: Call) -> dict[str, Any]:
    """Start a session for any user, without a second factor."""
    user = call.server.store.users.get(call.project.id, call.body["user_id"])
    if user is None:
        raise KnownError("USER_ID_DOES_NOT_EXIST", user_id=call.body["user_id"])
    lifetime = int(call.body.get("expires_in_millis", YEAR_MILLIS))
    if lifetime <= 0:  # the real server returns 500
        raise schema_error(call.request, ["body.expires_in_millis must be more than 0"])
    impersonation = call.body.get("is_impersonation", False)
    return accounts.open_session(call, user, lifetime_millis=lifetime, is_impersonation=impersonation)


@operation("GET", "/auth/sessions", query={"user_id": UserId()})
async def list_sessions(call: Call) -> dict[str, Any]:
    """List a user's sessions, newest first. Only admins see impersonation sessions."""
    user_id = call.query["user_id"]
    call.only_own(user_id, "A client can only list its own user's sessions.")
    current = call.asker.claims["refresh_token_id"] if call.asker.claims else None
    rows = [
        row
        for row in call.server.store.sessions.list_for_user(user_id)
        if row["project_id"] == call.project.id and (not row["is_impersonation"] or call.asker.access == "admin")
    ]
    return {"items": [views.session(row, current) for row in rows], "is_paginated": False}


@operation("DELETE", "/auth/sessions/{id}", params={"id": Text(form="uuid")}, query={"user_id": UserId()})
async def end_session(call: Call) -> dict[str, Any]:
    """End a session by its id."""
    store, session_id = call.server.store, call.path["id"].lower()
    session = store.sessions.get(call.project.id, session_id)
    own = call.user is not None and session is not None and session["user_id"] == call.user["id"]
    if session is None or (call.is_client and not own):
        raise PlainError(404, "There is no such session.")
    if call.asker.claims and call.asker.claims["refresh_token_id"] == session_id:
        raise KnownError("CANNOT_DELETE_CURRENT_SESSION")
    store.sessions.delete(session_id)
    return {"success": True}
