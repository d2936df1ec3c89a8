"""Users, as managed by the project's own server."""

import sqlite3
from typing import Any

from fastapi_stackauth.emulator import accounts, profiles, views
from fastapi_stackauth.emulator.errors import PlainError
from fastapi_stackauth.emulator.schema import TRUE_FALSE, UUID, Check, Number, Text, UserId
from fastapi_stackauth.emulator.searching import contains
from fastapi_stackauth.emulator.server_profile import ServerProfile
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.tokens import restricted_reason
from fastapi_stackauth.emulator.wire import SERVER, Call, operation

PARAMS = {"user_id": UserId()}
OPTIONAL = Text(required=False)


def query_fields(profile: ServerProfile) -> dict[str, Check]:
    """Return the query fields. For a single user, the real server also accepts those of the list, and ignores them."""
    return {
        "team_id": Text(required=False, form="uuid"),
        "limit": Number(required=False, least=1, most=profile.user_page_limit, whole=True),
        "cursor": Text(required=False, form="uuid"),
        "order_by": Text(required=False, choices=profile.user_orders),
        "desc": TRUE_FALSE,
        "query": OPTIONAL,
        "include_anonymous": TRUE_FALSE,
        "only_anonymous": TRUE_FALSE,
        "include_restricted": TRUE_FALSE,
        **({"excluded_email_domains": OPTIONAL} if profile.excludes_email_domains else {}),
    }


def to_json(call: Call, user: Row) -> dict[str, Any]:
    """Return a user with the fields for a server."""
    return views.server_user(call.server.store, call.project, user)


def check_email_fields(body: dict[str, Any]) -> None:
    """Reject flags of an address if there is no address."""
    sentence = profiles.flag_without_email(body)
    if sentence is not None:
        raise PlainError(400, sentence)


def check_providers(call: Call) -> None:
    """Reject accounts of providers that the project has not enabled."""
    for account in call.body.get("oauth_providers", []):
        if call.project.provider(account["id"]) is None:
            raise PlainError(400, "The project has no such OAuth provider.")


@operation("POST", "/users", access=SERVER, body=profiles.SERVER_CREATE, query=query_fields, status=201)
async def create(call: Call) -> dict[str, Any]:
    """Create a user, even if the project has disabled sign-up."""
    profiles.check_restriction(call)
    profiles.check_methods(call)
    check_email_fields(call.body)
    check_providers(call)
    columns = {
        **profiles.plain_columns(call.body), **profiles.image_columns(call), **(await profiles.password_columns(call)),
    }  # fmt: skip
    if "totp_secret_base64" in call.body:
        columns["totp_secret"] = call.body["totp_secret_base64"]
    try:
        with call.server.store.transaction():
            user = write_user(call, columns)
    except sqlite3.IntegrityError:
        raise accounts.already_exists(accounts.normalize(call.body.get("primary_email") or "")) from None
    made = to_json(call, user)
    call.tell("user.created", made)
    # This comes last, because the response does not show it yet.
    accounts.with_own_team(call.server, call.project, user)
    return made


def write_user(call: Call, columns: Row) -> Row:
    """Insert a new user with address and provider accounts, inside a transaction."""
    body, store = call.body, call.server.store
    user = store.users.create(call.project.id, columns)
    if body.get("primary_email") is not None:
        flags = {
            "is_verified": body.get("primary_email_verified", False),
            "used_for_auth": body.get("primary_email_auth_enabled", False),
        }
        accounts.set_primary_email(call.server, user, accounts.normalize(body["primary_email"]), flags)
    for account in body.get("oauth_providers", []):
        fields = {"provider": account["id"], "account_id": account["account_id"], "email": account.get("email")}
        store.oauth.link(user, {**fields, "allow_sign_in": 1, "allow_connected_accounts": 1})
    return user


@operation("GET", "/users/{user_id}", access=SERVER, params=PARAMS, query=query_fields)
async def read(call: Call) -> dict[str, Any]:
    """Return any user."""
    return to_json(call, profiles.existing(call, call.path["user_id"]))


@operation("PATCH", "/users/{user_id}", access=SERVER, params=PARAMS, query=query_fields, body=profiles.SERVER_UPDATE)
async def update(call: Call) -> dict[str, Any]:
    """Change any user."""
    changed = to_json(call, await profiles.update(call, profiles.existing(call, call.path["user_id"])))
    call.tell("user.updated", changed)
    return changed


@operation("DELETE", "/users/{user_id}", access=SERVER, params=PARAMS, query=query_fields)
async def delete(call: Call) -> dict[str, Any]:
    """Delete any user."""
    profiles.delete(call, profiles.existing(call, call.path["user_id"]))
    return {"success": True}


@operation("GET", "/users", access=SERVER, query=query_fields)
async def list_users(call: Call) -> dict[str, Any]:
    """List users in pages; anonymous and restricted users only on request."""
    query = call.query
    if query.get("only_anonymous") == "true" and query.get("include_anonymous") != "true":
        raise PlainError(400, "only_anonymous=true needs include_anonymous=true.")
    order = query.get("order_by", "signed_up_at")
    rows = call.server.store.users.in_order(call.project.id, order, descending=query.get("desc") == "true")
    if "team_id" in query:
        members = {row["user_id"] for row in call.server.store.teams.members(call.project.id, query["team_id"].lower())}
        rows = [row for row in rows if row["id"] in members]
    found = [row for row in rows if is_listed(call, row) and mentions(call, row) and not is_excluded(call, row)]
    page, following = paginate(call, found)
    return {
        "items": [to_json(call, row) for row in page],
        "is_paginated": True,
        "pagination": {"next_cursor": following},
    }


def is_listed(call: Call, user: Row) -> bool:
    """Return whether the list includes users of this kind."""
    anonymous, query = bool(user["is_anonymous"]), call.query
    if query.get("only_anonymous") == "true":
        return anonymous
    if query.get("include_anonymous") == "true":
        return True
    primary = call.server.store.channels.primary(user["id"])
    restricted = restricted_reason(call.project, user, primary) is not None
    return not anonymous and (not restricted or query.get("include_restricted") == "true")


def mentions(call: Call, user: Row) -> bool:
    """Return whether the search text is a user's id, or matches the name or an address like SQL's LIKE."""
    text = call.query.get("query", "").lower()
    if not text:
        return True
    if UUID.fullmatch(text) and user["id"] == text:
        return True
    values = [user["display_name"], *(row["value"] for row in call.server.store.channels.list_for_user(user["id"]))]
    return any(contains(value.lower(), text) for value in values if value is not None)


def is_excluded(call: Call, user: Row) -> bool:
    """Return whether the query excludes the domain of a user's primary address."""
    if not call.query.get("excluded_email_domains"):
        return False
    names = call.query["excluded_email_domains"].lower().split(",")
    primary = call.server.store.channels.primary(user["id"])
    domain = primary["value"].rpartition("@")[2].lower() if primary else ""
    return domain != "" and domain in {name.strip().removeprefix("@") for name in names}


def paginate(call: Call, rows: list[Row]) -> tuple[list[Row], str | None]:
    """Return the requested page, and the cursor of the next one."""
    profile, cursor, limit = call.server.profile, call.query.get("cursor"), call.query.get("limit")
    ids = [row["id"] for row in rows]
    if cursor is not None and cursor.lower() not in ids:
        return [], None
    start = 0 if cursor is None else ids.index(cursor.lower()) + profile.cursor_is_exclusive
    if limit is None and profile.user_page_limit is not None and len(rows) - start > profile.user_page_limit:
        raise PlainError(400, f"A list of more than {profile.user_page_limit} users needs a limit and a cursor.")
    end = len(rows) if limit is None else start + int(limit)
    return rows[start:end], ids[end - profile.cursor_is_exclusive] if end < len(rows) else None
