"""Connected accounts: a user's provider accounts and their access tokens."""

from typing import Any

from starlette.responses import Response

from fastapi_stackauth.emulator.errors import KnownError
from fastapi_stackauth.emulator.operations.users_me import own
from fastapi_stackauth.emulator.profiles import existing
from fastapi_stackauth.emulator.schema import Text, UserId
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.wire import Call, json_response, operation

BODY = {"scope": Text(required=False)}
USER = {"user_id": UserId()}
PROVIDER = {**USER, "provider_id": Text()}
ACCOUNT = {**PROVIDER, "provider_account_id": Text()}
FOREIGN = "A client can only access its own user's connected accounts."


def list_connected(call: Call, user_id: str) -> list[Row]:
    """Return the accounts that the app may use on behalf of a user."""
    return [row for row in call.server.store.oauth.accounts(user_id) if row["allow_connected_accounts"]]


@operation("GET", "/connected-accounts/{user_id}", params=USER)
async def list_accounts(call: Call) -> dict[str, Any]:
    """List a user's connected accounts."""
    user_id = call.path["user_id"]
    call.only_own(user_id, FOREIGN)
    existing(call, user_id)
    items = [
        {"user_id": user_id, "provider": row["provider"], "provider_account_id": row["account_id"]}
        for row in list_connected(call, user_id)
    ]
    return {"items": items, "is_paginated": False}


def provider_token(call: Call, user_id: str, provider: str, account_id: str | None) -> dict[str, str]:
    """Return a provider's access token with at least the requested scope."""
    call.only_own(user_id, FOREIGN)
    if call.project.provider(provider) is None:
        raise KnownError("OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED")
    if call.project.shares_keys(provider) and not call.project.config["shared_oauth_access_tokens"]:
        raise KnownError("OAUTH_ACCESS_TOKEN_NOT_AVAILABLE_WITH_SHARED_OAUTH_KEYS")
    existing(call, user_id)
    wanted = set(call.body.get("scope", "").split())
    rows = [row for row in list_connected(call, user_id) if row["provider"] == provider]
    rows = [row for row in rows if account_id in (None, row["account_id"])]
    if not rows:
        raise KnownError("OAUTH_CONNECTION_NOT_CONNECTED_TO_USER")
    for grant in (grant for row in rows for grant in call.server.store.oauth.grants(row["id"])):
        if wanted <= set(grant["scopes"].split()):
            return {"access_token": grant["access_token"]}
    raise KnownError("OAUTH_CONNECTION_DOES_NOT_HAVE_REQUIRED_SCOPE")


@operation("POST", "/connected-accounts/{user_id}/{provider_id}/access-token", params=PROVIDER, body=BODY, status=201)
async def token(call: Call) -> dict[str, str]:
    """Return a token of any account at a provider that has the scope."""
    return provider_token(call, call.path["user_id"], call.path["provider_id"], None)


@operation(
    "POST",
    "/connected-accounts/{user_id}/{provider_id}/{provider_account_id}/access-token",
    params=ACCOUNT,
    body=BODY,
    status=201,
)
async def account_token(call: Call) -> dict[str, str]:
    """Return a token of one account."""
    path = call.path
    return provider_token(call, path["user_id"], path["provider_id"], path["provider_account_id"])


@operation(
    "POST",
    "/auth/oauth/connected-accounts/{provider_id}/access-token",
    params={"provider_id": Text()},
    body=BODY,
    status=201,
)
async def own_token(call: Call) -> dict[str, str] | Response:
    """Return a token of the signed-in user, at the older path, where errors have no header."""
    try:
        return provider_token(call, own(call)["id"], call.path["provider_id"], None)
    except KnownError as refusal:
        return json_response(refusal.body(), refusal.status)
