"""The SQLite connection: transactions, rows as dictionaries, and the schema.

Law: a transaction never spans an `await`. There is one connection with one lock. Committed data survives the end of the
process (write-ahead log, full synchronization).
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]

SCHEMA = """
create table meta (name text primary key, value text not null) strict;
create table projects (
  id text primary key, display_name text not null, publishable_client_key text not null,
  secret_server_key text not null, super_secret_admin_key text not null, config text not null
) strict;
create table users (
  id text primary key, project_id text not null references projects on delete cascade,
  display_name text, profile_image_url text, client_metadata text, client_read_only_metadata text,
  server_metadata text, password_hash text, otp_auth_enabled integer not null default 0, totp_secret text,
  requires_totp_mfa integer not null default 0, is_anonymous integer not null default 0,
  restricted_by_admin integer not null default 0, restricted_by_admin_reason text,
  restricted_by_admin_private_details text, signed_up_at integer not null, last_active_at integer not null,
  selected_team_id text references teams (id) on delete set null,
  country_code text, risk_bot integer not null default 0, risk_free_trial_abuse integer not null default 0
) strict;
create index users_in_order on users (project_id, signed_up_at, id);
create table contact_channels (
  id text primary key, project_id text not null, user_id text not null references users on delete cascade,
  type text not null, value text not null, is_primary integer not null, is_verified integer not null,
  used_for_auth integer not null, created_at integer not null, unique (user_id, type, value)
) strict;
create unique index one_sign_in_per_address on contact_channels (project_id, type, value) where used_for_auth;
create unique index one_primary_per_user on contact_channels (user_id, type) where is_primary;
create table sessions (
  id text primary key, project_id text not null, user_id text not null references users on delete cascade,
  refresh_token text not null unique, created_at integer not null, expires_at integer not null,
  is_impersonation integer not null, last_used_at integer
) strict;
create index sessions_of_user on sessions (user_id, created_at);
create table teams (
  number integer primary key, id text not null unique, project_id text not null references projects on delete cascade,
  display_name text not null, profile_image_url text, client_metadata text, client_read_only_metadata text,
  server_metadata text, created_at integer not null
) strict;
create table memberships (
  number integer primary key, team_id text not null references teams (id) on delete cascade,
  user_id text not null references users on delete cascade, display_name text, profile_image_url text,
  unique (team_id, user_id)
) strict;
create table permission_definitions (
  project_id text not null references projects on delete cascade, id text not null, scope text not null,
  description text, contained text not null, primary key (project_id, id)
) strict;
create table team_permissions (
  team_id text not null, user_id text not null, permission_id text not null,
  primary key (team_id, user_id, permission_id),
  foreign key (team_id, user_id) references memberships (team_id, user_id) on delete cascade
) strict;
create table project_permissions (
  user_id text not null references users on delete cascade, permission_id text not null,
  primary key (user_id, permission_id)
) strict;
create table api_keys (
  number integer primary key, id text not null unique, project_id text not null references projects on delete cascade,
  kind text not null, user_id text references users on delete cascade,
  team_id text references teams (id) on delete cascade,
  secret text not null unique, last_four text not null, description text not null, is_public integer not null,
  created_at integer not null, expires_at integer, revoked_at integer
) strict;
create table codes (
  code text not null, kind text not null, project_id text not null references projects on delete cascade,
  data text not null, expires_at integer not null, used_at integer, attempts integer not null default 0,
  primary key (project_id, kind, code)
) strict;
create table cli_logins (
  number integer primary key, id text not null unique, project_id text not null references projects on delete cascade,
  polling_code text not null unique, login_code text not null unique, anonymous_token text, refresh_token text,
  created_at integer not null, expires_at integer not null, used_at integer
) strict;
create index cli_logins_in_order on cli_logins (project_id, number);
create index codes_by_ending on codes (project_id, substr(code, 7));
create table mails (
  number integer primary key, id text not null unique, project_id text not null references projects on delete cascade,
  sent_at integer not null, recipient text not null, kind text not null, subject text not null, body text not null,
  link text, code text, otp text
) strict;
create table passkeys (
  user_id text primary key references users on delete cascade, project_id text not null, credential_id text not null,
  public_key blob not null, sign_count integer not null, unique (project_id, credential_id)
) strict;
create table images (
  number integer primary key, name text not null unique, project_id text not null references projects on delete cascade,
  content blob not null
) strict;
create table oauth_accounts (
  id text primary key, project_id text not null, user_id text not null references users on delete cascade,
  provider text not null, account_id text not null, email text, allow_sign_in integer not null,
  allow_connected_accounts integer not null, created_at integer not null, written integer not null,
  unique (user_id, provider, account_id)
) strict;
create unique index one_sign_in_per_account on oauth_accounts (project_id, provider, account_id) where allow_sign_in;
create unique index one_sign_in_account_per_provider on oauth_accounts (user_id, provider) where allow_sign_in;
create table oauth_grants (
  number integer primary key, account text not null references oauth_accounts on delete cascade,
  scopes text not null, access_token text not null
) strict;
create table oauth_flows (
  state text primary key, project_id text not null references projects on delete cascade,
  data text not null, expires_at integer not null
) strict;
create table authorization_codes (
  code text primary key, project_id text not null references projects on delete cascade,
  user_id text not null references users on delete cascade, data text not null, expires_at integer not null
) strict;
"""
VERSION = 4


class Database:
    """A connection to a SQLite database.

    Args:
        path: The file. None keeps the data in memory. The schema is created in a new file.

    Raises:
        sqlite3.Error: The file cannot be opened, or is not a database.
        ValueError: The file has another version of the schema.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        target = ":memory:" if path is None else str(path)
        self._connection = sqlite3.connect(target, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare()
        except (sqlite3.Error, ValueError):
            self._connection.close()
            raise

    def _prepare(self) -> None:
        for pragma in ("busy_timeout = 5000", "journal_mode = wal", "synchronous = full", "foreign_keys = on"):
            self._connection.execute(f"pragma {pragma}")
        version = self._connection.execute("pragma user_version").fetchone()[0]
        if version == 0:
            self._connection.executescript(f"begin immediate; {SCHEMA} pragma user_version = {VERSION}; commit;")
        elif version != VERSION:
            raise ValueError(f"the data file has schema version {version}; this program reads version {VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes within the block, or none of them. A nested transaction is part of the outer one."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("begin immediate")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._end("rollback")
                raise
            self._end("commit")

    def _end(self, verb: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._connection.execute(verb)

    def run(self, sql: str, *values: object) -> int:
        """Execute a statement, and return the number of changed rows."""
        with self._lock:
            return self._connection.execute(sql, values).rowcount

    def all(self, sql: str, *values: object) -> list[Row]:
        """Return all rows of a query."""
        with self._lock:
            return [dict(row) for row in self._connection.execute(sql, values).fetchall()]

    def one(self, sql: str, *values: object) -> Row | None:
        """Return the first row of a query, or None."""
        rows = self.all(sql, *values)
        return rows[0] if rows else None

    def insert(self, table: str, row: Row) -> None:
        """Insert a row. Its keys are column names, which always come from the code.

        Raises:
            sqlite3.IntegrityError: The row violates a unique or foreign key.
        """
        marks = ", ".join("?" * len(row))
        self.run(f"insert into {table} ({', '.join(row)}) values ({marks})", *row.values())  # noqa: S608 - names only

    def update(self, table: str, key: str, changes: Row) -> int:
        """Change a row by its `id`. Return 0 if it does not exist."""
        if not changes:
            return 1
        columns = ", ".join(f"{name} = ?" for name in changes)
        return self.run(f"update {table} set {columns} where id = ?", *changes.values(), key)  # noqa: S608 - names only

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
