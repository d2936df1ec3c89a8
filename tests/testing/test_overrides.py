"""What the library offers to the tests of apps."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from fastapi_stackauth import StackAuth, TokenKind, User
from fastapi_stackauth.testing import override_user
from tests.apps import make_app

ADA = User(id="ada", email="ada@example.com")


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return make_app(StackAuth())


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        yield client


async def test_the_block_gives_every_request_the_chosen_user(app: FastAPI, client: httpx.AsyncClient):
    """Every request comes from the chosen user while the block runs."""
    with override_user(app, ADA) as user:
        assert user is ADA
        assert (await client.get("/me")).json()["email"] == "ada@example.com"
        assert (await client.get("/hello")).json() == "ada"
        assert (await client.get("/auth/me")).json()["primary_email"] == "ada@example.com"
    assert (await client.get("/me")).status_code == 401
    assert app.dependency_overrides == {}


async def test_nobody_can_be_chosen_too_and_blocks_nest(app: FastAPI, client: httpx.AsyncClient):
    with override_user(app, ADA):
        with override_user(app, None):
            assert (await client.get("/me")).status_code == 401
            assert (await client.get("/hello")).json() == "nobody"
        assert (await client.get("/me")).json()["id"] == "ada"


async def test_a_guest_gets_its_403_where_a_route_demands_more(app: FastAPI, client: httpx.AsyncClient):
    with override_user(app, User(id="guest", kind=TokenKind.ANONYMOUS)):
        assert (await client.get("/auth/me")).status_code == 200
        assert (await client.get("/hello")).json() == "nobody"
