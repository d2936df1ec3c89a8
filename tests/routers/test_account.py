"""One's own account, sessions and addresses, guests, and what the project offers: end to end in both deliveries."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.faults import Fault
from fastapi_stackauth.errors import SessionEnded
from fastapi_stackauth.routers import Delivery
from tests.routers.callers import ACCESS, EMAIL, PASSWORD, REFRESH, House, Person, assert_problem, new_stack

NOBODYS = "7d0d1d5e-7f3b-4b1c-9a55-2f4f4f0c9a11"
SIGNED_IN_ONLY = [
    ("GET", "/me", None),
    ("PATCH", "/me", {"display_name": "Ada"}),
    ("DELETE", "/me", None),
    ("GET", "/sessions", None),
    ("DELETE", "/sessions", None),
    ("DELETE", f"/sessions/{NOBODYS}", None),
    ("GET", "/contact-channels", None),
    ("POST", "/contact-channels", {"value": "x@example.org"}),
    ("DELETE", f"/contact-channels/{NOBODYS}", None),
    ("POST", f"/contact-channels/{NOBODYS}/make-primary", None),
    ("POST", f"/contact-channels/{NOBODYS}/send-verification", None),
]


@pytest.mark.parametrize(("method", "path", "body"), SIGNED_IN_ONLY)
async def test_who_is_not_signed_in_is_told_to_be(person: Person, method: str, path: str, body: object):
    assert_problem(await person.call(method, path, body), 401, "authentication_required")


@pytest.mark.parametrize(("method", "path", "body"), SIGNED_IN_ONLY)
async def test_a_deleted_user_is_signed_out_without_a_500(
    house: House, person: Person, method: str, path: str, body: object
):
    """Whose account was deleted is signed out and never a server error."""
    user_id = await person.sign_up()
    house.server.store.users.delete(user_id)
    assert_problem(await person.call(method, path, body), 401, "user_deleted")


# --- the account ---


async def test_exactly_four_fields_of_the_account_can_be_changed(person: Person):
    await person.sign_up()
    image = "data:image/png;base64,iVBORw0KGgo="
    change = {"display_name": "Ada", "profile_image_url": image, "client_metadata": {"a": [1, {"b": None}]}}
    answer = await person.call("PATCH", "/me", {**change, "selected_team_id": None})
    assert answer.status_code == 200
    stored = answer.json()["profile_image_url"]
    assert stored.startswith("http")
    assert {name: answer.json()[name] for name in change} == {**change, "profile_image_url": stored}
    cleared = (await person.call("PATCH", "/me", {"display_name": None})).json()
    assert (cleared["display_name"], cleared["profile_image_url"]) == (None, stored)
    assert (await person.call("GET", "/me")).json() == cleared
    assert (await person.call("PATCH", "/me", {})).json() == cleared


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"primary_email": "eve@example.com"}, 422, "request_invalid"),
        ({"totp_secret_base64": None}, 422, "request_invalid"),
        ({"display_name": 5}, 422, "request_invalid"),
        ({"display_name": "x" * 257}, 422, "request_invalid"),
        ({"client_metadata": float("nan")}, 422, "request_invalid"),
        ({"selected_team_id": "no uuid"}, 422, "request_invalid"),
        ({"selected_team_id": NOBODYS}, 404, "TEAM_MEMBERSHIP_NOT_FOUND"),
        ({"profile_image_url": "https://example.com/a.png"}, 400, "auth_server_rejected"),
    ],
)
async def test_a_change_that_is_not_possible_is_refused_by_code(
    person: Person, change: dict[str, Any], status: int, code: str
):
    await person.sign_up()
    answer = await person.call("PATCH", "/me", content=json.dumps(change), headers={"content-type": "application/json"})
    assert_problem(answer, status, code)


async def test_an_account_is_deleted_and_the_browser_signed_out(house: House, person: Person):
    await person.sign_up()
    answer = await person.call("DELETE", "/me")
    assert (answer.status_code, answer.content) == (204, b"")
    assert ACCESS not in person.client.cookies
    assert REFRESH not in person.client.cookies
    wrong = await person.post("/password/sign-in", {"email": EMAIL, "password": PASSWORD})
    assert_problem(wrong, 400, "EMAIL_PASSWORD_MISMATCH")


async def keeps_the_account(house: House, delivery: Delivery) -> None:
    house.server.configure(client_user_deletion_enabled=False)
    async with house.person(delivery) as owner:
        await owner.sign_up()
        assert_problem(await owner.call("DELETE", "/me"), 400, "auth_server_rejected")
        assert (await owner.call("GET", "/me")).status_code == 200


async def test_an_account_stays_if_deletion_is_disabled(house: House, delivery: Delivery):
    """An account stays where the project does not let people delete theirs."""
    await keeps_the_account(house, delivery)


async def test_it_stays_with_a_secret_key_alone_too(keyed_house: House, delivery: Delivery):
    await keeps_the_account(keyed_house, delivery)


# --- sessions ---


async def test_sessions_are_listed_and_others_ended_one_by_one(house: House, person: Person):
    await person.sign_up()
    async with house.person("body") as elsewhere:
        await elsewhere.sign_in()
        sessions = (await person.call("GET", "/sessions")).json()
        assert [session["is_current_session"] for session in sessions] == [False, True]
        other, current = (session["id"] for session in sessions)
        assert (await person.call("DELETE", f"/sessions/{other}")).status_code == 204
        ended = await elsewhere.post("/session/refresh", {"refresh_token": elsewhere.refresh_token})
        assert_problem(ended, 401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    assert_problem(await person.call("DELETE", f"/sessions/{other}"), 404, "auth_server_rejected")
    assert_problem(await person.call("DELETE", f"/sessions/{current}"), 400, "CANNOT_DELETE_CURRENT_SESSION")


@pytest.mark.parametrize("session_id", ["current", "no-uuid", "%2E%2E", "me%2F..%2Fx"])
async def test_what_is_no_session_id_reaches_no_other_operation(house: House, person: Person, session_id: str):
    await person.sign_up()
    answer = await person.call("DELETE", f"/sessions/{session_id}")
    assert 400 <= answer.status_code < 500
    assert (await house.stack.client.refresh(person.refresh_token)).access_token


async def test_all_other_sessions_end_at_once(house: House, person: Person):
    await person.sign_up()
    async with house.person("body") as elsewhere:
        for _ in range(3):
            await elsewhere.sign_in()
        assert (await person.call("DELETE", "/sessions")).status_code == 204
    (left,) = (await person.call("GET", "/sessions")).json()
    assert left["is_current_session"] is True


async def test_nobody_ends_anybody_elses_session(house: House, person: Person):
    await person.sign_up()
    async with house.person("body") as other:
        await other.sign_up("eve@example.com")
        (session,) = (await other.call("GET", "/sessions")).json()
        assert_problem(await person.call("DELETE", f"/sessions/{session['id']}"), 404, "auth_server_rejected")
        assert len((await other.call("GET", "/sessions")).json()) == 1


# --- addresses ---


async def test_an_address_is_added_verified_made_primary_and_removed(house: House, person: Person):
    await person.sign_up()
    added = await person.post("/contact-channels", {"value": "New@example.org"})
    assert added.status_code == 201
    channel = added.json()
    assert (channel["value"], channel["is_verified"], channel["is_primary"]) == ("new@example.org", False, False)
    path = f"/contact-channels/{channel['id']}"
    assert (await person.post(f"{path}/send-verification")).status_code == 204
    mail = house.mail("email_verification", "new@example.org")
    assert mail["link"].startswith(f"http://localhost:8000{person.path('/verify-email')}?code=")
    assert (await person.post("/verify-email", {"code": mail["code"]})).status_code == 204
    primary = (await person.post(f"{path}/make-primary")).json()
    assert (primary["is_verified"], primary["is_primary"]) == (True, True)
    channels = {channel["value"]: channel for channel in (await person.call("GET", "/contact-channels")).json()}
    assert channels[EMAIL]["is_primary"] is False
    assert_problem(await person.post(f"{path}/send-verification"), 409, "EMAIL_ALREADY_VERIFIED")
    assert (await person.call("DELETE", f"/contact-channels/{channels[EMAIL]['id']}")).status_code == 204
    assert len((await person.call("GET", "/contact-channels")).json()) == 1


async def test_an_address_that_cannot_be_added_is_refused_by_code(house: House, person: Person):
    await person.sign_up()
    async with house.person("body") as other:
        await other.sign_up("eve@example.com")
    taken = await person.post("/contact-channels", {"value": "eve@example.com", "used_for_auth": True})
    assert_problem(taken, 409, "CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE")
    assert "eve" not in taken.text
    assert_problem(await person.post("/contact-channels", {"value": EMAIL}), 400, "auth_server_rejected")
    assert_problem(await person.post("/contact-channels", {"value": "no address"}), 422, "request_invalid")
    assert_problem(
        await person.post("/contact-channels", {"value": "x@example.org", "is_verified": True}), 422, "request_invalid"
    )


async def test_an_address_in_use_cannot_become_primary(house: House, person: Person):
    """An address that others began to use cannot be made primary for signing in."""
    await person.sign_up()
    unknown = f"/contact-channels/{NOBODYS}"
    assert_problem(await person.post(f"{unknown}/make-primary"), 400, "auth_server_rejected")
    assert_problem(await person.call("DELETE", unknown), 400, "auth_server_rejected")
    assert_problem(await person.post(f"{unknown}/send-verification"), 404, "auth_server_rejected")
    assert_problem(await person.post("/contact-channels/no-uuid/make-primary"), 422, "request_invalid")


async def test_nobody_touches_anybody_elses_addresses(house: House, person: Person):
    await person.sign_up()
    async with house.person("body") as other:
        await other.sign_up("eve@example.com")
        (channel,) = (await other.call("GET", "/contact-channels")).json()
        path = f"/contact-channels/{channel['id']}"
        for method, action in (("DELETE", ""), ("POST", "/make-primary"), ("POST", "/send-verification")):
            answer = await person.call(method, path + action)
            assert answer.status_code in (400, 403, 404)
        assert (await other.call("GET", "/contact-channels")).json() == [channel]


async def test_only_the_button_of_a_link_verifies(house: House, person: Person):
    """Opening the link verifies nothing and pressing the button does."""
    await person.sign_up()
    link, code = house.mail("email_verification")["link"], house.mail("email_verification")["code"]
    for _ in range(2):
        page = await person.client.get(link)
        assert '<form method="post" action="verify-email">' in page.text
        assert (await person.call("GET", "/me")).json()["primary_email_verified"] is False
    done = await person.client.post(person.path("/verify-email"), data={"code": code})
    assert done.status_code == 200
    assert "is verified" in done.text
    assert (await person.call("GET", "/me")).json()["primary_email_verified"] is True
    again = await person.client.post(person.path("/verify-email"), data={"code": code})
    assert again.status_code == 409
    assert "has already been used" in again.text


async def test_codes_that_verify_nothing_are_told_apart(house: House, person: Person):
    await person.sign_up()
    code = house.mail("email_verification")["code"]
    assert_problem(await person.post("/verify-email", {"code": "0" * 45}), 404, "VERIFICATION_CODE_NOT_FOUND")
    assert_problem(await person.post("/verify-email", {"code": "0"}), 422, "request_invalid")
    house.server.clock.advance(8 * 24 * 3600)
    assert_problem(await person.post("/verify-email", {"code": code}), 400, "VERIFICATION_CODE_EXPIRED")


async def test_a_code_for_an_address_that_is_gone_verifies_nothing(house: House, person: Person):
    await person.sign_up()
    channel = (await person.post("/contact-channels", {"value": "new@example.org"})).json()
    await person.post(f"/contact-channels/{channel['id']}/send-verification")
    await person.call("DELETE", f"/contact-channels/{channel['id']}")
    code = house.mail("email_verification", "new@example.org")["code"]
    assert_problem(await person.post("/verify-email", {"code": code}), 400, "auth_server_rejected")


async def test_a_refreshed_session_knows_of_the_verified_address(house: House, browser: Person):
    house.server.configure(require_email_verification=True)
    await browser.sign_up()
    before = await house.stack.verifier.verify(browser.access_token)
    await browser.post("/verify-email", {"code": house.mail("email_verification")["code"]})
    assert (await browser.post("/session/refresh")).status_code == 204
    after = await house.stack.verifier.verify(browser.access_token)
    assert (before.is_restricted, after.is_restricted, after.email_verified) == (True, False, True)


# --- what the project offers ---


async def test_what_the_project_has_switched_on_is_told_to_everybody(house: House, person: Person):
    house.server.configure(passkey_enabled=False)
    answer = await person.call("GET", "/methods")
    assert answer.json() == {
        "project_name": "Emulator",
        "sign_up": True,
        "password": True,
        "otp": True,
        "passkey": False,
        "oauth_providers": ["github", "google", "microsoft", "spotify"],
        "account_deletion": True,
    }


class Counting(httpx.AsyncHTTPTransport):
    """The way to the auth server, which remembers the paths that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        return await super().handle_async_request(request)


async def test_a_hundred_who_ask_at_once_cause_one_call_in_a_minute(server: Emulator, delivery: Delivery):
    way = Counting()
    stack = new_stack(server, transport=way)
    async with House(server, stack).person(delivery) as person:
        await asyncio.gather(*(person.call("GET", "/methods") for _ in range(100)))
        assert way.paths == ["/api/v1/projects/current"]
        server.configure(sign_up_enabled=False)
        server.clock.advance(59)
        assert (await person.call("GET", "/methods")).json()["sign_up"] is True
        server.clock.advance(2)
        assert (await person.call("GET", "/methods")).json()["sign_up"] is False
        assert len(way.paths) == 2
    await stack.aclose()


async def test_a_failure_is_not_remembered(house: House, person: Person):
    house.server.server.faults.add(
        Fault(
            path="/api/v1/projects/current",
            method=None,
            status=500,
            delay=0,
            retry_after=None,
            times_left=None,
            until=None,
        )
    )
    assert_problem(await person.call("GET", "/methods"), 503, "auth_server_unavailable")
    house.server.server.faults.clear()
    assert (await person.call("GET", "/methods")).status_code == 200


class RotatingKeys(httpx.AsyncHTTPTransport):
    """The way to the auth server, whose signing keys are rotated just before its first DELETE arrives."""

    def __init__(self, server: Emulator) -> None:
        super().__init__()
        self._server: Emulator | None = server

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE" and self._server:
            self._server.server.store.projects.rotate_keys()
            self._server = None
        return await super().handle_async_request(request)


async def test_sign_out_ends_the_session_during_key_rotation(server: Emulator, delivery: Delivery):
    """Signing out ends the session though keys are rotated meanwhile."""
    stack = new_stack(server, transport=RotatingKeys(server))
    async with House(server, stack).person(delivery) as person:
        await person.sign_up()
        refresh_token = person.refresh_token
        answer = await person.post("/sign-out", {"refresh_token": refresh_token} if delivery == "body" else None)
        assert answer.status_code == 204
        with pytest.raises(SessionEnded):
            await stack.client.refresh(refresh_token)
    await stack.aclose()
