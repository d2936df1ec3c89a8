"""Teams, members and profiles: done with the user's own rights, and forgotten by the caches at once."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, get_args

import pytest
from fastapi import Depends, FastAPI

from fastapi_stackauth import ConfigurationError, CurrentTeam, Grants, Require, StackAuth, User
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.faults import Fault
from fastapi_stackauth.routers import TeamFeature
from tests.routers.callers import GRANTS, ORIGIN, House, assert_problem, new_stack
from tests.routers.operations import operations
from tests.routers.teams.company import UNKNOWN, Company, company_at, keyed_stack
from tests.support.redis_server import RedisServer
from tests.support.rows import rows


async def test_a_user_creates_reads_changes_and_deletes_a_team(company: Company):
    """The routes do what the auth server's own operations do, and show what members see."""
    made = await company.outsider.call("POST", "/teams", {"display_name": " Night shift ", "client_metadata": [1]})
    assert made.status_code == 201, made.text
    team = made.json()
    assert set(team) == {
        "id", "display_name", "profile_image_url", "client_metadata", "client_read_only_metadata",
    }  # fmt: skip
    assert (team["display_name"], team["client_metadata"]) == ("Night shift", [1])
    path = f"/teams/{team['id']}"
    assert (await company.outsider.call("GET", path)).json() == team
    changed = await company.outsider.call("PATCH", path, {"display_name": "Day shift", "client_metadata": None})
    assert changed.json() == {**team, "display_name": "Day shift", "client_metadata": None}
    listed = (await company.outsider.call("GET", "/teams")).json()
    assert listed == {"items": [changed.json()], "next_cursor": None}
    assert (await company.outsider.call("DELETE", path)).status_code == 204
    assert (await company.outsider.call("GET", "/teams")).json() == {"items": [], "next_cursor": None}


async def test_a_picture_that_is_none_is_the_auth_servers_error(company: Company):
    """The auth server judges pictures; its text is not repeated."""
    body = {"display_name": "Red", "profile_image_url": "https://example.com/red.png"}
    assert_problem(await company.boss.call("POST", "/teams", body), 400, "auth_server_rejected")


async def test_a_project_can_forbid_creating_teams(company: Company):
    """Without `create`, the project's setting decides."""
    company.server.configure(client_team_creation_enabled=False)
    answer = await company.boss.call("POST", "/teams", {"display_name": "Green"})
    assert_problem(answer, 403, "auth_server_rejected")


async def test_create_decides_who_may_create_teams(server: Emulator):
    """`create` is checked beside the project's setting, and documented."""
    stack = new_stack(server)
    app = FastAPI()
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")
    app.include_router(stack.teams_router(create=Require(permission="teams:create")), prefix="/auth")
    server.define_permission("teams:create", scope="project")
    house = House(server, stack, app=app)
    async with house.person("cookie") as person:
        user_id = await person.sign_up()
        refused = await person.post("/teams", {"display_name": "Green"})
        assert_problem(refused, 403, "permission_missing")
        server.store.permissions.grant_in_project(user_id, "teams:create")
        await stack.revocations.forget(user_id=user_id)
        assert (await person.post("/teams", {"display_name": "Green"})).status_code == 201
    (route,) = [route for route in operations(app, "/auth") if route.operation_id == "teams_create"]
    assert "permission_missing" in route.codes
    await stack.aclose()


FORM = {"accept": "text/html", "content-type": "application/x-www-form-urlencoded"}
NAMES = [
    "", "   ", "x" * 101, "a\nb", "a\u202eb", "Win at https://evil.example", "evil.example", "EVIL.EXAMPLE/x",
    "evil\u3002example", "www.evil", "a\x00", "mailto:eve@evil.example", "\u2028", "1.2.3.4/x", "127.0.0.1",
    "localhost:80/x", "//evil/x", "https:evil", "javascript:alert(1)", "mailto:a@b", "user@host", "evil\u2024com",
    "evil\ufe52com", "\U0001f4a9.la", "evil\u0301.com", "x.\u092d\u093e\u0930\u0924",
]  # fmt: skip


@rows("name", NAMES)
async def test_a_team_name_is_short_printable_and_no_address(company: Company, name: str):
    """A name travels into the inbox of any address that is invited."""
    for method, path in (("POST", "/teams"), ("PATCH", f"/teams/{company.red}")):
        assert_problem(await company.boss.call(method, path, {"display_name": name}), 422, "request_invalid")


@rows("name", ["R", "x" * 100, "Équipe rouge", "红队", "St. Pauli", "v2.0", "A. B. & Co.", "Team :-)", "🙂 team"])
async def test_an_ordinary_team_name_is_taken(company: Company, name: str):
    """The rule for names lets people write in any language."""
    made = await company.boss.call("POST", "/teams", {"display_name": name})
    assert (made.status_code, made.json()["display_name"]) == (201, name)


async def test_a_member_lists_members_and_changes_their_own_profile(company: Company):
    """The profile in a team is apart from the account."""
    path = f"/teams/{company.red}"
    listed = (await company.member.call("GET", f"{path}/members")).json()["items"]
    assert [(each["user_id"], each["display_name"]) for each in listed] == [
        (company.boss.id, "Boss"),
        (company.member.id, "Member"),
    ]
    changed = await company.member.call("PATCH", f"{path}/profile", {"display_name": "The new one"})
    assert changed.json()["display_name"] == "The new one"
    assert (await company.member.call("GET", f"{path}/profile")).json() == changed.json()
    assert (await company.member.call("GET", "/me")).json()["display_name"] == "Member"


async def test_a_user_lists_their_own_permissions(company: Company):
    """The list includes permissions that others contain, and is empty for another team."""
    mine = (await company.boss.call("GET", f"/teams/{company.red}/permissions")).json()["items"]
    assert {"team_admin", "notes:delete", "$invite_members"} <= {each["id"] for each in mine}
    assert (await company.boss.call("GET", f"/teams/{company.blue}/permissions")).json()["items"] == []


async def test_a_user_selects_a_team(company: Company):
    """The refreshed token names the team; a team that the user is not in is 404."""
    assert (await company.boss.call("POST", f"/teams/{company.red}/select")).status_code == 204
    assert (await company.boss.call("GET", "/me")).json()["selected_team_id"] == company.red
    answer = await company.boss.call("POST", f"/teams/{company.blue}/select")
    assert_problem(answer, 404, "TEAM_MEMBERSHIP_NOT_FOUND")


OF_A_TEAM: list[tuple[str, str, object]] = [
    ("GET", "", None),
    ("PATCH", "", {"display_name": "Mine"}),
    ("DELETE", "", None),
    ("POST", "/leave", None),
    ("POST", "/select", None),
    ("GET", "/members", None),
    ("GET", "/profile", None),
    ("PATCH", "/profile", {"display_name": "Me"}),
    ("GET", "/invitations", None),
    ("POST", "/invitations", {"email": "new@example.com"}),
]


@rows("method, path, body", OF_A_TEAM)
async def test_a_stranger_learns_nothing_of_a_team(company: Company, method: str, path: str, body: object):
    """A team that the user is not in looks like one that does not exist."""
    answers = [await company.rival.call(method, f"/teams/{team}{path}", body) for team in (company.red, UNKNOWN)]
    for answer in answers:
        assert_problem(answer, 404, "TEAM_MEMBERSHIP_NOT_FOUND")
    assert company.server.emails("new@example.com") == []


@rows("method, path, body, permission", [
    ("PATCH", "", {"display_name": "Mine"}, "$update_team"),
    ("DELETE", "", None, "$delete_team"),
    ("DELETE", "/members/{boss}", None, "$remove_members"),
])  # fmt: skip
async def test_a_missing_permission_is_403_and_named(
    company: Company, method: str, path: str, body: object, permission: str
):
    """The auth server answers 401, which would sign the user out."""
    answer = await company.member.call(method, f"/teams/{company.red}{path.format(boss=company.boss.id)}", body)
    details = assert_problem(answer, 403, "permission_missing")["details"]
    assert details == {"permission_id": permission, "team_id": company.red}
    assert company.is_in(company.red, company.boss)


async def test_removing_an_unknown_member_keeps_the_caller_signed_in(company: Company):
    """The error is about the member, not about the caller."""
    answer = await company.boss.call("DELETE", f"/teams/{company.red}/members/{UNKNOWN}")
    assert_problem(answer, 404, "TEAM_MEMBERSHIP_NOT_FOUND")
    assert (await company.boss.call("GET", "/me")).status_code == 200


@pytest.mark.parametrize("delivery", ["cookie"])
async def test_pages_without_scripts_post_forms(company: Company):
    """Every change takes a form; the browser goes on to a page of the app."""
    red, query = f"/teams/{company.red}", "?on_success=/done&on_error=/failed"
    for path, fields, leads in (
        ("/teams", {"display_name": "Green", "profile_image_url": ""}, "/done"),
        ("/teams", {"display_name": " "}, "/failed?error=request_invalid"),
        (f"{red}/patch", {"display_name": "Crimson", "client_metadata": ""}, "/done"),
        (f"{red}/profile/patch", {"display_name": ""}, "/done"),
        (f"{red}/select", {}, "/done"),
        (f"{red}/invitations", {"email": "new@example.com"}, "/done"),
        (f"{red}/members/{company.member.id}/permissions/notes:delete", {}, "/done"),
        (f"{red}/members/{company.member.id}/permissions/notes:pin", {}, "/failed?error=permission_missing"),
        (f"{red}/members/{company.member.id}/permissions/notes:delete/delete", {}, "/done"),
        (f"{red}/members/{company.member.id}/delete", {}, "/done"),
        (f"{red}/leave", {}, "/done"),
        (f"{red}/delete", {}, "/failed?error=TEAM_MEMBERSHIP_NOT_FOUND"),
    ):
        person = company.boss.person
        answer = await person.client.post(person.path(path) + query, data=fields, headers=FORM)
        assert (answer.status_code, answer.headers["location"]) == (303, leads), path
    assert not company.is_in(company.red, company.member)


# --- caches ---


def protect(stack: StackAuth) -> FastAPI:
    """An app of the same stack with routes that cache: for members, for a permission, and one that shows the team."""
    app = FastAPI()
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")
    app.include_router(stack.router(delivery="body"), prefix="/api/auth")
    for delivery, prefix in (("cookie", "/auth"), ("body", "/api/auth")):
        teams = stack.teams_router(delivery=delivery, manage_permissions=GRANTS)  # type: ignore[arg-type]
        app.include_router(teams, prefix=prefix)
        member = Require(team_member="team_id")
        with_permission = Require(team_permission="notes:delete", team="team_id")

        @app.get(prefix + "/app/{team_id}")
        async def count_members(team_id: str, user: Annotated[User, Depends(member)]) -> str:
            return f"{user.id} {team_id}"

        @app.get(prefix + "/app/{team_id}/notes", dependencies=[Depends(with_permission)])
        async def delete_notes() -> None: ...

        @app.get(prefix + "/app/{team_id}/name")
        async def show_name(team: CurrentTeam) -> str:
            return team.display_name

    return app


@pytest.mark.parametrize("capitals", [False, True])
async def test_a_removed_member_is_rejected_at_once(server: Emulator, delivery: Any, capitals: bool):
    """The cached membership is forgotten, however the caller writes the team's id."""
    stack = keyed_stack(server, authorization_ttl=300)
    house = House(server, stack, app=protect(stack))
    async with company_at(house, server, delivery) as company:
        path = f"/app/{company.red.upper() if capitals else company.red}"
        assert (await company.member.call("GET", path)).status_code == 200
        removed = await company.boss.call("DELETE", f"/teams/{company.red}/members/{company.member.id.upper()}")
        assert removed.status_code == 204
        assert_problem(await company.member.call("GET", path), 403, "permission_missing")
    await stack.aclose()


async def test_who_leaves_or_joins_is_treated_so_at_once(server: Emulator, delivery: Any):
    """Neither the membership nor its absence stays in the cache."""
    stack = keyed_stack(server, authorization_ttl=300)
    async with company_at(House(server, stack, app=protect(stack)), server, delivery) as company:
        path = f"/app/{company.red}"
        assert_problem(await company.rival.call("GET", path), 403, "permission_missing")
        sent = await company.boss.call("POST", f"/teams/{company.red}/invitations", {"email": company.rival.email})
        accepted = await company.rival.call("POST", f"/invitations/{sent.json()['id']}/accept")
        assert accepted.json() == {"team_id": company.red, "team_display_name": "Red team"}
        assert (await company.rival.call("GET", path)).status_code == 200
        assert (await company.rival.call("POST", f"/teams/{company.red}/leave")).status_code == 204
        assert_problem(await company.rival.call("GET", path), 403, "permission_missing")
    await stack.aclose()


@pytest.fixture
async def caching(server: Emulator, delivery: Any) -> AsyncIterator[Company]:
    """The company at an app whose caches outlast the test."""
    stack = keyed_stack(server, authorization_ttl=300)
    async with aclosing(stack), company_at(House(server, stack, app=protect(stack)), server, delivery) as company:
        yield company


async def test_who_accepts_by_code_is_a_member_at_once(caching: Company):
    """The cached absence is forgotten, as with an invitation that is accepted by its id."""
    path = f"/app/{caching.red}"
    assert_problem(await caching.rival.call("GET", path), 403, "permission_missing")
    await caching.boss.call("POST", f"/teams/{caching.red}/invitations", {"email": "grace@example.com"})
    body = {"code": caching.code("grace@example.com")}
    assert (await caching.rival.call("POST", "/invitations/accept", body)).status_code == 200
    assert (await caching.rival.call("GET", path)).status_code == 200


async def test_a_granted_or_revoked_permission_counts_at_once(caching: Company):
    """Neither the permission nor its absence stays in the cache."""
    path = f"/app/{caching.red}/notes"
    change = f"/teams/{caching.red}/members/{caching.member.id}/permissions/notes:delete"
    assert_problem(await caching.member.call("GET", path), 403, "permission_missing")
    assert (await caching.boss.call("POST", change)).status_code == 201
    assert (await caching.member.call("GET", path)).status_code == 200
    assert (await caching.boss.call("DELETE", change)).status_code == 204
    assert_problem(await caching.member.call("GET", path), 403, "permission_missing")


async def test_a_changed_team_is_shown_to_its_members_at_once(caching: Company):
    """Not only to the member who changes it."""
    for member in (caching.boss, caching.member):
        assert (await member.call("GET", f"/app/{caching.red}/name")).json() == "Red team"
    assert (await caching.boss.call("PATCH", f"/teams/{caching.red}", {"display_name": "Crimson"})).status_code == 200
    for member in (caching.boss, caching.member):
        assert (await member.call("GET", f"/app/{caching.red}/name")).json() == "Crimson"


async def test_a_deleted_team_has_no_members_at_once(caching: Company):
    """Everything that is cached about the team is forgotten, for each of its members."""
    red = f"/app/{caching.red}"
    used = ((caching.boss, red), (caching.boss, f"{red}/notes"), (caching.member, red), (caching.member, f"{red}/name"))
    for member, path in used:
        assert (await member.call("GET", path)).status_code == 200
    assert (await caching.boss.call("DELETE", f"/teams/{caching.red}")).status_code == 204
    for member, path in used:
        assert_problem(await member.call("GET", path), 403, "permission_missing")


async def test_other_workers_forget_a_removed_member_too(server: Emulator, delivery: Any, redis_server: RedisServer):
    """The removal travels the way of revocations."""
    one, two = (keyed_stack(server, authorization_ttl=300, redis_url=redis_server.url) for _ in range(2))
    async with company_at(House(server, one, app=protect(one)), server, delivery) as company:
        path = f"/app/{company.red}"
        elsewhere = House(server, two, app=protect(two))
        async with elsewhere.person(delivery) as member:
            await member.sign_in(company.member.email)
            assert (await member.call("GET", path)).status_code == 200
            await company.boss.call("DELETE", f"/teams/{company.red}/members/{company.member.id}")
            while (answer := await member.call("GET", path)).status_code == 200:
                pass  # the test's own timeout is the limit
            assert_problem(answer, 403, "permission_missing")
    for stack in (one, two):
        await stack.aclose()


async def test_a_change_whose_outcome_is_unknown_empties_the_caches(company: Company):
    """The member may be out, though the auth server could not say so."""
    company.server.server.faults.add(Fault("/api/v1/team-memberships", "DELETE", 503, 0, None, None, None))
    before = len(company.house.stack.revocations)
    answer = await company.boss.call("DELETE", f"/teams/{company.red}/members/{company.member.id}")
    assert_problem(answer, 503, "auth_server_unavailable")
    assert len(company.house.stack.revocations) == before + 1


async def test_a_rejected_change_empties_no_cache(company: Company):
    """Otherwise a stranger could keep a team's caches empty in every worker."""
    before = len(company.house.stack.revocations)
    for method, path in (("DELETE", ""), ("PATCH", ""), ("DELETE", f"/members/{company.boss.id}")):
        for caller in (company.rival, company.member):
            body = {"display_name": "Mine"} if method == "PATCH" else None
            answer = await caller.call(method, f"/teams/{company.red}{path}", body)
            assert answer.status_code in (403, 404)
    assert len(company.house.stack.revocations) == before


# --- construction ---


@rows("options, left", [
    ({"include": ["invitations"]}, {"invitations"}),
    ({"include": ["teams", "team_creation"]}, {"teams", "team_creation"}),
    ({"exclude": ["team_creation", "team_deletion"]}, {"teams", "members", "profiles", "permissions", "invitations"}),
    ({"exclude": ["permissions"]}, set(get_args(TeamFeature)) - {"permissions"}),
    ({}, set(get_args(TeamFeature))),
])  # fmt: skip
def test_an_app_chooses_features(options: dict[str, Any], left: set[str]):
    """A feature that is left out is not in OpenAPI."""
    routes = {
        "teams_get": "teams", "teams_leave": "teams", "teams_create": "team_creation", "teams_delete": "team_deletion",
        "team_members_list": "members", "team_profile_get": "profiles", "team_permissions_list": "permissions",
        "team_permissions_grant": "permissions", "team_invitations_send": "invitations",
        "invitations_accept": "invitations", "invitations_accept_page": "invitations",
    }  # fmt: skip
    app, stack = FastAPI(), StackAuth(app_url=ORIGIN, insecure_cookies=True)
    stack.install(app)
    grants = GRANTS if "permissions" in left else None
    app.include_router(stack.teams_router(manage_permissions=grants, **options), prefix="/auth")
    mounted = {route.operation_id for route in operations(app, "/auth")}
    assert {routes[name] for name in mounted & set(routes)} == left
    assert {name for name, feature in routes.items() if feature in left} == mounted & set(routes)


@rows("options, message", [
    ({"include": ["sms"]}, "include: 'sms' is not one of teams"),
    ({"exclude": ["sms"]}, "exclude: 'sms' is not one of teams"),
    ({"include": "teams"}, "include must be a list"),
    ({"include": ["teams"], "exclude": ["members"]}, "pass one of them"),
    ({"pages": {"verify_email": "/x"}}, "pages"),
    ({"pages": {"team_invitation": "x"}}, "team_invitation"),
    ({"delivery": "header"}, "delivery"),
    ({"create": Require}, "create must be"),
    ({"create": Require(allow_api_key=True)}, "API key"),
    ({"manage_permissions": {"notes:delete"}}, "manage_permissions must be"),
    ({"include": []}, "no feature is left"),
    ({"exclude": get_args(TeamFeature)}, "no feature is left"),
    ({"exclude": ["team_creation"], "create": Require()}, 'create has no effect, because the feature "team_creation"'),
    ({"exclude": ["permissions"], "manage_permissions": GRANTS}, "manage_permissions has no effect"),
    ({"exclude": ["invitations"], "pages": {"team_invitation": "/join"}}, "pages has no effect"),
    ({"create": Require(stack=StackAuth())}, "create belongs to another stack"),
    ({"create": Require(team_permission="a:b", team="team_id")}, "the team does not exist yet"),
    ({"create": Require(team_member="selected")}, "the team does not exist yet"),
])  # fmt: skip
def test_a_wrong_option_raises_when_the_router_is_made(options: dict[str, Any], message: str):
    """The message names the option."""
    with pytest.raises(ConfigurationError, match=message):
        StackAuth(app_url=ORIGIN, insecure_cookies=True).teams_router(**options)


@rows("by, grantable", [("team admin", {"a"}), ("a", {"B"}), ("a", set()), ("a", "notes"), ("a", 5), ("", {"a"})])
def test_grants_name_permissions(by: str, grantable: Any):
    """An id that no permission can have is an error."""
    with pytest.raises(ConfigurationError):
        Grants(by=by, grantable=grantable)
