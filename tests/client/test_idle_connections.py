"""Real connections that end while they are idle, or as a request arrives: what is sent again, and what never is."""

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import httpcore
import httpx
import pytest

from fastapi_stackauth import Settings, StackAuthClient
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.transport import Transport
from fastapi_stackauth.errors import AuthServerTimeout, AuthServerUnreachable
from fastapi_stackauth.models import ApiModel

from .fakes import FakeTime, settings
from .wire import HEAD, listening

READ, WRITE = ApiRequest("GET", "/x"), ApiRequest("POST", "/teams", json={"display_name": "T"})
REFRESH = ApiRequest("POST", "/auth/sessions/current/refresh", json={}, idempotent=True)
ONCE = ApiRequest("GET", "/x", attempts=1)

End = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST, as a kernel does for a socket that is gone."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def close_at_first_byte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def close_after_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def close_after_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def reset_at_first_byte(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    reset(writer)


ENDS = [close_at_first_byte, close_after_head, close_after_request, reset_at_first_byte]


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return head + await reader.readexactly(int(length[1]) if length else 0)


class Server:
    """Answers one request on each connection, and ends the first connections as another request arrives there."""

    def __init__(self, end: End, *, ending: int = 1) -> None:
        self.end = end
        self.ending = ending
        self.connections: list[asyncio.StreamWriter] = []
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        ends = len(self.connections) <= self.ending
        while True:
            self.requests.append((await read_request(reader)).partition(b" HTTP")[0])
            writer.write(HEAD + b"content-length: 2\r\n\r\n{}")
            if ends:
                return await self.end(reader, writer)

    def reset_all(self) -> None:
        for writer in self.connections:
            reset(writer)


@contextlib.asynccontextmanager
async def calling(server: Server, **options: Any) -> AsyncIterator[tuple[Transport, FakeTime]]:
    time = FakeTime()
    async with listening(server, at_once=True) as address:
        http = Transport(address, 10, sleep=time.sleep, jitter=lambda: 1.0, **options)
        yield http, time
        await http.aclose()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("call", [READ, ONCE, REFRESH], ids=["read", "single attempt", "refresh"])
async def test_a_repeatable_call_is_resent_on_a_new_connection(call: ApiRequest, end: End):
    """A repeatable call is sent again at once on a new connection."""
    server = Server(end)
    async with calling(server) as (http, time):
        await http.send_before_deadline(READ, {})
        await http.send_before_deadline(call, {})
    assert len(server.connections) == 2
    assert time.pauses == []


@pytest.mark.parametrize("end", ENDS)
async def test_a_post_that_was_written_is_never_repeated_and_says_so(end: End):
    server = Server(end)
    async with calling(server) as (http, _):
        await http.send_before_deadline(READ, {})
        with pytest.raises(AuthServerUnreachable, match="may have executed") as caught:
            await http.send_before_deadline(WRITE, {})
    assert caught.value.outcome_unknown
    assert len(server.connections) == 1


async def test_the_new_connection_is_none_of_the_other_idle_ones():
    """If one has been closed, all of them have: a second idle one would fail in the same way."""
    server = Server(close_at_first_byte, ending=5)
    async with calling(server) as (http, time):
        await asyncio.gather(*[http.send_before_deadline(READ, {}) for _ in range(5)])
        await http.send_before_deadline(ONCE, {})
    assert len(server.connections) == 6
    assert time.pauses == []


async def test_a_new_connection_that_breaks_is_repeated_as_ever():
    """The repetition on a new connection is one; what fails there is the server's failure, with pauses and a limit."""

    async def break_off(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        arrived.append(await read_request(reader))

    arrived: list[bytes] = []
    time = FakeTime()
    async with listening(break_off, at_once=True) as address:
        http = Transport(address, 10, sleep=time.sleep, jitter=lambda: 1.0)
        with pytest.raises(AuthServerUnreachable) as caught:
            await http.send_before_deadline(READ, {})
        await http.aclose()
    assert (len(arrived), time.pauses) == (4, [0.4, 0.8, 1.6])
    assert not caught.value.outcome_unknown


class Breaking(httpcore.AsyncNetworkStream):
    """A connection that breaks between two writes: something happens before each."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, before_write: Callable[[], None]) -> None:
        self._stream = stream
        self._before_write = before_write

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer:
            self._before_write()
            await asyncio.sleep(0)
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Network(httpcore.AsyncNetworkBackend):
    """The real network, whose next writes each run one of `actions` first."""

    def __init__(self) -> None:
        self.actions: list[Callable[[], None]] = []
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._real.connect_tcp(host, port, timeout, local_address, socket_options)
        return Breaking(stream, lambda: self.actions.pop(0)() if self.actions else None)


def nothing() -> None: ...


@pytest.mark.parametrize("writes", [["fail"], ["reset"], ["nothing", "fail"]], ids=["head", "between", "body"])
async def test_a_post_that_was_not_written_whole_is_sent_again(writes: list[str]):
    """The connection ends after the pool handed it out, before the body is written: the server has no request."""
    server, network = Server(close_after_request, ending=0), Network()
    transport = httpx.AsyncHTTPTransport()
    transport._pool = httpcore.AsyncConnectionPool(network_backend=network, keepalive_expiry=60)

    def fail() -> None:
        server.reset_all()
        raise httpcore.WriteError

    async with calling(server, transport=transport) as (http, time):
        await http.send_before_deadline(READ, {})
        actions = {"fail": fail, "reset": server.reset_all, "nothing": nothing}
        network.actions = [actions[write] for write in writes]
        await http.send_before_deadline(WRITE, {})
    assert [request for request in server.requests if request.startswith(b"POST")] == [b"POST /api/v1/teams"]
    assert len(server.connections) == 2
    assert time.pauses == []


async def test_a_post_that_timed_out_may_have_been_executed():
    async def stall(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with listening(stall) as address:
        http = Transport(address, 0.3)
        with pytest.raises(AuthServerTimeout, match="may have executed") as written:
            await http.send_before_deadline(WRITE, {})
        with pytest.raises(AuthServerTimeout) as read:
            await http.send_before_deadline(READ, {})
        await http.aclose()
    assert written.value.outcome_unknown
    assert not read.value.outcome_unknown


async def test_a_post_that_never_left_was_not_executed():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        time = FakeTime()
        http = Transport(f"http://127.0.0.1:{unused.getsockname()[1]}", 10, sleep=time.sleep)
        with pytest.raises(AuthServerUnreachable) as caught:
            await http.send_before_deadline(WRITE, {})
        await http.aclose()
    assert not caught.value.outcome_unknown
    assert "executed" not in str(caught.value)


@pytest.mark.parametrize(("expiry", "connections"), [(0.0, 3), (60.0, 1)])
async def test_idle_connections_are_kept_as_long_as_the_setting_says(expiry: float, connections: int):
    server = Server(close_after_request, ending=0)
    async with listening(server, at_once=True) as address:
        client = StackAuthClient(settings(base_url=address, keepalive_expiry=expiry))
        for _ in range(3):
            await client.request("GET", "/x", model=ApiModel)
        await client.aclose()
    assert len(server.connections) == connections


async def test_an_idle_connection_that_has_expired_is_not_used_again():
    server = Server(close_after_request, ending=0)
    async with calling(server, keepalive_expiry=0.01) as (http, _):
        await http.send_before_deadline(WRITE, {})
        await asyncio.sleep(0.05)
        await http.send_before_deadline(WRITE, {})
    assert len(server.connections) == 2


def test_idle_connections_close_before_a_node_server():
    """Idle connections are closed before a node server closes them."""
    assert Settings().keepalive_expiry < 5
