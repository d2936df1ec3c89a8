"""A worker of the drilled app, for `uvicorn`: both routers, protected routes, and what the drill counts and switches.

Settings come from the environment. Names under ``.drill`` are resolved here alone, as long as the drill lets them.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, WebSocket
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_stackauth import CurrentUser, CurrentUserProfile, OptionalUser, StackAuth, current_profile

NAME = "auth.drill"
_resolve = socket.getaddrinfo
names_up = True
in_flight = 0


def resolve(host: Any, *arguments: Any, **options: Any) -> Any:
    """The system's resolver, which knows the auth server's name while the drill lets it."""
    if host in (NAME, NAME.encode()):
        if not names_up:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        host = "127.0.0.1"
    return _resolve(host, *arguments, **options)


socket.getaddrinfo = resolve


def sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except OSError:  # closed meanwhile, as the one that lists them is
            continue
    return count


def resident_kib() -> int:
    """Memory that this process holds, in KiB."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


class InFlight:
    """Counts the requests that are being answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        global in_flight  # noqa: PLW0603 - one process, one counter
        counted = scope["type"] != "lifespan" and not scope["path"].startswith("/_")
        in_flight += counted
        try:
            await self._app(scope, receive, send)
        finally:
            in_flight -= counted


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Say at the end what is still open, the library having closed what it held."""
    yield
    await asyncio.sleep(0.1)  # transports that were closed end one turn later
    print(
        f"left open: pools={len(stack.client._transport._pools._values)} tasks={len(asyncio.all_tasks())}",
        file=sys.stderr,
    )


stack = StackAuth(rate_limit_address=None, rate_limit_account=None)
app = FastAPI(lifespan=lifespan)
stack.install(app)
app.include_router(stack.router(), prefix="/auth")
app.include_router(stack.router(delivery="body"), prefix="/api/auth")
app.add_middleware(InFlight)


@app.get("/me")
async def me(user: CurrentUser) -> str:
    """Who is calling."""
    return user.id


@app.post("/me")
async def change(user: CurrentUser) -> str:
    """Who is calling, of a method that changes something."""
    return user.id


@app.get("/hello")
async def hello(user: OptionalUser) -> str:
    """Who is calling, or nobody."""
    return user.id if user else "nobody"


@app.get("/profile")
async def profile(profile: Annotated[CurrentUserProfile, Depends(current_profile)]) -> str:
    """Who is calling, as the auth server says."""
    return profile.id


@app.websocket("/feed")
async def feed(websocket: WebSocket, user: CurrentUser) -> None:
    """Says who is calling, and ends."""
    await websocket.accept()
    await websocket.send_text(user.id)
    await websocket.close()


class Names(BaseModel):
    """Whether names are resolved."""

    up: bool


@app.post("/_names")
async def switch_names(names: Names) -> None:
    """Let the resolver fail, or work again."""
    global names_up  # noqa: PLW0603 - one process, one resolver
    names_up = names.up


@app.get("/_counts")
async def counts() -> dict[str, int]:
    """What this worker holds, but for this very request."""
    tasks = len(asyncio.all_tasks()) - 1
    return {"tasks": tasks, "sockets": sockets() - 1, "in_flight": in_flight, "resident_kib": resident_kib()}
