"""Passwords: sign-up, sign-in, and setting and changing a password."""

from typing import Any

from fastapi_stackauth.emulator import accounts, mailing, passwords, profiles, trust
from fastapi_stackauth.emulator.errors import KnownError, PlainError
from fastapi_stackauth.emulator.schema import BOT_CHALLENGE, OPTIONAL_URL, PASSWORD, Text
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.store.projects import Project
from fastapi_stackauth.emulator.wire import Call, operation

SIGN_UP = {
    "email": Text(form="strict_email"),
    "password": PASSWORD,
    "verification_callback_url": OPTIONAL_URL,
    **BOT_CHALLENGE,
}


def check_enabled(project: Project) -> None:
    """Raise unless the project has enabled passwords."""
    if not project.config["credential_enabled"]:
        raise KnownError("PASSWORD_AUTHENTICATION_NOT_ENABLED")


@operation("POST", "/auth/password/sign-up", body=SIGN_UP)
async def sign_up(call: Call) -> dict[str, Any]:
    """Create a user with a password, or upgrade the anonymous user."""
    callback_url, password = call.body.get("verification_callback_url"), call.body["password"]
    check_enabled(call.project)
    trust.check_redirect(call.server, call.project, callback_url)
    accounts.check_sign_up_open(call.project)
    passwords.check_length(password)
    accounts.check_bot_challenge(call.body)
    columns = {"password_hash": await call.server.passwords.hash(password)}
    user = accounts.sign_up(call, accounts.normalize(call.body["email"]), columns, verified=False)
    channel = call.server.store.channels.primary(user["id"])
    if callback_url is not None and channel is not None:
        mailing.send_verification(call.server, call.project, channel, callback_url)
    return accounts.signed_in(call, user, is_new=True)


@operation("POST", "/auth/password/sign-in", body={"email": Text(form="email"), "password": PASSWORD})
async def sign_in(call: Call) -> dict[str, Any]:
    """Sign in with an address and a password. The error does not reveal which of them is wrong."""
    check_enabled(call.project)
    email = accounts.normalize(call.body["email"])
    found = call.server.store.users.by_auth_email(call.project.id, email)
    if not await call.server.passwords.verify(call.body["password"], found["password_hash"] if found else None):
        raise KnownError("EMAIL_PASSWORD_MISMATCH")
    user = found and call.server.store.users.get(call.project.id, found["id"])
    if found is None or user is None or user["password_hash"] != found["password_hash"]:
        raise KnownError("EMAIL_PASSWORD_MISMATCH")  # the user was deleted or changed while the password was compared
    return accounts.signed_in(call, user, is_new=False)


@operation("POST", "/auth/password/set", body={"password": PASSWORD})
async def set_password(call: Call) -> dict[str, Any]:
    """Set a password for a user without one."""
    user = call.signed_in
    check_enabled(call.project)
    passwords.check_length(call.body["password"])
    check_has_none(user)
    columns = {"password_hash": await call.server.passwords.hash(call.body["password"])}
    with call.server.store.transaction():
        check_has_none(profiles.existing(call, user["id"]))
        call.server.store.users.update(user["id"], columns)
    return {"success": True}


def check_has_none(user: Row) -> None:
    """Reject a user who has a password."""
    if user["password_hash"] is not None:
        raise PlainError(400, "The user already has a password.")


@operation("POST", "/auth/password/update", body={"old_password": PASSWORD, "new_password": PASSWORD})
async def update_password(call: Call) -> dict[str, Any]:
    """Change the password, and end all sessions except that of the refresh token in the request."""
    user, store = call.signed_in, call.server.store
    check_enabled(call.project)
    passwords.check_length(call.body["new_password"])
    if user["password_hash"] is None:
        raise KnownError("USER_DOES_NOT_HAVE_PASSWORD")
    if not await call.server.passwords.verify(call.body["old_password"], user["password_hash"]):
        raise KnownError("PASSWORD_CONFIRMATION_MISMATCH")
    password_hash = await call.server.passwords.hash(call.body["new_password"])
    with store.transaction():
        if profiles.existing(call, user["id"])["password_hash"] != user["password_hash"]:
            raise KnownError("PASSWORD_CONFIRMATION_MISMATCH")  # the password was changed while the new one was hashed
        store.users.update(user["id"], {"password_hash": password_hash})
        store.sessions.delete_of_user(user["id"], keep=call.header("refresh-token"))
    return {"success": True}
