"""Small apps that tests call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import APIRouter, FastAPI

from fastapi_stackauth import CurrentUser, OptionalUser, StackAuth, User

notes = APIRouter(prefix="/notes")


@notes.get("/mine")
async def mine(user: CurrentUser) -> User:
    return user


def make_app(stack: StackAuth) -> FastAPI:
    """An app with the body router, two endpoints of its own, and one behind an included router."""
    app = FastAPI(title="Test app")
    stack.install(app)
    app.include_router(stack.router(delivery="body"), prefix="/auth")
    app.include_router(notes, prefix="/v1")

    @app.get("/me")
    async def me(user: CurrentUser) -> User:
        return user

    @app.get("/hello")
    async def hello(user: OptionalUser) -> str:
        return user.id if user else "nobody"

    return app


def add_routes(app: FastAPI) -> None:
    @app.get("/me")
    async def me(user: CurrentUser) -> str:
        return user.id

    @app.get("/maybe")
    async def maybe(user: OptionalUser) -> str | None:
        return user.id if user else None


PASSWORD = "correct horse battery"
ADA = {"email": "ada@example.com", "password": PASSWORD}


@asynccontextmanager
async def serving(app: FastAPI, base_url: str = "https://localhost:8000") -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app whose lifespan runs."""
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=base_url) as client:
        yield client
