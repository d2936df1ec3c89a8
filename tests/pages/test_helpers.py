"""What an app's own pages use: where to return, whom to show, and where a sign-out leads."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastapi_stackauth import DisplayUser, StackAuth
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.faults import Fault
from fastapi_stackauth.errors import ConfigurationError
from tests.pages.site import EMAIL, ORIGIN, PASSWORD, Site, Visitor
from tests.routers.addresses import ADDRESSES, ALLOWED, as_browsers_read
from tests.support.rows import rows

STACK = StackAuth(
    app_url=ORIGIN,
    trusted_origins=["https://front.example"],
    redirect_urls=["myapp://auth/", "https://other.example"],
    after_sign_in="/notes",
)


@given(ADDRESSES | st.none(), st.sampled_from([None, "/", "https://front.example/home"]))
@example("//evil.example", None)
@example("/\\evil.example", None)
@example("https://front.example@evil.example", "/")
def test_safe_return_to_never_leads_elsewhere(value: str | None, default: str | None):
    """Whatever a request names: a browser stays in the app, or goes where the settings say."""
    found = STACK.safe_return_to(value, default=default)
    assert found in (value, default or "/notes")
    target = urlsplit(urljoin(ORIGIN + "/deep/page", as_browsers_read(found)))
    assert f"{target.scheme}://{target.netloc}".lower() in ALLOWED or found.startswith("myapp://auth/")


@rows(
    ("value", "default", "expected"),
    [
        ("/a?page=2#x", None, "/a?page=2#x"),
        ("https://front.example/x", "/home", "https://front.example/x"),
        (None, None, "/notes"),
        ("", None, "/notes"),
        ("https://evil.example", None, "/notes"),
        ("//evil.example", "/home", "/home"),
        (["/a"], None, "/notes"),
    ],
)
def test_safe_return_to_follows_the_rules_of_the_pages(value: str, default: str | None, expected: str):
    assert STACK.safe_return_to(value, default=default) == expected


@rows("default", ["//evil.example", "https://evil.example", "notes", ""])
def test_a_default_elsewhere_is_an_error_at_each_call(default: str):
    """Also if the request names a good address: a default from the request would be found by the first test."""
    with pytest.raises(ConfigurationError, match=r"safe_return_to: default must be a path .* got"):
        STACK.safe_return_to("/notes", default=default)


async def test_after_sign_out_is_where_the_sign_out_leads(server: Emulator):
    for chosen, expected in (("/bye", "/bye"), ("https://www.example.com/bye", "https://www.example.com/bye")):
        site = Site(server, after_sign_out=chosen)
        async with site.visitor() as visitor:
            await _sign_in(visitor, f"{len(chosen)}-{EMAIL}")
            await visitor.open("/handler/sign-out")
            policy = visitor.response.headers["content-security-policy"]
            sent = await visitor.client.post("/handler/sign-out")
            assert (sent.status_code, sent.headers["location"]) == (303, expected)
            assert f"form-action 'self'{' https://www.example.com' if '://' in chosen else ''};" in policy
        await site.stack.aclose()


async def test_return_to_beats_after_sign_out(server: Emulator):
    site = Site(server, after_sign_out="/bye")
    async with site.visitor() as visitor:
        await _sign_in(visitor)
        await visitor.open("/handler/sign-out?return_to=/notes")
        sent = await visitor.client.post(visitor.page.forms[0]["action"])
        assert sent.headers["location"] == "/notes"
    await site.stack.aclose()


async def test_a_page_shows_its_user_or_nobody(site: Site, visitor: Visitor):
    """In an outage, only a session that can still be verified is shown; afterwards it is there again."""

    @site.app.get("/navigation")
    async def navigation(user: DisplayUser) -> str:
        return user.email or "" if user else "Sign in"

    assert (await visitor.client.get("/navigation")).json() == "Sign in"
    await _sign_in(visitor)
    assert (await visitor.client.get("/navigation")).json() == EMAIL
    site.server.clock.advance(3_600)  # the access token expires
    site.server.server.faults.add(Fault("/api/v1", None, 503, 0, None, None, None))
    assert (await visitor.client.get("/navigation")).json() == "Sign in"
    site.server.server.faults.clear()
    assert (await visitor.client.get("/navigation")).json() == EMAIL


async def _sign_in(visitor: Visitor, email: str = EMAIL) -> None:
    await visitor.open("/handler/sign-up")
    await visitor.submit(email=email, password=PASSWORD)
