"""What the log filter keeps out of other libraries' lines, at any level, with each WebSocket server of uvicorn."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn
import websockets
from fastapi import FastAPI, WebSocket
from hypothesis import example, given
from hypothesis import strategies as st

from fastapi_stackauth import QueryToken, StackAuth
from fastapi_stackauth.runtime.redaction import LOGGERS, RedactingFilter, redact_tokens
from tests.support.forge import Signer
from tests.support.world import until

TOKEN = Signer().token()
REFRESH = "7bd52h01bxw94gg9vrassrpjxq24xpb6dapyf0rf7vg28"
KEY = "sk_xbm3vs7qcd3fmnd2x6a84rsd3sgc2bj4qbnvw_userkey"
SECRETS = (TOKEN, TOKEN.rsplit(".", 1)[1], REFRESH, KEY)
HEADERS = {
    "cookie": f"__Host-stackauth-access={TOKEN}; __Host-stackauth-refresh={REFRESH}",
    "x-api-key": KEY,
    "x-stack-refresh-token": REFRESH,
    "x-secret-of-the-app": REFRESH,
    "user-agent": "a test",
}
TRACE = 5


class QuietServer(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


@contextlib.asynccontextmanager
async def serve(app: FastAPI, implementation: str) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, log_level="trace", ws=implementation)
        server = QuietServer(config)
        task = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started or task.done())
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            await task


def an_app() -> FastAPI:
    app = FastAPI()
    StackAuth(project_id="p", sources=[QueryToken("ticket")]).install(app)

    @app.websocket("/ws")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept("access_token", headers=[(b"set-cookie", f"refresh={REFRESH}".encode())])
        await websocket.send_text(await websocket.receive_text())

    @app.get("/hello")
    async def hello() -> str:
        return "hello"

    return app


@pytest.mark.filterwarnings("ignore")  # uvicorn warns of its older implementation, which many still run
@pytest.mark.parametrize("implementation", ["websockets", "websockets-sansio", "wsproto"])
async def test_no_handshake_shows_a_secret_at_any_level(implementation: str, caplog: pytest.LogCaptureFixture):
    if implementation == "wsproto":
        pytest.importorskip("wsproto")
    for name in ("websockets.client", "websockets.protocol", "asyncio"):
        caplog.set_level(logging.INFO, name)  # the client's own lines, in the same process
    for name in ("", *LOGGERS):  # last: it sets what caplog itself lets through
        caplog.set_level(TRACE, name)
    async with serve(an_app(), implementation) as address:
        url = f"ws://{address}/ws?ticket={REFRESH}&code={REFRESH}"
        client = websockets.connect(url, additional_headers=HEADERS, subprotocols=["access_token", TOKEN])  # type: ignore[list-item]  # plain texts do
        async with client as socket_:
            await socket_.send(f"{TOKEN} {KEY}")
            await socket_.recv()
        async with httpx.AsyncClient() as http:
            await http.get(f"http://{address}/hello?ticket={REFRESH}", headers=HEADERS)
    lines = [caplog.handler.format(record) for record in caplog.records if record.name.startswith("uvicorn")]
    assert [line for line in lines for secret in SECRETS if secret in line] == []
    written = "\n".join(lines)
    assert "?ticket=[redacted]" in written
    assert "Started scope=" in written, "lines at TRACE are searched"
    if implementation != "wsproto":  # that one writes no headers
        assert "cookie: [redacted]" in written.lower()
        assert "x-api-key: [redacted]" in written.lower()
        assert "user-agent: a test" in written.lower(), "what is no secret helps whoever debugs"


@pytest.mark.parametrize(
    ("line", "arguments", "written"),
    [
        ("< %s: %s", ("Cookie", "a=b"), "< Cookie: [redacted]"),
        ("> %s: %s", ("set-cookie", "a=b"), "> set-cookie: [redacted]"),
        ("< %s: %s", ("Host", "100%"), "< Host: 100%"),
        ("< x-own: secret", (), "< x-own: [redacted]"),
        ("> HTTP/1.1 %d %s", (101, "Switching Protocols"), "> HTTP/1.1 101 Switching Protocols"),
        ("> %s: %s", ("location", "/callback?state=abc&next=/"), "> location: /callback?state=[redacted]&next=/"),
        ("GET %s", ("/in?return_to=%2Fjoin%3Fcode%3Dabc&a=b",), "GET /in?return_to=%2Fjoin%3Fcode%3D[redacted]&a=b"),
        ("GET %s", ("/in?to=%2F%3Fa%3Db%26token%3dabc",), "GET /in?to=%2F%3Fa%3Db%26token%3d[redacted]"),
        ("GET %s", ("/in?a=b&amp;code=abc",), "GET /in?a=b&amp;code=[redacted]"),
        ("%(url)s", ({"url": "/?code=abc"},), "/?code=[redacted]"),
        ("%d %s", (1, {"query_string": b"code=abc&x=1"}), "1 {'query_string': b'code=[redacted]&x=1'}"),
        ("%s", ("prefix-eyJhbGci.eyJzdWIi.c2ln and more",), "prefix-[redacted] and more"),
        ("%s", ("eyJhbGci.eyJzdWIi",), "[redacted]"),
        ("%s", ("Bearer stackauth_" + "e30" * 20 + "==",), "Bearer [redacted]"),
        ("%s", ("eyJ is where JSON begins.",), "eyJ is where JSON begins."),
        ("%s of %d", ("1", 2), "1 of 2"),
        ("< %d", ("no number",), None),
    ],
)
def test_a_line_is_written_without_its_secrets(line: str, arguments: tuple[object, ...], written: str | None):
    record = logging.LogRecord("uvicorn.error", logging.DEBUG, "", 1, line, arguments, None)
    assert RedactingFilter().filter(record)
    if written is None:
        with pytest.raises(TypeError):  # as without the filter: the mistake is whoever's logged
            record.getMessage()
    else:
        assert record.getMessage() == written


@given(st.lists(st.sampled_from(["-", "eyJ", ".", "a", "?code=", "&", "sk_", "stackauth_", " ", "< x: "]), max_size=60))
@example(["-eyJ"] * 60)
def test_redacting_twice_changes_nothing_more(parts: list[str]):
    once = redact_tokens("".join(parts))
    assert redact_tokens(once) == once


@given(st.text("-_.eyJa ", max_size=20), st.text("-_. ?=&/", max_size=20))
def test_no_surroundings_save_a_token(before: str, after: str):
    token = f"eyJhbGci.eyJzdWIi.{REFRESH}"
    assert REFRESH not in redact_tokens(before + token + after)
