"""API keys of users and teams. A key is shown once. The table only contains its hash and its last four characters."""

import hashlib
import zlib
from typing import Literal

from fastapi_stackauth.emulator.clock import Chance, Clock

from .database import Database, Row

Kind = Literal["user", "team"]
SCANNER = {False: "1", True: "3"}  # a self-hosted server's secret and public keys, in base 32
MARK = "574ck4u7h"


def digest(value: str) -> str:
    """Return the lookup value of a key."""
    return hashlib.sha256(value.encode()).hexdigest()


class ApiKeys:
    """The table of API keys."""

    def __init__(self, database: Database, clock: Clock, chance: Chance) -> None:
        self._database, self._clock, self._chance = database, clock, chance

    def create(self, project_id: str, kind: Kind, owner_id: str, fields: Row) -> tuple[Row, str]:
        """Create a key, and return its row and the key itself.

        Raises:
            sqlite3.IntegrityError: The owner no longer exists.
        """
        key_id = self._chance.uuid()
        value = self._value(kind, key_id, public=bool(fields["is_public"]))
        row = {
            "id": key_id, "project_id": project_id, "kind": kind, f"{kind}_id": owner_id, "secret": digest(value),
            "last_four": value[-4:], "created_at": self._clock.millis(), **fields,
        }  # fmt: skip
        self._database.insert("api_keys", row)
        made = self.get(project_id, key_id)
        assert made is not None  # noqa: S101 - inserted above
        return made, value

    def _value(self, kind: Kind, key_id: str, *, public: bool) -> str:
        """Return a key in the format of the contract: prefix, secret, id, kind, marks for scanners and checksum."""
        body = f"{'pk' if public else 'sk'}_{self._chance.code()}{key_id.replace('-', '')}{kind}{SCANNER[public]}{MARK}"
        return f"{body}{zlib.crc32(body.encode()):08x}"

    def get(self, project_id: str, key_id: str) -> Row | None:
        """Return a key by its id."""
        return self._database.one("select * from api_keys where project_id = ? and id = ?", project_id, key_id.lower())

    def by_value(self, project_id: str, value: str) -> Row | None:
        """Return the key that a caller presents."""
        return self._database.one(
            "select * from api_keys where project_id = ? and secret = ?", project_id, digest(value)
        )

    def list_for_owner(self, project_id: str, kind: Kind, owner_id: str) -> list[Row]:
        """Return the keys of a user or a team, newest first."""
        return self._database.all(
            f"select * from api_keys where project_id = ? and {kind}_id = ? order by number desc",  # noqa: S608 - one of two words
            project_id,
            owner_id,
        )

    def change(self, row: Row, changes: Row) -> Row:
        """Change a key's description, or revoke it. Later revocations do not change the time of the first one."""
        self._database.update("api_keys", row["id"], changes)
        return {**row, **changes}
