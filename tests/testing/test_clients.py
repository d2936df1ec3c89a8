"""Clients of an app: signed in by header or cookie, with the app's lifespan, in async code and in other code."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request, WebSocket

from fastapi_stackauth import ConfigurationError, CurrentUser, StackAuth, User
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.testing import Clients, Clock, Kit, SyncClients, Users, emulate, signed_in
from fastapi_stackauth.testing.clients import AppTransport
from fastapi_stackauth.testing.lifespan import Lifespan
from tests.testing.conftest import APP_URL, small_app


class Life:
    """What became of an app's lifespan."""

    def __init__(self) -> None:
        self.events: list[str] = []

    @asynccontextmanager
    async def __call__(self, _: FastAPI) -> AsyncIterator[dict[str, Any]]:
        self.events.append("start")
        yield {"pool": "open"}
        self.events.append("stop")


LIFE = Life()


@pytest.fixture
def life() -> Life:
    LIFE.events.clear()
    return LIFE


@pytest.fixture(scope="module")
def app(stack: StackAuth) -> FastAPI:
    app = FastAPI(lifespan=LIFE)
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")

    @app.get("/pool")
    async def pool(request: Request) -> str | None:
        return getattr(request.state, "pool", None)

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError

    @app.get("/me")
    async def me(user: CurrentUser) -> User:
        return user

    @app.websocket("/live")
    async def live(websocket: WebSocket, user: CurrentUser) -> None:
        await websocket.accept()
        await websocket.send_text(user.id)
        await websocket.close()

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, str]:
        return {"origin": request.headers["origin"], "body": (await request.body()).decode(), "url": str(request.url)}

    return app


async def test_a_header_or_a_cookie_signs_in(stack_user: Users, stack_client: Clients):
    ada = stack_user()
    for client in (stack_client(ada), stack_client(ada, by="cookie"), stack_client(ada.access_token)):
        assert (await client.get("/auth/me")).json()["id"] == ada.id
    assert (await stack_client().get("/auth/me")).status_code == 401
    assert "authorization" not in stack_client(ada, by="cookie").headers


async def test_a_cookie_may_change_things_from_the_apps_origin(stack_user: Users, stack_client: Clients):
    """A cookie may change something because the origin is the apps own."""
    browser = stack_client(stack_user(), by="cookie")
    assert (await browser.post("/auth/sign-out", headers={"origin": "https://evil.example"})).status_code == 403
    assert (await browser.post("/auth/sign-out")).status_code == 204
    assert not browser.cookies


async def test_renewed_cookies_are_kept_in_place_of_the_old(
    stack_user: Users, stack_client: Clients, stack_clock: Clock
):
    ada = stack_user()
    browser = stack_client(ada, by="cookie")
    stack_clock.advance(601)
    assert (await browser.get("/auth/me")).status_code == 200
    tokens = {cookie.value for cookie in browser.cookies.jar}
    assert len(tokens) == 2
    assert ada.refresh_token in tokens
    assert ada.access_token not in tokens


@pytest.mark.parametrize("app_url", ["http://localhost:8000", "https://localhost", "https://notes.example:8443"])
async def test_cookies_work_for_every_kind_of_app_url(app_url: str, shared_server: Emulator):
    stack = StackAuth(project_id="cookies", app_url=app_url)
    app = small_app(stack)
    with emulate(app, emulator=shared_server) as kit:
        browser = kit.client(kit.user(), by="cookie")
        kit.clock.advance(601)
        assert (await browser.get("/me")).status_code == 200
        assert len(browser.cookies.jar) == 2
        assert browser.headers["origin"] == app_url


def test_without_an_app_url_there_are_no_cookies(shared_server: Emulator):
    app = small_app(StackAuth(project_id="p"))
    with emulate(app, emulator=shared_server) as kit, pytest.raises(ConfigurationError, match="STACK_APP_URL"):
        kit.client(kit.user(), by="cookie")


async def test_further_arguments_are_httpxs_own(stack_client: Clients, stack_user: Users):
    ada = stack_user()
    client = stack_client(ada, by="cookie", headers={"accept-language": "de"}, cookies={"theme": "dark"}, timeout=3)
    assert client.headers["accept-language"] == "de"
    assert client.headers["origin"] == APP_URL
    assert len(client.cookies.jar) == 3
    assert (await client.get("/auth/me")).json()["id"] == ada.id


async def test_starlettes_test_client_and_httpx2_take_the_headers(app: FastAPI, stack_user: Users):
    """Clients of other libraries sign in by a user's headers, without a warning if httpx2 is installed."""
    httpx2 = pytest.importorskip("httpx2")
    from starlette.testclient import TestClient

    person = stack_user(email="ada@example.com")
    client = TestClient(app, headers=person.headers)
    assert client.get("/me").json()["id"] == person.id
    with client.websocket_connect("/live") as websocket:
        assert websocket.receive_text() == person.id
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app.test", headers=person.headers) as other:
        assert (await other.get("/me")).json()["id"] == person.id


async def test_an_entered_client_runs_the_lifespan_once_for_all(stack_client: Clients, life: Life):
    assert (await stack_client().get("/pool")).json() is None
    assert life.events == []
    async with stack_client() as one:
        async with stack_client() as two:
            assert (await two.get("/pool")).json() == "open"
        assert life.events == ["start"]
        assert (await one.get("/pool")).json() == "open"
    assert life.events == ["start", "stop"]
    async with stack_client():
        assert life.events == ["start", "stop", "start"]


def test_so_does_one_that_is_not_async(stack_sync_client: SyncClients, life: Life):
    with stack_sync_client() as one, stack_sync_client() as two:
        assert two.get("/pool").json() == "open"
        assert one.get("/pool").json() == "open"
        assert life.events == ["start"]
    assert life.events == ["start", "stop"]


async def test_an_app_that_fails_to_start_or_to_stop_says_why(stack_kit: Kit):
    fails = ""

    @asynccontextmanager
    async def failing(_: FastAPI) -> AsyncIterator[None]:
        if fails == "start":
            raise ZeroDivisionError
        yield
        raise KeyError("stop")

    app = FastAPI(lifespan=failing)
    StackAuth().install(app)
    fails = "start"
    with pytest.raises(ZeroDivisionError):
        async with stack_kit.client(app=app):
            pass
    fails = "stop"
    with pytest.raises(KeyError):
        async with stack_kit.client(app=app):
            pass


async def test_an_app_that_never_starts_is_not_waited_for():
    async def silent(scope: object, receive: object, send: object) -> None:
        """An app without a lifespan."""

    with pytest.raises(RuntimeError, match="before the app had started"):
        await Lifespan(silent).enter()


def test_sync_clients_send_bodies_and_raise_what_the_app_raises(stack_sync_client: SyncClients):
    client = stack_sync_client()
    sent = client.post("/echo", content=b"hello").json()
    assert sent == {"origin": APP_URL, "body": "hello", "url": f"{APP_URL}/echo"}
    assert "hello" in client.post("/echo", files={"file": b"hello"}).json()["body"]
    with client.stream("POST", "/echo", content=iter([b"a", b"b"])) as response:
        assert b'"body":"ab"' in response.read()
    with pytest.raises(ZeroDivisionError):
        client.get("/broken")


async def test_sync_and_async_clients_live_in_one_test(
    stack_user: Users, stack_client: Clients, stack_sync_client: SyncClients
):
    ada = stack_user()
    assert stack_sync_client(ada).get("/auth/me").json() == (await stack_client(ada).get("/auth/me")).json()


async def test_signed_in_takes_a_user_of_the_tests_choosing(app: FastAPI, life: Life):
    async with signed_in(app, User(id="ada", email="ada@example.com")) as client:
        assert (await client.get("/auth/me")).json()["primary_email"] == "ada@example.com"
        assert (await client.get("/pool")).json() == "open"
    assert life.events == ["start", "stop"]
    assert app.dependency_overrides == {}


def test_an_event_loop_that_is_not_asyncios_is_refused_in_words(app: FastAPI):
    for coroutine in (
        AppTransport(Lifespan(app)).__aenter__(),
        AppTransport(Lifespan(app)).handle_async_request(None),  # type: ignore[arg-type]  # it does not come to that
    ):
        with pytest.raises(RuntimeError, match="asyncio only"):
            coroutine.send(None)  # as another loop would
