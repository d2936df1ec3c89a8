"""Over a real uvicorn: WebSockets with the `websockets` library, and what the access log shows."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
import uvicorn
import websockets
from fastapi import Depends, FastAPI, WebSocket

from fastapi_stackauth import AuthError, CurrentUser, SessionWatch, WatchSession
from fastapi_stackauth.sessions.credentials import Credential, HeaderCredentials, QueryToken, Scope
from tests.support.forge import LIFETIME, NOW, SUBJECT, Signer
from tests.support.world import World, until


class SubprotocolToken:
    """The source that the documentation shows."""

    def read(self, scope: Scope) -> Credential | None:
        offered = scope.get("subprotocols", [])
        return Credential(offered[1], "subprotocol") if offered[:1] == ["access_token"] and offered[1:] else None


class QuietServer(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


@contextlib.asynccontextmanager
async def serve(app: FastAPI) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = QuietServer(uvicorn.Config(app, log_config=None, lifespan="on", ws="websockets-sansio"))
        task = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await task


@pytest.fixture
def world(signer: Signer) -> World:
    return World.make(signer, sources=[HeaderCredentials(), SubprotocolToken(), QueryToken()])


@pytest.fixture
async def address(world: World) -> AsyncIterator[str]:
    app = world.app()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept("access_token" if websocket.scope["subprotocols"] else None)
        await websocket.send_text(user.id)
        raise AuthError("session_revoked")

    @app.websocket("/watched")
    async def watched_socket(
        websocket: WebSocket, watch: Annotated[SessionWatch, Depends(WatchSession(every=0.001))]
    ) -> None:
        await websocket.accept()
        async with watch:
            async for text in websocket.iter_text():
                await websocket.send_text(f"{watch.user.id} {text}")

    async with serve(app) as address:
        yield address


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [("", 401, "authentication_required"), ("a.b.c", 401, "token_malformed"), ("guest", 403, "anonymous_not_allowed")],
)
async def test_a_refused_websocket_is_told_why(address: str, signer: Signer, token: str, status: int, code: str):
    token = signer.token("anonymous") if token == "guest" else token
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(f"ws://{address}/ws", additional_headers=headers, proxy=None)
    response = caught.value.response
    assert response.status_code == status
    assert json.loads(response.body or b"")["code"] == code
    assert response.headers["content-type"] == "application/problem+json"


async def test_an_accepted_websocket_is_closed_with_1008(address: str, signer: Signer):
    headers = {"authorization": f"Bearer {signer.token()}"}
    async with websockets.connect(f"ws://{address}/ws", additional_headers=headers, proxy=None) as socket:
        assert await socket.recv() == SUBJECT
        with pytest.raises(websockets.ConnectionClosedError):
            await socket.recv()
        assert socket.close_code == 1008


async def test_a_token_may_come_as_a_sub_protocol(address: str, signer: Signer):
    protocols = [websockets.Subprotocol(text) for text in ("access_token", signer.token())]
    async with websockets.connect(f"ws://{address}/ws", subprotocols=protocols, proxy=None) as socket:
        assert await socket.recv() == SUBJECT
        assert socket.subprotocol == "access_token"


async def test_a_watched_websocket_ends_with_its_token(world: World, address: str, signer: Signer):
    headers = {"authorization": f"Bearer {signer.token()}"}
    async with websockets.connect(f"ws://{address}/watched", additional_headers=headers, proxy=None) as socket:
        await socket.send("hello")
        assert await socket.recv() == f"{SUBJECT} hello"
        world.clock.now = NOW + LIFETIME + 5
        with pytest.raises(websockets.ConnectionClosedError):
            await socket.recv()
        assert socket.close_code == 1008


async def test_a_client_that_leaves_a_watched_websocket_is_no_error(
    world: World, address: str, signer: Signer, caplog: pytest.LogCaptureFixture
):
    headers = {"authorization": f"Bearer {signer.token()}"}
    async with websockets.connect(f"ws://{address}/watched", additional_headers=headers, proxy=None) as socket:
        await socket.send("hello")
        await socket.recv()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_token_in_the_query_is_kept_out_of_the_access_log(
    address: str, signer: Signer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    caplog.set_level(logging.INFO)
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):  # another server of this process may have silenced them
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        caplog.set_level(logging.INFO, logger=name)
    token = signer.token()
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://{address}/me", params={"access_token": token})
    async with websockets.connect(f"ws://{address}/ws?access_token={token}", proxy=None) as socket:
        assert await socket.recv() == SUBJECT
    assert answer.json()["id"] == SUBJECT
    lines = [record.getMessage() for record in caplog.records if record.name.startswith(("uvicorn", "httpx"))]
    assert len([line for line in lines if "access_token=[redacted]" in line]) >= 3
    assert token not in caplog.text
