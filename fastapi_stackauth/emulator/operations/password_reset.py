"""Password reset: an emailed link, and the new password."""

from typing import Any

from fastapi_stackauth.emulator import accounts, mailing, passwords, profiles, trust, verification, views
from fastapi_stackauth.emulator.operations.password import check_enabled
from fastapi_stackauth.emulator.schema import PASSWORD, URL, Text
from fastapi_stackauth.emulator.wire import Call, operation

PERHAPS = "maybe, only if user with e-mail exists"  # the contract's constant, a string instead of true


@operation("POST", "/auth/password/send-reset-code", body={"email": Text(form="email"), "callback_url": URL})
async def send_code(call: Call) -> dict[str, Any]:
    """Send an email with a reset link if a user signs in with the address. The response is always the same."""
    check_enabled(call.project)
    email = accounts.normalize(call.body["email"])
    user = call.server.store.users.by_auth_email(call.project.id, email)
    if user is not None:
        trust.check_redirect(call.server, call.project, call.body["callback_url"])
        code = call.server.store.codes.create(call.project.id, "password_reset", {"user_id": user["id"]})
        mailing.send(call.server, call.project, email, "password_reset", call.body["callback_url"], code)
    return {"success": PERHAPS}


@operation("POST", "/auth/password/reset", body={**verification.BODY, "password": PASSWORD})
async def reset(call: Call) -> dict[str, Any]:
    """Set a new password with an emailed code, and end all sessions."""
    user_id = verification.consume_code(call, "password_reset")["user_id"]
    check_enabled(call.project)
    passwords.check_length(call.body["password"])
    columns = {"password_hash": await call.server.passwords.hash(call.body["password"])}
    with call.server.store.transaction():
        profiles.existing(call, user_id)  # the user may have been deleted by now
        call.server.store.users.update(user_id, columns)
        call.server.store.sessions.delete_of_user(user_id)
    user = profiles.existing(call, user_id)
    call.tell("user.updated", views.server_user(call.server.store, call.project, user))
    return {"success": True}


@operation("POST", "/auth/password/reset/check-code", body=verification.BODY)
async def check_code(call: Call) -> dict[str, Any]:
    """Check a code without using it up."""
    verification.attempt_code(call, "password_reset")
    return verification.VALID
