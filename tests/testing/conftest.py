"""An app as a stranger writes it, in front of an auth server that nobody calls; one for all tests, as usual."""

from collections.abc import Iterator
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI

from fastapi_stackauth import Require, StackAuth, User
from fastapi_stackauth.emulator import Emulator
from tests.apps import make_app

APP_URL = "https://notes.example"


@pytest.fixture(scope="session")
def stack() -> StackAuth:
    return StackAuth(
        project_id="production",
        publishable_client_key="pck_production",
        base_url="https://auth.production.example",
        app_url=APP_URL,
        rate_limit_account="3/minute",
    )


@pytest.fixture(scope="session")
def app(stack: StackAuth) -> FastAPI:
    app = make_app(stack)
    app.include_router(stack.router(), prefix="/browser")

    @app.get("/reports")
    async def reports(user: Annotated[User, Depends(Require(permission="reports:see"))]) -> str:
        return user.id

    @app.get("/teams/{team_id}")
    async def read(user: Annotated[User, Depends(Require(team_permission="posts:read", team="team_id"))]) -> str:
        return user.id

    return app


@pytest.fixture
def stack_app(app: FastAPI) -> FastAPI:
    return app


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Emulator]:
    """One emulator for what needs none of its own."""
    emulator = Emulator("https://stackauth.test", fast_hashes=True)
    yield emulator
    emulator.close()


def small_app(stack: StackAuth) -> FastAPI:
    """An app with one protected route and no routers."""
    app = FastAPI()
    stack.install(app)

    @app.get("/me")
    async def me(user: Annotated[User, Depends(stack.current_user)]) -> User:
        return user

    return app
