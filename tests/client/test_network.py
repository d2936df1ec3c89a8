"""What real connections do: drip, break off, lead elsewhere, lie about TLS. No call hangs, none leaks."""

import asyncio
import contextlib
import datetime
import gc
import gzip
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fastapi_stackauth import Settings, StackAuthClient
from fastapi_stackauth.client.request import ApiRequest
from fastapi_stackauth.client.transport import MAX_BODY, Transport
from fastapi_stackauth.errors import (
    AuthServerTimeout,
    AuthServerUnreachable,
    ConfigurationError,
    SchemaError,
    UnexpectedResponse,
)
from fastapi_stackauth.models import ApiModel

from .fakes import FakeServer, json_response, make_client, settings
from .wire import HEAD, listening

READ, ONCE = ApiRequest("GET", "/x"), ApiRequest("GET", "/x", attempts=1)


async def test_an_answer_that_drips_ends_at_the_deadline():
    """Each byte arrives in time, the whole never would."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"content-length: 1000000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with listening(drip) as address:
        http = Transport(address, 0.3)
        with pytest.raises(AuthServerTimeout):
            await http.send_before_deadline(READ, {})
        await http.aclose()


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "junk://ada:secret-ish@proxy"), ("SSL_CERT_FILE", "/nonexistent")],
)
async def test_an_environment_without_calls_raises(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    """An environment that allows no calls is a configuration error."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name) as caught:
        await Transport("https://auth.test", 0.3).send_before_deadline(READ, {})
    assert "secret-ish" not in str(caught.value)


async def test_a_large_answer_arrives_whole():
    text = "x" * (2 * 1024 * 1024)
    server = FakeServer([json_response({"id": "p", "display_name": text, "config": {}})])
    assert (await make_client(server).project.current()).display_name == text


async def test_an_answer_beyond_the_limit_is_refused_unread():
    class Endless(httpx.AsyncByteStream):
        sent = 0

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                self.sent += 1024 * 1024
                yield b" " * 1024 * 1024

    class Flood(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=stream)

    stream = Endless()
    with pytest.raises(UnexpectedResponse, match="too large"):
        await Transport("http://auth.test", 10, transport=Flood()).send_before_deadline(READ, {})
    assert stream.sent <= MAX_BODY + 2 * 1024 * 1024


async def test_a_server_cookie_of_one_caller_reaches_no_other():
    """A cookie that the server sets for one caller travels with no other."""
    server = FakeServer([json_response({}, set_cookie="who=ada; Path=/")])
    client = make_client(server)
    for token in ("a.b.c", "d.e.f"):
        await client.as_user(token).request("GET", "/x", model=ApiModel)
    assert [asked.headers.get("cookie") for asked in server.asked] == [None, None]
    await client.aclose()


async def test_cookies_of_a_custom_client_reach_no_other_caller():
    """A cookie in the jar of an own client travels with no other caller either."""
    server = FakeServer([json_response({}, set_cookie="who=ada; Path=/")])
    for headers, sent in (({}, None), ({"cookie": "gateway=1"}, "gateway=1")):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(server), headers=headers) as own:
            client = StackAuthClient(settings(), http_client=own)
            for token in ("a.b.c", "d.e.f"):
                await client.as_user(token).request("GET", "/x", model=ApiModel)
                assert server.asked[-1].headers.get("cookie") == sent


async def test_a_redirect_is_not_followed():
    """Keys and tokens in the headers would follow it."""
    stolen = []

    async def steal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stolen.append(True)

    async with listening(steal) as elsewhere:

        async def lead(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"HTTP/1.1 308 X\r\nlocation: {elsewhere}/\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()

        async with listening(lead) as address:
            own = httpx.AsyncClient(follow_redirects=True)
            for http in (Transport(address, 5), Transport(address, 5, client=own)):
                with pytest.raises(UnexpectedResponse):
                    await http.send_before_deadline(READ, {})
                await http.aclose()
            await own.aclose()
    assert stolen == []


async def test_an_answer_that_breaks_off_is_unreachable():
    async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b'content-length: 100\r\n\r\n{"items"')
        await writer.drain()

    async with listening(break_off) as address:
        http = Transport(address, 5)
        with pytest.raises(AuthServerUnreachable):
            await http.send_before_deadline(ONCE, {})
        await http.aclose()


@pytest.mark.parametrize("body", [b'{"id": "p", "conf', b"<html>sign in to our wifi</html>", b"", b"null", b"\xff\xfe"])
async def test_a_success_that_cannot_be_read_is_an_unexpected_answer(body: bytes):
    from starlette.responses import Response

    with pytest.raises(UnexpectedResponse) as caught:
        await make_client(FakeServer([Response(body, 200)])).project.current()
    assert caught.value.status_code == 502
    assert "wifi" not in f"{caught.value}{caught.value!r}"


async def test_a_body_that_cannot_be_unpacked_is_an_unexpected_answer():
    async def lie(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = gzip.compress(b"{}")[:-9] + b"junkjunkjunk"
        writer.write(HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    async with listening(lie) as address:
        http = Transport(address, 5)
        with pytest.raises(UnexpectedResponse):
            await http.send_before_deadline(READ, {})
        await http.aclose()


async def test_a_port_where_nobody_listens_is_unreachable():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        http = Transport(f"http://127.0.0.1:{nobody.getsockname()[1]}", 5)
        with pytest.raises(AuthServerUnreachable):
            await http.send_before_deadline(ONCE, {})
        await http.aclose()


async def test_an_unknown_host_is_unreachable():
    http = Transport("http://nowhere.invalid", 5)
    with pytest.raises(AuthServerUnreachable):
        await http.send_before_deadline(ONCE, {})
    await http.aclose()


@pytest.fixture
def own_certificate(tmp_path: Path) -> ssl.SSLContext:
    """TLS with a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "own.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem.write_bytes(private + certificate.public_bytes(encoding))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def test_an_untrusted_certificate_is_reported_and_tried_once(own_certificate: ssl.SSLContext):
    pauses = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def nothing(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None: ...

    async with listening(nothing, own_certificate) as address:
        http = Transport(address, 5, sleep=sleep)
        with pytest.raises(AuthServerUnreachable, match="certificate"):
            await http.send_before_deadline(READ, {})
        await http.aclose()
    assert pauses == []


async def test_plain_text_where_tls_should_be_is_unreachable():
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\n")
        await writer.drain()

    async with listening(talk, at_once=True) as address:
        http = Transport(address.replace("http:", "https:"), 5)
        with pytest.raises(AuthServerUnreachable):
            await http.send_before_deadline(ONCE, {})
        await http.aclose()


@pytest.mark.parametrize("after", ["head", "body begun"])
async def test_a_cancelled_call_leaves_no_connection_behind(after: str):
    reached = asyncio.Event()

    async def stall(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if after == "body begun":
            writer.write(HEAD + b"content-length: 100\r\n\r\n{")
            await writer.drain()
        reached.set()
        await asyncio.Event().wait()

    async with listening(stall) as address:
        own = httpx.AsyncClient()
        task = asyncio.create_task(Transport(address, 3600, client=own).send_before_deadline(READ, {}))
        await reached.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert own._transport._pool.connections == []  # type: ignore[attr-defined]  # httpx shows its pool nowhere else
        await own.aclose()


async def test_finished_calls_use_one_connection_again():
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            writer.write(HEAD + b"content-length: 2\r\n\r\n{}")
            await reader.readuntil(b"\r\n\r\n")

    async with listening(answer) as address:
        http = Transport(address, 5)
        for _ in range(3):
            await http.send_before_deadline(READ, {})
        await http.aclose()
    assert connections == 1


async def test_an_own_client_stays_open():
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"content-length: 2\r\n\r\n{}")
        await writer.drain()

    async with listening(answer) as address, httpx.AsyncClient() as own:
        http = Transport(address, 5, client=own)
        await http.send_before_deadline(READ, {})
        await http.aclose()
        assert not own.is_closed


def test_one_client_serves_many_event_loops():
    server = FakeServer([json_response({"id": "p", "display_name": "P", "config": {}})])
    client = make_client(server)
    for _ in range(3):
        asyncio.run(client.project.current())
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "path",
    [
        "/../../x",
        "/teams/../users",
        "/teams/%2e%2E/users",
        "teams",
        "",
        "/a\r\nb",
        "/\x00",
        "/ü",
        "/a b",
        "/a#b",
        "/a?b=1",
    ],
)
async def test_no_path_given_by_hand_leaves_the_api(path: str):
    asked: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json={})

    settings = Settings(project_id="p", base_url="http://auth.test")
    client = StackAuthClient(settings, transport=httpx.MockTransport(answer))  # httpx's own seam, a list behind it
    with pytest.raises(SchemaError):
        await client.request("GET", path, model=ApiModel)
    assert asked == []


@pytest.mark.parametrize("body", [object(), {"a": object()}, {"a": float("inf")}, {"a": {1, 2}}])
async def test_what_is_no_json_is_refused_before_it_is_sent(body: object):
    client = StackAuthClient(Settings(project_id="p", base_url="http://auth.test"))
    with pytest.raises(SchemaError):
        await client.request("POST", "/x", model=ApiModel, json=body)


@pytest.mark.parametrize("call", [READ, ApiRequest("GET", "/x", attempts=1, timeout=0.4)])
async def test_a_tls_handshake_that_hangs_leaves_no_connection_behind(call: ApiRequest):
    """Neither in the first attempt nor in a later one, nor where a call has less time than others."""
    met: list[asyncio.StreamReader] = []

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        met.append(reader)
        await asyncio.Event().wait()

    gc.collect()
    gc.disable()  # it would close what was left behind, sooner or later
    try:
        async with listening(hang, at_once=True) as address:
            http = Transport(address.replace("http:", "https:"), 0.8, jitter=lambda: 0.0)
            with pytest.raises(AuthServerTimeout):
                await http.send_before_deadline(call, {})
            async with asyncio.timeout(10):
                for reader in met:
                    with contextlib.suppress(ConnectionError):
                        while await reader.read(1000):
                            pass
            await http.aclose()
        assert met
    finally:
        gc.enable()
