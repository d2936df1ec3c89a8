"""Definitions of permissions and the permissions that they contain, for the project's admin."""

import re
import sqlite3
from typing import Any

from fastapi_stackauth.emulator.errors import KnownError
from fastapi_stackauth.emulator.schema import Check, Items, Text
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.store.permissions import SYSTEM
from fastapi_stackauth.emulator.wire import Call, operation, schema_error

ADMIN = ("admin",)
OWN_ID = re.compile(r"[a-z0-9_:]+")
REST: dict[str, Check] = {
    "description": Text(required=False),
    "contained_permission_ids": Items(required=False, of=Text()),
}
CREATE = {"id": Text(), **REST}
UPDATE = {"id": Text(required=False), **REST}
PARAMS = {"permission_id": Text()}


def to_json(row: Row) -> dict[str, Any]:
    """Return a definition. Without a description, the field is left out."""
    description = {} if row["description"] is None else {"description": row["description"]}
    return {"id": row["id"], **description, "contained_permission_ids": sorted(row["contained"])}


def read_definition(call: Call, scope: str, permission_id: str) -> Row:
    """Return the definition in the body, or raise. Missing fields are cleared."""
    if not OWN_ID.fullmatch(permission_id):
        raise schema_error(call.request, ["body.id must only contain lowercase letters, digits, ':' and '_'"])
    contained = call.body.get("contained_permission_ids", [])
    for name in contained:
        known = call.server.store.permissions.definition(call.project.id, name)
        if known is None or known["scope"] != scope:
            raise KnownError("CONTAINED_PERMISSION_NOT_FOUND", permission_id=name)
    return {"id": permission_id, "description": call.body.get("description"), "contained": contained}


def existing(call: Call, scope: str) -> Row:
    """Return the definition with the id in the path, or raise."""
    permission_id = call.path["permission_id"]
    row = call.server.store.permissions.definition(call.project.id, permission_id)
    if row is None or row["scope"] != scope or permission_id in SYSTEM:
        raise KnownError("PERMISSION_NOT_FOUND", permission_id=permission_id)
    return row


def register(scope: str) -> None:
    """Register the operations for the definitions of a scope: ``team`` or ``project``."""
    path = f"/{scope}-permission-definitions"

    @operation("GET", path, access=ADMIN)
    async def list_definitions(call: Call) -> dict[str, Any]:
        rows = call.server.store.permissions.definitions(call.project.id, scope)
        return {"items": [to_json(row) for row in rows], "is_paginated": False}

    @operation("POST", path, access=ADMIN, body=CREATE, status=201)
    async def define(call: Call) -> dict[str, Any]:
        definition = read_definition(call, scope, call.body["id"])
        try:
            call.server.store.permissions.define(call.project.id, scope, definition)
        except sqlite3.IntegrityError:
            raise KnownError("PERMISSION_ID_ALREADY_EXISTS", permission_id=call.body["id"]) from None
        return to_json(definition)

    @operation("PATCH", path + "/{permission_id}", access=ADMIN, params=PARAMS, body=UPDATE)
    async def redefine(call: Call) -> dict[str, Any]:
        old = existing(call, scope)
        definition = read_definition(call, scope, str(call.body.get("id", old["id"])))
        try:
            call.server.store.permissions.redefine(call.project.id, old["id"], definition)
        except sqlite3.IntegrityError:
            raise KnownError("PERMISSION_ID_ALREADY_EXISTS", permission_id=definition["id"]) from None
        return to_json(definition)

    @operation("DELETE", path + "/{permission_id}", access=ADMIN, params=PARAMS)
    async def undefine(call: Call) -> dict[str, Any]:
        call.server.store.permissions.undefine(call.project.id, existing(call, scope)["id"])
        return {"success": True}


register("team")
register("project")
