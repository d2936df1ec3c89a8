"""Run several apps in one process, on sockets that are already bound.

Law: a port in use is reported before any server starts. Ctrl-C and SIGTERM stop all servers cleanly, in order.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

Served = tuple[ASGIApp, socket.socket]
STARTING_SECONDS = 10
WAIT_SECONDS = 0.005
TICK_SECONDS = 1
# Longer than clients keep idle connections, because a slow client would otherwise find its connection closed.
KEEP_ALIVE_SECONDS = 75


class PortTaken(Exception):
    """Another program uses this port."""


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. With port 0, the system chooses a port.

    Raises:
        PortTaken: The address is in use or not permitted. The message gives the reason.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number and number > 0 else str(error)
        raise PortTaken(f"cannot listen on {host} port {port}: {reason}") from None
    # Accepted connections inherit it. asyncio sets it only on sockets that name their protocol, which this one does
    # not. Without it, each response on a kept connection waits 40 ms for the client's delayed acknowledgment.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class QuietServer(uvicorn.Server):
    """A uvicorn server that does not handle signals and stops immediately if no request is in progress."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do not handle signals: the caller does, because it may run several servers."""
        yield

    def stop(self) -> None:
        """Stop serving."""
        self.should_exit = True
        self._stop.set()

    async def main_loop(self) -> None:
        """Serve until `stop`. uvicorn's own loop would notice this up to 0.1 s later."""
        while not await self.on_tick(0):  # writes the Date header
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything. uvicorn's own shutdown waits for requests in progress, and always for 0.1 s."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(WAIT_SECONDS)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
        else:
            await self.lifespan.shutdown()


def quiet_server(app: ASGIApp) -> QuietServer:
    """Return a server that only logs warnings, because an access log would show codes in URLs."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    return QuietServer(config)


@contextlib.asynccontextmanager
async def run_servers(pairs: Sequence[Served]) -> AsyncIterator[list[QuietServer]]:
    """Serve apps on their sockets within the block. At the end, wait until all have stopped.

    Raises:
        RuntimeError: An app failed to start.
    """
    servers = [quiet_server(app) for app, _ in pairs]
    tasks = [
        asyncio.create_task(server.serve(sockets=[listener]))
        for server, (_, listener) in zip(servers, pairs, strict=True)
    ]
    try:
        await asyncio.wait_for(wait_until_started(servers, tasks), STARTING_SECONDS)
        yield servers
    finally:
        for server in servers:
            server.stop()
        await asyncio.gather(*tasks, return_exceptions=True)


async def wait_until_started(servers: Sequence[QuietServer], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until every server responds."""
    while not all(server.started for server in servers):
        if any(task.done() for task in tasks):
            raise RuntimeError("a server ended before it had started")
        await asyncio.sleep(WAIT_SECONDS)


async def serve(pairs: Sequence[Served]) -> None:
    """Serve apps on their sockets until Ctrl-C or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows has no handlers on its loop
            loop.add_signal_handler(number, stop.set)
    async with run_servers(pairs):
        await stop.wait()
