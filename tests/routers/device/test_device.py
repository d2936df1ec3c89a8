"""Command-line sign-in (RFC 8628): a device gets a session of its own once its user has confirmed the code it shows."""

import asyncio
import json
import logging
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from fastapi_stackauth import ConfigurationError, Require, StackAuth, User
from fastapi_stackauth.client.resources.cli import CliApi
from fastapi_stackauth.client.resources.sessions import SessionsApi
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.faults import Fault
from fastapi_stackauth.errors import KnownApiError, RequestError
from fastapi_stackauth.models import CliPoll
from fastapi_stackauth.routers import Delivery
from fastapi_stackauth.routers.device import confirmation
from fastapi_stackauth.routers.device.codes import CODE_SECONDS, LETTERS, decrypt
from fastapi_stackauth.routers.device.terminal import DEVICE_GRANT
from fastapi_stackauth.runtime.limits import TOTAL_LIMIT
from fastapi_stackauth.runtime.storage import MemoryStorage, StorageUnavailable
from tests.routers.callers import ORIGIN, PREFIXES, REFRESH, House, Person, assert_problem, new_stack
from tests.routers.operations import all_operations
from tests.routers.teams.company import Company, Member, company_at, keyed_stack
from tests.support.redis_server import RedisServer
from tests.support.rows import rows

CLIENT = "notes-cli"


class Terminal:
    """A command-line tool, with an OAuth client's requests."""

    def __init__(self, house: House, delivery: Delivery) -> None:
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(house.app), base_url=ORIGIN)
        self.path = PREFIXES[delivery] + "/device"
        self.codes: dict[str, Any] = {}

    async def start(self, **fields: str) -> dict[str, Any]:
        """Ask for codes."""
        answer = await self.client.post(f"{self.path}/authorization", data={"client_id": CLIENT, **fields})
        assert answer.status_code == 200, answer.text
        self.codes = dict(answer.json())
        return self.codes

    async def poll(self, **fields: str) -> httpx.Response:
        """Ask for tokens."""
        given = {"grant_type": DEVICE_GRANT, "client_id": CLIENT, "device_code": self.codes.get("device_code", "")}
        return await self.client.post(f"{self.path}/token", data={**given, **fields})


@asynccontextmanager
async def working(server: Emulator, delivery: Delivery, **options: Any) -> AsyncIterator[tuple[Company, Terminal]]:
    stack = keyed_stack(server, **options)
    house = House(server, stack)
    async with aclosing(stack), company_at(house, server, delivery) as company:
        terminal = Terminal(house, delivery)
        async with terminal.client:
            yield company, terminal


@pytest.fixture
async def office(server: Emulator, delivery: Delivery) -> AsyncIterator[tuple[Company, Terminal]]:
    async with working(server, delivery) as found:
        yield found


def assert_oauth_error(answer: httpx.Response, error: str, status: int = 400) -> None:
    """An error as OAuth clients read it (RFC 6749 §5.2)."""
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"error", "error_description"}


async def test_a_device_gets_tokens_once_its_user_confirms(office: tuple[Company, Terminal]):
    """The session is the user's, has a life of its own, and the codes work once."""
    company, terminal = office
    before = company.server.clock.now()
    codes = await terminal.start()
    assert codes == {
        "device_code": codes["device_code"], "user_code": codes["user_code"], "expires_in": 900, "interval": 5,
        "verification_uri": ORIGIN + ("/auth/device" if company.delivery == "cookie" else "/device"),
        "verification_uri_complete": f"{codes['verification_uri']}?code={codes['user_code'][:4]}",
    }  # fmt: skip
    assert re.fullmatch(f"[{LETTERS}]{{4}}-[{LETTERS}]{{4}}", codes["user_code"])
    assert_oauth_error(await terminal.poll(), "authorization_pending")
    seen = await company.boss.call("POST", "/device/verify", {"user_code": codes["user_code"]})
    times = seen.json()
    assert times == {**times, "client_id": CLIENT, "address": "127.0.0.1"}
    assert before * 1000 - 1 <= times["requested_at"] <= company.server.clock.now() * 1000
    assert times["expires_at"] == pytest.approx(times["requested_at"] + 900_000)
    spelled = codes["user_code"].lower().replace("-", " ")
    confirmed = await company.boss.call("POST", "/device/confirm", {"user_code": spelled})
    assert confirmed.status_code == 204, confirmed.text
    company.server.clock.advance(5)
    answer = await terminal.poll()
    tokens = answer.json()
    assert (answer.status_code, tokens["token_type"], answer.headers["cache-control"]) == (200, "Bearer", "no-store")
    assert set(tokens) == {"access_token", "refresh_token", "expires_in", "token_type"}
    profile = await company.house.stack.client.as_user(tokens["access_token"]).users.me()
    assert profile.id == company.boss.id
    assert tokens["refresh_token"] != company.boss.person.refresh_token
    company.server.clock.advance(5)
    assert_oauth_error(await terminal.poll(), "invalid_grant")
    for path in ("verify", "confirm", "deny"):
        again = await company.boss.call("POST", f"/device/{path}", {"user_code": codes["user_code"]})
        assert_problem(again, 404, "user_code_invalid")


# --- the device ---


async def confirm(company: Company, terminal: Terminal, by: Member | None = None) -> httpx.Response:
    """Allow the device, as its user does."""
    return await (by or company.boss).call("POST", "/device/confirm", {"user_code": terminal.codes["user_code"]})


def dismiss(company: Company) -> None:
    """Delete the users, so that another company may have the same."""
    for member in company.members.values():
        company.server.store.users.delete(member.id)


async def get_tokens(company: Company, terminal: Terminal) -> dict[str, Any]:
    """Sign a device in."""
    await terminal.start()
    confirmed = await confirm(company, terminal)
    assert confirmed.status_code == 204, confirmed.text
    answer = await terminal.poll()
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_polls_that_come_too_soon_are_told_so(office: tuple[Company, Terminal]):
    """RFC 8628 §3.5; a second of jitter is no fault."""
    company, terminal = office
    await terminal.start()
    assert_oauth_error(await terminal.poll(), "authorization_pending")
    assert_oauth_error(await terminal.poll(), "slow_down")
    company.server.clock.advance(4.1)
    assert_oauth_error(await terminal.poll(), "authorization_pending")


async def test_a_denied_device_learns_it(office: tuple[Company, Terminal]):
    """And nobody can allow it any more."""
    company, terminal = office
    await terminal.start()
    denied = await company.boss.call("POST", "/device/deny", {"user_code": terminal.codes["user_code"]})
    assert denied.status_code == 204
    assert_oauth_error(await terminal.poll(), "access_denied")
    company.server.clock.advance(5)
    assert_oauth_error(await terminal.poll(), "access_denied")
    assert_problem(await confirm(company, terminal), 404, "user_code_invalid")
    assert len((await company.boss.call("GET", "/sessions")).json()) == 1


async def test_codes_expire_after_fifteen_minutes(office: tuple[Company, Terminal]):
    """The device is told for as long again; then the code is unknown."""
    company, terminal = office
    await terminal.start()
    company.server.clock.advance(CODE_SECONDS)
    assert_oauth_error(await terminal.poll(), "expired_token")
    await company.boss.person.sign_in(company.boss.email)
    assert_problem(await confirm(company, terminal), 404, "user_code_invalid")
    company.server.clock.advance(CODE_SECONDS)
    assert_oauth_error(await terminal.poll(), "invalid_grant")


@rows("fields, error", [
    ({"device_code": "marker"}, "invalid_grant"),
    ({"device_code": ""}, "unsupported_grant_type"),
    ({"device_code": "\u00e9"}, "invalid_grant"),
    ({"device_code": "x" * 201}, "invalid_request"),
    ({"client_id": "other-cli"}, "invalid_grant"),
    ({"client_id": ""}, "invalid_request"),
    ({"client_id": "<b>notes</b>"}, "invalid_request"),
    ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
    ({"grant_type": "refresh_token"}, "unsupported_grant_type"),
    ({"grant_type": "refresh_token", "refresh_token": "marker"}, "invalid_grant"),
    ({"grant_type": "refresh_token", "refresh_token": "new\nline"}, "invalid_grant"),
    ({"grant_type": "refresh_token", "refresh_token": "\u00e9"}, "invalid_grant"),
])  # fmt: skip
async def test_a_wrong_token_request_has_a_code_of_oauth(server: Emulator, fields: dict[str, str], error: str):
    """RFC 6749 §5.2. What it sends is not in the response."""
    async with working(server, "body") as (company, terminal):
        await terminal.start()
        await confirm(company, terminal)
        answer = await terminal.poll(**fields)
        assert_oauth_error(answer, error)
        assert not [value for name, value in fields.items() if name != "grant_type" and value and value in answer.text]
        dismiss(company)


async def test_other_bodies_than_forms_are_invalid(office: tuple[Company, Terminal]):
    """RFC 6749 §3.2: parameters travel in a form. A large one is not read, and no file is."""
    _, terminal = office
    for path in ("authorization", "token"):
        address = f"{terminal.path}/{path}"
        for body in ({"json": {"client_id": CLIENT}}, {"content": b"\xff"}, {}):
            assert_oauth_error(await terminal.client.post(address, **body), "invalid_request")
        files = {"client_id": ("name", b"notes-cli")}
        assert_oauth_error(await terminal.client.post(address, files=files), "invalid_request")
        large = await terminal.client.post(address, data={"client_id": CLIENT, "scope": "x" * 70_000})
        assert_oauth_error(large, "invalid_request", 413)


async def test_one_of_several_polls_gets_the_tokens(office: tuple[Company, Terminal]):
    """Whatever the time between them: the interval is not what protects the tokens."""
    company, terminal = office
    await terminal.start()
    await confirm(company, terminal)
    terminal_storage = company.house.stack.services.storage
    added = terminal_storage.add

    async def never_too_soon(key: str, seconds: float) -> bool:
        return key.startswith("device-poll:") or await added(key, seconds)

    terminal_storage.add = never_too_soon  # type: ignore[method-assign]  # the interval would hide what is tested
    answers = await asyncio.gather(*(terminal.poll() for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    assert {answer.json().get("error") for answer in answers} <= {None, "authorization_pending", "invalid_grant"}
    assert_oauth_error(await terminal.poll(), "invalid_grant")


async def test_a_device_refreshes_its_access_token(office: tuple[Company, Terminal]):
    """RFC 6749 §6, until its session ends, by which it has no more than any other."""
    company, terminal = office
    tokens = await get_tokens(company, terminal)
    company.server.clock.advance(60)
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    fresh = (await terminal.poll(**refresh)).json()
    assert fresh["refresh_token"] == tokens["refresh_token"]
    assert fresh["access_token"] != tokens["access_token"]
    sessions = (await company.boss.call("GET", "/sessions")).json()
    (own,) = [each["id"] for each in sessions if not each["is_current_session"]]
    assert (await company.boss.call("DELETE", f"/sessions/{own}")).status_code == 204
    assert_oauth_error(await terminal.poll(**refresh), "invalid_grant")


async def test_the_session_lives_as_long_as_the_setting_says(server: Emulator):
    """30 days, if the app says nothing."""
    for options, seconds in (({}, 30 * 24 * 3600), ({"cli_session_max_age": 3600}, 3600)):
        async with working(server, "body", **options) as (company, terminal):
            tokens = await get_tokens(company, terminal)
            company.server.clock.advance(seconds - 10)
            refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
            assert (await terminal.poll(**refresh)).status_code == 200
            company.server.clock.advance(20)
            assert_oauth_error(await terminal.poll(**refresh), "invalid_grant")
            dismiss(company)


# --- who confirms ---


async def test_only_a_recent_sign_in_confirms(office: tuple[Company, Terminal]):
    """Younger than ten minutes, at each of the three routes."""
    company, terminal = office
    company.server.clock.advance(601)
    await terminal.start()
    await company.boss.call("POST", "/session/refresh", {"refresh_token": company.boss.person.refresh_token})
    for path in ("verify", "confirm", "deny"):
        answer = await company.boss.call("POST", f"/device/{path}", {"user_code": terminal.codes["user_code"]})
        assert answer.status_code == 401
        assert answer.json()["code"] in ("reauthentication_required", "token_expired")
    await company.boss.person.sign_in(company.boss.email)
    assert (await confirm(company, terminal)).status_code == 204


async def test_only_full_users_with_a_session_confirm(office: tuple[Company, Terminal]):
    """Not anonymous or restricted ones, nor with an API key, nor once the session has ended."""
    company, terminal = office
    await terminal.start()
    body = {"user_code": terminal.codes["user_code"]}
    guest = await company.people.enter_async_context(company.house.person(company.delivery))
    assert_problem(await guest.post("/device/confirm", body), 401, "authentication_required")
    await guest.sign_in_at("/anonymous/sign-up")
    assert_problem(await guest.post("/device/confirm", body), 403, "anonymous_not_allowed")
    company.server.store.users.update(company.member.id, {"restricted_by_admin": 1})
    assert_problem(await company.member.call("POST", "/device/confirm", body), 403, "restricted_not_allowed")
    key = company.server.add_api_key(company.boss.id)
    robot = await company.people.enter_async_context(company.house.person("body"))
    answer = await robot.client.post(
        terminal.path + "/confirm", json=body, headers={"x-api-key": key, "origin": ORIGIN}
    )
    assert_problem(answer, 401, "authentication_required")
    company.server.store.sessions.delete_of_user(company.boss.id)
    assert_problem(await company.boss.call("POST", "/device/confirm", body), 401, "session_revoked")
    assert_oauth_error(await terminal.poll(), "authorization_pending")


async def test_a_terminals_session_is_never_a_recent_sign_in(office: tuple[Company, Terminal]):
    """At any route that needs one: a stolen terminal cannot sign in the next, create keys or change factors."""
    company, terminal = office

    @company.house.app.get("/fresh")
    async def fresh(user: Annotated[User, Depends(Require(max_age=timedelta(hours=1)))]) -> str:
        return user.id

    tokens = await get_tokens(company, terminal)
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    other = Terminal(company.house, company.delivery)
    await other.start()
    robot = company.people.enter_async_context(company.house.person("body"))
    async with aclosing(company.house.stack):
        client = (await robot).client
        calls = {
            "/device/confirm": {"user_code": other.codes["user_code"]},
            "/api-keys": {"description": "key"},
            "/mfa/disable": {"code": "000000"},
        }
        for path, body in calls.items():
            answer = await client.post("/api/auth" + path, json=body, headers=headers)
            assert_problem(answer, 401, "reauthentication_required")
        assert_problem(await client.get("/fresh", headers=headers), 401, "reauthentication_required")
        own = {"authorization": f"Bearer {company.boss.person.access_token}"}
        assert (await client.get("/fresh", headers=own)).status_code == 200
    await other.client.aclose()


# --- pages ---


async def submit(person: Person, path: str, fields: dict[str, str]) -> httpx.Response:
    """Send a page's form."""
    headers = {"accept": "text/html"}
    return await person.client.post(person.path(path), data=fields, headers=headers)


@pytest.fixture
async def browser(server: Emulator) -> AsyncIterator[tuple[Company, Terminal]]:
    async with working(server, "cookie", sign_in_url="/sign-in") as found:
        yield found


async def test_the_pages_lead_to_the_tokens(browser: tuple[Company, Terminal]):
    """The link fills in no whole code: the user types what the device shows, and sees what asks for access."""
    company, terminal = browser
    codes = await terminal.start()
    boss = company.boss.person
    page = await boss.client.get(codes["verification_uri_complete"], headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "Boss (boss@example.com)" in page.text
    assert codes["user_code"][5:] not in page.text
    assert re.findall(r'name="(\w+)"(?: value="(\w+)")?', page.text) == [
        ("viewport", ""), ("robots", ""), ("start", codes["user_code"][:4]), ("user_code", ""),
    ]  # fmt: skip
    asked = await submit(boss, "/device/verify", {"start": codes["user_code"][:4], "user_code": codes["user_code"][5:]})
    assert asked.status_code == 200, asked.text
    for text in (CLIENT, "Its name is not verified", "127.0.0.1", "UTC", "boss@example.com", 'formaction="deny"'):
        assert text in asked.text, text
    (typed,) = re.findall(r'name="user_code" value="(\w+-?\w+)"', asked.text)
    done = await submit(boss, "/device/confirm", {"user_code": typed})
    assert (done.status_code, done.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "The device is signed in" in done.text
    assert (await terminal.poll()).status_code == 200


async def test_a_page_without_a_link_takes_the_whole_code(browser: tuple[Company, Terminal]):
    """A start that no code has is ignored. The second button denies; a wrong code, or none, gets a page, too."""
    company, terminal = browser
    codes = await terminal.start()
    boss = company.boss.person
    typed = await submit(boss, "/device/verify", {"start": codes["user_code"][:4], "user_code": codes["user_code"]})
    assert typed.status_code == 200  # who types both halves means the same
    for start in ("", "?code=", "?code=WDJ", "?code=<b>", "?code=WDJBMJHT", "?code=ABCD"):
        page = await boss.client.get(terminal.path + start, headers={"accept": "text/html"})
        assert page.status_code == 200
        assert 'type="hidden"' not in page.text
    wrong = await submit(boss, "/device/verify", {"user_code": "BBBB-BBBB"})
    assert (wrong.status_code, "The code is invalid or has expired." in wrong.text) == (404, True)
    assert (await submit(boss, "/device/verify", {"user_code": ""})).status_code == 422
    denied = await submit(boss, "/device/deny", {"user_code": codes["user_code"]})
    assert "Access was denied" in denied.text
    assert_oauth_error(await terminal.poll(), "access_denied")


async def test_the_page_sends_strangers_to_sign_in(browser: tuple[Company, Terminal]):
    """And those who signed in too long ago, with `prompt=login`, so that they are not sent back at once."""
    company, terminal = browser
    guest = await company.people.enter_async_context(company.house.person("cookie"))
    headers = {"accept": "text/html"}
    answer = await guest.client.get(f"{terminal.path}?code=WDJB", headers=headers)
    back = "/sign-in?return_to=%2Fauth%2Fdevice%3Fcode%3DWDJB"
    assert (answer.status_code, answer.headers["location"]) == (303, back)
    company.server.clock.advance(601)
    answer = await company.boss.person.client.get(f"{terminal.path}?code=WDJB", headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{back}&prompt=login")


# --- failures on the way ---


@asynccontextmanager
async def failing(company: Company, path: str) -> AsyncIterator[None]:
    """Let an operation of the auth server fail."""
    faults = company.server.server.faults
    faults.add(
        Fault(path="/api/v1" + path, method="POST", status=500, delay=0, retry_after=None, times_left=None, until=None)
    )
    yield
    faults.clear()


async def test_a_failed_confirmation_can_be_repeated(office: tuple[Company, Terminal]):
    """It leaves no session behind, and the device goes on waiting."""
    company, terminal = office
    await terminal.start()
    async with failing(company, "/auth/cli/complete"):
        assert_problem(await confirm(company, terminal), 503, "auth_server_unavailable")
    assert len((await company.boss.call("GET", "/sessions")).json()) == 1
    assert_oauth_error(await terminal.poll(), "authorization_pending")
    company.server.clock.advance(5)
    assert (await confirm(company, terminal)).status_code == 204
    assert (await terminal.poll()).status_code == 200


async def test_tokens_are_not_lost_if_the_refresh_fails(office: tuple[Company, Terminal]):
    """The auth server gives the refresh token once; the next poll still gets it."""
    company, terminal = office
    await terminal.start()
    await confirm(company, terminal)
    async with failing(company, "/auth/sessions/current/refresh"):
        assert_oauth_error(await terminal.poll(), "temporarily_unavailable", 503)
    company.server.clock.advance(5)
    assert (await terminal.poll()).status_code == 200


@rows("poll, error", [
    (CliPoll(status="waiting"), "authorization_pending"),
    (CliPoll(status="expired"), "expired_token"),
    (CliPoll(status="used"), "invalid_grant"),
    (KnownApiError.of("INVALID_POLLING_CODE"), "invalid_grant"),
    (KnownApiError.of("PROJECT_NOT_FOUND"), "invalid_request"),
])  # fmt: skip
async def test_each_state_of_the_auth_server_has_a_code(server: Emulator, poll: Any, error: str):
    """Its own codes may end earlier than ours, or be used by another."""
    async with working(server, "body") as (company, terminal):
        await terminal.start()
        await confirm(company, terminal)

        async def answer(*_: object) -> CliPoll:
            if isinstance(poll, KnownApiError):
                raise poll
            assert isinstance(poll, CliPoll)
            return poll

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CliApi, "poll", answer)  # the emulator's codes end when ours do
            assert_oauth_error(await terminal.poll(), error)
        company.server.clock.advance(5)
        assert (await terminal.poll()).status_code == 200
        dismiss(company)


async def test_the_auth_server_has_the_last_word_on_the_user(
    office: tuple[Company, Terminal], monkeypatch: pytest.MonkeyPatch
):
    """Newer ones reject a restricted user; none knows a code that has ended. No session is left behind."""
    company, terminal = office
    await terminal.start()

    async def check_nothing(_: object) -> None: ...

    monkeypatch.setattr(confirmation, "check_full_user", check_nothing)  # as if the user were restricted a moment later
    company.server.store.users.update(company.member.id, {"restricted_by_admin": 1})
    assert_problem(await confirm(company, terminal, company.member), 403, "restricted_not_allowed")
    for login in company.server.store.cli_logins.list_for_project(company.server.project_id, 1):
        company.server.store.cli_logins.complete(login, "another")
    assert_problem(await confirm(company, terminal), 404, "user_code_invalid")
    assert len((await company.boss.call("GET", "/sessions")).json()) == 1


async def test_a_poll_beside_another_waits_for_it(office: tuple[Company, Terminal], monkeypatch: pytest.MonkeyPatch):
    """The other may fail, or be canceled: then the next one gets the tokens."""
    company, terminal = office
    await terminal.start()
    await confirm(company, terminal)
    refresh, reached = SessionsApi.refresh, asyncio.Event()

    async def hang(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(SessionsApi, "refresh", hang)  # the auth server takes long, without a second of waiting here
    slow = asyncio.create_task(terminal.poll())
    await reached.wait()
    company.server.clock.advance(5)
    assert_oauth_error(await terminal.poll(), "authorization_pending")
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    monkeypatch.setattr(SessionsApi, "refresh", refresh)
    company.server.clock.advance(5)
    assert (await terminal.poll()).status_code == 200


async def test_a_decision_that_cannot_be_stored_leaves_no_session(
    office: tuple[Company, Terminal], monkeypatch: pytest.MonkeyPatch
):
    """The device goes on waiting, and is started again."""
    company, terminal = office
    await terminal.start()
    write = MemoryStorage.set

    async def fail(storage: MemoryStorage, key: str, *more: Any, **options: Any) -> None:
        if key.startswith("device-decision:"):
            raise StorageUnavailable
        await write(storage, key, *more, **options)

    monkeypatch.setattr(MemoryStorage, "set", fail)  # no Redis of this machine fails at the right moment
    assert_problem(await confirm(company, terminal), 503, "verification_unavailable")
    assert len((await company.boss.call("GET", "/sessions")).json()) == 1
    assert_oauth_error(await terminal.poll(), "authorization_pending")


async def test_no_device_gets_the_code_of_another(office: tuple[Company, Terminal], monkeypatch: pytest.MonkeyPatch):
    """A code that is drawn twice is drawn again: its user would allow another device than the one they see."""
    company, terminal = office
    first = await terminal.start()
    letters = iter(first["user_code"].replace("-", "") + "BCDFGHJK")
    monkeypatch.setattr(secrets, "choice", lambda _: next(letters))  # chance is too good to draw one twice
    other = Terminal(company.house, company.delivery)
    assert (await other.start())["user_code"] == "BCDF-GHJK"
    await other.client.aclose()


async def test_without_redis_the_answer_is_to_try_again(server: Emulator, monkeypatch: pytest.MonkeyPatch):
    """Nothing counts as unknown, decided or recent because the storage is unavailable."""
    async with working(server, "body") as (company, terminal):
        await terminal.start()

        async def fail(*_: object, **options: object) -> None:
            if options.get("tolerant", False) is False:
                raise StorageUnavailable

        for name in ("get", "set", "add"):
            monkeypatch.setattr(MemoryStorage, name, fail)  # no Redis of this machine fails at the right moment
        assert_oauth_error(await terminal.poll(), "temporarily_unavailable", 503)
        started = await terminal.client.post(f"{terminal.path}/authorization", data={"client_id": CLIENT})
        assert_oauth_error(started, "temporarily_unavailable", 503)
        assert_problem(await confirm(company, terminal), 503, "verification_unavailable")


async def test_workers_share_devices_through_redis(server: Emulator, redis_server: RedisServer):
    """Without it, a worker does not know the codes of another."""
    for url in (redis_server.url, None):
        async with AsyncExitStack() as stack:
            company, terminal = await stack.enter_async_context(working(server, "body", redis_url=url))
            other = keyed_stack(server, redis_url=url)
            elsewhere = Terminal(House(server, other), "body")
            await stack.enter_async_context(aclosing(other))
            await stack.enter_async_context(elsewhere.client)
            elsewhere.codes = await terminal.start()
            await confirm(company, terminal)
            answer = await elsewhere.poll()
            if url:
                assert answer.status_code == 200, answer.text
            else:
                assert_oauth_error(answer, "invalid_grant")
            dismiss(company)


async def test_neither_the_storage_nor_the_log_has_a_code(
    office: tuple[Company, Terminal], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """Nor a token, at any moment of the sign-in."""
    company, terminal = office
    caplog.set_level(logging.DEBUG)
    written: list[str] = []
    write = MemoryStorage.set

    async def record(storage: MemoryStorage, key: str, value: str, *more: Any, **options: Any) -> None:
        written.append(f"{key} {value}")
        await write(storage, key, value, *more, **options)

    monkeypatch.setattr(MemoryStorage, "set", record)  # what it holds is private
    tokens = await get_tokens(company, terminal)
    (row,) = company.server.store.cli_logins.list_for_project(company.server.project_id, 10)
    assert row["login_code"]
    letters = terminal.codes["user_code"].replace("-", "")
    hidden = [
        terminal.codes["device_code"],
        terminal.codes["user_code"],
        letters,
        row["polling_code"],
        row["login_code"],
    ]
    hidden += [tokens["access_token"], tokens["refresh_token"]]
    assert len(written) >= 4
    for key, value in (each.split(" ", 1) for each in written if each.startswith("user-code:")):
        with pytest.raises(RequestError):  # what a reader of the storage sees decrypts nothing
            decrypt(json.loads(value.split(" ", 1)[1])["login_code"], key)
    for text in (*written, caplog.text):
        assert not [secret for secret in hidden if secret in text]


# --- limits ---


async def test_attempts_are_limited_by_address_user_and_in_total(server: Emulator):
    """User codes are short. The address is counted before the body is read; devices are limited by their address."""
    amount = int(TOTAL_LIMIT.partition("/")[0])
    limits: list[tuple[dict[str, str], int]] = [
        ({"rate_limit_address": "5/hour"}, 5),
        ({"rate_limit_account": "5/hour"}, 5),
        ({"rate_limit_account": "1000/hour"}, amount),
    ]
    for options, allowed in limits:
        async with working(server, "body") as (company, _):
            stack = keyed_stack(server, **options)
            house = House(server, stack)
            async with house.person("body") as person:
                person.tokens = {"access_token": company.boss.person.access_token}
                wrong = {"user_code": "BBBBBBBB"}
                paths = ("/device/verify", "/device/confirm", "/device/deny")
                codes = [(await person.post(paths[n % 3], wrong)).status_code for n in range(allowed + 1)]
            assert codes == [404] * allowed + [429], options
            await stack.aclose()
            dismiss(company)


async def test_starts_are_limited_in_total(server: Emulator):
    """Each leaves something in the storage: many addresses must not push out the devices that wait."""
    amount = int(TOTAL_LIMIT.partition("/")[0])
    async with working(server, "body", rate_limit_address="10000/minute") as (_, terminal):
        data = {"client_id": CLIENT}
        answers = [await terminal.client.post(f"{terminal.path}/authorization", data=data) for _ in range(amount + 1)]
        assert [answer.status_code for answer in answers] == [200] * amount + [429]


async def test_starts_are_limited_by_address(server: Emulator):
    async with working(server, "body", rate_limit_address="7/hour") as (_, terminal):  # the people have signed in
        answers = [
            await terminal.client.post(f"{terminal.path}/authorization", data={"client_id": CLIENT}) for _ in range(8)
        ]
        assert [answer.status_code for answer in answers] == [200] * 7 + [429]
        assert_oauth_error(answers[-1], "slow_down", 429)
        assert int(answers[-1].headers["retry-after"]) > 0


# --- sharing the browser's session ---


async def test_a_shared_session_needs_no_secret_key(server: Emulator):
    """Signing out on either side ends both, and it is no recent sign-in any more."""
    sharing, app = new_stack(server), FastAPI()
    sharing.install(app)
    app.include_router(sharing.router(), prefix="/auth")
    app.include_router(sharing.cli_router(share_browser_session=True), prefix="/auth")
    house = House(server, sharing, app=app)
    async with aclosing(sharing), company_at(house, server, "cookie") as company:
        terminal = Terminal(house, "cookie")
        await terminal.start()
        boss = company.boss.person.client
        own = boss.cookies[REFRESH]
        boss.cookies.set(REFRESH, company.rival.person.refresh_token, domain="localhost.local", path="/")
        mixed = await confirm(company, terminal)
        assert mixed.status_code == 401, mixed.text  # the page would name one account, and the device get another
        boss.cookies.set(REFRESH, own, domain="localhost.local", path="/")
        async with failing(company, "/auth/cli/complete"):
            assert_problem(await confirm(company, terminal), 503, "auth_server_unavailable")
        tokens = await get_tokens(company, terminal)  # the failure has not cost the browser its recent sign-in
        assert tokens["refresh_token"] == company.boss.person.refresh_token
        await terminal.start()
        bearer = {"authorization": f"Bearer {company.member.person.access_token}", "origin": ORIGIN}
        body = {"user_code": terminal.codes["user_code"]}
        answer = await terminal.client.post(terminal.path + "/confirm", json=body, headers=bearer)
        assert_problem(answer, 401, "authentication_required")  # its refresh token is not known
        other = Terminal(house, "cookie")
        await other.start()
        assert_problem(await confirm(company, other), 401, "reauthentication_required")
        assert (await company.boss.person.post("/sign-out")).status_code == 204
        refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        assert_oauth_error(await terminal.poll(**refresh), "invalid_grant")
        await terminal.client.aclose()
        await other.client.aclose()


# --- the router ---


@rows("options, text", [
    ({"delivery": "header"}, "delivery"),
    ({"delivery": "body"}, "has no page on which users type"),
    ({"delivery": "body", "pages": {"device": "/device"}, "share_browser_session": True}, 'needs delivery="cookie"'),
    ({"pages": {"cli": "/device"}}, "'cli' is not one of device"),
    ({"pages": {"device": "device"}}, "must be a path such as"),
    ({"pages": {"device": "https://"}}, "must be a path such as"),
    ({"pages": {"device": "/a b"}}, "must be a path such as"),
    ({"share_browser_session": "no"}, "must be True or False"),
])  # fmt: skip
def test_a_wrong_option_raises_when_the_router_is_made(options: dict[str, Any], text: str):
    """The message says what to write."""
    with pytest.raises(ConfigurationError, match=text):
        StackAuth(app_url="https://app.example.com").cli_router(**options)


def test_sharing_through_redis_needs_the_key_that_seals():
    """Otherwise whoever can write to Redis could put in a sign-in of their own."""
    stack = StackAuth(app_url="https://app.example.com", redis_url="redis://localhost", secret_server_key=None)
    with pytest.raises(ConfigurationError, match="sealed with it"):
        stack.cli_router(share_browser_session=True)


async def test_addresses_have_no_characters_of_a_request(server: Emulator):
    """A prefix may have parameters, and the path of a request comes decoded."""
    stack, app = keyed_stack(server), FastAPI()
    stack.install(app)
    app.include_router(stack.cli_router(), prefix="/{tenant}/auth")
    async with aclosing(stack), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client:
        answer = await client.post("/%0d%0aX%3f%3Cb/auth/device/authorization", data={"client_id": CLIENT})
    assert answer.json()["verification_uri"] == ORIGIN + "/%0D%0AX%3F%3Cb/auth/device"


async def test_without_a_secret_key_the_routes_are_closed(server: Emulator):
    """They are listed at start-up like those of any other missing setting, and nothing reaches the auth server."""
    stack = new_stack(server)
    house = House(server, stack)
    closed = {route for route in stack.missing_settings()["secret_server_key"] if "/device" in route}
    assert closed - {"HEAD /auth/device"} == {
        f"{route.method} {prefix}{route.path}"
        for prefix in PREFIXES.values()
        for route in all_operations(house.app, prefix)
        if route.path.startswith("/device")
    }
    terminal = Terminal(house, "body")
    answer = await terminal.client.post(f"{terminal.path}/authorization", data={"client_id": CLIENT})
    assert answer.status_code == 500
    assert answer.json()["code"] == "configuration_error"
    await terminal.client.aclose()
    await stack.aclose()


@rows("redis_url, options, count", [
    (None, {}, 1), (None, {"delivery": "body", "pages": {"device": "/device"}}, 1), ("redis://localhost", {}, 0),
])  # fmt: skip
async def test_a_single_worker_is_one_warning(
    caplog: pytest.LogCaptureFixture, redis_url: str | None, options: Any, count: int
):
    """The line names the routes that several workers would break; with `redis_url` there is none."""
    stack = StackAuth(project_id="p", app_url="https://app.example.com", secret_server_key="s", redis_url=redis_url)
    app = FastAPI()
    stack.install(app)
    app.include_router(stack.cli_router(**options), prefix="/auth")
    caplog.clear()
    for _ in range(2):
        async with app.router.lifespan_context(app):
            pass
    found = [record for record in caplog.records if getattr(record, "stack_event", None) == "single_worker"]
    assert [record.levelno for record in found] == [logging.WARNING] * count
    for record in found:
        assert vars(record)["stack_fields"]["routes"] == "POST /auth/device/authorization, POST /auth/device/token"


async def test_openapi_has_every_error_of_the_oauth_routes(office: tuple[Company, Terminal]):
    """With an example for each code, as JSON; and no status that the routes do not have."""
    company, terminal = office
    paths = company.house.app.openapi()["paths"]
    token = paths[terminal.path + "/token"]["post"]
    assert list(token["requestBody"]["content"]) == ["application/x-www-form-urlencoded"]
    codes = {
        (status, code)
        for status, answer in token["responses"].items()
        for code in answer.get("content", {}).get("application/json", {}).get("examples", {})
    }
    assert codes == {
        *(("400", code) for code in (
            "authorization_pending", "slow_down", "access_denied", "expired_token", "invalid_grant",
            "unsupported_grant_type", "invalid_request",
        )),
        ("413", "invalid_request"), ("502", "server_error"), ("503", "temporarily_unavailable"),
        ("default", "temporarily_unavailable"),
    }  # fmt: skip
    assert set(token["responses"]) == {"200", "400", "413", "502", "503", "default"}
