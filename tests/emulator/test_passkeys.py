"""Passkeys: registering and signing in with a real signature, and what is refused."""

import base64
from typing import Any

import pytest

from .api import Api, assert_rejected
from .authenticator import Authenticator

REGISTER, SIGN_IN = "/auth/passkey/register", "/auth/passkey/sign-in"
STAND_IN = "THIS_VALUE_WILL_BE_REPLACED.example.com"


async def options(api: Api, token: str | None = None) -> tuple[str, str]:
    """Return a challenge with its code: to register with a token, to sign in without."""
    what = "registration" if token else "authentication"
    answer = await api.post(f"/auth/passkey/initiate-passkey-{what}", token=token)
    assert answer.status_code == 200, answer.text
    return answer.json()["options_json"]["challenge"], answer.json()["code"]


async def register(api: Api, token: str, authenticator: Authenticator, **how: Any) -> Any:
    challenge, code = await options(api, token)
    return await api.post(REGISTER, {"code": code, "credential": authenticator.register(challenge, **how)}, token=token)


async def sign_in(api: Api, authenticator: Authenticator, **how: Any) -> Any:
    challenge, code = await options(api)
    body = {"code": code, "authentication_response": authenticator.sign_in(challenge, **how)}
    return await api.post(SIGN_IN, body)


@pytest.fixture
async def registration(api: Api) -> tuple[dict[str, Any], Authenticator]:
    signed_up, authenticator = await api.sign_up(), Authenticator()
    answer = await register(api, signed_up["access_token"], authenticator)
    assert answer.status_code == 200, answer.text
    return signed_up, authenticator


async def test_a_registered_passkey_signs_its_user_in(
    api: Api, registration: tuple[dict[str, Any], Authenticator]
) -> None:
    signed_up, authenticator = registration
    for _ in range(2):
        answer = (await sign_in(api, authenticator)).json()
        assert (answer["user_id"], answer["is_new_user"]) == (signed_up["user_id"], False)
    assert (await api.me(answer["access_token"])).json()["passkey_auth_enabled"] is True


async def test_the_options_are_what_a_browser_needs(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    answer = (await api.post("/auth/passkey/initiate-passkey-registration", {"foo": 1}, token=token)).json()
    assert answer["options_json"]["rp"]["id"] == STAND_IN
    assert [item["alg"] for item in answer["options_json"]["pubKeyCredParams"]] == [-8, -7, -257]
    assert answer["options_json"]["user"]["name"] == "ada@example.com"
    first, second = [(await options(api))[0] for _ in range(2)]
    assert first != second


async def test_registering_needs_a_user_and_the_method(api: Api) -> None:
    assert_rejected(await api.post("/auth/passkey/initiate-passkey-registration"), 400, "SCHEMA_ERROR")
    token = (await api.sign_up())["access_token"]
    challenge, code = await options(api, token)
    body = {"code": code, "credential": Authenticator().register(challenge)}
    assert_rejected(await api.post(REGISTER, body), 400, "SCHEMA_ERROR")
    api.emulator.configure(passkey_enabled=False)
    off = "PASSKEY_AUTHENTICATION_NOT_ENABLED"
    assert_rejected(await api.post("/auth/passkey/initiate-passkey-registration", token=token), 400, off)
    assert_rejected(await api.post("/auth/passkey/initiate-passkey-authentication"), 400, off)
    assert_rejected(await api.post(REGISTER, body, token=token), 400, off)
    assert_rejected(await api.post(SIGN_IN, {"code": code, "authentication_response": {}}), 400, off)


@pytest.mark.parametrize("fault", ["origin", "rp", "type", "challenge", "empty", "user"])
async def test_a_false_registration_is_refused_and_burns_its_code(api: Api, fault: str) -> None:
    token = (await api.sign_up())["access_token"]
    authenticator = Authenticator("https://evil.example" if fault == "origin" else "http://localhost:3000")
    challenge, code = await options(api, token)
    if fault == "rp":
        authenticator.rp_id = "other.localhost"
    asked = "AAAA" if fault == "challenge" else challenge
    kind = "webauthn.get" if fault == "type" else "webauthn.create"
    credential = {} if fault == "empty" else authenticator.register(asked, kind)
    who = (await api.sign_up("other@example.com"))["access_token"] if fault == "user" else token
    body = {"code": code, "credential": credential}
    assert_rejected(await api.post(REGISTER, body, token=who), 400, "PASSKEY_REGISTRATION_FAILED")
    assert_rejected(await api.post(REGISTER, body, token=who), 409, "VERIFICATION_CODE_ALREADY_USED")


@pytest.mark.parametrize("fault", ["origin", "rp", "type", "challenge", "empty", "signature", "counter", "unknown"])
async def test_a_false_sign_in_is_refused(
    api: Api, registration: tuple[dict[str, Any], Authenticator], fault: str
) -> None:
    _, authenticator = registration
    await sign_in(api, authenticator)
    challenge, code = await options(api)
    if fault == "origin":
        authenticator.origin, authenticator.rp_id = "https://evil.example", "evil.example"
    if fault == "rp":
        authenticator.rp_id = "other.localhost"
    if fault == "counter":
        authenticator.count = -1
    kind = "webauthn.create" if fault == "type" else "webauthn.get"
    response = {} if fault == "empty" else authenticator.sign_in("AAAA" if fault == "challenge" else challenge, kind)
    if fault == "signature":
        response["response"]["signature"] = base64.urlsafe_b64encode(b"no signature").decode()
    if fault == "unknown":
        response |= {"id": "dW5rbm93bg", "rawId": "dW5rbm93bg"}
    body = {"code": code, "authentication_response": response}
    assert_rejected(await api.post(SIGN_IN, body), 400, "PASSKEY_AUTHENTICATION_FAILED")
    assert_rejected(await api.post(SIGN_IN, body), 409, "VERIFICATION_CODE_ALREADY_USED")


async def test_any_trusted_origin_may_ask_and_no_other(
    api: Api, registration: tuple[dict[str, Any], Authenticator]
) -> None:
    _, authenticator = registration
    authenticator.origin, authenticator.rp_id = "https://app.example.com", "app.example.com"
    assert_rejected(await sign_in(api, authenticator), 400, "PASSKEY_AUTHENTICATION_FAILED")
    api.emulator.configure(domains=[{"domain": "https://app.example.com", "handler_path": "/handler"}])
    assert (await sign_in(api, authenticator)).status_code == 200


async def test_a_challenge_lasts_65_seconds_and_serves_its_own_purpose(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    challenge, code = await options(api, token)
    body = {"code": code, "authentication_response": Authenticator().sign_in(challenge)}
    assert_rejected(await api.post(SIGN_IN, body), 404, "VERIFICATION_CODE_NOT_FOUND")
    api.emulator.clock.advance(65)
    late = {"code": code, "credential": Authenticator().register(challenge)}
    assert_rejected(await api.post(REGISTER, late, token=token), 400, "VERIFICATION_CODE_EXPIRED")


async def test_a_challenge_is_new_each_time_and_has_32_bytes(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    challenges = [(await options(api, who))[0] for who in (token, token, None, None)]
    assert len(set(challenges)) == 4
    assert {len(base64.urlsafe_b64decode(challenge + "==")) for challenge in challenges} == {32}


async def test_no_options_name_a_credential_or_ask_for_an_attestation(
    api: Api, registration: tuple[dict[str, Any], Authenticator]
) -> None:
    """Only discoverable credentials sign in, so an account with a passkey cannot be told from one without."""
    token = registration[0]["access_token"]
    to_sign_in = (await api.post("/auth/passkey/initiate-passkey-authentication", token=token)).json()["options_json"]
    assert to_sign_in["allowCredentials"] == []
    assert "user" not in to_sign_in
    to_register = (await api.post("/auth/passkey/initiate-passkey-registration", token=token)).json()["options_json"]
    assert to_register.get("excludeCredentials", []) == []
    assert to_register["attestation"] == "none"
    assert to_register["authenticatorSelection"]["residentKey"] == "required"


async def test_a_user_has_one_passkey_and_can_give_it_up(
    api: Api, registration: tuple[dict[str, Any], Authenticator]
) -> None:
    signed_up, old = registration
    new = Authenticator()
    assert (await register(api, signed_up["access_token"], new)).status_code == 200
    assert_rejected(await sign_in(api, old), 400, "PASSKEY_AUTHENTICATION_FAILED")
    assert (await sign_in(api, new)).status_code == 200
    await api.patch("/users/me", {"passkey_auth_enabled": False}, token=signed_up["access_token"])
    assert_rejected(await sign_in(api, new), 400, "PASSKEY_AUTHENTICATION_FAILED")


async def test_a_passkey_of_somebody_else_cannot_be_taken_over(
    api: Api, registration: tuple[dict[str, Any], Authenticator]
) -> None:
    _, authenticator = registration
    other = await api.sign_up("other@example.com")
    answer = await register(api, other["access_token"], authenticator)
    assert_rejected(answer, 400, "PASSKEY_REGISTRATION_FAILED")
    assert (await sign_in(api, authenticator)).json()["user_id"] != other["user_id"]


async def test_the_second_factor_is_asked_for_after_a_passkey(
    api: Api, registration: tuple[dict[str, Any], Authenticator]
) -> None:
    signed_up, authenticator = registration
    await api.patch("/users/me", {"totp_secret_base64": "AAAA"}, token=signed_up["access_token"])
    assert_rejected(await sign_in(api, authenticator), 400, "MULTI_FACTOR_AUTHENTICATION_REQUIRED")
