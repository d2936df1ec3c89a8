"""Passwords, end to end: signing up, a forgotten password, changing it."""

import pytest

from tests.routers.callers import EMAIL, ORIGIN, PASSWORD, House, Person, assert_problem

NEW = "another horse battery"
UNKNOWN_CODE = "0" * 45


async def reset_code(house: House, person: Person) -> str:
    """Have a reset mail sent; its code."""
    assert (await person.post("/password/forgot", {"email": EMAIL})).status_code == 204
    return str(house.mail("password_reset")["code"])


# --- signing up ---


async def test_signing_up_sends_a_mail_whose_link_leads_to_this_router(house: House, person: Person):
    await person.sign_up()
    link = house.mail("email_verification")["link"]
    assert link.startswith(f"{ORIGIN}{person.path('/verify-email')}?code=")


async def test_a_guest_who_signs_up_keeps_their_id(person: Person):
    guest = await person.sign_in_at("/anonymous/sign-up")
    assert guest["is_new_user"] is True
    assert await person.sign_up() == guest["user_id"]
    assert (await person.call("GET", "/me")).json()["is_anonymous"] is False


async def test_a_project_that_takes_no_new_accounts_says_so(house: House, person: Person):
    house.server.configure(sign_up_enabled=False)
    answer = await person.post("/password/sign-up", {"email": EMAIL, "password": PASSWORD})
    assert_problem(answer, 400, "SIGN_UP_NOT_ENABLED")


async def test_a_sign_up_rule_may_reject_an_account(house: House, person: Person):
    house.server.configure(sign_up_rules=[{"contains": "ada", "action": "reject"}])
    answer = await person.post("/password/sign-up", {"email": EMAIL, "password": PASSWORD})
    assert_problem(answer, 403, "SIGN_UP_REJECTED")


async def test_a_link_that_the_project_does_not_trust_keeps_nobody_out_but_is_logged(
    house: House, person: Person, caplog: pytest.LogCaptureFixture
):
    house.server.configure(allow_localhost=False)
    await person.sign_up()
    assert house.server.emails() == []
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "does not trust" in error.getMessage()


async def test_asking_for_such_a_mail_oneself_is_told_that_the_set_up_is_at_fault(house: House, person: Person):
    await person.sign_up()
    (channel,) = (await person.call("GET", "/contact-channels")).json()
    house.server.configure(allow_localhost=False)
    answer = await person.post(f"/contact-channels/{channel['id']}/send-verification")
    assert_problem(answer, 502, "auth_server_misconfigured")


async def test_an_account_with_a_second_factor_gets_no_session_for_a_password(house: House, person: Person):
    house.server.seed({"users": [{"primary_email": EMAIL, "password": PASSWORD, "totp_secret_base64": "QUFBQQ=="}]})
    answer = await person.post("/password/sign-in", {"email": EMAIL, "password": PASSWORD})
    document = assert_problem(answer, 403, "mfa_required")
    cookies = {name.rpartition("-")[2] for name in person.client.cookies}
    if person.delivery == "body":
        assert len(document["details"]["attempt"]) == 45
        assert not cookies
    else:
        assert "details" not in document
        assert cookies == {"mfa"}


# --- forgotten ---


async def test_a_forgotten_password_is_replaced_and_every_session_ends(house: House, person: Person):
    await person.sign_up()
    refresh_token = person.refresh_token
    code = await reset_code(house, person)
    assert (await person.post("/password/reset/check", {"code": code})).status_code == 204
    assert (await person.post("/password/reset", {"code": code, "password": NEW})).status_code == 204
    answer = await person.client.post("/api/auth/session/refresh", json={"refresh_token": refresh_token})
    assert_problem(answer, 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    wrong = await person.post("/password/sign-in", {"email": EMAIL, "password": PASSWORD})
    assert_problem(wrong, 400, "EMAIL_PASSWORD_MISMATCH")
    await person.sign_in(password=NEW)


async def test_the_page_behind_the_link_changes_the_password_without_scripts(house: House, person: Person):
    await person.sign_up()
    code = await reset_code(house, person)
    link = house.mail("password_reset")["link"]
    assert link == f"{ORIGIN}{person.path('/password/reset')}?code={code}"
    page = await person.client.get(link)
    assert page.headers["content-type"].startswith("text/html")
    assert 'action="reset"' in page.text
    answer = await person.client.post(person.path("/password/reset"), data={"code": code, "password": NEW})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "has been changed" in answer.text
    assert NEW not in answer.text
    await person.sign_in(password=NEW)


async def test_a_form_that_fails_is_answered_with_a_page_and_a_program_with_a_problem(person: Person):
    fields = {"code": UNKNOWN_CODE, "password": NEW}
    page = await person.client.post(person.path("/password/reset"), data=fields)
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "This code is wrong." in page.text
    assert UNKNOWN_CODE not in page.text
    program = await person.client.post(
        person.path("/password/reset"), data=fields, headers={"accept": "application/json"}
    )
    assert_problem(program, 404, "VERIFICATION_CODE_NOT_FOUND")
    assert_problem(await person.post("/password/reset", fields), 404, "VERIFICATION_CODE_NOT_FOUND")


async def test_an_incomplete_form_is_answered_with_a_page(person: Person):
    page = await person.client.post(person.path("/password/reset"), data={"code": UNKNOWN_CODE})
    assert page.status_code == 422
    assert "Go back and try again" in page.text


@pytest.mark.parametrize("path", ["/password/reset", "/password/reset/check"])
async def test_a_used_an_expired_and_an_exhausted_code_are_told_apart(house: House, person: Person, path: str):
    def body(code: str) -> dict[str, str]:
        return {"code": code} if path.endswith("check") else {"code": code, "password": NEW}

    await person.sign_up()
    used = await reset_code(house, person)
    await person.post("/password/reset", {"code": used, "password": NEW})
    assert_problem(await person.post(path, body(used)), 409, "VERIFICATION_CODE_ALREADY_USED")
    exhausted = await reset_code(house, person)
    for _ in range(20):
        await person.post("/password/reset/check", {"code": exhausted})
    assert_problem(await person.post(path, body(exhausted)), 400, "VERIFICATION_CODE_MAX_ATTEMPTS_REACHED")
    expired = await reset_code(house, person)
    house.server.clock.advance(8 * 24 * 3600)
    assert_problem(await person.post(path, body(expired)), 400, "VERIFICATION_CODE_EXPIRED")
    assert_problem(await person.post(path, body("short")), 422, "request_invalid")


async def test_a_password_that_is_too_short_or_too_long_does_not_use_the_code_up(house: House, person: Person):
    await person.sign_up()
    code = await reset_code(house, person)
    short = await person.post("/password/reset", {"code": code, "password": "seven c"})
    assert assert_problem(short, 400, "PASSWORD_TOO_SHORT")["details"] == {"min_length": 8}
    assert_problem(await person.post("/password/reset", {"code": code, "password": "x" * 71}), 422, "request_invalid")
    assert (await person.post("/password/reset", {"code": code, "password": NEW})).status_code == 204


async def test_forgetting_a_password_is_refused_where_there_are_none(house: House, person: Person):
    house.server.configure(credential_enabled=False)
    answer = await person.post("/password/forgot", {"email": EMAIL})
    assert_problem(answer, 400, "PASSWORD_AUTHENTICATION_NOT_ENABLED")


# --- changing ---


async def test_changing_the_password_ends_the_other_sessions_and_keeps_this_one(house: House, person: Person):
    await person.sign_up()
    async with house.person("body") as elsewhere:
        await elsewhere.sign_in()
        body = {"old_password": PASSWORD, "new_password": NEW}
        if person.delivery == "body":
            body["refresh_token"] = person.refresh_token
        assert (await person.post("/password/update", body)).status_code == 204
        ended = await elsewhere.post("/session/refresh", {"refresh_token": elsewhere.refresh_token})
        assert_problem(ended, 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    kept = await house.stack.client.refresh(person.refresh_token)
    assert kept.access_token
    await person.sign_in(password=NEW)


async def test_an_app_that_names_no_session_loses_them_all(house: House, phone: Person):
    await phone.sign_up()
    answer = await phone.post("/password/update", {"old_password": PASSWORD, "new_password": NEW})
    assert answer.status_code == 204
    ended = await phone.post("/session/refresh", {"refresh_token": phone.refresh_token})
    assert_problem(ended, 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")


async def test_a_wrong_old_password_and_a_new_one_that_does_not_fit_are_refused(house: House, person: Person):
    await person.sign_up()
    wrong = await person.post("/password/update", {"old_password": "not this one", "new_password": NEW})
    assert_problem(wrong, 400, "PASSWORD_CONFIRMATION_MISMATCH")
    short = await person.post("/password/update", {"old_password": PASSWORD, "new_password": "seven c"})
    assert_problem(short, 400, "PASSWORD_TOO_SHORT")
    house.server.configure(credential_enabled=False)
    off = await person.post("/password/update", {"old_password": PASSWORD, "new_password": NEW})
    assert_problem(off, 400, "PASSWORD_AUTHENTICATION_NOT_ENABLED")


async def test_an_account_without_a_password_gets_its_first_and_only_once(house: House, person: Person):
    await person.ask_for_code()
    await person.sign_in_at("/otp/sign-in", person.code_body(house.mail("sign_in")["otp"]))
    update = await person.post("/password/update", {"old_password": PASSWORD, "new_password": NEW})
    assert_problem(update, 400, "USER_DOES_NOT_HAVE_PASSWORD")
    assert_problem(await person.post("/password/set", {"password": "seven c"}), 400, "PASSWORD_TOO_SHORT")
    assert (await person.post("/password/set", {"password": NEW})).status_code == 204
    assert_problem(await person.post("/password/set", {"password": NEW}), 400, "auth_server_rejected")
    await person.sign_in(password=NEW)


@pytest.mark.parametrize(
    ("path", "body"),
    [("/password/set", {"password": NEW}), ("/password/update", {"old_password": PASSWORD, "new_password": NEW})],
)
async def test_only_who_is_signed_in_changes_a_password(person: Person, path: str, body: dict[str, str]):
    assert_problem(await person.post(path, body), 401, "authentication_required")


async def test_a_demanded_bot_challenge_is_told_and_its_outcome_passed_on(house: House, person: Person):
    account = {"email": EMAIL, "password": PASSWORD}
    for path, body in (("/password/sign-up", account), ("/otp/send", {"email": "new@example.com"})):
        asked = await person.post(path, {**body, "bot_challenge_phase": "invisible"})
        assert_problem(asked, 409, "BOT_CHALLENGE_REQUIRED")
        failed = await person.post(path, {**body, "bot_challenge_unavailable": "true"})
        assert_problem(failed, 400, "BOT_CHALLENGE_FAILED")
        solved = {"bot_challenge_phase": "visible", "bot_challenge_token": "mock-turnstile-ok:1"}
        assert (await person.post(path, {**body, **solved})).status_code == 200
