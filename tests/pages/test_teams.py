"""The pages of teams without scripts: what members may do, invitations, API keys, and who is let in."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest

from fastapi_stackauth import Require
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.faults import Fault
from tests.pages.site import EMAIL, ORIGIN, PASSWORD, Site, Visitor
from tests.routers.callers import ACCESS

TEAMS = "/handler/teams"
INVITATION = "/handler/team-invitation"
GRACE = "grace@example.com"


@pytest.fixture
async def site(server: Emulator) -> AsyncIterator[Site]:
    server.configure(client_team_creation_enabled=True, allow_team_api_keys=True)
    site = Site(server)
    for email, name in ((EMAIL, "Ada"), (GRACE, "Grace")):
        server.add_user(primary_email=email, primary_email_verified=True, password=PASSWORD, display_name=name)
    yield site
    await site.stack.aclose()


@pytest.fixture
async def people(site: Site) -> AsyncIterator["People"]:
    async with AsyncExitStack() as stack:
        yield People(site, stack)


class People:
    """Signed-in users, each with a browser."""

    def __init__(self, site: Site, stack: AsyncExitStack) -> None:
        self.site, self._stack = site, stack

    async def stranger(self) -> Visitor:
        """Somebody without a session."""
        return await self._stack.enter_async_context(self.site.visitor())

    async def enter(self, email: str = EMAIL) -> Visitor:
        """Somebody who has signed in, and looks at their teams."""
        visitor = await self.stranger()
        await visitor.open(f"/handler/sign-in?return_to={TEAMS}")
        await visitor.submit(email=email, password=PASSWORD)
        assert visitor.path == TEAMS
        return visitor

    async def team(self, visitor: Visitor, name: str = "Red team") -> str:
        """Create a team, and return the path of its page."""
        await visitor.open(TEAMS)
        await visitor.send(TEAMS, display_name=name)
        return visitor.path

    async def invite(self, visitor: Visitor, email: str) -> str:
        """Invite an address to the team of the page, and return the link of the email."""
        await visitor.send(".*/invitations", email=email)
        link: str = self.site.mail("team_invitation", email)["link"]
        return link


async def test_an_empty_list_says_what_to_do_next(people: People):
    ada = await people.enter()
    assert "You are in no team yet. Create one" in ada.page.text
    assert ada.actions() == [TEAMS]


async def test_no_team_is_created_if_the_project_forbids_it(site: Site, people: People):
    site.server.configure(client_team_creation_enabled=False)
    ada = await people.enter()
    assert "Ask a member of a team to invite you." in ada.page.text
    assert ada.actions() == []


async def test_a_team_is_created_renamed_selected_and_deleted(people: People):
    ada = await people.enter()
    page = await ada.send(TEAMS, display_name="see https://evil.example")
    assert "Enter a name of 1 to 100 characters, without a web address." in page.text
    assert "autofocus" in page.find(name="display_name", **{"aria-invalid": "true"})
    page = await ada.send(TEAMS, display_name="Red team")
    assert (page.heading, ada.path.startswith(f"{TEAMS}/")) == ("Red team", True)
    assert "The team has been created." in page.text
    page = await ada.send(".*/update", display_name="Blue team")
    assert page.heading == "Blue team"
    page = await ada.send(".*/profile", display_name="a" * 257)
    assert "autofocus" in page.find(id="own_name")
    assert "aria-invalid" not in page.find(id="team_name")
    await ada.open(ada.path.removesuffix("/profile"))
    page = await ada.send(".*/profile", display_name="Countess")
    assert "Countess" in page.text
    await ada.send(".*/select")
    assert "You work in this team now." in ada.page.text
    page = await ada.send(".*/delete", confirm="")
    assert "Tick the box first" in page.text
    assert "autofocus" in page.find(name="confirm")
    page = await ada.send(".*[0-9a-f]/delete", confirm="yes")
    assert "You are in no team yet." in page.text


async def test_only_what_a_member_may_do_is_shown(people: People):
    ada, grace = await people.enter(), await people.enter(GRACE)
    path = await people.team(ada)
    await grace.open(await people.invite(ada, GRACE))
    await grace.submit()
    assert grace.path == path
    ends = sorted(action.removeprefix(path) for action in grace.actions())
    assert ends == ["/invitations", "/leave", "/profile", "/select"]
    sent = await grace.client.post(f"{path}/delete", data={"confirm": "yes"})
    assert sent.status_code == 403
    page = await grace.open(f"{path}/delete")
    assert (grace.path, page.heading) == (path, "Red team")


async def test_an_invitation_is_sent_listed_revoked_and_accepted(site: Site, people: People):
    ada, grace = await people.enter(), await people.enter(GRACE)
    path = await people.team(ada)
    page = await ada.send(".*/invitations", email="grace")
    assert page.find(name="email")["value"] == "grace"
    assert "autofocus" in page.find(name="email")
    await ada.open(path)
    link = await people.invite(ada, GRACE)
    assert link.startswith(f"{ORIGIN}{INVITATION}?code=")
    assert GRACE in ada.page.text
    await ada.send(".*/invitations/[^/]+/delete")
    page = await grace.open(link)
    assert "There is no such invitation." in page.text
    link = await people.invite(ada, GRACE)
    page = await grace.open(TEAMS)
    assert "Red team" in page.text
    await grace.send(f"{TEAMS}/invitations/[^/]+/accept")
    assert (grace.path, grace.page.text.count("Welcome to the team.")) == (path, 1)
    page = await ada.open(path)
    await ada.send(f"{path}/members/[^/]+/delete")
    assert "Grace" not in ada.page.text
    await grace.open(path)
    assert grace.response.status_code == 404
    await ada.send(f"{path}/leave")
    assert "You have left the team." in ada.page.text


async def test_a_link_is_opened_by_a_user_who_must_sign_in_first(people: People):
    """The code is in no address and no page after the first request, and survives the sign-in."""
    ada, grace = await people.enter(), await people.stranger()
    path = await people.team(ada)
    link = await people.invite(ada, GRACE)
    code = link.partition("code=")[2]
    answer = await grace.client.get(link)
    assert (answer.status_code, answer.headers["location"]) == (303, INVITATION)
    page = await grace.open(link)
    assert str(grace.response.url) == f"{ORIGIN}/handler/sign-in?return_to=%2Fhandler%2Fteam-invitation"
    assert code not in grace.response.text
    page = await grace.submit(email=GRACE, password=PASSWORD)
    assert grace.path == INVITATION
    assert "You have been invited to join the team Red team." in page.text
    assert "You are signed in as Grace." in page.text
    form = page.forms[0]["fields"]
    await grace.submit()
    assert grace.path == path
    again = await grace.client.post(INVITATION, data=form, headers={"accept": "text/html"})
    assert (again.status_code, "This invitation has been accepted." in again.text) == (409, True)
    page = await grace.open(INVITATION)
    assert "This page needs the link from the email." in page.text


async def test_an_address_is_verified_before_joining_and_inviting(site: Site, people: People):
    """The next page knows that it is, though the token of the session is older."""
    site.server.configure(require_email_verification=True, client_team_creation_enabled=True)
    ada, eve = await people.enter(), await people.stranger()
    path = await people.team(ada)
    link = await people.invite(ada, "eve@example.com")
    await eve.open(link)
    await eve.open("/handler/sign-up")
    await eve.submit(email="eve@example.com", password=PASSWORD)
    page = await eve.open("/handler/team-invitation")
    assert "Verify your email address first" in page.text
    await eve.open(site.mail("email_verification", "eve@example.com")["link"])
    await eve.submit()
    page = await eve.open("/handler/team-invitation")
    assert "You have been invited to join the team Red team." in page.text
    await eve.submit()
    assert eve.path == path
    await people.invite(eve, "mallory@example.com")
    assert "We have sent the invitation." in eve.page.text


async def test_an_expired_invitation_says_so(site: Site, people: People):
    ada, grace = await people.enter(), await people.enter(GRACE)
    await people.team(ada)
    link = await people.invite(ada, GRACE)
    site.server.clock.advance(40 * 86400)
    await grace.open(f"/handler/sign-in?prompt=login&return_to={TEAMS}")
    await grace.submit(email=GRACE, password=PASSWORD)
    page = await grace.open(link)
    assert "This invitation has expired. Ask for a new one." in page.text
    assert page.forms == []


async def test_an_opened_link_changes_nothing(people: People):
    """Email scanners follow links, and another site's form has no effect."""
    ada, grace = await people.enter(), await people.enter(GRACE)
    path = await people.team(ada)
    link = await people.invite(ada, GRACE)
    page = await grace.open(link)
    form = page.forms[0]["fields"]
    sent = await grace.client.post(INVITATION, data=form, headers={"origin": "https://evil.example"})
    assert sent.status_code == 403
    await grace.open(path)
    assert grace.response.status_code == 404


async def test_a_key_of_a_team_is_shown_once(people: People):
    ada = await people.enter()
    path = await people.team(ada)
    page = await ada.send(".*/api-keys", description="")
    assert "Enter what the key is for." in page.text
    await ada.open(path)
    page = await ada.send(".*/api-keys", description="nightly backup", expires_at_millis="")
    value = page.find(id="key")["value"]
    assert value.startswith("sk_")
    assert ada.response.headers["cache-control"] == "no-store"
    page = await ada.open(page.links()[0])
    assert (ada.path, value in ada.response.text) == (path, False)
    assert f"…{value[-4:]}" in page.text
    assert "never expires" in page.text
    page = await ada.send(".*/api-keys/[^/]+/delete")
    assert "nightly backup" not in page.text


async def test_a_key_needs_a_recent_sign_in(site: Site, people: People):
    ada = await people.enter()
    path = await people.team(ada)
    site.server.clock.advance(3601)
    await ada.send(".*/api-keys", description="late")
    assert ada.path == "/handler/sign-in"
    assert "Sign in again" in ada.page.text
    assert path


async def test_a_form_that_is_sent_twice_has_one_effect(site: Site, people: People):
    """Without scripts, a button may be pressed twice, and a browser may send a form again to reload a page."""
    ada = await people.enter()
    path = await people.team(ada)
    headers = {"accept": "text/html"}
    rows = {
        TEAMS: {"display_name": "Blue team"},
        f"{path}/invitations": {"email": GRACE},
        f"{path}/api-keys": {"description": "backup"},
    }
    for action, typed in rows.items():
        page = await ada.open(TEAMS if action == TEAMS else path)
        form = next(each for each in page.forms if each["action"] == action)
        first = await ada.client.post(action, data={**form["fields"], **typed}, headers=headers)
        again = await ada.client.post(action, data={**form["fields"], **typed}, headers=headers)
        assert first.status_code in (200, 201, 303), action
        assert (again.status_code, "You have sent this form already." in again.text) == (409, True), action
        other = await ada.client.post(action, data={**form["fields"], "once": "b", **typed}, headers=headers)
        assert other.status_code < 400, "a form of another page is not the same"
    assert (await ada.open(TEAMS)).text.count("Blue team") == 2
    assert len(site.server.emails(GRACE, "team_invitation")) == 2
    assert (await ada.open(path)).text.count("Revoke backup") == 2


async def test_a_form_that_had_no_effect_may_be_sent_again(site: Site, people: People):
    """In an outage, for instance; the browser may still have the page."""
    ada = await people.enter()
    form = {**(await ada.open(TEAMS)).forms[0]["fields"], "display_name": "Blue team"}
    site.server.server.faults.add(Fault("/api/v1/teams", "POST", 503, 0, None, 1, None))
    sent = [await ada.client.post(TEAMS, data=form, headers={"accept": "text/html"}) for _ in range(3)]
    assert [each.status_code for each in sent] == [503, 303, 409]


@pytest.mark.parametrize("path", ["", "/7d0d1d5e-7f3b-4b1c-9a55-2f4f4f0c9a11", "/abc", "/%00", "/abc/update"])
async def test_teams_need_a_sign_in_and_unknown_ones_are_not_found(people: People, path: str):
    stranger = await people.stranger()
    await stranger.open(f"{TEAMS}{path}")
    assert stranger.path == "/handler/sign-in" or stranger.response.status_code == 404
    ada = await people.enter()
    await ada.open(f"{TEAMS}{path}")
    assert ada.response.status_code == (200 if path in ("", "/abc/update") else 404)


async def test_an_app_may_require_more_of_who_creates_a_team(server: Emulator):
    """As `teams_router(create=...)`; the form of the pages is no way around it."""
    server.configure(client_team_creation_enabled=True)
    server.add_user(primary_email=EMAIL, primary_email_verified=True, password=PASSWORD)
    site = Site(server, pages={"create_team": Require(permission="founders")})
    async with site.visitor() as visitor:
        await visitor.open(f"/handler/sign-in?return_to={TEAMS}")
        await visitor.submit(email=EMAIL, password=PASSWORD)
        await visitor.send(TEAMS, display_name="Red team")
        assert visitor.response.status_code == 403
    await site.stack.aclose()


async def test_a_user_without_an_account_is_asked_to_sign_up(site: Site, people: People):
    guest = await people.stranger()
    site.app.include_router(site.stack.router(), prefix="/auth")
    await guest.client.post("/auth/anonymous/sign-up", json={})
    assert ACCESS in guest.client.cookies
    page = await guest.open(TEAMS)
    assert "Sign up to work in a team." in page.text
    page = await guest.open(f"{INVITATION}?code={'a' * 45}")
    assert "Sign up or sign in to join it." in page.text
    assert urlsplit(page.links()[0]).query == "return_to=%2Fhandler%2Fteam-invitation"
