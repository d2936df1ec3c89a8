"""Real servers for `doctor`: an emulator behind a front that spoils something, and what is no auth server at all."""

import asyncio
import contextlib
import datetime
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.emulator.serving import QuietServer, bind

Front = Callable[[ASGIApp], ASGIApp]
HOST = "127.0.0.1"


@asynccontextmanager
async def serving(app: ASGIApp, listener: Any) -> AsyncIterator[None]:
    """Serve an app that sets its own Date header, if any."""
    server = QuietServer(uvicorn.Config(app, log_level="warning", access_log=False, date_header=False))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0.005)
        yield
    finally:
        server.stop()
        await task
        listener.close()


@asynccontextmanager
async def site(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an app; its address."""
    listener = bind(HOST, 0)
    async with serving(app, listener):
        yield f"http://{HOST}:{listener.getsockname()[1]}"


@asynccontextmanager
async def run_behind(front: Front, **options: Any) -> AsyncIterator[dict[str, str]]:
    """An emulator behind a front; the environment of an app that uses it."""
    listener = bind(HOST, 0)
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    emulator = Emulator(options.pop("public_url", url), **options)
    try:
        async with serving(front(emulator.app), listener):
            yield emulator.environment() | {"STACK_API_URL": url}
    finally:
        await emulator.server.webhooks.aclose()
        emulator.close()


def as_it_is(app: ASGIApp) -> ASGIApp:
    """No front."""
    return app


def with_clock(seconds: float) -> Front:
    """A server whose clock is so many seconds ahead of this machine's."""

    def front(app: ASGIApp) -> ASGIApp:
        async def run_behind(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_dated(message: Message) -> None:
                if message["type"] == "http.response.start":
                    now = datetime.datetime.now(datetime.UTC).timestamp()
                    message["headers"] = [
                        *message["headers"],
                        (b"date", formatdate(now + seconds, usegmt=True).encode()),
                    ]
                await send(message)

            await app(scope, receive, send_dated)

        return run_behind

    return front


def without_flags(*unknown: str) -> Front:
    """A server that refuses these flags in the query of its key set, as old ones do."""

    def front(app: ASGIApp) -> ASGIApp:
        async def run_behind(scope: Scope, receive: Receive, send: Send) -> None:
            query = parse_qs(scope.get("query_string", b"").decode())
            if scope["type"] == "http" and scope["path"].endswith("jwks.json") and set(query) & set(unknown):
                await answer(send, 400, {"code": "SCHEMA_ERROR"}, [(b"x-stack-known-error", b"SCHEMA_ERROR")])
            else:
                await app(scope, receive, send)

        return run_behind

    return front


def without_keys(app: ASGIApp) -> ASGIApp:
    """A server behind a proxy that does not let anybody at its key set."""

    async def run_behind(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("jwks.json"):
            await answer(send, 404, {"no": "such page"}, [])
        else:
            await app(scope, receive, send)

    return run_behind


def with_slow(path: str, wait: Callable[[], Awaitable[object]]) -> Front:
    """A server that takes its time to answer requests for a path."""

    def front(app: ASGIApp) -> ASGIApp:
        async def run_behind(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"].endswith(path):
                await wait()
            await app(scope, receive, send)

        return run_behind

    return front


async def answer(send: Send, status: int, body: object, headers: list[tuple[bytes, bytes]]) -> None:
    """One answer in JSON."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def always(status: int, *headers: tuple[bytes, bytes]) -> ASGIApp:
    """A server of something else, which answers everything alike."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, status, {"hello": "world"}, list(headers))

    return app


@asynccontextmanager
async def raw(reply: bytes | None, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port that answers with these bytes and hangs up; None: it keeps silent. Its number."""
    over = asyncio.Event()
    handlers: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            handlers.add(task)
        await reader.read(1)
        if reply is None:
            await over.wait()
        writer.write(reply or b"")
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, HOST, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        server.close()
        await asyncio.gather(*handlers, return_exceptions=True)


def make_untrusted(folder: Path) -> ssl.SSLContext:
    """TLS with a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36_500))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "tls.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
