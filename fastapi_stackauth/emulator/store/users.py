"""Users, their contact channels and their passkeys."""

from typing import Any

from fastapi_stackauth.emulator.clock import Chance, Clock

from .database import Database, Row

ORDERS = {"signed_up_at": "signed_up_at", "last_active_at": "last_active_at"}


class Users:
    """The table of users."""

    def __init__(self, database: Database, clock: Clock, chance: Chance) -> None:
        self._database, self._clock, self._chance = database, clock, chance

    def create(self, project_id: str, fields: Row) -> Row:
        """Create a user. `fields` are columns."""
        now = self._clock.millis()
        ids = {"id": self._chance.uuid(), "project_id": project_id}
        self._database.insert("users", {"signed_up_at": now, "last_active_at": now, **ids, **fields})
        user = self.get(project_id, str({**ids, **fields}["id"]))
        assert user is not None  # noqa: S101 - inserted above, in the same transaction
        return user

    def get(self, project_id: str, user_id: str) -> Row | None:
        """Return a user by id, ignoring case."""
        return self._database.one("select * from users where project_id = ? and id = ?", project_id, user_id.lower())

    def update(self, user_id: str, changes: Row) -> None:
        """Change columns of a user."""
        self._database.update("users", user_id, changes)

    def delete(self, user_id: str) -> None:
        """Delete a user with all of the user's data."""
        self._database.run("delete from users where id = ?", user_id)

    def by_auth_email(self, project_id: str, email: str) -> Row | None:
        """Return the user who signs in with an address."""
        return self._database.one(
            "select u.* from users u join contact_channels c on c.user_id = u.id"
            " where c.project_id = ? and c.type = 'email' and c.value = ? and c.used_for_auth",
            project_id, email,
        )  # fmt: skip

    def in_order(self, project_id: str, order: str = "signed_up_at", *, descending: bool = False) -> list[Row]:
        """Return all users of a project in order of sign-up or of `last_active_at`."""
        column, direction = ORDERS[order], "desc" if descending else "asc"
        return self._database.all(
            f"select * from users where project_id = ? order by {column} {direction}, id {direction}",  # noqa: S608 - words of this file
            project_id,
        )


class Channels:
    """The table of contact channels. The primary one is shown in the user's `primary_email` fields."""

    def __init__(self, database: Database, clock: Clock, chance: Chance) -> None:
        self._database, self._clock, self._chance = database, clock, chance

    def create(self, user: Row, value: str, flags: Row) -> Row:
        """Add an email channel. `flags` are is_primary, is_verified and used_for_auth."""
        row: Row = {
            "id": self._chance.uuid(),
            "project_id": user["project_id"],
            "user_id": user["id"],
            "type": "email",
            "value": value,
            **{name: int(flag) for name, flag in flags.items()},
            "created_at": self._clock.millis(),
        }
        with self._database.transaction():
            if row["is_primary"]:
                self.demote(user["id"])
            self._database.insert("contact_channels", row)
        return row

    def primary(self, user_id: str) -> Row | None:
        """Return a user's primary channel."""
        return self._database.one("select * from contact_channels where user_id = ? and is_primary", user_id)

    def demote(self, user_id: str) -> None:
        """Make a user's primary channel a normal one."""
        self._database.run("update contact_channels set is_primary = 0 where user_id = ?", user_id)

    def get(self, project_id: str, channel_id: str) -> Row | None:
        """Return a channel by id."""
        return self._database.one(
            "select * from contact_channels where project_id = ? and id = ?", project_id, channel_id.lower()
        )

    def with_value(self, user_id: str, value: str) -> Row | None:
        """Return a user's channel by its value."""
        return self._database.one("select * from contact_channels where user_id = ? and value = ?", user_id, value)

    def list_for_user(self, user_id: str) -> list[Row]:
        """Return a user's channels, oldest first."""
        return self._database.all(
            "select * from contact_channels where user_id = ? order by created_at, rowid", user_id
        )

    def list_for_project(self, project_id: str) -> list[Row]:
        """Return all channels of a project, oldest first."""
        return self._database.all(
            "select * from contact_channels where project_id = ? order by created_at, rowid", project_id
        )

    def update(self, channel: Row, changes: dict[str, Any]) -> Row:
        """Change a channel. A new primary channel replaces the previous one."""
        with self._database.transaction():
            if changes.get("is_primary"):
                self.demote(channel["user_id"])
            self._database.update("contact_channels", channel["id"], changes)
        return {**channel, **changes}

    def delete(self, channel_id: str) -> None:
        """Delete a channel."""
        self._database.run("delete from contact_channels where id = ?", channel_id)


class Passkeys:
    """The table of passkeys, with one per user."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, user: Row, credential_id: str, public_key: bytes, sign_count: int) -> None:
        """Set a user's passkey, which replaces an earlier one.

        Raises:
            sqlite3.IntegrityError: Another user has this passkey.
        """
        with self._database.transaction():
            self.delete(user["id"])
            self._database.insert(
                "passkeys",
                {
                    "user_id": user["id"],
                    "project_id": user["project_id"],
                    "credential_id": credential_id,
                    "public_key": public_key,
                    "sign_count": sign_count,
                },
            )

    def by_credential(self, project_id: str, credential_id: str) -> Row | None:
        """Return a passkey by its credential id."""
        return self._database.one(
            "select * from passkeys where project_id = ? and credential_id = ?", project_id, credential_id
        )

    def list_for_user(self, user_id: str) -> Row | None:
        """Return a user's passkey."""
        return self._database.one("select * from passkeys where user_id = ?", user_id)

    def count(self, user_id: str, sign_count: int) -> None:
        """Store an authenticator's signature counter."""
        self._database.run("update passkeys set sign_count = ? where user_id = ?", sign_count, user_id)

    def delete(self, user_id: str) -> None:
        """Delete a user's passkey."""
        self._database.run("delete from passkeys where user_id = ?", user_id)
