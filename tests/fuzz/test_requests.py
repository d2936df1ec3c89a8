"""Whatever bytes a request brings, the answer is a refusal of ours: no 5xx, and nothing raised."""

import asyncio
import contextlib

from fastapi import FastAPI, WebSocket
from hypothesis import example, given
from hypothesis import strategies as st

from fastapi_stackauth import (
    AuthError,
    CurrentUser,
    HeaderCredentials,
    OptionalUser,
    OriginPolicy,
    QueryToken,
    SdkCookies,
)
from fastapi_stackauth.sessions.cookies import SessionCookies
from fastapi_stackauth.sessions.credentials import read_credential
from tests.fuzz.strategies import HEADERS, SIGNER
from tests.support.asgi import RawAnswer, call, connect
from tests.support.forge import PROJECT
from tests.support.world import World

APP_URL = "https://app.example.com"
SITE = OriginPolicy(APP_URL, ("https://admin.example.com",))
SOURCES = (
    HeaderCredentials(),
    SessionCookies(SITE, "stackauth-access", "stackauth-refresh"),
    SdkCookies(SITE, PROJECT),
    QueryToken(),
)
Headers = list[tuple[bytes, bytes]]


@given(headers=HEADERS, query=st.binary(max_size=100), kind=st.sampled_from(["http", "websocket"]))
@example(headers=[(b"authorization", b"Bearer stackauth_W10=")], query=b"", kind="http")
def test_any_headers_give_a_credential_none_or_an_error(headers: Headers, query: bytes, kind: str):
    """Any headers and query give a credential none or a refusal."""
    scope = {"type": kind, "method": "POST", "headers": headers, "query_string": b"access_token=" + query}
    with contextlib.suppress(AuthError):
        credential = read_credential(scope, SOURCES)
        assert credential is None or (credential.token and credential.token.isascii())


def everything_on(keys: str = "ok") -> tuple[World, FastAPI]:
    """An app with every source there is, a page to sign in at, and protected and optional endpoints."""
    world = World.make(SIGNER, sources=SOURCES, jwks_timeout=20, app_url=APP_URL, sign_in_url="/sign-in")
    world.server.keys, world.server.me = keys, "unparsable"
    app = world.app()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, user: CurrentUser, maybe: OptionalUser) -> None:
        await websocket.accept()

    return world, app


def check(answer: RawAnswer, *, up: bool) -> None:
    assert answer.status in ((200, 303, 401, 403) if up else (200, 303, 401, 403, 503))
    if answer.status == 303:
        assert answer.headers["location"].startswith("/sign-in?return_to=%2F")
        assert answer.headers["location"].isascii()
    elif answer.status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json) <= {"type", "title", "status", "detail", "code", "instance", "details"}


@given(headers=HEADERS, query=st.binary(max_size=40), path=st.sampled_from(["/me", "/hello"]))
@example(headers=[(b"accept", b"text/html")], query=b"\xff", path="/me")
@example(headers=[(b"accept", b"text/html"), (b"host", b"[")], query=b"", path="/me")
@example(headers=[(b"cookie", b"stackauth-access=a.b.c; stackauth-refresh=..")], query=b"", path="/me")
def test_no_bytes_in_any_header_make_a_5xx_or_an_exception(headers: Headers, query: bytes, path: str):
    async def go() -> None:
        world, app = everything_on()
        for method in ("GET", "POST") if path == "/me" else ("GET",):
            check(await call(app, path, headers, method=method, query=b"access_token=" + query), up=True)
        await connect(app, "/ws", headers, query=query)
        await world.stack.aclose()

    asyncio.run(go())


@given(headers=HEADERS)
def test_without_keys_no_bytes_cause_worse_than_503(headers: Headers):
    """No bytes make more than a 503 while keys are out of reach."""

    async def go() -> None:
        world, app = everything_on("503")
        check(await call(app, "/me", headers), up=False)
        await world.stack.aclose()

    asyncio.run(go())
