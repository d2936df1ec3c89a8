"""How often somebody may try to sign in: per address and per account, and never one bucket for all strangers."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fastapi_stackauth import ConfigurationError, StackAuth
from fastapi_stackauth.client.forwarding import end_user_address
from fastapi_stackauth.emulator import Emulator
from tests.support.redis_server import RedisServer

WRONG = {"email": "ada@example.com", "password": "wrong password"}


Apps = Callable[..., FastAPI]


@pytest.fixture
async def make_app(server: Emulator) -> AsyncIterator[Apps]:
    """Makes apps with given limits; what they opened is closed afterwards."""
    stacks = []

    def make(**options: Any) -> FastAPI:
        stack = StackAuth(project_id=server.project_id, base_url=server.url, **options)
        stacks.append(stack)
        app = FastAPI()
        stack.install(app)
        app.include_router(stack.router(delivery="body"), prefix="/auth")
        return app

    yield make
    for stack in stacks:
        await stack.aclose()


async def attempt(app: FastAPI, address: str | None, email: str, **headers: str) -> httpx.Response:
    peer = (address, 1) if address else None
    transport = httpx.ASGITransport(app, client=peer)  # type: ignore[arg-type]  # ASGI allows no client (Unix sockets)
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test", headers=headers) as client:
        return await client.post("/auth/password/sign-in", json={**WRONG, "email": email})


async def statuses(app: FastAPI, address: str | None, emails: list[str], **headers: str) -> list[int]:
    return [(await attempt(app, address, email, **headers)).status_code for email in emails]


async def test_account_limits_ignore_the_spelling(make_app: Apps):
    """Attempts for one account are limited however it is written."""
    app = make_app(rate_limit_account="2/minute")
    assert await statuses(app, "192.0.2.1", ["ada@example.com", "ADA@example.com", "ada@example.com"]) == [
        400,
        400,
        429,
    ]
    assert await statuses(app, "192.0.2.1", ["bob@example.com"]) == [400]


async def test_attempts_of_one_address_are_limited_and_others_go_on(make_app: Apps):
    app = make_app(rate_limit_address="2/minute")
    assert await statuses(app, "192.0.2.1", ["a@b.co", "c@b.co", "d@b.co"]) == [400, 400, 429]
    assert await statuses(app, "192.0.2.2", ["a@b.co"]) == [400]


async def test_a_refusal_says_when_to_come_back(make_app: Apps):
    app = make_app(rate_limit_account="1/minute")
    await attempt(app, "192.0.2.1", "ada@example.com")
    refused = await attempt(app, "192.0.2.1", "ada@example.com")
    assert refused.json()["code"] == "rate_limit_exceeded"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "ada@example.com" not in refused.text


async def test_callers_without_address_share_no_limit(make_app: Apps):
    """Those without an address do not use up each others attempts."""
    app = make_app(rate_limit_address="1/minute")
    assert await statuses(app, None, ["a@b.co", "c@b.co", "d@b.co"]) == [400, 400, 400]


async def test_behind_a_trusted_proxy_the_end_users_address_counts(make_app: Apps):
    app = make_app(rate_limit_address="1/minute", trusted_proxies=["10.0.0.0/8"])
    first = {"x-forwarded-for": "198.51.100.1"}
    assert await statuses(app, "10.0.0.1", ["a@b.co", "c@b.co"], **first) == [400, 429]
    assert await statuses(app, "10.0.0.1", ["a@b.co"], **{"x-forwarded-for": "198.51.100.2"}) == [400]


async def test_all_lines_of_the_header_count(make_app: Apps):
    """HAProxy appends a second line, so the first one may hold whatever the client wrote."""
    app = make_app(rate_limit_address="1/minute", trusted_proxies=["10.0.0.0/8"])
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app, client=("10.0.0.1", 1)), base_url="http://app.test")
    async with client:
        for number, expected in enumerate([400, 429, 429]):
            lines = [("x-forwarded-for", f"6.6.6.{number}"), ("x-forwarded-for", "198.51.100.1")]
            body = {**WRONG, "email": f"{number}@b.co"}
            answer = await client.post("/auth/password/sign-in", json=body, headers=lines)
            assert answer.status_code == expected


@pytest.mark.parametrize("address", ["2001:db8:1:2::{}", "2001:db8:1:2:{}:5:6:7"])
async def test_an_ipv6_address_counts_by_its_network(make_app: Apps, address: str):
    """A subscriber has 2^64 addresses or more."""
    app = make_app(rate_limit_address="2/minute")
    assert [await statuses(app, address.format(host), [f"{host}@b.co"]) for host in (1, 2, 3)] == [[400], [400], [429]]
    assert await statuses(app, "2001:db8:1:3::1", ["a@b.co"]) == [400]


async def test_the_zone_of_an_address_neither_counts_nor_travels(make_app: Apps):
    """A zone may hold any character, which no header of a call to the auth server can (RFC 4007 §11)."""
    app = make_app(rate_limit_address="2/minute", trusted_proxies=["10.0.0.0/8"])
    for zone, expected in (("eth0", 400), ("\xe9", 400), ("\x7f", 429)):
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app, client=("10.0.0.1", 1)), base_url="http://a.test")
        async with client:
            headers = [(b"x-forwarded-for", f"fe80::1%{zone}".encode("latin-1"))]
            answer = await client.post("/auth/password/sign-in", json=WRONG, headers=headers)
        assert answer.status_code == expected
        assert end_user_address("10.0.0.1", f"fe80::1%{zone}", ["10.0.0.0/8"]) == "fe80::1"


async def test_ipv4_in_ipv6_counts_as_ipv4(make_app: Apps):
    app = make_app(rate_limit_address="1/minute")
    assert await statuses(app, "::ffff:192.0.2.1", ["a@b.co"]) == [400]
    assert await statuses(app, "::ffff:192.0.2.2", ["a@b.co"]) == [400]
    assert await statuses(app, "192.0.2.1", ["b@b.co"]) == [429]


async def test_nobody_else_can_choose_their_address(make_app: Apps):
    app = make_app(rate_limit_address="1/minute")
    assert await statuses(app, "192.0.2.1", ["a@b.co"], **{"x-forwarded-for": "198.51.100.1"}) == [400]
    assert await statuses(app, "192.0.2.1", ["c@b.co"], **{"x-forwarded-for": "198.51.100.2"}) == [429]


async def test_limits_can_be_switched_off(make_app: Apps):
    app = make_app(rate_limit_address=None, rate_limit_account=None)
    assert set(await statuses(app, "192.0.2.1", ["a@b.co"] * 12)) == {400}


@pytest.mark.parametrize("setting", ["rate_limit_address", "rate_limit_account"])
def test_a_limit_that_cannot_be_read_is_named(setting: str):
    with pytest.raises(ConfigurationError, match=setting):
        StackAuth(project_id="p", **{setting: "often"})  # type: ignore[arg-type]  # any setting


def test_one_loop_after_another_may_use_the_same_stack():
    import asyncio

    stack = StackAuth(project_id="p")

    async def attempt_and_close() -> None:
        await stack.limiter.count("sign_in", address="192.0.2.1", account="ada@example.com")
        await stack.aclose()

    for _ in range(2):
        asyncio.run(attempt_and_close())


async def test_workers_that_share_a_redis_server_count_together(make_app: Apps, redis_server: RedisServer):
    one, other = (make_app(rate_limit_account="2/minute", redis_url=redis_server.url) for _ in range(2))
    assert await statuses(one, "192.0.2.1", ["ada@example.com"]) == [400]
    assert await statuses(other, "192.0.2.2", ["ada@example.com", "ada@example.com"]) == [400, 429]
    refused = await attempt(one, "192.0.2.3", "ada@example.com")
    assert (refused.status_code, 1 <= int(refused.headers["retry-after"]) <= 60) == (429, True)


@pytest.mark.parametrize("outage", ["kill", "freeze"])
async def test_without_their_redis_server_workers_count_for_themselves(
    make_app: Apps, redis_server: RedisServer, outage: str, caplog: pytest.LogCaptureFixture
):
    app = make_app(rate_limit_account="2/minute", redis_url=redis_server.url)
    assert await statuses(app, "192.0.2.1", ["ada@example.com"]) == [400]
    getattr(redis_server, outage)()
    assert await statuses(app, "192.0.2.1", ["bob@example.com"] * 3) == [400, 400, 429]
    assert "rate_limits_local" in caplog.text
    assert "bob@example.com" not in caplog.text


async def test_redis_knows_no_account_by_name(make_app: Apps, redis_server: RedisServer):
    from redis.asyncio import Redis

    await statuses(make_app(redis_url=redis_server.url), "192.0.2.1", ["ada@example.com"])
    async with Redis.from_url(redis_server.url) as redis:
        keys = await redis.keys("*")
    assert len(keys) == 2
    assert not any(b"ada" in key for key in keys)


def test_a_wrong_redis_url_is_named_without_its_password():
    """An address that is none of redis is named and its password is not."""
    with pytest.raises(ConfigurationError, match="redis_url") as raised:
        StackAuth(project_id="p", redis_url="http://:hunter2@localhost")
    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in repr(StackAuth(project_id="p", redis_url="redis://:hunter2@localhost").settings)
