"""Raw ASGI calls: any bytes in any header, requests and WebSockets, without a client library's niceties."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Headers = Iterable[tuple[bytes, bytes]]


@dataclass
class RawAnswer:
    """What an app sent."""

    messages: list[Any] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The status of the response, a denial response included; 0 where there was none."""
        starts = [m for m in self.messages if m["type"].endswith("http.response.start")]
        return starts[0]["status"] if starts else 0

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the response."""
        start = next(m for m in self.messages if m["type"].endswith("http.response.start"))
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}

    @property
    def body(self) -> bytes:
        """The body of the response."""
        return b"".join(m.get("body", b"") for m in self.messages if m["type"].endswith("http.response.body"))

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def closed_with(self) -> int | None:
        """The code a WebSocket was closed with."""
        return next((m["code"] for m in self.messages if m["type"] == "websocket.close"), None)


async def call(
    app: Any,
    path: str = "/me",
    headers: Headers = (),
    *,
    method: str = "GET",
    query: bytes = b"",
    body: Iterable[bytes] = (b"",),
) -> RawAnswer:
    """One request; its body comes in these chunks, each of which is taken only when the app asks for it."""
    answer, chunks = RawAnswer(), iter(body)

    async def receive() -> Any:
        chunk = next(chunks, None)
        if chunk is None:
            if answer.messages:
                await asyncio.Event().wait()
            await asyncio.sleep(0)  # a stream listens for the end of the connection before it sends anything
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.request", "body": chunk, "more_body": True}

    await app(_scope("http", path, headers, query) | {"method": method}, receive, _collect(answer))
    return answer


class Unread(Iterator[bytes]):
    """A body that must not be read."""

    def __next__(self) -> bytes:
        raise AssertionError("the body was read")


async def connect(
    app: Any,
    path: str = "/ws",
    headers: Headers = (),
    *,
    denial: bool = True,
    query: bytes = b"",
    subprotocols: Iterable[str] = (),
) -> RawAnswer:
    """One WebSocket that says nothing; `denial`: whether the server offers `websocket.http.response`."""
    answer = RawAnswer()
    messages = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]

    async def receive() -> Any:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    scope = _scope("websocket", path, headers, query) | {"subprotocols": list(subprotocols)}
    scope["extensions"] = {"websocket.http.response": {}} if denial else {}
    await app(scope, receive, _collect(answer))
    return answer


def bearer(token: str) -> tuple[bytes, bytes]:
    """An Authorization header."""
    return b"authorization", b"Bearer " + token.encode("latin-1")


def _collect(answer: RawAnswer) -> Any:
    async def send(message: Any) -> None:
        answer.messages.append(message)

    return send


def _scope(kind: str, path: str, headers: Headers, query: bytes) -> dict[str, Any]:
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "server": ("app.test", 80),
        "client": ("198.51.100.7", 4711),
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": list(headers),
    }
