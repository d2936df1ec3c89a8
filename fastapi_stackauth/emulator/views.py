"""Convert rows to JSON: users for client and server, channels, sessions, links and projects.

Law: pure, except for reading a user's data. The JSON never contains a hash, a secret or a key.
"""

import json
from typing import Any

from .store import Store
from .store.database import Row
from .store.projects import Project
from .tokens import restricted_reason

METADATA = ("client_metadata", "client_read_only_metadata", "server_metadata")
SERVER_ONLY = (
    "server_metadata",
    "last_active_at_millis",
    "primary_email_auth_enabled",
    "country_code",
    "risk_scores",
    "restricted_by_admin_private_details",
)


def metadata(user: Row) -> dict[str, Any]:
    """Return the metadata fields, each any JSON value."""
    return {name: None if user[name] is None else json.loads(user[name]) for name in METADATA}


def email_fields(primary: Row | None) -> dict[str, Any]:
    """Return the fields of the primary channel."""
    return {
        "primary_email": primary["value"] if primary else None,
        "primary_email_verified": bool(primary and primary["is_verified"]),
        "primary_email_auth_enabled": bool(primary and primary["used_for_auth"]),
    }


def sign_in_fields(store: Store, user: Row) -> dict[str, Any]:
    """Return the sign-in methods of a user."""
    has_password = user["password_hash"] is not None
    return {
        "has_password": has_password,
        "otp_auth_enabled": bool(user["otp_auth_enabled"]),
        "auth_with_email": has_password or bool(user["otp_auth_enabled"]),
        "requires_totp_mfa": bool(user["requires_totp_mfa"]),
        "passkey_auth_enabled": store.passkeys.list_for_user(user["id"]) is not None,
        "oauth_providers": [
            {"id": account["provider"], "account_id": account["account_id"], "email": account["email"]}
            for account in store.oauth.accounts_as_written(user["id"])
        ],
    }


def restriction_fields(project: Project, user: Row, primary: Row | None) -> dict[str, Any]:
    """Return whether and why a user is restricted."""
    reason = restricted_reason(project, user, primary)
    return {
        "is_anonymous": bool(user["is_anonymous"]),
        "is_restricted": reason is not None,
        "restricted_reason": reason,
        "restricted_by_admin": bool(user["restricted_by_admin"]),
        "restricted_by_admin_reason": user["restricted_by_admin_reason"],
        "restricted_by_admin_private_details": user["restricted_by_admin_private_details"],
    }


def server_user(store: Store, project: Project, user: Row) -> dict[str, Any]:
    """Return a user with the fields for the project's own server."""
    primary = store.channels.primary(user["id"])
    return {
        "id": user["id"],
        "display_name": user["display_name"],
        **email_fields(primary),
        "profile_image_url": user["profile_image_url"],
        "signed_up_at_millis": user["signed_up_at"],
        **metadata(user),
        **sign_in_fields(store, user),
        "selected_team_id": user["selected_team_id"],
        "selected_team": selected_team(store, project, user),
        "last_active_at_millis": user["last_active_at"],
        **restriction_fields(project, user, primary),
        "country_code": user["country_code"],
        "risk_scores": {
            "sign_up": {"bot": user["risk_bot"], "free_trial_abuse": user["risk_free_trial_abuse"]},
        },
    }


def client_user(store: Store, project: Project, user: Row) -> dict[str, Any]:
    """Return a user with the fields that the user may see."""
    full = server_user(store, project, user)
    if full["selected_team"] is not None:
        full["selected_team"] = to_client_team(full["selected_team"])
    return {name: value for name, value in full.items() if name not in SERVER_ONLY}


def server_team(team: Row) -> dict[str, Any]:
    """Return a team with the fields for the project's own server."""
    return {
        "id": team["id"],
        "display_name": team["display_name"],
        "profile_image_url": team["profile_image_url"],
        **metadata(team),
        "created_at_millis": team["created_at"],
    }


def to_client_team(team: dict[str, Any]) -> dict[str, Any]:
    """Return a team for the server without the fields that a client may not see."""
    return {name: value for name, value in team.items() if name not in ("created_at_millis", "server_metadata")}


def client_team(team: Row) -> dict[str, Any]:
    """Return a team with the fields for its members."""
    return to_client_team(server_team(team))


def selected_team(store: Store, project: Project, user: Row) -> dict[str, Any] | None:
    """Return the selected team of a user."""
    team = store.teams.get(project.id, user["selected_team_id"]) if user["selected_team_id"] else None
    return team and server_team(team)


def team_member(store: Store, project: Project, held: Row, user: Row, *, for_client: bool) -> dict[str, Any]:
    """Return a member of a team. Fields that are not set for the team come from the user."""
    names = ("display_name", "profile_image_url")
    profile = {name: user[name] if held[name] is None else held[name] for name in names}
    whole = {} if for_client else {"user": server_user(store, project, user)}
    return {"team_id": held["team_id"], "user_id": held["user_id"], **profile, **whole}


def channel(row: Row) -> dict[str, Any]:
    """Return a contact channel."""
    flags = {name: bool(row[name]) for name in ("is_primary", "is_verified", "used_for_auth")}
    return {"user_id": row["user_id"], "id": row["id"], "type": row["type"], "value": row["value"], **flags}


def session(row: Row, current_id: str | None) -> dict[str, Any]:
    """Return a session. The emulator does not store the addresses of end users."""
    seen = {} if row["last_used_at"] is None else {"last_used_at": row["last_used_at"]}
    return {
        "id": row["id"],
        "user_id": row["user_id"],
        "created_at": row["created_at"],
        **seen,
        "is_impersonation": bool(row["is_impersonation"]),
        "is_current_session": row["id"] == current_id,
    }


def provider_link(row: Row, *, for_client: bool) -> dict[str, Any]:
    """Return a linked provider account. Only the server sees the account's id."""
    email = {} if row["email"] is None else {"email": row["email"]}
    account_id = {} if for_client else {"account_id": row["account_id"]}
    return {
        "user_id": row["user_id"],
        "id": row["id"],
        **email,
        **account_id,
        "provider_config_id": row["provider"],
        "type": row["provider"],
        "allow_sign_in": bool(row["allow_sign_in"]),
        "allow_connected_accounts": bool(row["allow_connected_accounts"]),
    }


PROMOTIONS = ("allow_promo_codes", "allow_stacking_promo_codes")
DEVELOPMENT_FIELDS: dict[str, Any] = {
    "is_development_environment": False,
    "pushed_config_error": None,
    "config_warnings": [],
}


def development_project(row: Project) -> dict[str, Any]:
    """Return a project with the fields of the newest servers."""
    view = project(row)
    config = {"allow_localhost": row.config["allow_localhost"], **dict.fromkeys(PROMOTIONS, False)}
    return {**view, **DEVELOPMENT_FIELDS, "config": {**view["config"], **config}}


def project(row: Project) -> dict[str, Any]:
    """Return a project with the fields for its apps."""
    view = (
        "sign_up_enabled", "credential_enabled", "magic_link_enabled", "passkey_enabled",
        "client_team_creation_enabled", "client_user_deletion_enabled", "allow_user_api_keys", "allow_team_api_keys",
    )  # fmt: skip
    return {
        "id": row.id,
        "display_name": row.display_name,
        "config": {
            **{name: row.config[name] for name in view},
            "enabled_oauth_providers": sorted(
                ({"id": item["id"]} for item in row.config["oauth_providers"]), key=lambda item: item["id"]
            ),
            "domains": [{"handler_path": "/handler", **item} for item in row.config["domains"]],
        },
    }
