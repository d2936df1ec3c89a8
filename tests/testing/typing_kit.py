"""What mypy, strict, makes of a stranger's tests; it is checked with the other tests, and never run."""

from typing import assert_type

import httpx
from fastapi import FastAPI

from fastapi_stackauth import TokenKind, User
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.testing import (
    Clients,
    Clock,
    Kit,
    Mail,
    Outbox,
    Person,
    SyncClients,
    TokenFactory,
    Users,
    emulated,
    override_user,
    signed_in,
)


def fixtures(stack_user: Users, stack_sync_client: SyncClients, stack_outbox: Outbox, stack_clock: Clock) -> None:
    ada = stack_user(kind="normal", team="Red", team_permissions=["posts:delete"], display_name="Ada")
    assert_type(ada, Person)
    assert_type(ada.kind, TokenKind)
    assert_type(ada.team_id, str | None)
    assert_type(stack_sync_client(ada, by="cookie"), httpx.Client)
    assert_type(stack_outbox.latest(ada.email, kind="sign_in"), Mail)
    assert_type(stack_clock.now(), float)
    stack_sync_client(ada, by="post")  # type: ignore[arg-type]  # by header or by cookie


async def without_pytest(app: FastAPI, stack_client: Clients, stack_emulator: Emulator) -> None:
    with emulated(app, emulator=stack_emulator) as kit:
        assert_type(kit, Kit)
        async with stack_client(kit.user()) as client, signed_in(app, User(id="ada")) as other:
            assert_type(client, httpx.AsyncClient)
            assert_type(other, httpx.AsyncClient)
    with override_user(app, None) as nobody:
        assert_type(nobody, User | None)
    assert_type(TokenFactory().broken("expired"), str)
