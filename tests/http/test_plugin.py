"""`install`: composes with what the app has, works where no lifespan runs, and says what is wrong."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from fastapi_stackauth import ConfigurationError, CurrentUser, StackAuth, StackAuthError, User
from fastapi_stackauth.emulator import Emulator
from tests.apps import make_app


async def test_the_apps_own_lifespan_runs_around_and_its_state_is_kept(stack: StackAuth):
    events = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, str]]:
        events.append("start")
        yield {"own": "state"}
        events.append("stop")

    app = FastAPI(lifespan=lifespan)
    stack.install(app)
    async with app.router.lifespan_context(app) as state:
        assert state == {"own": "state"}
        await stack.warm_up()
    assert events == ["start", "stop"]


async def test_the_stack_can_be_used_again_after_the_app_has_shut_down(app: FastAPI, stack: StackAuth):
    for _ in range(2):
        async with app.router.lifespan_context(app):
            assert (await stack.client.project.current()).id == stack.settings.project_id


async def test_a_second_default_is_an_error_with_advice(app: FastAPI):
    with pytest.raises(ConfigurationError, match="default=False"):
        StackAuth().install(app)


async def test_installing_the_same_stack_twice_does_no_harm(app: FastAPI, stack: StackAuth):
    stack.install(app)
    assert app.openapi()["components"]["securitySchemes"].keys() == {
        "StackAuth",
        "StackAuthPassword",
        "StackAuthHeader",
    }


async def test_a_route_of_an_app_without_install_says_what_to_do():
    app = FastAPI()

    @app.get("/me")
    async def me(user: CurrentUser) -> User:
        return user

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        with pytest.raises(ConfigurationError, match=r"stack\.install\(app\)"):
            await client.get("/me", headers={"authorization": "Bearer x"})


async def test_an_apps_own_handler_for_our_errors_is_kept(stack: StackAuth):
    from starlette.responses import PlainTextResponse

    app = FastAPI()

    @app.exception_handler(StackAuthError)
    async def own(_request: object, error: StackAuthError) -> PlainTextResponse:
        return PlainTextResponse(f"mine: {error.code}", error.status_code)

    stack.install(app)

    @app.get("/me")
    async def me(user: CurrentUser) -> User:
        return user

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        assert (await client.get("/me")).text == "mine: authentication_required"


async def test_an_app_may_prefer_fastapis_own_error_shape(server: Emulator):
    stack = StackAuth(project_id=server.project_id, base_url=server.url, error_format="detail")
    app = FastAPI()
    stack.install(app)

    @app.get("/me")
    async def me(user: CurrentUser) -> User:
        return user

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        answer = await client.get("/me")
    assert answer.json() == {"detail": "Sign in to use this."}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_apps_own_validation_errors_stay_as_they_are(stack: StackAuth):
    app = FastAPI()
    stack.install(app)

    @app.get("/items/{number}")
    async def item(number: int) -> int:
        return number

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        answer = await client.get("/items/x")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["path", "number"]


def test_an_unknown_delivery_is_refused_by_name(stack: StackAuth):
    with pytest.raises(ConfigurationError, match="delivery"):
        stack.router(delivery="pigeon")  # type: ignore[arg-type]  # the very mistake


async def test_nothing_is_asked_of_the_network_before_the_first_use():
    asked = []

    async def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(500)

    stack = StackAuth(project_id="p", transport=httpx.MockTransport(refuse))  # httpx's own seam, a counter behind it
    app = FastAPI()
    stack.install(app)
    app.include_router(stack.router(delivery="body"), prefix="/auth")
    app.openapi()
    async with app.router.lifespan_context(app):
        pass
    assert asked == []


async def test_reconfigure_changes_settings_and_caches_in_a_block(server: Emulator):
    """A reconfigured stack has other settings and no memory until the block ends."""
    stack = StackAuth(project_id="elsewhere", base_url="https://elsewhere.example", app_url="https://notes.example")
    app, before = make_app(stack), dict(vars(stack))
    token = server.issue_token()["access_token"]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        client.headers["authorization"] = f"Bearer {token}"
        with stack.reconfigure(
            project_id=server.project_id, base_url=server.url, transport=httpx.ASGITransport(server.app)
        ):
            assert stack.settings.app_url == "https://notes.example"
            assert (await client.get("/me")).status_code == 200
            await stack.aclose()
        assert vars(stack) == before
        assert (await client.get("/me")).status_code != 200
    with pytest.raises(ConfigurationError, match="leeway"), stack.reconfigure(leeway=-1):
        pass
    assert vars(stack) == before


def test_unnamed_settings_ignore_the_environment(monkeypatch: pytest.MonkeyPatch):
    """Settings that are not named do not come from the environment."""
    stack = StackAuth(project_id="one")
    monkeypatch.setenv("STACK_SECRET_SERVER_KEY", "ssk_of_the_environment")
    with stack.reconfigure(project_id="two"):
        assert (stack.settings.project_id, stack.settings.secret_server_key) == ("two", None)
