"""Sign-up of anonymous users."""

from typing import Any

from fastapi_stackauth.emulator import accounts
from fastapi_stackauth.emulator.wire import Call, operation


@operation("POST", "/auth/anonymous/sign-up")
async def sign_up(call: Call) -> dict[str, Any]:
    """Create an anonymous user, even if the project has disabled sign-up."""
    store = call.server.store
    with store.transaction():
        user = store.users.create(call.project.id, {"is_anonymous": 1})
        accounts.tell_signed_up(call, user, upgraded=False)
        user = accounts.with_own_team(call.server, call.project, user)
        return {**accounts.open_session(call, user), "user_id": user["id"]}
