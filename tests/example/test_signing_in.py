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


async def test_with_a_password_one_signs_up_and_out_and_in(visitor: Visitor):
    email = new_address()
    await visitor.open("/")
    await visitor.follow("Sign up")
    form = visitor.page.locator("form").filter(has=visitor.page.get_by_role("heading", name="With a password"))
    await form.get_by_label("Email address").fill(email)
    await form.get_by_label("Password").fill(PASSWORD)
    await visitor.press("Sign up", "With a password")
    await visitor.is_at("/notes")
    await visitor.open("/")
    await visitor.title(f"Hello, {email}!")
    await visitor.press("Sign out")
    await visitor.sees("You are signed out.")
    await visitor.sign_in(email, "wrong horse battery")
    await visitor.sees("The email address or the password is wrong.")
    await expect(form.get_by_label("Email address")).to_have_value(email)
    await form.get_by_label("Password").fill(PASSWORD)
    await visitor.press("Sign in", "With a password")
    await visitor.is_at("/notes")


async def test_an_address_that_is_taken_is_said(visitor: Visitor, demo: Demo):
    email = demo.new_person()
    await visitor.open("/sign-up")
    form = visitor.page.locator("form").filter(has=visitor.page.get_by_role("heading", name="With a password"))
    await form.get_by_label("Email address").fill(email)
    await form.get_by_label("Password").fill(PASSWORD)
    await visitor.press("Sign up", "With a password")
    await visitor.sees("There is an account with this address already.")


async def ask_for_code(visitor: Visitor, email: str) -> None:
    await visitor.open("/sign-in?return_to=/account")
    form = visitor.page.locator("form").filter(has=visitor.page.get_by_role("heading", name="With a code by email"))
    await form.get_by_label("Email address").fill(email)
    await visitor.press("Send me a code")
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
    await visitor.is_at("/account")
    await visitor.sees(email)


@needs("mail", "magic_link")
async def test_a_link_works_at_once_here_and_by_button_elsewhere(visit: Any, demo: Demo):
    """With the link of a mail here at once and elsewhere after a click."""
    here, elsewhere = await visit(), await visit()
    email = new_address()
    await ask_for_code(here, email)
    await here.open(demo.mail(email, "sign_in")["link"])
    await here.is_at("/account")
    await here.press("Sign out")
    await ask_for_code(here, other := new_address())
    await elsewhere.open(demo.mail(other, "sign_in")["link"])
    await elsewhere.press("Sign in")
    await elsewhere.is_at("/notes")


@needs("emulator")
async def test_at_a_provider_and_back_also_with_a_refusal(visitor: Visitor):
    email = new_address()
    await visitor.open("/sign-in")
    await visitor.follow("GitHub")
    await visitor.press("Deny")
    await visitor.is_at("/sign-in")
    await expect(visitor.page.get_by_role("alert").filter(visible=True)).to_have_count(1)
    await visitor.follow("GitHub")
    await visitor.page.get_by_label("Email address").fill(email)
    await visitor.press("Sign in")
    await visitor.is_at("/notes")
    await visitor.open("/sign-in?return_to=/account&prompt=login")  # as for an action that needs a recent sign-in
    await visitor.follow("GitHub")
    await visitor.page.get_by_label("Email address").fill(email)
    await visitor.press("Sign in")
    await visitor.is_at("/account")


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
    await visitor.open("/account")
    await visitor.press("Add a passkey")
    await visitor.sees("The passkey has been added.")
    await visitor.press("Sign out")
    await cdp.send("WebAuthn.setAutomaticPresenceSimulation", {**verified, "enabled": False})
    await visitor.open("/sign-in")
    await cdp.send("WebAuthn.setUserVerified", {**verified, "isUserVerified": False})
    await cdp.send("WebAuthn.setAutomaticPresenceSimulation", {**verified, "enabled": True})
    await visitor.press("Sign in with a passkey")
    await expect(visitor.page.locator("#passkey-problem")).to_have_text("That was canceled, or took too long.")
    await cdp.send("WebAuthn.setUserVerified", {**verified, "isUserVerified": True})
    # By keyboard: after a refused gesture, headless Chromium sometimes never ends the scrolling before a click.
    await visitor.page.get_by_role("button", name="Sign in with a passkey", exact=True).press("Enter")
    await visitor.is_at("/notes")
    await visitor.open("/account")
    await visitor.sees(email)


async def test_two_factor_is_enabled_by_qr_code_and_then_required(visitor: Visitor, demo: Demo):
    """A second factor is set up by a qr code and asked for from then on."""
    email = demo.new_person()
    await visitor.signs_in(email)
    await visitor.open("/account")
    await visitor.follow("Enable two-factor authentication")
    await expect(visitor.page.get_by_role("img", name="QR code")).to_be_visible()
    secret = await visitor.page.locator("#secret").inner_text()
    await visitor.fill(Code="000000")
    await visitor.press("Enable")
    await visitor.sees("That code is wrong.")
    assert await visitor.page.locator("#secret").inner_text() == secret
    await visitor.fill(Code=pyotp.TOTP(secret).now())
    await visitor.press("Enable")
    await visitor.sees("Two-factor authentication is enabled.")
    await visitor.press("Sign out")
    await visitor.sign_in(email)
    await visitor.title("Two-factor authentication")
    await visitor.fill(Code="000000")
    await visitor.press("Sign in")
    await visitor.sees("That code is wrong.")
    await visitor.fill(Code=pyotp.TOTP(secret).now())
    await visitor.press("Sign in")
    await visitor.is_at("/notes")
    await visitor.open("/account")
    await visitor.press("Disable")
    await visitor.sees("Two-factor authentication is disabled.")


@needs("emulator")
async def test_provider_pages_and_links_ask_for_the_second_factor(visitor: Visitor, demo: Demo):
    """A second factor is asked for after a providers page and a mails link too."""
    email = new_address()
    await ask_for_code(visitor, email)
    await visitor.open(demo.mail(email, "sign_in")["link"])
    await visitor.open("/account/two-factor")
    secret = await visitor.page.locator("#secret").inner_text()
    await visitor.fill(Code=pyotp.TOTP(secret).now())
    await visitor.press("Enable")
    await visitor.sees("Two-factor authentication is enabled.")
    await visitor.press("Sign out")
    await ask_for_code(visitor, email)
    await visitor.open(demo.mail(email, "sign_in")["link"])
    await visitor.title("Two-factor authentication")
    await visitor.follow("Start again")
    await visitor.follow("GitHub")
    await visitor.page.get_by_label("Email address").fill(email)
    await visitor.press("Sign in")
    await visitor.title("Two-factor authentication")
    await visitor.fill(Code=pyotp.TOTP(secret).now())
    await visitor.press("Sign in")
    await visitor.is_at("/account")


@needs("mail")
async def test_a_password_reset_link_works_once(visitor: Visitor, demo: Demo):
    """A forgotten password is replaced by a link that works once."""
    email = demo.new_person()
    await visitor.open("/sign-in")
    await visitor.follow("Forgot password?")
    await visitor.fill(Email_address=email)
    await visitor.press("Send link")
    await visitor.sees("If there is an account with this address")
    link = demo.mail(email, "password_reset")["link"]
    await visitor.open(link)
    await visitor.fill(New_password="a new horse battery")
    await visitor.press("Save the password")
    await visitor.sees("Your password has been saved.")
    await visitor.signs_in(email, "a new horse battery")
    await visitor.open(link)
    await visitor.fill(New_password="another horse battery")
    await visitor.press("Save the password")
    await visitor.sees("This code has been used.")


@needs("mail")
async def test_the_sign_up_link_verifies_the_address(visitor: Visitor, demo: Demo):
    """An address is verified by the link that comes with the sign up."""
    email = demo.new_person()
    await visitor.signs_in(email)
    await visitor.open("/account")
    await visitor.sees("not verified")
    await visitor.press(f"Verify {email}")
    await visitor.sees("The email has been sent.")
    await visitor.open(demo.mail(email, "email_verification")["link"])
    await visitor.press("Yes, verify it")
    await visitor.sees("Your address is verified.")
    await visitor.press("Continue")
    await visitor.open("/account")
    await visitor.sees_no("not verified")


async def test_a_guest_signs_up_and_keeps_the_notes(visitor: Visitor):
    await visitor.open("/")
    await visitor.press("Try it as a guest")
    await visitor.is_at("/notes")
    await visitor.write("Written as a guest")
    await visitor.open("/teams")
    await visitor.title("You need an account")
    await visitor.page.get_by_role("main").get_by_role("link", name="Sign up").click()
    email = new_address()
    form = visitor.page.locator("form").filter(has=visitor.page.get_by_role("heading", name="With a password"))
    await form.get_by_label("Email address").fill(email)
    await form.get_by_label("Password").fill(PASSWORD)
    await visitor.press("Sign up", "With a password")
    await visitor.is_at("/teams")
    await visitor.open("/notes")
    await visitor.sees("Written as a guest")
    await visitor.sees_no("You are a guest")
    await visitor.press("Sign out")
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
            await visitor.open("/account")
            await visitor.title("Try again soon")
            await visitor.open("/notes")
            await visitor.title("My notes")
        finally:
            await control.delete("/emulator/faults")
