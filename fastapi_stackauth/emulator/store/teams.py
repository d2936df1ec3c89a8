"""Teams and memberships. A membership contains the user's profile in the team."""

from fastapi_stackauth.emulator.clock import Chance, Clock

from .database import Database, Row


class Teams:
    """The table of teams."""

    def __init__(self, database: Database, clock: Clock, chance: Chance) -> None:
        self._database, self._clock, self._chance = database, clock, chance

    def create(self, project_id: str, fields: Row) -> Row:
        """Create a team. `fields` are columns."""
        row = {"id": self._chance.uuid(), "created_at": self._clock.millis(), **fields, "project_id": project_id}
        self._database.insert("teams", row)
        team = self.get(project_id, row["id"])
        assert team is not None  # noqa: S101 - inserted above
        return team

    def get(self, project_id: str, team_id: str) -> Row | None:
        """Return a team by id, ignoring case."""
        return self._database.one("select * from teams where project_id = ? and id = ?", project_id, team_id.lower())

    def update(self, team_id: str, changes: Row) -> None:
        """Change columns of a team."""
        self._database.update("teams", team_id, changes)

    def delete(self, team_id: str) -> None:
        """Delete a team with its memberships, permissions and keys."""
        self._database.run("delete from teams where id = ?", team_id)

    def list_for_project(self, project_id: str) -> list[Row]:
        """Return all teams, oldest first."""
        return self._database.all("select * from teams where project_id = ? order by created_at, number", project_id)

    def list_for_user(self, project_id: str, user_id: str) -> list[Row]:
        """Return the teams of a user, oldest first."""
        return self._database.all(
            "select t.* from teams t join memberships m on m.team_id = t.id"
            " where t.project_id = ? and m.user_id = ? order by t.created_at, t.number",
            project_id, user_id,
        )  # fmt: skip

    def join(self, team_id: str, user_id: str) -> None:
        """Add a user to a team.

        Raises:
            sqlite3.IntegrityError: The user is already a member, or the user or team no longer exists.
        """
        self._database.insert("memberships", {"team_id": team_id, "user_id": user_id})

    def leave(self, team_id: str, user_id: str) -> None:
        """Remove a user from a team, with the permissions granted there."""
        with self._database.transaction():
            self._database.run("delete from memberships where team_id = ? and user_id = ?", team_id, user_id)
            self._database.run(
                "update users set selected_team_id = null where id = ? and selected_team_id = ?", user_id, team_id
            )

    def membership(self, team_id: str, user_id: str) -> Row | None:
        """Return a user's membership in a team."""
        return self._database.one("select * from memberships where team_id = ? and user_id = ?", team_id, user_id)

    def members(self, project_id: str, team_id: str | None = None) -> list[Row]:
        """Return the memberships of a team or of all teams, oldest first."""
        return self._database.all(
            "select m.* from memberships m join teams t on t.id = m.team_id"
            " where t.project_id = ? and (? is null or m.team_id = ?) order by m.number",
            project_id, team_id, team_id,
        )  # fmt: skip

    def change_profile(self, membership: Row, changes: Row) -> None:
        """Change a user's name and picture in a team."""
        for name, value in changes.items():
            self._database.run(
                f"update memberships set {name} = ? where number = ?",  # noqa: S608 - a column's name
                value,
                membership["number"],
            )
