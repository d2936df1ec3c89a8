"""Sessions: one row for each refresh token."""

from fastapi_stackauth.emulator.clock import Chance, Clock

from .database import Database, Row

YEAR_MILLIS = 365 * 24 * 3600 * 1000


class Sessions:
    """The table of sessions. A refresh token is never rotated and is valid for a year, used or not."""

    def __init__(self, database: Database, clock: Clock, chance: Chance) -> None:
        self._database, self._clock, self._chance = database, clock, chance

    def create(self, user: Row, lifetime_millis: int = YEAR_MILLIS, *, is_impersonation: bool = False) -> Row:
        """Open a session for a user."""
        now = self._clock.millis()
        row: Row = {
            "id": self._chance.uuid(),
            "project_id": user["project_id"],
            "user_id": user["id"],
            "refresh_token": self._chance.code(),
            "created_at": now,
            "expires_at": now + lifetime_millis,
            "is_impersonation": int(is_impersonation),
            "last_used_at": now,
        }
        self._database.insert("sessions", row)
        return row

    def by_token(self, project_id: str, refresh_token: str) -> Row | None:
        """Return the active session for a refresh token."""
        return self._database.one(
            "select * from sessions where project_id = ? and refresh_token = ? and expires_at > ?",
            project_id, refresh_token, self._clock.millis(),
        )  # fmt: skip

    def get(self, project_id: str, session_id: str) -> Row | None:
        """Return a session by its id, even if it has expired."""
        return self._database.one("select * from sessions where project_id = ? and id = ?", project_id, session_id)

    def list_for_user(self, user_id: str) -> list[Row]:
        """Return a user's sessions, newest first."""
        return self._database.all(
            "select * from sessions where user_id = ? order by created_at desc, rowid desc", user_id
        )

    def list_for_project(self, project_id: str) -> list[Row]:
        """Return the sessions of a project that have not expired, newest first."""
        return self._database.all(
            "select * from sessions where project_id = ? and expires_at > ? order by created_at desc, rowid desc",
            project_id, self._clock.millis(),
        )  # fmt: skip

    def touch(self, session: Row) -> None:
        """Record that a session and its user are active now."""
        now = self._clock.millis()
        with self._database.transaction():
            self._database.update("sessions", session["id"], {"last_used_at": now})
            self._database.update("users", session["user_id"], {"last_active_at": now})

    def delete(self, session_id: str) -> bool:
        """End a session. Return False if it had already ended."""
        return self._database.run("delete from sessions where id = ?", session_id) == 1

    def delete_of_user(self, user_id: str, keep: str | None = None) -> None:
        """End a user's sessions, except for the one with the refresh token to keep."""
        self._database.run("delete from sessions where user_id = ? and refresh_token is not ?", user_id, keep)
