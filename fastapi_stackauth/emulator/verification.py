"""The checks that all kinds of one-time codes share.

Law: every attempt is counted. A code is used up before its flow continues, even if the flow then fails
(contract/tokens.md section 7).
"""

from typing import Any

from .errors import KnownError
from .schema import CODE
from .store.codes import MAX_EARLIER_ATTEMPTS
from .store.database import Row
from .wire import Call

BODY = {"code": CODE}
VALID = {"is_code_valid": True}


def attempt_code(call: Call, kind: str) -> Row:
    """Check the code in the body and return it, without using it up.

    Raises:
        KnownError: VERIFICATION_CODE_NOT_FOUND, _EXPIRED, _ALREADY_USED, _MAX_ATTEMPTS_REACHED, in this order.
    """
    row = call.server.store.codes.attempt(call.project.id, kind, call.body["code"].lower())
    if row is None:
        raise KnownError("VERIFICATION_CODE_NOT_FOUND")
    if row["expires_at"] <= call.server.clock.millis():
        raise KnownError("VERIFICATION_CODE_EXPIRED")
    if row["used_at"] is not None:
        raise KnownError("VERIFICATION_CODE_ALREADY_USED")
    if row["attempts"] >= MAX_EARLIER_ATTEMPTS:
        raise KnownError("VERIFICATION_CODE_MAX_ATTEMPTS_REACHED")
    return row


def used_up(call: Call, row: Row) -> dict[str, Any]:
    """Use up a code, and return its data. Only one of two concurrent requests succeeds."""
    if not call.server.store.codes.use(row):
        raise KnownError("VERIFICATION_CODE_ALREADY_USED")
    return dict(row["data"])


def consume_code(call: Call, kind: str) -> dict[str, Any]:
    """Check the code in the body, use it up, and return its data."""
    return used_up(call, attempt_code(call, kind))
