"""The pages behind links in mails: plain, safe, and readable by everybody."""

import re
from html.parser import HTMLParser

import httpx
import pytest
from fastapi import FastAPI

from fastapi_stackauth.emulator import Emulator
from tests.routers.callers import ACCESS, ORIGIN, PREFIXES, House, Person, new_stack

PAGES = ["/password/reset", "/verify-email", "/magic-link/callback", "/invitations/accept"]
EVIL = """"><script>alert(1)</script><img src=x onerror='alert(1)'>"""


class Text(HTMLParser):
    """What a person can read of a page, its tags, and the values of its fields."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self.values = "", set[str](), list[str | None]()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        self.values += [value for name, value in attrs if name == "value"]


async def open_page(person: Person, path: str, code: str = "abc123") -> httpx.Response:
    return await person.client.get(person.path(path), params={"code": code})


@pytest.mark.parametrize("path", PAGES)
async def test_pages_load_nothing_and_cannot_be_framed_or_stored(person: Person, path: str):
    """A page can load nothing be framed by nobody and is not stored."""
    headers = (await open_page(person, path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] in ("'self'", "'none'")
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["style-src"])
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", PAGES)
async def test_head_asks_for_a_page_without_its_text(person: Person, path: str):
    """Programs that check links ask so; OpenAPI shows the GET alone."""
    for code in ({"code": "abc123"}, {}):
        shown = await person.client.get(person.path(path), params=code)
        asked = await person.client.head(person.path(path), params=code)
        assert (asked.status_code, dict(asked.headers)) == (shown.status_code, dict(shown.headers))


async def test_head_uses_no_magic_link_up(house: House, browser: Person):
    """Not even in the browser that requested it, where GET signs in."""
    await browser.ask_for_code()
    link = house.mail("sign_in")["link"]
    assert (await browser.client.head(link)).status_code == 200
    assert ACCESS not in browser.client.cookies
    assert (await browser.client.get(link)).status_code == 303
    assert browser.client.cookies[ACCESS]


async def test_the_style_is_the_one_that_the_policy_allows(person: Person):
    import base64
    import hashlib

    page = await open_page(person, "/password/reset")
    (style,) = re.findall("<style>(.*?)</style>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page.headers["content-security-policy"]
    assert "color-scheme: light dark" in style


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_shows_no_code_and_repeats_no_markup(person: Person, path: str):
    page = Text((await open_page(person, path, EVIL)).text)
    assert not page.tags & {"script", "img"}
    assert "alert" not in page.text
    assert page.values in ([EVIL], [])
    assert not any(name.startswith("on") for name, _ in page.attributes)


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_says_its_language_and_labels_its_fields(person: Person, path: str):
    html = (await open_page(person, path)).text
    assert '<html lang="en">' in html
    visible = re.findall(r'<input id="(\w+)" name="\w+" type="(?!hidden)', html)
    assert visible == re.findall(r'<label for="(\w+)">', html)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("query", ["", "?code=" + "x" * 300])
async def test_a_link_that_is_not_whole_is_a_page_that_says_so(person: Person, path: str, query: str):
    await person.sign_up()  # one of the pages is for signed-in users
    answer = await person.client.get(person.path(path) + query)
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("text/html")
    assert "That did not work" in answer.text
    assert "content-security-policy" in answer.headers


async def test_an_app_may_have_pages_of_its_own(house: House):
    pages = {"password_reset": "/account/reset", "verify_email": "https://front.example/verify", "magic_link": "/m?a=1"}
    own = House(house.server, house.stack, pages=pages)
    house.server.configure(domains=[{"domain": "https://front.example"}])
    async with own.person("cookie") as person:
        await person.sign_up()
        assert own.mail("email_verification")["link"].startswith("https://front.example/verify?code=")
        await person.post("/password/forgot", {"email": "ada@example.com"})
        assert own.mail("password_reset")["link"].startswith(f"{ORIGIN}/account/reset?code=")
        await person.ask_for_code("new@example.com")
        assert own.mail("sign_in", "new@example.com")["link"].startswith(f"{ORIGIN}/m?a=1&code=")


async def test_links_follow_app_url_and_never_the_host_header(house: House, person: Person):
    answer = await person.post(
        "/password/sign-up",
        {"email": "ada@example.com", "password": "correct horse battery"},
        headers={"host": "evil.example", "x-forwarded-host": "evil.example"},
    )
    assert answer.status_code == 200
    assert house.mail("email_verification")["link"].startswith(f"{ORIGIN}/")


async def test_a_button_may_lead_to_a_configured_front_end(house: House):
    """A button may lead to the front end that the settings name."""
    stack = new_stack(house.server, after_sign_in="https://front.example/home")
    own = House(house.server, stack)
    async with own.person("cookie") as asking, own.person("cookie") as elsewhere:
        await asking.ask_for_code()
        page = await elsewhere.client.get(own.mail("sign_in")["link"])
        assert "form-action 'self' https://front.example;" in page.headers["content-security-policy"]
        code = own.mail("sign_in")["code"]
        answer = await elsewhere.client.post(elsewhere.path("/magic-link/callback"), data={"code": code})
        assert answer.headers["location"] == "https://front.example/home"
    await stack.aclose()


async def test_without_a_public_address_a_sign_up_sends_no_mail(server: Emulator):
    stack = new_stack(server, app_url=None, insecure_cookies=False)
    own = FastAPI()
    stack.install(own)
    own.include_router(stack.router(delivery="body"), prefix=PREFIXES["body"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(own), base_url="http://x") as client:
        await Person(client, "body").sign_up()
    assert server.emails() == []
    await stack.aclose()


async def test_links_lead_through_whatever_the_router_is_mounted_under(house: House):
    inner, outer = FastAPI(), FastAPI()
    house.stack.install(inner)
    inner.include_router(house.stack.router(), prefix="/auth")
    outer.mount("/shop", inner)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(outer), base_url=ORIGIN, headers={"origin": ORIGIN}
    ) as client:
        credentials = {"email": "ada@example.com", "password": "correct horse battery"}
        await client.post("/shop/auth/password/sign-up", json=credentials)
        link = house.mail("email_verification")["link"]
        assert link.startswith(f"{ORIGIN}/shop/auth/verify-email?code=")
        assert (await client.get(link)).status_code == 200
        (channel,) = (await client.get("/shop/auth/contact-channels")).json()
        house.server.store.emails.clear(house.server.project_id)
        sent = await client.post(f"/shop/auth/contact-channels/{channel['id']}/send-verification")
        assert sent.status_code == 204
        assert house.mail("email_verification")["link"].startswith(f"{ORIGIN}/shop/auth/verify-email?code=")
