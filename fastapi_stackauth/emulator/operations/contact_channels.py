"""Contact channels: the email addresses of a user, and their verification."""

import sqlite3
from typing import Any

from fastapi_stackauth.emulator import accounts, mailing, trust, verification, views
from fastapi_stackauth.emulator.errors import KnownError, PlainError
from fastapi_stackauth.emulator.schema import URL, Check, Flag, Text, UserId
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.wire import Call, operation, schema_error

FLAG = Flag(required=False)
EMAIL, TYPE = Text(form="email"), Text(choices=("email",))
CREATE: dict[str, Check] = {
    "user_id": UserId(),
    "value": EMAIL,
    "type": TYPE,
    "used_for_auth": Flag(),
    "is_primary": FLAG,
}
UPDATE: dict[str, Check] = {
    "value": Text(form="email", required=False),
    "type": Text(choices=("email",), required=False),
    "used_for_auth": FLAG,
    "is_primary": FLAG,
}
VERIFIED = {"is_verified": FLAG}
CREATE_BODY = {"client": CREATE, "server": {**CREATE, **VERIFIED}, "admin": {**CREATE, **VERIFIED}}
UPDATE_BODY = {"client": UPDATE, "server": {**UPDATE, **VERIFIED}, "admin": {**UPDATE, **VERIFIED}}
PARAMS = {"user_id": UserId(), "contact_channel_id": Text(form="uuid")}
LIST_QUERY = {"user_id": UserId(required=False), "contact_channel_id": Text(form="uuid", required=False)}
SEND_BODY = {"callback_url": URL}
DEPRECATED_BODY = {"email": Text(form="strict_email"), "callback_url": URL}
FOREIGN = "With client access, users can only manage their own contact channels."
UNKNOWN = "There is no such contact channel."


def email_taken_error(value: str | None) -> KnownError:
    """Return the error for an address that another user signs in with."""
    return KnownError(
        "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE",
        type="email",
        contact_channel_value=value,
        would_work_if_email_was_verified=False,
    )


def find(call: Call, status: int) -> Row:
    """Return the channel with the id in the path, or raise."""
    call.only_own(call.path["user_id"], FOREIGN)
    channel = call.server.store.channels.get(call.project.id, call.path["contact_channel_id"])
    if channel is None or channel["user_id"] != call.path["user_id"]:
        raise PlainError(status, UNKNOWN)
    return channel


@operation("GET", "/contact-channels", query=LIST_QUERY)
async def list_channels(call: Call) -> dict[str, Any]:
    """Return the channels of a user or, with server access, of all users, oldest first."""
    user_id, channels = call.query.get("user_id"), call.server.store.channels
    call.only_own(user_id, FOREIGN)
    rows = channels.list_for_project(call.project.id)
    wanted = call.query.get("contact_channel_id", "").lower()
    rows = [row for row in rows if user_id in (None, row["user_id"]) and wanted in ("", row["id"])]
    return {"items": [views.channel(row) for row in rows], "is_paginated": False}


@operation("POST", "/contact-channels", body=CREATE_BODY, status=201)
async def create(call: Call) -> dict[str, Any]:
    """Add an address to a user."""
    body, store = call.body, call.server.store
    call.only_own(body["user_id"], FOREIGN)
    value = accounts.normalize(body["value"])
    user = store.users.get(call.project.id, body["user_id"])
    if user is None:  # the real server returns 500
        raise KnownError("USER_ID_DOES_NOT_EXIST", user_id=body["user_id"])
    flags = {name: body.get(name, False) for name in ("is_primary", "is_verified", "used_for_auth")}
    try:
        with store.transaction():
            if store.channels.with_value(user["id"], value) is not None:
                raise PlainError(400, "The user already has this contact channel.")
            return views.channel(store.channels.create(user, value, flags))
    except sqlite3.IntegrityError:
        raise email_taken_error(value) from None


@operation("GET", "/contact-channels/{user_id}/{contact_channel_id}", params=PARAMS)
async def read(call: Call) -> dict[str, Any]:
    """Return one address."""
    return views.channel(find(call, 404))


@operation("PATCH", "/contact-channels/{user_id}/{contact_channel_id}", params=PARAMS, body=UPDATE_BODY)
async def update(call: Call) -> dict[str, Any]:
    """Change an address or its use. A new value is unverified."""
    channel, body = find(call, 400), call.body
    changes: Row = {name: int(body[name]) for name in ("used_for_auth", "is_primary", "is_verified") if name in body}
    if "value" in body:
        changes["value"] = accounts.normalize(body["value"])
        if changes["value"] != channel["value"]:
            changes.setdefault("is_verified", 0)
    try:
        return views.channel(call.server.store.channels.update(channel, changes))
    except sqlite3.IntegrityError:
        raise email_taken_error(None) from None


@operation("DELETE", "/contact-channels/{user_id}/{contact_channel_id}", params=PARAMS)
async def delete(call: Call) -> dict[str, Any]:
    """Delete an address."""
    call.server.store.channels.delete(find(call, 400)["id"])
    return {"success": True}


def send(call: Call, channel: Row) -> dict[str, Any]:
    """Send an email with a link that confirms an address."""
    if channel["is_verified"]:
        raise KnownError("EMAIL_ALREADY_VERIFIED")
    callback_url = call.body["callback_url"]
    trust.check_redirect(call.server, call.project, callback_url)
    mailing.send_verification(call.server, call.project, channel, callback_url)
    return {"success": True}


@operation(
    "POST", "/contact-channels/{user_id}/{contact_channel_id}/send-verification-code", params=PARAMS, body=SEND_BODY
)
async def send_code(call: Call) -> dict[str, Any]:
    """Send an email with a link that confirms one of a user's addresses."""
    user_id, store = call.path["user_id"], call.server.store
    if call.is_client and call.user is not None and call.user["id"] != user_id:
        raise PlainError(400, FOREIGN)
    call.only_own(user_id, FOREIGN)
    if store.users.get(call.project.id, user_id) is None:
        raise KnownError("USER_ID_DOES_NOT_EXIST", user_id=user_id)
    return send(call, find(call, 404))


@operation("POST", "/contact-channels/send-verification-code", body=DEPRECATED_BODY)
async def send_code_to_primary(call: Call) -> dict[str, Any]:
    """Send an email with a link that confirms the signed-in user's primary address (the older path)."""
    if call.user is None:
        raise schema_error(call.request, ["auth.user must be defined"])
    email = accounts.normalize(call.body["email"])
    primary = call.server.store.channels.primary(call.user["id"])
    if primary is None or primary["value"] != email:
        held = primary["value"] if primary else None
        raise KnownError("EMAIL_IS_NOT_PRIMARY_EMAIL", email=call.body["email"], primary_email=held)
    return send(call, primary)


@operation("POST", "/contact-channels/verify", body=verification.BODY)
async def verify(call: Call) -> dict[str, Any]:
    """Verify an address with the code from the email. The caller does not have to be signed in."""
    data, channels = verification.consume_code(call, "email_verification"), call.server.store.channels
    channel = channels.get(call.project.id, data["channel_id"])
    if channel is None or channel["value"] != data["email"]:
        raise PlainError(400, "The contact channel was deleted, or its value has changed.")
    channels.update(channel, {"is_verified": 1})
    return {"success": True}


@operation("POST", "/contact-channels/verify/check-code", body=verification.BODY)
async def check_code(call: Call) -> dict[str, Any]:
    """Check a code without using it up."""
    verification.attempt_code(call, "email_verification")
    return verification.VALID
