"""Projects with their keys and configuration, and the server's own secret."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi_stackauth.emulator.clock import Chance
from fastapi_stackauth.emulator.schema import Flag, Items, Problems, Record, Text

from .database import Database, Row

# The settings of a project created through the vendor's API (contract/endpoints.json, default_project_config).
DEFAULTS: Mapping[str, Any] = {
    "credential_enabled": True,
    "magic_link_enabled": False,
    "passkey_enabled": False,
    "sign_up_enabled": True,
    "oauth_providers": [],
    "oauth_account_merge_strategy": "link_method",
    "allow_localhost": False,
    "domains": [],
    "client_user_deletion_enabled": False,
    "client_team_creation_enabled": False,
    "allow_user_api_keys": False,
    "allow_team_api_keys": False,
    "require_email_verification": False,
    "require_publishable_client_key": False,
    "sign_up_rules": [],
    "create_personal_team_on_sign_up": False,
    "shared_oauth_access_tokens": False,
}
# Settings for a first try, with everything enabled.
FRIENDLY: Mapping[str, Any] = {
    **DEFAULTS,
    "magic_link_enabled": True,
    "passkey_enabled": True,
    "allow_localhost": True,
    "client_user_deletion_enabled": True,
    "client_team_creation_enabled": True,
    "allow_user_api_keys": True,
    "allow_team_api_keys": True,
    "oauth_providers": [{"id": name, "type": "standard"} for name in ("google", "github", "microsoft", "spotify")],
}

KEYS: Mapping[str, re.Pattern[str]] = {
    "publishable_client_key": re.compile(r"pck_[A-Za-z0-9_-]{16,200}"),
    "secret_server_key": re.compile(r"ssk_[A-Za-z0-9_-]{16,200}"),
}
WEBHOOK_SECRET = re.compile(  # base64 of 16 bytes or more
    r"whsec_(?:[A-Za-z0-9+/]{4}){5,42}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})"
)
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
FLAG = Flag(required=False)
PROVIDER = Record(fields={"id": Text(form="filled"), "type": Text(required=False, choices=("shared", "standard"))})
DOMAIN = Record(fields={"domain": Text(form="domain"), "handler_path": Text(required=False)})
RULE = Record(fields={"contains": Text(form="filled"), "action": Text(choices=("reject", "restrict"))})
STRATEGIES = ("link_method", "raise_error", "allow_duplicates")
SETTINGS = Record(
    fields={
        **{name: FLAG for name, value in DEFAULTS.items() if isinstance(value, bool)},
        "oauth_providers": Items(required=False, of=PROVIDER),
        "oauth_account_merge_strategy": Text(required=False, choices=STRATEGIES),
        "domains": Items(required=False, of=DOMAIN),
        "sign_up_rules": Items(required=False, of=RULE),
    }
)
DEFAULT_DEFINITIONS: tuple[Row, ...] = (
    {"id": "team_admin", "scope": "team", "description": "Everything in the team.", "contained": json.dumps(
        ["$delete_team", "$invite_members", "$manage_api_keys", "$read_members", "$remove_members", "$update_team"])},
    {"id": "team_member", "scope": "team", "description": "The permissions of every member.", "contained": json.dumps(
        ["$invite_members", "$read_members"])},
)  # fmt: skip
"""The permissions of a new project: the first for the creator of a team, the second for new members."""


@dataclass(frozen=True)
class Project:
    """The current state of a project. The repr never shows its keys."""

    id: str
    display_name: str
    config: Mapping[str, Any]
    publishable_client_key: str = field(repr=False)
    secret_server_key: str = field(repr=False)
    super_secret_admin_key: str = field(repr=False)

    def provider(self, name: str) -> Mapping[str, Any] | None:
        """Return an enabled OAuth provider's configuration."""
        return next((item for item in self.config["oauth_providers"] if item["id"] == name), None)

    def shares_keys(self, name: str) -> bool:
        """Return whether an OAuth provider uses shared keys."""
        provider = self.provider(name)
        return provider is not None and provider.get("type", "shared") == "shared"


def check_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Check a configuration and return it.

    Raises:
        ValueError: A setting is unknown or has an invalid value. The message lists all of them.
    """
    problems = Problems(me=None)
    read: dict[str, Any] = SETTINGS.read(dict(config), "config", problems)
    if problems.found:
        raise ValueError(f"{'; '.join(problems.found)} (settings: {', '.join(sorted(DEFAULTS))})")
    return read


class Projects:
    """The table of projects."""

    def __init__(self, database: Database, chance: Chance) -> None:
        self._database, self._chance = database, chance

    def server_secret(self) -> str:
        """Return the secret from which signing keys are derived. It is created on first use and then stored."""
        self._database.run("insert or ignore into meta values ('server_secret', ?)", self._chance.code())
        row = self._database.one("select value from meta where name = 'server_secret'")
        assert row is not None  # noqa: S101 - written one line above
        return str(row["value"])

    def rotate_keys(self) -> None:
        """Replace the server's secret. All signing keys change, and old tokens become invalid."""
        self._database.run("insert or replace into meta values ('server_secret', ?)", self._chance.code())

    def default_id(self) -> str | None:
        """Return the id of the default project at the last start."""
        row = self._database.one("select value from meta where name = 'default_project'")
        return str(row["value"]) if row else None

    def webhook_secret(self, project_id: str) -> str:
        """Return the secret that signs a project's webhooks. It is generated once."""
        name = f"webhook_secret:{project_id}"
        drawn = "whsec_" + base64.b64encode(self._chance.bytes(24)).decode()
        self._database.run("insert or ignore into meta values (?, ?)", name, drawn)
        row = self._database.one("select value from meta where name = ?", name)
        assert row is not None  # noqa: S101 - there by now
        return str(row["value"])

    def fix_webhook_secret(self, project_id: str, secret: str) -> None:
        """Set the secret that signs a project's webhooks.

        Raises:
            ValueError: It is malformed. The message does not repeat it.
        """
        if not WEBHOOK_SECRET.fullmatch(secret):
            raise ValueError("webhook_secret must be whsec_ and the base64 of 16 bytes or more")
        self._database.run("insert or replace into meta values (?, ?)", f"webhook_secret:{project_id}", secret)

    def make_default(self, project_id: str) -> None:
        """Store a project as the default."""
        self._database.run("insert or replace into meta values ('default_project', ?)", project_id)

    def get(self, project_id: str) -> Project | None:
        """Return a project by its id."""
        row = self._database.one("select * from projects where id = ?", project_id)
        return self._project(row) if row else None

    def all(self) -> list[Project]:
        """Return all projects."""
        return [self._project(row) for row in self._database.all("select * from projects order by rowid")]

    def create(self, config: Mapping[str, Any], **fields: str | None) -> Project:
        """Create a project. A missing id, name or key is generated.

        Raises:
            ValueError: The id, which is part of issuers and paths, is not a UUID or simple name, or a setting is wrong.
        """
        given = {name: value for name, value in fields.items() if value is not None}
        project_id = given.get("id", self._chance.uuid())
        if not ID.fullmatch(project_id):
            raise ValueError("a project's id is a UUID, or up to 64 of a-z, A-Z, 0-9, '-' and '_'")
        project = Project(
            id=project_id,
            display_name=given.get("display_name", "Emulator"),
            config={**DEFAULTS, **check_config(config)},
            publishable_client_key=given.get("publishable_client_key") or f"pck_{self._chance.code()}",
            secret_server_key=given.get("secret_server_key") or f"ssk_{self._chance.code()}",
            super_secret_admin_key=given.get("super_secret_admin_key") or f"sak_{self._chance.code()}",
        )
        row = {**vars(project), "config": json.dumps(project.config)}
        self._database.insert("projects", row)
        self._define_defaults(project.id)
        return project

    def _define_defaults(self, project_id: str) -> None:
        for definition in DEFAULT_DEFINITIONS:
            self._database.insert("permission_definitions", {"project_id": project_id, **definition})

    def restore(self, project: Project, config: Mapping[str, Any]) -> None:
        """Restore the settings of a project, and the permissions of a new project."""
        with self._database.transaction():
            self._database.update("projects", project.id, {"config": json.dumps({**config})})
            self._database.run("delete from permission_definitions where project_id = ?", project.id)
            self._define_defaults(project.id)

    def delete(self, project_id: str) -> None:
        """Delete a project and all its data."""
        self._database.run("delete from projects where id = ?", project_id)

    def configure(self, project: Project, changes: Mapping[str, Any]) -> Project:
        """Change some settings of a project."""
        changed = replace(project, config={**project.config, **check_config(changes)})
        self._database.update("projects", project.id, {"config": json.dumps(changed.config)})
        return changed

    def rekey(self, project: Project, keys: Mapping[str, str | None]) -> Project:
        """Set the keys of a project that are not None.

        Raises:
            ValueError: A key is malformed. The message does not repeat it.
        """
        given: dict[str, Any] = {name: key for name, key in keys.items() if key is not None}
        for name, key in given.items():
            if not KEYS[name].fullmatch(key):
                raise ValueError(f"{name} must match {KEYS[name].pattern}")
        if given:
            self._database.update("projects", project.id, given)
        return replace(project, **given)

    def rename(self, project: Project, display_name: str) -> Project:
        """Change a project's display name."""
        self._database.update("projects", project.id, {"display_name": display_name})
        return replace(project, display_name=display_name)

    def empty(self, project_id: str) -> None:
        """Delete all users, codes, emails and sign-ins of a project. Its keys and settings stay."""
        with self._database.transaction():
            for table in (
                "teams", "users", "codes", "cli_logins", "mails", "images", "oauth_flows", "authorization_codes",
            ):  # fmt: skip
                self._database.run(f"delete from {table} where project_id = ?", project_id)  # noqa: S608 - names only

    @staticmethod
    def _project(row: Row) -> Project:
        return Project(**{**row, "config": json.loads(row["config"])})
