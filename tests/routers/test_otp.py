"""Codes and links in mails, end to end: typed, opened in the browser that asked, opened elsewhere."""

from collections.abc import Callable

import httpx
import pytest

from fastapi_stackauth.emulator import Emulator
from tests.routers.callers import ACCESS, EMAIL, ORIGIN, OTP, House, Person, assert_problem, new_stack

# --- typed ---


@pytest.mark.parametrize("written", [str.upper, str.lower])
async def test_six_characters_sign_in_or_create_an_account(house: House, person: Person, written: Callable[[str], str]):
    """Six characters sign in and make an account where there is none."""
    await person.ask_for_code()
    body = person.code_body(written(house.mail("sign_in")["otp"]))
    assert len(body["code"]) == 6
    assert (await person.post("/otp/check", body)).status_code == 204
    given = await person.sign_in_at("/otp/sign-in", body)
    assert given["is_new_user"] is True
    account = (await person.call("GET", "/me")).json()
    assert (account["id"], account["primary_email"]) == (given["user_id"], EMAIL)
    assert account["primary_email_verified"] is True
    await person.ask_for_code()
    again = await person.sign_in_at("/otp/sign-in", person.code_body(house.mail("sign_in")["otp"]))
    assert (again["user_id"], again["is_new_user"]) == (given["user_id"], False)


async def test_a_browser_keeps_the_nonce_where_no_script_reads_it(browser: Person):
    answer = await browser.post("/otp/send", {"email": EMAIL})
    assert set(answer.json()) == {"expires_in"}
    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie.startswith(f"{OTP}=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


async def test_an_app_is_given_the_nonce_and_no_cookie(phone: Person):
    answer = await phone.post("/otp/send", {"email": EMAIL})
    assert len(answer.json()["nonce"]) == 39
    assert "set-cookie" not in answer.headers


async def test_the_whole_code_of_a_link_signs_in_too(house: House, person: Person):
    await person.ask_for_code()
    await person.sign_in_at("/otp/sign-in", {"code": house.mail("sign_in")["code"]})


async def test_a_guest_who_signs_up_by_code_keeps_their_id(house: House, person: Person):
    guest = await person.sign_in_at("/anonymous/sign-up")
    await person.ask_for_code()
    given = await person.sign_in_at("/otp/sign-in", person.code_body(house.mail("sign_in")["otp"]))
    assert given["user_id"] == guest["user_id"]


@pytest.mark.parametrize("path", ["/otp/sign-in", "/otp/check"])
async def test_missing_wrong_and_expired_codes_are_rejected(house: House, person: Person, path: str):
    """A code without its nonce a wrong and an expired one are refused."""
    assert_problem(await person.post(path, {"code": "ABC123"}), 404, "VERIFICATION_CODE_NOT_FOUND")
    await person.ask_for_code()
    right = house.mail("sign_in")["otp"]
    wrong = "000000" if right != "000000" else "111111"
    assert_problem(await person.post(path, person.code_body(wrong)), 404, "VERIFICATION_CODE_NOT_FOUND")
    assert_problem(await person.post(path, person.code_body("sevenxx")), 422, "request_invalid")
    house.server.clock.advance(8 * 24 * 3600)
    assert_problem(await person.post(path, {"code": house.mail("sign_in")["code"]}), 400, "VERIFICATION_CODE_EXPIRED")


@pytest.mark.parametrize("path", ["/otp/sign-in", "/otp/check"])
async def test_a_used_and_an_exhausted_code_are_refused(house: House, person: Person, path: str):
    await person.ask_for_code()
    used = person.code_body(house.mail("sign_in")["otp"])
    whole = {"code": house.mail("sign_in")["code"]}
    await person.sign_in_at("/otp/sign-in", used)
    assert_problem(await person.post(path, whole), 409, "VERIFICATION_CODE_ALREADY_USED")
    await person.ask_for_code()
    fresh = person.code_body(house.mail("sign_in")["otp"])
    for _ in range(20):
        await person.post("/otp/check", fresh)
    assert_problem(await person.post(path, fresh), 400, "VERIFICATION_CODE_MAX_ATTEMPTS_REACHED")


@pytest.mark.parametrize("code", ["", "12345", "a b c d", "ünïcød", "x" * 46, 123456, None])
async def test_what_cannot_be_a_code_is_refused_and_not_repeated(person: Person, code: object):
    answer = await person.post("/otp/sign-in", {"code": code})
    assert_problem(answer, 422, "request_invalid")
    assert not (isinstance(code, str) and code and code in answer.text)


async def test_a_code_gives_no_session_without_the_second_factor(house: House, person: Person):
    """An account with a second factor gets no session for a code."""
    user = {"primary_email": EMAIL, "primary_email_verified": True, "totp_secret_base64": "QUFBQQ=="}
    house.server.seed({"users": [user]})
    await person.ask_for_code()
    answer = await person.post("/otp/sign-in", person.code_body(house.mail("sign_in")["otp"]))
    document = assert_problem(answer, 403, "mfa_required")
    assert ("details" in document) is (person.delivery == "body")
    assert ACCESS not in person.client.cookies


async def test_what_forbids_an_account_is_shown_to_its_owner(house: House, person: Person):
    """What forbids an account is told to who proved the address."""
    await person.ask_for_code()
    house.server.configure(sign_up_enabled=False)
    body = person.code_body(house.mail("sign_in")["otp"])
    assert_problem(await person.post("/otp/sign-in", body), 400, "SIGN_UP_NOT_ENABLED")
    house.server.configure(sign_up_enabled=True)
    await person.ask_for_code()
    house.server.configure(sign_up_rules=[{"contains": "ada", "action": "reject"}])
    body = person.code_body(house.mail("sign_in")["otp"])
    assert_problem(await person.post("/otp/sign-in", body), 403, "SIGN_UP_REJECTED")


async def test_an_address_taken_meanwhile_is_shown_to_its_owner(house: House, person: Person):
    """An address that was taken meanwhile is told to who proved it."""
    await person.ask_for_code()
    body = person.code_body(house.mail("sign_in")["otp"])
    async with house.person("body") as other:
        await other.sign_up()
    assert_problem(await person.post("/otp/sign-in", body), 409, "USER_EMAIL_ALREADY_EXISTS")


async def test_a_project_without_codes_says_so(house: House, person: Person):
    house.server.configure(magic_link_enabled=False)
    assert_problem(await person.post("/otp/send", {"email": EMAIL}), 403, "auth_server_rejected")


async def test_what_is_no_address_is_refused(person: Person):
    assert_problem(await person.post("/otp/send", {"email": "not an address"}), 422, "request_invalid")


# --- opened ---


async def test_the_link_signs_in_at_once_in_the_browser_that_asked(house: House, browser: Person):
    await browser.ask_for_code(return_to="/notes?page=2#top")
    link = house.mail("sign_in")["link"]
    assert link.startswith(f"{ORIGIN}/auth/magic-link/callback?code=")
    answer = await browser.client.get(link, headers={"origin": ""})
    assert (answer.status_code, answer.headers["location"]) == (303, "/notes?page=2#top")
    assert answer.headers["cache-control"] == "no-store"
    assert OTP not in browser.client.cookies
    assert (await browser.call("GET", "/me")).json()["primary_email"] == EMAIL


async def test_without_return_to_the_link_follows_settings(house: House, browser: Person):
    """Without a place to return to the link leads where the settings say."""
    await browser.ask_for_code()
    answer = await browser.client.get(house.mail("sign_in")["link"])
    assert answer.headers["location"] == "/"


async def test_elsewhere_a_link_needs_the_button(house: House, browser: Person):
    """Elsewhere the link signs nobody in until a button is pressed."""
    await browser.ask_for_code(return_to="/notes")
    link = house.mail("sign_in")["link"]
    async with house.person("cookie") as elsewhere:
        for _ in range(2):
            page = await elsewhere.client.get(link)
            assert page.status_code == 200
            assert "set-cookie" not in page.headers
            assert '<form method="post" action="callback">' in page.text
        code = house.mail("sign_in")["code"]
        answer = await elsewhere.client.post(elsewhere.path("/magic-link/callback"), data={"code": code})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert (await elsewhere.call("GET", "/me")).json()["primary_email"] == EMAIL


async def test_another_emails_nonce_makes_no_link_sign_in(house: House, browser: Person):
    """The nonce of another mail does not make a link sign in at once."""
    await browser.ask_for_code("eve@example.com")
    async with house.person("cookie") as victim:
        await victim.ask_for_code()
    page = await browser.client.get(house.mail("sign_in")["link"])
    assert page.status_code == 200
    assert ACCESS not in browser.client.cookies


async def test_a_link_that_no_longer_holds_is_a_page_that_says_so(house: House, browser: Person):
    await browser.ask_for_code()
    link = house.mail("sign_in")["link"]
    house.server.clock.advance(8 * 24 * 3600)
    page = await browser.client.get(link)
    assert page.status_code == 400
    assert page.headers["content-type"].startswith("text/html")
    assert "has expired" in page.text
    pressed = await browser.client.post(browser.path("/magic-link/callback"), data={"code": "0" * 45})
    assert pressed.status_code == 404
    assert "This code is wrong." in pressed.text


async def test_a_link_to_a_two_factor_account_is_a_page(house: House, browser: Person):
    """A link to an account with a second factor is a page that says so."""
    user = {"primary_email": EMAIL, "primary_email_verified": True, "totp_secret_base64": "QUFBQQ=="}
    house.server.seed({"users": [user]})
    await browser.ask_for_code()
    page = await browser.client.get(house.mail("sign_in")["link"])
    assert page.status_code == 403
    assert "authenticator app" in page.text
    assert ACCESS not in browser.client.cookies


async def test_in_body_delivery_a_link_leads_to_the_app(house: House, phone: Person):
    """Where tokens travel in bodies a link leads back to the app."""
    await phone.ask_for_code()
    page = await phone.client.get(house.mail("sign_in")["link"])
    assert page.status_code == 200
    assert "Go back to the app" in page.text
    assert "<form" not in page.text
    await phone.sign_in_at("/otp/sign-in", phone.code_body(house.mail("sign_in")["otp"]))


async def test_a_link_opened_as_a_guest_keeps_their_id(house: House, browser: Person):
    guest = await browser.sign_in_at("/anonymous/sign-up")
    await browser.ask_for_code()
    await browser.client.get(house.mail("sign_in")["link"])
    account = (await browser.call("GET", "/me")).json()
    assert (account["id"], account["is_anonymous"]) == (guest["user_id"], False)


async def test_over_https_no_sibling_host_can_plant_the_nonce(server: Emulator):
    """Over https the nonce rides in a cookie that no sibling host can plant."""
    origin = "https://app.example.com"
    server.configure(domains=[{"domain": origin}])
    stack = new_stack(server, app_url=origin, insecure_cookies=False)
    async with House(server, stack).person("cookie") as person:
        person.client.base_url, person.client.headers["origin"] = httpx.URL(origin), origin
        answer = await person.post("/otp/send", {"email": EMAIL})
        (cookie,) = answer.headers.get_list("set-cookie")
        assert cookie.startswith("__Host-stackauth-otp=")
        assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
        (mail,) = server.emails(EMAIL)
        opened = await person.client.get(mail["link"])
        assert (opened.status_code, opened.headers["location"]) == (303, "/")
        assert (await person.call("GET", "/me")).json()["primary_email"] == EMAIL
    await stack.aclose()
