"""Codes by e-mail: signing in, a new password, confirming an address; and every way they fail."""

import asyncio
from typing import Any

import pytest

from .api import CALLBACK, PASSWORD, Api, assert_rejected

SEND, SIGN_IN, CHECK = "/auth/otp/send-sign-in-code", "/auth/otp/sign-in", "/auth/otp/sign-in/check-code"
WEEK = 7 * 24 * 3600


async def send(api: Api, email: str = "otp@example.com", **how: Any) -> str:
    """Have a sign-in code mailed; return the nonce."""
    answer = await api.post(SEND, {"email": email, "callback_url": CALLBACK}, **how)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["nonce"])


async def reset_code(api: Api, email: str = "ada@example.com") -> str:
    """Have a reset link mailed; return its code."""
    body = {"email": email, "callback_url": CALLBACK}
    answer = await api.post("/auth/password/send-reset-code", body)
    assert answer.json() == {"success": "maybe, only if user with e-mail exists"}
    return str(api.emails(to=email, kind="password_reset")[0]["code"])


async def test_the_typed_code_and_the_nonce_sign_a_new_user_in_once(api: Api) -> None:
    nonce = await send(api, "OTP@Example.com")
    [mail] = api.emails()
    assert len(nonce) == 39
    assert mail["otp"] == mail["otp"].upper()
    assert mail["code"] == mail["otp"].lower() + nonce
    assert mail["otp"] in mail["subject"]
    answer = (await api.post(SIGN_IN, {"code": mail["otp"] + nonce})).json()
    assert answer["is_new_user"] is True
    me = (await api.me(answer["access_token"])).json()
    assert (me["primary_email"], me["primary_email_verified"], me["otp_auth_enabled"]) == (
        "otp@example.com",
        True,
        True,
    )
    assert_rejected(await api.post(SIGN_IN, {"code": mail["code"]}), 409, "VERIFICATION_CODE_ALREADY_USED")


async def test_the_links_code_signs_a_known_user_in(api: Api) -> None:
    await send(api)
    first = (await api.post(SIGN_IN, {"code": api.emails()[0]["code"]})).json()
    await send(api)
    again = (await api.post(SIGN_IN, {"code": api.emails()[0]["code"].upper()})).json()
    assert (again["is_new_user"], again["user_id"]) == (False, first["user_id"])
    assert api.emails()[0]["link"] == f"{CALLBACK}?code={api.emails()[0]['code']}"


async def test_several_codes_stay_valid_side_by_side(api: Api) -> None:
    await send(api)
    await send(api)
    for mail in reversed(api.emails()):
        assert (await api.post(SIGN_IN, {"code": mail["code"]})).status_code == 200


async def test_a_code_used_twice_at_once_signs_in_once(api: Api) -> None:
    await send(api)
    code = {"code": api.emails()[0]["code"]}
    answers = await asyncio.gather(*(api.post(SIGN_IN, code) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]


@pytest.mark.parametrize("code", ["a" * 45, "z" * 45])
async def test_a_wrong_code_is_not_found(api: Api, code: str) -> None:
    await send(api)
    for path in (SIGN_IN, CHECK):
        assert_rejected(await api.post(path, {"code": code}), 404, "VERIFICATION_CODE_NOT_FOUND")


@pytest.mark.parametrize("body", [{}, {"code": "short"}, {"code": 5}, {"code": "a" * 45, "foo": 1}, {"code": None}])
async def test_a_malformed_code_is_refused(api: Api, body: dict[str, Any]) -> None:
    assert_rejected(await api.post(SIGN_IN, body), 400, "SCHEMA_ERROR")


async def test_codes_expire_after_a_week(api: Api) -> None:
    await send(api)
    code = {"code": api.emails()[0]["code"]}
    api.emulator.clock.advance(WEEK - 1)
    assert (await api.post(CHECK, code)).json() == {"is_code_valid": True}
    api.emulator.clock.advance(1)
    assert_rejected(await api.post(SIGN_IN, code), 400, "VERIFICATION_CODE_EXPIRED")


async def test_twenty_attempts_on_a_nonce_kill_its_code(api: Api) -> None:
    nonce = await send(api)
    right = {"code": api.emails()[0]["code"]}
    wrong = {"code": ("aaaaaa" if not right["code"].startswith("aaaaaa") else "bbbbbb") + nonce}
    for _ in range(20):
        assert_rejected(await api.post(SIGN_IN, wrong), 404, "VERIFICATION_CODE_NOT_FOUND")
    assert_rejected(await api.post(SIGN_IN, right), 400, "VERIFICATION_CODE_MAX_ATTEMPTS_REACHED")
    await send(api)
    assert (await api.post(SIGN_IN, {"code": api.emails()[0]["code"]})).status_code == 200


async def test_a_code_of_one_kind_or_project_works_for_no_other(api: Api) -> None:
    await api.sign_up()
    code = {"code": await reset_code(api)}
    assert_rejected(await api.post(SIGN_IN, code), 404, "VERIFICATION_CODE_NOT_FOUND")
    other = api.emulator.store.projects.create({})
    headers = {**api.headers("client"), "x-stack-project-id": other.id}
    body = {**code, "password": PASSWORD}
    answer = await api.http.post("/api/v1/auth/password/reset", json=body, headers=headers)
    assert_rejected(answer, 404, "VERIFICATION_CODE_NOT_FOUND")


async def test_a_code_is_sent_only_where_the_project_allows_it(api: Api) -> None:
    body = {"email": "otp@example.com", "callback_url": "https://evil.example/"}
    assert_rejected(await api.post(SEND, body), 400, "REDIRECT_URL_NOT_WHITELISTED")
    assert_rejected(await api.post(SEND, {"email": "otp@example.com"}), 400, "SCHEMA_ERROR")
    api.emulator.configure(sign_up_enabled=False)
    assert_rejected(await api.post(SEND, {**body, "callback_url": CALLBACK}), 400, "SIGN_UP_NOT_ENABLED")
    api.emulator.configure(magic_link_enabled=False)
    off = await api.post(SEND, {**body, "callback_url": CALLBACK})
    assert (off.status_code, off.headers["content-type"]) == (403, "text/plain; charset=utf-8")
    assert not api.emails()


async def test_an_unverified_address_cannot_sign_in_by_code(api: Api) -> None:
    await api.sign_up()
    details = assert_rejected(
        await api.post(SEND, {"email": "ada@example.com", "callback_url": CALLBACK}), 409, "USER_EMAIL_ALREADY_EXISTS"
    )
    assert details == {"email": "ada@example.com", "would_work_if_email_was_verified": True}


async def test_a_closed_project_rejects_and_uses_up_the_code(api: Api) -> None:
    """A project closed after sending refuses and burns the code."""
    await send(api)
    code = {"code": api.emails()[0]["code"]}
    api.emulator.configure(sign_up_enabled=False)
    assert_rejected(await api.post(SIGN_IN, code), 400, "SIGN_UP_NOT_ENABLED")
    assert_rejected(await api.post(SIGN_IN, code), 409, "VERIFICATION_CODE_ALREADY_USED")


async def test_a_reset_link_sets_a_password_and_ends_every_session(api: Api) -> None:
    signed_up = await api.sign_up()
    code = await reset_code(api)
    assert (await api.post("/auth/password/reset/check-code", {"code": code})).json() == {"is_code_valid": True}
    body = {"code": code, "password": "Another-Horse-8"}
    assert (await api.post("/auth/password/reset", body)).json() == {"success": True}
    assert_rejected(await api.refresh(signed_up["refresh_token"]), 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    assert_rejected(await api.sign_in(), 400, "EMAIL_PASSWORD_MISMATCH")
    assert (await api.sign_in(password="Another-Horse-8")).status_code == 200
    assert_rejected(await api.post("/auth/password/reset", body), 409, "VERIFICATION_CODE_ALREADY_USED")


async def test_a_too_short_new_password_burns_the_reset_code(api: Api) -> None:
    await api.sign_up()
    code = await reset_code(api)
    assert_rejected(
        await api.post("/auth/password/reset", {"code": code, "password": "short"}), 400, "PASSWORD_TOO_SHORT"
    )
    body = {"code": code, "password": "Another-Horse-8"}
    assert_rejected(await api.post("/auth/password/reset", body), 409, "VERIFICATION_CODE_ALREADY_USED")


async def test_a_reset_tells_nobody_who_exists(api: Api) -> None:
    body = {"email": "nobody@example.com", "callback_url": "https://evil.example/"}
    answer = await api.post("/auth/password/send-reset-code", body)
    assert answer.json() == {"success": "maybe, only if user with e-mail exists"}
    assert not api.emails()
    await api.sign_up("nobody@example.com")
    assert_rejected(await api.post("/auth/password/send-reset-code", body), 400, "REDIRECT_URL_NOT_WHITELISTED")
    api.emulator.configure(credential_enabled=False)
    assert_rejected(await api.post("/auth/password/send-reset-code", body), 400, "PASSWORD_AUTHENTICATION_NOT_ENABLED")
    assert_rejected(
        await api.post("/auth/password/reset", {"code": "a" * 45, "password": PASSWORD}),
        404,
        "VERIFICATION_CODE_NOT_FOUND",
    )


async def verification_code(api: Api, token: str) -> str:
    """Have the primary address' link mailed; return its code."""
    body = {"email": "ada@example.com", "callback_url": CALLBACK}
    answer = await api.post("/contact-channels/send-verification-code", body, token=token)
    assert answer.json() == {"success": True}
    return str(api.emails(kind="email_verification")[0]["code"])


async def test_a_link_verifies_an_address_without_a_session(api: Api) -> None:
    """A mailed link confirms an address without anybody signed in."""
    token = (await api.sign_up())["access_token"]
    code = {"code": await verification_code(api, token)}
    assert (await api.post("/contact-channels/verify/check-code", code)).json() == {"is_code_valid": True}
    assert (await api.post("/contact-channels/verify", code)).json() == {"success": True}
    assert (await api.me(token)).json()["primary_email_verified"] is True
    assert_rejected(await api.post("/contact-channels/verify", code), 409, "VERIFICATION_CODE_ALREADY_USED")
    body = {"email": "ada@example.com", "callback_url": CALLBACK}
    again = await api.post("/contact-channels/send-verification-code", body, token=token)
    assert_rejected(again, 409, "EMAIL_ALREADY_VERIFIED")


async def test_confirming_fails_for_a_channel_that_is_gone_or_changed(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    code = {"code": await verification_code(api, token)}
    [channel] = (await api.get("/contact-channels?user_id=me", token=token)).json()["items"]
    assert (await api.delete(f"/contact-channels/me/{channel['id']}", token=token)).json() == {"success": True}
    answer = await api.post("/contact-channels/verify", code)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")


async def test_the_older_path_confirms_the_own_primary_address(api: Api) -> None:
    """Only the own primary address can be confirmed the older way."""
    token = (await api.sign_up())["access_token"]
    body = {"email": "other@example.com", "callback_url": CALLBACK}
    details = assert_rejected(
        await api.post("/contact-channels/send-verification-code", body, token=token), 400, "EMAIL_IS_NOT_PRIMARY_EMAIL"
    )
    assert details == {"email": "other@example.com", "primary_email": "ada@example.com"}
    assert_rejected(await api.post("/contact-channels/send-verification-code", body), 400, "SCHEMA_ERROR")
    evil = {"email": "ada@example.com", "callback_url": "https://evil.example/"}
    assert_rejected(
        await api.post("/contact-channels/send-verification-code", evil, token=token),
        400,
        "REDIRECT_URL_NOT_WHITELISTED",
    )
