"""Users as the project's own server manages them."""

import sqlite3
from typing import Any

from fastapi_stackauth.emulator import accounts, profiles, views
from fastapi_stackauth.emulator.errors import PlainError
from fastapi_stackauth.emulator.schema import TRUE_FALSE, UUID, Number, Text, UserId
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.tokens import restricted_reason
from fastapi_stackauth.emulator.wire import SERVER, Call, operation

PARAMS = {"user_id": UserId()}
LIST_QUERY = {
    "team_id": Text(required=False, form="uuid"),
    "limit": Number(required=False, least=1),
    "cursor": Text(required=False, form="uuid"),
    "order_by": Text(required=False, choices=("signed_up_at",)),
    "desc": TRUE_FALSE,
    "query": Text(required=False),
    "include_anonymous": TRUE_FALSE,
    "only_anonymous": TRUE_FALSE,
    "include_restricted": TRUE_FALSE,
}


def shown(call: Call, user: Row) -> dict[str, Any]:
    """Return a user as a server sees them."""
    return views.server_user(call.server.store, call.project, user)


def check_email_fields(body: dict[str, Any]) -> None:
    """Refuse flags of an address that is not given."""
    sentence = profiles.flag_without_email(body)
    if sentence is not None:
        raise PlainError(400, sentence)


def check_providers(call: Call) -> None:
    """Refuse accounts of providers that the project has not."""
    for account in call.body.get("oauth_providers", []):
        if call.project.provider(account["id"]) is None:
            raise PlainError(400, "The project has no such OAuth provider.")


@operation("POST", "/users", access=SERVER, body=profiles.SERVER_CREATE, status=201)
async def create(call: Call) -> dict[str, Any]:
    """A new user, whatever the project says about sign-up."""
    profiles.check_restriction(call)
    profiles.check_methods(call)
    check_email_fields(call.body)
    check_providers(call)
    columns = {**profiles.plain_columns(call.body), **(await profiles.password_columns(call))}
    if "totp_secret_base64" in call.body:
        columns["totp_secret"] = call.body["totp_secret_base64"]
    try:
        with call.server.store.transaction():
            user = written(call, columns)
    except sqlite3.IntegrityError:
        raise accounts.already_exists(accounts.normalized(call.body.get("primary_email") or "")) from None
    made = shown(call, user)
    call.tell("user.created", made)
    accounts.with_own_team(call.server, call.project, user)  # after: the answer does not show it yet
    return made


def written(call: Call, columns: Row) -> Row:
    """Write a new user with their address and provider accounts, inside a transaction."""
    body, store = call.body, call.server.store
    user = store.users.create(call.project.id, columns)
    if body.get("primary_email") is not None:
        flags = {
            "is_verified": body.get("primary_email_verified", False),
            "used_for_auth": body.get("primary_email_auth_enabled", False),
        }
        accounts.set_primary_email(call.server, user, accounts.normalized(body["primary_email"]), flags)
    for account in body.get("oauth_providers", []):
        fields = {"provider": account["id"], "account_id": account["account_id"], "email": account.get("email")}
        store.oauth.link(user, {**fields, "allow_sign_in": 1, "allow_connected_accounts": 1})
    return user


@operation("GET", "/users/{user_id}", access=SERVER, params=PARAMS)
async def read(call: Call) -> dict[str, Any]:
    """Any user."""
    return shown(call, profiles.existing(call, call.path["user_id"]))


@operation("PATCH", "/users/{user_id}", access=SERVER, params=PARAMS, body=profiles.SERVER_UPDATE)
async def update(call: Call) -> dict[str, Any]:
    """Change any user."""
    changed = shown(call, await profiles.update(call, profiles.existing(call, call.path["user_id"])))
    call.tell("user.updated", changed)
    return changed


@operation("DELETE", "/users/{user_id}", access=SERVER, params=PARAMS)
async def delete(call: Call) -> dict[str, Any]:
    """Remove any user."""
    profiles.delete(call, profiles.existing(call, call.path["user_id"]))
    return {"success": True}


@operation("GET", "/users", access=SERVER, query=LIST_QUERY)
async def list_users(call: Call) -> dict[str, Any]:
    """Users in order of sign-up, by page; anonymous and restricted ones only on request."""
    query = call.query
    if query.get("only_anonymous") == "true" and query.get("include_anonymous") != "true":
        raise PlainError(400, "only_anonymous=true needs include_anonymous=true.")
    rows = call.server.store.users.in_order(call.project.id, descending=query.get("desc") == "true")
    if "team_id" in query:
        members = {row["user_id"] for row in call.server.store.teams.members(call.project.id, query["team_id"].lower())}
        rows = [row for row in rows if row["id"] in members]
    found = [row for row in rows if listed(call, row) and mentions(call, row)]
    page, following = paged(found, query.get("cursor"), query.get("limit"))
    return {
        "items": [shown(call, row) for row in page],
        "is_paginated": True,
        "pagination": {"next_cursor": following},
    }


def listed(call: Call, user: Row) -> bool:
    """Return whether a user of this kind was asked for."""
    anonymous, query = bool(user["is_anonymous"]), call.query
    if query.get("only_anonymous") == "true":
        return anonymous
    if query.get("include_anonymous") == "true":
        return True
    primary = call.server.store.channels.primary(user["id"])
    restricted = restricted_reason(call.project, user, primary) is not None
    return not anonymous and (not restricted or query.get("include_restricted") == "true")


def mentions(call: Call, user: Row) -> bool:
    """Return whether the search text is a user's id or part of their name or an address."""
    text = call.query.get("query", "").lower()
    if not text:
        return True
    if UUID.fullmatch(text) and user["id"] == text:
        return True
    values = [row["value"] for row in call.server.store.channels.of_user(user["id"])]
    return any(text in value.lower() for value in [user["display_name"] or "", *values])


def paged(rows: list[Row], cursor: str | None, limit: float | None) -> tuple[list[Row], str | None]:
    """Return the page that begins with the cursor, and the id that the next one begins with."""
    ids = [row["id"] for row in rows]
    if cursor is not None and cursor.lower() not in ids:
        return [], None
    start = ids.index(cursor.lower()) if cursor is not None else 0
    end = len(rows) if limit is None else start + int(limit)
    return rows[start:end], ids[end] if end < len(rows) else None
