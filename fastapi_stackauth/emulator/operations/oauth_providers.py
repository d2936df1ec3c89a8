"""Links between users and their accounts at OAuth providers."""

import sqlite3
from typing import Any

from fastapi_stackauth.emulator import views
from fastapi_stackauth.emulator.errors import KnownError, PlainError
from fastapi_stackauth.emulator.profiles import existing
from fastapi_stackauth.emulator.schema import Flag, Text, UserId
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.wire import SERVER, Call, operation

FLAG = Flag(required=False)
EMAIL = Text(required=False, form="email")
CREATE = {
    "user_id": UserId(),
    "provider_config_id": Text(),
    "email": EMAIL,
    "allow_sign_in": Flag(),
    "allow_connected_accounts": Flag(),
    "account_id": Text(),
}
CLIENT_UPDATE = {"allow_sign_in": FLAG, "allow_connected_accounts": FLAG}
SERVER_UPDATE = {**CLIENT_UPDATE, "email": EMAIL, "account_id": Text(required=False)}
UPDATE = {"client": CLIENT_UPDATE, "server": SERVER_UPDATE, "admin": SERVER_UPDATE}
PARAMS = {"user_id": UserId(), "provider_id": Text(form="uuid")}
FOREIGN = "A client can only access its own user's OAuth providers."
USED_FOR_SIGN_IN = "OAUTH_PROVIDER_ACCOUNT_ID_ALREADY_USED_FOR_SIGN_IN"
FLAGS = ("allow_sign_in", "allow_connected_accounts")


def to_json(call: Call, row: Row) -> dict[str, Any]:
    """Return a link with the fields for this access type."""
    return views.provider_link(row, for_client=call.is_client)


def find(call: Call) -> Row:
    """Return the link with the id in the path, or raise."""
    user_id, link_id = call.path["user_id"], call.path["provider_id"].lower()
    call.only_own(user_id, FOREIGN)
    existing(call, user_id)
    row = next((row for row in call.server.store.oauth.accounts(user_id) if row["id"] == link_id), None)
    if row is None:
        raise PlainError(404, "The user has no such OAuth provider.")
    return row


@operation("GET", "/oauth-providers", query={"user_id": UserId(required=False)})
async def list_links(call: Call) -> dict[str, Any]:
    """Return the links of a user or, with server access, of all users."""
    user_id, oauth = call.query.get("user_id"), call.server.store.oauth
    call.only_own(user_id, FOREIGN)
    if user_id is not None:
        existing(call, user_id)
    rows = oauth.list_for_project(call.project.id) if user_id is None else oauth.accounts(user_id)
    return {"items": [to_json(call, row) for row in rows], "is_paginated": False}


def check_free(call: Call, user_id: str, provider: str, link_id: str | None = None) -> None:
    """Reject a body that would make two links conflict.

    Like the real server, this searches for the account at all providers. Without `account_id` in the body, any account
    for sign-in conflicts.
    """
    body, oauth = call.body, call.server.store.oauth
    signs_in, account_id = body.get("allow_sign_in"), body.get("account_id")
    others = [row for row in oauth.list_for_project(call.project.id) if row["id"] != link_id]
    own = [row for row in others if row["user_id"] == user_id and row["provider"] == provider]
    if signs_in and any(row["allow_sign_in"] for row in own):
        raise PlainError(400, "The user already signs in with another account at this provider.")
    if any(row["account_id"] == account_id for row in own):
        raise PlainError(400, "The user already has this provider account.")
    if signs_in and any(row["allow_sign_in"] and account_id in (None, row["account_id"]) for row in others):
        raise KnownError(USED_FOR_SIGN_IN)


@operation("POST", "/oauth-providers", access=SERVER, body=CREATE, status=201)
async def create(call: Call) -> dict[str, Any]:
    """Link a user to an account manually."""
    body, store = call.body, call.server.store
    if call.project.provider(body["provider_config_id"]) is None:
        raise PlainError(404, "The project has no such OAuth provider.")
    user = existing(call, body["user_id"])
    fields = {
        "provider": body["provider_config_id"],
        "account_id": body["account_id"],
        "email": body.get("email"),
        **{name: int(body[name]) for name in FLAGS},
    }
    try:
        with store.transaction():
            check_free(call, user["id"], fields["provider"])
            return to_json(call, store.oauth.link(user, fields))
    except sqlite3.IntegrityError:
        raise KnownError(USED_FOR_SIGN_IN) from None


@operation("GET", "/oauth-providers/{user_id}/{provider_id}", params=PARAMS)
async def read(call: Call) -> dict[str, Any]:
    """Return one link."""
    return to_json(call, find(call))


@operation("PATCH", "/oauth-providers/{user_id}/{provider_id}", params=PARAMS, body=UPDATE)
async def update(call: Call) -> dict[str, Any]:
    """Change a link."""
    row, body = find(call), call.body
    check_free(call, row["user_id"], row["provider"], row["id"])
    changes: Row = {name: int(body[name]) for name in FLAGS if name in body}
    changes |= {name: body[name] for name in ("email", "account_id") if name in body}
    try:
        return to_json(call, call.server.store.oauth.update(row, changes))
    except sqlite3.IntegrityError:
        raise KnownError(USED_FOR_SIGN_IN) from None


@operation("DELETE", "/oauth-providers/{user_id}/{provider_id}", params=PARAMS)
async def delete(call: Call) -> dict[str, Any]:
    """Remove a link."""
    call.server.store.oauth.unlink(find(call)["id"])
    return {"success": True}
