"""The OAuth callback: turn a provider's response into a user and a code for the app."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from starlette.responses import RedirectResponse, Response

from fastapi_stackauth.emulator import linking, trust
from fastapi_stackauth.emulator.credentials import Asker
from fastapi_stackauth.emulator.errors import KnownError, PlainError
from fastapi_stackauth.emulator.operations.oauth_authorize import COOKIE
from fastapi_stackauth.emulator.schema import Text
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.wire import NOBODY, Call, json_response, operation, to_response

OPTIONAL = Text(required=False)
FIELDS = {"state": OPTIONAL, "code": OPTIONAL, "error": OPTIONAL}
PARAMS = {"provider_id": Text()}
PATH = "/auth/oauth/callback/{provider_id}"
SCOPE = "legacy"
EPOCH = "Thu, 01 Jan 1970 00:00:00 GMT"
ADDRESS_CHARACTERS = ":/%#?=@[]!$&'()*+,;"


@operation("GET", PATH, access=NOBODY, params=PARAMS, query=FIELDS, open_query=True)
async def callback(call: Call) -> Response:
    """Handle a provider's response in the query."""
    return to_redirect(call, call.query)


@operation("POST", PATH, access=NOBODY, params=PARAMS, query=FIELDS, open_query=True, body=FIELDS, open_body=True)
async def posted_callback(call: Call) -> Response:
    """Handle a provider's response in a form."""
    return to_redirect(call, {**call.query, **call.body})


def to_redirect(call: Call, fields: dict[str, Any]) -> Response:
    """Handle a provider's response."""
    state = fields.get("state", "")
    row = call.server.store.oauth.flow(state)
    if row is None or "provider" not in row["data"]:
        raise PlainError(400, "The OAuth state is unknown. Start the sign-in again.")
    try:
        check_browser(call, row)
        answer = end_flow(call, row, fields)
    except PlainError as error:
        answer = to_response(error)
    if row["data"]["needs_cookie"]:
        answer.headers.append("set-cookie", f"{COOKIE}{state}=; Path=/; Expires={EPOCH}")
    return answer


def check_browser(call: Call, row: Row) -> None:
    """Reject a callback in a browser that did not start the flow, and a second callback of the same flow."""
    if row["data"]["needs_cookie"] and call.request.cookies.get(COOKIE + row["state"]) != "true":
        raise PlainError(400, "The cookie for this sign-in is missing. Start the sign-in again in this browser.")
    if row["data"].get("has_ended"):
        raise PlainError(400, "The OAuth state has already been used. Start the sign-in again.")


def end_flow(call: Call, row: Row, fields: dict[str, Any]) -> Response:
    """End a flow with a code for the app or an error; the flow cannot be used again."""
    store, flow = call.server.store, row["data"]
    project = store.projects.get(row["project_id"])
    user = flow["user_id"] and store.users.get(row["project_id"], flow["user_id"])
    call = replace(call, asker=Asker(project=project, user=user or None))
    store.oauth.mark_ended(row)
    try:
        check_time(call, row)
        identity = provider_identity(call, flow, fields)
        trust.check_redirect(call.server, call.project, flow["redirect_uri"], mobile=True)
        check_outer(flow)
        user, is_new = linking.connect_account(call, identity, flow)
    except KnownError as error:
        return error_answer(call, flow, error)
    except PlainError as error:
        return to_response(error)
    return success(call, flow, user, is_new=is_new)


def check_time(call: Call, row: Row) -> None:
    """Reject an expired flow."""
    if row["expires_at"] <= call.server.clock.millis():
        raise KnownError("OUTER_OAUTH_TIMEOUT")


def provider_identity(call: Call, flow: dict[str, Any], fields: dict[str, Any]) -> linking.Identity:
    """Return the identity from the provider."""
    if flow["provider"] != call.path["provider_id"]:
        raise PlainError(400, "The OAuth state belongs to another provider.")
    if call.project.provider(flow["provider"]) is None:
        raise KnownError("OAUTH_PROVIDER_NOT_FOUND_OR_NOT_ENABLED")
    if fields.get("error") == "temporarily_unavailable":
        raise KnownError("OAUTH_PROVIDER_TEMPORARILY_UNAVAILABLE")
    if fields.get("error"):
        raise KnownError("OAUTH_PROVIDER_ACCESS_DENIED")
    granted = call.server.store.oauth.flow(fields.get("code", ""))
    known = granted is not None and granted["expires_at"] > call.server.clock.millis()
    if granted is None or not known or granted["data"].get("granted_for") != flow["provider"]:
        raise PlainError(400, "The provider's code is unknown or already used. Start the sign-in again.")
    call.server.store.oauth.end_flow(granted["state"])
    return linking.Identity(**granted["data"]["identity"])


def check_outer(flow: dict[str, Any]) -> None:
    """Reject an invalid request of the app. The real server also checks it only here."""
    if flow["scope"] != SCOPE:
        raise PlainError(400, "The scope must be 'legacy'.")
    if flow["response_type"] != "code":  # the real server returns 500
        raise PlainError(400, "The response type must be 'code'.")
    if flow["code_challenge_method"] not in ("S256", "plain"):
        raise PlainError(400, "The code challenge method must be S256 or plain.")


def success(call: Call, flow: dict[str, Any], user: Row, *, is_new: bool) -> Response:
    """Redirect the browser to the app with a code."""
    kept = ("redirect_uri", "code_challenge", "code_challenge_method", "after_callback_redirect_url")
    data = {**{name: flow[name] for name in kept}, "is_new_user": is_new}
    code = call.server.store.oauth.issue_code(user, data)
    location = with_query(flow["redirect_uri"], {"code": code, "state": flow["state"]})
    return json_response({}, 303, {"location": quote(location, safe=ADDRESS_CHARACTERS)})


def error_answer(call: Call, flow: dict[str, Any], error: KnownError) -> Response:
    """Redirect the browser with the error to a trusted URL, or else return the error."""
    for address in (flow["redirect_uri"], flow["error_redirect_uri"]):
        if address and trust.is_trusted(call.server, call.project, address, mobile=True):
            query = {
                "error": "server_error",
                "error_description": error.message,
                "errorCode": error.code,
                "message": error.message,
                "details": json.dumps(error.details or {}),
            }
            return RedirectResponse(with_query(address, query), 307)
    return to_response(error)


def with_query(address: str, extra: dict[str, str]) -> str:
    """Return a URL with additional query parameters, which replace parameters with the same name."""
    parts = urlsplit(address)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in extra]
    return urlunsplit(parts._replace(query=urlencode([*kept, *extra.items()]), fragment=""))
