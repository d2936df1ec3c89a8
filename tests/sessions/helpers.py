"""An app with cookie sessions, and browsers that call it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse, RedirectResponse, StreamingResponse

from fastapi_stackauth import CurrentUser, OptionalUser, Require, StackAuth
from fastapi_stackauth.emulator import Emulator

ORIGIN = "http://localhost:8000"
ACCESS, REFRESH = "stackauth-access", "stackauth-refresh"
EMAIL, PASSWORD = "ada@example.com", "correct horse battery"
CREDENTIALS = {"email": EMAIL, "password": PASSWORD}


def make_app(stack: StackAuth) -> FastAPI:  # noqa: C901 - one small route after another
    app = FastAPI()
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")

    @app.get("/me")
    async def me(user: CurrentUser) -> str:
        return user.id

    @app.post("/me")
    async def change(user: CurrentUser) -> str:
        return user.id

    @app.get("/hello")
    async def hello(user: OptionalUser) -> str:
        return user.id if user else "nobody"

    @app.post("/untouched")
    async def untouched_route() -> str:
        return "fine"

    @app.get("/stream", dependencies=[Depends(Require())])
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]))

    @app.get("/file", dependencies=[Depends(Require())])
    async def file() -> FileResponse:
        return FileResponse(__file__, headers={"cache-control": "public, max-age=60"})

    @app.get("/away", dependencies=[Depends(Require())])
    async def away() -> RedirectResponse:
        return RedirectResponse("/elsewhere")

    @app.get("/private", dependencies=[Depends(Require())])
    async def private() -> StreamingResponse:
        return StreamingResponse(iter([b"x"]), headers={"cache-control": "private, max-age=60"})

    return app


@asynccontextmanager
async def browser(app: FastAPI, origin: str = ORIGIN) -> AsyncIterator[httpx.AsyncClient]:
    """A client that keeps cookies and says where its page is from, as a browser does."""
    headers = {"origin": origin, "sec-fetch-site": "same-origin"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=origin, headers=headers) as client:
        yield client


def new_stack(server: Emulator, **options: Any) -> StackAuth:
    settings = {"project_id": server.project_id, "base_url": server.url, "app_url": ORIGIN, "insecure_cookies": True}
    return StackAuth(**{**settings, "clock": server.clock.now, **options})


async def sign_up(client: httpx.AsyncClient) -> str:
    answer = await client.post("/auth/password/sign-up", json=CREDENTIALS)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"user_id", "is_new_user"}
    return str(answer.json()["user_id"])


def set_cookies(response: httpx.Response) -> dict[str, str]:
    headers = response.headers.get_list("set-cookie")
    return {header.partition("=")[0]: header for header in headers}


def record_calls(server: Emulator, monkeypatch: pytest.MonkeyPatch, stack: StackAuth) -> list[str]:
    """The refreshes that this stack asks for, counted at its own seam."""
    calls: list[str] = []
    refresh = stack.client.refresh

    async def count_call(token: str) -> Any:
        calls.append(token)
        return await refresh(token)

    monkeypatch.setattr(stack.client, "refresh", count_call)
    return calls
