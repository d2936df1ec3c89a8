"""The second factor: time-based one-time passwords (RFC 6238)."""

import base64
from typing import Any

import pyotp

from fastapi_stackauth.emulator import accounts, verification
from fastapi_stackauth.emulator.clock import Clock
from fastapi_stackauth.emulator.errors import KnownError
from fastapi_stackauth.emulator.schema import Text
from fastapi_stackauth.emulator.wire import Call, operation


def is_right(clock: Clock, secret: str | None, totp: str) -> bool:
    """Return whether six digits are the code for the current half minute."""
    if secret is None or not totp.isascii():
        return False
    key = base64.b32encode(base64.b64decode(secret)).decode()
    try:
        return pyotp.TOTP(key).verify(totp, for_time=int(clock.now()), valid_window=0)
    except ValueError:  # pyotp rejects secrets of less than 112 bits
        return False


@operation("POST", "/auth/mfa/sign-in", body={**verification.BODY, "type": Text(choices=("totp",)), "totp": Text()})
async def sign_in(call: Call) -> dict[str, Any]:
    """Start a session for an attempt code and the one-time password. A wrong password does not use up the code."""
    row = verification.attempt_code(call, "mfa_attempt")
    user = call.server.store.users.get(call.project.id, row["data"]["user_id"])
    if user is None or not is_right(call.server.clock, user["totp_secret"], call.body["totp"]):
        raise KnownError("INVALID_TOTP_CODE")
    is_new = verification.used_up(call, row)["is_new_user"]
    return {**accounts.open_session(call, user), "user_id": user["id"], "is_new_user": is_new}
