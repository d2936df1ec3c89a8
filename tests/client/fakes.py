"""A small auth server that answers what it is told, and remembers what it was asked."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fastapi_stackauth.client import StackAuthClient
from fastapi_stackauth.client.transport import Transport
from fastapi_stackauth.settings import Settings

PROJECT = "12c0ae5c-9b0e-4b5f-8a35-3f3f3f3f3f3f"


@dataclass(frozen=True)
class Asked:
    """One request, as it arrived."""

    method: str
    path: str
    raw_path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def operation(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class FakeServer:
    """Answers in turn from `answers`, the last one for ever; or what `answer` makes of a request."""

    answers: list[Response] = field(default_factory=list)
    answer: Callable[[Asked], Response] | None = None
    asked: list[Asked] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        asked = Asked(
            request.method,
            request.url.path,
            scope["raw_path"].decode("ascii"),
            dict(request.query_params),
            dict(request.headers),
            await request.body(),
        )
        self.asked.append(asked)
        await self._respond(asked)(scope, receive, send)

    def _respond(self, asked: Asked) -> Response:
        if self.answer is not None:
            return self.answer(asked)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def last(self) -> Asked:
        return self.asked[-1]


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def json_response(body: object, status: int = 200, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(json.dumps(body), status, named, "application/json")


def known_error(code: str, status: int = 400, details: Mapping[str, object] | None = None) -> Response:
    body = {"code": code, "details": details, "error": "words"} if details else {"code": code, "error": "words"}
    return json_response(body, status, x_stack_known_error=code, x_stack_request_id="req-1")


def text_answer(text: str, status: int, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(text, status, named, "text/plain")


def settings(**values: Any) -> Settings:
    return Settings(**{"project_id": PROJECT, "base_url": "http://auth.test", **values})


def make_client(server: FakeServer, time: FakeTime | None = None, **values: Any) -> StackAuthClient:
    """A client of a fake server, which sleeps by a fake clock."""
    configured = settings(**values)
    client = StackAuthClient(configured, transport=httpx.ASGITransport(server))
    client._transport = make_transport(server, time or FakeTime(), configured.timeout)
    return client


def make_transport(server: FakeServer, time: FakeTime, timeout: float = 10.0) -> Transport:
    transport = httpx.ASGITransport(server)
    return Transport(
        "http://auth.test", timeout, transport=transport, sleep=time.sleep, jitter=lambda: 1.0, clock=time.clock
    )
