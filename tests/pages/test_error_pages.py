"""Errors of an app's own routes: a page for browsers, a problem document for all others."""

from datetime import timedelta
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException, WebSocket
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from fastapi_stackauth import AuthEvent, CurrentTeam, CurrentUser, Require, StackAuth, StackAuthError, Theme, User
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.faults import Fault
from fastapi_stackauth.errors import AuthError, VerificationUnavailable
from fastapi_stackauth.http.handlers import prefers_html
from tests.pages.site import EMAIL, ORIGIN, PASSWORD, Document, Site, Visitor
from tests.support.rows import rows

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def failing(site: Site) -> Site:
    """An app whose route `/fail/<code>` raises an error of this library."""

    @site.app.api_route("/fail/{code}", methods=["GET", "POST"], include_in_schema=False)
    async def fail(code: str) -> None:
        details = {"restricted_reason": "email_not_verified"} if code == "restricted_not_allowed" else {}
        raise VerificationUnavailable(retry_after=7) if code == "outage" else AuthError(code, details=details)

    @site.app.get("/teams/{team_id}")
    async def team(team: CurrentTeam) -> str:
        return team.id

    @site.app.get("/permitted")
    async def show_permitted(user: Annotated[User, Depends(Require(permission="admin"))]) -> str:
        return user.id

    return site


async def test_each_error_is_a_page_with_a_way_on(failing: Site, visitor: Visitor):
    account, back = "/handler/account-settings", "?return_to=%2Ffail%2F{}%3Fpage%3D2"
    expected = {
        ("POST", "session_revoked"): (401, "Sign in to continue", "This session has ended.", "/handler/sign-in"),
        ("POST", "token_expired"): (401, "Sign in to continue", "Sign in to use this.", "/handler/sign-in"),
        ("POST", "reauthentication_required"): (401, "Sign in to continue", "again", "/handler/sign-in?prompt=login"),
        ("GET", "anonymous_not_allowed"): (403, "Access denied", "Sign up first.", "/handler/sign-up" + back),
        ("GET", "email_not_verified"): (403, "Access denied", "Verify your email", account + "#emails"),
        ("GET", "restricted_not_allowed"): (403, "Access denied", "Verify your email", account + "#emails"),
        ("GET", "mfa_enrollment_required"): (403, "Access denied", "Enable two", account + "/two-factor"),
        ("GET", "permission_missing"): (403, "Access denied", "A permission is missing", "/"),
        ("GET", "team_not_found"): (404, "Not found", "There is no such team.", "/"),
        ("GET", "outage"): (503, "Try again soon", "not available right now", "/fail/outage?page=2"),
        ("POST", "outage"): (503, "Try again soon", "not available right now", "/"),
    }
    wrong = {}
    for (method, code), (status, heading, text, address) in expected.items():
        headers = {"accept": BROWSER}
        response = await visitor.client.request(method, f"/fail/{code}?page=2&done=saved&error=x", headers=headers)
        page = await visitor.show(response)
        link = address.format(code).replace("page%3D2", "page%3D2%26done%3Dsaved%26error%3Dx")
        link = link.replace("page=2", "page=2&done=saved&error=x")
        found = (response.status_code, page.heading, text in page.text, page.links()[0])
        if found != (status, heading, True, link) or "Saved." in page.text:
            wrong[method, code] = (*found, page.text)
    assert not wrong


async def test_real_errors_of_dependencies_are_pages(failing: Site, visitor: Visitor):
    await visitor.sign_up()
    for path, status in (("/teams/11111111-1111-4111-8111-111111111111", 403), ("/permitted", 403)):
        page = await visitor.open(path)
        assert (visitor.response.status_code, page.heading) == (status, "Access denied")
        assert visitor.path == path


async def test_the_page_keeps_the_headers_of_the_error(failing: Site, visitor: Visitor):
    """And has those of pages: nothing from elsewhere, no frames, not stored."""
    await visitor.open("/fail/outage")
    headers = visitor.response.headers
    assert (headers["retry-after"], headers["cache-control"]) == ("7", "no-store")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["content-type"] == "text/html; charset=utf-8"
    denied = await visitor.client.post("/fail/token_expired", headers={"accept": BROWSER})
    assert denied.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert (denied.headers["cache-control"], denied.status_code) == ("no-store", 401)


@rows(
    ("accept", "html"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML ; q=0.5", True),
        ("text/html, application/json", True),
        ("application/json;q=0.5, text/html", True),
        ("application/json, text/html", False),
        ("application/json, text/html;q=0.9", False),
        ("application/problem+json, text/html;q=0.9", False),
        ("text/html;q=0", False),
        ("text/html;q=x", False),
        ("*/*", False),
        ("text/*", False),
        ("application/json, text/plain, */*", False),
        ("", False),
        ("x," * 2000 + "text/html", False),
    ],
)
def test_html_is_for_callers_that_prefer_it(accept: str, html: bool):
    assert _prefers(accept.encode()) is html


@given(st.binary(max_size=200))
def test_any_accept_header_can_be_read(accept: bytes):
    assert _prefers(accept) in (True, False)


def _prefers(accept: bytes) -> bool:
    return prefers_html(HTTPConnection({"type": "http", "headers": [(b"accept", accept)]}))


async def test_others_get_problem_documents(failing: Site, visitor: Visitor):
    """Programs, WebSockets, the JSON routes whatever they accept, and an app without pages."""
    failing.app.include_router(failing.stack.router(), prefix="/auth")
    program = await visitor.client.get("/fail/permission_missing")
    api = await visitor.client.get("/auth/sessions", headers={"accept": "text/html"})
    for answer, status in ((program, 403), (api, 401)):
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    bare = FastAPI()
    stack = StackAuth(app_url=ORIGIN, project_id=failing.server.project_id)
    stack.install(bare)

    @bare.get("/me")
    async def me(user: CurrentUser) -> str:
        return user.id

    async with httpx.AsyncClient(transport=httpx.ASGITransport(bare), base_url=ORIGIN) as client:
        answer = await client.get("/me", headers={"accept": BROWSER})
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_websocket_gets_no_page(failing: Site):
    @failing.app.websocket("/feed")
    async def feed(websocket: WebSocket, user: CurrentUser) -> None:
        raise AssertionError

    client = TestClient(failing.app)
    with pytest.raises(Exception) as refused, client.websocket_connect("/feed", headers={"accept": BROWSER}):  # noqa: PT011 - of the client
        pass
    assert "html" not in str(getattr(refused.value, "headers", ""))


async def test_the_errors_of_the_app_stay_as_they_are(site: Site, visitor: Visitor):
    @site.app.get("/gone")
    async def raise_own() -> None:
        raise HTTPException(403, "mine")

    for path, status, body in (("/gone", 403, "mine"), ("/nowhere", 404, "Not Found")):
        answer = await visitor.client.get(path, headers={"accept": BROWSER})
        assert (answer.status_code, answer.json()) == (status, {"detail": body})


async def test_a_handler_of_the_app_beats_the_pages(server: Emulator):
    from fastapi.responses import PlainTextResponse

    from tests.routers.callers import new_stack

    stack, app = new_stack(server), FastAPI()

    @app.exception_handler(StackAuthError)
    async def mine(request: Any, error: StackAuthError) -> PlainTextResponse:
        return PlainTextResponse(error.code, error.status_code)

    stack.install(app)
    app.include_router(stack.pages_router(prefix="/handler"))

    @app.get("/me")
    async def me(user: CurrentUser) -> str:
        return user.id

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client:
        assert (await client.get("/me", headers={"accept": BROWSER})).text == "authentication_required"
    await stack.aclose()


async def test_pages_are_in_the_language_and_theme(server: Emulator):
    site = Site(server, Theme(name="Acme <b>"))

    @site.app.get("/fail")
    async def fail() -> None:
        raise AuthError("permission_missing")

    async with site.visitor() as visitor:
        page = await visitor.open("/fail", **{"accept-language": "de"})
        assert page.heading == "Zugriff verweigert"
        assert "Acme <b>" in page.text
        assert not [link for link in page.links() if "/language/" in link]
    await site.stack.aclose()


async def test_a_page_about_an_outage_asks_the_auth_server_nothing(site: Site, visitor: Visitor):
    """It would wait once more for what does not answer; the name of the project is shown if it is known."""
    await visitor.sign_up()
    site.server.clock.advance(3_600)
    site.server.server.faults.add(Fault("/api/v1", None, 503, 0, None, None, None))
    calls: list[str] = []

    @site.stack.events.on("auth_server_call")
    def record(event: AuthEvent) -> None:
        calls.append(event.name)

    page = await visitor.open("/notes")
    assert (visitor.response.status_code, page.heading) == (503, "Try again soon")
    for_a_page = len(calls)
    assert (await visitor.client.get("/notes")).headers["content-type"] == "application/problem+json"
    assert for_a_page == len(calls) - for_a_page > 0


async def test_errors_of_the_pages_lead_on_too(site: Site, visitor: Visitor):
    """A guest signs up and comes back; after an outage, the same page is tried again, but never one with a code."""
    site.app.include_router(site.stack.router(), prefix="/auth")
    site.app.include_router(site.stack.cli_router(share_browser_session=True), prefix="/cli")
    await visitor.client.post("/auth/anonymous/sign-up")
    page = await visitor.open("/handler/cli-auth-confirm?code=ABCD")
    assert visitor.response.status_code == 403
    assert page.links()[0] == "/handler/sign-up"
    page = await visitor.open("/handler/cli-auth-confirm")
    assert page.links()[0] == "/handler/sign-up?return_to=%2Fhandler%2Fcli-auth-confirm"
    site.server.server.faults.add(Fault("/api/v1", None, 503, 0, None, None, None))
    page = await visitor.open("/handler/account-settings?done=saved")
    assert (visitor.response.status_code, page.links()[0]) == (503, "/handler/account-settings?done=saved")
    sent = await visitor.client.post("/handler/teams", data={"display_name": "Red team"})
    assert (sent.status_code, Document(sent.text).links()[0]) == (503, "/handler/sign-in")


async def test_wrong_keys_of_the_app_are_no_fault_of_the_user(server: Emulator):
    """The page says that sign-in is not available, for a page and for a form; the log says why."""
    site = Site(server, publishable_client_key="pck_wrong")
    async with site.visitor() as visitor:
        page = await visitor.open("/handler/sign-in")
        assert (visitor.response.status_code, page.heading) == (502, "Try again soon")
        form = {"email": EMAIL, "password": PASSWORD}
        page = await visitor.show(await visitor.client.post("/handler/sign-in", data=form))
        assert (visitor.response.status_code, page.heading) == (502, "Try again soon")
        assert "Sign-in is not available right now." in page.text
        assert "pck_" not in page.text
    await site.stack.aclose()


async def test_a_stale_form_leads_to_sign_in(server: Emulator):
    """A form whose session has ended: its page says so, with the app's own sign-in page if there is one."""
    site = Site(server, sign_in_url="/mine")

    @site.app.post("/notes")
    async def add(user: Annotated[User, Depends(Require(max_age=timedelta(hours=1)))]) -> str:
        return user.id

    async with site.visitor() as visitor:
        answer = await visitor.client.post("/notes", headers={"accept": BROWSER})
        page = await visitor.show(answer)
    assert (answer.status_code, page.heading, page.links()[0]) == (401, "Sign in to continue", "/mine")
    await site.stack.aclose()


async def test_the_way_to_a_provider_has_the_theme(server: Emulator):
    """For the account page and for a form of the app that posts to the JSON route."""
    site = Site(server, Theme(name="Acme"))
    site.app.include_router(site.stack.router(), prefix="/auth")
    async with site.visitor() as visitor:
        await visitor.open("/handler/sign-up")
        await visitor.submit(email=EMAIL, password=PASSWORD)
        for address in ("/handler/account-settings/providers/github/connect", "/auth/oauth/github/link"):
            headers = {"accept": BROWSER, "content-type": "application/x-www-form-urlencoded"}
            answer = await visitor.client.post(address, content="return_to=/notes", headers=headers)
            page = await visitor.show(answer)
            assert (answer.status_code, page.heading) == (200, "One moment"), address
            assert page.find(rel="stylesheet")["href"].startswith("/handler/style-")
            assert "Acme" in page.text
            target = answer.headers["refresh"].removeprefix("0; url=")
            assert (page.links()[0], target.startswith("http")) == (target, True)
    await site.stack.aclose()
