"""Permissions and teams, on the emulator over real HTTP: who may, how often it is asked, what who may not is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.security import SecurityScopes
from openapi_spec_validator import validate
from starlette.requests import HTTPConnection

from fastapi_stackauth import (
    AuthError,
    ConfigurationError,
    Require,
    RequireTeam,
    SessionWatch,
    StackAuth,
    Team,
    User,
    WatchSession,
    current_team,
    current_user,
)
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.testing import override_user
from tests.dependencies.helpers import protect
from tests.support.company import Company
from tests.support.openapi import inline_references
from tests.support.world import until

NOBODYS = "7d0d1d5e-7f3b-4b1c-9a55-2f4f4f0c9a11"


@pytest.fixture(params=["as the user", "as the server"])
async def company(request: pytest.FixtureRequest, server: Emulator) -> AsyncIterator[Company]:
    keys = {"secret_server_key": server.secret_server_key} if request.param == "as the server" else {}
    company = Company(server, **keys)
    await company.create_team()
    yield company
    await company.stack.aclose()
    await company.admin.aclose()


async def test_a_team_permission_may_be_contained_in_another(company: Company):
    """A team permission lets in who has it or one that contains it."""
    protect(company.app, Require(team_permission="posts:read", team="team_id"), "/teams/{team_id}/posts")
    path = f"/teams/{company.team_id}/posts"
    assert await company.answer(company.member, path) == "ok"
    assert await company.answer(company.boss, path) == "403 permission_missing"
    assert await company.answer(company.outsider, path) == "403 permission_missing"
    assert await company.answer(None, path) == "401 authentication_required"
    refused = (await company.ask(company.outsider, path)).json()
    assert refused["details"] == {"permission_id": "posts:read"}


async def test_the_servers_own_permissions_count_too(company: Company):
    protect(company.app, Require(team_permission="$delete_team", team="team_id"), "/teams/{team_id}")
    assert await company.answer(company.boss, f"/teams/{company.team_id}") == "ok"
    assert await company.answer(company.member, f"/teams/{company.team_id}") == "403 permission_missing"


async def test_a_project_permission(company: Company):
    protect(company.app, Require(permission="reports:see"), "/reports")
    assert await company.answer(company.member, "/reports") == "403 permission_missing"
    await company.admin.project_permissions.grant("reports:see", user_id=company.boss.user_id)
    assert await company.answer(company.boss, "/reports") == "ok"


async def test_membership(company: Company):
    protect(company.app, Require(team_member="team_id"), "/teams/{team_id}")
    path = f"/teams/{company.team_id}"
    assert [await company.answer(who, path) for who in (company.boss, company.member, company.outsider)] == [
        "ok", "ok", "403 permission_missing",
    ]  # fmt: skip


@pytest.mark.parametrize("team_id", [NOBODYS, "nope", "%2e%2e", "a b", "x" * 99, "me", "é"])
async def test_an_unknown_team_is_answered_like_one_that_is_anothers(company: Company, team_id: str):
    protect(company.app, Require(team_permission="posts:read", team="team_id"), "/teams/{team_id}/posts")
    protect(company.app, Require(team_member="team_id"), "/teams/{team_id}/members")
    for path in ("posts", "members"):
        answer = await company.answer(company.member, f"/teams/{team_id}/{path}")
        assert answer in ("403 permission_missing", "400 request_invalid")
        assert (answer == "400 request_invalid") is (team_id == "é")


async def test_a_setting_makes_hidden_teams_404(server: Emulator):
    company = Company(server, unknown_team="not_found")
    await company.create_team()
    protect(company.app, Require(team_permission="posts:read", team="team_id"), "/teams/{team_id}/posts")
    protect(company.app, Require(team_member="team_id"), "/teams/{team_id}/members")
    for path in (f"/teams/{company.team_id}/posts", f"/teams/{NOBODYS}/posts", f"/teams/{company.team_id}/members"):
        assert await company.answer(company.outsider, path) == "404 team_not_found"
    assert await company.answer(company.boss, f"/teams/{company.team_id}/posts") == "403 permission_missing"
    await company.stack.aclose()
    await company.admin.aclose()


async def test_the_team_id_may_be_in_four_places(company: Company):
    """The team may stand in path query header or the users selection."""
    protect(company.app, Require(team_member="query:team"), "/query")
    protect(company.app, Require(team_member="header:x-team"), "/header")
    protect(company.app, Require(team_member="selected"), "/selected")
    good = company.team_id
    assert await company.answer(company.member, f"/query?team={good}") == "ok"
    assert await company.answer(company.member, "/header", headers={"x-team": good}) == "ok"
    for path in ("/query", f"/query?team={good}&team={NOBODYS}", "/query?team=", "/header"):
        assert await company.answer(company.member, path) == "400 request_invalid"
    assert await company.answer(company.member, "/selected") == "403 permission_missing"
    client = company.stack.client
    from fastapi_stackauth.models import CurrentUserUpdate

    await client.as_user(company.member.access_token).users.update_me(CurrentUserUpdate(selected_team_id=good))
    fresh = await client.refresh(company.member.refresh_token)
    again = company.member.model_copy(update={"access_token": fresh.access_token})
    assert await company.answer(again, "/selected") == "ok"


async def test_a_header_given_twice_is_refused(company: Company):
    protect(company.app, Require(team_member="header:x-team"), "/header")
    token = f"Bearer {company.member.access_token}"
    headers = [("authorization", token), ("x-team", company.team_id), ("x-team", "x")]
    transport = httpx.ASGITransport(company.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        answer = await client.get("/header", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "request_invalid")


async def test_an_answer_is_remembered_for_a_short_time_and_not_longer(company: Company):
    protect(company.app, Require(team_permission="posts:read", team="team_id"), "/teams/{team_id}/posts")
    path = f"/teams/{company.team_id}/posts"
    for _ in range(5):
        assert await company.answer(company.member, path) == "ok"
    assert company.network.count("/team-permissions") == 1
    await company.admin.team_permissions.revoke("posts:all", team_id=company.team_id, user_id=company.member.user_id)
    assert await company.answer(company.member, path) == "ok"
    company.server.clock.advance(11)
    assert await company.answer(company.member, path) == "403 permission_missing"
    assert company.network.count("/team-permissions") == 2


async def test_what_is_known_of_a_user_can_be_forgotten_at_once(company: Company):
    protect(company.app, Require(team_permission="posts:read", team="team_id"), "/teams/{team_id}/posts")
    path = f"/teams/{company.team_id}/posts"
    assert await company.answer(company.member, path) == "ok"
    await company.admin.team_permissions.revoke("posts:all", team_id=company.team_id, user_id=company.member.user_id)
    company.stack.services.authorization.forget(user_id=company.boss.user_id)
    assert await company.answer(company.member, path) == "ok"
    company.stack.services.authorization.forget(user_id=company.member.user_id, team_id=company.team_id)
    assert await company.answer(company.member, path) == "403 permission_missing"


async def test_fifty_who_ask_at_once_cause_one_call(company: Company):
    protect(company.app, Require(team_permission="posts:read", team="team_id"), "/teams/{team_id}/posts")
    path = f"/teams/{company.team_id}/posts"
    answers = await asyncio.gather(*(company.answer(company.member, path) for _ in range(50)))
    assert set(answers) == {"ok"}
    assert company.network.count("/team-permissions") == 1


async def test_what_one_user_may_another_may_not(company: Company):
    protect(company.app, Require(team_permission="posts:read", team="team_id"), "/teams/{team_id}/posts")
    path = f"/teams/{company.team_id}/posts"
    assert await company.answer(company.member, path) == "ok"
    assert await company.answer(company.outsider, path) == "403 permission_missing"
    assert await company.answer(company.member, f"/teams/{NOBODYS}/posts") == "403 permission_missing"


async def test_an_outage_is_503_without_a_cached_result(company: Company):
    """An outage is 503 where nothing is remembered and nobody is let in."""
    protect(company.app, Require(permission="reports:see"), "/reports")
    protect(company.app, current_user, "/me")
    assert await company.answer(company.member, "/me") == "ok"
    company.network.cut = True
    answer = await company.ask(company.member, "/reports")
    assert (answer.status_code, answer.json()["code"]) == (503, "verification_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    company.network.cut = False
    assert await company.answer(company.member, "/reports") == "403 permission_missing", "a failure is not remembered"


async def test_the_team_is_given_as_its_members_may_read_it(company: Company):
    @company.app.get("/teams/{team_id}")
    async def show(team: Annotated[Team, Depends(current_team)]) -> dict[str, Any]:
        return {"name": team.display_name, "server": team.server_metadata, "made": team.created_at_millis}

    @company.app.get("/here")
    async def here(team: Annotated[Team, Depends(RequireTeam("query:team"))]) -> str:
        return team.display_name

    answer = await company.ask(company.member, f"/teams/{company.team_id}")
    assert answer.json() == {"name": "Red", "server": None, "made": None}
    assert await company.answer(company.outsider, f"/teams/{company.team_id}") == "403 permission_missing"
    assert await company.answer(company.member, f"/here?team={company.team_id}") == "ok"
    assert await company.answer(None, f"/teams/{company.team_id}") == "401 authentication_required"


async def test_the_second_factor_is_demanded_by_what_the_token_says(company: Company):
    protect(company.app, Require(mfa=True), "/safe")
    assert await company.answer(company.member, "/safe") == "403 mfa_enrollment_required"
    secret = {"totp_secret": "QUJDREVGR0hJSktMTU5PUFFSU1Q=", "requires_totp_mfa": 1}
    company.server.store.users.update(company.member.user_id, secret)
    fresh = await company.stack.client.refresh(company.member.refresh_token)
    assert await company.answer(company.member.model_copy(update={"access_token": fresh.access_token}), "/safe") == "ok"


# --- set up wrongly, and in tests ---


@pytest.mark.parametrize(
    "demands",
    [
        {"team_permission": "posts:read"}, {"team": "team_id"}, {"team_permission": "x", "team": "cookie:x"},
        {"team_permission": "x", "team": "query:"}, {"team_member": ""}, {"team_member": "body:x"},
        {"permission": "Not An Id"}, {"permission": ""}, {"team_permission": "a b", "team": "team_id"},
    ],
    ids=str,
)  # fmt: skip
def test_demands_that_make_no_sense_are_said_when_they_are_made(demands: dict[str, Any]):
    with pytest.raises(ConfigurationError):
        Require(**demands)


async def test_a_path_without_the_parameter_is_said(company: Company):
    protect(company.app, Require(team_member="team_id"), "/nowhere")
    with pytest.raises(ConfigurationError, match="team_id"):
        await company.ask(company.member, "/nowhere")


def test_demands_are_values_found_by_equality():
    one, other = (Require(team_permission="posts:read", team="team_id") for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != Require(team_permission="posts:read", team="query:team_id")
    assert RequireTeam() == current_team != RequireTeam("selected")


async def test_each_dependency_is_overridden_in_tests(company: Company):
    demand = Require(team_permission="posts:read", team="team_id")
    protect(company.app, demand, "/teams/{team_id}/posts")

    @company.app.get("/teams/{team_id}")
    async def show(team: Annotated[Team, Depends(current_team)]) -> str:
        return team.display_name

    path = f"/teams/{company.team_id}"
    with override_user(company.app, User(id="tester")):
        assert await company.answer(None, f"{path}/posts") == "ok"
        assert await company.answer(None, path) == "ok"
    company.app.dependency_overrides[demand] = lambda: User(id="tester")
    company.app.dependency_overrides[current_team] = lambda: Team(id="t", display_name="Mine")
    assert await company.answer(None, f"{path}/posts") == "ok"
    assert (await company.ask(None, path)).json() == "Mine"
    assert company.network.paths == []


def test_openapi_names_the_permission_and_its_own_code():
    app = FastAPI()
    StackAuth().install(app)

    @app.get("/teams/{team_id}/posts", description="The posts.")
    async def posts(
        user: Annotated[User, Depends(Require(team_permission="posts:read", team="team_id", mfa=True))],
    ) -> None: ...

    @app.get("/plain")
    async def plain(user: Annotated[User, Depends(current_user)]) -> None: ...

    @app.get("/query", dependencies=[Depends(Require(team_member="query:team"))])
    async def query() -> None: ...

    @app.get("/header", dependencies=[Depends(Require(team_member="header:x-team"))])
    async def header() -> None: ...

    schema = app.openapi()
    validate(schema)
    schema = inline_references(schema)
    operation = schema["paths"]["/teams/{team_id}/posts"]["get"]
    assert operation["description"].startswith("The posts.\n\n")
    assert "`posts:read`" in operation["description"]
    assert operation["security"] == [{"StackAuth": []}, {"StackAuthHeader": []}]
    examples = operation["responses"]["403"]["content"]["application/problem+json"]["examples"]
    assert examples["permission_missing"]["value"]["details"] == {"permission_id": "posts:read"}
    assert "mfa_enrollment_required" in examples
    plain_examples = schema["paths"]["/plain"]["get"]["responses"]["403"]["content"]["application/problem+json"]
    assert "permission_missing" not in plain_examples["examples"]
    assert list(schema["components"]["securitySchemes"]) == ["StackAuth", "StackAuthHeader"]
    for path, place, name in (("/teams/{team_id}/posts", "path", "team_id"), ("/query", "query", "team")):
        (parameter,) = schema["paths"][path]["get"]["parameters"]
        assert (parameter["in"], parameter["name"], parameter["required"]) == (place, name, True)
    assert "request_invalid" in str(schema["paths"]["/header"]["get"]["responses"]["400"])
    assert "x-fastapi-stackauth" not in str(schema)


async def watch_of_member(company: Company, demanded: Require) -> SessionWatch:
    token = f"Bearer {company.member.access_token}".encode()
    scope = {"type": "websocket", "app": company.app, "headers": [(b"authorization", token)], "query_string": b"",
             "path_params": {"team_id": company.team_id}}  # fmt: skip
    return await WatchSession(every=0.01, require=demanded)(HTTPConnection(scope), SecurityScopes())


@pytest.mark.parametrize(
    ("demanded", "lost"),
    [
        (Require(team_member="team_id"), "membership"),
        (Require(team_permission="posts:read", team="team_id"), "permission"),
    ],
)
async def test_a_connection_ends_when_what_it_demands_is_taken_away(company: Company, demanded: Require, lost: str):
    watch = await watch_of_member(company, demanded)
    with pytest.raises(AuthError) as caught:  # noqa: PT012 - what happens meanwhile is the matter
        async with watch, asyncio.timeout(60):
            if lost == "membership":
                await company.admin.team_members.remove(company.team_id, company.member.user_id)
            else:
                await company.admin.team_permissions.revoke(
                    "posts:all", team_id=company.team_id, user_id=company.member.user_id
                )
            company.server.clock.advance(11)  # what is remembered is so for ten seconds
            await asyncio.Event().wait()
    assert caught.value.code == "permission_missing"
    assert watch.ended is caught.value


async def test_an_undecided_requirement_keeps_the_connection_open(company: Company, caplog: pytest.LogCaptureFixture):
    """A connection goes on while it cannot be said whether the demand still holds."""
    watch = await watch_of_member(company, Require(team_member="team_id"))
    async with watch, asyncio.timeout(60):
        company.network.cut_beginning = "/team-member-profiles"
        company.server.clock.advance(11)
        await until(lambda: "session_check_failed" in caplog.text)
    assert watch.ended is None
