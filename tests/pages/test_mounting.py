"""Where the pages are, what links lead to them, and what a developer's mistake says."""

import subprocess
import sys

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI

from fastapi_stackauth import StackAuth, Theme, current_user
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import ConfigurationError, MisuseError
from fastapi_stackauth.routers import TeamPage
from tests.pages.site import EMAIL, ORIGIN, PASSWORD, Site, Visitor
from tests.routers.callers import new_stack

ADA = {"email": EMAIL, "password": PASSWORD}


@pytest.mark.parametrize("prefix", ["", "/", "handler", "/handler/", "//evil.example", "/a b", "/{team}", None, "/a\n"])
def test_a_prefix_must_be_a_path(prefix: str):
    with pytest.raises(ConfigurationError, match="prefix must be a path"):
        StackAuth(app_url=ORIGIN).pages_router(prefix=prefix)


def test_a_stack_has_its_pages_in_one_place():
    stack = StackAuth(app_url=ORIGIN)
    stack.pages_router(prefix="/handler")
    with pytest.raises(ConfigurationError, match='has pages under "/handler"'):
        stack.pages_router(prefix="/other")


def test_a_theme_must_be_a_theme():
    with pytest.raises(ConfigurationError, match="theme must be a Theme; got dict"):
        StackAuth(app_url=ORIGIN).pages_router(prefix="/handler", theme={"name": "Acme"})  # type: ignore[arg-type]


def test_an_address_that_keeps_no_cookies_is_an_error():
    with pytest.raises(ConfigurationError, match="app_url"):
        StackAuth(app_url="http://app.example.com").pages_router(prefix="/handler")


async def test_a_further_prefix_is_an_error_at_the_start():
    """Links in emails lead to the prefix that the pages know."""
    stack, app, outer = StackAuth(app_url=ORIGIN), FastAPI(), APIRouter()
    stack.install(app)
    outer.include_router(stack.pages_router(prefix="/handler"))
    app.include_router(outer, prefix="/v1")
    with pytest.raises(MisuseError, match=r"/v1/handler/sign-in: .*Pass the whole prefix to pages_router"):
        async with app.router.lifespan_context(app):
            pass


async def test_pages_of_two_stacks_need_two_prefixes():
    """A link of the second one would open the pages of the first, with another project."""
    first, second, app = StackAuth(app_url=ORIGIN), StackAuth(app_url=ORIGIN, cookie_name="second"), FastAPI()
    first.install(app)
    second.install(app, default=False)
    for stack in (first, second):
        app.include_router(stack.pages_router(prefix="/handler"))
    with pytest.raises(MisuseError, match=r"/handler/sign-in: another router already has pages at this path"):
        async with app.router.lifespan_context(app):
            pass


async def test_two_stacks_have_pages_of_their_own(server: Emulator):
    """Each with its own session; the links in emails lead to the right ones."""
    first, second, app = new_stack(server), new_stack(server, cookie_name="second"), FastAPI()
    first.install(app)
    second.install(app, default=False)
    app.include_router(first.pages_router(prefix="/handler"))
    app.include_router(second.pages_router(prefix="/staff"))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN, headers={"origin": ORIGIN})
    async with client:
        visitor = Visitor(client)
        await visitor.open("/staff/sign-up")
        await visitor.submit(**ADA)
        assert server.emails(EMAIL)[0]["link"].startswith(f"{ORIGIN}/staff/email-verification?code=")
        await visitor.open("/staff/account-settings")
        assert visitor.path == "/staff/account-settings"
        await visitor.open("/handler/account-settings")
        assert visitor.path == "/handler/sign-in"
    await first.aclose()
    await second.aclose()


async def test_pages_of_a_mounted_app_say_what_to_do(server: Emulator):
    """Their links would not lead to them; the outer app does not know this library, so only a request shows it."""
    stack, outer, app = new_stack(server), FastAPI(), FastAPI()
    stack.install(app)
    app.include_router(stack.pages_router(prefix="/handler"))
    outer.mount("/sub", app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url=ORIGIN) as client:
        with pytest.raises(ConfigurationError, match=r'mounted at "/sub".* on the outer app'):
            await client.get("/sub/handler/sign-in")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app, root_path="/sub"), base_url=ORIGIN) as client:
        assert (await client.get("/sub/handler/sign-in")).status_code == 200, "a proxy may have removed a prefix"
    await stack.aclose()


async def test_without_one_the_app_starts():
    stack, app = StackAuth(app_url=ORIGIN), FastAPI()
    stack.install(app)
    app.include_router(stack.pages_router(prefix="/deep/handler"))
    async with app.router.lifespan_context(app):
        pass


@pytest.mark.parametrize("first", ["router", "pages"])
async def test_links_of_all_routers_lead_to_the_pages(server: Emulator, first: str):
    """Whichever is mounted first; except the magic link of a client that keeps its own tokens."""
    stack, app = new_stack(server), FastAPI()
    stack.install(app)
    if first == "pages":
        app.include_router(stack.pages_router(prefix="/handler"))
    app.include_router(stack.router(), prefix="/auth")
    app.include_router(stack.router(delivery="body"), prefix="/api/auth")
    if first == "router":
        app.include_router(stack.pages_router(prefix="/handler"))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN, headers={"origin": ORIGIN})
    async with client:
        for prefix in ("/auth", "/api/auth"):
            email = f"ada{len(prefix)}@example.com"
            await client.post(f"{prefix}/password/sign-up", json={**ADA, "email": email})
            await client.post(f"{prefix}/password/forgot", json={"email": email})
            await client.post(f"{prefix}/otp/send", json={"email": f"new-{email}"})
            links = [server.emails(email, kind)[0]["link"] for kind in ("email_verification", "password_reset")]
            assert [link.partition("?")[0] for link in links] == [
                f"{ORIGIN}/handler/email-verification", f"{ORIGIN}/handler/password-reset",
            ]  # fmt: skip
            own = "/api/auth/magic-link/callback" if prefix == "/api/auth" else "/handler/magic-link-callback"
            assert server.emails(f"new-{email}", "sign_in")[0]["link"].startswith(f"{ORIGIN}{own}?code=")
    await stack.aclose()


@pytest.mark.parametrize(("pages", "address"), [
    (None, f"{ORIGIN}/handler/team-invitation"), ({"team_invitation": "/mine"}, f"{ORIGIN}/mine"),
])  # fmt: skip
async def test_invitations_of_the_team_routes_lead_to_the_pages(
    server: Emulator, pages: dict[TeamPage, str] | None, address: str
):
    server.configure(client_team_creation_enabled=True)
    server.add_user(primary_email=EMAIL, primary_email_verified=True, password=PASSWORD)
    site = Site(server)
    site.app.include_router(site.stack.teams_router(pages=pages), prefix="/auth")
    async with site.visitor() as visitor:
        await visitor.open("/handler/sign-in")
        await visitor.submit(**ADA)
        team = (await visitor.client.post("/auth/teams", json={"display_name": "Red team"})).json()["id"]
        invited = await visitor.client.post(f"/auth/teams/{team}/invitations", json={"email": "grace@example.com"})
    assert invited.status_code == 201
    assert server.emails("grace@example.com", "team_invitation")[0]["link"].partition("?")[0] == address
    await site.stack.aclose()


async def test_a_page_of_the_app_beats_a_prebuilt_one(server: Emulator):
    stack, app = new_stack(server), FastAPI()
    stack.install(app)
    app.include_router(stack.pages_router(prefix="/handler"))
    app.include_router(stack.router(pages={"verify_email": "/mine"}), prefix="/auth")
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN, headers={"origin": ORIGIN})
    async with client:
        await client.post("/auth/password/sign-up", json=ADA)
    assert server.emails(EMAIL, "email_verification")[0]["link"].startswith(f"{ORIGIN}/mine?code=")
    await stack.aclose()


async def test_sign_in_url_beats_the_sign_in_page(server: Emulator):
    site = Site(server, sign_in_url="/mine")
    async with site.visitor() as visitor:
        answer = await visitor.client.get("/notes", headers={"accept": "text/html"})
        assert answer.headers["location"] == "/mine?return_to=%2Fnotes"
        program = await visitor.client.get("/notes")
        assert program.status_code == 401
    await site.stack.aclose()


async def test_pages_are_not_in_the_schema(site: Site):
    assert list(site.app.openapi()["paths"]) == ["/notes"]


async def test_a_dependency_of_the_whole_app_makes_no_loop(server: Emulator):
    """The sign-in page cannot need a sign-in: it says so, rather than to lead to itself."""
    stack, app = new_stack(server), FastAPI(dependencies=[Depends(current_user)])
    stack.install(app)
    app.include_router(stack.pages_router(prefix="/handler"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client:
        headers = {"accept": "text/html", "origin": ORIGIN}
        opened = await client.get("/handler/account-settings", headers=headers)
        assert opened.headers["location"] == "/handler/sign-in?return_to=%2Fhandler%2Faccount-settings"
        assert (await client.get(opened.headers["location"], headers=headers)).status_code == 401
        assert (await client.post("/handler/sign-in", data=ADA, headers=headers)).status_code == 401
    await stack.aclose()


async def test_pages_answer_head_and_their_forms_open_pages(site: Site):
    """A browser that loads the address of a form again gets the page."""
    async with site.visitor() as visitor:
        assert (await visitor.client.head("/handler/sign-in")).status_code == 200
        opened = await visitor.client.get("/handler/sign-in/send?return_to=/notes&by=code")
        assert opened.headers["location"] == "/handler/sign-in?return_to=%2Fnotes&by=code"
        opened = await visitor.client.get("/handler/email-verification/continue?step=sent")
        assert opened.headers["location"] == "/handler/email-verification?step=sent"


async def test_an_old_stylesheet_is_not_kept(site: Site):
    async with site.visitor() as visitor:
        page = await visitor.open("/handler/sign-in")
        current = next(found["href"] for tag, found in page.tags if tag == "link")
        assert (await visitor.client.get(current)).headers["cache-control"].endswith("immutable")
        old = await visitor.client.get("/handler/style-0123456789abcdef.css")
        assert (old.status_code, old.headers["cache-control"]) == (200, "no-cache")
        known = {"if-none-match": old.headers["etag"]}
        assert (await visitor.client.get(current, headers=known)).status_code == 304


async def test_the_sign_in_page_weighs_little(visitor: Visitor):
    """The page, one stylesheet and one script: less than 30 KB, compressed or not."""
    page = await visitor.open("/handler/sign-in")
    sources = [found.get("href") or found.get("src") for tag, found in page.tags if tag in ("link", "script")]
    assert len(sources) == 2
    files = [await visitor.client.get(str(source)) for source in sources]
    assert sum(len(each.content) for each in (visitor.response, *files)) < 30_000


RUN = """
import sys
sys.modules["jinja2"] = None
from fastapi import FastAPI
from fastapi_stackauth import StackAuth, Theme
from fastapi_stackauth.errors import ConfigurationError
stack, app = StackAuth(app_url="http://localhost:8000"), FastAPI()
stack.install(app)
app.include_router(stack.router(), prefix="/auth")
Theme(name="Acme")
try:
    stack.pages_router(prefix="/handler")
except ConfigurationError as error:
    print(error)
"""


def test_an_app_without_the_extra_works_and_is_told_its_name():
    """Everything but the pages; and the message says what to install."""
    run = subprocess.run([sys.executable, "-c", RUN], check=True, capture_output=True, text=True)
    assert "pip install 'fastapi-stackauth[pages]'" in run.stdout


def test_importing_the_library_loads_no_page():
    program = "import sys, fastapi_stackauth; fastapi_stackauth.StackAuth(project_id='p'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert "fastapi_stackauth.pages" in loaded
    assert not [each for each in loaded if each.startswith(("jinja2", "fastapi_stackauth.pages."))]


def test_the_theme_is_public():
    import fastapi_stackauth

    assert fastapi_stackauth.Theme is Theme
