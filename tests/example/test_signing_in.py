"""Every way into the app in a real browser, each with what goes wrong most often."""

from typing import Any

import httpx
import pyotp
import pytest
from playwright.async_api import expect

from example_app.samples import PASSWORD
from tests.example.visitors import Demo, Visitor, new_address

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs("secret_key", "password")]
needs = pytest.mark.needs
ACCOUNT = "/handler/account-settings"


async def test_with_a_password_one_signs_up_and_out_and_in(visitor: Visitor):
    email = new_address()
    await visitor.open("/")
    await visitor.follow("Sign up")
    await visitor.sign_up(email)
    await visitor.is_at("/notes")
    await visitor.open("/")
    await visitor.title(f"Hello, {email}!")
    await visitor.sign_out()
    await visitor.sign_in(email, "wrong horse battery")
    await visitor.sees("The email address or the password is wrong.")
    await expect(visitor.page.get_by_label("Email address")).to_have_value(email)
    await visitor.fill(Password=PASSWORD)
    await visitor.press("Sign in")
    await visitor.is_at("/notes")


async def test_an_address_that_is_taken_is_said(visitor: Visitor, demo: Demo):
    email = demo.new_person()
    await visitor.open("/handler/sign-up")
    await visitor.fill(Email_address=email, Password=PASSWORD)
    await visitor.press("Sign up")
    await visitor.sees("There is an account with this address already.")


async def ask_for_code(visitor: Visitor, email: str) -> None:
    await visitor.open(f"/handler/sign-in?by=code&return_to={ACCOUNT}")
    await visitor.fill(Email_address=email)
    await visitor.press("Email me a code")
    await visitor.title("Check your email")


@needs("mail", "magic_link")
async def test_with_a_code_from_a_mail(visitor: Visitor, demo: Demo):
    email = new_address()
    await ask_for_code(visitor, email)
    await visitor.fill(Code="zzzzzz")
    await visitor.press("Sign in")
    await visitor.sees("This code is wrong")
    await visitor.fill(Code=demo.mail(email, "sign_in")["code"][:6])
    await visitor.press("Sign in")
    await visitor.is_at(ACCOUNT)
    await visitor.sees(email)


@needs("mail", "magic_link")
async def test_a_link_works_at_once_here_and_by_button_elsewhere(visit: Any, demo: Demo):
    """With the link of a mail here at once and elsewhere after a click."""
    here, elsewhere = await visit(), await visit()
    email = new_address()
    await ask_for_code(here, email)
    await here.open(demo.mail(email, "sign_in")["link"])
    await here.is_at(ACCOUNT)
    await here.sign_out()
    await ask_for_code(here, other := new_address())
    await elsewhere.open(demo.mail(other, "sign_in")["link"])
    await elsewhere.press("Sign in")
    await elsewhere.is_at("/notes")


@needs("emulator")
async def test_at_a_provider_and_back_also_with_a_refusal(visitor: Visitor):
    email = new_address()
    await visitor.open("/handler/sign-in")
    await visitor.follow("Continue with GitHub")
    await visitor.press("Deny")
    await visitor.title("Sign-in failed")
    await visitor.follow("Back to sign-in")
    await visitor.follow("Continue with GitHub")
    await visitor.page.get_by_label("Email address").fill(email)
    await visitor.press("Sign in")
    await visitor.is_at("/notes")
    await visitor.open(
        f"/handler/sign-in?return_to={ACCOUNT}&prompt=login"
    )  # as for an action that needs a recent sign-in
    await visitor.follow("Continue with GitHub")
    await visitor.page.get_by_label("Email address").fill(email)
    await visitor.press("Sign in")
    await visitor.is_at(ACCOUNT)


@needs("passkey")
async def test_with_a_passkey_and_not_without_the_persons_gesture(visitor: Visitor, demo: Demo):
    cdp = await visitor.context.new_cdp_session(visitor.page)
    await cdp.send("WebAuthn.enable")
    added = await cdp.send(
        "WebAuthn.addVirtualAuthenticator",
        {"options": {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
                     "isUserVerified": True, "automaticPresenceSimulation": True}},
    )  # fmt: skip
    verified = {"authenticatorId": added["authenticatorId"]}
    email = demo.new_person()
    await visitor.signs_in(email)
    await visitor.open(ACCOUNT)
    await visitor.press("Add a passkey")
    await visitor.sees("The passkey has been added.")
    await visitor.sign_out()
    await cdp.send("WebAuthn.setAutomaticPresenceSimulation", {**verified, "enabled": False})
    await visitor.open("/handler/sign-in")
    await cdp.send("WebAuthn.setUserVerified", {**verified, "isUserVerified": False})
    await cdp.send("WebAuthn.setAutomaticPresenceSimulation", {**verified, "enabled": True})
    await visitor.press("Sign in with a passkey")
    await expect(visitor.page.locator("#passkey-problem")).to_have_text("That was canceled, or took too long.")
    await cdp.send("WebAuthn.setUserVerified", {**verified, "isUserVerified": True})
    # By keyboard: after a refused gesture, headless Chromium sometimes never ends the scrolling before a click.
    await visitor.page.get_by_role("button", name="Sign in with a passkey", exact=True).press("Enter")
    await visitor.is_at("/notes")
    await visitor.open(ACCOUNT)
    await visitor.sees(email)


async def test_two_factor_is_enabled_by_qr_code_and_then_required(visitor: Visitor, demo: Demo):
    """A second factor is set up by a qr code and asked for from then on."""
    email = demo.new_person()
    await visitor.signs_in(email)
    await visitor.open(ACCOUNT)
    await visitor.follow("Enable two-factor authentication")
    await expect(visitor.page.get_by_role("img", name="QR code")).to_be_visible()
    secret = await visitor.page.locator("#secret").inner_text()
    await visitor.fill(six_digits="000000")
    await visitor.press("Enable")
    await visitor.sees("This code is wrong.")
    assert await visitor.page.locator("#secret").inner_text() == secret
    await visitor.fill(six_digits=pyotp.TOTP(secret).now())
    await visitor.press("Enable")
    await visitor.sees("Two-factor authentication is enabled.")
    await visitor.sign_out()
    await visitor.sign_in(email)
    await visitor.title("Two-factor authentication")
    await visitor.fill(Code="000000")
    await visitor.press("Sign in")
    await visitor.sees("This code is wrong.")
    await visitor.fill(Code=pyotp.TOTP(secret).now())
    await visitor.press("Sign in")
    await visitor.is_at("/notes")
    await visitor.open(ACCOUNT)
    await visitor.page.get_by_text("Disable two-factor authentication").click()
    await visitor.press("Disable")
    await visitor.sees("Two-factor authentication is disabled.")


@needs("emulator")
async def test_provider_pages_and_links_ask_for_the_second_factor(visitor: Visitor, demo: Demo):
    """A second factor is asked for after a providers page and a mails link too."""
    email = new_address()
    await ask_for_code(visitor, email)
    await visitor.open(demo.mail(email, "sign_in")["link"])
    await visitor.open(f"{ACCOUNT}/two-factor")
    secret = await visitor.page.locator("#secret").inner_text()
    await visitor.fill(six_digits=pyotp.TOTP(secret).now())
    await visitor.press("Enable")
    await visitor.sees("Two-factor authentication is enabled.")
    await visitor.sign_out()
    await ask_for_code(visitor, email)
    await visitor.open(demo.mail(email, "sign_in")["link"])
    await visitor.title("Two-factor authentication")
    await visitor.follow("Start again")
    await visitor.follow("Continue with GitHub")
    await visitor.page.get_by_label("Email address").fill(email)
    await visitor.press("Sign in")
    await visitor.title("Two-factor authentication")
    await visitor.fill(Code=pyotp.TOTP(secret).now())
    await visitor.press("Sign in")
    await visitor.is_at(ACCOUNT)


@needs("mail")
async def test_a_password_reset_link_works_once(visitor: Visitor, demo: Demo):
    """A forgotten password is replaced by a link that works once."""
    email = demo.new_person()
    await visitor.open("/handler/sign-in")
    await visitor.follow("Forgot password?")
    await visitor.fill(Email_address=email)
    await visitor.press("Send link")
    await visitor.sees("If there is an account with this address")
    link = demo.mail(email, "password_reset")["link"]
    await visitor.open(link)
    await visitor.fill(New_password="a new horse battery")
    await visitor.press("Save password")
    await visitor.sees("Your password has been changed.")
    await visitor.signs_in(email, "a new horse battery")
    await visitor.open(link)
    await visitor.fill(New_password="another horse battery")
    await visitor.press("Save password")
    await visitor.sees("This code has been used.")


@needs("mail")
async def test_the_sign_up_link_verifies_the_address(visitor: Visitor, demo: Demo):
    """An address is verified by the link that comes with the sign up."""
    email = demo.new_person()
    await visitor.signs_in(email)
    await visitor.open(ACCOUNT)
    await visitor.sees("not verified")
    await visitor.press(f"Verify {email}")
    await visitor.sees("We have sent an email with a link.")
    await visitor.open(demo.mail(email, "email_verification")["link"])
    await visitor.press("Verify email address")
    await visitor.sees("Your email address is verified.")
    await visitor.press("Continue")
    await visitor.open(ACCOUNT)
    await visitor.sees_no("not verified")


async def test_a_guest_signs_up_and_keeps_the_notes(visitor: Visitor):
    await visitor.open("/")
    await visitor.press("Try it as a guest")
    await visitor.is_at("/notes")
    await visitor.write("Written as a guest")
    await visitor.open("/teams")
    await visitor.sees("Sign up first.")
    await visitor.page.get_by_role("main").get_by_role("link", name="Sign up").click()
    email = new_address()
    await visitor.sign_up(email)
    await visitor.is_at("/teams")
    await visitor.open("/notes")
    await visitor.sees("Written as a guest")
    await visitor.sees_no("You are a guest")
    await visitor.sign_out()
    await visitor.signs_in(email)
    await visitor.sees("Written as a guest")


@needs("emulator")
async def test_during_an_outage_pages_say_so_and_keep_sessions(visitor: Visitor, demo: Demo):
    """While the auth server is away the page says so and nobody is signed out."""
    email = demo.new_person()
    async with httpx.AsyncClient(base_url=demo.auth_server) as control:
        fault = {"path": "/api/v1/auth/password/sign-in", "status": 503, "for_seconds": 300}
        try:
            (await control.post("/emulator/faults", json=fault)).raise_for_status()
            await visitor.sign_in(email)
            await visitor.sees("Sign-in is not available right now.")
        finally:
            await control.delete("/emulator/faults")
        await visitor.signs_in(email)
        try:
            fault = {"path": "/api/v1/users/me", "status": 503, "for_seconds": 300}
            (await control.post("/emulator/faults", json=fault)).raise_for_status()
            await visitor.open(ACCOUNT)
            await visitor.title("Try again soon")
            await visitor.open("/notes")
            await visitor.title("My notes")
        finally:
            await control.delete("/emulator/faults")
