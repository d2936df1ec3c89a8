"""What makes each event happen: scenes, by the names of their events."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from fastapi_stackauth import (
    AuthError,
    AuthEvent,
    AuthEvents,
    StackAuth,
)
from fastapi_stackauth.dependencies import WatchSession
from fastapi_stackauth.emulator import Emulator, emulator
from fastapi_stackauth.models import ApiKeyCreate, SignIn
from fastapi_stackauth.routers import Delivery
from fastapi_stackauth.runtime.storage import MemoryStorage, Phase, StorageUnavailable
from fastapi_stackauth.settings import Settings
from fastapi_stackauth.verification.revocation import Revocations
from tests.dependencies.helpers import open_watch
from tests.mcp.desk import Desk
from tests.routers.callers import EMAIL, House, Person, new_stack
from tests.routers.flows import code, enroll
from tests.support.asgi import bearer, call
from tests.support.forge import Signer
from tests.support.webhooks import JOINED, Receiver
from tests.support.world import World, eventually, until

NO_REDIS = "redis://127.0.0.1:1/0"


def count(events: AuthEvents, name: str, **labels: str) -> int:
    """How often an event happened, with these labels at least."""
    found = events.counts().items()
    return sum(count for (each, its), count in found if each == name and labels.items() <= dict(its).items())


Scene = Callable[[World, Signer], Awaitable[StackAuth | AuthEvents]]
SCENES: dict[tuple[str, ...], Scene] = {}


def scene(*names: str) -> Callable[[Scene], Scene]:
    def register(fail: Scene) -> Scene:
        SCENES[names] = fail
        return fail

    return register


Act = Callable[[House, Person], Awaitable[object]]


async def in_the_house(act: Act, *, delivery: Delivery = "body", **options: Any) -> StackAuth:
    async with emulator() as server:
        stack = new_stack(server, **options)
        house = House(server, stack)
        async with house.person(delivery) as person:
            await act(house, person)
    return stack


async def fault(server: Emulator, **what: object) -> None:
    """Have the auth server fail."""
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.post("/emulator/faults", json=what)).status_code < 300


@scene("token_verified", "auth_server_call", "keys_fetched")
async def a_good_token(world: World, signer: Signer) -> StackAuth:
    token = signer.token()
    for _ in range(3):
        await world.verify(token)
    events = world.stack.events
    assert count(events, "token_verified", cache="miss", source="keys") == 1
    assert count(events, "token_verified", cache="hit", source="keys") == 2
    assert count(events, "auth_server_call", status="200") == count(events, "keys_fetched") == 1
    return world.stack


@scene("token_rejected", "error_returned")
async def a_bad_token(world: World, stranger: Signer) -> StackAuth:
    answer = await call(world.app(), "/me", [bearer("no-token")])
    assert answer.status == 401
    assert count(world.stack.events, "token_rejected", code="token_malformed") == 1
    assert count(world.stack.events, "error_returned", code="token_malformed", status="401") == 1
    return world.stack


@scene("credentials_rejected")
async def two_tokens(world: World, signer: Signer) -> StackAuth:
    headers = [bearer(signer.token()), (b"x-stack-access-token", signer.token(email="x").encode())]
    assert (await call(world.app(), "/me", headers)).status == 401
    assert count(world.stack.events, "credentials_rejected", code="credentials_conflict") == 1
    return world.stack


@scene("keys_fetch_failed", "fallback_called")
async def keys_out_of_reach(world: World, signer: Signer) -> StackAuth:
    world.server.keys = "503"
    await world.verify(signer.token())
    assert count(world.stack.events, "fallback_called", outcome="accepted") == 1
    assert count(world.stack.events, "token_verified", cache="miss", source="fallback") == 1
    assert count(world.stack.events, "keys_fetch_failed", reason="auth_server_unavailable") == 1
    return world.stack


@scene("keys_served_stale")
async def keys_past_their_time(world: World, signer: Signer) -> StackAuth:
    await world.stack.warm_up()
    world.server.keys = "503"
    world.advance(3_601)
    token = signer.token(iat=1, exp=2_000_000_000)
    await world.verify(token)
    assert count(world.stack.events, "keys_served_stale") == 1
    return world.stack


@scene("lookup_failed")
async def everything_out_of_reach(world: World, signer: Signer) -> StackAuth:
    world.server.keys = world.server.me = "503"
    assert (await call(world.app(), "/me", [bearer(signer.token())])).status == 503
    events = world.stack.events
    assert count(events, "fallback_called", outcome="unavailable") == 1
    assert count(events, "lookup_failed", about="token") == 1
    assert count(events, "error_returned", status="503", code="verification_unavailable") == 1
    return world.stack


@scene("api_key_verified", "api_key_rejected")
async def api_keys(_world: World, _signer: Signer) -> StackAuth:
    async with emulator() as server:
        stack = new_stack(server, secret_server_key=server.secret_server_key)
        person: SignIn = await stack.client.password.sign_up(email=EMAIL, password="correct horse battery")
        never = ApiKeyCreate(description="of a robot", expires_at_millis=None)
        given = await stack.client.as_user(person.access_token).user_api_keys.create(never)
        for _ in range(2):
            await stack.services.api_keys.user(given.value)
        for wrong in ("sk_of_nobody", "of no form"):
            with pytest.raises(AuthError):
                await stack.services.api_keys.user(wrong)
    assert count(stack.events, "api_key_verified", owner="user", cache="miss") == 1
    assert count(stack.events, "api_key_verified", owner="user", cache="hit") == 1
    assert count(stack.events, "api_key_rejected", owner="user") == 2
    return stack


@scene("sign_in_succeeded", "sign_in_failed", "session_refreshed", "session_ended")
async def signing_in_and_out(_world: World, _signer: Signer) -> StackAuth:
    async def act(house: House, person: Person) -> None:
        await person.sign_up()
        await person.sign_in()
        await person.post("/password/sign-in", {"email": EMAIL, "password": "wrong"})
        assert (await person.post("/session/refresh", {"refresh_token": person.refresh_token})).status_code == 200
        for _ in range(2):
            await person.post("/sign-out", {"refresh_token": person.refresh_token})
        await person.post("/session/refresh", {"refresh_token": person.refresh_token})

    stack = await in_the_house(act)
    assert count(stack.events, "sign_in_succeeded", method="password", new_user="true") == 1
    assert count(stack.events, "sign_in_succeeded", method="password", new_user="false") == 1
    assert count(stack.events, "sign_in_failed", method="password", code="EMAIL_PASSWORD_MISMATCH") == 1
    assert count(stack.events, "session_refreshed", delivery="body") == 1
    assert count(stack.events, "session_ended", reason="signed_out") == 1
    assert count(stack.events, "session_ended", reason="not_found") == 1
    return stack


@scene("clock_skew")
async def a_clock_that_is_ahead(_world: World, _signer: Signer) -> StackAuth:
    async def act(_house: House, person: Person) -> None:
        await person.sign_up()
        for _ in range(2):
            assert (await person.call("GET", "/me")).json()["code"] == "clock_skew"

    stack = await in_the_house(act, delivery="cookie", clock=lambda: time.time() + 3600)
    assert count(stack.events, "clock_skew") == 1, "twice a minute is enough"
    assert count(stack.events, "session_refreshed", delivery="cookie") == 1
    return stack


@scene("mfa_requested")
async def a_second_factor(_world: World, _signer: Signer) -> StackAuth:
    async def act(house: House, person: Person) -> None:
        await enroll(house, person)
        refused = await person.post("/password/sign-in", {"email": EMAIL, "password": "correct horse battery"})
        attempt = refused.json()["details"]
        await person.post("/mfa/sign-in", {**attempt, "code": "000000"})
        await person.sign_in_at("/mfa/sign-in", {**attempt, "code": code(house)})

    stack = await in_the_house(act)
    assert count(stack.events, "mfa_requested", method="password") == 1
    assert count(stack.events, "sign_in_failed", method="password") == 0
    assert count(stack.events, "sign_in_failed", method="mfa", code="INVALID_TOTP_CODE") == 1
    assert count(stack.events, "sign_in_succeeded", method="mfa") == 1
    return stack


@scene("rate_limited")
async def too_many_attempts(_world: World, _signer: Signer) -> StackAuth:
    async def act(house: House, person: Person) -> None:
        for _ in range(3):
            await person.post("/anonymous/sign-up")

    stack = await in_the_house(act, rate_limit_address="1/minute")
    assert count(stack.events, "rate_limited", action="anonymous_sign_up", by="address") == 2
    assert count(stack.events, "sign_in_succeeded", method="anonymous", new_user="true") == 1
    return stack


@scene("email_not_sent")
async def a_link_that_is_not_trusted(_world: World, _signer: Signer) -> StackAuth:
    async def act(house: House, person: Person) -> None:
        house.server.configure(allow_localhost=False)
        await person.sign_up()

    return await in_the_house(act)


@scene("session_refresh_failed", "session_end_failed")
async def signing_out_of_a_server_that_is_down(_world: World, _signer: Signer) -> StackAuth:
    async def act(house: House, person: Person) -> None:
        await person.sign_up()
        await fault(house.server, path="/api/v1/auth/sessions/current/refresh", status=500)
        assert (await person.post("/sign-out")).status_code == 204

    stack = await in_the_house(act, delivery="cookie")
    assert count(stack.events, "session_refresh_failed", delivery="cookie", code="auth_server_unavailable") == 1
    assert count(stack.events, "auth_server_call", status="500") == 1
    return stack


@scene("session_check_failed")
async def a_watch_that_cannot_ask(world: World, signer: Signer) -> StackAuth:
    watch = await open_watch(world.app(), signer.token(), WatchSession(every=0.001))
    world.server.me = "503"
    async with watch:
        await until(lambda: count(world.stack.events, "session_check_failed"))
    assert count(world.stack.events, "lookup_failed", about="session") >= 1
    return world.stack


@scene("health_without_keys")
async def a_health_check_without_keys(world: World, _signer: Signer) -> StackAuth:
    world.server.keys = "503"
    assert (await world.stack.health()).status == "down"
    return world.stack


@scene("webhook_handled", "webhook_rejected", "webhook_failed")
async def webhooks(_world: World, _signer: Signer) -> StackAuth:
    receiver = Receiver()
    await receiver.deliver(JOINED)
    await receiver.deliver({"type": "moon.landed", "data": {}}, message_id="msg_2")
    await receiver.deliver(JOINED, at=receiver.now - 1000)

    @receiver.webhooks.on("team_membership.created")
    def break_down(event: object) -> None:
        raise LookupError

    assert (await receiver.deliver(JOINED, message_id="msg_3")).status_code == 500
    assert count(receiver.stack.events, "webhook_handled", type="team_membership.created") == 1
    assert count(receiver.stack.events, "webhook_handled", type="unknown") == 1
    return receiver.stack


@scene("tool_failed")
async def a_tool_whose_route_raises(_world: World, _signer: Signer) -> StackAuth:
    desk = Desk()

    @desk.app.get("/crash", operation_id="crash")
    async def crash() -> None:
        raise LookupError

    desk.mount(include_operations={"crash"})
    async with desk.open():
        assert (await desk.use(desk.token(), "crash")).is_error
    return desk.stack


@scene("webhook_storage_unavailable", "storage_unavailable")
async def a_webhook_without_redis(_world: World, _signer: Signer) -> StackAuth:
    receiver = Receiver(redis_url=NO_REDIS)
    assert (await receiver.deliver({"type": "moon.landed", "data": {}})).status_code == 204
    assert count(receiver.stack.events, "storage_unavailable", operation="set") == 1
    return receiver.stack


@scene("rate_limits_local")
async def limits_without_redis(_world: World, _signer: Signer) -> StackAuth:
    stack = StackAuth(project_id="p", redis_url=NO_REDIS)
    await stack.limiter.count("sign_in", address="192.0.2.1")
    return stack


@scene("variables_conflict")
async def two_brands(_world: World, _signer: Signer) -> StackAuth:
    app, stack = FastAPI(), StackAuth(project_id="p")
    stack.install(app)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HEXCLAVE_APP_URL", "https://new.example.com")
        patched.setenv("STACK_APP_URL", "https://old.example.com")
        async with app.router.lifespan_context(app):
            pass
    return stack


@scene("cookies_on_other_host")
async def another_host(_world: World, _signer: Signer) -> StackAuth:
    stack = StackAuth(project_id="p", app_url="http://localhost:8000")
    stack.sessions.warn_of_other_host(Request({"type": "http", "headers": [(b"host", b"127.0.0.1:8000")]}))
    return stack


@scene("setting_missing")
async def no_project_id(_world: World, _signer: Signer) -> StackAuth:
    app, stack = FastAPI(), StackAuth(project_id=None)
    stack.install(app)
    app.include_router(stack.readiness("/ready"))
    async with app.router.lifespan_context(app):
        pass
    return stack


@scene("single_worker")
async def one_worker(_world: World, _signer: Signer) -> StackAuth:
    app, stack = FastAPI(), StackAuth(project_id="p", app_url="http://localhost:8000", secret_server_key="s")
    stack.install(app)
    app.include_router(stack.cli_router())
    async with app.router.lifespan_context(app):
        pass
    return stack


@scene("mfa_not_mounted")
async def no_mfa(_world: World, _signer: Signer) -> StackAuth:
    app, stack = FastAPI(), StackAuth(project_id="p", app_url="http://localhost:8000")
    stack.install(app)
    app.include_router(stack.router(exclude=["mfa"]))
    async with app.router.lifespan_context(app):
        pass
    return stack


class Workers(MemoryStorage):
    """What workers share, as far as these tests go: out of reach at first, or broken."""

    is_shared = True
    tellings = 0

    def __init__(self, failure: Exception | None = None) -> None:
        super().__init__()
        self.failures = [failure] if failure else []

    async def publish(self, name: str, facts: Mapping[str, float], seconds: float) -> None:
        self.tellings += 1
        if self.tellings == 1:
            raise StorageUnavailable

    async def follow(self, name: str) -> AsyncGenerator[tuple[Mapping[str, float], Phase], None]:
        if self.failures:
            raise self.failures.pop()
        yield {}, "start"
        yield {}, "whole"
        await asyncio.Event().wait()


@scene("revocation_added", "revocations_unpublished", "revocations_published", "revocations_connected",
       "revocations_disconnected", "revocations_connect_failed")  # fmt: skip
async def other_workers(_world: World, _signer: Signer) -> AuthEvents:
    events = AuthEvents()
    storage = Workers(StorageUnavailable())
    revocations = Revocations(Settings.load({"project_id": "p"}), storage, events=events)
    await revocations.follow()
    await revocations.revoke_user("u")
    await revocations.revoke_sessions(["s", "t"])

    async def is_settled() -> bool:
        return bool(count(events, "revocations_published") and count(events, "revocations_connected"))

    await eventually(is_settled)
    await revocations.aclose()
    assert count(events, "revocation_added", kind="user") == 1
    assert count(events, "revocation_added", kind="session") == 2
    return events


@scene("event_hook_failed")
async def a_hook_that_fails(world: World, signer: Signer) -> StackAuth:
    @world.stack.events.on("token_rejected")
    def broken(event: AuthEvent) -> None:
        raise LookupError

    for _ in range(3):
        assert (await call(world.app(), "/me", [bearer("no-token")])).status == 401
    assert count(world.stack.events, "event_hook_failed") == 3
    return world.stack
