"""The signed-in user: read, change and delete the account."""

from typing import Any

from fastapi_stackauth.emulator import profiles, views
from fastapi_stackauth.emulator.errors import KnownError, PlainError
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.wire import Call, operation


def own(call: Call) -> Row:
    """Return the signed-in user, or raise."""
    if call.user is None:
        raise KnownError("CANNOT_GET_OWN_USER_WITHOUT_USER")
    return call.user


def to_json(call: Call, user: Row) -> dict[str, Any]:
    """Return a user with the fields for this access type."""
    view = views.client_user if call.is_client else views.server_user
    return view(call.server.store, call.project, user)


@operation("GET", "/users/me")
async def read(call: Call) -> dict[str, Any]:
    """The signed-in user."""
    return to_json(call, own(call))


@operation("PATCH", "/users/me", body=profiles.UPDATE_BODY)
async def update(call: Call) -> dict[str, Any]:
    """Change the signed-in user."""
    user = await profiles.update(call, own(call))
    call.tell("user.updated", views.server_user(call.server.store, call.project, user))
    return to_json(call, user)


@operation("DELETE", "/users/me")
async def delete(call: Call) -> dict[str, Any]:
    """Delete the signed-in user. With client access, the project must allow it."""
    user = own(call)
    if call.is_client and not call.project.config["client_user_deletion_enabled"]:
        raise PlainError(400, "This project does not let users delete themselves.")
    profiles.delete(call, user)
    return {"success": True}
