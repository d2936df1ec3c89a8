"""Every way in and out through the pages, without scripts, and what goes wrong most often."""

import base64

import httpx
import pyotp
import pytest

from fastapi_stackauth.emulator import Emulator
from tests.pages.site import EMAIL, ORIGIN, PASSWORD, Site, Visitor
from tests.routers.callers import ACCESS
from tests.routers.flows import SECRET, at_the_provider

SIGN_IN = "/handler/sign-in?return_to=/notes%3Fpage%3D2"


async def test_a_page_of_the_app_leads_to_sign_in_and_back(site: Site, visitor: Visitor):
    """The app has no `sign_in_url`: the pages are where a browser without a session is sent."""
    await visitor.sign_up()
    await visitor.sign_out()
    await visitor.open("/notes?page=2")
    assert visitor.path == "/handler/sign-in"
    await visitor.submit(email=EMAIL, password=PASSWORD)
    assert str(visitor.response.url) == f"{ORIGIN}/notes?page=2"
    assert "notes of" in visitor.response.text


async def test_sign_up_says_that_an_email_was_sent(site: Site, visitor: Visitor):
    page = await visitor.open("/handler/sign-up?return_to=/notes")
    page = await visitor.submit(email=EMAIL, password=PASSWORD)
    assert page.heading == "Verify your email address"
    assert f"We have sent an email to {EMAIL}" in page.text
    link = site.mail("email_verification")["link"]
    assert link.startswith(f"{ORIGIN}/handler/email-verification?code=")
    await visitor.open(link)
    page = await visitor.submit()
    assert "Your email address is verified." in page.text
    await visitor.submit()
    await visitor.open("/notes")
    assert "notes of" in visitor.response.text
    page = await visitor.open(link)
    assert "This code has been used." in (await visitor.submit()).text


async def test_a_wrong_password_is_said_beside_the_field(visitor: Visitor):
    """The address survives, the password does not, and the focus is on the field with the error."""
    await visitor.sign_up()
    await visitor.sign_out()
    await visitor.open(SIGN_IN)
    page = await visitor.submit(email=EMAIL, password="wrong horse battery")
    assert visitor.response.status_code == 400
    assert "wrong horse" not in visitor.response.text
    assert page.find(name="email")["value"] == EMAIL
    field = page.find(name="password")
    assert (field["aria-invalid"], field["aria-describedby"]) == ("true", "password-error")
    assert "autofocus" in field
    assert page.find(id="password-error")
    assert "The email address or the password is wrong." in page.text
    await visitor.submit(password=PASSWORD)
    assert str(visitor.response.url) == f"{ORIGIN}/notes?page=2"


@pytest.mark.parametrize(
    ("typed", "field", "text"),
    [
        ({"email": "ada", "password": PASSWORD}, "email", "Enter an email address"),
        ({"email": EMAIL, "password": "short"}, "password", "at least 8 characters"),
        ({"email": EMAIL, "password": "a" * 71}, "password", "at most 70 characters"),
        ({"email": "", "password": PASSWORD}, "email", "Enter an email address"),
    ],
)
async def test_sign_up_names_the_field_that_is_wrong(visitor: Visitor, typed: dict[str, str], field: str, text: str):
    await visitor.open("/handler/sign-up")
    page = await visitor.submit(**typed)
    assert text in page.text
    assert "autofocus" in page.find(name=field, **{"aria-invalid": "true"})
    assert page.find(name="email")["value"] == typed["email"]
    assert typed["password"] not in visitor.response.text


async def test_an_address_that_has_an_account_is_said(site: Site, visitor: Visitor):
    await visitor.sign_up()
    async with site.visitor() as other:
        await other.sign_up()
        assert "There is an account with this address already." in other.page.text


async def test_a_code_signs_in(site: Site, visitor: Visitor):
    page = await visitor.open(f"{SIGN_IN}&by=code")
    page = await visitor.submit(email=EMAIL)
    assert page.heading == "Check your email"
    assert "we have sent an email with a code" in page.text
    page = await visitor.submit(code="zzzzzz")
    assert "This code is wrong" in page.text
    await visitor.submit(code=site.mail("sign_in")["code"][:6])
    assert str(visitor.response.url) == f"{ORIGIN}/notes?page=2"


async def test_a_link_signs_in_here_and_asks_elsewhere(site: Site, visitor: Visitor):
    """The browser that requested the link is signed in at once; another one shows a button and the masked address."""
    await visitor.open(f"{SIGN_IN}&by=code")
    await visitor.submit(email=EMAIL)
    link = site.mail("sign_in")["link"]
    assert link.startswith(f"{ORIGIN}/handler/magic-link-callback?code=")
    async with site.visitor() as elsewhere:
        page = await elsewhere.open(link)
        assert "a***@example.com" in page.text
        assert ACCESS not in elsewhere.client.cookies
        await elsewhere.submit()
        assert elsewhere.client.cookies[ACCESS]
    await visitor.open(link)
    assert visitor.path == "/handler/magic-link-callback"
    assert "This code has been used." in visitor.page.text
    await visitor.open(f"{SIGN_IN}&by=code&prompt=login")
    await visitor.submit(email=EMAIL)
    await visitor.open(site.mail("sign_in")["link"])
    assert str(visitor.response.url) == f"{ORIGIN}/notes?page=2"


async def test_a_provider_signs_in_and_its_error_is_a_page(site: Site, visitor: Visitor):
    page = await visitor.open(SIGN_IN)
    start = next(link for link in page.links() if "/oauth/github/authorize" in link)
    at_provider = (await visitor.client.get(start)).headers["location"]
    async with httpx.AsyncClient() as internet:
        back = await at_the_provider(internet, at_provider, answer="deny")
        page = await visitor.open(back, **{"sec-fetch-site": "cross-site"})
        assert page.heading == "Sign-in failed"
        assert "You canceled the sign-in" in page.text
        assert page.links() == [SIGN_IN.replace("/notes", "%2Fnotes")]
        at_provider = (await visitor.client.get(start)).headers["location"]
        await visitor.open(await at_the_provider(internet, at_provider), **{"sec-fetch-site": "cross-site"})
    assert str(visitor.response.url) == f"{ORIGIN}/notes?page=2"


def add_user_with_mfa(site: Site) -> pyotp.TOTP:
    """Make an account with a verified address, a password and a second factor."""
    user_id = site.server.add_user(primary_email=EMAIL, primary_email_verified=True, password=PASSWORD)
    key = base64.b64encode(base64.b32decode(SECRET)).decode()
    site.server.store.users.update(user_id, {"totp_secret": key, "requires_totp_mfa": 1})
    return pyotp.TOTP(SECRET)


async def test_a_second_factor_is_asked_for(site: Site, visitor: Visitor):
    """After a password; with a wrong code first."""
    totp = add_user_with_mfa(site)
    await visitor.open(SIGN_IN)
    page = await visitor.submit(email=EMAIL, password=PASSWORD)
    assert page.heading == "Two-factor authentication"
    page = await visitor.submit(code="000000")
    assert "This code is wrong. Codes change every 30 seconds" in page.text
    assert "autofocus" in page.find(name="code")
    await visitor.submit(code=totp.at(int(site.server.clock.now())))
    assert str(visitor.response.url) == f"{ORIGIN}/notes?page=2"


async def test_a_link_and_a_provider_ask_for_it_too(site: Site, visitor: Visitor):
    """Both come back to a page that leads to the second factor, and then to the app."""
    totp = add_user_with_mfa(site)
    await visitor.open(f"{SIGN_IN}&by=code")
    await visitor.submit(email=EMAIL)
    page = await visitor.open(site.mail("sign_in")["link"])
    assert page.heading == "Two-factor authentication"
    start = next(link for link in (await visitor.open(SIGN_IN)).links() if "/oauth/github/authorize" in link)
    at_provider = (await visitor.client.get(start)).headers["location"]
    async with httpx.AsyncClient() as internet:
        await visitor.open(await at_the_provider(internet, at_provider), **{"sec-fetch-site": "cross-site"})
    assert visitor.page.heading == "Two-factor authentication"
    await visitor.submit(code=totp.at(int(site.server.clock.now())))
    assert str(visitor.response.url) == f"{ORIGIN}/notes?page=2"


async def test_a_second_factor_without_a_sign_in_starts_again(visitor: Visitor):
    page = await visitor.open("/handler/mfa?return_to=/notes")
    page = await visitor.submit(code="000000")
    assert "Sign in again." in page.text
    assert page.links() == ["/handler/sign-in?return_to=%2Fnotes&prompt=login"]


async def test_prompt_login_signs_in_again(visitor: Visitor):
    """A signed-in user sees who they are, and may continue or switch; `prompt=login` asks for the password."""
    await visitor.sign_up()
    page = await visitor.open(SIGN_IN)
    assert page.heading == "You are signed in"
    assert "/notes?page=2" in page.links()
    page = await visitor.open(f"{SIGN_IN}&prompt=login")
    assert page.find(name="email")["value"] == EMAIL
    assert "Sign in again to continue." in page.text
    page = await visitor.submit(password="wrong horse battery")
    assert "The email address or the password is wrong." in page.text
    await visitor.submit(password=PASSWORD)
    assert str(visitor.response.url) == f"{ORIGIN}/notes?page=2"


async def test_another_account_can_be_used(visitor: Visitor):
    await visitor.sign_up()
    await visitor.open(SIGN_IN)
    page = await visitor.submit()
    assert page.heading == "Sign in"
    assert ACCESS not in visitor.client.cookies
    await visitor.submit(email=EMAIL, password=PASSWORD)
    assert str(visitor.response.url) == f"{ORIGIN}/notes?page=2"


async def test_a_forgotten_password_is_replaced_once(site: Site, visitor: Visitor):
    await visitor.sign_up()
    await visitor.sign_out()
    await visitor.open("/handler/forgot-password")
    page = await visitor.submit(email=EMAIL)
    assert "If there is an account with this address" in page.text
    unknown = page.text
    await visitor.open("/handler/forgot-password")
    assert (await visitor.submit(email="nobody@example.com")).text == unknown
    link = site.mail("password_reset")["link"]
    assert link.startswith(f"{ORIGIN}/handler/password-reset?code=")
    await visitor.open(link)
    page = await visitor.submit(password="short")
    assert "at least 8 characters" in page.text
    page = await visitor.submit(password="another horse battery")
    assert "Your password has been changed." in page.text
    await visitor.submit(email=EMAIL, password="another horse battery")
    assert visitor.client.cookies[ACCESS]
    await visitor.open(link)
    page = await visitor.submit(password="a third horse battery")
    assert "This code has been used." in page.text
    assert "/handler/forgot-password" in page.links()


async def test_sign_out_needs_a_button(visitor: Visitor):
    await visitor.sign_up()
    page = await visitor.open("/handler/sign-out")
    assert EMAIL in page.text
    assert visitor.client.cookies[ACCESS]
    page = await visitor.submit()
    assert "You are signed out." in page.text
    assert ACCESS not in visitor.client.cookies


async def test_sign_out_warns_a_guest(site: Site, visitor: Visitor):
    """An anonymous user loses everything with the session; the page shows no id as a name."""
    site.app.include_router(site.stack.router(), prefix="/auth")
    user = (await visitor.client.post("/auth/anonymous/sign-up")).json()["user_id"]
    page = await visitor.open("/handler/sign-out")
    assert "Sign up to keep what you have done." in page.text
    assert "/handler/sign-up" in page.links()
    assert user not in page.text


async def test_only_what_the_project_has_enabled_appears(server: Emulator):
    server.configure(credential_enabled=False, magic_link_enabled=True, passkey_enabled=False, sign_up_enabled=False)
    site = Site(server)
    async with site.visitor() as visitor:
        page = await visitor.open("/handler/sign-in")
        assert [form["action"] for form in page.forms] == ["/handler/sign-in/send?by=code"]
        assert "passkey" not in page.text
        assert "Sign up" not in page.text
        page = await visitor.open("/handler/sign-up")
        assert page.forms == []
        assert "no new accounts" in page.text
    await site.stack.aclose()


async def test_during_an_outage_the_page_says_so(site: Site, visitor: Visitor):
    await visitor.open(SIGN_IN)
    fault = {"path": "/api/v1/auth/password/sign-in", "status": 503, "for_seconds": 300}
    async with httpx.AsyncClient(base_url=site.server.url) as control:
        (await control.post("/emulator/faults", json=fault)).raise_for_status()
    page = await visitor.submit(email=EMAIL, password=PASSWORD)
    assert visitor.response.status_code == 503
    assert "Sign-in is not available right now." in page.text
    assert page.find(name="email")["value"] == EMAIL
