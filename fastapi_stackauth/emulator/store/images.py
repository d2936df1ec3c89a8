"""Stored images by their name."""

from .database import Database

KEPT = 200
"""The maximum number of images of a project. The oldest are deleted first."""


class Images:
    """The table of images."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, project_id: str, name: str, content: bytes) -> str:
        """Store an image, and return its name."""
        with self._database.transaction():
            self._database.insert("images", {"name": name, "project_id": project_id, "content": content})
            self._database.run(
                "delete from images where project_id = ? and number not in"
                " (select number from images where project_id = ? order by number desc limit ?)",
                project_id, project_id, KEPT,
            )  # fmt: skip
        return name

    def get(self, name: str) -> bytes | None:
        """Return an image's bytes."""
        row = self._database.one("select content from images where name = ?", name)
        return bytes(row["content"]) if row else None
