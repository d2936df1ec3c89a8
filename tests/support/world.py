"""A fake auth server, a `StackAuth` that uses it, and clocks that move only when told to."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
from fastapi import FastAPI

from fastapi_stackauth import CurrentUser, OptionalUser, StackAuth, User
from fastapi_stackauth.verification.verifier import Verifier
from tests.support.forge import BASE, NOW, PROJECT, Signer
from tests.support.server import FakeAuthServer


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class Line(httpx.ASGITransport):
    """The way to the fake server, which can be cut."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """What the server answers."""
        try:
            return await super().handle_async_request(request)
        except ConnectionResetError:
            raise httpx.ConnectError("cut", request=request) from None


async def until(condition: Callable[[], object]) -> None:
    """Give other tasks turns until this holds; the test's own timeout is the limit."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0)


async def turns(count: int) -> None:
    """Give other tasks this many turns."""
    for _ in range(count):
        await asyncio.sleep(0)


@dataclass
class World:
    """All of it, on one set of clocks."""

    signer: Signer
    server: FakeAuthServer
    clock: Clock
    monotonic: Clock
    stack: StackAuth

    @classmethod
    def make(cls, signer: Signer, transport: httpx.AsyncBaseTransport | None = None, **options: Any) -> "World":
        """A world whose auth server publishes this signer's key."""
        server = FakeAuthServer(signer)
        clock, monotonic = Clock(NOW + 1), Clock(1_000.0)
        settings: dict[str, Any] = {"project_id": PROJECT, "base_url": BASE, "jwks_timeout": 0.02} | options
        stack = StackAuth(transport=transport or Line(server), clock=clock, **settings)
        verifier = Verifier(stack.settings, stack.client, clock=clock, monotonic=monotonic)
        stack.services = replace(stack.services, verifier=verifier)
        return cls(signer, server, clock, monotonic, stack)

    @property
    def verifier(self) -> Verifier:
        """The stack's verifier."""
        return self.stack.verifier

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.clock.advance(seconds)
        self.monotonic.advance(seconds)

    async def verify(self, token: str) -> User:
        """Verify a token."""
        return await self.verifier.verify(token)

    def app(self) -> FastAPI:
        """An app with one protected and one optional endpoint."""
        app = FastAPI()
        self.stack.install(app)

        @app.api_route("/me", methods=["GET", "POST"])
        async def me(user: CurrentUser) -> User:
            return user

        @app.get("/hello")
        async def hello(user: OptionalUser) -> str:
            return user.id if user else "nobody"

        return app


WITHIN = 60.0  # a limit for waiting, and no measure: a busy machine may take long to start a process


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something has become true; the limit is there for what never does."""
    async with asyncio.timeout(WITHIN):
        while not await true():  # noqa: ASYNC110 - other workers and servers give no event to wait for
            await asyncio.sleep(0.02)
