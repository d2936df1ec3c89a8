"""The outbox: the emails that the server would have sent."""

from fastapi_stackauth.emulator.clock import Chance, Clock

from .database import Database, Row


class Mails:
    """The table of emails, oldest first."""

    def __init__(self, database: Database, clock: Clock, chance: Chance) -> None:
        self._database, self._clock, self._chance = database, clock, chance

    def add(self, project_id: str, recipient: str, kind: str, content: Row) -> Row:
        """Add an email. `content` contains subject, body and optionally link, code and otp."""
        row: Row = {
            "id": self._chance.uuid(),
            "project_id": project_id,
            "sent_at": self._clock.millis(),
            "recipient": recipient,
            "kind": kind,
            **content,
        }
        self._database.insert("mails", row)
        return row

    def find(self, project_id: str, to: str | None = None, kind: str | None = None) -> list[Row]:
        """Return the emails of a project, newest first, optionally only those of a recipient or kind."""
        return self._database.all(
            "select * from mails where project_id = ? and recipient = coalesce(?, recipient)"
            " and kind = coalesce(?, kind) order by number desc",
            project_id, to, kind,
        )  # fmt: skip

    def clear(self, project_id: str) -> None:
        """Delete a project's emails."""
        self._database.run("delete from mails where project_id = ?", project_id)
