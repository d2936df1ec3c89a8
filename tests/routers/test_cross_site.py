"""What other sites make a browser send changes nothing, and signs nobody in or out (design decision 11)."""

import pytest

from fastapi_stackauth.emulator import Emulator
from tests.routers.callers import (
    ACCESS,
    EMAIL,
    ORIGIN,
    PASSWORD,
    PREFIXES,
    REFRESH,
    House,
    Person,
    assert_problem,
    new_stack,
)
from tests.routers.operations import VALUES, operations

FOREIGN: list[dict[str, str]] = [
    {"origin": "https://evil.example"},
    {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    {"origin": ORIGIN, "sec-fetch-site": "cross-site"},
    {"origin": "http://sub.localhost:8000", "sec-fetch-site": "same-site"},
    {"origin": "http://localhost:8001"},
    {"origin": "null"},
    {"origin": "", "sec-fetch-site": "cross-site"},
    {"origin": ""},
]


@pytest.mark.parametrize("signed_in", [True, False])
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_every_unsafe_route_rejects_other_sites(
    house: House, browser: Person, headers: dict[str, str], signed_in: bool
):
    """Every unsafe route refuses another site and sets no cookie."""
    if signed_in:
        await browser.sign_up()
    cookies = dict(browser.client.cookies)
    unsafe = [route for route in operations(house.app, PREFIXES["cookie"]) if route.method != "GET"]
    assert len(unsafe) >= 20
    for route in unsafe:
        answer = await browser.call(route.method, route.concrete, route.body, headers=headers)
        where = f"{route.method} {route.path}"
        if route.page:
            assert answer.status_code == 403, where
        else:
            assert_problem(answer, 403, "cross_site_request")
        assert "set-cookie" not in answer.headers, where
    assert dict(browser.client.cookies) == cookies
    if signed_in:
        assert (await browser.call("GET", "/me")).json()["display_name"] is None
        assert len((await browser.call("GET", "/sessions")).json()) == 1


@pytest.mark.parametrize("path", ["/password/sign-in", "/password/reset", "/verify-email", "/magic-link/callback"])
async def test_a_form_of_another_site_is_refused_too(house: House, browser: Person, path: str):
    await browser.sign_up()
    cookies = dict(browser.client.cookies)
    fields = {"email": EMAIL, "password": PASSWORD, "code": "0" * 45}
    answer = await browser.client.post(browser.path(path), data=fields, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert dict(browser.client.cookies) == cookies


async def test_a_trusted_origin_may_sign_in_and_out(server: Emulator):
    stack = new_stack(server, trusted_origins=["http://front.localhost:3000"])
    async with House(server, stack).person("cookie") as person:
        person.client.headers["origin"] = "http://front.localhost:3000"
        person.client.headers["sec-fetch-site"] = "same-site"
        await person.sign_up()
        assert (await person.post("/sign-out")).status_code == 204
        assert REFRESH not in person.client.cookies
    await stack.aclose()


async def test_body_delivery_has_nothing_for_other_sites(house: House, browser: Person):
    """Where tokens travel in bodies there is nothing for another site to abuse."""
    await browser.sign_up()
    for route in operations(house.app, PREFIXES["body"]):
        answer = await browser.client.request(
            route.method,
            PREFIXES["body"] + route.concrete,
            json=route.body,
            headers={"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        )
        assert not [cookie for cookie in answer.headers.get_list("set-cookie") if cookie.startswith((ACCESS, REFRESH))]
        if route.method != "GET" and route.secured:
            assert answer.status_code in (401, 403)


async def test_the_values_sent_here_have_the_form_that_the_routes_want(house: House, browser: Person):
    """Otherwise the refusals above might be about the form."""
    await browser.sign_up()
    for route in operations(house.app, PREFIXES["cookie"]):
        if route.method == "POST" and route.required:
            answer = await browser.call(route.method, route.concrete, route.body)
            assert answer.status_code != 422, route.path
    assert VALUES["password"] == PASSWORD
