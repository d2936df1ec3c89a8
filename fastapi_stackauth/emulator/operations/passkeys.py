"""Passkeys (WebAuthn level 2): registration and sign-in.

The relying party's id in the options is a placeholder. The page replaces it with its own host name, and the origin that
the authenticator signed shows which host that was (contract/tokens.md section 9).
"""

import json
import sqlite3
from typing import Any
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.cose import COSEAlgorithmIdentifier

from fastapi_stackauth.emulator import accounts, trust, verification
from fastapi_stackauth.emulator.errors import KnownError
from fastapi_stackauth.emulator.schema import Record
from fastapi_stackauth.emulator.store.database import Row
from fastapi_stackauth.emulator.store.projects import Project
from fastapi_stackauth.emulator.wire import Call, operation, schema_error

STAND_IN = "THIS_VALUE_WILL_BE_REPLACED.example.com"
TIMEOUT_MILLIS = 60_000
ALGORITHMS = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
REGISTER = {**verification.BODY, "credential": Record(fields={}, open=True)}
SIGN_IN = {**verification.BODY, "authentication_response": Record(fields={}, open=True)}


def check_enabled(project: Project) -> None:
    """Raise unless the project has enabled passkeys."""
    if not project.config["passkey_enabled"]:
        raise KnownError("PASSKEY_AUTHENTICATION_NOT_ENABLED")


def challenge_code(call: Call, kind: str, user_id: str | None) -> tuple[str, str]:
    """Return a new challenge, and the code under which it is stored."""
    challenge = bytes_to_base64url(call.server.chance.challenge())
    code = call.server.store.codes.create(call.project.id, kind, {"challenge": challenge, "user_id": user_id})
    return challenge, code


def to_origin(call: Call, response: Any) -> tuple[str, str]:  # noqa: ANN401 - JSON from outside
    """Return the origin of an authenticator's response and its host. Raise if the origin is not trusted.

    Raises:
        ValueError: The origin is not trusted.
        Exception: The response has no valid origin.
    """
    origin = json.loads(base64url_to_bytes(response["response"]["clientDataJSON"]))["origin"]
    if not trust.is_trusted(call.server, call.project, origin):
        raise ValueError(origin)
    return origin, urlsplit(origin).hostname or ""


@operation("POST", "/auth/passkey/initiate-passkey-registration")
async def initiate_registration(call: Call) -> dict[str, Any]:
    """Return options for `navigator.credentials.create`, and the code that completes the registration.

    The client sends this code back with the authenticator's response.
    """
    user = call.signed_in
    check_enabled(call.project)
    challenge, code = challenge_code(call, "passkey_registration", user["id"])
    primary = call.server.store.channels.primary(user["id"])
    name = user["display_name"] or (primary["value"] if primary else user["id"])
    options = {
        "rp": {"name": call.project.display_name, "id": STAND_IN},
        "user": {"id": bytes_to_base64url(user["id"].encode()), "name": name, "displayName": name},
        "challenge": challenge,
        "pubKeyCredParams": [{"alg": int(algorithm), "type": "public-key"} for algorithm in ALGORITHMS],
        "timeout": TIMEOUT_MILLIS,
        "attestation": "none",
        "excludeCredentials": [],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "preferred",
        },
        "extensions": {"credProps": True},
    }
    return {"options_json": options, "code": code}


@operation("POST", "/auth/passkey/register", body=REGISTER)
async def register(call: Call) -> dict[str, Any]:
    """Store the signed-in user's passkey, which replaces an earlier one."""
    check_enabled(call.project)
    data = verification.consume_code(call, "passkey_registration")
    if call.user is None:  # the real server returns 500 and also uses up the code
        raise schema_error(call.request, ["auth.user must be defined"])
    if data["user_id"] != call.user["id"]:
        raise KnownError("PASSKEY_REGISTRATION_FAILED")
    credential = verify_registration(call, call.body["credential"], data["challenge"])
    credential_id = bytes_to_base64url(credential.credential_id)
    try:
        call.server.store.passkeys.put(
            call.user, credential_id, credential.credential_public_key, credential.sign_count
        )
    except sqlite3.IntegrityError:
        raise KnownError("PASSKEY_REGISTRATION_FAILED") from None
    return {"user_handle": credential_id}


def verify_registration(call: Call, credential: Any, challenge: str) -> Any:  # noqa: ANN401 - JSON from outside
    """Verify a registration response and return its data."""
    try:
        origin, host = to_origin(call, credential)
        return webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=host,
            expected_origin=origin,
            require_user_verification=False,
            supported_pub_key_algs=ALGORITHMS,
        )
    except Exception:  # noqa: BLE001 - the libraries raise all sorts for what a stranger may send
        raise KnownError("PASSKEY_REGISTRATION_FAILED") from None


@operation("POST", "/auth/passkey/initiate-passkey-authentication")
async def initiate_sign_in(call: Call) -> dict[str, Any]:
    """Return options for `navigator.credentials.get`, and the code that the client sends back to sign in."""
    check_enabled(call.project)
    challenge, code = challenge_code(call, "passkey_sign_in", None)
    options = {
        "rpId": STAND_IN,
        "challenge": challenge,
        "allowCredentials": [],
        "timeout": TIMEOUT_MILLIS,
        "userVerification": "preferred",
    }
    return {"options_json": options, "code": code}


@operation("POST", "/auth/passkey/sign-in", body=SIGN_IN)
async def sign_in(call: Call) -> dict[str, Any]:
    """Create a session for a passkey's response to the challenge."""
    check_enabled(call.project)
    data = verification.consume_code(call, "passkey_sign_in")
    store, response = call.server.store, call.body["authentication_response"]
    passkey = store.passkeys.by_credential(call.project.id, str(response.get("id")))
    user = passkey and store.users.get(call.project.id, passkey["user_id"])
    if passkey is None or user is None:
        raise KnownError("PASSKEY_AUTHENTICATION_FAILED")
    store.passkeys.count(user["id"], new_count(call, response, data["challenge"], passkey))
    return {**accounts.signed_in(call, user, is_new=False), "is_new_user": False}


def new_count(call: Call, response: Any, challenge: str, passkey: Row) -> int:  # noqa: ANN401 - JSON from outside
    """Verify the authenticator's response, and return its counter."""
    try:
        origin, host = to_origin(call, response)
        verified = webauthn.verify_authentication_response(
            credential=response,
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=host,
            expected_origin=origin,
            credential_public_key=passkey["public_key"],
            credential_current_sign_count=passkey["sign_count"],
            require_user_verification=False,
        )
    except Exception:  # noqa: BLE001 - the libraries raise all sorts for what a stranger may send
        raise KnownError("PASSKEY_AUTHENTICATION_FAILED") from None
    return verified.new_sign_count
