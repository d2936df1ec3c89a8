"""The line to the auth server: a TLS front on loopback that passes everything on, or breaks in a way that is asked for.

Law: a change of mode cuts every connection there is, so that nobody goes on over one from before.
"""

import asyncio
import contextlib
import itertools
import json
import ssl
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

Mode = Callable[[Reader, Writer], Awaitable[None]]

_HTML = b"<!doctype html><title>Sorry</title><p>We will be back shortly.</p>"
_WRONG_TYPES = json.dumps(
    {"access_token": 5, "refresh_token": [], "user_id": {}, "id": 7, "keys": "none", "items": 3, "code": None}
).encode()
_HUGE = 1 << 30  # announced
_ENOUGH = 24 << 20  # sent, at most: more than the library reads


def _answer(body: bytes, kind: str = "application/json", status: str = "200 OK", **more: object) -> bytes:
    headers = {"content-type": kind, "content-length": len(body)} | {k.replace("_", "-"): v for k, v in more.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


JUNK: dict[str, bytes] = {
    "a page": _answer(_HTML, "text/html"),
    "truncated JSON": _answer(b'{"access_token": "eyJhbGci'),
    "wrong types": _answer(_WRONG_TYPES),
    "a list": _answer(b"[1, 2, 3]"),
    "nothing": _answer(b""),
    "less than announced": _answer(b'{"id":', content_length=4000),
    "a page not found": _answer(_HTML, "text/html", "404 Not Found"),
    "a page that asks to sign in": _answer(_HTML, "text/html", "401 Unauthorized"),
    "a page of a gateway": _answer(_HTML, "text/html", "502 Bad Gateway"),
    "no gzip": _answer(b"plain", content_encoding="gzip"),
    "a redirect": _answer(b"", status="302 Found", location="https://elsewhere.example/"),
    "deep JSON": _answer(b"[" * 100_000),
    "no HTTP": b"\x00\xff\x16\x03junk\r\n\r\n",
    "too much": _answer(b"", content_length=_HUGE),
}


class Line:
    """One listening address; what comes in is passed on to a port of this machine, while all is well.

    Args:
        port: where the auth server listens.
        certificate: PEM file of certificate and key.
    """

    def __init__(self, port: int, certificate: Path) -> None:
        self._upstream = port
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)
        self._server: asyncio.Server | None = None
        self._mode: Mode = self.pass_on
        self._tasks: set[asyncio.Task[None]] = set()
        self._junk: Iterator[bytes] = itertools.cycle(JUNK.values())
        self._turn = itertools.count()
        self.port = 0
        self.connections = 0

    async def open(self) -> None:
        """Listen; on the same port as before, if it was open before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse connections, and cut those there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut()

    async def cut(self) -> None:
        """Cut every connection there is."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def switch(self, mode: Mode) -> None:
        """Serve in another way from now on."""
        self._mode = mode
        await self.cut()

    async def present(self, certificate: Path) -> None:
        """Show another certificate from now on."""
        self._tls.load_cert_chain(certificate)
        await self.cut()

    def _serve(self, reader: Reader, writer: Writer) -> None:
        task = asyncio.create_task(self._guard(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.transport.abort())  # also where it was cut before it began
        self.connections += 1

    async def _guard(self, reader: Reader, writer: Writer) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await self._mode(reader, writer)

    # --- modes ---

    async def pass_on(self, reader: Reader, writer: Writer) -> None:
        """All is well."""
        await self._pass_on(reader, writer)

    async def crawl(self, reader: Reader, writer: Writer) -> None:
        """Each piece of an answer takes half a second more."""
        await self._pass_on(reader, writer, delay=0.5)

    async def reset(self, reader: Reader, writer: Writer) -> None:
        """In turn: cut at once; after the request; within the answer."""
        stage = next(self._turn) % 3
        if stage:
            await _request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{" if stage == 2 else b"")
            await writer.drain()

    async def junk(self, reader: Reader, writer: Writer) -> None:
        """Each request gets the next kind of nonsense."""
        while True:
            await _request(reader)
            answer = next(self._junk)
            writer.write(answer)
            await writer.drain()
            if str(_HUGE).encode() in answer:
                await _flood(writer)
            if answer in (JUNK["no HTTP"], JUNK["less than announced"]):
                return

    async def _pass_on(self, reader: Reader, writer: Writer, delay: float = 0.0) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        pumps = [
            asyncio.create_task(_pump(reader, upstream_writer)),
            asyncio.create_task(_pump(upstream_reader, writer, delay)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            upstream_writer.transport.abort()  # first: what follows may be cut as well
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)


async def _request(reader: Reader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, found, rest = head.partition(b"content-length: ")
    if found:
        await reader.readexactly(int(rest.split(b"\r\n")[0]))


async def _pump(reader: Reader, writer: Writer, delay: float = 0.0) -> None:
    while data := await reader.read(65_536):
        await asyncio.sleep(delay)
        writer.write(data)
        await writer.drain()


async def _flood(writer: Writer) -> None:
    for _ in range(_ENOUGH // 65_536):
        await asyncio.sleep(0)
        if writer.transport.is_closing():
            return
        writer.write(b"x" * 65_536)
        await writer.drain()
