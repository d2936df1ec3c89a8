"""What tests of an app are written with."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

import httpx
import pytest
from fastapi import FastAPI

from fastapi_stackauth import TokenKind, User
from fastapi_stackauth.emulator import Chance, Emulator, emulator
from fastapi_stackauth.emulator import Clock as EmulatorClock
from fastapi_stackauth.testing import (
    Clients,
    Clock,
    Email,
    Kit,
    KitUser,
    Outbox,
    SyncClients,
    TokenFactory,
    Users,
    emulate,
    override_user,
    signed_in,
)


@pytest.fixture
def stack_app() -> FastAPI:
    return FastAPI()


def test_fixtures(stack_user: Users, stack_sync_client: SyncClients, stack_outbox: Outbox, stack_clock: Clock) -> None:
    ada = stack_user(kind="normal", team="Red", team_permissions=["posts:delete"], display_name="Ada")
    assert_type(ada, KitUser)
    assert_type(ada.kind, TokenKind)
    assert_type(ada.team_id, str | None)
    assert_type(ada.headers, dict[str, str])
    assert_type(stack_sync_client(ada, by="cookie"), httpx.Client)
    assert_type(stack_outbox.latest(ada.email, kind="sign_in"), Email)
    assert_type(stack_outbox.latest().otp, str | None)
    assert_type(stack_outbox.emails(), list[Email])
    assert_type([mail.to for mail in stack_outbox], list[str])
    stack_outbox.clear()
    assert_type(stack_clock.now(), float)
    stack_clock.advance(timedelta(minutes=11))
    stack_clock.reset()
    assert_type(stack_user.sign_in(ada), KitUser)
    assert_type(stack_user.team("Red"), str)
    assert_type(stack_user.join(ada, "Red", permissions=["posts:delete"]), str)
    assert_type(stack_user.totp(ada), str)
    stack_user.end_session(ada)


@pytest.fixture(scope="module")
def kit() -> Iterator[Kit]:
    with emulate(FastAPI()) as kit:
        yield kit


async def test_without_fixtures(app: FastAPI, stack_client: Clients, stack_emulator: Emulator) -> None:
    with emulate(app, emulator=stack_emulator) as kit:
        assert_type(kit, Kit)
        assert_type(kit.user, Users)
        async with stack_client(kit.user()) as client, signed_in(app, User(id="ada")) as other:
            assert_type(client, httpx.AsyncClient)
            assert_type(other, httpx.AsyncClient)
    with override_user(app, None) as overridden:
        assert_type(overridden, User | None)


def test_tokens(app: FastAPI) -> None:
    factory = TokenFactory()
    assert_type(factory.token(sub="ada", email="ada@example.com"), str)
    assert_type(factory.broken("expired"), str)
    assert_type(factory.claims("anonymous"), dict[str, Any])
    assert_type(factory.key_set, dict[str, Any])
    with factory.trusted_by(app):
        pass


async def test_the_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    async with emulator(config={"credential_enabled": True}) as server:
        assert_type(server, Emulator)
        assert_type(server.url, str)
        assert_type(server.environment(), dict[str, str])
        assert_type(server.add_user(primary_email="ada@example.com"), str)
        server.clock.advance(601)
    server = Emulator(clock=EmulatorClock(), chance=Chance())
    Kit(server, ExitStack())
    Users(server)
    Outbox(server)
    Clock(server)


def choose(app: FastAPI | None) -> FastAPI:
    return app or FastAPI()


Clients(choose)
SyncClients(choose, ExitStack())
KitUser(
    id="ada",
    kind=TokenKind.NORMAL,
    email="ada@example.com",
    access_token="...",
    refresh_token="...",
    session_id="s-1",
    team_id=None,
    password=None,
    totp_secret=None,
)
Email(
    to="ada@example.com",
    kind="sign_in",
    subject="...",
    sent_at=datetime.now(UTC),
    body="...",
    link="...",
    code="...",
    otp=None,
)
