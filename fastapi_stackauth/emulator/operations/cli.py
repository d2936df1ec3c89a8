"""Sign-in of command-line tools: start, poll, complete (contract: area `auth/cli`).

Law: only one of two concurrent changes to a sign-in succeeds.
"""

from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from fastapi_stackauth.emulator.errors import KnownError, PlainError
from fastapi_stackauth.emulator.schema import Number, Text
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.tokens import restricted_reason
from fastapi_stackauth.emulator.wire import Call, json_response, operation, schema_error

from .sessions import refresh_session

EARLIEST_MILLIS = -500 * 365 * 24 * 3600 * 1000  # the real server returns 500 for dates out of range
MODES = ("check", "claim-anon-session", "complete")
UNKNOWN = "The login code is unknown, completed or expired."
NO_SESSION = "No session of this project has this refresh token."
NO_ANONYMOUS_SESSION = "This sign-in has no anonymous session."


@operation(
    "POST",
    "/auth/cli",
    body={
        "expires_in_millis": Number(required=False, least=EARLIEST_MILLIS),
        "anon_refresh_token": Text(required=False),
    },
    optional_body=True,
)
async def start(call: Call) -> dict[str, Any]:
    """Start a sign-in. The tool polls with one code, and the browser completes the sign-in with the other."""
    lifetime = call.body.get("expires_in_millis", call.server.profile.cli_login_millis)
    longest = call.server.profile.longest_cli_login_millis
    if lifetime > longest:
        raise schema_error(call.request, [f"body.expires_in_millis must be at most {longest}"])
    anonymous_token = call.body.get("anon_refresh_token") or None
    if anonymous_token is not None:
        check_anonymous(call, anonymous_token)
    row = call.server.store.cli_logins.create(call.project.id, int(lifetime), anonymous_token)
    expires_at = datetime.fromtimestamp(row["expires_at"] / 1000, UTC)
    return {
        "polling_code": row["polling_code"],
        "login_code": row["login_code"],
        "expires_at": expires_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def find_user(call: Call, refresh_token: str) -> Row | None:
    """Return the user of an active session of this project."""
    session = call.server.store.sessions.by_token(call.project.id, refresh_token)
    return session and call.server.store.users.get(call.project.id, session["user_id"])


def check_anonymous(call: Call, refresh_token: str) -> None:
    """Raise unless a refresh token belongs to an anonymous user of this project."""
    user = find_user(call, refresh_token)
    if user is None:
        raise PlainError(400, NO_SESSION)
    if not user["is_anonymous"]:
        raise PlainError(400, "The refresh token does not belong to an anonymous user.")


@operation("POST", "/auth/cli/poll", body={"polling_code": Text()})
async def poll(call: Call) -> dict[str, Any] | Response:
    """Return the state of a sign-in and, once, the refresh token with status 201."""
    logins, expired_first = call.server.store.cli_logins, call.server.profile.expired_before_used
    row = logins.by_polling_code(call.project.id, call.body["polling_code"])
    if row is None:
        raise KnownError("INVALID_POLLING_CODE")
    state = logins.find_state(row, expired_first=expired_first)
    if state != "success":
        return {"status": state}
    if not logins.use(row):
        return {"status": "used"}
    return json_response({"status": "success", "refresh_token": row["refresh_token"]}, 201)


@operation(
    "POST",
    "/auth/cli/complete",
    body={
        "login_code": Text(),
        "mode": Text(required=False, choices=MODES),
        "refresh_token": Text(required=False),
    },
)
async def complete(call: Call) -> dict[str, Any]:
    """Check a pending sign-in, take its anonymous session, or complete it. Browsers call this."""
    row = call.server.store.cli_logins.pending(call.project.id, call.body["login_code"])
    if row is None:
        raise PlainError(400, UNKNOWN)
    mode = call.body.get("mode", "complete")
    if mode == "check":
        return {"cli_session_state": "anonymous" if has_anonymous_session(call, row) else "none"}
    return take_anonymous_session(call, row) if mode == "claim-anon-session" else attach_session(call, row)


def has_anonymous_session(call: Call, row: Row) -> bool:
    """Return whether the tool's anonymous session is still active and its user still anonymous."""
    user = find_user(call, row["anonymous_token"]) if row["anonymous_token"] is not None else None
    return user is not None and bool(user["is_anonymous"])


def take_anonymous_session(call: Call, row: Row) -> dict[str, Any]:
    """Return the tool's anonymous session, once. The sign-in stays pending."""
    with call.server.store.transaction():
        if not has_anonymous_session(call, row) or not call.server.store.cli_logins.take_anonymous_token(row):
            raise PlainError(400, NO_ANONYMOUS_SESSION)
        token = row["anonymous_token"]
        return {"access_token": refresh_session(call, token), "refresh_token": token}


def attach_session(call: Call, row: Row) -> dict[str, Any]:
    """Complete the sign-in with an active session of the project."""
    token = call.body.get("refresh_token")
    if not token:
        raise PlainError(400, "The mode 'complete' needs a refresh_token.")
    user = find_user(call, token)
    if user is None:
        raise PlainError(400, NO_SESSION)
    if call.server.profile.cli_needs_full_user:
        check_full_user(call, user)
    if not call.server.store.cli_logins.complete(row, token):
        raise PlainError(400, UNKNOWN)
    return {"success": True}


def check_full_user(call: Call, user: Row) -> None:
    """Reject a restricted or anonymous user."""
    reason = restricted_reason(call.project, user, call.server.store.channels.primary(user["id"]))
    if reason is not None:
        raise KnownError("RESTRICTED_USER_NOT_ALLOWED", restricted_reason=reason)
