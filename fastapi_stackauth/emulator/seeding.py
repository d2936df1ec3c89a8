"""Fill a project from a JSON file with settings, permissions, users and teams.

Law: the fields are those of the API. Either the whole file is applied or nothing.

    {"project": {"display_name": "Shop", "config": {"magic_link_enabled": false}},
     "permissions": [{"id": "posts:delete", "scope": "team"}],
     "users": [{"primary_email": "ada@example.com", "password": "correct horse", "primary_email_verified": true}],
     "teams": [{"display_name": "Red", "members": [{"email": "ada@example.com", "permissions": ["team_admin"]}]}]}
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from . import images, profiles
from .accounts import normalize, set_primary_email
from .passwords import SHORTEST, Passwords
from .profiles import SERVER_CREATE, plain_columns
from .reading import check_writable
from .schema import Check, Flag, Items, Problems, Record, Text
from .server import Server
from .store.database import Row
from .store.projects import Project
from .views import METADATA

PERMISSIONS = Items(required=False, of=Text(form="filled"))
USER = Record(
    fields={
        "id": Text(required=False, form="uuid"),
        **SERVER_CREATE,
        "requires_totp_mfa": Flag(required=False),
        "permissions": PERMISSIONS,
    }
)
PERMISSION = Record(
    fields={
        "id": Text(form="permission"),
        "scope": Text(choices=("team", "project")),
        "description": Text(required=False),
        "contained_permission_ids": Items(required=False, of=Text(form="filled")),
    }
)
MEMBER = Record(fields={"email": Text(form="email"), "display_name": Text(required=False), "permissions": PERMISSIONS})
TEAM = Record(
    fields={
        "id": Text(required=False, form="uuid"),
        "display_name": Text(),
        **{name: Check(required=False, nullable=True) for name in METADATA},
        "members": Items(required=False, of=MEMBER),
    }
)
SEED = Record(
    fields={
        "project": Record(required=False, fields={
            "display_name": Text(required=False),
            "config": Record(required=False, fields={}, open=True),
        }),
        "permissions": Items(required=False, of=PERMISSION),
        "users": Items(required=False, of=USER),
        "teams": Items(required=False, of=TEAM),
    }
)  # fmt: skip


def read_seed(value: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON from outside
    """Check a seed and return it.

    Raises:
        ValueError: It does not have the form above, or the API would reject a user. The message lists all errors.
    """
    check_writable(value)
    if isinstance(value, dict):
        value = {name: part for name, part in value.items() if name != "$schema"}  # the URL of the schema, for editors
    problems = Problems(me=None)
    seed = SEED.read(value, "seed", problems)
    if not problems.found:
        for number, user in enumerate(seed.get("users", [])):
            problems.found += [f"seed.users[{number}]: {sentence}" for sentence in complaints(user)]
    if problems.found:
        raise ValueError("; ".join(problems.found))
    raw = value.get("project", {}).get("config")
    return {**seed, "config": raw} if raw is not None else dict(seed)


def complaints(user: dict[str, Any]) -> list[str]:
    """Return the errors that the API would return for this user, without repeating values."""
    password, links = user.get("password"), [account["id"] for account in user.get("oauth_providers", [])]
    found = [*profiles.find_restriction_errors(user), profiles.contradiction(user), profiles.flag_without_email(user)]
    if password is not None and len(password) < SHORTEST:
        found.append(f"password must have at least {SHORTEST} characters")
    if len(set(links)) != len(links):
        found.append("a user has one account at each OAuth provider")
    if not images.is_usable(user.get("profile_image_url")):
        found.append("profile_image_url must be an http(s) URL, or a data URL of a PNG, JPEG, GIF or WebP image")
    return [sentence for sentence in found if sentence is not None]


def password_hashes(passwords: Passwords, seed: dict[str, Any]) -> list[str | None]:
    """Return the hash of each seeded user's password. This blocks the thread."""
    return [
        passwords.hash_now(user["password"]) if user.get("password") is not None else user.get("password_hash")
        for user in seed.get("users", [])
    ]


def plant(server: Server, project: Project, seed: dict[str, Any], hashes: list[str | None]) -> None:
    """Fill a project. Users with an existing sign-in address do not change.

    Args:
        server: The server of the project.
        project: The project to fill.
        seed: The result of `read_seed`.
        hashes: The result of `password_hashes` for it.

    Raises:
        ValueError: A setting is not valid, the project does not have the provider of an account, or two users have the
            same id or account.
    """
    projects = server.store.projects
    with server.store.transaction():
        if "display_name" in seed.get("project", {}):
            project = projects.rename(project, seed["project"]["display_name"])
        project = projects.configure(project, seed.get("config", {}))
        plant_permissions(server, project, seed.get("permissions", []))
        for user, hashed in zip(seed.get("users", []), hashes, strict=True):
            plant_user(server, project, user, hashed)
        for team in seed.get("teams", []):
            plant_team(server, project, team)


def plant_permissions(server: Server, project: Project, definitions: list[Row]) -> None:
    """Define a seed's permissions, or redefine those that exist."""
    table = server.store.permissions
    for wanted in definitions:
        row = {
            "id": wanted["id"],
            "description": wanted.get("description"),
            "contained": wanted.get("contained_permission_ids", []),
        }
        known = table.definition(project.id, wanted["id"])
        if known is None:
            table.define(project.id, wanted["scope"], row)
        elif known["scope"] == wanted["scope"]:
            table.redefine(project.id, wanted["id"], row)
        else:
            raise ValueError(f"a seeded permission is of the other scope already: {wanted['id']}")
    for wanted in definitions:
        for name in wanted.get("contained_permission_ids", []):
            check_permission(server, project, name, wanted["scope"])


def check_permission(server: Server, project: Project, name: str, scope: str) -> None:
    """Reject a permission that the project does not have in this scope."""
    known = server.store.permissions.definition(project.id, name)
    if known is None or known["scope"] != scope:
        raise ValueError(f"a seed names a permission that is not defined for a {scope}: {name}")


def plant_team(server: Server, project: Project, fields: Row) -> None:
    """Add a seeded team with its members. An existing team with this id, or else this name, does not change."""
    teams = server.store.teams
    if "id" in fields and teams.get(project.id, fields["id"]) is not None:
        return
    names = {team["display_name"] for team in teams.list_for_project(project.id)}
    if "id" not in fields and fields["display_name"] in names:
        return
    team = add_team(server, project, fields)
    for member in fields.get("members", []):
        plant_member(server, project, team, member)


def add_team(server: Server, project: Project, fields: Row) -> Row:
    """Create a team without members."""
    metadata = {name: json.dumps(fields[name]) for name in METADATA if fields.get(name) is not None}
    given = {"id": fields["id"].lower()} if "id" in fields else {}
    try:
        return server.store.teams.create(project.id, {"display_name": fields["display_name"], **given, **metadata})
    except sqlite3.IntegrityError:
        raise ValueError("there is already a team with this id") from None


def plant_member(server: Server, project: Project, team: Row, fields: Row) -> None:
    """Add a seeded member to a team. Without permissions, the member gets those of every member."""
    user = server.store.users.by_auth_email(project.id, normalize(fields["email"]))
    if user is None:
        raise ValueError("a seeded team has a member with an email address that belongs to no user")
    join(server, project, team["id"], user["id"], fields.get("permissions", ["team_member"]))
    if "display_name" in fields:
        held = server.store.teams.membership(team["id"], user["id"])
        assert held is not None  # noqa: S101 - joined above
        server.store.teams.change_profile(held, {"display_name": fields["display_name"]})


def join(server: Server, project: Project, team_id: str, user_id: str, permissions: Iterable[str]) -> None:
    """Add a user to a team with permissions."""
    store = server.store
    if store.teams.get(project.id, team_id) is None or store.users.get(project.id, user_id) is None:
        raise ValueError("there is no such team, or no such user")
    try:
        store.teams.join(team_id, user_id)
    except sqlite3.IntegrityError:
        raise ValueError("a team has the same member twice") from None
    for name in permissions:
        check_permission(server, project, name, "team")
        store.permissions.grant_in_team(team_id, user_id, name)


def plant_user(server: Server, project: Project, fields: Row, hashed: str | None) -> None:
    """Create one seeded user, unless a user signs in with the address."""
    email = normalize(fields.get("primary_email") or "")
    if not email or server.store.users.by_auth_email(project.id, email) is None:
        add_user(server, project, fields, hashed)


def add_user(server: Server, project: Project, fields: Row, hashed: str | None) -> Row:
    """Create a user."""
    store, email = server.store, normalize(fields.get("primary_email") or "")
    secret = fields.get("totp_secret_base64")
    columns = {
        **plain_columns(fields), **images.image_columns(server, project, fields, "user-profile-images"),
        "password_hash": hashed, "totp_secret": secret,
        "requires_totp_mfa": int(fields.get("requires_totp_mfa", secret is not None)),
        **({"id": fields["id"].lower()} if "id" in fields else {}),
    }  # fmt: skip
    try:
        user = store.users.create(project.id, columns)
        if email:
            flags = {
                "is_verified": fields.get("primary_email_verified", False),
                "used_for_auth": fields.get("primary_email_auth_enabled", True),
            }
            set_primary_email(server, user, email, flags)
        link_accounts(server, project, user, fields.get("oauth_providers", []))
    except sqlite3.IntegrityError:
        raise ValueError("a user has the id, the address or the provider account of another user") from None
    for name in fields.get("permissions", []):
        check_permission(server, project, name, "project")
        store.permissions.grant_in_project(user["id"], name)
    return user


def link_accounts(server: Server, project: Project, user: Row, accounts: list[Row]) -> None:
    """Link a seeded user's provider accounts."""
    for account in accounts:
        if project.provider(account["id"]) is None:
            raise ValueError("a seeded user has an account of a provider that the project does not have")
        link = {"provider": account["id"], "account_id": account["account_id"], "email": account.get("email")}
        server.store.oauth.link(user, {**link, "allow_sign_in": 1, "allow_connected_accounts": 1})
