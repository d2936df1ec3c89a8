"""The second factor: after it is switched on, every way in asks for it."""

import base64

import pyotp
import pytest

from .api import CALLBACK, PASSWORD, Api, assert_rejected

SECRET = base64.b64encode(b"twenty random bytes!").decode()
TOTP = pyotp.TOTP(base64.b32encode(b"twenty random bytes!").decode())
PATH = "/auth/mfa/sign-in"


async def enroll(api: Api) -> dict[str, str]:
    """Sign up and switch the second factor on."""
    signed_up = await api.sign_up()
    answer = await api.patch("/users/me", {"totp_secret_base64": SECRET}, token=signed_up["access_token"])
    assert answer.json()["requires_totp_mfa"] is True
    return signed_up


async def attempt(api: Api) -> dict[str, str]:
    """Sign in with the password; return the body of the second step."""
    details = assert_rejected(await api.sign_in(), 400, "MULTI_FACTOR_AUTHENTICATION_REQUIRED")
    return {"code": details["attempt_code"], "type": "totp", "totp": TOTP.at(int(api.emulator.clock.now()))}


async def test_the_password_alone_signs_nobody_in_any_more(api: Api) -> None:
    signed_up = await enroll(api)
    body = await attempt(api)
    answer = (await api.post(PATH, body)).json()
    assert (answer["user_id"], answer["is_new_user"]) == (signed_up["user_id"], False)
    assert (await api.me(answer["access_token"])).status_code == 200
    assert_rejected(await api.post(PATH, body), 409, "VERIFICATION_CODE_ALREADY_USED")
    assert (await api.refresh(signed_up["refresh_token"])).status_code == 200


async def test_a_wrong_password_is_refused_before_the_second_factor(api: Api) -> None:
    await enroll(api)
    assert_rejected(await api.sign_in(password="wrong"), 400, "EMAIL_PASSWORD_MISMATCH")


@pytest.mark.parametrize("totp", ["12345", "abcdef", "", "\uff11" * 6, "0000000"])
async def test_a_wrong_one_time_password_leaves_the_attempt_usable(api: Api, totp: str) -> None:
    await enroll(api)
    body = await attempt(api)
    assert_rejected(await api.post(PATH, {**body, "totp": totp}), 400, "INVALID_TOTP_CODE")
    assert (await api.post(PATH, {**body, "code": body["code"].upper()})).status_code == 200


@pytest.mark.parametrize("secret", ["", "AAAA", "AAAAAAAA"])
async def test_a_too_short_totp_secret_signs_in_no_user(api: Api, secret: str) -> None:
    """A secret too short for one time passwords signs nobody in."""
    token = (await api.sign_up())["access_token"]
    await api.patch("/users/me", {"totp_secret_base64": secret}, token=token)
    assert_rejected(await api.post(PATH, {**(await attempt(api)), "totp": "123456"}), 400, "INVALID_TOTP_CODE")


async def test_only_the_current_half_minute_counts(api: Api) -> None:
    await enroll(api)
    body = await attempt(api)
    api.emulator.clock.advance(30)
    assert_rejected(await api.post(PATH, body), 400, "INVALID_TOTP_CODE")


async def test_an_attempt_lasts_five_minutes_and_twenty_tries(api: Api) -> None:
    await enroll(api)
    body = await attempt(api)
    for _ in range(20):
        assert_rejected(await api.post(PATH, {**body, "totp": "x"}), 400, "INVALID_TOTP_CODE")
    assert_rejected(await api.post(PATH, body), 400, "VERIFICATION_CODE_MAX_ATTEMPTS_REACHED")
    body = await attempt(api)
    api.emulator.clock.advance(300)
    assert_rejected(await api.post(PATH, body), 400, "VERIFICATION_CODE_EXPIRED")


@pytest.mark.parametrize("change", [{"type": "sms"}, {"totp": None}, {"foo": 1}, {"code": "short"}])
async def test_a_malformed_second_step_is_refused(api: Api, change: dict[str, object]) -> None:
    await enroll(api)
    assert_rejected(await api.post(PATH, {**(await attempt(api)), **change}), 400, "SCHEMA_ERROR")


async def test_an_attempt_code_is_no_sign_in_code(api: Api) -> None:
    await enroll(api)
    code = {"code": (await attempt(api))["code"]}
    for path in ("/auth/otp/sign-in", "/auth/otp/sign-in/check-code"):
        assert_rejected(await api.post(path, code), 404, "VERIFICATION_CODE_NOT_FOUND")
    assert_rejected(
        await api.post(PATH, {"code": "a" * 45, "type": "totp", "totp": "1"}), 404, "VERIFICATION_CODE_NOT_FOUND"
    )


async def test_a_mailed_code_asks_for_it_too_and_is_used_up(api: Api) -> None:
    user_id = (await enroll(api))["user_id"]
    await api.patch(f"/users/{user_id}", {"primary_email_verified": True}, access="server")
    await api.post("/auth/otp/send-sign-in-code", {"email": "ada@example.com", "callback_url": CALLBACK})
    code = {"code": api.emails()[0]["code"]}
    assert_rejected(await api.post("/auth/otp/sign-in", code), 400, "MULTI_FACTOR_AUTHENTICATION_REQUIRED")
    assert_rejected(await api.post("/auth/otp/sign-in", code), 409, "VERIFICATION_CODE_ALREADY_USED")


async def test_the_server_passes_it_by_and_the_user_can_switch_it_off(api: Api) -> None:
    signed_up = await enroll(api)
    assert (await api.post("/auth/sessions", {"user_id": signed_up["user_id"]}, access="server")).status_code == 200
    body = await attempt(api)
    await api.patch("/users/me", {"totp_secret_base64": None}, token=signed_up["access_token"])
    assert_rejected(await api.post(PATH, body), 400, "INVALID_TOTP_CODE")
    assert (await api.sign_in(password=PASSWORD)).status_code == 200
