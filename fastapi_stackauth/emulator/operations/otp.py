"""Sign-in with a code or a link in an email."""

from typing import Any

from fastapi_stackauth.emulator import accounts, mailing, trust, verification
from fastapi_stackauth.emulator.errors import PlainError
from fastapi_stackauth.emulator.schema import BOT_CHALLENGE, URL, Text
from fastapi_stackauth.emulator.store.codes import OTP_LENGTH
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.wire import Call, operation

SEND = {"email": Text(form="strict_email"), "callback_url": URL, **BOT_CHALLENGE}


def known_user(call: Call, email: str) -> Row | None:
    """Return the user who signs in with an address, or None. Raise if the address is unverified."""
    store = call.server.store
    user = store.users.by_auth_email(call.project.id, email)
    if user is None:
        accounts.check_sign_up_open(call.project)
        return None
    channel = store.channels.with_value(user["id"], email)
    if channel is None or not channel["is_verified"]:
        raise accounts.already_exists(email, would_work_if_verified=True)
    return user


@operation("POST", "/auth/otp/send-sign-in-code", body=SEND)
async def send_code(call: Call) -> dict[str, Any]:
    """Send an email with a code. The response contains the code without the six characters that the user types."""
    if not call.project.config["magic_link_enabled"]:
        raise PlainError(403, "Sign-in by email code is disabled in this project.")
    store, email = call.server.store, accounts.normalize(call.body["email"])
    user = known_user(call, email)
    if user is None:
        accounts.check_bot_challenge(call.body)
    trust.check_redirect(call.server, call.project, call.body["callback_url"])
    with store.transaction():
        if user is not None:
            store.users.update(user["id"], {"otp_auth_enabled": 1})
        code = store.codes.create(call.project.id, "sign_in", {"email": email})
        mailing.send(call.server, call.project, email, "sign_in", call.body["callback_url"], code)
    return {"nonce": code[OTP_LENGTH:]}


@operation("POST", "/auth/otp/sign-in", body=verification.BODY)
async def sign_in(call: Call) -> dict[str, Any]:
    """Start a session for an emailed code. For a new address, create a user or upgrade the anonymous one."""
    email = verification.consume_code(call, "sign_in")["email"]
    user = known_user(call, email)
    is_new = user is None
    if user is None:
        user = accounts.sign_up(call, email, {"otp_auth_enabled": 1}, verified=True)
    return {**accounts.signed_in(call, user, is_new=is_new), "is_new_user": is_new}


@operation("POST", "/auth/otp/sign-in/check-code", body=verification.BODY)
async def check_code(call: Call) -> dict[str, Any]:
    """Check a code without using it up."""
    verification.attempt_code(call, "sign_in")
    return verification.VALID
