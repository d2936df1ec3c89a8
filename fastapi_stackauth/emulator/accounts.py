"""Create users and sign them in: the shared parts of all sign-in methods.

Law: the store's unique index decides whether an address is free, in the same transaction that uses it.
"""

import sqlite3
from typing import Any

from . import views
from .errors import KnownError
from .server import Server
from .store.database import Row
from .store.projects import Project
from .wire import Call


def normalize(email: str) -> str:
    """Return an address in the form in which it is stored and looked up."""
    return email.strip().lower()


def check_sign_up_open(project: Project) -> None:
    """Raise unless the project has enabled sign-up."""
    if not project.config["sign_up_enabled"]:
        raise KnownError("SIGN_UP_NOT_ENABLED")


def check_bot_challenge(fields: dict[str, Any]) -> None:
    """Check a bot challenge. Only the vendor's mock tokens pass."""
    phase, token = fields.get("bot_challenge_phase"), fields.get("bot_challenge_token", "")
    passed = token.startswith("mock-turnstile-ok")
    if "bot_challenge_unavailable" in fields or (phase == "visible" and not passed):
        message = "The visible bot challenge was not passed."
        raise KnownError("BOT_CHALLENGE_FAILED", message, message=message)
    if phase == "invisible" and not passed:
        raise KnownError("BOT_CHALLENGE_REQUIRED")


def apply_rules(project: Project, email: str | None) -> Row:
    """Return the columns that the project's sign-up rules set, or raise."""
    rules = [rule for rule in project.config["sign_up_rules"] if email is not None and rule["contains"] in email]
    if not rules:
        return {}
    if rules[0]["action"] == "reject":
        message = "A sign-up rule of this project rejects this address."
        raise KnownError("SIGN_UP_REJECTED", message, message=message)
    return {"restricted_by_admin": 1, "restricted_by_admin_private_details": f"rule: contains {rules[0]['contains']}"}


def already_exists(email: str, *, would_work_if_verified: bool = False) -> KnownError:
    """Return the error for a taken address."""
    return KnownError("USER_EMAIL_ALREADY_EXISTS", email=email, would_work_if_email_was_verified=would_work_if_verified)


def sign_up(call: Call, email: str | None, columns: Row, *, verified: bool) -> Row:
    """Create a user with a primary address for sign-in, or upgrade the signed-in anonymous user.

    Raises:
        KnownError: USER_EMAIL_ALREADY_EXISTS, SIGN_UP_REJECTED.
    """
    store = call.server.store
    columns = {**apply_rules(call.project, email), **columns}
    try:
        with store.transaction():
            known = upgrade_anonymous(call, columns)
            user = known or store.users.create(call.project.id, columns)
            if email is not None:
                set_primary_email(call.server, user, email, {"is_verified": verified, "used_for_auth": True})
            tell_signed_up(call, user, upgraded=known is not None)
            user = with_own_team(call.server, call.project, user, renamed=known is not None)
    except sqlite3.IntegrityError:
        raise already_exists(email or "") from None
    return user


def upgrade_anonymous(call: Call, columns: Row) -> Row | None:
    """Upgrade the signed-in anonymous user to a full user. Return None if the caller is not anonymous."""
    store = call.server.store
    user = call.user and store.users.get(call.project.id, call.user["id"])
    if user is None or not user["is_anonymous"]:
        return None
    if "password_hash" in columns:
        store.sessions.delete_of_user(user["id"])
    now = call.server.clock.millis()
    store.users.update(user["id"], {**columns, "is_anonymous": 0, "signed_up_at": now})
    return store.users.get(user["project_id"], user["id"])


def tell_signed_up(call: Call, user: Row, *, upgraded: bool) -> None:
    """Send the webhook for a new or upgraded user, before the user's own team is created."""
    user_as_it_is = views.server_user(call.server.store, call.project, user)
    call.tell("user.updated" if upgraded else "user.created", user_as_it_is)


NAMELESS = "Personal Team"


def with_own_team(server: Server, project: Project, user: Row, *, renamed: bool = False) -> Row:
    """Return a new user, after creating a personal team if the project has enabled that.

    Args:
        server: The server's parts.
        project: The user's project.
        user: The user, with an address that is already stored.
        renamed: Whether the user was anonymous before, so that their team gets a new name.
    """
    if not project.config["create_personal_team_on_sign_up"]:
        return user
    store, primary = server.store, server.store.channels.primary(user["id"])
    owner = user["display_name"] or (primary and primary["value"])
    name = f"{owner}'s Team" if owner else NAMELESS
    if renamed:
        for team in store.teams.list_for_user(project.id, user["id"]):
            if team["display_name"] == NAMELESS:
                store.teams.update(team["id"], {"display_name": name})
        return user
    team = store.teams.create(project.id, {"display_name": name})
    server.webhooks.tell(project.id, "team.created", views.server_team(team))
    store.teams.join(team["id"], user["id"])
    if store.permissions.definition(project.id, "team_admin") is not None:
        store.permissions.grant_in_team(team["id"], user["id"], "team_admin")
    store.users.update(user["id"], {"selected_team_id": team["id"]})
    return {**user, "selected_team_id": team["id"]}


def set_primary_email(server: Server, user: Row, email: str, flags: dict[str, bool]) -> Row:
    """Make an address the user's primary one. An existing channel with this address is kept.

    Raises:
        sqlite3.IntegrityError: Another user signs in with it.
    """
    channels = server.store.channels
    held = channels.with_value(user["id"], email)
    if held is None:
        return channels.create(user, email, {"is_primary": True, **flags})
    return channels.update(held, {"is_primary": 1, **{name: int(flag) for name, flag in flags.items()}})


def signed_in(call: Call, user: Row, *, is_new: bool) -> dict[str, Any]:
    """Start a session for a user, or require the second factor.

    Raises:
        KnownError: MULTI_FACTOR_AUTHENTICATION_REQUIRED with an attempt code.
    """
    check_second_factor(call, user, is_new=is_new)
    return {**open_session(call, user), "user_id": user["id"]}


def check_second_factor(call: Call, user: Row, *, is_new: bool) -> None:
    """Require the second factor of a user who has enabled one."""
    if user["requires_totp_mfa"]:
        data = {"user_id": user["id"], "is_new_user": is_new}
        attempt_code = call.server.store.codes.create(call.project.id, "mfa_attempt", data)
        raise KnownError("MULTI_FACTOR_AUTHENTICATION_REQUIRED", attempt_code=attempt_code)


def open_session(call: Call, user: Row, **options: Any) -> dict[str, str]:  # noqa: ANN401 - see Sessions.create
    """Return the tokens of a new session."""
    session = call.server.store.sessions.create(user, **options)
    access_token = call.server.tokens.issue(call.project, user, session["id"])
    return {"access_token": access_token, "refresh_token": session["refresh_token"]}
