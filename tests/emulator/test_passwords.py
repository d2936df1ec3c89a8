"""Passwords: signing up, signing in, changing, and every way it fails."""

import asyncio
import contextlib

import pytest

from fastapi_stackauth.emulator import Emulator

from .api import CALLBACK, PASSWORD, Api, assert_rejected


async def test_signing_up_makes_a_user_who_can_sign_in_again(api: Api) -> None:
    signed_up = await api.sign_up()
    assert set(signed_up) == {"access_token", "refresh_token", "user_id"}
    assert len(signed_up["refresh_token"]) == 45
    again = (await api.sign_in()).json()
    assert again["user_id"] == signed_up["user_id"]
    assert again["refresh_token"] != signed_up["refresh_token"]


async def test_the_address_is_stored_and_looked_up_in_lower_case(api: Api) -> None:
    token = (await api.sign_up("Mixed.CASE@Example.com"))["access_token"]
    assert (await api.me(token)).json()["primary_email"] == "mixed.case@example.com"
    assert (await api.sign_in("MIXED.case@example.com")).status_code == 200


async def test_an_address_signs_up_once(api: Api) -> None:
    await api.sign_up()
    body = {"email": "ADA@example.com", "password": PASSWORD}
    details = assert_rejected(await api.post("/auth/password/sign-up", body), 409, "USER_EMAIL_ALREADY_EXISTS")
    assert details == {"email": "ada@example.com", "would_work_if_email_was_verified": False}


@pytest.mark.parametrize("email", ["nope", "a@localhost", "", " pad@example.com ", "a b@example.com", "a.@example.com"])
async def test_what_is_no_address_cannot_sign_up(api: Api, email: str) -> None:
    answer = await api.post("/auth/password/sign-up", {"email": email, "password": PASSWORD})
    assert_rejected(answer, 400, "SCHEMA_ERROR")


async def test_the_length_of_a_password_has_bounds(api: Api) -> None:
    short = await api.post("/auth/password/sign-up", {"email": "a@b.example", "password": "1234567"})
    assert assert_rejected(short, 400, "PASSWORD_TOO_SHORT") == {"min_length": 8}
    assert "1234567" not in short.text
    long = await api.post("/auth/password/sign-up", {"email": "a@b.example", "password": "x" * 71})
    assert_rejected(long, 400, "SCHEMA_ERROR")
    assert (await api.sign_up("min@b.example", "12345678"))["user_id"]
    assert (await api.sign_up("max@b.example", "x" * 70))["user_id"]


@pytest.mark.parametrize(
    ("email", "password"), [("ada@example.com", "wrong"), ("no@example.com", PASSWORD), ("ada@example.com", "")]
)
async def test_a_wrong_password_and_an_unknown_address_look_alike(api: Api, email: str, password: str) -> None:
    await api.sign_up()
    assert_rejected(await api.sign_in(email, password), 400, "EMAIL_PASSWORD_MISMATCH")


async def test_a_switched_off_method_refuses_sign_up_and_sign_in(api: Api) -> None:
    api.emulator.configure(credential_enabled=False)
    assert_rejected(await api.sign_in(), 400, "PASSWORD_AUTHENTICATION_NOT_ENABLED")
    answer = await api.post("/auth/password/sign-up", {"email": "a@b.example", "password": "x"})
    assert_rejected(answer, 400, "PASSWORD_AUTHENTICATION_NOT_ENABLED")


async def test_a_closed_project_takes_no_new_user_but_lets_old_ones_in(api: Api) -> None:
    await api.sign_up()
    api.emulator.configure(sign_up_enabled=False)
    answer = await api.post("/auth/password/sign-up", {"email": "a@b.example", "password": "x"}, access="server")
    assert_rejected(answer, 400, "SIGN_UP_NOT_ENABLED")
    assert (await api.sign_in()).status_code == 200


async def test_a_rule_can_reject_or_restrict_a_sign_up(api: Api) -> None:
    rules = [{"contains": "blocked", "action": "reject"}, {"contains": "suspect", "action": "restrict"}]
    api.emulator.configure(sign_up_rules=rules)
    answer = await api.post("/auth/password/sign-up", {"email": "blocked@b.example", "password": PASSWORD})
    assert_rejected(answer, 403, "SIGN_UP_REJECTED")
    suspect = await api.sign_up("suspect@b.example")
    assert_rejected(await api.me(suspect["access_token"]), 403, "RESTRICTED_USER_NOT_ALLOWED")


async def test_a_verification_mail_is_sent_only_to_a_trusted_callback(api: Api) -> None:
    body = {"email": "ada@example.com", "password": PASSWORD, "verification_callback_url": CALLBACK}
    bad = {**body, "verification_callback_url": "https://evil.example/"}
    assert_rejected(await api.post("/auth/password/sign-up", bad), 400, "REDIRECT_URL_NOT_WHITELISTED")
    assert not api.emails()
    assert (await api.post("/auth/password/sign-up", body)).status_code == 200
    [mail] = api.emails()
    assert (mail["recipient"], mail["kind"]) == ("ada@example.com", "email_verification")
    assert mail["link"] == f"{CALLBACK}?code={mail['code']}"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"bot_challenge_phase": "invisible"}, 409, "BOT_CHALLENGE_REQUIRED"),
        ({"bot_challenge_phase": "visible", "bot_challenge_token": "bad"}, 400, "BOT_CHALLENGE_FAILED"),
        ({"bot_challenge_unavailable": "true"}, 400, "BOT_CHALLENGE_FAILED"),
        ({"bot_challenge_phase": "other"}, 400, "SCHEMA_ERROR"),
    ],
)
async def test_a_bot_challenge_that_was_not_passed_is_refused(
    api: Api, fields: dict[str, str], status: int, code: str
) -> None:
    answer = await api.post("/auth/password/sign-up", {"email": "a@b.example", "password": PASSWORD, **fields})
    assert_rejected(answer, status, code)


async def test_changing_the_password_ends_the_other_sessions(api: Api) -> None:
    first = await api.sign_up()
    second = (await api.sign_in()).json()
    body = {"old_password": PASSWORD, "new_password": "Another-Horse-8"}
    how = {"token": second["access_token"], "refresh_token": second["refresh_token"]}
    assert (await api.post("/auth/password/update", body, **how)).json() == {"success": True}
    assert_rejected(await api.refresh(first["refresh_token"]), 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    assert (await api.refresh(second["refresh_token"])).status_code == 200
    assert_rejected(await api.sign_in(), 400, "EMAIL_PASSWORD_MISMATCH")
    assert (await api.sign_in(password="Another-Horse-8")).status_code == 200


async def test_a_password_change_needs_the_old_one_and_a_user(api: Api) -> None:
    """Changing the password fails with the wrong old one or without a user."""
    token = (await api.sign_up())["access_token"]
    body = {"old_password": "wrong", "new_password": "Another-Horse-8"}
    assert_rejected(await api.post("/auth/password/update", body, token=token), 400, "PASSWORD_CONFIRMATION_MISMATCH")
    details = assert_rejected(await api.post("/auth/password/update", body), 400, "SCHEMA_ERROR")
    assert "auth.user must be defined" in details["message"]
    short = {**body, "new_password": "x"}
    assert_rejected(await api.post("/auth/password/update", short, token=token), 400, "PASSWORD_TOO_SHORT")


async def test_a_password_can_be_set_once(api: Api) -> None:
    signed_up = await api.sign_up()
    api.emulator.store.users.update(signed_up["user_id"], {"password_hash": None})
    how = {"token": signed_up["access_token"]}
    update = {"old_password": PASSWORD, "new_password": PASSWORD}
    assert_rejected(await api.post("/auth/password/update", update, **how), 400, "USER_DOES_NOT_HAVE_PASSWORD")
    assert (await api.post("/auth/password/set", {"password": PASSWORD}, **how)).json() == {"success": True}
    again = await api.post("/auth/password/set", {"password": PASSWORD}, **how)
    assert (again.status_code, again.headers["content-type"]) == (400, "text/plain; charset=utf-8")


async def test_hashes_are_argon2_and_never_leave(api: Api) -> None:
    signed_up = await api.sign_up()
    user = api.emulator.store.users.get(api.emulator.project_id, signed_up["user_id"])
    assert user is not None
    assert user["password_hash"].startswith("$argon2id$")
    assert "argon2" not in (await api.me(signed_up["access_token"])).text


async def test_of_two_first_passwords_at_once_one_is_set(api: Api) -> None:
    signed_up = await api.sign_up()
    api.emulator.store.users.update(signed_up["user_id"], {"password_hash": None})
    how = {"token": signed_up["access_token"]}
    bodies = [{"password": f"{PASSWORD}-{number}"} for number in range(3)]
    answers = await asyncio.gather(*(api.post("/auth/password/set", body, **how) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400]


async def test_of_many_sign_ups_with_one_address_at_once_one_wins(api: Api) -> None:
    body = {"email": "ada@example.com", "password": PASSWORD}
    answers = await asyncio.gather(*(api.post("/auth/password/sign-up", body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert len((await api.get("/users", access="server")).json()["items"]) == 1


async def test_a_user_deleted_while_a_password_is_hashed_is_not_there(api: Api) -> None:
    user_id = (await api.sign_up())["user_id"]
    path = f"/users/{user_id}"
    changed, deleted = await asyncio.gather(
        api.patch(path, {"password": PASSWORD, "primary_email": "new@example.com"}, access="server"),
        api.delete(path, access="server"),
    )
    assert deleted.json() == {"success": True}
    assert_rejected(changed, 404, "USER_NOT_FOUND")


async def test_of_many_changes_with_one_old_password_at_once_one_wins(api: Api) -> None:
    token = (await api.sign_up())["access_token"]
    bodies = [{"old_password": PASSWORD, "new_password": f"{PASSWORD}-{number}"} for number in range(4)]
    answers = await asyncio.gather(*(api.post("/auth/password/update", body, token=token) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]
    for body, answer in zip(bodies, answers, strict=True):
        if answer.status_code == 400:
            assert_rejected(answer, 400, "PASSWORD_CONFIRMATION_MISMATCH")
        assert (await api.sign_in(password=body["new_password"])).status_code == answer.status_code


@pytest.mark.parametrize("path", ["set", "update"])
async def test_a_user_deleted_during_hashing_gets_no_password(api: Api, path: str) -> None:
    """A user deleted while their own password is hashed gets none."""
    signed_up = await api.sign_up()
    body = {"old_password": PASSWORD, "new_password": "Another-Horse-8"}
    if path == "set":
        api.emulator.store.users.update(signed_up["user_id"], {"password_hash": None})
        body = {"password": PASSWORD}
    changed, deleted = await asyncio.gather(
        api.post(f"/auth/password/{path}", body, token=signed_up["access_token"]),
        api.delete(f"/users/{signed_up['user_id']}", access="server"),
    )
    assert deleted.json() == {"success": True}
    assert_rejected(changed, 404, "USER_NOT_FOUND")


async def test_a_reset_code_of_a_deleted_user_resets_nothing(api: Api) -> None:
    user_id = (await api.sign_up())["user_id"]
    await api.post("/auth/password/send-reset-code", {"email": "ada@example.com", "callback_url": CALLBACK})
    await api.delete(f"/users/{user_id}", access="server")
    answer = await api.post("/auth/password/reset", {"code": api.emails()[0]["code"], "password": PASSWORD})
    assert_rejected(answer, 404, "USER_NOT_FOUND")


@pytest.mark.parametrize(("fast_hashes", "cost"), [(False, "m=19456,t=2,p=1"), (True, "m=8,t=1,p=1")])
async def test_only_fast_hashes_are_cheap(cost: str, *, fast_hashes: bool) -> None:
    """An emulator hashes passwords at OWASP's cost, unless the caller asks for fast hashes."""
    with contextlib.closing(Emulator(fast_hashes=fast_hashes)) as server:
        user_id = server.add_user(primary_email="ada@example.com", password=PASSWORD)
        user = server.store.users.get(server.project_id, user_id)
    assert user is not None
    assert cost in user["password_hash"]
