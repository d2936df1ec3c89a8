"""A project filled from a JSON file: its settings, its users, further projects.

Law: the same forms as the API's own; all of the file is taken, or nothing.

    {"project": {"display_name": "Shop", "config": {"magic_link_enabled": false}},
     "users": [{"primary_email": "ada@example.com", "password": "correct horse", "primary_email_verified": true}]}
"""

import sqlite3
from typing import Any

from . import profiles
from .accounts import normalized, set_primary_email
from .passwords import HASHER, SHORTEST
from .profiles import SERVER_CREATE, plain_columns
from .reading import check_writable
from .schema import Flag, Items, Problems, Record, Text
from .server import Server
from .store.database import Row
from .store.projects import Project

USER = Record(
    fields={"id": Text(required=False, form="uuid"), **SERVER_CREATE, "requires_totp_mfa": Flag(required=False)}
)
SEED = Record(
    fields={
        "project": Record(required=False, fields={
            "display_name": Text(required=False),
            "config": Record(required=False, fields={}, open=True),
        }),
        "users": Items(required=False, of=USER),
    }
)  # fmt: skip


def read_seed(value: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON from outside
    """Return a seed after a look at its form.

    Raises:
        ValueError: it does not have the form above, or a user could not be made so through the API; the message
            names each wrong place.
    """
    check_writable(value)
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
    """Return what the API would not let a server do when it makes this user; no value is repeated."""
    password, links = user.get("password"), [account["id"] for account in user.get("oauth_providers", [])]
    found = [*profiles.unrestricted(user), profiles.contradiction(user), profiles.flag_without_email(user)]
    if password is not None and len(password) < SHORTEST:
        found.append(f"password must have at least {SHORTEST} characters")
    if len(set(links)) != len(links):
        found.append("a user has one account at each OAuth provider")
    return [sentence for sentence in found if sentence is not None]


def password_hashes(seed: dict[str, Any]) -> list[str | None]:
    """Return the hash of each seeded user's password; takes its time."""
    return [
        HASHER.hash(user["password"]) if user.get("password") is not None else user.get("password_hash")
        for user in seed.get("users", [])
    ]


def plant(server: Server, project: Project, seed: dict[str, Any], hashes: list[str | None]) -> None:
    """Fill a project; users whose address signs in already are left as they are.

    Args:
        seed: what `read_seed` returned.
        hashes: what `password_hashes` returned for it.

    Raises:
        ValueError: a setting has the wrong form, the project has not an account's provider, or two users have the
            same id or account.
    """
    projects = server.store.projects
    with server.store.transaction():
        if "display_name" in seed.get("project", {}):
            project = projects.rename(project, seed["project"]["display_name"])
        project = projects.configure(project, seed.get("config", {}))
        for user, hashed in zip(seed.get("users", []), hashes, strict=True):
            plant_user(server, project, user, hashed)


def plant_user(server: Server, project: Project, fields: Row, hashed: str | None) -> None:
    """Write one seeded user."""
    store, email = server.store, normalized(fields.get("primary_email") or "")
    if email and store.users.by_auth_email(project.id, email) is not None:
        return
    secret = fields.get("totp_secret_base64")
    columns = {
        **plain_columns(fields), "password_hash": hashed, "totp_secret": secret,
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
        raise ValueError("a seeded user has the id or the provider account of another user") from None


def link_accounts(server: Server, project: Project, user: Row, accounts: list[Row]) -> None:
    """Link a seeded user's provider accounts."""
    for account in accounts:
        if project.provider(account["id"]) is None:
            raise ValueError("a seeded user has an account of a provider that the project does not have")
        link = {"provider": account["id"], "account_id": account["account_id"], "email": account.get("email")}
        server.store.oauth.link(user, {**link, "allow_sign_in": 1, "allow_connected_accounts": 1})
