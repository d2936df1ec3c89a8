"""Changes to users: the fields that client and server may send, and their effects.

Law: everything a change checks and writes happens in one transaction; hashing has happened before.
"""

import json
import sqlite3
from typing import Any

from . import accounts, images, passwords
from .errors import KnownError, PlainError
from .schema import Check, Flag, Items, Number, Record, Text
from .store.database import Row
from .views import METADATA
from .wire import Call, schema_error

NAME = Text(required=False, nullable=True, longest=256)
IMAGE = Text(required=False, nullable=True, form="url", longest=1_000_000)
ANY = Check(required=False, nullable=True)
EMAIL = Text(required=False, nullable=True, form="email")
FLAG = Flag(required=False)
SCORE = Number(least=0, most=100)
CLIENT_UPDATE: dict[str, Check] = {
    "display_name": NAME,
    "profile_image_url": IMAGE,
    "client_metadata": ANY,
    "selected_team_id": Text(required=False, nullable=True, form="uuid"),
    "totp_secret_base64": Text(required=False, nullable=True, form="base64"),
    "otp_auth_enabled": FLAG,
    "passkey_auth_enabled": FLAG,
    "primary_email": EMAIL,
}
SERVER_FIELDS: dict[str, Check] = {
    **{name: check for name, check in CLIENT_UPDATE.items() if name != "selected_team_id"},
    "client_read_only_metadata": ANY,
    "server_metadata": ANY,
    "primary_email_verified": FLAG,
    "primary_email_auth_enabled": FLAG,
    "password": Text(required=False, nullable=True, longest=70),
    "password_hash": Text(required=False, form="filled"),
    "restricted_by_admin": FLAG,
    "restricted_by_admin_reason": Text(required=False, nullable=True),
    "restricted_by_admin_private_details": Text(required=False, nullable=True),
    "country_code": Text(required=False, nullable=True, form="country"),
    "risk_scores": Record(required=False, fields={"sign_up": Record(fields={"bot": SCORE, "free_trial_abuse": SCORE})}),
}
SERVER_UPDATE: dict[str, Check] = {
    **SERVER_FIELDS,
    "selected_team_id": CLIENT_UPDATE["selected_team_id"],
    "is_anonymous": Flag(required=False, only=False),
}
ACCOUNT = Record(
    fields={"id": Text(), "account_id": Text(), "email": Text(required=False, nullable=True, form="email")}
)
SERVER_CREATE: dict[str, Check] = {
    **SERVER_FIELDS,
    "is_anonymous": FLAG,
    "oauth_providers": Items(required=False, of=ACCOUNT),
}
UPDATE_BODY = {"client": CLIENT_UPDATE, "server": SERVER_UPDATE, "admin": SERVER_UPDATE}
PLAIN_COLUMNS = ("country_code",)
RESTRICTION = ("restricted_by_admin_reason", "restricted_by_admin_private_details")


def find_restriction_errors(body: dict[str, Any]) -> list[str]:
    """Return the errors for a restriction's reason or details if the user is not restricted."""
    if body.get("restricted_by_admin") is True:
        return []
    return [f"{name} must be null" for name in RESTRICTION if body.get(name) is not None]


def contradiction(body: dict[str, Any]) -> str | None:
    """Return the error for fields that cannot be set, or not together, or None."""
    if body.get("password") is not None and "password_hash" in body:
        return "password and password_hash exclude each other."
    if body.get("passkey_auth_enabled"):
        return "passkey_auth_enabled cannot be set to true: it is true when the user has a passkey."
    if "password_hash" in body and not passwords.BCRYPT.fullmatch(body["password_hash"]):
        return "password_hash must be a bcrypt hash in Modular Crypt Format."
    return None


def flag_without_email(body: dict[str, Any]) -> str | None:
    """Return the error for an address flag that is set without an address."""
    for name in ("primary_email_auth_enabled", "primary_email_verified"):
        if body.get(name) and body.get("primary_email") is None:
            return f"{name} cannot be true without primary_email."
    return None


def check_restriction(call: Call) -> None:
    """Reject a restriction's reason or details if the user is not restricted."""
    without = find_restriction_errors(call.body)
    if without:
        raise schema_error(call.request, [f"body.{sentence}" for sentence in without])


def check_methods(call: Call) -> None:
    """Reject methods that the project has disabled, and fields that cannot be set."""
    body, config = call.body, call.project.config
    sentence = contradiction(body)
    if sentence is not None:
        raise PlainError(400, sentence)
    if (body.get("password") is not None or "password_hash" in body) and not config["credential_enabled"]:
        raise PlainError(400, "Password sign-in is disabled in this project.")
    if body.get("otp_auth_enabled") and not config["magic_link_enabled"]:
        raise PlainError(400, "Sign-in by email code is disabled in this project.")
    check_image(call)


def check_image(call: Call) -> None:
    """Reject an image URL from a client, which must send the image itself."""
    image = call.body.get("profile_image_url")
    if call.is_client and image is not None and not image.startswith("data:"):
        raise PlainError(400, "Invalid profile image URL")


def image_columns(call: Call) -> Row:
    """Return the column for a user's new image."""
    return dict(images.image_columns(call.server, call.project, call.body, "user-profile-images"))


async def password_columns(call: Call) -> Row:
    """Return the column for a new password."""
    if "password_hash" in call.body:
        return {"password_hash": call.body["password_hash"]}
    if "password" not in call.body:
        return {}
    password = call.body["password"]
    return {"password_hash": None if password is None else await call.server.passwords.hash(password)}


def plain_columns(body: dict[str, Any]) -> Row:
    """Return the columns for simple fields."""
    columns: Row = {name: body[name] for name in PLAIN_COLUMNS if name in body}
    columns |= {name: None if body[name] is None else json.dumps(body[name]) for name in METADATA if name in body}
    if "display_name" in body:
        columns["display_name"] = body["display_name"] or None
    if "otp_auth_enabled" in body:
        columns["otp_auth_enabled"] = int(body["otp_auth_enabled"])
    if "is_anonymous" in body:
        columns["is_anonymous"] = int(body["is_anonymous"])
    if "risk_scores" in body:
        scores = body["risk_scores"]["sign_up"]
        columns |= {"risk_bot": int(scores["bot"]), "risk_free_trial_abuse": int(scores["free_trial_abuse"])}
    return columns | restriction_columns(body)


def restriction_columns(body: dict[str, Any]) -> Row:
    """Return the columns for a restriction. Lifting it clears its reason and details."""
    columns: Row = {name: body[name] for name in RESTRICTION if name in body}
    if "restricted_by_admin" in body:
        columns["restricted_by_admin"] = int(body["restricted_by_admin"])
        if not body["restricted_by_admin"]:
            columns |= dict.fromkeys(RESTRICTION)
    return columns


async def update(call: Call, user: Row) -> Row:
    """Apply the body to a user, and return the changed user.

    Raises:
        KnownError: SCHEMA_ERROR, TEAM_MEMBERSHIP_NOT_FOUND, USER_EMAIL_ALREADY_EXISTS, USER_NOT_FOUND.
        PlainError: A method is disabled, or a field cannot have this value.
    """
    check_restriction(call)
    check_methods(call)
    columns = {
        **plain_columns(call.body), **image_columns(call), **team_columns(call, user), **(await password_columns(call)),
    }  # fmt: skip
    if "totp_secret_base64" in call.body:
        secret = call.body["totp_secret_base64"]
        columns |= {"totp_secret": secret, "requires_totp_mfa": int(secret is not None)}
    try:
        with call.server.store.transaction():
            write(call, user, columns)
    except sqlite3.IntegrityError:
        raise accounts.already_exists(accounts.normalize(call.body.get("primary_email") or "")) from None
    return existing(call, user["id"])


def write(call: Call, user: Row, columns: Row) -> None:
    """Write the changes to a user, inside a transaction."""
    store = call.server.store
    existing(call, user["id"])  # the user may have been deleted while the password was hashed
    store.users.update(user["id"], columns)
    update_email(call, user)
    if columns.get("password_hash") is not None and store.channels.primary(user["id"]) is None:
        # The real server returns 500 here.
        raise PlainError(400, "A password needs a primary email address.")
    if "password_hash" in columns:
        store.sessions.delete_of_user(user["id"])
    if call.body.get("passkey_auth_enabled") is False:
        store.passkeys.delete(user["id"])


def existing(call: Call, user_id: str) -> Row:
    """Return a user of the project, or raise."""
    user = call.server.store.users.get(call.project.id, user_id)
    if user is None:
        raise KnownError("USER_NOT_FOUND")
    return user


def team_columns(call: Call, user: Row) -> Row:
    """Return the column for the selected team, which must be one of the user's teams or None.

    Raises:
        KnownError: TEAM_MEMBERSHIP_NOT_FOUND.
    """
    if "selected_team_id" not in call.body:
        return {}
    team_id = call.body["selected_team_id"]
    if team_id is None:
        return {"selected_team_id": None}
    held = call.server.store.teams.membership(team_id.lower(), user["id"])
    if held is None:
        raise KnownError("TEAM_MEMBERSHIP_NOT_FOUND", team_id=team_id, user_id=user["id"])
    return {"selected_team_id": held["team_id"]}


def update_email(call: Call, user: Row) -> None:
    """Change the primary address or its flags."""
    channels, body = call.server.store.channels, call.body
    primary = channels.primary(user["id"])
    wished = {"is_verified": "primary_email_verified", "used_for_auth": "primary_email_auth_enabled"}
    flags = {column: body[name] for column, name in wished.items() if name in body}
    if "primary_email" not in body:
        change_flags(call, primary, flags)
    elif body["primary_email"] is None:
        channels.demote(user["id"])
    else:
        email = accounts.normalize(body["primary_email"])
        held = channels.with_value(user["id"], email)
        inherited = {
            "is_verified": bool(held and held["is_verified"]),
            "used_for_auth": bool(primary and primary["used_for_auth"]),
        }
        accounts.set_primary_email(call.server, user, email, {**inherited, **flags})


def change_flags(call: Call, primary: Row | None, flags: dict[str, Any]) -> None:
    """Change the flags of the primary address."""
    if primary is not None:
        call.server.store.channels.update(primary, {name: int(flag) for name, flag in flags.items()})
    elif any(flags.values()):
        raise PlainError(400, "Set a primary email address before you mark it as verified or allow sign-in with it.")


def delete(call: Call, user: Row) -> None:
    """Delete a user, after sending webhooks for each of their teams."""
    teams = [team["id"] for team in call.server.store.teams.list_for_user(call.project.id, user["id"])]
    call.server.store.users.delete(user["id"])
    for team_id in teams:
        call.tell("team_membership.deleted", {"team_id": team_id, "user_id": user["id"]})
    call.tell("user.deleted", {"id": user["id"], "teams": [{"id": team_id} for team_id in teams]})
