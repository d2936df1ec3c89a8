"""An app with both routers, on an auth server of its own; the same tests run for a browser and for an app."""

from collections.abc import AsyncIterator

import pytest

from fastapi_stackauth import StackAuth
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.routers import Delivery
from tests.routers.callers import House, Person, new_stack


@pytest.fixture
async def stack(server: Emulator) -> AsyncIterator[StackAuth]:
    stack = new_stack(server)
    yield stack
    await stack.aclose()


@pytest.fixture
def house(server: Emulator, stack: StackAuth) -> House:
    return House(server, stack)


@pytest.fixture
async def keyed_house(server: Emulator) -> AsyncIterator[House]:
    """The same with a secret key alone: people's calls go out with server access (design decision 15)."""
    stack = new_stack(server, publishable_client_key=None, secret_server_key=server.secret_server_key)
    assert stack.settings.user_access_type == "server"
    yield House(server, stack)
    await stack.aclose()


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
