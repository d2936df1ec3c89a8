"""Pages of users and their sessions."""

from typing import Any

from starlette.requests import Request

from .dashboard import SHOWN, Dashboard, Form, Refused, action, own_path, segment, view


@view("/dashboard/users", "users.html")
async def users(dashboard: Dashboard, _request: Request) -> dict[str, Any]:
    """Show all users."""
    return {"users": dashboard.list_users(), "shown": SHOWN}


@action("/dashboard/users/create")
async def create_user(dashboard: Dashboard, form: Form) -> str:
    """Create a user with a verified address."""
    body: dict[str, Any] = {"primary_email_verified": True, "primary_email_auth_enabled": True}
    body |= {name: form[name] for name in ("primary_email", "display_name", "password") if form.get(name)}
    made = await dashboard.call("POST", "/users", body)
    return f"/dashboard/users/{made['id']}"


@view("/dashboard/users/{user_id}", "user.html")
async def user_page(dashboard: Dashboard, request: Request) -> dict[str, Any]:
    """Show a user with their sessions, teams and permissions."""
    store, project = dashboard.server.store, dashboard.project
    user = store.users.get(project.id, request.path_params["user_id"])
    if user is None:
        raise Refused("There is no such user.")
    granted = [row["permission_id"] for row in store.permissions.in_project(project.id) if row["user_id"] == user["id"]]
    return {
        "user": dashboard.person(user),
        "sessions": dashboard.sessions(store.sessions.list_for_user(user["id"])),
        "teams": store.teams.list_for_user(project.id, user["id"]),
        "granted": sorted(granted),
        "api_keys": dashboard.api_keys("user", user["id"]),
        "grantable": [row["id"] for row in store.permissions.definitions(project.id, "project")],
    }


@action("/dashboard/users/restrict")
async def restrict_user(dashboard: Dashboard, form: Form) -> str:
    """Restrict a user, or lift the restriction."""
    body: dict[str, Any] = {"restricted_by_admin": form.get("restrict") == "yes"}
    if not body["restricted_by_admin"]:
        body |= {"restricted_by_admin_reason": None, "restricted_by_admin_private_details": None}
    user_id = segment(form, "user_id")
    await dashboard.call("PATCH", f"/users/{user_id}", body)
    return f"/dashboard/users/{user_id}"


@action("/dashboard/users/delete")
async def delete_user(dashboard: Dashboard, form: Form) -> str:
    """Delete a user."""
    await dashboard.call("DELETE", f"/users/{segment(form, 'user_id')}")
    return "/dashboard/users"


@action("/dashboard/users/grant")
async def grant_in_project(dashboard: Dashboard, form: Form) -> str:
    """Grant or revoke a permission in the project."""
    user_id = segment(form, "user_id")
    path = f"/project-permissions/{user_id}/{segment(form, 'permission_id')}"
    await dashboard.call("DELETE" if form.get("revoke") else "POST", path, None if form.get("revoke") else {})
    return f"/dashboard/users/{user_id}"


@view("/dashboard/sessions", "sessions.html")
async def sessions(dashboard: Dashboard, _request: Request) -> dict[str, Any]:
    """Show all sessions."""
    return {
        "sessions": dashboard.sessions(dashboard.server.store.sessions.list_for_project(dashboard.project.id)),
        "shown": SHOWN,
    }


@action("/dashboard/sessions/revoke")
async def revoke_session(dashboard: Dashboard, form: Form) -> str:
    """End a session."""
    path = f"/auth/sessions/{segment(form, 'id')}?user_id={segment(form, 'user_id')}"
    await dashboard.call("DELETE", path)
    return own_path(form.get("back", "/dashboard/sessions"))


@action("/dashboard/api-keys/revoke")
async def revoke_api_key(dashboard: Dashboard, form: Form) -> str:
    """Revoke an API key of a user or a team."""
    kind = "team" if form.get("team_id") else "user"
    owner_id = segment(form, f"{kind}_id")
    path = f"/{kind}-api-keys/{segment(form, 'id')}?{kind}_id={owner_id}"
    await dashboard.call("PATCH", path, {"revoked": True})
    return f"/dashboard/{kind}s/{owner_id}"
