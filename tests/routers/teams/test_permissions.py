"""Granting permissions: the one team route that acts as server, and everything that it checks before."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.models import ApiKeyCreate
from fastapi_stackauth.routers import Delivery
from fastapi_stackauth.runtime.storage import MemoryStorage
from tests.routers.callers import House, assert_problem
from tests.routers.teams.company import UNKNOWN, Company, Member, company_at, keyed_stack
from tests.support.rows import rows

ADMIN, DELETE = "team_admin", "notes:delete"


def path(team: str, member: Member | str, permission: str = DELETE) -> str:
    user_id = member if isinstance(member, str) else member.id
    return f"/teams/{team}/members/{user_id}/permissions/{permission}"


def changes(company: Company) -> int:
    """Count the calls to the auth server that change permissions, among its latest ones."""
    calls = company.server.server.calls
    return sum(call.method != "GET" and "/team-permissions/" in call.path for call in calls)


async def test_a_manager_grants_and_revokes_what_they_have(company: Company):
    """The member can do it in the next request; granting twice changes nothing."""
    for _ in range(2):
        granted = await company.boss.call("POST", path(company.red, company.member))
        assert granted.status_code == 201, granted.text
        assert granted.json() == {"id": DELETE, "user_id": company.member.id, "team_id": company.red}
    assert DELETE in company.may(company.red, company.member)
    assert (await company.boss.call("DELETE", path(company.red, company.member))).status_code == 204
    assert DELETE not in company.may(company.red, company.member)
    again = await company.boss.call("DELETE", path(company.red, company.member))
    assert_problem(again, 404, "TEAM_PERMISSION_NOT_FOUND")


async def test_the_routes_exist_only_with_grants(server: Emulator, delivery: Delivery):
    """Without `manage_permissions`, neither OpenAPI nor the router has them."""
    stack, app = keyed_stack(server), FastAPI()
    stack.install(app)
    app.include_router(stack.teams_router(delivery=delivery))
    assert not [each for each in app.openapi()["paths"] if "permissions/" in each]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        assert (await client.post(path(UNKNOWN, UNKNOWN))).status_code == 404
    await stack.aclose()


@rows("caller, team, target, permission, code", [
    ("member", "red", "boss", DELETE, "permission_missing"),
    ("member", "red", "member", DELETE, "permission_missing"),
    ("member", "red", "member", ADMIN, "permission_missing"),
    ("outsider", "red", "outsider", ADMIN, "permission_missing"),
    ("rival", "red", "rival", ADMIN, "permission_missing"),
    ("rival", "red", "member", DELETE, "permission_missing"),
    ("boss", "blue", "rival", DELETE, "permission_missing"),
    ("boss", "blue", "boss", DELETE, "permission_missing"),
    ("boss", "red", "member", "notes:pin", "permission_missing"),
    ("boss", "red", "member", "notes:read", "permission_missing"),
    ("boss", "red", "member", "$delete_team", "permission_missing"),
])  # fmt: skip
async def test_who_may_not_grant_gets_403_and_nothing_changes(
    company: Company, caller: str, team: str, target: str, permission: str, code: str
):
    """The caller needs `by` and the permission in this very team, and the permission must be grantable."""
    members = company.members
    team_id = getattr(company, team)
    before = {name: company.may(team_id, member) for name, member in members.items()}
    for method in ("POST", "DELETE"):
        answer = await members[caller].call(method, path(team_id, members[target], permission))
        assert_problem(answer, 403, code)
    assert {name: company.may(team_id, member) for name, member in members.items()} == before
    assert changes(company) == 0


@rows("target", ["rival", "outsider", UNKNOWN])
async def test_only_members_of_the_team_get_permissions(company: Company, target: str):
    """A user who is elsewhere, or nowhere, is 404; the caller stays signed in."""
    member: Member | str = company.members.get(target, target)
    for method in ("POST", "DELETE"):
        answer = await company.boss.call(method, path(company.red, member))
        assert_problem(answer, 404, "TEAM_MEMBERSHIP_NOT_FOUND")
    assert changes(company) == 0


async def test_a_permission_of_another_team_does_not_help(company: Company):
    """A user who manages blue and is a plain member of red cannot do anything in red."""
    company.server.join(company.red, company.rival.id)
    for permission in (ADMIN, DELETE):
        answer = await company.rival.call("POST", path(company.red, company.rival, permission))
        assert_problem(answer, 403, "permission_missing")
    assert company.may(company.red, company.rival) == {"team_member"}


async def test_a_manager_cannot_grant_what_they_do_not_have(company: Company):
    """Otherwise a manager would give an accomplice more than they have, and get it back."""
    company.server.store.permissions.revoke_in_team(company.red, company.boss.id, DELETE)
    for target in (company.member, company.boss):
        answer = await company.boss.call("POST", path(company.red, target))
        assert assert_problem(answer, 403, "permission_missing")["details"]["permission_id"] == DELETE


async def test_a_contained_permission_counts(company: Company):
    """The caller may have both through permissions that contain them."""
    company.server.define_permission("owner", contains=[ADMIN, DELETE])
    owner = await company.hire("owner", company.red, "owner")
    assert (await owner.call("POST", path(company.red, company.member))).status_code == 201


@rows("team, user, permission, query", [
    ("{red}", "me", DELETE, ""),
    ("{blue}%2f..%2f{red}", "{rival}", DELETE, ""),
    ("{blue}/../{red}", "{rival}", ADMIN, ""),
    ("{red}%00", "{rival}", ADMIN, ""),
    ("{red}", "{rival}", f"{ADMIN}%2f..%2f{ADMIN}", ""),
    ("{red}", "{rival}", ADMIN, "?team_id={blue}"),
    ("{red},{blue}", "{rival}", ADMIN, ""),
    ("{red}", "{rival}", ADMIN.upper(), ""),
])  # fmt: skip
async def test_no_spelling_of_a_path_reaches_another_team(
    company: Company, team: str, user: str, permission: str, query: str
):
    """The administrator of blue, a plain member of red, tries what paths can be made to say."""
    if not company.is_in(company.red, company.rival):
        company.server.join(company.red, company.rival.id)
    ids = {"red": company.red, "blue": company.blue, "rival": company.rival.id}
    target = f"/teams/{team}/members/{user}/permissions/{permission}{query}".format(**ids)
    for body in (None, {"team_id": company.blue}):
        answer = await company.rival.call("POST", target, body)
        assert answer.status_code in (403, 404, 422)
    assert company.may(company.red, company.rival) == {"team_member"}
    assert changes(company) == 0


async def test_a_header_of_ones_own_does_not_mix_with_a_cookie(company: Company):
    """With the rival's token and the boss's cookies, the rival calls."""
    headers = {"authorization": f"Bearer {company.rival.person.access_token}"}
    answer = await company.boss.call("POST", path(company.red, company.member), headers=headers)
    assert_problem(answer, 403, "permission_missing")


async def test_the_checks_are_not_cached(company: Company):
    """A manager who has just lost `by` cannot grant any more, whatever any cache or token says."""
    assert (await company.boss.call("POST", path(company.red, company.member))).status_code == 201
    company.server.store.permissions.revoke_in_team(company.red, company.boss.id, ADMIN)
    assert_problem(await company.boss.call("POST", path(company.red, company.member)), 403, "permission_missing")


async def test_a_manager_who_is_restricted_meanwhile_is_rejected(company: Company):
    """The token still says that the user is a full one."""
    company.server.store.users.update(company.boss.id, {"restricted_by_admin": True})
    answer = await company.boss.call("POST", path(company.red, company.member))
    assert_problem(answer, 403, "restricted_not_allowed")


async def test_an_ended_session_grants_nothing(company: Company):
    """The access token outlives the session at the auth server, but not here."""
    store = company.server.store
    for session in store.sessions.list_for_user(company.boss.id):
        store.sessions.delete(session["id"])
    assert_problem(await company.boss.call("POST", path(company.red, company.member)), 401, "session_revoked")


async def test_an_impersonation_session_grants_nothing(company: Company):
    """An administrator who acts as the user can do less than the user: the auth server does not list the session."""
    headers = await company.impersonate(company.boss)
    async with company.house.person(company.delivery) as admin:
        assert (await admin.call("GET", "/me", headers=headers)).json()["id"] == company.boss.id
        for method in ("POST", "DELETE"):
            answer = await admin.call(method, path(company.red, company.member), headers=headers)
            assert_problem(answer, 401, "session_revoked")
    assert changes(company) == 0


async def test_an_anonymous_user_grants_nothing(company: Company):
    """Not even one who was given the permissions."""
    async with company.house.person(company.delivery) as person:
        user_id = (await person.sign_in_at("/anonymous/sign-up"))["user_id"]
        company.server.join(company.red, user_id, [ADMIN, DELETE])
        assert_problem(await person.post(path(company.red, company.member)), 403, "anonymous_not_allowed")


async def test_the_last_holder_cannot_lose_the_permission(company: Company):
    """The team would have no manager any more."""
    own = path(company.red, company.boss, ADMIN)
    assert_problem(await company.boss.call("DELETE", own), 403, "last_permission_holder")
    assert (await company.boss.call("DELETE", path(company.red, company.boss, DELETE))).status_code == 204
    assert (await company.boss.call("POST", path(company.red, company.member, ADMIN))).status_code == 201
    assert (await company.boss.call("DELETE", own)).status_code == 204
    assert_problem(await company.boss.call("POST", own), 403, "permission_missing")


async def test_nor_lose_what_contains_it(company: Company):
    """Revoking a permission that contains `by` takes `by` as well."""
    company.server.define_permission(DELETE, contains=[ADMIN])
    permissions = company.server.store.permissions
    permissions.revoke_in_team(company.red, company.boss.id, ADMIN)
    answer = await company.boss.call("DELETE", path(company.red, company.boss))
    assert_problem(answer, 403, "last_permission_holder")
    assert DELETE in company.may(company.red, company.boss)


async def test_grants_at_the_same_time_all_succeed(company: Company):
    """Changes in a team wait for each other, so a page may send several at once."""
    others = [await company.hire(name, company.red) for name in ("ada", "bob", "eve")]
    answers = await asyncio.gather(*(company.boss.call("POST", path(company.red, other)) for other in others))
    assert [answer.status_code for answer in answers] == [201, 201, 201]


async def test_a_rejected_request_never_claims_the_team(company: Company, monkeypatch: pytest.MonkeyPatch):
    """Otherwise a flood of them would make every grant of the team's manager fail with 503."""
    claimed = list[str]()
    claim = MemoryStorage.add

    async def add(storage: MemoryStorage, key: str, seconds: float) -> bool:
        claimed.append(key)
        return await claim(storage, key, seconds)

    monkeypatch.setattr(MemoryStorage, "add", add)
    own = path(company.red, company.member)
    strangers = (company.outsider, company.rival, company.member)
    flood = [person.call(method, own) for person in strangers for method in ("POST", "DELETE") for _ in range(10)]
    *answers, granted = await asyncio.gather(*flood, company.boss.call("POST", own))
    assert {answer.status_code for answer in answers} == {403}
    assert granted.status_code == 201
    for target, status in ((path(company.red, company.outsider), 404), (path(company.red, "me"), 422)):
        assert (await company.boss.call("POST", target)).status_code == status
    assert [key for key in claimed if "team-grants" in key] == [f"team-grants:{company.red}"], "by the manager alone"


async def test_two_managers_who_revoke_each_other_leave_one(company: Company):
    """Revocations in a team wait for each other; the second one finds out that it is too late."""
    other = await company.hire("other", company.red, ADMIN, DELETE)
    for _ in range(5):
        company.server.store.permissions.grant_in_team(company.red, company.boss.id, ADMIN)
        company.server.store.permissions.grant_in_team(company.red, other.id, ADMIN)
        answers = await asyncio.gather(
            company.boss.call("DELETE", path(company.red, other, ADMIN)),
            other.call("DELETE", path(company.red, company.boss, ADMIN)),
        )
        left = [ADMIN in company.may(company.red, each) for each in (company.boss, other)]
        assert sum(left) == 1, [answer.text for answer in answers]
        assert sorted(answer.status_code for answer in answers) == [204, 403]


@pytest.mark.parametrize("headers", [{"x-api-key": "{key}"}, {"authorization": "Bearer {key}"}])
async def test_no_api_key_grants_anything(server: Emulator, delivery: Delivery, headers: Any):
    """A key of the manager's own is no session."""
    stack = keyed_stack(server)
    async with company_at(House(server, stack), server, delivery) as company:
        server.configure(allow_user_api_keys=True)
        made = ApiKeyCreate(description="robot", expires_at_millis=None)
        key = (await stack.client.as_server().user_api_keys.create(made, user_id=company.boss.id)).value
        async with company.house.person(delivery) as machine:
            sent = {name: value.format(key=key) for name, value in headers.items()}
            answer = await machine.post(path(company.red, company.member), headers=sent)
            assert answer.status_code == 401
    await stack.aclose()


async def test_without_a_secret_key_the_routes_are_closed(
    server: Emulator, delivery: Delivery, caplog: pytest.LogCaptureFixture
):
    """The missing setting is reported by name, with the routes that need it, and nothing is granted."""
    stack = keyed_stack(server)
    async with company_at(House(server, stack), server, delivery) as company:
        target = path(company.red, company.member)
        with stack.reconfigure(secret_server_key=None, clock=server.clock.now):
            for method in ("POST", "DELETE"):
                answer = await company.boss.call(method, target)
                assert "STACK_SECRET_SERVER_KEY" in assert_problem(answer, 500, "configuration_error")["detail"]
            await stack.aclose()
        (missing,) = [line for line in caplog.messages if line.startswith("setting_missing")]
        template = company.boss.person.path("/teams/{team_id}/members/{user_id}/permissions/{permission_id}")
        for method in ("POST", "DELETE"):
            assert f"{method} {template}" in missing
        assert DELETE not in company.may(company.red, company.member)
        assert changes(company) == 0
    await stack.aclose()
