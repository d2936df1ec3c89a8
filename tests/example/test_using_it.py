"""Notes, teams and one's account in real browsers, several at once."""

import asyncio
from typing import Any

import httpx
import pytest
import websockets
from playwright.async_api import Route, expect

from example_app.samples import PASSWORD, TEAM_ID
from tests.example.visitors import Demo, Visitor, new_address

FOCUSED = "document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent"

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.needs("secret_key", "password")]
needs = pytest.mark.needs
ACCOUNT = "/handler/account-settings"


async def create_team(visitor: Visitor, name: str) -> None:
    await visitor.open("/teams")
    await visitor.follow("Create and manage teams")
    await visitor.fill(Name_of_the_team=name)
    await visitor.press("Create team")
    await visitor.title(name)


async def invite(visitor: Visitor, email: str) -> None:
    await visitor.fill(Email_address_of_the_new_member=email)
    await visitor.press("Send invitation")
    await visitor.sees("We have sent the invitation.")


async def open_notes(visitor: Visitor, team: str) -> None:
    await visitor.open("/teams")
    await visitor.follow(team)
    await visitor.title(team)


async def test_a_session_revoked_in_one_browser_is_gone_in_the_other(visit: Any, demo: Demo):
    email = demo.new_person()
    here, there = await visit(), await visit()
    await there.signs_in(email)
    await here.signs_in(email)
    await here.open(ACCOUNT)
    await expect(here.page.get_by_text("this browser")).to_have_count(1)
    await here.press("End all other sessions")
    await here.sees("The session has ended.")
    await there.sees("Live updates are not available.")
    await there.open("/notes")
    await there.is_at("/handler/sign-in")
    await here.open("/notes")
    await here.is_at("/notes")


async def test_a_new_note_shows_in_all_browsers_of_a_user(visit: Any, demo: Demo):
    """A new note is in all of a persons browsers at once and gone as quickly."""
    email = demo.new_person()
    here, there = await visit(), await visit()
    await here.signs_in(email)
    await there.signs_in(email)
    await here.write("Said here, seen there")
    await there.sees("Said here, seen there")
    await there.press("Delete the note “Said here, seen there”")
    await here.sees_no("Said here, seen there")


@needs("emulator")
async def test_what_others_write_is_text_and_nothing_else(visit: Any):
    grace, alan = await visit(), await visit()
    await alan.signs_in("alan@example.com")
    await alan.open(f"/teams/{TEAM_ID}")
    await grace.signs_in("grace@example.com")
    await grace.open(f"/teams/{TEAM_ID}")
    evil = '<img src=x onerror="document.title=1"><b>bold</b>'
    await grace.write(evil)
    await alan.sees(evil)
    await alan.page.reload()
    await alan.sees(evil)
    assert await alan.page.locator("#notes img, #notes b").count() == 0


@needs("mail", "client_teams")
async def test_a_team_grows_by_an_invitation(visit: Any, demo: Demo):
    host, guest = await visit(), await visit()
    await host.signs_in(demo.new_person(verified=True))
    await create_team(host, "Night shift")
    await invite(host, invited := demo.new_person(verified=True))
    await open_notes(host, "Night shift")
    link = demo.mail(invited, "team_invitation")["link"]
    await guest.open(link)
    await guest.is_at("/handler/sign-in")
    await guest.fill(Email_address=invited, Password=PASSWORD)
    await guest.press("Sign in")
    await guest.sees("You have been invited to join the team Night shift.")
    await guest.sees(f"You are signed in as {invited}.")
    await guest.press("Join the team")
    await guest.sees("Welcome to the team.")
    await open_notes(guest, "Night shift")
    await guest.write("Glad to be here")
    await host.sees("Glad to be here")
    await guest.open(link)
    await guest.sees("This invitation has been accepted.")


@pytest.mark.parametrize("scripts", [True, False])
@needs("mail", "client_teams")
async def test_the_last_admin_may_leave_and_notes_stay(visit: Any, demo: Demo, scripts: bool):
    """A team is left even by its last admin and keeps the notes."""
    host, member = await visit(java_script_enabled=scripts), await visit()
    await host.signs_in(demo.new_person(verified=True))
    await create_team(host, "Day shift")
    settings = host.page.url
    await open_notes(host, "Day shift")
    await host.write("Said before leaving")
    team = host.page.url
    await member.signs_in(invited := demo.new_person(verified=True))
    await host.page.goto(settings)
    await invite(host, invited)
    await member.open(demo.mail(invited, "team_invitation")["link"])
    await member.press("Join the team")
    await member.sees("Welcome to the team.")
    await open_notes(member, "Day shift")
    await host.page.locator("summary", has_text="Leave the team").click()
    await host.press("Leave Day shift")
    await host.sees("You have left the team.")
    await host.sees_no("Day shift")
    assert (await host.page.request.get(team)).status == 403
    await member.page.reload()
    await member.sees("Said before leaving")


@needs("emulator")
async def test_only_who_has_the_permission_deletes_the_notes_of_others(visit: Any):
    admin, member = await visit(), await visit()
    await admin.signs_in("grace@example.com")
    await member.signs_in("alan@example.com")
    await admin.open(f"/teams/{TEAM_ID}")
    await member.open(f"/teams/{TEAM_ID}")
    await member.write("Alan wrote this")
    await admin.write("Grace wrote this")
    await member.sees("Grace wrote this")
    delete = member.page.get_by_role("button", name="Delete the note “Grace wrote this”")
    await expect(delete).to_have_count(0)
    theirs = await admin.page.get_by_role("listitem").filter(has_text="Grace wrote this").get_attribute("id")
    form = f"/teams/{TEAM_ID}/notes/{(theirs or '').removeprefix('note-')}/delete"
    await member.page.evaluate(
        "path => { const form = document.createElement('form'); form.method = 'post'; form.action = path;"
        " document.body.append(form); form.submit(); }",
        form,
    )
    await member.title("Access denied")
    await admin.press("Delete the note “Alan wrote this”")
    await admin.sees_no("Alan wrote this")
    await admin.sees("Grace wrote this")


@needs("emulator")
async def test_a_stranger_to_a_team_learns_nothing_of_it(visit: Any):
    stranger = await visit()
    await stranger.signs_in("mary@example.com")
    await stranger.open(f"/teams/{TEAM_ID}")
    await stranger.title("Access denied")
    await stranger.sees_no("Compilers")


@needs("emulator")
async def test_the_admin_page_is_for_admins(visit: Any):
    admin, member = await visit(), await visit()
    await admin.signs_in("grace@example.com")
    await admin.open("/notes")
    await admin.follow("Admin")
    await admin.sees("mary@example.com")
    await member.signs_in("alan@example.com")
    await member.open("/admin")
    await member.title("Access denied")


@needs("emulator")
async def test_who_must_verify_an_address_first_is_told_how(visitor: Visitor, demo: Demo):
    async with httpx.AsyncClient(base_url=demo.auth_server) as control:
        try:
            await control.patch("/emulator/project", json={"config": {"require_email_verification": True}})
            await visitor.signs_in(email := demo.new_person())
            await visitor.open("/teams")
            await visitor.title("Access denied")
            await visitor.follow("Verify your email address")
            await visitor.press(f"Verify {email}")
            await visitor.sees("We have sent an email with a link.")
            await visitor.open(demo.mail(email, "email_verification")["link"])
            await visitor.press("Verify email address")
            await visitor.press("Continue")
            await visitor.open("/teams")
            await visitor.title("Teams")
        finally:
            await control.patch("/emulator/project", json={"config": {"require_email_verification": False}})


@needs("mail")
async def test_one_changes_name_addresses_and_password(visitor: Visitor, demo: Demo):
    email, second = demo.new_person(), new_address()
    await visitor.signs_in(email)
    await visitor.open(ACCOUNT)
    await visitor.fill(Name="Ada Lovelace")
    await visitor.press("Save name")
    await visitor.sees("Saved.")
    await expect(visitor.page.get_by_label("Name")).to_have_value("Ada Lovelace")
    await visitor.fill(Another_email_address=second)
    await visitor.page.get_by_label("Use this address to sign in").check()
    await visitor.press("Add email address")
    await visitor.press(f"Verify {second}")
    await visitor.open(demo.mail(second, "email_verification")["link"])
    await visitor.press("Verify email address")
    await visitor.open(ACCOUNT)
    await visitor.press(f"Make {second} the primary address")
    await visitor.page.get_by_text("Delete", exact=True).first.click()
    await visitor.press(f"Delete {email}")
    await visitor.sees("Deleted.")
    await visitor.fill(Current_password="wrong horse battery", New_password="a new horse battery")
    await visitor.press("Change password")
    await visitor.sees("The current password is wrong.")
    await visitor.fill(Current_password=PASSWORD, New_password="a new horse battery")
    await visitor.press("Change password")
    await visitor.sees("Your password has been changed")
    await visitor.sign_out()
    await visitor.signs_in(second, "a new horse battery")


@needs("provider")
async def test_an_account_at_a_provider_is_connected_and_signs_in(visitor: Visitor, demo: Demo):
    email, there = demo.new_person(), new_address()
    await visitor.signs_in(email)
    await visitor.open(ACCOUNT)
    await visitor.press(f"Connect {demo.provider_name}")
    await visitor.sign_in_at_provider(there)
    await visitor.sees("The account has been connected.")
    await visitor.sign_out()
    await visitor.open(f"/handler/sign-in?return_to={ACCOUNT}")
    await visitor.follow(f"Continue with {demo.provider_name}")
    await visitor.sign_in_at_provider(there)
    await visitor.sees(email)


@needs("emulator")
async def test_a_deleted_account_cannot_sign_in_and_has_no_notes(visitor: Visitor, demo: Demo):
    """An account is deleted signs in no more and leaves no notes."""

    async def read_notes() -> str:
        async with httpx.AsyncClient(base_url=demo.app, headers={"origin": demo.app}) as grace:
            await grace.post("/auth/password/sign-in", json={"email": "grace@example.com", "password": PASSWORD})
            return (await grace.get("/admin")).text.partition(" notes by")[0].rpartition(">")[2]

    before = await read_notes()
    email = demo.new_person()
    await visitor.signs_in(email)
    await visitor.write("Only for me")
    assert await read_notes() != before
    await visitor.open(ACCOUNT)
    await visitor.page.get_by_label("I want to delete my account").check()
    await visitor.press("Delete account")
    await visitor.sees("Your account has been deleted.")
    await visitor.sign_in(email)
    await visitor.sees("The email address or the password is wrong.")
    for _ in range(300):  # a webhook tells the app of it
        if await read_notes() == before:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the notes are still there")


@needs("provider")
async def test_without_scripts_all_but_passkeys_and_live_list_works(visit: Any, demo: Demo):
    visitor = await visit(java_script_enabled=False)
    email = demo.new_person()
    await visitor.sign_in(email, "wrong horse battery")
    await visitor.sees("The email address or the password is wrong.")
    await expect(visitor.page.get_by_role("button", name="Sign in with a passkey")).to_have_count(0)
    await visitor.signs_in(email)
    await visitor.write("Without a script")
    await visitor.press("Delete the note “Without a script”")
    await visitor.sees("No notes yet.")
    await visitor.open(ACCOUNT)
    await visitor.fill(Name="Ada")
    await visitor.press("Save name")
    await visitor.sees("Saved.")
    await visitor.press(f"Connect {demo.provider_name}")
    await visitor.sign_in_at_provider(new_address())
    await visitor.sees("The account has been connected.")
    await visitor.sign_out()
    await visitor.press("Try it as a guest")
    await visitor.is_at("/notes")


async def test_by_keyboard_alone_one_signs_in_and_writes(visitor: Visitor, demo: Demo):
    email = demo.new_person()
    await visitor.open("/")
    keyboard, page = visitor.page.keyboard, visitor.page
    await keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()

    async def tab_to(name: str) -> None:
        for _ in range(30):
            await keyboard.press("Tab")
            if (
                await page.evaluate(
                    "document.activeElement.labels?.[0]?.textContent ?? document.activeElement.textContent"
                )
                == name
            ):
                return
        raise AssertionError(f"{name} cannot be reached")

    await tab_to("Sign in")
    await keyboard.press("Enter")
    await visitor.title("Sign in")
    await tab_to("Email address")
    await keyboard.type(email)
    await keyboard.press("Tab")
    await keyboard.type(PASSWORD)
    await keyboard.press("Enter")
    await visitor.is_at("/notes")
    await tab_to("New note")
    await keyboard.type("By keyboard")
    await keyboard.press("Tab")
    await keyboard.press("Enter")
    await visitor.sees("By keyboard")
    await expect(page.get_by_label("New note").last).to_be_focused()


@needs("emulator")
async def test_the_live_list_is_for_who_may_see_the_notes(demo: Demo):
    address = f"{demo.app.replace('http', 'ws')}/teams/{TEAM_ID}/live"
    body = {"email": "mary@example.com", "password": "correct horse battery"}
    async with httpx.AsyncClient(base_url=demo.app) as client:
        tokens = (await client.post("/api/auth/password/sign-in", json=body)).json()
    stranger = {"authorization": f"Bearer {tokens['access_token']}"}
    for headers, status in (({}, 401), (stranger, 403)):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websockets.connect(address, additional_headers=headers):
                pass
        assert refused.value.response.status_code == status


async def test_a_rejected_live_list_stops_and_says_what_to_do(visitor: Visitor, demo: Demo):
    """A live list that is refused stops asking and says what to do."""
    page, attempts = visitor.page, list[str]()
    page.on("websocket", lambda socket: attempts.append(socket.url))
    await page.clock.install()
    await visitor.signs_in(demo.new_person())
    await visitor.write("Live so far")
    await page.request.post("/auth/sign-out", headers={"origin": demo.app})
    link = page.get_by_role("link", name="Sign in again")
    for _ in range(300):
        if await link.count():
            break
        await page.clock.fast_forward(5_000)
        await asyncio.sleep(0.1)
    await visitor.sees("Live updates have ended.")
    made = len(attempts)
    for _ in range(5):
        await page.clock.fast_forward(60_000)
        await asyncio.sleep(0.1)
    assert len(attempts) == made <= 10
    async with page.expect_event("websocket"):
        await page.evaluate("dispatchEvent(new Event('online'))")
    await link.click()
    await visitor.is_at("/handler/sign-in")
    assert page.url.endswith("return_to=%2Fnotes")


async def test_a_form_of_another_site_changes_nothing(demo: Demo):
    async with httpx.AsyncClient(base_url=demo.app, headers={"origin": demo.app}) as browser:
        body = {"email": demo.new_person(), "password": PASSWORD}
        assert (await browser.post("/auth/password/sign-in", json=body)).is_success
        headers = {"origin": "https://evil.example", "accept": "text/html"}
        assert (await browser.post("/notes", data={"text": "planted"}, headers=headers)).status_code == 403
        assert "planted" not in (await browser.get("/notes")).text
        assert (await browser.post("/notes", data={"text": "mine"})).status_code == 303
        assert "mine" in (await browser.get("/notes")).text


async def test_a_note_that_is_none_is_refused_in_words(demo: Demo):
    async with httpx.AsyncClient(base_url=demo.app, headers={"origin": demo.app}, follow_redirects=True) as browser:
        await browser.post("/auth/password/sign-in", json={"email": demo.new_person(), "password": PASSWORD})
        for text in ("", "  \n", "x" * 2001):
            assert "between 1 and 2000" in (await browser.post("/notes", data={"text": text})).text
        assert (await browser.post("/notes/99999999999999999999/delete")).status_code == 422
        assert (await browser.post("/notes/1/delete")).status_code == 200


async def test_half_a_character_in_a_note_is_replaced(demo: Demo):
    async with httpx.AsyncClient(base_url=demo.app, headers={"origin": demo.app}) as browser:
        await browser.post("/auth/anonymous/sign-up")
        content = b'--x\r\ncontent-disposition: form-data; name="text"\r\n\r\nleft+2AA-right\r\n--x--\r\n'
        headers = {"content-type": "multipart/form-data; boundary=x; charset=utf-7"}
        assert (await browser.post("/notes", content=content, headers=headers)).status_code == 303
        assert "left?right" in (await browser.get("/notes")).text


async def test_what_a_page_says_over_the_live_list_does_no_harm(demo: Demo):
    async with httpx.AsyncClient(base_url=demo.app, headers={"origin": demo.app}) as browser:
        await browser.post("/auth/anonymous/sign-up")
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
        address = f"{demo.app.replace('http', 'ws')}/notes/live"
        async with websockets.connect(address, additional_headers=headers, origin=demo.app) as live:  # type: ignore[arg-type]  # any origin
            assert "No notes yet" in str(await live.recv())
            await live.send(b"\x00\xff")
            await live.send("anything")
            await browser.post("/notes", data={"text": "Still live"})
            assert "Still live" in str(await live.recv())


async def test_a_double_click_writes_one_note(visitor: Visitor, demo: Demo):
    """A note that is sent twice by a double click is written once."""

    async def slowly(route: Route) -> None:
        await asyncio.sleep(0.5)
        await route.continue_()

    await visitor.signs_in(demo.new_person())
    await visitor.page.route("**/notes", slowly)
    await visitor.page.get_by_label("New note").last.fill("Only once")
    await visitor.page.get_by_role("button", name="Add note").dblclick()
    await visitor.sees("Only once")
    await visitor.write("Written after it")
    await expect(visitor.page.get_by_role("listitem").filter(has_text="Only once")).to_have_count(1)


async def test_an_unsent_note_stays_in_the_field(visitor: Visitor, demo: Demo):
    """A note that cannot be sent stays in the field and that is said."""
    await visitor.signs_in(demo.new_person())
    await visitor.page.wait_for_load_state()  # before the page's script runs, the browser itself would send the form
    await visitor.page.route("**/notes", lambda route: route.abort())
    await visitor.page.get_by_label("New note").last.fill("Not lost")
    await visitor.press("Add note")
    await visitor.sees("The note could not be saved.")
    await visitor.page.unroute("**/notes")
    await visitor.press("Add note")
    await expect(visitor.page.get_by_role("listitem").filter(has_text="Not lost")).to_have_count(1)
