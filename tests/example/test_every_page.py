"""What holds on every page: readable for everybody, light and dark, on a phone, and under a strict policy."""

from typing import Any

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import ViewportSize, expect

from example_app.samples import TEAM_ID
from tests.example.visitors import Demo, Visitor
from tests.example.walk import STOPS, Stop, reach

pytestmark = pytest.mark.asyncio(loop_scope="session")
PHONE: ViewportSize = {"width": 360, "height": 640}


def names(stop: Stop) -> str:
    return stop.name


async def serious_issues(visitor: Visitor) -> list[str]:
    found = await Axe().run(visitor.page)
    serious = [each for each in found.response["violations"] if each["impact"] in ("serious", "critical")]
    return [f"{each['id']}: {node['html']}" for each in serious for node in each["nodes"]]


@pytest.mark.parametrize("stop", STOPS, ids=names)
async def test_no_page_has_a_serious_issue_nor_is_too_wide_for_a_phone(stop: Stop, visit: Any, demo: Demo):
    visitor = await visit(bypass_csp=True)  # the checker is a script within the page
    await reach(stop, visitor, demo)
    await visitor.page.emulate_media(color_scheme="light")
    assert await serious_issues(visitor) == [], "on a desk, light"
    await visitor.page.emulate_media(color_scheme="dark")
    await visitor.page.set_viewport_size(PHONE)
    assert await serious_issues(visitor) == [], "on a phone, dark"
    assert await visitor.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


async def test_on_a_phone_sign_out_is_beside_the_account(visit: Any, demo: Demo):
    """On a phone sign out stands beside the account and not under the brand."""
    for who in ("grace@example.com", "guest"):
        visitor = await visit(viewport=PHONE)
        await reach(Stop("notes", "/notes", who), visitor, demo)
        brand = await visitor.page.locator(".brand").bounding_box()
        button = await visitor.page.get_by_role("button", name="Sign out").bounding_box()
        assert brand
        assert button
        assert button["x"] > brand["x"] + brand["width"]
        assert 0 <= PHONE["width"] - (button["x"] + button["width"]) < 30, "at the right edge"


async def test_on_a_phone_dates_and_addresses_stay_whole(visit: Any, demo: Demo):
    visitor = await visit(viewport=PHONE)
    lines = "all => all.map(each => { const range = document.createRange(); range.selectNodeContents(each);"
    lines += " return new Set([...range.getClientRects()].map(box => Math.round(box.top))).size; })"
    await reach(Stop("team", f"/teams/{TEAM_ID}", "grace@example.com"), visitor, demo)
    for path, whole in ((f"/teams/{TEAM_ID}", "time"), ("/admin", ".rows .hint")):
        await visitor.open(path)
        counted = await visitor.page.locator(whole).evaluate_all(lines)
        assert counted
        assert set(counted) == {1}, path


@pytest.mark.parametrize("path", ["/", "/nowhere", "/auth/passkey.js", "/static/style.css", "/api/hello"])
async def test_every_answer_has_the_security_headers(demo: Demo, path: str):
    async with httpx.AsyncClient(base_url=demo.app) as client:
        headers = (await client.get(path, headers={"accept": "text/html"})).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-opener-policy"] == "same-origin"


async def test_pages_of_somebody_are_never_stored(demo: Demo):
    async with httpx.AsyncClient(base_url=demo.app, headers={"origin": demo.app}) as client:
        await client.post("/auth/anonymous/sign-up")
        for path in ("/", "/notes", "/handler/account-settings", "/teams"):
            answer = await client.get(path, headers={"accept": "text/html"})
            assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_the_api_docs_work_with_the_apps_own_files_alone(visitor: Visitor, demo: Demo, path: str):
    answered: list[str] = []
    visitor.page.on("response", lambda response: answered.append(response.url))
    await visitor.open(path)
    await expect(visitor.page.get_by_text("Get the signed-in user").filter(visible=True).first).to_be_visible()
    await visitor.page.wait_for_load_state("networkidle")
    local = (f"{demo.app}/", "data:", "blob:")
    assert [url for url in answered if not url.startswith(local)] == []
    logo = "https://cdn.redoc.ly/redoc/logo-mini.svg"  # ReDoc asks for it whatever it is told; the policy says no
    visitor.troubles[:] = [trouble for trouble in visitor.troubles if logo not in trouble]
    assert visitor.troubles == []


@pytest.mark.parametrize("path", ["/docs", "/docs/oauth2-redirect", "/redoc"])
async def test_the_policy_of_the_api_docs_names_no_other_host(demo: Demo, path: str):
    async with httpx.AsyncClient(base_url=demo.app) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "//" not in answer.headers["content-security-policy"]
    assert "https://" not in answer.text.partition("<body>")[0], "nor does the page ask for anything there"


async def test_a_program_gets_problems_where_a_person_gets_pages(demo: Demo):
    async with httpx.AsyncClient(base_url=demo.app) as client:
        program, person = [await client.get("/teams", headers={"accept": each}) for each in ("*/*", "text/html")]
        missing = await client.get("/nowhere")
    assert (program.status_code, program.json()["code"]) == (401, "authentication_required")
    assert (person.status_code, person.headers["location"]) == (303, "/handler/sign-in?return_to=%2Fteams")
    assert missing.json() == {"detail": "Not Found"}
    assert program.headers["content-type"] == "application/problem+json"
