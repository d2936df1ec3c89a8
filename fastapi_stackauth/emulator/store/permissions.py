"""Permission definitions, and grants in teams and in the project."""

import json
from collections.abc import Iterable, Mapping

from .database import Database, Row

SYSTEM: Mapping[str, str] = {
    "$update_team": "Change the team's name, image and metadata.",
    "$delete_team": "Delete the team.",
    "$read_members": "List the members of the team.",
    "$remove_members": "Remove members from the team.",
    "$invite_members": "Invite users to the team.",
    "$manage_api_keys": "Create and revoke the team's API keys.",
}
"""The permissions that the server itself checks. They exist in every project and contain no other permissions."""


class Permissions:
    """The table of permissions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- what they are ---

    def definitions(self, project_id: str, scope: str | None = None) -> list[Row]:
        """Return the definitions of a project in order of id. Those for teams include the system permissions."""
        rows = self._database.all("select * from permission_definitions where project_id = ?", project_id)
        own = [{**row, "contained": json.loads(row["contained"])} for row in rows]
        system = [{"id": name, "scope": "team", "description": text, "contained": []} for name, text in SYSTEM.items()]
        return sorted((row for row in own + system if scope in (None, row["scope"])), key=lambda row: str(row["id"]))

    def definition(self, project_id: str, permission_id: str) -> Row | None:
        """Return one definition."""
        return next((row for row in self.definitions(project_id) if row["id"] == permission_id), None)

    def define(self, project_id: str, scope: str, definition: Row) -> None:
        """Add a definition: `id`, `description`, `contained`.

        Raises:
            sqlite3.IntegrityError: There is already one with this id.
        """
        row = {**definition, "project_id": project_id, "scope": scope, "contained": json.dumps(definition["contained"])}
        self._database.insert("permission_definitions", row)

    def redefine(self, project_id: str, permission_id: str, definition: Row) -> None:
        """Replace a definition. Grants of the old id become grants of the new one."""
        with self._database.transaction():
            self._database.run(
                "update permission_definitions set id = ?, description = ?, contained = ?"
                " where project_id = ? and id = ?",
                definition["id"], definition["description"], json.dumps(definition["contained"]), project_id,
                permission_id,
            )  # fmt: skip
            self._rename(project_id, permission_id, definition["id"])

    def undefine(self, project_id: str, permission_id: str) -> None:
        """Remove a definition, its grants, and references to it in other definitions."""
        with self._database.transaction():
            self._database.run(
                "delete from permission_definitions where project_id = ? and id = ?", project_id, permission_id
            )
            self._rename(project_id, permission_id, None)

    def _rename(self, project_id: str, old: str, new: str | None) -> None:
        if old == new:
            return
        for row in self.definitions(project_id):
            if old in row["contained"]:
                renamed = [new if other == old else other for other in row["contained"]]
                contained = json.dumps([other for other in renamed if other is not None])
                self._database.run(
                    "update permission_definitions set contained = ? where project_id = ? and id = ?",
                    contained, project_id, row["id"],
                )  # fmt: skip
        for table in ("team_permissions", "project_permissions"):
            self._rename_grants(table, project_id, old, new)

    def _rename_grants(self, table: str, project_id: str, old: str, new: str | None) -> None:
        which = "where permission_id = ? and user_id in (select id from users where project_id = ?)"
        if new is None:
            self._database.run(f"delete from {table} {which}", old, project_id)  # noqa: S608 - fixed texts
        else:
            self._database.run(f"update {table} set permission_id = ? {which}", new, old, project_id)  # noqa: S608 - likewise

    def with_contained(self, project_id: str, granted: Iterable[str]) -> set[str]:
        """Return permissions and all permissions that they contain, at any depth."""
        contained = {row["id"]: row["contained"] for row in self.definitions(project_id)}
        found: set[str] = set()
        waiting = list(granted)
        while waiting:
            permission_id = waiting.pop()
            if permission_id not in found:
                found.add(permission_id)
                waiting += contained.get(permission_id, [])
        return found

    # --- grants ---

    def grant_in_team(self, team_id: str, user_id: str, permission_id: str) -> bool:
        """Grant a member a permission. Return False if the member already has it."""
        return (
            self._database.run(
                "insert or ignore into team_permissions values (?, ?, ?)", team_id, user_id, permission_id
            )
            == 1
        )

    def revoke_in_team(self, team_id: str, user_id: str, permission_id: str) -> bool:
        """Revoke a permission; False if it was not granted."""
        return self._database.run(
            "delete from team_permissions where team_id = ? and user_id = ? and permission_id = ?",
            team_id, user_id, permission_id,
        ) == 1  # fmt: skip

    def in_team(self, team_id: str, user_id: str) -> list[str]:
        """Return the permissions that were granted directly to a member."""
        rows = self._database.all(
            "select permission_id from team_permissions where team_id = ? and user_id = ?", team_id, user_id
        )
        return [row["permission_id"] for row in rows]

    def grant_in_project(self, user_id: str, permission_id: str) -> bool:
        """Grant a user a permission. Return False if the user already has it."""
        return (
            self._database.run("insert or ignore into project_permissions values (?, ?)", user_id, permission_id) == 1
        )

    def revoke_in_project(self, user_id: str, permission_id: str) -> bool:
        """Revoke a permission; False if it was not granted."""
        return (
            self._database.run(
                "delete from project_permissions where user_id = ? and permission_id = ?", user_id, permission_id
            )
            == 1
        )

    def in_project(self, project_id: str) -> list[Row]:
        """Return all grants in a project, as rows of `user_id` and `permission_id`."""
        return self._database.all(
            "select p.* from project_permissions p join users u on u.id = p.user_id where u.project_id = ?", project_id
        )
