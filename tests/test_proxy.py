"""docs/nginx.conf in a real nginx, before workers that count what reaches them: addresses, repetition, timeouts."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.install_tools import server_program
from tests.support.compose import GATEWAY
from tests.support.nginx import proxy_command
from tests.support.redis_server import free_port

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WORKERS = ("app-1:8000", "app-2:8000", "app-3:8000")
SHORT = "1s"  # stands in for the short timeout
SILENT_SECONDS = 2.5  # more than SHORT
VISITOR = "127.0.0.5"


@dataclass
class Workers:
    """Three workers; `script` says what each request meets, in the order of arrival, and the last entry stays."""

    proxy: int
    script: list[Handler]
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    connections: set[asyncio.Task[None] | None] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where the proxy listens."""
        return f"http://127.0.0.1:{self.proxy}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests and do what the script says."""
        self.connections.add(asyncio.current_task())
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append((head[0].rsplit(" ", 1)[0], headers))
                await self.script[min(len(self.requests), len(self.script)) - 1](reader, writer)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    await writer.drain()


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()  # until nginx gives up


async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End the connection without a response, as a worker that is killed does."""
    writer.close()
    raise ConnectionAbortedError


@contextlib.asynccontextmanager
async def run_proxy(folder: Path, *script: Handler, alive: int = 3) -> AsyncIterator[Workers]:
    """Run nginx before so many workers; the ports of the others take no connections."""
    if sys.platform != "linux":
        pytest.skip("visitors of several addresses on loopback: Linux alone has 127.0.0.0/8 at hand")
    if server_program("nginx") is None:
        pytest.skip("no nginx: run `python -m tests.install_tools` as root on Debian, or install it")
    workers = Workers(free_port(), list(script) or [answer])
    servers = [await asyncio.start_server(workers.serve, "127.0.0.1", 0) for _ in range(alive)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    ports += [free_port() for _ in WORKERS[alive:]]
    name, *words = proxy_command(folder, workers.proxy, dict(zip(WORKERS, ports, strict=True)), timeout=SHORT)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            [server_program(name) or name, *words], stdout=log, stderr=log
        )
    try:
        await listening(workers.proxy, process, folder)
        yield workers
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)
        for server in servers:
            server.close()
        await asyncio.gather(*filter(None, workers.connections))  # which end with nginx


async def listening(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    while True:  # the test's own timeout is the limit
        assert process.poll() is None, (folder / "log").read_text()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


def visitor(workers: Workers, address: str = VISITOR) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(local_address=address)
    return httpx.AsyncClient(base_url=workers.url, transport=transport, timeout=30)


# --- whose address workers see ---


@pytest.mark.parametrize(
    ("peer", "given", "seen"),
    [
        (GATEWAY, ["203.0.113.9"], "203.0.113.9"),
        (GATEWAY, ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),  # the visitor wrote the first themselves
        (GATEWAY, ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        (GATEWAY, ["2001:db8::7"], "2001:db8::7"),
        (GATEWAY, ["unknown"], GATEWAY),
        (GATEWAY, [], GATEWAY),
        (VISITOR, ["203.0.113.9"], VISITOR),
        (VISITOR, [], VISITOR),
    ],
)
async def test_only_what_comes_from_the_gateway_names_a_visitor(tmp_path: Path, peer: str, given: list[str], seen: str):
    """A port that Docker publishes reaches nginx from the gateway: without this all visitors are one address."""
    async with run_proxy(tmp_path) as workers, visitor(workers, peer) as client:
        headers = [("x-forwarded-for", line) for line in given] + [("x-forwarded-proto", "https")]
        assert (await client.get("/", headers=headers)).status_code == 200
    ((_, headers_seen),) = workers.requests
    assert headers_seen["x-forwarded-for"] == seen
    assert headers_seen["x-forwarded-proto"] == "http"


# --- what is sent to a second worker ---


@pytest.mark.parametrize("fault", [hang, drop])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_get_at_a_failing_worker_goes_to_another(tmp_path: Path, method: str, fault: Handler):
    """A get that meets a worker in trouble is answered by another."""
    async with run_proxy(tmp_path, fault, answer) as workers, visitor(workers) as client:
        assert (await client.request(method, "/notes?page=2")).status_code == 200
    assert [line for line, _ in workers.requests] == [f"{method} /notes?page=2"] * 2


@pytest.mark.parametrize(("fault", "status"), [(hang, 504), (drop, 502)])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_post_that_a_worker_got_is_never_repeated(tmp_path: Path, method: str, fault: Handler, status: int):
    async with run_proxy(tmp_path, fault, answer) as workers, visitor(workers) as client:
        sent = await client.request(method, "/notes", content=b"once")
    assert sent.status_code == status
    assert len(workers.requests) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "POST", "PATCH"])
async def test_only_get_is_repeated_while_a_worker_may_run(tmp_path: Path, method: str):
    """No method but get is repeated while a worker may still be at it."""
    async with run_proxy(tmp_path, hang, answer) as workers, visitor(workers) as client:
        assert (await client.request(method, "/notes")).status_code == 504
    assert len(workers.requests) == 1


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json, text/event-stream"])
async def test_a_post_that_asks_for_events_is_never_repeated_either(tmp_path: Path, accept: str):
    async with run_proxy(tmp_path, drop, answer) as workers, visitor(workers) as client:
        sent = await client.post("/mcp", headers={"accept": accept}, content=b"once")
    assert sent.status_code == 502
    assert len(workers.requests) == 1


@pytest.mark.parametrize("path", ["/auth/oauth/callback/a-flow?code=x", "/auth/magic-link/callback?code=x"])
async def test_a_get_with_a_code_is_sent_once(tmp_path: Path, path: str):
    """The worker that hangs may have used the code up."""
    async with run_proxy(tmp_path, hang, answer) as workers, visitor(workers) as client:
        assert (await client.get(path)).status_code == 504
    assert len(workers.requests) == 1


async def test_two_workers_that_hang_are_enough(tmp_path: Path):
    async with run_proxy(tmp_path, hang) as workers, visitor(workers) as client:
        assert (await client.get("/")).status_code == 504
    assert len(workers.requests) == 2


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_what_could_not_be_sent_goes_to_another_worker_once(tmp_path: Path, method: str):
    async with run_proxy(tmp_path, alive=2) as workers, visitor(workers) as client:
        for _ in range(6):
            assert (await client.request(method, "/notes")).status_code == 200
    assert len(workers.requests) == 6


# --- what may be silent for long ---


async def test_an_event_stream_may_be_silent_and_arrives_as_it_is_sent(tmp_path: Path):
    first_seen = asyncio.Event()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
        await first_seen.wait()
        await asyncio.sleep(SILENT_SECONDS)
        writer.write(b"data: 2\n\n")
        await writer.drain()
        await drop(reader, writer)

    async with (
        run_proxy(tmp_path, stream) as workers,
        visitor(workers) as client,
        client.stream("GET", "/events", headers={"accept": "text/event-stream"}) as events,
    ):
        lines = events.aiter_lines()
        assert await anext(lines) == "data: 1"
        first_seen.set()
        assert [line async for line in lines if line] == ["data: 2"]
    assert len(workers.requests) == 1


async def test_a_websocket_may_be_silent(tmp_path: Path):
    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
        await asyncio.sleep(SILENT_SECONDS)
        writer.write(b"later")
        await writer.drain()
        await drop(reader, writer)

    async with run_proxy(tmp_path, upgrade) as workers:
        reader, writer = await asyncio.open_connection("127.0.0.1", workers.proxy)
        writer.write(b"GET /live HTTP/1.1\r\nhost: x\r\nupgrade: WebSocket\r\nconnection: Upgrade\r\n\r\n")
        received = await reader.read(-1)
        writer.close()
    assert received.startswith(b"HTTP/1.1 101 ")
    assert received.endswith(b"later")
    ((_, headers),) = workers.requests
    assert (headers["upgrade"], headers["connection"]) == ("websocket", "upgrade")


# --- sizes ---


async def test_the_largest_router_body_passes_and_2_mib_do_not(tmp_path: Path):
    """The largest body of the routers passes and more than two mib does not."""
    async with run_proxy(tmp_path) as workers, visitor(workers) as client:
        assert (await client.post("/me/picture", content=b"x" * (3 << 19))).status_code == 200
        assert (await client.post("/me/picture", content=b"x" * ((2 << 20) + 1))).status_code == 413
    assert len(workers.requests) == 1
