"""API keys by the routes: sessions alone manage them, a value is shown once, a revoked key is rejected at once."""

import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any, get_args

import httpx
import pytest
from fastapi import Depends, FastAPI

from fastapi_stackauth import ConfigurationError, Require, StackAuth, User, api_key_team
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.models import Team
from fastapi_stackauth.routers import ApiKeyFeature, Delivery
from tests.routers.callers import ORIGIN, House, Person, assert_problem
from tests.routers.operations import operations
from tests.routers.teams.company import UNKNOWN, Company, Member, company_at, keyed_stack
from tests.support.redis_server import RedisServer
from tests.support.rows import rows

NEW = {"description": "backup script"}
MILLIS = 1_900_000_000_000


def open_house(server: Emulator, stack: StackAuth) -> House:
    """An app whose routes take API keys, too."""
    house = House(server, stack)
    with_key = Require(allow_api_key=True)

    @house.app.get("/robots")
    async def robots(user: Annotated[User, Depends(with_key)]) -> str:
        return user.id

    @house.app.get("/team-robots")
    async def team_robots(team: Annotated[Team, Depends(api_key_team)]) -> str:
        return team.id

    return house


@asynccontextmanager
async def working(server: Emulator, delivery: Delivery, **options: Any) -> AsyncIterator[Company]:
    """Two teams at such an app."""
    stack = keyed_stack(server, **options)
    async with aclosing(stack), company_at(open_house(server, stack), server, delivery) as company:
        yield company


@pytest.fixture
async def company(server: Emulator, delivery: Delivery) -> AsyncIterator[Company]:
    async with working(server, delivery) as company:
        yield company


def paths(company: Company) -> dict[str, str]:
    return {"/robots": "/api-keys", "/team-robots": f"/teams/{company.red}/api-keys"}


async def create(member: Member, path: str, **fields: Any) -> dict[str, Any]:
    answer = await member.call("POST", path, {**NEW, **fields})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def use(house: House, path: str, key: str) -> httpx.Response:
    """Call the app with a key."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(house.app), base_url=ORIGIN) as robot:
        return await robot.get(path, headers={"x-api-key": key})


# --- what the routes do ---


async def test_a_key_is_created_listed_renamed_and_revoked(company: Company):
    """For users and for teams alike; only the response to the creation has the key."""
    for robots, path in paths(company).items():
        made = await create(company.boss, path, expires_at_millis=MILLIS, is_public=False)
        key = made.pop("value")
        assert key.startswith("sk_")
        shown = {**made, "value": {"last_four": key[-4:]}}
        listed = await company.boss.call("GET", path)
        assert listed.json() == {"items": [shown], "next_cursor": None}
        owner = company.boss.id if robots == "/robots" else company.red
        assert (await use(company.house, robots, key)).json() == owner
        one = f"{path}/{made['id'].upper()}"
        renamed = await company.boss.call("PATCH", one, {"description": "other script"})
        assert renamed.json() == {**shown, "description": "other script"}
        for _ in range(2):
            assert (await company.boss.call("DELETE", one)).status_code == 204
        (revoked,) = (await company.boss.call("GET", path)).json()["items"]
        assert revoked["manually_revoked_at_millis"]


async def test_the_response_with_a_new_key_is_not_stored(company: Company):
    """Neither a browser nor a proxy keeps the secret."""
    for path in paths(company).values():
        made = await company.boss.call("POST", path, NEW)
        assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")


async def test_a_public_key_can_be_told_from_a_secret_one(company: Company):
    """A key that may be published starts with `pk_`, any other with `sk_`."""
    for robots, path in paths(company).items():
        for is_public, start in ((True, "pk_"), (False, "sk_")):
            made = await create(company.boss, path, is_public=is_public)
            assert made["is_public"] is is_public
            assert made["value"].startswith(start)
            assert (await use(company.house, robots, made["value"])).status_code == 200


async def test_a_revoked_key_is_rejected_at_once(company: Company):
    """Whatever is cached about its owner, in this worker."""
    for robots, path in paths(company).items():
        made = await create(company.boss, path)
        assert (await use(company.house, robots, made["value"])).status_code == 200
        assert (await company.boss.call("DELETE", f"{path}/{made['id']}")).status_code == 204
        assert_problem(await use(company.house, robots, made["value"]), 401, "api_key_invalid")


async def test_other_workers_reject_a_revoked_key_too(server: Emulator, redis_server: RedisServer):
    """Although Redis still has what a worker stored about the key before."""
    other = keyed_stack(server, redis_url=redis_server.url)
    elsewhere = open_house(server, other)
    async with working(server, "body", redis_url=redis_server.url) as company:
        for robots, path in paths(company).items():
            made = await create(company.boss, path)
            for house in (company.house, elsewhere):
                assert (await use(house, robots, made["value"])).status_code == 200
            assert (await company.boss.call("DELETE", f"{path}/{made['id']}")).status_code == 204
            assert_problem(await use(company.house, robots, made["value"]), 401, "api_key_invalid")
            while (answer := await use(elsewhere, robots, made["value"])).status_code == 200:
                pass  # the test's own timeout is the limit; the clock stands, so that no entry expires
            assert_problem(answer, 401, "api_key_invalid")
    await other.aclose()


async def test_a_form_creates_a_key_and_its_page_shows_it(server: Emulator):
    """Even if the form names a next page, which becomes a link: no later page can show the key."""
    async with working(server, "cookie") as company:
        for robots, path in paths(company).items():
            fields = {"description": "script", "expires_at_millis": str(MILLIS)}
            page = await submit(company.boss.person, f"{path}?on_success=/keys", fields)
            assert page.status_code == 201, page.text
            assert page.headers["cache-control"] == "no-store"
            assert 'href="/keys"' in page.text
            (key,) = re.findall(r'value="(sk_[^"]+)"', page.text)
            assert (await use(company.house, robots, key)).status_code == 200
            (listed,) = (await company.boss.call("GET", path)).json()["items"]
            assert (listed["expires_at_millis"], listed["is_public"]) == (MILLIS, False)
            one = f"{path}/{listed['id']}"
            for action, form in (("patch", {"description": "renamed"}), ("delete", {})):
                done = await submit(company.boss.person, f"{one}/{action}?on_success=/keys", form)
                assert (done.status_code, done.headers["location"]) == (303, "/keys")
            (listed,) = (await company.boss.call("GET", path)).json()["items"]
            assert listed["description"] == "renamed"
            assert listed["manually_revoked_at_millis"]


async def test_only_the_page_of_a_secret_key_says_so(server: Emulator):
    """A public key is no secret."""
    secret, public = "Copy it now and keep it secret.", "Copy it now."
    async with working(server, "cookie") as company:
        for path in paths(company).values():
            for field, start, advice in (({}, "sk_", secret), ({"is_public": "on"}, "pk_", public)):
                page = await submit(company.boss.person, path, {**NEW, **field})
                assert page.status_code == 201, page.text
                assert re.search(f'value="{start}[^"]+"', page.text)
                assert f"<p>{advice} It is not shown again.</p>" in page.text


async def test_a_form_that_fails_leads_back_with_the_error(server: Emulator):
    async with working(server, "cookie") as company:
        query = "?on_success=/keys&on_error=/new-key"
        failed = await submit(company.boss.person, f"/api-keys{query}", {"description": ""})
        assert (failed.status_code, failed.headers["location"]) == (303, "/new-key?error=request_invalid")


# --- who may, and when ---


async def test_creating_a_key_needs_a_recent_sign_in(company: Company):
    """An hour after the sign-in, only creating is closed; the sign-in opens it again."""
    made = {path: await create(company.boss, path) for path in paths(company).values()}
    company.server.clock.advance(3601)
    await refresh(company.boss.person)
    for path, key in made.items():
        answer = await company.boss.call("POST", path, NEW)
        assert assert_problem(answer, 401, "reauthentication_required")["details"] == {"max_age": 3600}
        assert "max_age=3600" in answer.headers["www-authenticate"].replace('"', "")
        assert (await company.boss.call("PATCH", f"{path}/{key['id']}", NEW)).status_code == 200
        assert (await company.boss.call("DELETE", f"{path}/{key['id']}")).status_code == 204
    await company.boss.person.sign_in(company.boss.email)
    for path in made:
        await create(company.boss, path)


async def test_an_impersonation_session_creates_no_key(company: Company):
    """The key would outlive the impersonation. Such a session has no sign-in of the user's whose age could be known."""
    headers = await company.impersonate(company.boss)
    async with company.house.person(company.delivery) as admin:
        for path in paths(company).values():
            assert_problem(await admin.post(path, NEW, headers=headers), 401, "session_revoked")
            assert (await admin.call("GET", path, headers=headers)).json()["items"] == []


async def test_no_key_outlives_a_session_that_has_ended(server: Emulator):
    """Nor an impersonation, even if the app asks for no recent sign-in: the access token alone does not suffice."""
    stack, app = keyed_stack(server), FastAPI()
    stack.install(app)
    app.include_router(stack.router(delivery="body"), prefix="/api/auth")
    app.include_router(stack.api_keys_router(delivery="body", max_age=None), prefix="/api/auth")
    async with company_at(House(server, stack, app=app), server, "body") as company:
        server.store.sessions.delete_of_user(company.boss.id)
        for headers in ({}, await company.impersonate(company.boss)):
            answer = await company.boss.call("POST", "/api-keys", NEW, headers=headers)
            assert_problem(answer, 401, "session_revoked")
    await stack.aclose()


async def test_max_age_none_takes_any_sign_in(server: Emulator):
    """Then OpenAPI does not speak of it either."""
    stack, app = keyed_stack(server), FastAPI()
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")
    app.include_router(stack.api_keys_router(max_age=None), prefix="/auth")
    async with House(server, stack, app=app).person("cookie") as person:
        await person.sign_up()
        server.clock.advance(7200)
        assert (await person.post("/session/refresh")).status_code == 204
        assert (await person.post("/api-keys", NEW)).status_code == 201
    codes = {route.operation_id: route.codes for route in operations(app, "/auth")}
    assert "reauthentication_required" not in codes["api_keys_create"]
    await stack.aclose()


async def test_only_members_with_the_permission_manage_a_teams_keys(company: Company):
    """A missing permission is named; nothing changes."""
    path = f"/teams/{company.red}/api-keys"
    made = await create(company.boss, path)
    for member in (company.member, company.rival, company.outsider):
        for method, where, body in (
            ("GET", path, None), ("POST", path, NEW), ("PATCH", f"{path}/{made['id']}", NEW),
            ("DELETE", f"{path}/{made['id']}", None),
        ):  # fmt: skip
            answer = await member.call(method, where, body)
            details = assert_problem(answer, 403, "permission_missing")["details"]
            assert details == {"permission_id": "$manage_api_keys", "team_id": company.red}
    (listed,) = (await company.boss.call("GET", path)).json()["items"]
    assert (listed["description"], listed["manually_revoked_at_millis"]) == ("backup script", None)


async def test_keys_of_another_owner_are_unknown(company: Company):
    """A user's key is none of a team's, nor the other way round, nor another user's; nothing changes."""
    company.server.join(company.blue, company.boss.id, ["team_admin"])
    own = await create(company.boss, "/api-keys")
    red = await create(company.boss, f"/teams/{company.red}/api-keys")
    for member, path, key in (
        (company.boss, "/api-keys", red),
        (company.boss, f"/teams/{company.red}/api-keys", own),
        (company.boss, f"/teams/{company.blue}/api-keys", red),
        (company.rival, "/api-keys", own),
        (company.boss, "/api-keys", {"id": UNKNOWN}),
    ):
        for method, body in (("PATCH", {"description": "stolen"}), ("DELETE", None)):
            answer = await member.call(method, f"{path}/{key['id']}", body)
            assert_problem(answer, 404, "API_KEY_NOT_FOUND")
    for robots, key in (("/robots", own), ("/team-robots", red)):
        assert (await use(company.house, robots, key["value"])).status_code == 200


async def test_a_project_may_have_no_keys(company: Company):
    """The auth server's 400, which has no code of its own."""
    company.server.configure(allow_user_api_keys=False, allow_team_api_keys=False)
    for path in paths(company).values():
        for method, where, body in (("GET", path, None), ("POST", path, NEW), ("DELETE", f"{path}/{UNKNOWN}", None)):
            assert_problem(await company.boss.call(method, where, body), 400, "auth_server_rejected")


@rows("body", [
    {},
    {"description": None},
    {"description": "x", "expires_at_millis": -1},
    {"description": "x", "expires_at_millis": 10**15},
    {"description": "x", "expires_at_millis": "1900000000000"},
    {"description": "x", "expires_at_millis": True},
    {"description": "x", "is_public": "yes"},
    {"description": "x", "user_id": UNKNOWN},
    {"description": "x", "team_id": UNKNOWN},
])  # fmt: skip
async def test_a_body_of_the_wrong_form_is_422(company: Company, body: dict[str, Any]):
    """No field of a body can name another owner."""
    for path in paths(company).values():
        assert_problem(await company.boss.call("POST", path, body), 422, "request_invalid")


async def test_a_key_that_has_expired_is_422(company: Company):
    """Such as one whose expiry is in seconds. The auth server, which would take it, is not asked."""
    now = int(company.server.clock.now())
    for path in paths(company).values():
        for expiry in (0, now, now + 3600, now * 1000):
            company.server.server.calls.clear()
            answer = await company.boss.call("POST", path, {**NEW, "expires_at_millis": expiry})
            (fault,) = assert_problem(answer, 422, "request_invalid")["details"]["errors"]
            assert fault["location"] == "body.expires_at_millis"
            assert not [call for call in company.server.server.calls if "-api-keys" in call.path]
        await create(company.boss, path, expires_at_millis=now * 1000 + 60_000)


async def test_no_log_line_has_a_key(company: Company, caplog: pytest.LogCaptureFixture):
    """Neither of its creation nor of its use."""
    caplog.set_level(0)
    for robots, path in paths(company).items():
        made = await create(company.boss, path)
        await use(company.house, robots, made["value"])
        await company.boss.call("DELETE", f"{path}/{made['id']}")
        await use(company.house, robots, made["value"])
        assert made["value"] not in caplog.text


# --- the router ---


@rows("options", [{"include": ["user_api_keys"]}, {"exclude": ["team_api_keys"]}, {}])
def test_an_app_chooses_features(options: dict[str, Any]):
    """A feature that is left out is not in OpenAPI."""
    stack, app = StackAuth(app_url="https://app.example.com"), FastAPI()
    stack.install(app)
    app.include_router(stack.api_keys_router(**options), prefix="/auth")
    left = set(options.get("include", set(get_args(ApiKeyFeature)) - set(options.get("exclude", ()))))
    mounted = {"team_api_keys" if "{team_id}" in route.path else "user_api_keys" for route in operations(app, "/auth")}
    assert mounted == left


@rows("options, text", [
    ({"include": ["api_keys"]}, "user_api_keys, team_api_keys"),
    ({"include": "user_api_keys"}, "include must be a list"),
    ({"include": []}, "no feature is left"),
    ({"exclude": ["user_api_keys", "team_api_keys"]}, "no feature is left"),
    ({"delivery": "header"}, "delivery"),
    ({"max_age": 3600}, "max_age must be a timedelta"),
    ({"max_age": timedelta(0)}, "max_age must be a timedelta"),
])  # fmt: skip
def test_a_wrong_argument_raises(options: dict[str, Any], text: str):
    with pytest.raises(ConfigurationError, match=text):
        StackAuth(app_url="https://app.example.com").api_keys_router(**options)


# --- helpers ---


async def refresh(person: Person) -> None:
    """Get a new access token for the same session."""
    body = {"refresh_token": person.refresh_token} if person.delivery == "body" else None
    answer = await person.post("/session/refresh", body)
    assert answer.is_success, answer.text
    if person.delivery == "body":
        person.tokens["access_token"] = answer.json()["access_token"]


async def submit(browser: Person, path: str, fields: dict[str, str]) -> httpx.Response:
    """Post as a browser posts a form."""
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
    return await browser.client.post(browser.path(path), content=str(httpx.QueryParams(fields)), headers=headers)
