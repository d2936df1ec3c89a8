"""The account page: each change without scripts, its errors, and who may see it."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pyotp
import pytest

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.pages.pictures import find_origin
from tests.pages.site import EMAIL, ORIGIN, PASSWORD, Document, Site, Visitor
from tests.routers.callers import ACCESS
from tests.routers.flows import at_the_provider

ACCOUNT = "/handler/account-settings"


@pytest.fixture
async def site(server: Emulator) -> AsyncIterator[Site]:
    server.configure(client_user_deletion_enabled=True, allow_user_api_keys=True)
    site = Site(server)
    server.add_user(primary_email=EMAIL, primary_email_verified=True, password=PASSWORD, display_name="Ada")
    yield site
    await site.stack.aclose()


@pytest.fixture
async def visitor(site: Site) -> AsyncIterator[Visitor]:
    async with site.visitor() as visitor:
        await sign_in(visitor)
        yield visitor


async def sign_in(visitor: Visitor) -> None:
    await visitor.open(f"/handler/sign-in?return_to={ACCOUNT}")
    await visitor.submit(email=EMAIL, password=PASSWORD)
    assert visitor.path == ACCOUNT


async def send(visitor: Visitor, path: str, **typed: str) -> Document:
    """Fill in the form of the account page that posts to a path, and send it."""
    form = next(each for each in visitor.page.forms if re.fullmatch(re.escape(ACCOUNT) + path, each["action"]))
    visitor.page.forms = [form]
    return await visitor.submit(**typed)


async def test_it_needs_a_sign_in_and_leads_back(site: Site):
    async with site.visitor() as stranger:
        await stranger.open(ACCOUNT)
        assert stranger.path == "/handler/sign-in"
        assert "Ada" not in stranger.response.text
        await stranger.submit(email=EMAIL, password=PASSWORD)
        assert stranger.path == ACCOUNT


@pytest.mark.parametrize("path", ["/profile", "/password", "/sessions/delete", "/delete"])
async def test_a_form_without_a_session_leads_to_sign_in(site: Site, path: str):
    """A session may end while its page is open; the form is not sent again after the sign-in."""
    async with site.visitor() as stranger:
        sent = await stranger.client.post(ACCOUNT + path, data={"display_name": "Eve"})
        assert sent.headers["location"] == f"/handler/sign-in?return_to={ACCOUNT.replace('/', '%2F')}"


async def test_a_name_is_changed_and_a_long_one_is_said(visitor: Visitor):
    page = await send(visitor, "/profile", display_name="Ada Lovelace")
    assert "Saved." in page.text
    assert page.find(name="display_name")["value"] == "Ada Lovelace"
    page = await send(visitor, "/profile", display_name="a" * 257)
    assert "Enter a name of at most 256 characters." in page.text
    assert "autofocus" in page.find(name="display_name")


async def test_an_address_is_added_verified_made_primary(site: Site, visitor: Visitor):
    page = await send(visitor, "/emails", value="not an address")
    assert "Enter an email address" in page.text
    assert page.find(name="value")["value"] == "not an address"
    assert "checked" not in page.find(name="used_for_auth")
    page = await send(visitor, "/emails", value="countess", used_for_auth="true")
    assert "checked" in page.find(name="used_for_auth"), "what the user chose survives an error"
    page = await send(visitor, "/emails", value="countess@example.com", used_for_auth="true")
    assert "The email address has been added." in page.text
    page = await send(visitor, "/emails/[^/]+/verify")
    assert "We have sent an email" in page.text
    await visitor.open(site.mail("email_verification", "countess@example.com")["link"])
    await visitor.submit()
    await visitor.open(ACCOUNT)
    await send(visitor, "/emails/[^/]+/primary")
    page = await send(visitor, "/emails/[^/]+/delete")
    assert "countess@example.com" in page.text
    assert EMAIL not in page.text
    await visitor.sign_out()
    await visitor.open(f"/handler/sign-in?return_to={ACCOUNT}")
    page = await visitor.submit(email="countess@example.com", password=PASSWORD)
    assert page.heading == "Your account"


async def test_a_password_is_changed_and_other_sessions_end(site: Site, visitor: Visitor):
    async with site.visitor() as other:
        await sign_in(other)
        page = await send(visitor, "/password", old_password="wrong horse", new_password="another horse battery")
        assert "The current password is wrong." in page.text
        assert "autofocus" in page.find(name="old_password")
        assert "horse" not in visitor.response.text
        page = await send(visitor, "/password", old_password=PASSWORD, new_password="short")
        assert page.find(name="new_password")["aria-invalid"] == "true"
        page = await send(visitor, "/password", old_password=PASSWORD, new_password="another horse battery")
        assert "all other sessions have ended" in page.text
        await other.open(ACCOUNT)
        assert other.path == "/handler/sign-in"
    await visitor.open(ACCOUNT)
    assert visitor.path == ACCOUNT, "this session stays"


async def test_a_first_password_is_set(server: Emulator):
    server.add_user(primary_email="new@example.com", primary_email_verified=True)
    site = Site(server)
    async with site.visitor() as visitor:
        await visitor.open(f"/handler/sign-in?by=code&return_to={ACCOUNT}")
        await visitor.submit(email="new@example.com")
        await visitor.open(site.mail("sign_in", "new@example.com")["link"])
        page = await send(visitor, "/password/set", password="short")
        assert "A password has at least 8 characters." in page.text
        assert page.find(name="password")["aria-invalid"] == "true"
        page = await send(visitor, "/password/set", password=PASSWORD)
        assert "Saved." in page.text
        assert page.find(name="old_password")
    await site.stack.aclose()


async def test_two_factor_is_enabled_by_qr_code_and_disabled(visitor: Visitor):
    """The secret stays the same after a wrong code; the QR code has no style, which the policy would forbid."""
    page = await visitor.open(f"{ACCOUNT}/two-factor")
    assert "<svg" in visitor.response.text
    assert "style=" not in visitor.response.text
    (secret,) = re.findall(r'id="secret">([A-Z2-7]{32})<', visitor.response.text)
    page = await visitor.submit(code="000000")
    assert "This code is wrong." in page.text
    assert secret in page.text
    page = await visitor.submit(code=pyotp.TOTP(secret).now())
    assert "Two-factor authentication is enabled." in page.text
    page = await send(visitor, "/two-factor/disable")
    assert "Two-factor authentication is disabled." in page.text


async def test_sessions_are_listed_and_ended(site: Site, visitor: Visitor):
    async with site.visitor() as other, site.visitor() as third:
        await sign_in(other)
        await sign_in(third)
        page = await visitor.open(ACCOUNT)
        assert page.text.count("this browser") == 1
        assert len([form for form in page.forms if re.search(r"/sessions/[0-9a-f-]{36}/delete", form["action"])]) == 2
        await send(visitor, "/sessions/[0-9a-f-]{36}/delete")
        page = await send(visitor, "/sessions/delete")
        assert "The session has ended." in page.text
        for one in (other, third):
            await one.open(ACCOUNT)
            assert one.path == "/handler/sign-in"


async def test_a_provider_is_connected_and_disconnected(visitor: Visitor):
    """A page goes on to the provider, so that `form-action 'self'` holds."""
    await visitor.open(ACCOUNT)
    form = next(each for each in visitor.page.forms if each["action"].endswith("/providers/github/connect"))
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
    content = str(httpx.QueryParams(form["fields"]))
    onward = await visitor.client.post(form["action"], content=content, headers=headers)
    assert onward.status_code == 200
    at_provider = onward.headers["refresh"].removeprefix("0; url=")
    async with httpx.AsyncClient() as internet:
        back = await at_the_provider(internet, at_provider)
    page = await visitor.open(back, **{"sec-fetch-site": "cross-site"})
    assert visitor.path == ACCOUNT
    assert "The account has been connected." in page.text
    page = await send(visitor, "/providers/github/delete")
    assert "Deleted." in page.text
    page = await visitor.open(f"{ACCOUNT}?done=connected&error=OAUTH_PROVIDER_ACCESS_DENIED")
    assert "You canceled the sign-in" in page.text
    assert "has been connected" not in page.text


PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


async def upload(visitor: Visitor, content: bytes, **options: Any) -> Document:
    """Send the form with a file, as a browser without scripts does."""
    files = {"profile_image_url": (options.get("name", "ada.png"), content, options.get("type", "image/png"))}
    sent = await visitor.client.post(f"{ACCOUNT}/picture", files=files, headers={"accept": "text/html"})
    return await visitor.show(sent)


async def test_a_picture_is_uploaded_shown_and_deleted(site: Site, visitor: Visitor):
    page = await upload(visitor, PNG)
    assert "Saved." in page.text
    shown = page.find(**{"class": "picture"})["src"]
    assert f"img-src 'self' data: {site.server.url};" in visitor.response.headers["content-security-policy"]
    async with httpx.AsyncClient() as internet:
        served = await internet.get(shown)
    assert (served.content, served.headers["content-type"]) == (PNG, "image/png")
    page = await send(visitor, "/picture/delete")
    assert "Deleted." in page.text
    assert "<img" not in visitor.response.text


async def test_an_upload_is_an_image_by_its_content(visitor: Visitor):
    """Whatever the browser calls it, and within the length that the auth server accepts."""
    wrong = []
    for name, content, accepted in (
        ("png", PNG, True),
        ("jpeg", b"\xff\xd8\xff" + bytes(9), True),
        ("gif", b"GIF89a" + bytes(9), True),
        ("webp", b"RIFF\x00\x00\x00\x00WEBP", True),
        ("the largest", PNG + bytes(700_000 - len(PNG)), True),
        ("too large", PNG + bytes(700_001 - len(PNG)), False),
        ("far too large", PNG + bytes(5_000_000), False),
        ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", False),
        ("html", b"<script>alert(1)</script>", False),
        ("empty", b"", False),
    ):
        page = await upload(visitor, content)
        said = "Choose a PNG, JPEG, GIF or WebP image of at most 700 KB." in page.text
        if ("Saved." in page.text, said) != (accepted, not accepted) or visitor.response.status_code >= 500:
            wrong.append((name, visitor.response.status_code, page.text[:200]))
        if not accepted and "autofocus" not in page.find(name="profile_image_url"):
            wrong.append((name, 0, "no focus"))
    assert wrong == []


def test_a_picture_of_another_kind_is_not_shown():
    """Another client may have set any address: it reaches the policy only if it is one of an image's server."""
    rows = {
        "https://cdn.example/a.png": "https://cdn.example",
        "https://cdn.example;script-src/*": None,
        "https://cdn.example,x/a": None,
        "https://ada@cdn.example/a": None,
        "javascript:alert(1)": None,
        "data:image/svg+xml;base64,AAAA": None,
        "data:image/png;base64,AAAA": "",
    }
    assert {address: find_origin(address, insecure=False) for address in rows} == rows
    assert find_origin("http://cdn.example/a", insecure=False) is None
    assert find_origin("http://localhost:8000/a", insecure=True) == "http://localhost:8000"


async def test_a_key_is_shown_once_and_revoked(visitor: Visitor):
    page = await send(visitor, "/api-keys", description="laptop")
    value = page.find(id="key")["value"]
    assert value.startswith("sk_")
    assert visitor.response.headers["cache-control"] == "no-store"
    assert page.links() == [ACCOUNT], "another language would lose the key"
    page = await visitor.open(ACCOUNT)
    assert value not in visitor.response.text
    assert f"…{value[-4:]}" in page.text
    assert "expires on 20" in page.text
    page = await send(visitor, "/api-keys/[^/]+/delete")
    assert "laptop" not in page.text
    page = await send(visitor, "/api-keys", description="laptop", expires_at_millis="1")
    assert "Choose when the key expires." in page.text


async def test_the_expiry_that_was_chosen_survives_an_error(visitor: Visitor):
    page = await send(visitor, "/api-keys", description="")
    values = [found["value"] for tag, found in page.tags if tag == "option"]
    assert page.find(value=values[1], selected="")
    for index in (0, 2, 3):
        page = await send(visitor, "/api-keys", description="", expires_at_millis=values[index])
        options = [found for tag, found in page.tags if tag == "option"]
        assert ["selected" in each for each in options] == [index == place for place in range(4)]


async def test_signing_out_everywhere_ends_this_session_too(site: Site, visitor: Visitor):
    async with site.visitor() as other:
        await sign_in(other)
        page = await send(visitor, "/sign-out-everywhere")
        assert "You are signed out everywhere." in page.text
        assert ACCESS not in visitor.client.cookies
        for one in (visitor, other):
            await one.open(ACCOUNT)
            assert one.path == "/handler/sign-in"


async def test_the_account_leads_to_the_teams_if_there_can_be_any(server: Emulator):
    server.configure(client_team_creation_enabled=False)
    user_id = server.add_user(primary_email=EMAIL, primary_email_verified=True, password=PASSWORD)
    site = Site(server)
    async with site.visitor() as visitor:
        await sign_in(visitor)
        assert "/handler/teams" not in visitor.page.links()
        team = server.add_team(display_name="Red team")
        server.join(team, user_id)
        page = await visitor.open(ACCOUNT)
        assert {"/handler/teams", f"/handler/teams/{team}"} <= set(page.links())
    await site.stack.aclose()


async def test_an_account_is_deleted_after_a_confirmation(visitor: Visitor):
    """The server checks it, too."""
    page = await send(visitor, "/delete")
    assert visitor.response.status_code == 422
    assert "autofocus" in page.find(name="confirm")
    sent = await visitor.client.post(f"{ACCOUNT}/delete", json={"confirm": "yes"})
    assert sent.status_code == 422
    page = await send(visitor, "/delete", confirm="yes")
    assert "Your account has been deleted." in page.text
    assert ACCESS not in visitor.client.cookies
    await visitor.open("/handler/sign-in")
    page = await visitor.submit(email=EMAIL, password=PASSWORD)
    assert "The email address or the password is wrong." in page.text


async def test_the_address_of_a_form_opens_the_page(visitor: Visitor):
    await visitor.open(f"{ACCOUNT}/emails/abc/delete")
    assert visitor.path == ACCOUNT


async def test_an_old_sign_in_must_be_repeated(site: Site, visitor: Visitor):
    """Disabling two-factor authentication asks for the password again, and leads back."""
    site.server.clock.advance(3600)
    sent = await visitor.client.post(f"{ACCOUNT}/two-factor/disable", data={})
    assert urlsplit(sent.headers["location"]).path == "/handler/sign-in"
    assert "prompt=login" in sent.headers["location"]
    page = await visitor.open(sent.headers["location"])
    assert "Sign in again to continue." in page.text
    await visitor.submit(password=PASSWORD)
    assert str(visitor.response.url) == f"{ORIGIN}{ACCOUNT}"
