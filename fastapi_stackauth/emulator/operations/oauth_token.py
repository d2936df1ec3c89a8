"""The end of OAuth: an app exchanges a code or a refresh token for an access token (RFC 6749, RFC 7636)."""

import hashlib
import hmac
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from fastapi_stackauth.emulator import accounts, credentials, keys
from fastapi_stackauth.emulator.credentials import Asker
from fastapi_stackauth.emulator.errors import KnownError, OAuthError, PlainError
from fastapi_stackauth.emulator.operations.sessions import refresh_session
from fastapi_stackauth.emulator.schema import Text
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.store.projects import Project
from fastapi_stackauth.emulator.wire import ANYBODY, Call, json_response, operation

OPTIONAL = Text(required=False)
BODY = {
    "grant_type": Text(choices=("authorization_code", "refresh_token")),
    "client_id": OPTIONAL,
    "client_secret": OPTIONAL,
    "code": OPTIONAL,
    "code_verifier": OPTIONAL,
    "redirect_uri": OPTIONAL,
    "refresh_token": OPTIONAL,
}
HEADERS = {"cache-control": "no-store", "pragma": "no-cache"}
EXPIRES_IN = 3599  # the real server's constant, independent of `exp`


@operation("POST", "/auth/oauth/token", access=ANYBODY, body=BODY, open_body=True)
async def token(call: Call) -> Response:
    """Issue an access token for a code or a refresh token, sent as a form or JSON."""
    call = replace(call, asker=Asker(project=client(call)))
    answer = by_refresh_token(call) if call.body["grant_type"] == "refresh_token" else by_code(call)
    return json_response(answer, headers=HEADERS)


def client(call: Call) -> Project:
    """Return the project of the OAuth client. Without a client secret, PKCE is required."""
    client_id, secret = call.body.get("client_id"), call.body.get("client_secret")
    project = call.server.store.projects.get((client_id or "").partition("#")[0])
    wrong = KnownError("INVALID_OAUTH_CLIENT_ID_OR_SECRET", client_id=None)
    if project is None or (secret is None and call.body["grant_type"] == "refresh_token"):
        raise wrong
    if secret in (None, credentials.NO_KEY):
        if project.config["require_publishable_client_key"]:
            raise KnownError("PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT", project_id=project.id)
    elif not credentials.same(secret, project.publishable_client_key):
        raise wrong
    return project


def by_refresh_token(call: Call) -> dict[str, Any]:
    """Handle a refresh grant. The refresh token does not change, and the response does not repeat it."""
    if "refresh_token" not in call.body:
        raise OAuthError("invalid_request", "refresh_token is missing.")
    return answer(refresh_session(call, call.body["refresh_token"]), None)


def answer(access_token: str, after_callback: str | None, **more: object) -> dict[str, Any]:
    """Return the response of the token endpoint, with the newer and the older field names."""
    return {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": EXPIRES_IN,
        **more,
        "scope": "legacy",
        "afterCallbackRedirectUrl": after_callback,
        "after_callback_redirect_url": after_callback,
    }


def by_code(call: Call) -> dict[str, Any]:
    """Handle a code grant."""
    row = redeem_code(call)
    user = call.server.store.users.get(call.project.id, row["user_id"])
    if user is None:
        raise KnownError("INVALID_AUTHORIZATION_CODE")
    is_new = row["data"]["is_new_user"]
    accounts.check_second_factor(call, user, is_new=is_new)
    tokens = accounts.open_session(call, user)
    return answer(
        tokens["access_token"],
        row["data"]["after_callback_redirect_url"],
        refresh_token=tokens["refresh_token"],
        newUser=is_new,
        is_new_user=is_new,
    )


def redeem_code(call: Call) -> Row:
    """Use up and return the code in the body. A wrong redirect_uri also uses it up, but a wrong verifier does not."""
    if "code" not in call.body:
        raise OAuthError("invalid_request", "code is missing.")
    oauth = call.server.store.oauth
    row = oauth.code(call.project.id, call.body["code"])
    if row is None or not proves(row["data"], call.body.get("code_verifier")) or not oauth.burn_code(row["code"]):
        raise KnownError("INVALID_AUTHORIZATION_CODE")
    if "redirect_uri" not in call.body:
        raise OAuthError("invalid_request", "redirect_uri is missing.")
    if call.body["redirect_uri"].partition("#")[0] != row["data"]["redirect_uri"].partition("#")[0]:
        raise PlainError(400, "redirect_uri must be the one that the code was made for.")
    return row


def proves(data: dict[str, Any], verifier: str | None) -> bool:
    """Return whether a verifier matches the challenge (RFC 7636 section 4.6)."""
    if verifier is None:
        return False
    if data["code_challenge_method"] == "S256":
        verifier = keys.encode(hashlib.sha256(verifier.encode()).digest())
    return hmac.compare_digest(verifier.encode(), data["code_challenge"].encode())
