"""How servers in this process listen and stop."""

import asyncio
import socket

import httpx
from starlette.types import Receive, Scope, Send

from fastapi_stackauth.emulator.serving import bind, run_servers
from tests.support.world import until


async def test_a_request_in_progress_is_answered() -> None:
    """Stopping waits for a response that is under way."""
    begun = asyncio.Event()

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            begun.set()
            await until(lambda: listener.fileno() == -1)  # the server stops: its listener is closed
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    listener = bind("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as http:
        async with run_servers([(app, listener)]):
            answer = asyncio.create_task(http.get("/"))
            await begun.wait()
        assert (await answer).status_code == 204


def test_accepted_connections_send_small_responses_at_once() -> None:
    """Without TCP_NODELAY, the second packet of a response waits for the client's delayed acknowledgment."""
    with bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
