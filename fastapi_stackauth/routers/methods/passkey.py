"""Passkeys (WebAuthn Level 3; contract/tokens.md §9). The browser's part is `passkey.js`, which the router serves.

The auth server leaves the relying party's id open and takes the hostname of the origin that the browser signs; it is
filled in here, from origins that the settings name and never from what a request claims alone.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr

from fastapi_stackauth.errors import (
    KnownApiError,
    RequestInvalid,
    UnexpectedAnswer,
)
from fastapi_stackauth.http.installed import InstalledStack
from fastapi_stackauth.models import CurrentUserUpdate, PasskeyChallenge, PasskeyRegistered
from fastapi_stackauth.routers.plumbing import flows
from fastapi_stackauth.routers.plumbing.attempts import account_key
from fastapi_stackauth.routers.plumbing.caller import SIGNED_OUT, PersonsClient, client_of, count_account
from fastapi_stackauth.routers.plumbing.delivery import SignedIn, Tokens, deliver, signing_in
from fastapi_stackauth.routers.plumbing.examples import PASSKEY
from fastapi_stackauth.routers.plumbing.inputs import CODE_LENGTH
from fastapi_stackauth.routers.plumbing.operations import VERIFICATION_CODE_ERRORS, add, add_sign_in
from fastapi_stackauth.routers.plumbing.route import Delivery, Form, RouteStack
from fastapi_stackauth.startup.configuration import needs

TAG = "passkey"
SIGN_IN_FLOW, REGISTRATION_FLOW = "passkey", "passkey-new"
CHALLENGE_SECONDS = 120
"""How long the browser keeps a challenge's code: longer than the auth server does, which can so say that it is late."""
MAX_CREDENTIAL = 32_768

_EXAMPLE_OPTIONS = {"challenge": "dGhlIGNoYWxsZW5nZQ", "rpId": "app.example.com", "timeout": 60000}
_EXAMPLE_CREDENTIAL = {
    "id": "Y3JlZGVudGlhbA",
    "rawId": "Y3JlZGVudGlhbA",
    "type": "public-key",
    "response": {"clientDataJSON": "...", "authenticatorData": "...", "signature": "..."},
    "clientExtensionResults": {},
}

Credential = Annotated[
    dict[str, JsonValue],
    Field(
        repr=False,
        description="What the browser's WebAuthn call yielded, as `credential.toJSON()` writes it.",
        examples=[_EXAMPLE_CREDENTIAL],
    ),
]
ChallengeCode = Annotated[
    SecretStr,
    Field(
        min_length=CODE_LENGTH,
        max_length=CODE_LENGTH,
        description="What came with the options.",
        examples=["7bd52h01bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg28"],
    ),
]


class PasskeyOptions(BaseModel):
    """What the browser's WebAuthn call takes."""

    model_config = ConfigDict(frozen=True)

    options: dict[str, JsonValue] = Field(
        repr=False,
        description="For `PublicKeyCredential.parseRequestOptionsFromJSON` or `parseCreationOptionsFromJSON`; good for "
        "about a minute.",
        examples=[_EXAMPLE_OPTIONS],
    )


class PasskeyOptionsOfApp(PasskeyOptions):
    """The same, with the code that goes with the answer."""

    code: str = Field(
        repr=False,
        description="Goes back with the credential.",
        examples=["7bd52h01bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg28"],
    )


class PasskeyAnswer(Form):
    """What the authenticator made of the options."""

    credential: Credential


class PasskeyAnswerOfApp(PasskeyAnswer):
    """What the authenticator made of the options, and their code."""

    code: ChallengeCode


# --- signing in ---


@needs("project_id", "app_url")
async def options(request: Request, stack: RouteStack) -> PasskeyOptionsOfApp:
    """Begin a sign-in by passkey. Nobody is named: the person's authenticator knows which passkeys it has."""
    challenge = await (await client_of(request, stack)).passkey.initiate_authentication()
    return _told(challenge, request, stack)


@needs("project_id", "app_url")
async def options_browser(request: Request, stack: RouteStack) -> PasskeyOptions:
    """Begin a sign-in by passkey. Nobody is named: the person's authenticator knows which passkeys it has.

    This browser keeps what goes with the answer, in an HttpOnly cookie. `passkey.js` does all of it.
    """
    return _kept(await options(request, stack), request, stack, SIGN_IN_FLOW)


async def sign_in(body: PasskeyAnswerOfApp, request: Request, stack: RouteStack) -> SignedIn | Tokens:
    """Sign in with what the authenticator made of the options. They work once."""
    await _count(body, stack)
    return await _signed_in(body.credential, request, stack, body.code.get_secret_value())


async def sign_in_browser(body: PasskeyAnswer, request: Request, stack: RouteStack) -> SignedIn | Tokens:
    """Sign in with what the authenticator made of the options. They work once, in the browser that asked for them."""
    await _count(body, stack)
    return await _signed_in(body.credential, request, stack, _code_kept(request, stack, SIGN_IN_FLOW))


async def _count(body: PasskeyAnswer, stack: InstalledStack) -> None:
    await count_account(stack, "passkey_sign_in", str(body.credential.get("id", "")))


async def _signed_in(
    credential: Mapping[str, Any], request: Request, stack: InstalledStack, code: str
) -> SignedIn | Tokens:
    client = await client_of(request, stack)
    async with signing_in(request, stack, TAG, account_key("passkey", str(credential.get("id", "")))):
        tokens = await client.passkey.sign_in(code=code, authentication_response=_checked(credential))
    return deliver(request, stack, tokens, TAG)


# --- registering one, and giving it up ---


@needs("project_id", "app_url")
async def registration_options(request: Request, stack: RouteStack, client: PersonsClient) -> PasskeyOptionsOfApp:
    """Begin to register a passkey for who is signed in."""
    return _told(await client.passkey.initiate_registration(), request, stack)


@needs("project_id", "app_url")
async def registration_options_browser(request: Request, stack: RouteStack, client: PersonsClient) -> PasskeyOptions:
    """Begin to register a passkey for who is signed in. This browser keeps what goes with the answer."""
    return _kept(await registration_options(request, stack, client), request, stack, REGISTRATION_FLOW)


async def register(body: PasskeyAnswerOfApp, client: PersonsClient) -> PasskeyRegistered:
    """Register the passkey that the authenticator made. It takes the place of the one before: an account has one."""
    return await client.passkey.register(code=body.code.get_secret_value(), credential=_checked(body.credential))


async def register_browser(
    body: PasskeyAnswer, request: Request, stack: RouteStack, client: PersonsClient
) -> PasskeyRegistered:
    """Register the passkey that the authenticator made. It takes the place of the one before: an account has one."""
    code = _code_kept(request, stack, REGISTRATION_FLOW)
    return await client.passkey.register(code=code, credential=_checked(body.credential))


async def remove(client: PersonsClient) -> None:
    """Give up the passkey of who is signed in. The authenticator may go on showing it, but it signs nobody in."""
    await client.users.update_me(CurrentUserUpdate(passkey_auth_enabled=False))


# --- the relying party ---


def relying_party_id(request: Request, stack: InstalledStack) -> str:
    """The host that a passkey belongs to: that of the page that asks, where it is the app's own or a trusted one.

    Raises:
        ConfigurationError: where `app_url` is missing.
    """
    app_url = stack.settings.require_app_url("passkeys")
    origin = request.headers.get("origin")
    page = origin if origin in (app_url, *stack.settings.trusted_origins) else app_url
    return urlsplit(page).hostname or ""


def _told(challenge: PasskeyChallenge, request: Request, stack: InstalledStack) -> PasskeyOptionsOfApp:
    """A challenge with the relying party's id in its place (WebAuthn Level 3 §5.4 and §5.5)."""
    filled, host = dict(challenge.options_json), relying_party_id(request, stack)
    if isinstance(party := filled.get("rp"), dict):
        filled["rp"] = {**party, "id": host}
    else:
        filled["rpId"] = host
    return PasskeyOptionsOfApp(options=filled, code=challenge.code)


def _kept(told: PasskeyOptionsOfApp, request: Request, stack: InstalledStack, flow: str) -> PasskeyOptions:
    flows.remember(request, stack, flow, {"code": told.code}, CHALLENGE_SECONDS)
    return PasskeyOptions(options=told.options)


def _code_kept(request: Request, stack: InstalledStack, flow: str) -> str:
    """The code that this browser keeps; it serves one answer.

    Raises:
        `VERIFICATION_CODE_EXPIRED`: it keeps none.
    """
    code = flows.recall(request, stack, flow).get("code")
    if not code:
        raise KnownApiError.of("VERIFICATION_CODE_EXPIRED")
    flows.forget(request, stack, flow)
    return code


def _checked(credential: Mapping[str, Any]) -> Mapping[str, Any]:
    """A credential of the form that browsers write; the server crashes on others.

    Raises:
        RequestInvalid: it has not that form.
    """
    whole = isinstance(credential.get("response"), dict) and all(
        isinstance(credential.get(name), str) for name in ("id", "rawId", "type")
    )
    if not whole or _size(credential) > MAX_CREDENTIAL:
        raise RequestInvalid((("body.credential", "Must be a WebAuthn credential as JSON"),))
    return credential


def _size(credential: Mapping[str, Any]) -> float:
    """Bytes of a credential as JSON; infinite for what is none: numbers and characters that JSON does not have."""
    try:
        return len(json.dumps(credential, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):
        return math.inf


# --- the browser's part ---


@cache
def _script() -> tuple[bytes, str]:
    """The module and its entity tag."""
    content = files("fastapi_stackauth.routers.methods").joinpath("passkey.js").read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


@needs()
async def script(request: Request) -> Response:
    """The browser's part as an ES module without dependencies: `import { signIn, register } from "/auth/passkey.js"`.

    It needs no more of a Content-Security-Policy than `script-src 'self'` and `connect-src 'self'`.
    """
    content, tag = _script()
    headers = {"etag": tag, "cache-control": "public, no-cache", "x-content-type-options": "nosniff"}
    given = request.headers.get("if-none-match", "")
    if given.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in given.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="text/javascript; charset=utf-8", headers=headers)


# --- on a router ---

_OFF = KnownApiError.of("PASSKEY_AUTHENTICATION_NOT_ENABLED")


def add_routes(router: APIRouter, delivery: Delivery) -> None:
    """Put this method's routes on a router."""
    browser = delivery == "cookie"
    told = PasskeyOptions if browser else PasskeyOptionsOfApp
    add(router, delivery, "/passkey/options", options_browser if browser else options, operation="passkey_options",
        summary="Begin a sign-in by passkey", response_model=told, response_description="For the browser.", tag=TAG,
        errors=(_OFF,), attempt="passkey_options")  # fmt: skip
    add_sign_in(router, delivery, "/passkey/sign-in", sign_in_browser if browser else sign_in,
                operation="passkey_sign_in", summary="Sign in with a passkey", tag=TAG,
                errors=(*VERIFICATION_CODE_ERRORS, KnownApiError.of("PASSKEY_AUTHENTICATION_FAILED"),
                        _OFF))  # fmt: skip
    add(router, delivery, "/passkey/register/options",
        registration_options_browser if browser else registration_options,
        operation="passkey_register_options", summary="Begin to register a passkey", response_model=told,
        response_description="For the browser.", tag=TAG,
        errors=(*SIGNED_OUT, _OFF))  # fmt: skip
    add(router, delivery, "/passkey/register", register_browser if browser else register,
        operation="passkey_register", summary="Register a passkey", response_model=PasskeyRegistered,
        response_description="Registered.", tag=TAG, example=PASSKEY,
        errors=(*SIGNED_OUT, *VERIFICATION_CODE_ERRORS, KnownApiError.of("PASSKEY_REGISTRATION_FAILED"),
                _OFF))  # fmt: skip
    add(router, delivery, "/passkey", remove, method="DELETE", operation="passkey_remove",
        summary="Give up the passkey", response_description="Given up.", tag=TAG,
        errors=(*SIGNED_OUT, UnexpectedAnswer(400)))  # fmt: skip
    router.add_api_route("/passkey.js", script, include_in_schema=False)
