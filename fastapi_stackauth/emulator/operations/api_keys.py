"""API keys of users and teams: create, list, revoke and check them (contract: area `api-keys`)."""

import re
import sqlite3
from typing import Any

from fastapi_stackauth.emulator import membership
from fastapi_stackauth.emulator.errors import KnownError, PlainError
from fastapi_stackauth.emulator.schema import MISSING, Check, Flag, Number, Text, UserId
from fastapi_stackauth.emulator.store.api_keys import Kind
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.wire import SERVER, Call, operation, schema_error

FOREIGN = "A client can only access its own API keys."
LOOSE: dict[Kind, Check] = {"user": UserId(required=False), "team": Text(form="uuid")}
ONE = {"api_key_id": Text(form="uuid")}
UPDATE = {"description": Text(required=False), "revoked": Flag(required=False, only=True)}
LATEST = 8_640_000_000_000_000  # milliseconds: the latest date in JavaScript
KEY = re.compile(r"[\x21-\x7e]*")


def to_json(row: Row, value: str | None = None) -> dict[str, Any]:
    """Return a key, with its value only if it was just created."""
    times = {"expires_at_millis": row["expires_at"], "manually_revoked_at_millis": row["revoked_at"]}
    return {
        "id": row["id"],
        "description": row["description"],
        "is_public": bool(row["is_public"]),
        "created_at_millis": row["created_at"],
        **{name: time for name, time in times.items() if time is not None},
        "value": value or {"last_four": row["last_four"]},
        "type": row["kind"],
        f"{row['kind']}_id": row[f"{row['kind']}_id"],
    }


def check_enabled(call: Call, kind: Kind) -> None:
    """Raise unless the project has enabled keys of this kind."""
    if not call.project.config[f"allow_{kind}_api_keys"]:
        raise PlainError(400, f"API keys of {kind}s are disabled in this project.")


def check_owner(call: Call, kind: Kind, owner_id: str | None) -> None:
    """Reject a client whose user may not manage the keys of this owner."""
    if not call.is_client:
        return
    user = membership.required_user(call)
    if kind == "user":
        if owner_id != user["id"]:
            raise PlainError(403, FOREIGN)
        return
    team = owner_id and call.server.store.teams.get(call.project.id, owner_id)
    member = team and call.server.store.teams.membership(team["id"], user["id"])
    if not team or not member or not membership.may(call, team["id"], user["id"], "$manage_api_keys"):
        raise KnownError("API_KEY_NOT_FOUND")


def find(call: Call, kind: Kind) -> Row:
    """Return the key of the path, if the caller may manage it."""
    row = call.server.store.api_keys.get(call.project.id, call.path["api_key_id"])
    if row is None or row["kind"] != kind:  # the real server returns 500 for a key of the other kind
        raise KnownError("API_KEY_NOT_FOUND")
    check_owner(call, kind, row[f"{kind}_id"])
    return row


def register(kind: Kind) -> None:
    """Register the operations for keys of users or of teams."""
    path, owner = f"/{kind}-api-keys", f"{kind}_id"

    @operation("GET", path, query={owner: LOOSE[kind]})
    async def list_keys(call: Call) -> dict[str, Any]:
        check_enabled(call, kind)
        owner_id = call.query.get(owner, MISSING)
        if owner_id is MISSING:
            raise schema_error(call.request, [f"{owner} must be defined"])
        check_owner(call, kind, owner_id)
        rows = call.server.store.api_keys.list_for_owner(call.project.id, kind, owner_id.lower())
        return {"items": [to_json(row) for row in rows], "is_paginated": False}

    @operation("GET", path + "/{api_key_id}", params=ONE, query={owner: LOOSE[kind]})
    async def read(call: Call) -> dict[str, Any]:
        check_enabled(call, kind)
        return to_json(find(call, kind))

    @operation("PATCH", path + "/{api_key_id}", params=ONE, query={owner: LOOSE[kind]}, body=UPDATE)
    async def update(call: Call) -> dict[str, Any]:
        check_enabled(call, kind)
        row = find(call, kind)
        changes: Row = {name: call.body[name] for name in ("description",) if name in call.body}
        if call.body.get("revoked") and row["revoked_at"] is None:
            changes["revoked_at"] = call.server.clock.millis()
        return to_json(call.server.store.api_keys.change(row, changes))

    @operation("POST", path + "/check", access=SERVER, body={"api_key": Text()})
    async def check(call: Call) -> dict[str, Any]:
        check_enabled(call, kind)
        return to_json(valid(call, kind))


def register_creation(kind: Kind) -> None:
    """Register the operation that creates keys of users or of teams."""
    owner = f"{kind}_id"
    body: dict[str, Check] = {
        "description": Text(),
        "expires_at_millis": Number(nullable=True, least=-LATEST, most=LATEST),
        "is_public": Flag(required=False),
        owner: UserId() if kind == "user" else Text(),  # a malformed id is reported after a missing user
    }

    @operation("POST", f"/{kind}-api-keys", body=body)
    async def create(call: Call) -> dict[str, Any]:
        check_enabled(call, kind)
        check_owner(call, kind, call.body[owner])
        expires_at = call.body["expires_at_millis"]
        fields = {
            "description": call.body["description"],
            "is_public": int(call.body.get("is_public", False)),
            "expires_at": None if expires_at is None else int(expires_at),
        }
        try:
            made, value = call.server.store.api_keys.create(call.project.id, kind, call.body[owner].lower(), fields)
        except sqlite3.IntegrityError:  # the real server returns 500 for an unknown owner
            raise unknown_owner(kind, call.body[owner]) from None
        return to_json(made, value)


def unknown_owner(kind: Kind, owner_id: str) -> KnownError:
    """Return the error for a key without an owner."""
    return KnownError("USER_NOT_FOUND") if kind == "user" else KnownError("TEAM_NOT_FOUND", team_id=owner_id)


def valid(call: Call, kind: Kind) -> Row:
    """Check the key in the body, which must be known, of this kind, not revoked and not expired, and return it."""
    value = call.body["api_key"]
    row = call.server.store.api_keys.by_value(call.project.id, value) if KEY.fullmatch(value) else None
    if row is None:
        raise KnownError("API_KEY_NOT_FOUND")
    if row["kind"] != kind:
        raise KnownError("WRONG_API_KEY_TYPE", expected_type=kind, actual_type=row["kind"])
    if row["revoked_at"] is not None:
        raise KnownError("API_KEY_REVOKED")
    if row["expires_at"] is not None and row["expires_at"] <= call.server.clock.millis():
        raise KnownError("API_KEY_EXPIRED")
    return row


register("user")
register("team")
register_creation("user")
register_creation("team")
