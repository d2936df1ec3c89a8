"""The storage that workers share, on a real Redis server behind connections that break."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from fastapi_stackauth.runtime.storage import RedisStorage, redis_pool
from tests.support.redis_server import RedisServer


class Relay:
    """A TCP relay to a Redis server that loses the reply to the next command that holds a marker."""

    def __init__(self, port: int, marker: bytes) -> None:
        self.port = port
        self.marker: bytes | None = marker
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.port)
        with contextlib.closing(writer), contextlib.closing(upstream_writer):
            while command := await reader.read(65_536):
                upstream_writer.write(command)
                reply = await upstream_reader.read(65_536)
                if self.marker and self.marker in command:
                    self.marker = None
                    return
                writer.write(reply)


@contextlib.asynccontextmanager
async def run_relay(redis: RedisServer, marker: bytes) -> AsyncIterator[tuple[Relay, str]]:
    relay = Relay(redis.port, marker)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    async with server:
        yield relay, f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


async def test_a_claim_whose_reply_is_lost_is_still_this_caller_s(redis_server: RedisServer):
    """redis-py sends the command again on a new connection, and finds the key that it has claimed itself."""
    async with run_relay(redis_server, b"message") as (relay, url):
        storage = RedisStorage(url, "p:")
        assert await storage.add("message", 60)
        assert relay.connections == 2
        assert not await storage.add("message", 60)
        await storage.aclose()


async def test_a_claim_is_of_one_worker_alone(redis_server: RedisServer):
    workers = [RedisStorage(redis_server.url, "p:") for _ in range(5)]
    assert sum(await asyncio.gather(*[worker.add("message", 60) for worker in workers])) == 1
    for worker in workers:
        await worker.aclose()


async def test_a_connection_that_redis_has_closed_as_idle_is_noticed(redis_server: RedisServer):
    from redis.asyncio import Redis

    storage = RedisStorage(redis_server.url, "p:")
    await storage.set("key", "value", 60)
    async with Redis.from_pool(redis_pool(redis_server.url)) as admin:
        await admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert await storage.get("key") == "value"
    await storage.aclose()


@pytest.mark.parametrize("operation", ["get", "set"])
async def test_a_reply_that_is_lost_is_asked_for_again(redis_server: RedisServer, operation: str):
    async with run_relay(redis_server, b"marked") as (relay, url):
        storage = RedisStorage(url, "p:")
        if operation == "set":
            await storage.set("marked", "value", 60)
        assert await storage.get("marked") == ("value" if operation == "set" else None)
        assert relay.connections == 2
        await storage.aclose()
