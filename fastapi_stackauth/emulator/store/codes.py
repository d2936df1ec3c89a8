"""One-time codes: sign-in, reset, verification, second factor, passkey challenges."""

import json
from typing import Any

from fastapi_stackauth.emulator.clock import Chance, Clock

from .database import Database, Row

MAX_EARLIER_ATTEMPTS = 20
OTP_LENGTH = 6
SECOND = 1000
DAY = 24 * 3600 * SECOND
LIFETIMES = {
    "sign_in": 7 * DAY,
    "password_reset": 7 * DAY,
    "email_verification": 7 * DAY,
    "mfa_attempt": 5 * 60 * SECOND,
    "passkey_registration": 65 * SECOND,
    "passkey_sign_in": 65 * SECOND,
    "team_invitation": 7 * DAY,
}


class Codes:
    """The table of codes. A code has 45 characters and is looked up by project, kind and code."""

    def __init__(self, database: Database, clock: Clock, chance: Chance) -> None:
        self._database, self._clock, self._chance = database, clock, chance

    def create(self, project_id: str, kind: str, data: dict[str, Any]) -> str:
        """Create and return a code with some data."""
        code = self._chance.code()
        expires_at = self._clock.millis() + LIFETIMES[kind]
        row = {"code": code, "kind": kind, "project_id": project_id, "data": json.dumps(data), "expires_at": expires_at}
        self._database.insert("codes", row)
        return code

    def attempt(self, project_id: str, kind: str, code: str) -> Row | None:
        """Count an attempt for every code with this suffix, and return the matching code as it was before."""
        with self._database.transaction():
            found = self._database.one(
                "select * from codes where project_id = ? and kind = ? and code = ?", project_id, kind, code
            )
            self._database.run(  # from the 7th character on, after the six that the user types
                "update codes set attempts = attempts + 1 where project_id = ? and substr(code, 7) = ?",
                project_id,
                code[OTP_LENGTH:],
            )
        return found and {**found, "data": json.loads(found["data"])}

    def open(self, project_id: str, kind: str) -> list[Row]:
        """Return the codes of a kind that are neither used nor expired, oldest first."""
        rows = self._database.all(
            "select * from codes where project_id = ? and kind = ? and used_at is null and expires_at > ?"
            " order by expires_at, rowid",
            project_id, kind, self._clock.millis(),
        )  # fmt: skip
        return [{**row, "data": json.loads(row["data"])} for row in rows]

    def delete(self, row: Row) -> None:
        """Delete a code."""
        self._database.run(
            "delete from codes where project_id = ? and kind = ? and code = ?",
            row["project_id"],
            row["kind"],
            row["code"],
        )

    def use(self, row: Row) -> bool:
        """Mark a code as used. Return False if another request was first."""
        return (
            self._database.run(
                "update codes set used_at = ? where project_id = ? and kind = ? and code = ? and used_at is null",
                self._clock.millis(), row["project_id"], row["kind"], row["code"],
            )
            == 1
        )  # fmt: skip
