"""Sign-ins of command-line tools. Each has a code for polling and a code for completing it."""

from fastapi_stackauth.emulator.clock import Chance, Clock

from .database import Database, Row

MOST = 1000
"""At most so many sign-ins of a project; a new one replaces the oldest."""
REMEMBERED_MILLIS = 24 * 3600 * 1000
"""A poll returns `expired` for so long; then the code is unknown."""
PENDING = "refresh_token is null and used_at is null and expires_at > ?"


class CliLogins:
    """The table of sign-ins of command-line tools."""

    def __init__(self, database: Database, clock: Clock, chance: Chance) -> None:
        self._database, self._clock, self._chance = database, clock, chance

    def create(self, project_id: str, lifetime_millis: int, anonymous_token: str | None) -> Row:
        """Start a sign-in, and delete old ones if there are too many."""
        now = self._clock.millis()
        row: Row = {
            "id": self._chance.uuid(),
            "project_id": project_id,
            "polling_code": self._chance.code(),
            "login_code": self._chance.code(),
            "anonymous_token": anonymous_token,
            "created_at": now,
            "expires_at": now + lifetime_millis,
        }
        with self._database.transaction():
            self._database.run("delete from cli_logins where expires_at < ?", now - REMEMBERED_MILLIS)
            self._database.insert("cli_logins", row)
            self._database.run(
                "delete from cli_logins where project_id = ? and number not in"
                " (select number from cli_logins where project_id = ? order by number desc limit ?)",
                project_id, project_id, MOST,
            )  # fmt: skip
        return row

    def get(self, project_id: str, login_id: str) -> Row | None:
        """Return a sign-in by its id, in any state."""
        return self._database.one("select * from cli_logins where project_id = ? and id = ?", project_id, login_id)

    def by_polling_code(self, project_id: str, code: str) -> Row | None:
        """Return a sign-in by its polling code, in any state."""
        return self._database.one(
            "select * from cli_logins where project_id = ? and polling_code = ?", project_id, code
        )

    def pending(self, project_id: str, login_code: str) -> Row | None:
        """Return a sign-in by the browser's code, if it can still be completed."""
        return self._database.one(
            f"select * from cli_logins where project_id = ? and login_code = ? and {PENDING}",  # noqa: S608 - a constant
            project_id, login_code, self._clock.millis(),
        )  # fmt: skip

    def list_for_project(self, project_id: str, limit: int) -> list[Row]:
        """Return the latest sign-ins of a project in any state, newest first."""
        return self._database.all(
            "select * from cli_logins where project_id = ? order by number desc limit ?", project_id, limit
        )

    def find_state(self, row: Row, *, expired_first: bool) -> str:
        """Return `waiting`, `success`, `used` or `expired`.

        Args:
            row: The sign-in.
            expired_first: An expired sign-in is `expired` even if it was used.
        """
        is_expired = row["expires_at"] <= self._clock.millis()
        if row["used_at"] is not None and not (is_expired and expired_first):
            return "used"
        if is_expired:
            return "expired"
        return "waiting" if row["refresh_token"] is None else "success"

    def complete(self, row: Row, refresh_token: str) -> bool:
        """Set the refresh token for the tool. Return False if the sign-in is no longer pending."""
        return (
            self._database.run(
                f"update cli_logins set refresh_token = ?, anonymous_token = null where id = ? and {PENDING}",  # noqa: S608 - a constant
                refresh_token, row["id"], self._clock.millis(),
            )
            == 1
        )  # fmt: skip

    def take_anonymous_token(self, row: Row) -> bool:
        """Detach the anonymous session. Return False if another request was first."""
        return row["anonymous_token"] is not None and (
            self._database.run(
                f"update cli_logins set anonymous_token = null where id = ? and anonymous_token = ? and {PENDING}",  # noqa: S608 - a constant
                row["id"], row["anonymous_token"], self._clock.millis(),
            )
            == 1
        )  # fmt: skip

    def use(self, row: Row) -> bool:
        """Mark a completed sign-in as used. Return False if another poll was first."""
        return (
            self._database.run(
                "update cli_logins set used_at = ?"
                " where id = ? and used_at is null and refresh_token is not null",
                self._clock.millis(), row["id"],
            )
            == 1
        )  # fmt: skip
