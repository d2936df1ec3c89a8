"""An app with both routers, on an auth server of its own; the same tests run for a browser and for an app."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fastapi_stackauth import StackAuth
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.routers import Delivery
from tests.routers.callers import House, Person, new_stack


class Shared:
    """An app whose routes are declared and checked once in this process; each test gives its stack fresh services."""

    def __init__(self) -> None:
        with contextlib.closing(Emulator()) as server:
            self.stack = new_stack(server)
            self.app = House(server, self.stack).app

    @asynccontextmanager
    async def serving(self, stack: StackAuth) -> AsyncIterator[StackAuth]:
        """Let the app use the services of another stack."""
        before, self.stack.services = self.stack.services, stack.services
        try:
            yield self.stack
        finally:
            await stack.aclose()
            self.stack.services = before


@pytest.fixture(scope="session")
def shared_app() -> Shared:
    return Shared()


@pytest.fixture(scope="session")
def shared_keyed() -> Shared:
    return Shared()


@pytest.fixture
async def stack(server: Emulator, shared_app: Shared) -> AsyncIterator[StackAuth]:
    async with shared_app.serving(new_stack(server)) as stack:
        yield stack


@pytest.fixture
def house(server: Emulator, stack: StackAuth, shared_app: Shared) -> House:
    return House(server, stack, app=shared_app.app if stack is shared_app.stack else None)


@pytest.fixture
async def keyed_house(server: Emulator, shared_keyed: Shared) -> AsyncIterator[House]:
    """The same with a secret key alone: people's calls go out with server access (design decision 15)."""
    keyed = new_stack(server, publishable_client_key=None, secret_server_key=server.secret_server_key)
    async with shared_keyed.serving(keyed) as stack:
        assert stack.settings.user_access_type == "server"
        yield House(server, stack, app=shared_keyed.app)


@pytest.fixture(params=["cookie", "body"])
def delivery(request: pytest.FixtureRequest) -> Delivery:
    chosen: Delivery = request.param
    return chosen


@pytest.fixture
async def person(house: House, delivery: Delivery) -> AsyncIterator[Person]:
    """Somebody, once in a browser and once with an app."""
    async with house.person(delivery) as person:
        yield person


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Person]:
    async with house.person("cookie") as person:
        yield person


@pytest.fixture
async def phone(house: House) -> AsyncIterator[Person]:
    async with house.person("body") as person:
        yield person
