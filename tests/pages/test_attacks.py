"""What attackers send: markup, other targets, other sites' forms, frames, and input that no form sends."""

import re
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import httpx
import pytest

from fastapi_stackauth import Theme
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.pages.router import _MODULES
from tests.pages.site import EMAIL, PASSWORD, Document, Site, Visitor

DECLARATIONS = [each for module in _MODULES for each in module.routes.declarations]
PAGES = [each.path for each in DECLARATIONS if each.method == "GET" and "{" not in each.path]
OTHER = "eve@example.org"
ID = "7d0d1d5e-7f3b-4b1c-9a55-2f4f4f0c9a11"
FORMS = [re.sub("{[a-z_]+}", ID, each.path) for each in DECLARATIONS if each.method == "POST"]
EVIL = """"><script>alert(1)</script><img src=x onerror='alert(1)'>{{ 7*191 }}"""
WEB_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}


@pytest.fixture
async def site(server: Emulator) -> AsyncIterator[Site]:
    """Also with the pages that confirm a tool."""
    site = Site(server)
    site.app.include_router(site.stack.cli_router(share_browser_session=True), prefix="/cli")
    yield site
    await site.stack.aclose()


def check_markup(page: Document, path: str = "") -> None:
    """There is no script but the one of the pages, no handler, no style, and no image."""
    scripts = [found.get("src", "") for tag, found in page.tags if tag == "script"]
    assert all(re.fullmatch(r"/handler/script-[0-9a-f]{16}\.js", source) for source in scripts), path
    assert not {tag for tag, _ in page.tags} & {"img", "style", "iframe", "object"}
    assert not [name for _, found in page.tags for name in found if name.startswith("on") or name == "style"]
    assert "1337" not in page.text


@pytest.mark.parametrize("path", PAGES)
async def test_nothing_of_an_address_becomes_markup(visitor: Visitor, path: str):
    names = ("code", "error", "done", "return_to", "prompt", "by", "step", "mfa", "email", "name")
    page = await visitor.open(f"/handler{path}?{httpx.QueryParams(dict.fromkeys(names, EVIL))}")
    assert visitor.response.status_code in (200, 422)
    check_markup(page)
    assert "alert(1)" not in page.text


async def test_nothing_of_a_form_becomes_markup(visitor: Visitor):
    names = ("code", "email", "password", "return_to", "display_name", "description", "confirm", "user_code", "value")
    for path in FORMS:
        for form in (dict.fromkeys(names, EVIL), {"email": f"{EVIL}@example.com", "password": PASSWORD}):
            sent = await visitor.client.post(f"/handler{path}", data=form, headers={"accept": "text/html"})
            assert sent.status_code < 500, (path, sent.text)
            check_markup(Document(sent.text), path)


async def test_names_and_provider_ids_are_text(site: Site, visitor: Visitor, monkeypatch: pytest.MonkeyPatch):
    """What the project is called, and ids of providers, also in addresses."""
    project = await site.stack.services.project.get()
    provider = project.config.enabled_oauth_providers[0].model_copy(update={"id": f"a/../b?{EVIL}"})
    config = project.config.model_copy(update={"enabled_oauth_providers": (provider,)})

    async def get() -> Any:
        return project.model_copy(update={"config": config, "display_name": EVIL})

    monkeypatch.setattr(site.stack.services.project, "get", get)
    page = await visitor.open("/handler/sign-in")
    check_markup(page)
    assert page.text.count(EVIL) == 3, "the title, the brand and the provider"
    (link,) = [each for each in page.links() if "/oauth/" in each]
    assert link.startswith("/handler/oauth/a%2F..%2Fb%3F%22%3E%3Cscript")


async def test_the_name_of_a_user_is_text(site: Site, visitor: Visitor):
    site.server.add_user(primary_email=EMAIL, password=PASSWORD, display_name=EVIL)
    await visitor.open("/handler/sign-in")
    await visitor.submit(email=EMAIL, password=PASSWORD)
    for path in PAGES:
        page = await visitor.open(f"/handler{path}")
        check_markup(page)
    page = await visitor.open("/handler/sign-in")
    assert EVIL in page.text


async def test_names_in_teams_are_text(site: Site, visitor: Visitor):
    """Those of teams, members, API keys and invited addresses; on all pages that show them."""
    site.server.configure(client_team_creation_enabled=True, allow_team_api_keys=True, allow_user_api_keys=True)
    site.server.add_user(primary_email=EMAIL, primary_email_verified=True, password=PASSWORD, display_name=EVIL)
    await visitor.open("/handler/sign-in?return_to=/handler/teams")
    await visitor.submit(email=EMAIL, password=PASSWORD)
    page = await visitor.send("/handler/teams", display_name=EVIL)
    team = visitor.path
    assert (page.heading, page.text.count(EVIL)) == (EVIL, 4), "the title, the heading, the member, the button to leave"
    await visitor.send(".*/profile", display_name=EVIL * 2)
    await visitor.send(".*/api-keys", description=EVIL)
    await visitor.open(team)
    page = await visitor.send(".*/invitations", email="o'neil+<b>@example.com")
    check_markup(page)
    await visitor.open(team)
    page = await visitor.send(".*/invitations", email="o'neil+{{7*191}}@example.com")
    check_markup(page)
    assert page.text.count(EVIL) >= 7
    check_markup(await visitor.open("/handler/teams"))
    await visitor.open("/handler/account-settings")
    await visitor.send(".*/api-keys", description=EVIL)
    page = await visitor.open("/handler/account-settings")
    check_markup(page)
    assert page.text.count(EVIL) >= 3, "the key, its button, the team"
    await visitor.open(site.mail("team_invitation", "o'neil+{{7*191}}@example.com")["link"])
    check_markup(visitor.page)
    assert EVIL in visitor.page.text


async def test_pages_cannot_be_framed_stored_or_extended(visitor: Visitor):
    """The policy allows the pages' own files alone, and names no other site. With and without a session."""
    shown = set()
    for signed_in in (False, True):
        if signed_in:
            await visitor.sign_up()
        for path in PAGES:
            answer = await visitor.client.get(f"/handler{path}")
            assert answer.headers["cache-control"] == "no-store", path
            if answer.status_code != 303:
                check_headers(answer.headers)
                shown.add(path)
    assert set(PAGES) - shown <= {path for path in PAGES if path.endswith(("/send", "/continue", "/oauth-callback"))}


def check_headers(headers: httpx.Headers) -> None:
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "strict-origin"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "address",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\t/evil.example",
     "http://localhost:8000@evil.example/", "https:evil.example", "\\\\evil.example", "/a b", "/" + "a" * 3000],
)  # fmt: skip
async def test_return_to_leads_nowhere_else(visitor: Visitor, address: str):
    """Neither from a link of a page, nor after a form, nor after a provider."""
    await visitor.sign_up()
    query = httpx.QueryParams(return_to=address)
    for path in PAGES:
        answer = await visitor.client.get(f"/handler{path}?{query}")
        assert not re.search(r"evil|alert\(1\)|a{50}", answer.text + answer.headers.get("location", ""))
    form = {"email": EMAIL, "password": PASSWORD}
    sent = await visitor.client.post(f"/handler/sign-in?{query}", data=form)
    assert (sent.status_code, sent.headers["location"]) == (303, "/")
    sent = await visitor.client.post(f"/handler/sign-out?{query}", content=b"", headers=WEB_FORM)
    assert sent.headers["location"] == "/handler/sign-out?done=signed-out"


async def test_a_form_of_another_site_does_nothing(visitor: Visitor):
    await visitor.sign_up()
    before, wrong = dict(visitor.client.cookies), []
    form = {"email": EMAIL, "password": PASSWORD, "code": "a" * 45, "confirm": "yes"}
    for path in FORMS:
        for origin in ("https://evil.example", "null", ""):
            headers = {**WEB_FORM, "origin": origin}
            sent = await visitor.client.post(f"/handler{path}", data=form, headers=headers)
            if sent.status_code != 403 or "set-cookie" in sent.headers or dict(visitor.client.cookies) != before:
                wrong.append((path, origin, sent.status_code))
    assert wrong == []


async def test_a_form_of_one_account_changes_no_other(site: Site, visitor: Visitor):
    """A user has the page in one tab, and signs in to another account in the next: the form is not sent for that."""
    site.server.configure(client_team_creation_enabled=True, allow_user_api_keys=True)
    for email in (EMAIL, OTHER):
        site.server.add_user(primary_email=email, primary_email_verified=True, password=PASSWORD)
    await visitor.open("/handler/sign-in")
    await visitor.submit(email=EMAIL, password=PASSWORD)
    await visitor.open("/handler/teams")
    await visitor.submit(display_name="Red team")
    forms = []
    for path in (visitor.path, "/handler/teams", "/handler/account-settings", "/handler/account-settings/two-factor"):
        forms += (await visitor.open(path)).forms
    forms = [form for form in forms if form["action"] != "/handler/sign-out"]
    await visitor.open("/handler/cli-auth-confirm")
    forms += visitor.page.forms
    await visitor.sign_out()
    await visitor.open("/handler/sign-in")
    await visitor.submit(email=OTHER, password=PASSWORD)
    typed = {"confirm": "yes", "display_name": "Eve", "value": "eve@example.com", "password": PASSWORD, "code": "1" * 6}
    shown = {}
    for form in forms:
        body = {**form["fields"], **{name: value for name, value in typed.items() if name in form["fields"]}}
        files = {"profile_image_url": b"GIF89a"} if form["action"].endswith("/picture") else None
        sent = await visitor.client.post(form["action"], data=body, files=files, headers={"accept": "text/html"})
        shown[form["action"]] = (sent.status_code, "You have switched accounts" in sent.text)
    assert len(shown) > 12
    assert {action: each for action, each in shown.items() if each != (409, True)} == {}
    assert (await visitor.open("/handler/account-settings")).find(name="account") != forms[0]["fields"]["account"]
    assert "Eve" not in visitor.page.text


def test_every_form_of_an_account_names_it():
    """Also those that a page shows only sometimes."""
    own = ("account", "device", "device_decision", "forms", "team", "team_invitation", "teams", "two_factor")
    missing = []
    for name in own:
        source = files("fastapi_stackauth.pages").joinpath(f"templates/{name}.html").read_text()
        forms = re.findall(r'<form method="post".*?</form>', source, re.DOTALL)
        assert forms, name
        missing += [form for form in forms if 'name="account"' not in form and 'link("/sign-out")' not in form]
    assert missing == []


async def test_only_forms_of_users_are_remembered(site: Site, visitor: Visitor):
    """Whoever is not signed in cannot fill the storage with forms that were sent."""
    for path in FORMS:
        await visitor.client.post(f"/handler{path}", data={"once": path}, headers={"accept": "text/html"})
    assert "form" not in site.stack.services.storage._kinds  # type: ignore[attr-defined]  # of the storage in memory


async def test_a_configured_front_end_may_be_the_target(server: Emulator):
    """Browsers hold the redirect after a form to `form-action`, so the page names that origin."""
    site = Site(server, trusted_origins=["https://front.example"])
    async with site.visitor() as visitor:
        await visitor.open("/handler/sign-up?return_to=https://front.example/a")
        policy = visitor.response.headers["content-security-policy"]
        assert "form-action 'self' https://front.example;" in policy
    await site.stack.aclose()


@pytest.mark.parametrize("body", [
    b"", b"%ff=%ff&email=%ff", b"&".join(b"a%d=1" % n for n in range(200)), b"a" * 200_000, b"code=" + b"9" * 45,
    b"email=%00&password=%00", b"email=%ED%A0%80@a.b&password=x",
])  # fmt: skip
async def test_no_form_makes_a_server_error(visitor: Visitor, body: bytes):
    wrong = []
    for path in FORMS:
        sent = await visitor.client.post(f"/handler{path}", content=body, headers=WEB_FORM)
        is_page = sent.status_code == 303 or sent.headers.get("content-type", "").startswith("text/html")
        if sent.status_code >= 500 or not is_page:
            wrong.append((path, sent.status_code, sent.text))
    assert wrong == []


@pytest.mark.parametrize("query", ["%ff%fe", "code=%00", "code=" + "a" * 500, "return_to=%ED%A0%80", "prompt=%00&by="])
async def test_no_address_makes_a_server_error(visitor: Visitor, query: str):
    answers = {path: await visitor.client.get(f"/handler{path}?{query}") for path in PAGES}
    assert {path: answer.text for path, answer in answers.items() if answer.status_code >= 500} == {}


async def test_no_host_changes_a_page(visitor: Visitor):
    """Neither its links, nor whether it is shown."""
    links = (await visitor.open("/handler/sign-in")).links()
    for host in ("evil.example", "[::1", "a]b", "evil.example/handler/x?y#", ""):
        assert (await visitor.open("/handler/sign-in", host=host)).links() == links, host


async def test_attempts_are_limited_with_the_json_routes(server: Emulator):
    """A form and a JSON request count as attempts of the same kind."""
    site = Site(server, rate_limit_account="2/minute")
    site.app.include_router(site.stack.router(), prefix="/auth")
    body = {"email": EMAIL, "password": PASSWORD}
    async with site.visitor() as visitor:
        for _ in range(2):
            await visitor.client.post("/auth/password/sign-in", json=body)
        await visitor.open("/handler/sign-in")
        page = await visitor.submit(**body)
        assert visitor.response.status_code == 429
        assert visitor.response.headers["retry-after"]
        assert "Too many attempts. Wait a minute" in page.text
    await site.stack.aclose()


async def test_no_page_shows_a_secret_in_its_log_or_address(
    site: Site, visitor: Visitor, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("DEBUG")
    await visitor.sign_up()
    await visitor.open("/handler/sign-in?prompt=login")
    await visitor.submit(password="wrong horse battery")
    await visitor.open(site.mail("email_verification")["link"])
    code = site.mail("email_verification")["code"]
    await visitor.submit()
    assert "horse" not in caplog.text
    own = [record.getMessage() for record in caplog.records if record.name.startswith("fastapi_stackauth")]
    assert code not in "".join(own)
    assert code not in str(visitor.response.url)


def test_a_theme_holds_no_secret_of_the_stack():
    assert "Theme(" in repr(Theme())
