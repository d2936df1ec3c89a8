"""The page of command-line sign-ins."""

from typing import Any

from starlette.requests import Request

from fastapi_stackauth.emulator.store.database import Row

from .dashboard import SHOWN, Dashboard, Form, Refused, action, segment, shown_time, view

STATES = {
    "waiting": "waiting",
    "success": "completed, the tool has not polled yet",
    "used": "the tool has the session",
    "expired": "expired",
}


@view("/dashboard/cli-logins", "cli_logins.html")
async def cli_logins(dashboard: Dashboard, _request: Request) -> dict[str, Any]:
    """Show the latest sign-ins, with a form to complete those that are waiting."""
    rows = dashboard.server.store.cli_logins.list_for_project(dashboard.project.id, SHOWN)
    return {"logins": [to_view(dashboard, row) for row in rows], "users": dashboard.list_users(), "shown": SHOWN}


def to_view(dashboard: Dashboard, row: Row) -> dict[str, Any]:
    """Return the list row for a CLI sign-in, without its codes."""
    expired_first = dashboard.server.profile.expired_before_used
    state = dashboard.server.store.cli_logins.find_state(row, expired_first=expired_first)
    return {
        "id": row["id"],
        "last_four": row["login_code"][-4:],
        "created_at": shown_time(row["created_at"] / 1000),
        "expires_at": shown_time(row["expires_at"] / 1000),
        "is_waiting": state == "waiting",
        "has_anonymous_session": row["anonymous_token"] is not None,
        "state": STATES[state],
    }


@action("/dashboard/cli-logins/complete")
async def complete_cli_login(dashboard: Dashboard, form: Form) -> str:
    """Complete a sign-in with a new session of a user."""
    store, project_id = dashboard.server.store, dashboard.project.id
    login = store.cli_logins.get(project_id, segment(form, "id"))
    if login is None or store.cli_logins.pending(project_id, login["login_code"]) is None:
        raise Refused("This sign-in is unknown, completed or expired.")
    session = await dashboard.call("POST", "/auth/sessions", {"user_id": segment(form, "user_id")})
    body = {"login_code": login["login_code"], "refresh_token": session["refresh_token"]}
    try:
        await dashboard.call("POST", "/auth/cli/complete", body)
    except Refused:  # the user is restricted, or the sign-in has ended by now
        if made := store.sessions.by_token(project_id, session["refresh_token"]):
            store.sessions.delete(made["id"])
        raise
    return "/dashboard/cli-logins"
