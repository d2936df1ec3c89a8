"""Invitations: who may send, revoke and accept them, how many, and the page that their link opens."""

import re
from typing import Any

import httpx
import pytest

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.routers import Delivery
from tests.routers.callers import House, assert_problem
from tests.routers.teams.company import UNKNOWN, Company, company_at, keyed_stack
from tests.support.rows import rows

NEW = "grace@example.com"


async def invite(company: Company, who: str = "boss", email: str = NEW, team: str | None = None) -> str:
    """Send an invitation; return its id."""
    path = f"/teams/{team or company.red}/invitations"
    answer = await company.members[who].call("POST", path, {"email": email})
    assert answer.status_code == 201, answer.text
    assert set(answer.json()) == {"id"}
    return str(answer.json()["id"])


# --- sending ---


async def test_an_invitation_joins_its_reader(company: Company):
    """The link leads to the router's page; details show the team; accepting joins it, once."""
    invitation = await invite(company)
    mail = company.house.mail("team_invitation", NEW)
    assert mail["link"] == f"http://localhost:8000{company.boss.person.path('/invitations/accept')}?code={mail['code']}"
    listed = (await company.boss.call("GET", f"/teams/{company.red}/invitations")).json()["items"]
    assert [(each["id"], each["recipient_email"], each["team_id"]) for each in listed] == [
        (invitation, NEW, company.red)
    ]
    body = {"code": mail["code"]}
    team = {"team_id": company.red, "team_display_name": "Red team"}
    assert (await company.outsider.call("POST", "/invitations/details", body)).json() == team
    assert not company.is_in(company.red, company.outsider)
    assert (await company.outsider.call("POST", "/invitations/accept", body)).json() == team
    assert company.is_in(company.red, company.outsider)
    again = await company.outsider.call("POST", "/invitations/accept", body)
    assert_problem(again, 409, "VERIFICATION_CODE_ALREADY_USED")


async def test_a_user_accepts_an_invitation_to_their_address(company: Company):
    """The user finds it in their list, and needs no email."""
    invitation = await invite(company, email=company.outsider.email)
    (listed,) = (await company.outsider.call("GET", "/invitations")).json()["items"]
    assert (listed["id"], listed["team_display_name"]) == (invitation, "Red team")
    assert (await company.outsider.call("POST", f"/invitations/{invitation.upper()}/accept")).status_code == 200
    assert company.is_in(company.red, company.outsider)
    assert (await company.outsider.call("GET", "/invitations")).json()["items"] == []


@pytest.mark.parametrize("who", ["member", "rival", "outsider"])
async def test_only_a_member_with_the_permission_invites(company: Company, who: str):
    """A plain member may by default; it is the permission that counts."""
    permissions = company.server.store.permissions
    permissions.revoke_in_team(company.red, company.member.id, "team_member")
    answer = await company.members[who].call("POST", f"/teams/{company.red}/invitations", {"email": NEW})
    expected = (403, "permission_missing") if who == "member" else (404, "TEAM_MEMBERSHIP_NOT_FOUND")
    assert_problem(answer, *expected)
    assert company.server.emails(NEW) == []


@rows("kind, code", [
    ({"primary_email_verified": False}, "email_not_verified"),
    ({"restricted_by_admin": True}, "restricted_not_allowed"),
])  # fmt: skip
async def test_only_full_users_with_a_verified_address_invite(company: Company, kind: Any, code: str):
    """The auth server would let them: an account costs nothing, and each invitation is an email to a stranger."""
    name = code.split("_", maxsplit=1)[0]
    user = await company.hire(name, company.red, "team_admin", **kind)
    answer = await user.call("POST", f"/teams/{company.red}/invitations", {"email": NEW})
    assert_problem(answer, 403, code)
    assert company.server.emails(NEW) == []


async def test_an_anonymous_user_neither_invites_nor_joins(company: Company):
    """And the code is not used up: the auth server would use it up and then reject the user."""
    await invite(company)
    body = {"code": company.code(NEW)}
    async with company.house.person(company.delivery) as person:
        user_id = (await person.sign_in_at("/anonymous/sign-up"))["user_id"]
        company.server.join(company.blue, user_id, ["team_admin"])
        for path, sent in (
            (f"/teams/{company.blue}/invitations", {"email": NEW}),
            ("/invitations/details", body),
            ("/invitations/accept", body),
            (f"/invitations/{UNKNOWN}/accept", None),
        ):
            assert_problem(await person.post(path, sent), 403, "anonymous_not_allowed")
    assert (await company.outsider.call("POST", "/invitations/accept", body)).status_code == 200


async def test_a_signed_out_caller_does_not_use_a_code_up(company: Company):
    """The auth server would."""
    await invite(company)
    body = {"code": company.code(NEW)}
    async with company.house.person(company.delivery) as person:
        assert_problem(await person.post("/invitations/accept", body), 401, "authentication_required")
    assert (await company.outsider.call("POST", "/invitations/accept", body)).status_code == 200


async def test_a_name_set_elsewhere_is_checked_before_it_is_sent(company: Company):
    """Another client may have put an address into the name."""
    company.server.store.teams.update(company.red, {"display_name": "Win at evil.example"})
    answer = await company.boss.call("POST", f"/teams/{company.red}/invitations", {"email": NEW})
    (fault,) = assert_problem(answer, 422, "request_invalid")["details"]["errors"]
    assert fault["location"] == "path.team_id"
    assert company.server.emails(NEW) == []


async def test_an_invitation_to_a_deleted_team_leads_nowhere(company: Company):
    """The team may be gone by the time that its invitation is read."""
    await invite(company)
    body = {"code": company.code(NEW)}
    company.server.store.teams.delete(company.red)
    for path in ("/invitations/details", "/invitations/accept"):
        assert_problem(await company.outsider.call("POST", path, body), 404, "TEAM_NOT_FOUND")


# --- limits ---


async def test_invitations_are_limited_in_three_ways(server: Emulator, delivery: Delivery):
    """For each user, for each team, and for each address whichever team invites it."""
    stack = keyed_stack(server, rate_limit_account="2/hour")
    async with company_at(House(server, stack), server, delivery) as company:

        async def send(who: str, team: str, email: str) -> int:
            answer = await company.members[who].call("POST", f"/teams/{team}/invitations", {"email": email})
            return answer.status_code

        other = await company.hire("other", company.red, "team_admin")
        server.join(company.blue, other.id, ["team_admin"])
        assert await send("boss", company.red, "a@example.com") == 201
        assert await send("rival", company.blue, "A@example.com") == 201
        assert await send("rival", company.blue, "a@example.com") == 429, "the address"
        assert await send("rival", company.blue, "b@example.com") == 429, "the user"
        assert await send("other", company.red, "b@example.com") == 201
        assert await send("member", company.red, "c@example.com") == 429, "the team"
        assert [mail["to"] for mail in server.emails(None, "team_invitation")].count("b@example.com") == 1
    await stack.aclose()


async def test_a_strangers_attempts_use_up_only_their_own(server: Emulator, delivery: Delivery):
    """Otherwise anyone could stop another team, or an address, from being invited."""
    stack = keyed_stack(server, rate_limit_account="2/hour")
    async with company_at(House(server, stack), server, delivery) as company:
        path = f"/teams/{company.red}/invitations"
        for _ in range(2):
            assert (await company.rival.call("POST", path, {"email": NEW})).status_code == 404
        assert (await company.rival.call("POST", path, {"email": NEW})).status_code == 429
        await invite(company)
    await stack.aclose()


async def test_each_client_address_is_limited(server: Emulator, delivery: Delivery):
    """Before the body is read."""
    stack = keyed_stack(server)
    async with company_at(House(server, stack), server, delivery) as company:
        with stack.reconfigure(rate_limit_address="1/hour", clock=server.clock.now):
            path = f"/teams/{company.red}/invitations"
            assert (await company.boss.call("POST", path, {"email": NEW})).status_code == 201
            assert_problem(await company.member.call("POST", path, {}), 429, "rate_limit_exceeded")
            await stack.aclose()
    await stack.aclose()


# --- revoking ---


async def test_a_member_revokes_an_invitation(company: Company):
    """Its code stops working."""
    invitation = await invite(company)
    answer = await company.boss.call("DELETE", f"/teams/{company.red}/invitations/{invitation.upper()}")
    assert answer.status_code == 204
    accepted = await company.outsider.call("POST", "/invitations/accept", {"code": company.code(NEW)})
    assert_problem(accepted, 404, "VERIFICATION_CODE_NOT_FOUND")


class Failing(httpx.AsyncHTTPTransport):
    """The way to an auth server whose responses to DELETE are 500, after it has done its work or instead of it."""

    def __init__(self, *, works: bool) -> None:
        super().__init__()
        self.works = works

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "DELETE":
            return await super().handle_async_request(request)
        if self.works:
            await (await super().handle_async_request(request)).aread()
        return httpx.Response(500)


@pytest.mark.parametrize("works", [True, False])
async def test_a_500_means_revoked_only_if_the_invitation_is_gone(server: Emulator, delivery: Delivery, works: bool):
    """The auth server answers 500 for an invitation that is gone, such as after a response that was lost."""
    stack = keyed_stack(server, transport=Failing(works=works))
    async with company_at(House(server, stack), server, delivery) as company:
        invitation = await invite(company)
        answer = await company.boss.call("DELETE", f"/teams/{company.red}/invitations/{invitation}")
        assert answer.status_code == (204 if works else 503)
    await stack.aclose()


async def test_an_invitation_of_another_team_cannot_be_revoked(company: Company):
    """The auth server itself would: it does not compare the teams."""
    invitation = await invite(company)
    answer = await company.rival.call("DELETE", f"/teams/{company.blue}/invitations/{invitation}")
    assert_problem(answer, 404, "VERIFICATION_CODE_NOT_FOUND")
    answer = await company.rival.call("DELETE", f"/teams/{company.red}/invitations/{invitation}")
    assert_problem(answer, 404, "TEAM_MEMBERSHIP_NOT_FOUND")
    calls = [call for call in company.server.server.calls if call.method == "DELETE"]
    assert not calls, "the auth server was not asked"
    assert (await company.outsider.call("POST", "/invitations/accept", {"code": company.code(NEW)})).status_code == 200


async def test_a_plain_member_revokes_no_invitation(company: Company):
    """It needs `$remove_members`."""
    invitation = await invite(company)
    answer = await company.member.call("DELETE", f"/teams/{company.red}/invitations/{invitation}")
    assert_problem(answer, 403, "permission_missing")


async def test_an_invitation_to_another_address_is_rejected_by_id(company: Company):
    """Ids are not secret; codes are."""
    invitation = await invite(company)
    answer = await company.outsider.call("POST", f"/invitations/{invitation}/accept")
    assert_problem(answer, 404, "VERIFICATION_CODE_NOT_FOUND")
    assert not company.is_in(company.red, company.outsider)


async def test_an_unverified_address_accepts_nothing_by_id(company: Company):
    """Whoever signs up with the invited address has not shown that it is theirs."""
    invitation = await invite(company)
    eve = await company.hire("grace", primary_email_verified=False)
    assert (await eve.call("GET", "/invitations")).json()["items"] == []
    assert_problem(await eve.call("POST", f"/invitations/{invitation}/accept"), 404, "VERIFICATION_CODE_NOT_FOUND")


# --- the page ---


@pytest.fixture
async def office(server: Emulator) -> Any:
    """The company for browsers, whose app has a sign-in page."""
    stack = keyed_stack(server)
    async with company_at(House(server, stack), server, "cookie") as company:
        yield company
    await stack.aclose()


async def test_the_page_names_the_team_and_the_account(office: Company):
    """Any user who has the link may join, so the user must see as whom."""
    office.server.store.teams.update(office.red, {"display_name": "<b>Red</b>"})
    code = await _code(office)
    page = await office.outsider.call("GET", f"/invitations/accept?code={code}", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "&lt;b&gt;Red&lt;/b&gt;" in page.text
    assert "Outsider (outsider@example.com)" in page.text
    assert "script" not in page.headers["content-security-policy"]
    assert not office.is_in(office.red, office.outsider), "opening a link changes nothing"
    (action,) = re.findall('action="([^"]+)"', page.text)
    assert action == "accept"
    form = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
    joined = await office.outsider.person.client.post("/auth/invitations/accept", content=f"code={code}", headers=form)
    assert joined.status_code == 200
    assert "You have joined the team &lt;b&gt;Red&lt;/b&gt;." in joined.text
    assert office.is_in(office.red, office.outsider)
    page = await office.outsider.call("GET", f"/invitations/accept?code={code}")
    assert (page.status_code, page.headers["content-type"]) == (409, "text/html; charset=utf-8")


async def test_head_uses_no_attempt_of_the_code(office: Company):
    """Programs that check links ask so, more often than the auth server lets anybody read an invitation."""
    path = f"/invitations/accept?code={await _code(office)}"
    for _ in range(30):
        answer = await office.outsider.call("HEAD", path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not [call for call in office.server.server.calls if "/accept/details" in call.path]
    page = await office.outsider.call("GET", path)
    assert (page.status_code, "Red team" in page.text) == (200, True)


async def test_a_signed_out_visitor_signs_in_first(office: Company):
    """The browser is sent to `sign_in_url` and comes back to the page; without that setting, a page says it."""
    code = await _code(office)
    path = f"/invitations/accept?code={code}"
    html = {"accept": "text/html"}
    async with office.house.person("cookie") as visitor:
        page = await visitor.call("GET", path, headers=html)
        assert (page.status_code, page.headers["content-type"]) == (401, "text/html; charset=utf-8")
        with office.house.stack.reconfigure(sign_in_url="/sign-in", clock=office.server.clock.now):
            page = await visitor.call("GET", path, headers=html)
            assert page.status_code == 303
            there = f"/sign-in?return_to=%2Fauth%2Finvitations%2Faccept%3Fcode%3D{code}"
            assert page.headers["location"].lower() == there.lower()
            await office.house.stack.aclose()


async def test_another_site_cannot_make_a_browser_join(office: Company):
    """Otherwise a page could put its visitors into a team of its author's."""
    code = await _code(office)
    evil = {"origin": "https://evil.example", "content-type": "application/x-www-form-urlencoded"}
    answer = await office.outsider.person.client.post(
        "/auth/invitations/accept", content=f"code={code}", headers={**evil, "accept": "text/html"}
    )
    assert answer.status_code == 403
    assert not office.is_in(office.red, office.outsider)


async def test_links_lead_to_the_apps_own_page(server: Emulator, delivery: Delivery):
    """`pages=` names it, as for the sign-in router."""
    stack = keyed_stack(server)
    house = House(server, stack)
    house.app.include_router(
        stack.teams_router(delivery=delivery, pages={"team_invitation": "/welcome"}), prefix="/own"
    )
    async with company_at(house, server, delivery) as company:
        house.app.openapi_schema = None
        path = f"/own/teams/{company.red}/invitations"
        token = {"authorization": f"Bearer {company.boss.person.access_token}"}
        sent = await company.boss.person.client.post(path, json={"email": NEW}, headers=token)
        assert sent.status_code == 201, sent.text
        assert house.mail("team_invitation", NEW)["link"].startswith("http://localhost:8000/welcome?code=")
    await stack.aclose()


async def _code(company: Company) -> str:
    await invite(company)
    return company.code(NEW)
