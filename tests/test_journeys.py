"""The design page lists the files that two requests pass, in the order in which each is entered first."""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import fastapi_stackauth
from fastapi_stackauth import CurrentUser, StackAuth
from fastapi_stackauth.emulator import Emulator

ROOT = Path(fastapi_stackauth.__file__).parent
DESIGN = Path(__file__).parents[1] / "docs" / "design.md"
ORIGIN = "http://localhost:8000"
CREDENTIALS = {"email": "ada@example.com", "password": "correct horse battery"}


def read_list(heading: str) -> list[str]:
    """Return the files of a numbered list of the design page."""
    section = DESIGN.read_text("utf-8").partition(f"### {heading}\n")[2].partition("\n#")[0]
    return re.findall(r"^\d+\. `([^`]+)`", section, re.MULTILINE)


@contextmanager
def record_files() -> Iterator[list[str]]:
    """Note each file of the package in whose functions the block's calls enter, once, in order; not the emulator's."""
    files: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event != "call" or not path.is_relative_to(ROOT) or frame.f_code.co_name.startswith("<"):
            return
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("emulator/") and name not in files:
            files.append(name)

    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(None)


@pytest.fixture
async def client(server: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    stack = StackAuth(
        project_id=server.project_id,
        base_url=server.url,
        app_url=ORIGIN,
        insecure_cookies=True,
        clock=server.clock.now,
    )
    app = FastAPI()
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")

    @app.get("/me")
    async def me(user: CurrentUser) -> str:
        return user.id

    @app.get("/plain")
    async def plain() -> str:
        return "fine"

    await stack.warm_up()
    headers = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN, headers=headers) as client:
        await client.get("/plain")  # the first request checks how dependencies are used
        yield client
    await stack.aclose()


async def test_the_page_lists_the_files_of_a_bearer_request(client: httpx.AsyncClient, server: Emulator):
    """The token is new to this worker, so its signature is checked."""
    headers = {"authorization": f"Bearer {server.issue_token()['access_token']}"}
    with record_files() as files:
        answer = await client.get("/me", headers=headers)
    assert answer.status_code == 200
    assert read_list("A bearer request") == files


async def test_the_page_lists_the_files_of_a_refreshing_session(client: httpx.AsyncClient, server: Emulator):
    """The access token of the cookies is near its end."""
    assert (await client.post("/auth/password/sign-up", json=CREDENTIALS)).status_code == 200
    server.clock.advance(595)
    with record_files() as files:
        answer = await client.get("/me")
    assert answer.status_code == 200
    assert "set-cookie" in answer.headers
    assert read_list("A cookie session that refreshes") == files
