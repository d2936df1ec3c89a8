"""OAuth: active flows, authorization codes, and users' linked accounts at providers."""

import json
from typing import Any

from fastapi_stackauth.emulator.clock import Chance, Clock

from .database import Database, Row

FLOW_MILLIS = 10 * 60 * 1000
CODE_MILLIS = 5 * 60 * 1000


class OAuthTable:
    """The tables for OAuth sign-in."""

    def __init__(self, database: Database, clock: Clock, chance: Chance) -> None:
        self._database, self._clock, self._chance = database, clock, chance

    def start(self, project_id: str, data: dict[str, Any]) -> str:
        """Store an app's request, and return the state for the provider."""
        state = self._chance.code()
        expires_at = self._clock.millis() + FLOW_MILLIS
        row = {"state": state, "project_id": project_id, "data": json.dumps(data), "expires_at": expires_at}
        self._database.insert("oauth_flows", row)
        return state

    def flow(self, state: str) -> Row | None:
        """Return a flow by its state, even if it has expired."""
        row = self._database.one("select * from oauth_flows where state = ?", state)
        return row and {**row, "data": json.loads(row["data"])}

    def mark_ended(self, flow: Row) -> None:
        """Mark a flow as ended. Its state is still known, but no longer works."""
        data = json.dumps({**flow["data"], "has_ended": True})
        self._database.run("update oauth_flows set data = ? where state = ?", data, flow["state"])

    def end_flow(self, state: str) -> bool:
        """Delete a flow. Return False if it had already ended."""
        return self._database.run("delete from oauth_flows where state = ?", state) == 1

    def issue_code(self, user: Row, data: dict[str, Any]) -> str:
        """Create an authorization code for a user."""
        code = self._chance.hex(32)
        self._database.insert("authorization_codes", {
            "code": code, "project_id": user["project_id"], "user_id": user["id"],
            "data": json.dumps(data), "expires_at": self._clock.millis() + CODE_MILLIS,
        })  # fmt: skip
        return code

    def code(self, project_id: str, code: str) -> Row | None:
        """Return a valid authorization code."""
        row = self._database.one(
            "select * from authorization_codes where code = ? and project_id = ? and expires_at > ?",
            code, project_id, self._clock.millis(),
        )  # fmt: skip
        return row and {**row, "data": json.loads(row["data"])}

    def burn_code(self, code: str) -> bool:
        """Use up an authorization code. Return False if another request was first."""
        return self._database.run("delete from authorization_codes where code = ?", code) == 1

    def link(self, user: Row, fields: Row) -> Row:
        """Link a provider's account to a user. `fields` are columns."""
        ids = {"id": self._chance.uuid(), "project_id": user["project_id"], "user_id": user["id"]}
        row: Row = {**ids, "created_at": self._clock.millis(), "written": self._next_write(), **fields}
        self._database.insert("oauth_accounts", row)
        return row

    def accounts(self, user_id: str) -> list[Row]:
        """Return a user's accounts, oldest first."""
        return self._database.all("select * from oauth_accounts where user_id = ? order by created_at, rowid", user_id)

    def accounts_as_written(self, user_id: str) -> list[Row]:
        """Return a user's accounts, with the most recently changed one last."""
        return self._database.all("select * from oauth_accounts where user_id = ? order by written", user_id)

    def _next_write(self) -> int:
        row = self._database.one("select coalesce(max(written), 0) + 1 as next from oauth_accounts")
        assert row is not None  # noqa: S101 - an aggregate always has a row
        return int(row["next"])

    def list_for_project(self, project_id: str) -> list[Row]:
        """Return every linked account of a project, oldest first."""
        return self._database.all(
            "select * from oauth_accounts where project_id = ? order by created_at, rowid", project_id
        )

    def same_account(self, project_id: str, provider: str, account_id: str) -> list[Row]:
        """Return the links of a provider account to any user."""
        return self._database.all(
            "select * from oauth_accounts where project_id = ? and provider = ? and account_id = ?",
            project_id, provider, account_id,
        )  # fmt: skip

    def update(self, account: Row, changes: Row) -> Row:
        """Change a link."""
        changes = {**changes, "written": self._next_write()}
        self._database.update("oauth_accounts", account["id"], changes)
        return {**account, **changes}

    def unlink(self, account_id: str) -> None:
        """Remove a link."""
        self._database.run("delete from oauth_accounts where id = ?", account_id)

    def grant(self, account: Row, scopes: list[str]) -> None:
        """Store the scopes and the token that a provider granted for an account."""
        row = {"account": account["id"], "scopes": " ".join(scopes), "access_token": f"mock_{self._chance.code()}"}
        self._database.insert("oauth_grants", row)

    def grants(self, account_id: str) -> list[Row]:
        """Return the provider's grants for an account, newest first."""
        return self._database.all("select * from oauth_grants where account = ? order by number desc", account_id)
