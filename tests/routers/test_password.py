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


async def test_an_untrusted_link_is_logged_and_sign_up_works(
    house: House, person: Person, caplog: pytest.LogCaptureFixture
):
    """A link that the project does not trust keeps nobody out but is logged."""
    house.server.configure(allow_localhost=False)
    await person.sign_up()
    assert house.server.emails() == []
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "does not trust" in error.getMessage()


async def test_requesting_such_an_email_shows_the_setup_error(house: House, person: Person):
    """Asking for such a mail oneself is told that the set up is at fault."""
    await person.sign_up()
    (channel,) = (await person.call("GET", "/contact-channels")).json()
    house.server.configure(allow_localhost=False)
    answer = await person.post(f"/contact-channels/{channel['id']}/send-verification")
    assert_problem(answer, 502, "auth_server_misconfigured")


async def test_a_password_gives_no_session_without_second_factor(house: House, person: Person):
    """An account with a second factor gets no session for a password."""
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


async def test_the_links_page_changes_the_password_without_scripts(house: House, person: Person):
    """The page behind the link changes the password without scripts."""
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


async def test_a_failed_form_gets_a_page_and_a_program_a_problem(person: Person):
    """A form that fails is answered with a page and a program with a problem."""
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


async def test_a_password_of_wrong_length_keeps_the_code(house: House, person: Person):
    """A password that is too short or too long does not use the code up."""
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


async def test_a_password_change_ends_the_other_sessions(house: House, person: Person):
    """Changing the password ends the other sessions and keeps this one."""
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


async def test_a_wrong_old_or_unfit_new_password_is_rejected(house: House, person: Person):
    """A wrong old password and a new one that does not fit are refused."""
    await person.sign_up()
    wrong = await person.post("/password/update", {"old_password": "not this one", "new_password": NEW})
    assert_problem(wrong, 400, "PASSWORD_CONFIRMATION_MISMATCH")
    short = await person.post("/password/update", {"old_password": PASSWORD, "new_password": "seven c"})
    assert_problem(short, 400, "PASSWORD_TOO_SHORT")
    house.server.configure(credential_enabled=False)
    off = await person.post("/password/update", {"old_password": PASSWORD, "new_password": NEW})
    assert_problem(off, 400, "PASSWORD_AUTHENTICATION_NOT_ENABLED")


async def test_an_account_gets_its_first_password_only_once(house: House, person: Person):
    """An account without a password gets its first and only once."""
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


async def test_a_required_bot_challenge_is_reported_and_passed_on(house: House, person: Person):
    """A demanded bot challenge is told and its outcome passed on."""
    account = {"email": EMAIL, "password": PASSWORD}
    for path, body in (("/password/sign-up", account), ("/otp/send", {"email": "new@example.com"})):
        asked = await person.post(path, {**body, "bot_challenge_phase": "invisible"})
        assert_problem(asked, 409, "BOT_CHALLENGE_REQUIRED")
        failed = await person.post(path, {**body, "bot_challenge_unavailable": "true"})
        assert_problem(failed, 400, "BOT_CHALLENGE_FAILED")
        solved = {"bot_challenge_phase": "visible", "bot_challenge_token": "mock-turnstile-ok:1"}
        assert (await person.post(path, {**body, **solved})).status_code == 200
