"""A worker that is told to end finishes what it holds, and leaves nothing open."""

import asyncio
import signal
from pathlib import Path

import httpx

from fastapi_stackauth.emulator import Emulator
from tests.drills.processes import Process, eventually
from tests.support.redis_server import free_port

ORIGIN = "http://localhost:8000"
CREDENTIALS = {"email": "ada@example.com", "password": "correct horse battery"}
SLOW = 1.5  # seconds that the auth server takes, longer than it takes to send a signal


async def _is_held(server: Emulator, path: str) -> bool:
    """Whether the auth server has been asked for this path, and is slow to answer."""
    return not server.server.faults.is_pending(path)


async def _slow_down(server: Emulator, path: str) -> None:
    fault = {"path": path, "delay_seconds": SLOW, "times": 1}
    async with httpx.AsyncClient(base_url=server.url) as control:
        (await control.post("/emulator/faults", json=fault)).raise_for_status()


async def test_sigterm_finishes_requests_and_closes_the_pool(server: Emulator, tmp_path: Path):
    """A worker under sigterm answers what it holds and closes its pool."""
    port, log = free_port(), tmp_path / "worker.log"
    settings = {
        **server.environment(),
        "STACK_APP_URL": ORIGIN,
        "STACK_INSECURE_COOKIES": "true",
        "STACK_LEEWAY": "0",
        "PYTHONWARNINGS": "default",
    }
    words = ("-X", "dev", "-m", "uvicorn", "tests.drills.worker:app", "--port", str(port))
    worker = Process(log, *words, environment=settings)
    await worker.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"origin": ORIGIN}) as client:

            async def up() -> bool:
                assert worker.running, log.read_text("utf-8")
                try:
                    return (await client.get("/_counts")).is_success
                except httpx.TransportError:
                    return False

            await eventually(up, "the worker is up")
            signed_in = await client.post("/auth/password/sign-up", json=CREDENTIALS)
            user_id = signed_in.json()["user_id"]
            expired = server.issue_token(user_id=user_id, expires_in=-5)["access_token"]
            client.cookies.delete("stackauth-access")
            client.cookies.set("stackauth-access", expired)  # the next request has to refresh the session
            await _slow_down(server, "/api/v1/auth/sessions/current/refresh")
            renewing = asyncio.create_task(client.get("/me"))
            await eventually(
                lambda: _is_held(server, "/api/v1/auth/sessions/current/refresh"), "the renewal is under way"
            )
            worker.send(signal.SIGTERM)
            answer = await renewing
            assert (answer.status_code, answer.json()) == (200, user_id)
            code = await worker.wait_for_end()
    finally:
        await worker.stop()
    said = log.read_text("utf-8")
    assert code in (0, -signal.SIGTERM), said  # uvicorn ends by the signal it got, once all is closed
    assert "left open: pools=0" in said
    assert "Application shutdown complete" in said
    for complaint in ("was destroyed", "unclosed", "Traceback", "never retrieved", "never awaited", "ResourceWarning"):
        assert complaint not in said, said
