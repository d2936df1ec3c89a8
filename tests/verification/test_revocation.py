"""Tokens that are refused before they expire: what this app's own routes end, at once and in every worker."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends

from fastapi_stackauth import (
    AuthError,
    ConfigurationError,
    SessionWatch,
    StackAuth,
    User,
    VerificationUnavailable,
    WatchSession,
)
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.runtime.storage import MAX_VALUES, MemoryStorage
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.entries import Entries
from fastapi_stackauth.verification.revocation import Revocations
from tests.apps import add_routes
from tests.routers.callers import EMAIL, PASSWORD, House, Person, new_stack
from tests.support.redis_server import RedisServer, free_port
from tests.support.rows import rows
from tests.support.world import WITHIN, eventually, turns, until


@asynccontextmanager
async def house(server: Emulator, **options: Any) -> AsyncIterator[House]:
    built = House(server, new_stack(server, **options))
    add_routes(built.app)
    yield built
    await built.stack.aclose()


async def me(house: House, token: str) -> tuple[int, str | None]:
    """What a token is answered in this worker."""
    transport = httpx.ASGITransport(house.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        answer = await client.get("/me", headers={"authorization": f"Bearer {token}"})
        return answer.status_code, None if answer.status_code == 200 else answer.json()["code"]


REVOKED = (401, "session_revoked")


# --- what revokes ---


@pytest.mark.parametrize("delivery", ["cookie", "body"])
async def test_a_token_is_refused_once_its_session_was_signed_out(server: Emulator, delivery: Any):
    async with house(server) as app, app.person(delivery) as ada:
        await ada.sign_up()
        token = ada.access_token
        assert (await me(app, token))[0] == 200
        body = {"refresh_token": ada.refresh_token} if delivery == "body" else None
        assert (await ada.post("/sign-out", body)).status_code == 204
        assert await me(app, token) == REVOKED


async def test_optional_user_takes_a_revoked_session_for_nobody(server: Emulator):
    async with house(server) as app, app.person("body") as ada:
        await ada.sign_up()
        headers = {"authorization": f"Bearer {ada.access_token}"}
        await ada.post("/sign-out", {"refresh_token": ada.refresh_token})
        assert (await ada.client.get("/maybe", headers=headers)).json() is None


@pytest.mark.parametrize("all_others", [True, False])
async def test_sessions_that_are_ended_from_another_device_are_refused(server: Emulator, all_others: bool):
    async with house(server) as app, app.person("body") as phone, app.person("body") as laptop:
        await phone.sign_up()
        await laptop.sign_in()
        lost = next(each for each in (await laptop.call("GET", "/sessions")).json() if not each["is_current_session"])
        path = "/sessions" if all_others else f"/sessions/{lost['id']}"
        assert (await laptop.call("DELETE", path)).status_code == 204
        assert await me(app, phone.access_token) == REVOKED
        assert (await me(app, laptop.access_token))[0] == 200


@pytest.mark.parametrize("delivery", ["cookie", "body"])
async def test_a_password_change_rejects_other_sessions_only(server: Emulator, delivery: Any):
    """A changed password refuses the other sessions and keeps this one."""
    async with house(server) as app, app.person(delivery) as ada, app.person("body") as thief:
        await ada.sign_up()
        await thief.sign_in()
        change = {"old_password": PASSWORD, "new_password": "another horse battery"}
        more = {"refresh_token": ada.refresh_token} if delivery == "body" else {}
        assert (await ada.post("/password/update", {**change, **more})).status_code == 204
        assert await me(app, thief.access_token) == REVOKED
        assert (await me(app, ada.access_token))[0] == 200


async def test_without_refresh_token_a_change_ends_this_session_too(server: Emulator):
    """A changed password without the refresh token ends this session too."""
    async with house(server) as app, app.person("body") as ada:
        await ada.sign_up()
        await ada.post("/password/update", {"old_password": PASSWORD, "new_password": "another horse battery"})
        assert await me(app, ada.access_token) == REVOKED


class _Lists(httpx.AsyncBaseTransport):
    """The network; the list of sessions fails from the given call on."""

    def __init__(self, failing_from: int) -> None:
        self.inner = httpx.AsyncHTTPTransport()
        self.failing_from = failing_from
        self.lists = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and request.url.path.endswith("/auth/sessions"):
            self.lists += 1
            if self.lists >= self.failing_from:
                return httpx.Response(400, text="broken")
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_a_password_stays_if_sessions_cannot_be_listed(server: Emulator):
    """A password is not changed where the other sessions cannot be named."""
    async with house(server, transport=_Lists(1)) as app, app.person("body") as ada:
        await ada.sign_up()
        answer = await ada.post("/password/update", {"old_password": PASSWORD, "new_password": "another horse battery"})
        assert answer.status_code == 400
        await ada.sign_in(password=PASSWORD)


async def test_a_list_that_fails_after_the_change_leaves_nobody_in(server: Emulator):
    async with house(server, transport=_Lists(2)) as app, app.person("body") as ada, app.person("body") as thief:
        await ada.sign_up()
        await thief.sign_in()
        change = {"old_password": PASSWORD, "new_password": "another horse battery"}
        answer = await ada.post("/password/update", {**change, "refresh_token": ada.refresh_token})
        assert answer.status_code == 204, "the password is changed: to say otherwise would mislead"
        assert await me(app, thief.access_token) == REVOKED
        assert (await me(app, ada.access_token))[0] == 200


@pytest.mark.parametrize("delivery", ["cookie", "body"])
async def test_all_tokens_of_a_deleted_account_are_refused(server: Emulator, delivery: Any):
    server.configure(client_user_deletion_enabled=True)
    async with house(server) as app, app.person(delivery) as ada, app.person("body") as phone:
        await ada.sign_up()
        await phone.sign_in()
        assert (await ada.call("DELETE", "/me")).status_code == 204
        assert await me(app, phone.access_token) == (401, "user_deleted")


async def test_a_session_revoked_elsewhere_signs_the_browser_out(server: Emulator):
    """A browser whose session was revoked elsewhere is signed out."""
    async with house(server) as app, app.person("cookie") as browser, app.person("body") as phone:
        await browser.sign_up()
        await phone.sign_in()
        await phone.call("DELETE", "/sessions")
        answer = await browser.client.get("/me")
        assert (answer.status_code, answer.json()["code"]) == (401, "authentication_required")
        assert not browser.client.cookies, "its cookies are gone"


async def test_an_unconfirmed_id_revokes_no_session(server: Emulator):
    """Nobody is revoked by an id that the server did not confirm."""
    async with house(server) as app, app.person("body") as ada, app.person("body") as mallory:
        await ada.sign_up()
        await mallory.sign_up("mallory@example.com")
        session = (await ada.call("GET", "/sessions")).json()[0]["id"]
        answer = await mallory.call("DELETE", f"/sessions/{session}")
        assert answer.status_code >= 400
        forged = ada.access_token[:-6] + "AAAAAA"
        headers = {"authorization": f"Bearer {forged}"}
        await mallory.client.post("/api/auth/sign-out", json={"refresh_token": "unknown"}, headers=headers)
        assert (await me(app, ada.access_token))[0] == 200
        assert len(app.stack.revocations) == 0


class _Loses(httpx.AsyncBaseTransport):
    """The network; answers to calls that match are lost after the server has acted on them."""

    def __init__(self, method: str, path: str, times: int = 1) -> None:
        self.inner = httpx.AsyncHTTPTransport()
        self.method, self.path, self.times = method, path, times

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self.inner.handle_async_request(request)
        if request.method == self.method and self.path in request.url.path and self.times:
            self.times -= 1
            await answer.aclose()
            raise httpx.ReadTimeout("lost", request=request)
        return answer

    async def aclose(self) -> None:
        await self.inner.aclose()


@pytest.mark.parametrize("times", [1, 9])
async def test_an_unconfirmed_end_still_rejects_the_session(server: Emulator, times: int):
    """A session whose end was not confirmed is refused all the same."""
    transport = _Loses("DELETE", "/auth/sessions/", times)
    async with house(server, transport=transport) as app, app.person("body") as phone, app.person("body") as laptop:
        await phone.sign_up()
        await laptop.sign_in()
        lost = next(each for each in (await laptop.call("GET", "/sessions")).json() if not each["is_current_session"])
        answer = await laptop.call("DELETE", f"/sessions/{lost['id']}")
        assert answer.status_code in (204, 503)
        assert await me(app, phone.access_token) == REVOKED


async def test_an_id_in_capitals_is_refused_as_the_server_writes_it(server: Emulator):
    async with house(server) as app, app.person("body") as phone, app.person("body") as laptop:
        await phone.sign_up()
        await laptop.sign_in()
        lost = next(each for each in (await laptop.call("GET", "/sessions")).json() if not each["is_current_session"])
        assert (await laptop.call("DELETE", f"/sessions/{lost['id'].upper()}")).status_code == 204
        assert await me(app, phone.access_token) == REVOKED


async def test_an_unconfirmed_deletion_still_rejects_tokens(server: Emulator):
    """An account whose deletion was not confirmed is refused all the same."""
    transport = _Loses("DELETE", "/users/me")
    async with house(server, transport=transport) as app, app.person("body") as ada, app.person("body") as phone:
        await ada.sign_up()
        await phone.sign_in()
        await ada.call("DELETE", "/me")
        assert await me(app, phone.access_token) == (401, "user_deleted")


async def test_an_unconfirmed_change_rejects_other_sessions(server: Emulator):
    """A password whose change was not confirmed refuses the other sessions."""
    transport = _Loses("POST", "/auth/password/update", 9)
    async with house(server, transport=transport) as app, app.person("body") as ada, app.person("body") as thief:
        await ada.sign_up()
        await thief.sign_in()
        change = {"old_password": PASSWORD, "new_password": "another horse battery"}
        answer = await ada.post("/password/update", {**change, "refresh_token": ada.refresh_token})
        assert answer.status_code >= 400
        assert await me(app, thief.access_token) == REVOKED
        assert (await me(app, ada.access_token))[0] == 200


async def test_sign_out_with_two_sessions_rejects_both(server: Emulator):
    """Signing out with two sessions refuses both whatever fails."""
    transport = _Loses("DELETE", "/auth/sessions/current", 0)
    async with house(server, transport=transport) as app, app.person("body") as one, app.person("body") as two:
        await one.sign_up()
        await two.sign_in()
        transport.times = 99
        headers = {"authorization": f"Bearer {two.access_token}"}
        await one.post("/sign-out", {"refresh_token": one.refresh_token}, headers=headers)
        assert await me(app, one.access_token) == REVOKED
        transport.times = 0
        await two.post("/sign-out", {"refresh_token": two.refresh_token})
        assert await me(app, two.access_token) == REVOKED


@pytest.mark.parametrize("delivery", ["cookie", "body"])
async def test_a_strict_app_without_redis_still_lists_who_signs_out(
    server: Emulator, redis_server: RedisServer, delivery: Any
):
    options = {"redis_url": redis_server.url, "revocation_outage": "error"}
    async with house(server, **options) as app, app.person(delivery) as ada:
        await ada.sign_up()
        token = ada.access_token
        assert (await me(app, token))[0] == 200
        redis_server.kill()
        await eventually(lambda: _true(app.stack.revocations.state == "degraded"))
        await ada.post("/sign-out", {"refresh_token": ada.refresh_token} if delivery == "body" else None)
        await redis_server.start()
        await refused_in(app, token)


async def test_a_watch_ends_as_soon_as_its_session_is_revoked(server: Emulator):
    async with house(server) as app, app.person("body") as ada:
        begun = asyncio.Event()

        @app.app.get("/watched")
        async def watched_route(watch: Annotated[SessionWatch, Depends(WatchSession(every=None))]) -> str:
            try:
                async with watch:
                    begun.set()
                    await asyncio.Event().wait()
            except AuthError as refusal:
                return refusal.code
            return "unreachable"

        await ada.sign_up()
        headers = {"authorization": f"Bearer {ada.access_token}"}
        waiting = asyncio.create_task(ada.client.get("/watched", headers=headers))
        await begun.wait()
        await sign_out(ada)
        async with asyncio.timeout(WITHIN):
            assert (await waiting).json() == "session_revoked"
        assert app.stack.revocations._listeners == {}


# --- the list ---


def make_revocations(ttl: float = 3600.0) -> tuple[Revocations, Callable[[float], None]]:
    now = [1_000_000.0]

    def advance(seconds: float) -> None:
        now[0] += seconds

    settings = Settings.load({"project_id": "p", "revocation_ttl": ttl})
    return Revocations(settings, MemoryStorage(lambda: now[0]), lambda: now[0]), advance


async def test_an_id_is_kept_for_its_time_and_forgotten_after_it():
    revocations, advance = make_revocations(1000)
    user = User(id="u", session_id="s")
    await revocations.revoke_sessions(["s"])
    advance(999)
    with pytest.raises(AuthError, match="ended"):
        await revocations.check(user)
    advance(1)
    await revocations.check(user)


async def test_older_news_do_not_shorten_what_is_known():
    revocations, _ = make_revocations(1000)
    revocations.learn({"s:s": 2_000_000_000.0})
    revocations.learn({"s:s": 1.0})  # as a worker may tell that heard of it earlier
    with pytest.raises(AuthError, match="ended"):
        await revocations.check(User(id="u", session_id="s"))


async def test_what_has_expired_takes_no_room():
    revocations, advance = make_revocations(1000)
    for round_ in range(5):
        await revocations.revoke_sessions(f"{round_}-{number}" for number in range(1_000))
        advance(1001)
    assert len(revocations) <= 1_000


async def test_a_session_and_a_user_of_the_same_id_are_told_apart():
    revocations, _ = make_revocations()
    await revocations.revoke_user("x")
    await revocations.check(User(id="y", session_id="x"))
    await revocations.check(User(id="y"))
    with pytest.raises(AuthError) as refusal:
        await revocations.check(User(id="x"))
    assert refusal.value.code == "user_deleted"


@rows("strange", ["", "a b", "a\nb", "ü", "a:b", "x" * 101])
async def test_what_is_no_id_is_never_put_on_the_list(strange: str):
    revocations, _ = make_revocations()
    await revocations.revoke_sessions([strange])
    await revocations.revoke_user(strange)
    assert len(revocations) == 0


async def test_a_long_list_costs_a_check_nothing():
    """Counted, not timed: a check makes the same look-ups with no entry of interest, however long the list is."""

    class Counting(Entries):
        looked = 0

        def get(self, entry: str) -> float | None:
            Counting.looked += 1
            return super().get(entry)

        def pieces(self) -> Any:
            raise AssertionError("a check must not walk the list")

    counts = []
    for size in (1, 100_000):
        revocations, _ = make_revocations()
        revocations.entries = Counting()
        await revocations.revoke_sessions(f"s-{number}" for number in range(size))
        Counting.looked = 0
        await revocations.check(User(id="u", session_id="other"))
        counts.append(Counting.looked)
    assert counts == [2, 2]


# --- many workers ---


@asynccontextmanager
async def workers(server: Emulator, redis: RedisServer, **options: Any) -> AsyncIterator[tuple[House, House]]:
    """Two workers of one app: what they share is Redis alone."""
    async with (
        house(server, redis_url=redis.url, **options) as one,
        house(server, redis_url=redis.url, **options) as two,
    ):
        yield one, two


async def sign_out(person: Person) -> None:
    assert (await person.post("/sign-out", {"refresh_token": person.refresh_token})).status_code == 204


async def refused_in(worker: House, token: str) -> None:
    async def is_rejected() -> bool:
        return await me(worker, token) == REVOKED

    await eventually(is_rejected)


async def test_what_one_worker_revokes_the_other_refuses(server: Emulator, redis_server: RedisServer):
    async with workers(server, redis_server) as (one, two), one.person("body") as ada:
        await ada.sign_up()
        assert (await me(two, ada.access_token))[0] == 200
        assert two.stack.revocations.state == "connected"
        await sign_out(ada)
        await refused_in(two, ada.access_token)


async def test_a_worker_that_starts_later_knows_past_revocations(server: Emulator, redis_server: RedisServer):
    async with house(server, redis_url=redis_server.url) as one, one.person("body") as ada:
        await ada.sign_up()
        await sign_out(ada)
        async with house(server, redis_url=redis_server.url) as late:
            assert await me(late, ada.access_token) == REVOKED, "already at its first request"


async def test_a_killed_redis_loses_nothing_that_was_acknowledged(server: Emulator, redis_server: RedisServer):
    async with workers(server, redis_server) as (one, two), one.person("body") as ada, one.person("body") as bob:
        await ada.sign_up()
        await bob.sign_up("bob@example.com")
        assert (await me(two, ada.access_token))[0] == 200
        await sign_out(ada)
        await refused_in(two, ada.access_token)
        redis_server.kill()
        await sign_out(bob)  # while it is down
        assert await me(one, bob.access_token) == REVOKED
        assert one.stack.revocations.unpublished_count == 1
        assert (await me(two, bob.access_token))[0] == 200, "it cannot know yet, and goes on"
        await redis_server.start()  # with nothing in it
        await refused_in(two, bob.access_token)
        async with house(server, redis_url=redis_server.url) as late:
            await refused_in(late, ada.access_token)  # those who knew gave back what the server had forgotten
            await refused_in(late, bob.access_token)
        await eventually(lambda: _true(one.stack.revocations.unpublished_count == 0))


async def _true(value: bool) -> bool:
    return value


async def test_a_frozen_redis_delays_and_loses_nothing(server: Emulator, redis_server: RedisServer):
    async with workers(server, redis_server) as (one, two), one.person("body") as ada:
        await ada.sign_up()
        assert (await me(two, ada.access_token))[0] == 200
        redis_server.freeze()
        await sign_out(ada)
        assert await me(one, ada.access_token) == REVOKED
        await eventually(lambda: _true(two.stack.revocations.state == "degraded"))
        assert (await two.stack.health()).redis == "degraded"
        redis_server.thaw()
        await refused_in(two, ada.access_token)
        await eventually(lambda: _true(two.stack.revocations.state == "connected"))
        assert (await two.stack.health()).redis == "connected"


async def test_a_cut_that_only_the_subscriber_feels_loses_nothing(server: Emulator, redis_server: RedisServer):
    """The client library connects again by itself; what was published in between must be read all the same."""
    async with workers(server, redis_server) as (one, two), one.person("body") as ada:
        await ada.sign_up()
        assert (await me(two, ada.access_token))[0] == 200
        for _ in range(3):
            await _redis(redis_server, "CLIENT", "KILL", "TYPE", "pubsub")
            await sign_out(ada)
            await refused_in(two, ada.access_token)
            await ada.sign_in()


async def _redis(server: RedisServer, *command: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write((" ".join(command) + "\r\n").encode())
    answer = (await reader.readline()).decode()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_without_redis_a_strict_app_rejects_and_recovers(server: Emulator, redis_server: RedisServer):
    """Without redis a strict app refuses everybody and recovers."""
    strict = {"revocation_outage": "error"}
    async with workers(server, redis_server, **strict) as (one, two), one.person("body") as ada:
        await ada.sign_up()
        assert (await me(two, ada.access_token))[0] == 200
        redis_server.kill()
        await eventually(lambda: _true(two.stack.revocations.state == "degraded"))
        assert await me(two, ada.access_token) == (503, "verification_unavailable")
        assert (await two.stack.health()).status == "down"
        await redis_server.start()

        async def is_served() -> bool:
            return (await me(two, ada.access_token))[0] == 200

        await eventually(is_served)


async def test_an_app_that_starts_without_redis_serves(server: Emulator, redis_server: RedisServer):
    redis_server.kill()
    async with house(server, redis_url=redis_server.url) as app, app.person("body") as ada:
        await ada.sign_up()
        assert (await me(app, ada.access_token))[0] == 200
        await sign_out(ada)
        assert await me(app, ada.access_token) == REVOKED
        assert app.stack.revocations.state == "degraded"


async def test_a_hundred_thousand_ids_reach_a_late_worker(redis_server: RedisServer):
    """More than one answer of Redis may carry in time; and each as a single message, too."""
    first = StackAuth(project_id="p", redis_url=redis_server.url)
    late = StackAuth(project_id="p", redis_url=redis_server.url)
    await first.revocations.follow()
    await first.revocations.revoke_sessions(f"s-{number}" for number in range(100_000))
    await eventually(lambda: _true(first.revocations.unpublished_count == 0))
    await late.revocations.follow()
    await eventually(lambda: _true(late.revocations.state == "connected"))
    assert len(late.revocations) == 100_000
    with pytest.raises(AuthError):
        await late.revocations.check(User(id="u", session_id="s-99999"))
    await first.aclose()
    await late.aclose()


async def test_apps_of_other_projects_on_the_same_redis_are_not_told(redis_server: RedisServer):
    ours = StackAuth(project_id="p", redis_url=redis_server.url)
    theirs = StackAuth(project_id="q", redis_url=redis_server.url)
    await ours.revocations.follow()
    await theirs.revocations.follow()
    await ours.revocations.revoke_user("u")
    late = StackAuth(project_id="q", redis_url=redis_server.url)
    await late.revocations.follow()
    assert (len(ours.revocations), len(theirs.revocations), len(late.revocations)) == (1, 0, 0)
    for stack in (ours, theirs, late):
        await stack.aclose()


async def test_junk_on_the_channel_harms_nothing(redis_server: RedisServer):
    stack = StackAuth(project_id="p", redis_url=redis_server.url)
    await stack.revocations.follow()
    for junk in ("junk", '"a b c"', '""', '"nan s:x"', '"inf s:y"', '"1e999 f:a"', '"99999999999 f:a"'):
        await _redis(redis_server, "PUBLISH", "stackauth:p:revoked", junk)
    other = StackAuth(project_id="p", redis_url=redis_server.url)
    await other.revocations.revoke_user("u")
    await eventually(lambda: _true("u:u" in stack.revocations.entries))
    assert stack.revocations.state == "connected"
    await stack.aclose()
    await other.aclose()


async def test_what_could_not_be_told_is_tried_once_more_at_the_end(redis_server: RedisServer):
    stack = StackAuth(project_id="p", redis_url=redis_server.url)
    redis_server.freeze()
    await stack.revocations.revoke_user("u")
    assert stack.revocations.unpublished_count == 1
    redis_server.thaw()
    await stack.aclose()
    late = StackAuth(project_id="p", redis_url=redis_server.url)
    await late.revocations.follow()
    assert len(late.revocations) == 1
    await late.aclose()


async def test_a_strict_app_says_so_by_the_same_error_as_ever(redis_server: RedisServer):
    stack = StackAuth(project_id="p", redis_url=redis_server.url, revocation_outage="error")
    redis_server.kill()
    with pytest.raises(VerificationUnavailable):
        await stack.revocations.check(User(id="u"))
    await stack.aclose()


def test_the_address_of_redis_is_a_secret():
    stack = StackAuth(project_id="p", redis_url="redis://:hunter2@localhost:1/0")
    assert "hunter2" not in repr(stack) + repr(stack.settings) + repr(vars(stack)) + json.dumps(str(stack.settings))


@asynccontextmanager
async def process(server: Emulator, redis: RedisServer) -> AsyncIterator[httpx.AsyncClient]:
    """A worker process of its own, and a client of it."""
    port = free_port()
    settings = {"STACK_PROJECT_ID": server.project_id, "STACK_API_URL": server.url, "STACK_REDIS_URL": redis.url}
    command = [sys.executable, "-m", "uvicorn", "tests.support.worker:app", "--port", str(port), "--log-level", "error"]
    worker = await asyncio.create_subprocess_exec(*command, env={**os.environ, **settings})
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

        async def ready() -> bool:
            assert worker.returncode is None, "the worker did not start"
            try:
                return (await client.get("/ready")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(ready)
        yield client
    worker.terminate()
    await worker.wait()


async def test_two_worker_processes_tell_each_other(server: Emulator, redis_server: RedisServer):
    async with process(server, redis_server) as one, process(server, redis_server) as two:
        tokens = (await one.post("/auth/password/sign-up", json={"email": EMAIL, "password": PASSWORD})).json()
        headers = {"authorization": f"Bearer {tokens['access_token']}"}
        assert (await two.get("/me", headers=headers)).json() == tokens["user_id"]
        await one.post("/auth/sign-out", json={"refresh_token": tokens["refresh_token"]}, headers=headers)

        async def is_rejected() -> bool:
            answer = await two.get("/me", headers=headers)
            return answer.status_code == 401 and answer.json()["code"] == "session_revoked"

        await eventually(is_rejected)


async def test_a_request_canceled_while_it_publishes_loses_nothing(redis_server: RedisServer):
    one, two = [StackAuth(project_id="p", redis_url=redis_server.url) for _ in range(2)]
    await two.revocations.follow()
    redis_server.freeze()
    telling = asyncio.create_task(one.revocations.revoke_user("u"))
    await until(lambda: one.revocations.unpublished_count)
    await turns(10)  # now it waits for Redis
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    redis_server.thaw()
    await eventually(lambda: _true("u:u" in two.revocations.entries))
    for stack in (one, two):
        await stack.aclose()


async def test_what_redis_loses_without_a_restart_is_given_back(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fastapi_stackauth.verification.revocation._COMPARE_SECONDS", 0.1)
    stack = StackAuth(project_id="p", redis_url=redis_server.url)
    await stack.revocations.follow()
    await stack.revocations.revoke_user("u")
    await _redis(redis_server, "FLUSHALL")
    late = StackAuth(project_id="p", redis_url=redis_server.url)

    async def is_known() -> bool:
        return await late.services.storage.count("revoked") == 1

    await eventually(is_known)
    for each in (stack, late):
        await each.aclose()


async def test_a_redis_that_takes_no_writes_is_read_all_the_same(redis_server: RedisServer):
    stack = StackAuth(project_id="p", redis_url=redis_server.url)
    await stack.revocations.revoke_user("u")
    await _redis(redis_server, "FLUSHALL")
    await _redis(redis_server, "CONFIG", "SET", "maxmemory", "1")
    await stack.revocations.follow()
    await eventually(lambda: _true(stack.revocations.state == "connected"))
    await eventually(lambda: _true(stack.revocations.unpublished_count == 1))
    await _redis(redis_server, "CONFIG", "SET", "maxmemory", "0")
    await eventually(lambda: _true(stack.revocations.unpublished_count == 0))
    await stack.aclose()


async def test_each_event_makes_all_forget_though_clocks_disagree(redis_server: RedisServer):
    told: list[str] = []
    ahead = StackAuth(project_id="p", redis_url=redis_server.url, clock=lambda: time.time() + 100)
    behind = StackAuth(project_id="p", redis_url=redis_server.url)
    behind.revocations.on_forget = lambda user_id, _team_id: told.append(user_id)
    await behind.revocations.follow()
    await ahead.revocations.forget(user_id="u")
    await eventually(lambda: _true(len(told) == 1))
    await behind.revocations.forget(user_id="u")
    assert len(told) == 2
    for stack in (ahead, behind):
        await stack.aclose()


@pytest.mark.parametrize("address", ["redis://h:999999/0", "redis://:pa/ss@h:1/0", "redis://h:1/0?nonsense=1"])
def test_an_unreadable_redis_url_is_reported_and_hidden(address: str):
    """An address of redis that cannot be read is said at once and not repeated."""
    with pytest.raises(ConfigurationError, match="redis_url") as error:
        StackAuth(project_id="p", redis_url=address)
    assert "pa" not in str(error.value).replace("password", "")
    assert error.value.__suppress_context__


async def test_what_is_kept_in_memory_is_bounded_and_the_newest_stays():
    storage = MemoryStorage()
    for number in range(MAX_VALUES + 1_000):
        await storage.set(f"link:{number}", "x", 1000)
    kept = [await storage.get(f"link:{number}") for number in range(MAX_VALUES + 1_000)]
    assert len(kept) - kept.count(None) == MAX_VALUES
    assert await storage.get("link:0") is None
    assert await storage.get(f"link:{MAX_VALUES + 999}") == "x"


async def test_values_of_one_kind_evict_none_of_another():
    """Callers make values of some kinds, and must not be able to drop what protects others."""
    storage = MemoryStorage()
    assert await storage.add("terminal-session:1", 1000)
    for number in range(MAX_VALUES + 1_000):
        await storage.set(f"link:{number}", "x", 1000)
    assert await storage.get("terminal-session:1")
