"""HTML forms that post to the cookie router: what a page without scripts can do, and how it hears of failures."""

import base64
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
from fastapi import Depends

from fastapi_stackauth import TotpEnrollment, totp_enrollment
from tests.routers.callers import ACCESS, EMAIL, ORIGIN, PASSWORD, House, Person, assert_problem
from tests.routers.flows import FORM, submit
from tests.support.openapi import inline_references

CREDENTIALS = {"email": EMAIL, "password": PASSWORD}


def assert_leads(answer: httpx.Response, address: str) -> None:
    assert (answer.status_code, answer.headers["location"]) == (303, address)
    assert answer.headers["cache-control"] == "no-store"


async def test_a_form_signs_up_out_and_in_and_leads_on(browser: Person):
    assert_leads(await submit(browser, "/password/sign-up", CREDENTIALS), "/notes")
    assert (await browser.call("GET", "/me")).json()["primary_email"] == EMAIL
    assert_leads(await submit(browser, "/sign-out"), "/notes")
    assert ACCESS not in browser.client.cookies
    assert_leads(await submit(browser, "/password/sign-in", CREDENTIALS), "/notes")
    assert browser.client.cookies[ACCESS]


async def test_a_failed_form_returns_with_its_error_and_values(browser: Person):
    """A failure is told where the form says and keeps what stood there."""
    await browser.sign_up()
    wrong = await submit(browser, "/password/sign-in", {**CREDENTIALS, "password": "wrong horse battery"})
    assert_leads(wrong, "/sign-in?return_to=%2Fnotes&error=EMAIL_PASSWORD_MISMATCH")
    empty = await submit(browser, "/password/sign-in", {"email": EMAIL, "password": ""})
    assert_leads(empty, "/sign-in?return_to=%2Fnotes&error=request_invalid")
    assert_leads(
        await submit(browser, "/password/sign-in", {**CREDENTIALS, "password": "wrong"}, "?on_success=/here"),
        "/here?error=EMAIL_PASSWORD_MISMATCH",
    )


async def test_a_form_after_a_key_rotation_may_be_sent_again(house: House, browser: Person):
    """The auth server refuses a token that this worker still accepts."""
    await browser.sign_up()
    await browser.call("GET", "/me")
    house.server.store.projects.rotate_keys()
    fields = {"old_password": PASSWORD, "new_password": "another horse battery"}
    first = await submit(browser, "/password/update", fields)
    assert_leads(first, "/sign-in?return_to=%2Fnotes&error=verification_unavailable")
    assert_leads(await submit(browser, "/password/update", fields), "/notes")


async def test_a_second_factor_is_asked_for_where_errors_are_told(house: House, browser: Person):
    await browser.sign_up()
    enrolled = (await browser.post("/mfa/enroll")).json()["secret"]
    assert (await browser.post("/mfa/confirm", {"code": pyotp.TOTP(enrolled).now()})).status_code == 204
    await submit(browser, "/sign-out")
    answer = await submit(browser, "/password/sign-in", CREDENTIALS)
    assert_leads(answer, "/sign-in?return_to=%2Fnotes&mfa=required")
    assert_leads(await submit(browser, "/mfa/sign-in", {"code": pyotp.TOTP(enrolled).now()}), "/notes")
    assert browser.client.cookies[ACCESS]


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "", "notes"])
@pytest.mark.parametrize("name", ["on_success", "on_error"])
async def test_a_form_leads_nowhere_else(browser: Person, name: str, place: str):
    other = "on_error" if name == "on_success" else "on_success"
    query = "?" + str(httpx.QueryParams({name: place, other: "/notes"}))
    document = assert_problem(await submit(browser, "/password/sign-up", CREDENTIALS, query), 422, "request_invalid")
    assert f"query.{name}" in str(document)
    assert "evil" not in str(document)
    assert ACCESS not in browser.client.cookies


async def test_a_form_of_another_site_is_refused(browser: Person):
    browser.client.headers["origin"] = "https://evil.example"
    answer = await submit(browser, "/password/sign-up", CREDENTIALS, "?on_success=/notes")
    assert_leads(answer, "/notes?error=cross_site_request")
    assert ACCESS not in browser.client.cookies


async def test_a_form_that_names_no_place_is_answered_as_before(browser: Person):
    assert_problem(await submit(browser, "/password/sign-up", CREDENTIALS, ""), 400, "request_invalid")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\ncontent-disposition: form-data; name="email"; filename="a"\r\n\r\nx\r\n--x--',
        ),
        (
            "multipart/form-data; boundary=x; charset=undefined",
            b'--x\r\ncontent-disposition: form-data; name="email"\r\n\r\nx\r\n--x--\r\n',
        ),
        ("application/x-www-form-urlencoded", b"email=%ff%00&pass%00word=%00"),
        ("application/x-www-form-urlencoded", b"\xff=\xff&email&&==&=password"),
    ],
)
async def test_a_form_that_is_none_is_told_like_any_failure(browser: Person, kind: str, content: bytes):
    answer = await browser.client.post(
        browser.path("/password/sign-up") + FORM, content=content, headers={"content-type": kind}
    )
    assert_leads(answer, "/sign-in?return_to=%2Fnotes&error=request_invalid")


async def test_in_body_delivery_forms_lead_nowhere(phone: Person):
    assert_problem(await submit(phone, "/password/sign-up", CREDENTIALS), 400, "request_invalid")


async def test_forms_change_and_delete_at_paths_that_say_so(house: House, browser: Person):
    await browser.sign_up()
    assert_leads(await submit(browser, "/me/patch", {"display_name": "Ada"}), "/notes")
    assert (await browser.call("GET", "/me")).json()["display_name"] == "Ada"
    async with house.person("cookie") as elsewhere:
        await elsewhere.sign_in()
        (other,) = [s["id"] for s in (await browser.call("GET", "/sessions")).json() if not s["is_current_session"]]
        assert_leads(await submit(browser, f"/sessions/{other}/delete"), "/notes")
        assert (await elsewhere.call("GET", "/me")).status_code == 401
    added = await submit(browser, "/contact-channels", {"value": "ada@example.org", "used_for_auth": "on"})
    assert_leads(added, "/notes")
    channels = (await browser.call("GET", "/contact-channels")).json()
    (channel,) = [each for each in channels if each["value"] == "ada@example.org"]
    assert channel["used_for_auth"] is True
    assert_leads(await submit(browser, f"/contact-channels/{channel['id']}/delete"), "/notes")
    assert_leads(await submit(browser, "/me/delete"), "/notes")
    assert (await browser.call("GET", "/me")).status_code == 401


async def test_an_unchecked_box_is_false_and_an_empty_field_null(browser: Person):
    """A box that is not ticked is false and an empty field is null; a select has words for both."""
    await browser.sign_up()
    for number, (word, value) in enumerate((("true", True), ("false", False), ("0", False), ("", False))):
        address = f"ada-{number}@example.org"
        await submit(browser, "/contact-channels", {"value": address, "used_for_auth": word})
        channels = (await browser.call("GET", "/contact-channels")).json()
        (channel,) = [each for each in channels if each["value"] == address]
        assert channel["used_for_auth"] is value, word
        await submit(browser, f"/contact-channels/{channel['id']}/delete")
    await submit(browser, "/contact-channels", {"value": "ada@example.org"})
    channels = (await browser.call("GET", "/contact-channels")).json()
    assert [each["used_for_auth"] for each in channels] == [True, False]
    await submit(browser, "/me/patch", {"display_name": "Ada"})
    await submit(browser, "/me/patch", {"display_name": ""})
    assert (await browser.call("GET", "/me")).json()["display_name"] is None


def test_what_a_form_may_get_is_documented_as_a_page(house: House):
    """Each error of a route that takes forms without `on_success`, those of its dependencies included."""
    forms = 0
    for path, methods in inline_references(house.app.openapi())["paths"].items():
        for operation in methods.values():
            accepted = operation.get("requestBody", {}).get("content", {})
            errors = {status: answer["content"] for status, answer in operation["responses"].items() if status >= "4"}
            if not {"application/json", "application/x-www-form-urlencoded"} <= set(accepted):
                continue  # such as the routes for OAuth clients, whose forms no browser sends
            forms += 1
            assert [status for status, content in errors.items() if "text/html" not in content] == [], path
    assert forms > 10


async def test_routes_that_have_pages_of_their_own_lead_on_as_well(house: House, browser: Person):
    await browser.sign_up()
    await submit(browser, "/password/forgot", {"email": EMAIL})
    code = parse_qs(urlsplit(house.mail("password_reset")["link"]).query)["code"][0]
    wrong = await submit(browser, "/password/reset", {"code": "0" * 45, "password": PASSWORD})
    assert_leads(wrong, "/sign-in?return_to=%2Fnotes&error=VERIFICATION_CODE_NOT_FOUND")
    assert_leads(await submit(browser, "/password/reset", {"code": code, "password": PASSWORD + "!"}), "/notes")


async def test_a_link_leads_to_the_page_for_the_second_factor(house: House, browser: Person):
    """A link in a mail leads where a second factor can be given."""
    secret = pyotp.random_base32(32)
    in_base64 = base64.b64encode(base64.b32decode(secret)).decode()
    user = {"primary_email": EMAIL, "primary_email_verified": True, "totp_secret_base64": in_base64}
    house.server.seed({"users": [user]})
    await browser.ask_for_code(return_to="/sign-in?return_to=/notes")
    answer = await browser.client.get(house.mail("sign_in")["link"])
    assert_leads(answer, "/sign-in?return_to=%2Fnotes&mfa=required")
    assert_leads(await submit(browser, "/mfa/sign-in", {"code": pyotp.TOTP(secret).now()}), "/notes")


async def test_a_page_of_the_app_shows_what_an_authenticator_needs(house: House):
    own = House(house.server, house.stack)

    @own.app.get("/two-factor")
    async def page(enrolment: Annotated[TotpEnrollment, Depends(totp_enrollment)]) -> str:
        return enrolment.uri

    async with own.person("cookie") as browser:
        await browser.sign_up()
        first, again = [(await browser.client.get(f"{ORIGIN}/two-factor")).json() for _ in range(2)]
        assert first == again, "a page that is shown again after a wrong code shows the same secret"
        wrong = await submit(browser, "/mfa/confirm", {"code": "000000"}, "?on_success=/account&on_error=/two-factor")
        assert_leads(wrong, "/two-factor?error=INVALID_TOTP_CODE")
        totp = pyotp.parse_uri(first)
        assert isinstance(totp, pyotp.TOTP)
        code = totp.now()
        assert_leads(await submit(browser, "/mfa/confirm", {"code": code}), "/notes")
        assert (await browser.call("GET", "/me")).json()["requires_totp_mfa"] is True
