"""One-time codes in flows: the checks that every kind has in common.

Law: every attempt counts; a code is used up before its flow continues, so a flow that fails then
has burnt it (contract/tokens.md section 7).
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
    """Return the code of the body, after all checks; nothing is used up.

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
    """Use a code up; return what it carries. Of two at once, one wins."""
    if not call.server.store.codes.use(row):
        raise KnownError("VERIFICATION_CODE_ALREADY_USED")
    return dict(row["data"])


def consume_code(call: Call, kind: str) -> dict[str, Any]:
    """Check the code of the body and use it up; return what it carries."""
    return used_up(call, attempt_code(call, kind))
