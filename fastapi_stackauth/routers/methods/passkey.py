"""Passkeys (WebAuthn Level 3; contract/tokens.md §9). The router serves the script for browsers, `passkey.js`.

The auth server does not set the relying party's id and later uses the host name of the origin that the browser signs.
So this module sets it, from the origins in the settings and never from the request alone.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.errors import KnownApiError, RequestInvalid
from fastapi_stackauth.models import CurrentUserUpdate, PasskeyChallenge, PasskeyRegistration, SignIn
from fastapi_stackauth.routers.plumbing.context import Context, RouteContext, UserClient, account_key
from fastapi_stackauth.routers.plumbing.declaration import VERIFICATION_CODE_ERRORS, ByDelivery, Routes
from fastapi_stackauth.routers.plumbing.examples import PASSKEY
from fastapi_stackauth.routers.plumbing.inputs import CODE_LENGTH, EXAMPLE_CODE, RequestBody
from fastapi_stackauth.routers.plumbing.transport import SignInResult
from fastapi_stackauth.startup.configuration import needs

routes = Routes("passkey", feature="passkey")

SIGN_IN_FLOW, REGISTRATION_FLOW = "passkey", "passkey-new"
CHALLENGE_SECONDS = 120
"""Seconds that the browser keeps a challenge's code: longer than the auth server, which reports the expiry."""
MAX_CREDENTIAL = 32_768

_OFF = "PASSKEY_AUTHENTICATION_NOT_ENABLED"
_EXAMPLE_OPTIONS = {"challenge": "dGhlIGNoYWxsZW5nZQ", "rpId": "app.example.com", "timeout": 60000}
_EXAMPLE_CREDENTIAL = {
    "id": "Y3JlZGVudGlhbA",
    "rawId": "Y3JlZGVudGlhbA",
    "type": "public-key",
    "response": {"clientDataJSON": "...", "authenticatorData": "...", "signature": "..."},
    "clientExtensionResults": {},
}


class PasskeyOptions(BaseModel):
    """The options for the browser's WebAuthn call."""

    model_config = ConfigDict(frozen=True)

    options: dict[str, JsonValue] = Field(
        repr=False,
        description="For `PublicKeyCredential.parseRequestOptionsFromJSON` or `parseCreationOptionsFromJSON`; valid "
        "for about a minute.",
        examples=[_EXAMPLE_OPTIONS],
    )


class TokenPasskeyOptions(PasskeyOptions):
    """The options for the browser's WebAuthn call, and their code."""

    code: str = Field(repr=False, description="Send it back with the credential.", examples=[EXAMPLE_CODE])


class PasskeyCredentialRequest(RequestBody):
    """The response of the authenticator."""

    credential: dict[str, JsonValue] = Field(
        repr=False,
        description="The result of the browser's WebAuthn call, as `credential.toJSON()` returns it.",
        examples=[_EXAMPLE_CREDENTIAL],
    )


class TokenPasskeyCredentialRequest(PasskeyCredentialRequest):
    """The response of the authenticator, and the code of the options."""

    code: SecretStr = Field(
        min_length=CODE_LENGTH,
        max_length=CODE_LENGTH,
        description="The code that came with the options.",
        examples=[EXAMPLE_CODE],
    )


OptionsResult = Annotated[PasskeyOptions, ByDelivery(cookie=PasskeyOptions, body=TokenPasskeyOptions)]
Credential = Annotated[
    PasskeyCredentialRequest, ByDelivery(cookie=PasskeyCredentialRequest, body=TokenPasskeyCredentialRequest)
]


# --- signing in ---


@routes.post("/passkey/options", "Start a sign-in with a passkey", errors=(_OFF,), attempt="passkey_options")
@needs("project_id", "app_url")
async def passkey_options(context: Context) -> OptionsResult:
    """Start a sign-in with a passkey. The options name no user: the authenticator offers the passkeys that it has.

    Cookie delivery: An HttpOnly cookie keeps the code of the options. This router's script `passkey.js` makes all the
    requests of a sign-in.

    Returns:
        The options for the browser's WebAuthn call.
    """
    return _offer(context, await context.client.passkey.initiate_authentication(), SIGN_IN_FLOW)


@routes.sign_in(
    "/passkey/sign-in",
    "Sign in with a passkey",
    errors=(*VERIFICATION_CODE_ERRORS, "PASSKEY_AUTHENTICATION_FAILED", _OFF),
)
async def passkey_sign_in(body: Credential, context: Context) -> SignInResult:
    """Sign in with the response of the authenticator.

    Cookie delivery: The options work once, in the browser that requested them.

    Body delivery: The options work once.
    """
    credential_id = str(body.credential.get("id", ""))
    await context.count_account(credential_id)
    call = _sign_in(context.client, _take_code(context, SIGN_IN_FLOW, body), body.credential)
    return await context.sign_in(call, account_key("passkey", credential_id))


async def _sign_in(client: StackAuthClient, code: str, credential: Mapping[str, Any]) -> SignIn:
    return await client.passkey.sign_in(code=code, authentication_response=_check_credential(credential))


# --- registering one, and deleting it ---


@routes.post("/passkey/register/options", "Start registering a passkey", errors=(_OFF,))
@needs("project_id", "app_url")
async def passkey_register_options(context: Context, client: UserClient) -> OptionsResult:
    """Start registering a passkey for the signed-in user.

    Cookie delivery: An HttpOnly cookie keeps the code of the options.

    Returns:
        The options for the browser's WebAuthn call.
    """
    return _offer(context, await client.passkey.initiate_registration(), REGISTRATION_FLOW)


@routes.post(
    "/passkey/register",
    "Register a passkey",
    errors=(*VERIFICATION_CODE_ERRORS, "PASSKEY_REGISTRATION_FAILED", _OFF),
    example=PASSKEY,
)
async def passkey_register(body: Credential, context: Context, client: UserClient) -> PasskeyRegistration:
    """Register the passkey that the authenticator created. It replaces an earlier one: an account has at most one.

    Returns:
        The passkey is registered.
    """
    code = _take_code(context, REGISTRATION_FLOW, body)
    return await client.passkey.register(code=code, credential=_check_credential(body.credential))


@routes.delete("/passkey", "Delete the passkey", errors=(400,))
async def passkey_delete(client: UserClient) -> None:
    """Delete the passkey of the signed-in user. The authenticator may still show it, but it no longer signs in.

    Returns:
        The passkey is deleted.
    """
    await client.users.update_me(CurrentUserUpdate(passkey_auth_enabled=False))


def _offer(context: RouteContext, challenge: PasskeyChallenge, flow: str) -> PasskeyOptions:
    """Store a challenge's code, and return the challenge with the relying party's id (WebAuthn Level 3 §5.4, §5.5)."""
    options, host = dict(challenge.options_json), find_relying_party(context)
    if isinstance(party := options.get("rp"), dict):
        options["rp"] = {**party, "id": host}
    else:
        options["rpId"] = host
    if not context.in_browser:
        return TokenPasskeyOptions(options=options, code=challenge.code)
    context.transport.remember(flow, {"code": challenge.code}, CHALLENGE_SECONDS)
    return PasskeyOptions(options=options)


def find_relying_party(context: RouteContext) -> str:
    """Return the host for a passkey: that of the calling page if its origin is the app's or trusted, or else the app's.

    Raises:
        ConfigurationError: `app_url` is missing.
    """
    app_url = context.settings.require_app_url("passkeys")
    origin = context.request.headers.get("origin")
    page = origin if origin in (app_url, *context.settings.trusted_origins) else app_url
    return urlsplit(page).hostname or ""


def _take_code(context: RouteContext, flow: str, body: BaseModel) -> str:
    """Return the code of the options. A code in a cookie can be used once.

    Raises:
        KnownApiError: `VERIFICATION_CODE_EXPIRED`: The browser has no code.
    """
    code = context.transport.recall(flow, body).get("code")
    if not code:
        raise KnownApiError.of("VERIFICATION_CODE_EXPIRED")
    context.transport.forget(flow)
    return code


def _check_credential(credential: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check that a credential has the form that browsers send, because the auth server crashes on others.

    Raises:
        RequestInvalid: It does not have this form.
    """
    whole = isinstance(credential.get("response"), dict) and all(
        isinstance(credential.get(name), str) for name in ("id", "rawId", "type")
    )
    if not whole or _measure(credential) > MAX_CREDENTIAL:
        raise RequestInvalid((("body.credential", "Must be a WebAuthn credential as JSON"),))
    return credential


def _measure(credential: Mapping[str, Any]) -> float:
    """Return the size of a credential as JSON, in bytes. Infinite if JSON cannot represent it."""
    try:
        return len(json.dumps(credential, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):
        return math.inf


# --- the browser's part ---


@cache
def _load_script() -> tuple[bytes, str]:
    """Return the script and its entity tag."""
    content = files("fastapi_stackauth.routers.methods").joinpath("passkey.js").read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


@routes.get("/passkey.js", "", hidden=True)
@needs()
async def passkey_script(request: Request) -> Response:
    """Serve the script for browsers, an ES module: `import { signIn, register } from "/auth/passkey.js"`.

    A Content-Security-Policy needs only `script-src 'self'` and `connect-src 'self'` for it.
    """
    content, tag = _load_script()
    headers = {"etag": tag, "cache-control": "public, no-cache", "x-content-type-options": "nosniff"}
    given = request.headers.get("if-none-match", "")
    if given.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in given.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="text/javascript; charset=utf-8", headers=headers)
