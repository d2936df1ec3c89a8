"""A sign-in leads back into the app, or where the settings say, and never elsewhere."""

import base64
import json
from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import example, given, settings

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.sessions.redirects import allowed_redirect, is_loopback
from fastapi_stackauth.settings import Settings
from tests.routers.addresses import ADDRESSES, ALLOWED, as_browsers_read
from tests.routers.callers import EMAIL, ORIGIN, House, Person, assert_problem, new_stack

SETTINGS = Settings(
    app_url=ORIGIN, trusted_origins=("https://front.example",), redirect_urls=("myapp://auth/", "https://other.example")
)


@settings(deadline=None)  # the machine may be busy
@given(ADDRESSES)
@example("//evil.example")
@example("/\\evil.example")
@example("\\\\evil.example")
@example("https:evil.example")
@example("https:/evil.example")
@example("/\t/evil.example")
@example("http://localhost:8000@evil.example")
@example("http://localhost:8000.evil.example")
@example("http://front.example")
@example("https://front.example:8443/")
@example("//localhost:8000@evil.example")
@example("https://\uff45vil.example")
@example("javascript:alert(1)//https://front.example")
@example("myapp://auth")
@example("myapp://authevil/")
def test_no_address_that_is_let_through_leads_elsewhere(address: str):
    let_through = allowed_redirect(address, SETTINGS)
    if let_through is None:
        return
    assert let_through == address
    target = urlsplit(urljoin(ORIGIN + "/auth/x", as_browsers_read(address)))
    if target.scheme == "myapp":
        assert address.startswith("myapp://auth/")
    else:
        assert f"{target.scheme}://{target.netloc}".lower() in ALLOWED


@pytest.mark.parametrize(
    "address",
    ["/", "/notes?page=2#top", "/a//b", "http://localhost:8000/x", "https://front.example", "https://other.example/a?b",
     "myapp://auth/done", "/caf%C3%A9", "/?next=https://evil.example"],
)  # fmt: skip
def test_redirects_to_the_app_and_to_settings_pass(address: str):
    """Places of the app and those that the settings name are let through."""
    assert allowed_redirect(address, SETTINGS) == address


EVIL = ["//evil.example", "/\\evil.example", "https:evil.example", "https://evil.example", "javascript:alert(1)", "",
        " /x", "/x\ny", "/\u2028", "http://localhost:8000@evil.example", quote("//evil.example", safe=""), "relative",
        "/" + "x" * 3000]  # fmt: skip


@pytest.mark.parametrize(
    "address",
    ["http://a@127.0.0.1/", "https://127.0.0.1/", "http://127.0.0.1.evil.example/", "http://127.0.0.1@evil.example/",
     "http://127.0.0.1\\@evil.example/", "http://[::1", "http://localhost:99999/", "ftp://localhost/",
     "localhost:8000"],
)  # fmt: skip
def test_only_plain_http_on_this_machine_is_loopback(address: str):
    """Only a plain http address of this very machine is on loopback."""
    assert not is_loopback(address)
    assert allowed_redirect(address, SETTINGS) is None


def test_an_address_is_let_through_in_its_plain_spelling_alone():
    assert allowed_redirect("https://front.example/x", SETTINGS)
    assert not allowed_redirect("HTTPS://front.example/x", SETTINGS)
    assert is_loopback("http://127.0.0.1:7777/back")


@pytest.mark.parametrize("return_to", EVIL)
async def test_asking_for_a_code_refuses_a_place_elsewhere(house: House, browser: Person, return_to: str):
    answer = await browser.post("/otp/send", {"email": EMAIL, "return_to": return_to})
    assert_problem(answer, 422, "request_invalid")
    assert "set-cookie" not in answer.headers
    assert not house.server.emails(EMAIL)


@pytest.mark.parametrize("return_to", EVIL)
async def test_a_forged_cookie_leads_nowhere_else_either(house: House, browser: Person, return_to: str):
    """The address is checked again at the end: a cookie is not a promise."""
    await browser.ask_for_code()
    (cookie,) = [cookie for cookie in browser.client.cookies.jar if cookie.name.endswith("-otp")]
    facts = json.loads(base64.urlsafe_b64decode((cookie.value or "") + "==="))
    forged = base64.urlsafe_b64encode(json.dumps({**facts, "return_to": return_to}).encode()).rstrip(b"=").decode()
    cookie.value = forged
    answer = await browser.client.get(house.mail("sign_in")["link"])
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("value", ["", "x", "e30", "bnVsbA", "WzFd", "eyJub25jZSI6ICJcdWQ4MDAifQ", "%%%", "é"])
async def test_a_flow_cookie_that_cannot_be_read_is_none(house: House, browser: Person, value: str):
    async with house.person("cookie") as asking:
        await asking.ask_for_code()
    headers = [(b"cookie", f"stackauth-otp={value}".encode("latin-1"))]
    page = await browser.client.get(house.mail("sign_in")["link"], headers=headers)
    assert page.status_code == 200
    assert "<form" in page.text


async def test_a_front_end_that_the_settings_name_is_returned_to(server: Emulator):
    stack = new_stack(server, trusted_origins=["https://front.example"])
    house = House(server, stack)
    for return_to in ("https://front.example/done", "/notes"):
        async with house.person("cookie") as person:
            await person.ask_for_code(return_to=return_to)
            answer = await person.client.get(house.mail("sign_in")["link"])
            assert answer.headers["location"] == return_to
    await stack.aclose()
