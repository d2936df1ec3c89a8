"""A missing setting changes nothing before it is needed, is reported by name, and closes the routes that need it."""

import logging
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket

from fastapi_stackauth import (
    CurrentUser,
    OptionalUser,
    Require,
    RequireAccessToken,
    StackAuth,
    User,
    api_key_team,
    api_key_user,
)
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.routers import TotpEnrollment, totp_enrollment
from fastapi_stackauth.startup.configuration import MissingSetting, report_missing
from tests.routers.operations import operations

NAMES = ("PROJECT_ID", "APP_URL", "API_URL", "SECRET_SERVER_KEY", "PUBLISHABLE_CLIENT_KEY", "WEBHOOK_SECRETS")


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    for name in NAMES:
        for prefix in ("STACK_", "HEXCLAVE_", "NEXT_PUBLIC_STACK_", "NEXT_PUBLIC_HEXCLAVE_"):
            monkeypatch.delenv(prefix + name, raising=False)
    with caplog.at_level(logging.INFO):
        yield


def whole_app(stack: StackAuth) -> FastAPI:
    app = FastAPI()
    stack.install(app)
    add_own_routes(app)
    app.include_router(stack.router(), prefix="/auth")
    app.include_router(stack.router(delivery="body"), prefix="/api/auth")
    app.include_router(stack.webhooks("/webhooks"))
    app.include_router(stack.readiness("/ready"))
    return app


def add_own_routes(app: FastAPI) -> None:  # noqa: C901 - one small route after the other
    own = APIRouter(dependencies=[Depends(Require())])

    @own.get("/deep")
    async def deep() -> None: ...

    outer = APIRouter()
    outer.include_router(own, prefix="/inner")
    app.include_router(outer, prefix="/outer")

    @app.get("/public")
    async def public() -> None: ...

    @app.get("/me")
    async def me(user: CurrentUser) -> User:
        return user

    @app.get("/hello")
    async def hello(user: OptionalUser) -> None: ...

    @app.get("/robot")
    async def robot(user: Annotated[User, Depends(Require(allow_api_key=True))]) -> None: ...

    @app.get("/keys", dependencies=[Depends(api_key_user), Depends(api_key_team)])
    async def keys() -> None: ...

    @app.get("/token")
    async def token(token: Annotated[Any, Depends(RequireAccessToken(require=Require(mfa=True)))]) -> None: ...

    @app.get("/two-factor")
    async def two_factor(enrolment: Annotated[TotpEnrollment, Depends(totp_enrollment)]) -> None: ...

    @app.websocket("/live")
    async def live(websocket: WebSocket, user: CurrentUser) -> None: ...


def lines(caplog: pytest.LogCaptureFixture, event: str = "setting_missing", level: int = logging.ERROR) -> list[Any]:
    found = [record for record in caplog.records if getattr(record, "stack_event", None) == event]
    return [record for record in found if record.levelno == level]


@pytest.mark.parametrize(("routers", "named"), [
    (
        [{"include": ["password", "sign_up", "sessions"]}],
        "POST /cookie/0/password/sign-up, POST /cookie/0/password/sign-in",
    ),
    (
        [{"include": ["otp", "account"]}, {"include": ["passkey"]}],
        "POST /cookie/0/otp/sign-in, POST /cookie/1/passkey/sign-in",
    ),
    ([{"include": ["oauth"]}, {"include": ["mfa"], "delivery": "body"}], "GET /cookie/0/oauth/callback/{flow}"),
    ([{}, {"delivery": "body", "include": ["oauth"]}], "POST /body/1/oauth/finish"),
])  # fmt: skip
async def test_sign_in_without_mfa_is_one_warning(caplog: pytest.LogCaptureFixture, routers: list[Any], named: str):
    """Users with TOTP could not finish signing in; the line names the routes that sign in, of this delivery alone."""
    stack, app = StackAuth(project_id="p", app_url="https://app.example.com"), FastAPI()
    stack.install(app)
    for number, options in enumerate(routers):
        app.include_router(stack.router(**options), prefix=f"/{options.get('delivery', 'cookie')}/{number}")
    for _ in range(2):
        async with app.router.lifespan_context(app):
            pass
    (line,) = lines(caplog, "mfa_not_mounted", logging.WARNING)
    assert line.stack_fields["routes"] == named


@pytest.mark.parametrize("routers", [
    [{}],
    [{"include": []}],
    [{"include": ["anonymous", "account"]}],
    [{"include": ["password"]}, {"include": ["mfa"]}],
])  # fmt: skip
async def test_mfa_is_not_missing_if_no_sign_in_needs_it(caplog: pytest.LogCaptureFixture, routers: list[Any]):
    """An app may also mount it with another router of the same delivery."""
    stack, app = StackAuth(project_id="p", app_url="https://app.example.com"), FastAPI()
    stack.install(app)
    for options in routers:
        app.include_router(stack.router(**options))
    async with app.router.lifespan_context(app):
        pass
    assert lines(caplog, "mfa_not_mounted", logging.WARNING) == []


async def test_the_start_reports_each_missing_setting_in_one_line(caplog: pytest.LogCaptureFixture):
    app = whole_app(StackAuth())
    async with app.router.lifespan_context(app):
        pass
    by_setting = {record.stack_fields["setting"]: record for record in lines(caplog)}
    assert len(lines(caplog)) == 4
    for setting in ("project_id", "app_url", "secret_server_key", "webhook_secrets"):
        fields = by_setting[setting].stack_fields
        assert (fields["variable"], f"StackAuth({setting}=" in fields["advice"]) == (f"STACK_{setting.upper()}", True)
        assert f"STACK_{setting.upper()}" in by_setting[setting].getMessage()
    assert by_setting["secret_server_key"].stack_fields["routes"] == "GET /robot, GET /keys"


def test_a_long_list_of_routes_is_cut(caplog: pytest.LogCaptureFixture):
    routes = tuple(f"GET /{number}" for number in range(150))
    report_missing(StackAuth().events, [MissingSetting("app_url", routes)])
    assert lines(caplog)[0].stack_fields["routes"].endswith("GET /99 and 50 more")


async def test_nothing_is_reported_where_nothing_is_missing_or_needed(caplog: pytest.LogCaptureFixture):
    full = whole_app(
        StackAuth(
            project_id="p",
            app_url="https://app.example.com",
            secret_server_key="ssk_1",
            webhook_secrets=["whsec_" + "MDEy" * 8],
        )
    )
    bare = FastAPI()
    StackAuth().install(bare)
    for app in (full, bare):
        async with app.router.lifespan_context(app):
            pass
    assert lines(caplog) == []


def test_routes_that_need_a_setting_are_known():
    """The routes that need each setting are known from what is declared."""
    stack = StackAuth()
    app = whole_app(stack)
    missing = stack.missing_settings()
    own = {"GET /outer/inner/deep", "GET /me", "GET /hello", "WebSocket /live", "GET /token", "GET /two-factor"}
    ours = {"GET /ready", "GET /api/auth/me", "POST /auth/sign-out", "GET /auth/methods"}
    assert own | ours <= set(missing["project_id"])
    assert not {"GET /public", "GET /auth/password/reset", "GET /auth/passkey.js"} & set(missing["project_id"])
    unsafe = {f"{r.method} /auth{r.path}" for r in operations(app, "/auth") if r.method != "GET"}
    assert len(unsafe) > 20
    assert unsafe | {"GET /two-factor", "GET /auth/oauth/{provider}/authorize"} <= set(missing["app_url"])
    body = {route for route in missing["app_url"] if route.startswith(("POST /api", "GET /api"))}
    assert body == {
        "POST /api/auth/otp/send",
        "POST /api/auth/password/forgot",
        "POST /api/auth/contact-channels/{channel_id}/send-verification",
        "POST /api/auth/passkey/options",
        "POST /api/auth/passkey/register/options",
    }
    assert missing["webhook_secrets"] == ("POST /webhooks",)


def test_a_page_at_a_whole_address_needs_no_app_url():
    stack = StackAuth()
    app = FastAPI()
    stack.install(app)
    app.include_router(
        stack.router(delivery="body", include=["otp", "password"], pages={"magic_link": "https://app.example.com/link"})
    )
    assert "POST /otp/send" not in stack.missing_settings()["app_url"]


async def test_every_route_that_is_not_named_works_without_app_url(server: Emulator):
    """No route of the body router asks for `app_url` unless it is listed, and each that is listed does."""
    limits: Any = {"rate_limit_address": None, "rate_limit_account": None}
    stack = StackAuth(project_id=server.project_id, base_url=server.url, **limits)
    app = FastAPI()
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")
    app.include_router(stack.router(delivery="body"), prefix="/api/auth")
    listed = set(stack.missing_settings()["app_url"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        account = (await client.post("/api/auth/password/sign-up", json=ACCOUNT)).json()
        client.headers["authorization"] = f"Bearer {account['access_token']}"
        for prefix in ("/auth", "/api/auth"):
            for route in operations(app, prefix):
                if route.path in ENDING and route.method != "GET":
                    continue
                path, code = prefix + route.concrete, {"code": "0" * 45}
                answer = await client.request(route.method, path, json=route.body, params=code)
                closed = answer.status_code == 500 and answer.json()["code"] == "configuration_error"
                assert closed == (f"{route.method} {prefix}{route.path}" in listed), f"{route} {answer.text}"
    await stack.aclose()


ENDING = ("/sign-out", "/me", "/password/set", "/password/update")
ACCOUNT = {"email": "ada@example.com", "password": "correct horse battery"}


@pytest.mark.parametrize(
    ("path", "setting"),
    [("/auth/password/sign-in", "app_url"), ("/api/auth/password/forgot", "app_url"), ("/webhooks", "webhook_secrets")],
)
async def test_a_request_that_needs_it_is_a_problem_and_logged_once(
    caplog: pytest.LogCaptureFixture, path: str, setting: str
):
    app = whole_app(StackAuth(project_id="p", base_url="http://auth.test"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        for _ in range(3):
            answer = await client.post(path, json={**ACCOUNT} if "sign-in" in path else {"email": "ada@example.com"})
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (500, "configuration_error")
            assert setting in problem["detail"]
            assert f"STACK_{setting.upper()}" in problem["detail"]
    assert [record.stack_fields["setting"] for record in lines(caplog)] == [setting]
    assert path in lines(caplog)[0].stack_fields["routes"]
    assert len(lines(caplog, "error_returned")) == 1


async def test_a_guarded_route_without_project_id_lets_nobody_in(caplog: pytest.LogCaptureFixture):
    app = whole_app(StackAuth())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        answer = await client.get("/me", headers={"authorization": "Bearer a.b.c"})
        assert answer.status_code in (401, 500)
        assert (await client.get("/me")).status_code == 401


async def test_the_first_request_to_a_mounted_app_reports_it(caplog: pytest.LogCaptureFixture):
    child, parent = FastAPI(), FastAPI()
    stack = StackAuth(project_id="p", base_url="http://auth.test")
    stack.install(child)
    child.include_router(stack.router(delivery="body"))
    parent.mount("/child", child)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(parent), base_url="http://app.test") as client:
        await client.post("/child/password/forgot", json={"email": "ada@example.com"})
    (line,) = lines(caplog)
    assert (line.stack_fields["setting"], "/password/forgot" in line.stack_fields["routes"]) == ("app_url", True)


async def test_the_start_of_an_app_reports_for_those_mounted_in_it(caplog: pytest.LogCaptureFixture):
    child, parent = FastAPI(), FastAPI()
    StackAuth(project_id="p").install(parent)
    stack = StackAuth(project_id="p")
    stack.install(child)
    child.include_router(stack.router(delivery="body"))
    parent.mount("/child", child)
    async with parent.router.lifespan_context(parent):
        pass
    assert [record.stack_fields["setting"] for record in lines(caplog)] == ["app_url"]


async def test_readiness_names_what_is_missing(server: Emulator):
    stack = StackAuth(project_id=server.project_id, base_url=server.url)
    app = whole_app(stack)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        assert answer.json()["missing_settings"] == ["app_url", "secret_server_key", "webhook_secrets"]
    await stack.aclose()
    app = whole_app(StackAuth())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "down")
        assert "project_id" in answer.json()["missing_settings"]


def test_the_schema_is_the_same_without_any_setting():
    named = StackAuth(project_id="p", secret_server_key="ssk_1", webhook_secrets=["whsec_" + "MDEy" * 8])
    assert whole_app(StackAuth()).openapi() == whole_app(named).openapi()
