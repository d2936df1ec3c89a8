"""Every way in which an anonymous user gets an account, and what binds it to the browser or app that asked for it.

Otherwise whoever sends a victim a link of their own would get what the victim did as a guest (docs/security.md).
"""

import ast
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

import fastapi_stackauth.routers
from fastapi_stackauth.routers import Delivery
from tests.emulator.authenticator import Authenticator
from tests.routers.callers import EMAIL, ORIGIN, PASSWORD, House, Person
from tests.routers.flows import at_the_provider, back, begin, code, come_back, enroll, options, register_passkey

MALLORY = "mallory@example.net"
UPGRADES = {"password.password_sign_up", "otp._sign_in", "oauth.oauth_authorize", "oauth_app.oauth_start"}
"""The functions that may speak for the anonymous user who calls: each has its tests below, and its row in the docs."""


async def link_of_another(house: House, delivery: Delivery = "cookie") -> str:
    """The code of a link that somebody else asked for, elsewhere."""
    async with house.person(delivery) as mallory:
        await mallory.ask_for_code(MALLORY)
    return str(house.mail("sign_in", MALLORY)["code"])


async def guest_id(person: Person) -> str:
    return str((await person.sign_in_at("/anonymous/sign-up"))["user_id"])


def is_still_anonymous(house: House, user_id: str) -> bool:
    user = house.server.store.users.get(house.server.project_id, user_id)
    return user is not None and bool(user["is_anonymous"])


def test_no_other_function_upgrades_an_anonymous_user():
    found = set()
    for path in Path(fastapi_stackauth.routers.__file__).parent.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(function, ast.AsyncFunctionDef):
                continue
            calls = [call for call in ast.walk(function) if isinstance(call, ast.Call)]
            if any(keyword.arg == "upgrade" for call in calls for keyword in call.keywords):
                found.add(f"{path.stem}.{function.name}")
    assert found == UPGRADES


@pytest.fixture
async def internet() -> AsyncIterator[httpx.AsyncClient]:
    """The browser's way to the auth server and the provider."""
    async with httpx.AsyncClient() as client:
        yield client


# --- codes and links in emails ---


async def test_the_button_of_a_link_from_elsewhere_upgrades_no_guest(house: House, browser: Person):
    guest = await guest_id(browser)
    foreign = await link_of_another(house)
    pressed = await browser.client.post(browser.path("/magic-link/callback"), data={"code": foreign})
    assert pressed.status_code == 303
    account = (await browser.call("GET", "/me")).json()
    assert account["primary_email"] == MALLORY
    assert account["id"] != guest
    assert is_still_anonymous(house, guest)


async def test_nor_does_the_button_of_another_link(house: House, browser: Person):
    """Neither does the button where this browser asked for another link."""
    guest = await guest_id(browser)
    await browser.ask_for_code(return_to="/notes")
    foreign = await link_of_another(house)
    pressed = await browser.client.post(browser.path("/magic-link/callback"), data={"code": foreign})
    assert (pressed.status_code, pressed.headers["location"]) == (303, "/")
    assert is_still_anonymous(house, guest)


async def test_a_whole_code_from_elsewhere_upgrades_no_guest(house: House, person: Person):
    guest = await guest_id(person)
    await person.ask_for_code()
    foreign = await link_of_another(house, person.delivery)
    for whole in (foreign, foreign.upper()):
        body = person.code_body(whole)
        answer = await person.post("/otp/sign-in", body)
        assert answer.status_code in (200, 409)
    assert is_still_anonymous(house, guest)


async def test_a_whole_code_without_its_nonce_upgrades_no_guest(house: House, phone: Person):
    guest = await guest_id(phone)
    given = await phone.sign_in_at("/otp/sign-in", {"code": await link_of_another(house, "body")})
    assert given["user_id"] != guest
    assert is_still_anonymous(house, guest)


@pytest.mark.parametrize("written", [str.lower, str.upper])
async def test_a_whole_code_that_was_asked_for_here_does(house: House, person: Person, written: Callable[[str], str]):
    guest = await guest_id(person)
    await person.ask_for_code()
    given = await person.sign_in_at("/otp/sign-in", person.code_body(written(house.mail("sign_in")["code"])))
    assert given["user_id"] == guest
    assert not is_still_anonymous(house, guest)


async def test_the_button_does_in_the_browser_that_asked(house: House, browser: Person):
    guest = await guest_id(browser)
    await browser.ask_for_code()
    data = {"code": house.mail("sign_in")["code"]}
    assert (await browser.client.post(browser.path("/magic-link/callback"), data=data)).status_code == 303
    assert (await browser.call("GET", "/me")).json()["id"] == guest


# --- what the page says ---


async def page_elsewhere(browser: Person, whole: str, more: str = "") -> str:
    page = await browser.client.get(browser.path(f"/magic-link/callback?code={whole}{more}"))
    assert page.status_code == 200
    return page.text


async def test_the_page_names_the_masked_address_of_the_link(house: House, browser: Person):
    """The page names the masked address and never one of the url."""
    text = await page_elsewhere(browser, await link_of_another(house), "&email=ada@example.com&address=ada@example.com")
    assert "This link signs in as m***@example.net. It was requested in another browser" in text
    assert MALLORY not in text
    assert "ada" not in text


async def test_a_page_of_an_unknown_address_names_its_origin(house: House, browser: Person):
    """A page whose address is not known says where the link is from."""
    text = await page_elsewhere(browser, "0" * 45)
    assert "This link was requested in another browser" in text
    assert "***" not in text


async def test_the_address_is_known_as_long_as_the_code_holds(house: House, browser: Person):
    foreign = await link_of_another(house)
    house.server.clock.advance(7 * 24 * 3600 - 60)
    assert "m***@example.net" in await page_elsewhere(browser, foreign)
    house.server.clock.advance(120)
    assert "***" not in await page_elsewhere(browser, foreign)


async def test_the_page_names_the_account_of_this_browser(house: House, browser: Person):
    foreign = await link_of_another(house)
    text = await page_elsewhere(browser, foreign)
    assert "signed in as" not in text
    assert "guest" not in text
    await guest_id(browser)
    assert "You are using this browser as a guest." in await page_elsewhere(browser, foreign)
    await browser.sign_up("o'hara&co@example.com")
    text = await page_elsewhere(browser, foreign)
    assert "This browser is signed in as o&#x27;hara&amp;co@example.com." in text


async def test_the_page_opens_though_the_session_cannot_be_checked(house: House, browser: Person):
    await browser.sign_up()
    foreign = await link_of_another(house)
    browser.client.cookies.set("stackauth-access", "nonsense")
    assert "m***@example.net" in await page_elsewhere(browser, foreign)


# --- the other ways ---


async def test_sign_up_upgrades_the_caller_and_sign_in_does_not(house: House, person: Person):
    """A password sign up upgrades the caller and a sign in nobody."""
    guest = await guest_id(person)
    assert await person.sign_up() == guest
    second = await guest_id(person)
    assert await person.sign_in() == guest
    assert is_still_anonymous(house, second)


async def test_the_second_step_of_a_sign_in_upgrades_no_guest(house: House, person: Person):
    owner = await enroll(house, person)
    guest = await guest_id(person)
    refused = await person.post("/password/sign-in", {"email": EMAIL, "password": PASSWORD})
    assert refused.status_code == 403
    attempt = {"attempt": refused.json()["details"]["attempt"]} if person.delivery == "body" else {}
    given = await person.sign_in_at("/mfa/sign-in", {**attempt, "code": code(house)})
    assert given["user_id"] == owner
    assert is_still_anonymous(house, guest)


async def test_a_passkey_upgrades_no_guest(house: House, person: Person):
    authenticator = Authenticator(ORIGIN)
    owner = await person.sign_up()
    await register_passkey(person, authenticator)
    guest = await guest_id(person)
    given = await options(person, "/passkey/options")
    answer = authenticator.sign_in(given["options"]["challenge"])
    assert (await person.sign_in_at("/passkey/sign-in", back(given, answer)))["user_id"] == owner
    assert is_still_anonymous(house, guest)


async def test_a_provider_upgrades_the_guest_of_the_browser_that_began(
    house: House, browser: Person, internet: httpx.AsyncClient
):
    guest = await guest_id(browser)
    async with house.person("cookie") as mallory:
        address = await at_the_provider(internet, await begin(mallory), email=MALLORY)
        assert (await come_back(browser, address)).status_code == 400
    assert is_still_anonymous(house, guest)


async def test_a_cross_site_redirect_to_a_provider_upgrades_none(
    house: House, browser: Person, internet: httpx.AsyncClient
):
    """Another site that sends the browser to a provider upgrades no guest."""
    guest = await guest_id(browser)
    opened = await browser.client.get(
        browser.path("/oauth/github/authorize"), headers={"sec-fetch-site": "cross-site", "origin": ""}
    )
    await come_back(browser, await at_the_provider(internet, opened.headers["location"]))
    assert (await browser.call("GET", "/me")).json()["id"] != guest
    assert is_still_anonymous(house, guest)


async def test_verifying_an_address_upgrades_no_anonymous_user(house: House, browser: Person):
    """A verified address upgrades no guest of the browser that opens the link."""
    guest = await guest_id(browser)
    async with house.person("cookie") as mallory:
        await mallory.sign_up(MALLORY)
    data = {"code": house.mail("email_verification", MALLORY)["code"]}
    assert (await browser.client.post(browser.path("/verify-email"), data=data)).status_code == 200
    assert is_still_anonymous(house, guest)
