"""Wrong set-ups raise as soon as they are known, and say what was given, what is expected and what to do."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette

from fastapi_stackauth import (
    ConfigurationError,
    CurrentUser,
    HeaderCredentials,
    IdentifyUser,
    QueryToken,
    Require,
    RequireTeamApiKey,
    RequireUserApiKey,
    StackAuth,
    User,
    VerificationUnavailable,
)
from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.errors import AuthServerUnreachable, UnexpectedResponse
from tests.support.asgi import call
from tests.support.rows import rows

HTTPS = "https://app.example.com"


@rows(
    ("options", "texts"),
    [
        (
            {"app_url": "localhost:8000"},
            ["app_url", '"http://localhost:8000"', 'got "localhost:8000"', "STACK_APP_URL"],
        ),
        ({"app_url": "app.example.com"}, ['"https://app.example.com"', "STACK_APP_URL"]),
        ({"app_url": f"{HTTPS}/shop"}, ["app_url", f'"{HTTPS}"', "without path", "STACK_APP_URL"]),
        ({"base_url": "localhost:8102"}, ["base_url", '"http://localhost:8102"', "STACK_API_URL"]),
        ({"publishable_client_key": "ssk_0"}, ["publishable_client_key", "secret server key", "pck_"]),
        ({"secret_server_key": "pck_0"}, ["secret_server_key", "publishable client key", "ssk_"]),
        ({"secret_server_key": "sak_0"}, ["secret_server_key", "super secret admin key", "ssk_"]),
        ({"project_id": "pck_0"}, ["project_id", "publishable client key", "STACK_PROJECT_ID"]),
        ({"after_sign_in": "notes"}, ["after_sign_in", '"/notes"']),
        ({"sign_in_url": "//elsewhere.example"}, ["sign_in_url", '"/notes"']),
        ({"redirect_urls": ["app.example.com"]}, ["redirect_urls", HTTPS]),
    ],
)
def test_a_wrong_setting_says_what_to_do(options: dict[str, Any], texts: list[str]):
    with pytest.raises(ConfigurationError) as caught:
        StackAuth(**options)
    assert [text for text in texts if text not in str(caught.value)] == []


@rows(
    "options",
    [
        {"publishable_client_key": "ssk_hunter2"},
        {"project_id": "sak_hunter2"},
        {"app_url": "https://ada:hunter2@app.example.com"},
        {"app_url": "https://ada:hunter2"},
        {"base_url": "https://ada:hunter2"},
        {"issuers": ["https://ada:hunter2"]},
    ],
)
def test_a_message_shows_no_secret(options: dict[str, Any]):
    with pytest.raises(ConfigurationError) as caught:
        StackAuth(**options)
    assert "hunter2" not in str(caught.value)


@rows(
    ("options", "texts"),
    [
        ({"include": "password"}, ["include must be a list", "got 'password'", "include=["]),
        ({"exclude": "sms"}, ["exclude must be a list", "got 'sms'", "exclude=["]),
        ({"include": ["sms"]}, ["include", "'sms' is not one of password, sign_up, otp"]),
        (
            {"include": ["otp"], "oauth_scopes": {"github": "repo"}},
            ["oauth_scopes has no effect", '"oauth" is left out'],
        ),
        (
            {"exclude": ["otp"], "pages": {"magic_link": "/link"}},
            ["pages: magic_link has no effect", "Include it, or drop"],
        ),
        ({"exclude": ["otp", "teams"]}, ["exclude", "'teams' is not one of password, sign_up, otp"]),
        ({"include": ["otp"], "exclude": []}, ["include and exclude", "pass one of them"]),
        ({"oauth_scopes": "repo"}, ["oauth_scopes must be a mapping", "got str", 'oauth_scopes={"github"']),
        ({"pages": {"verify_email": "verify"}}, ["pages", "verify_email", '"/verify-email"']),
        ({"pages": {"verify_email": "//elsewhere.example"}}, ["pages", "verify_email"]),
    ],
)
def test_a_wrong_router_argument_says_what_to_do(options: dict[str, Any], texts: list[str]):
    with pytest.raises(ConfigurationError) as caught:
        StackAuth(app_url=HTTPS).router(**options)
    assert [text for text in texts if text not in str(caught.value)] == []


@rows("sources", [[HeaderCredentials], [QueryToken()] * 2 + ["header"], HeaderCredentials(), "header"])
def test_a_wrong_source_of_credentials_raises(sources: Any):
    with pytest.raises(ConfigurationError, match=r"sources must .*; got .*Write StackAuth\(sources=\["):
        StackAuth(sources=sources)


@rows(
    "options",
    [
        {"project_id": "a b"},
        {"branch_id": "main\n"},
        {"secret_server_key": "ssk_hunter2\n"},
        {"publishable_client_key": "pck_hunter2 ä"},
    ],
    ids=str,
)
def test_what_no_header_can_carry_raises(options: dict[str, Any]):
    (setting,) = options
    with pytest.raises(
        ConfigurationError, match=f"{setting} contains a character.*Copy STACK_{setting.upper()}"
    ) as caught:
        StackAuth(**options)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("make", [StackAuth.webhooks, StackAuth.readiness])
def test_a_path_without_a_slash_raises(make: Callable[[StackAuth, str], Any]):
    with pytest.raises(ConfigurationError, match=r'slash; got "here"\. Write stack\.\w+\("/here"\)'):
        make(StackAuth(), "here")
    make(StackAuth(), "")  # for a router with a prefix


def test_cookies_over_plain_http_raise_when_the_router_is_built():
    stack = StackAuth(app_url="http://app.example.com")
    with pytest.raises(ConfigurationError, match=r"app_url is http://app\.example\.com.*https.*STACK_APP_URL"):
        stack.router()
    stack.router(delivery="body")  # links in emails work over plain http


# --- several stacks --------------------------------------------------------------------------------------


def test_two_stacks_that_set_the_same_cookies_raise():
    app = FastAPI()
    StackAuth(project_id="a", app_url=HTTPS).install(app)
    with pytest.raises(ConfigurationError, match=r'cookie_name "stackauth".*StackAuth\(cookie_name='):
        StackAuth(project_id="b", app_url=HTTPS).install(app, default=False)
    StackAuth(project_id="b", app_url=HTTPS, cookie_name="other").install(app, default=False)


@pytest.mark.parametrize("installed_first", [True, False])
def test_two_stacks_with_routers_of_the_same_names_raise(installed_first: bool):
    app, one, other = FastAPI(), StackAuth(), StackAuth()
    one.install(app)
    one.router(delivery="body")
    steps: list[Callable[[], object]] = [
        lambda: other.install(app, default=False),
        lambda: other.router(delivery="body"),
    ]
    first, second = steps if installed_first else reversed(steps)
    first()
    with pytest.raises(ConfigurationError, match="operation ids"):
        second()


def test_two_stacks_that_only_read_headers_may_share_a_name():
    app = FastAPI()
    StackAuth(project_id="a").install(app)
    StackAuth(project_id="b").install(app, default=False)


# --- install ---------------------------------------------------------------------------------------------


@rows(
    ("target", "text"),
    [(APIRouter(), r"got APIRouter\..*include_router"), (Starlette(), r"got Starlette\..*FastAPI\(\)"),
     (FastAPI, "got type"), (None, "got NoneType")],
)  # fmt: skip
def test_install_on_something_else_says_what_it_takes(target: Any, text: str):
    with pytest.raises(ConfigurationError, match=text):
        StackAuth().install(target)


def mount_child(child: FastAPI) -> FastAPI:
    parent = FastAPI()
    StackAuth(project_id="p", base_url="http://auth.test").install(parent)
    parent.mount("/child", child)
    return parent


async def test_a_mounted_app_without_install_raises_the_message_itself():
    child = FastAPI()

    @child.get("/me")
    async def me(user: CurrentUser) -> User:
        return user

    with pytest.raises(ConfigurationError, match=r"stack\.install\(app\).*mounted FastAPI app"):
        await call(mount_child(child), "/child/me")


@rows("make", [Require, IdentifyUser, RequireUserApiKey, RequireTeamApiKey], ids=lambda make: make.__name__)
async def test_a_dependency_of_an_uninstalled_stack_raises(make: Any):
    """A dependency of a stack that is not installed here raises."""
    child = FastAPI()

    @child.get("/me")
    async def me(user: Annotated[Any, Depends(make(stack=StackAuth(project_id="p")))]) -> None: ...

    with pytest.raises(ConfigurationError, match=r"stack\.install\(app\)"):
        await call(mount_child(child), "/child/me")


async def test_a_router_of_a_stack_that_is_not_installed_here_raises():
    child = FastAPI()
    child.include_router(StackAuth(project_id="p").router(delivery="body"))
    with pytest.raises(ConfigurationError, match=r"stack\.install\(app\)"):
        await call(mount_child(child), "/child/me")


# --- what is outside -------------------------------------------------------------------------------------


async def test_warm_up_with_nothing_listening_says_where_and_why():
    stack = StackAuth(project_id="p", base_url="http://127.0.0.1:9", timeout=2)
    with pytest.raises(VerificationUnavailable, match=r"http://127\.0\.0\.1:9.*unavailable.*STACK_API_URL") as caught:
        await stack.warm_up()
    assert isinstance(caught.value.__cause__, AuthServerUnreachable)
    await stack.aclose()


async def test_warm_up_with_a_wrong_project_id_says_so(server: Emulator):
    stack = StackAuth(project_id="00000000-0000-4000-8000-000000000000", base_url=server.url, timeout=5)
    with pytest.raises(
        VerificationUnavailable, match=r"00000000-0000-4000.*unknown project.*STACK_PROJECT_ID"
    ) as caught:
        await stack.warm_up()
    assert isinstance(caught.value.__cause__, UnexpectedResponse)
    await stack.aclose()


def test_the_emulator_without_its_extra_is_one_line(tmp_path: Path):
    (tmp_path / "bcrypt.py").write_text("raise ModuleNotFoundError('No module named bcrypt', name='bcrypt')")
    command = [sys.executable, "-m", "fastapi_stackauth.emulator"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines() == [
        "The emulator needs bcrypt. Install its extra: pip install 'fastapi-stackauth[emulator]'"
    ]


# --- other sites, other hosts ----------------------------------------------------------------------------

HERE = "http://localhost:8000"


@pytest.fixture
async def signing_in_here(server: Emulator) -> AsyncIterator[FastAPI]:
    stack = StackAuth(
        project_id=server.project_id, base_url=server.url, app_url=HERE, trusted_origins=["http://localhost:5173"]
    )
    app = FastAPI()
    stack.install(app)
    app.include_router(stack.router(), prefix="/auth")
    yield app
    await stack.aclose()


async def sign_up(app: FastAPI, base_url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base_url) as client:
        account = {"email": f"{uuid4()}@example.com", "password": "correct horse battery"}
        return await client.post("/auth/password/sign-up", json=account, headers=headers)


@pytest.mark.parametrize(
    ("headers", "origin", "seen"),
    [
        ({}, "missing", "no Origin"),
        ({"origin": "https://evil.example"}, "not_trusted", "Origin https://evil.example"),
        ({"origin": "null"}, "not_trusted", "Origin null"),
        ({"origin": "http://127.0.0.1:8000"}, "not_trusted", "Origin http://127.0.0.1:8000"),
    ],
)
async def test_a_cross_site_error_names_seen_and_allowed_origins(
    signing_in_here: FastAPI, caplog: pytest.LogCaptureFixture, headers: dict[str, str], origin: str, seen: str
):
    """A cross site request says what was seen and what is allowed."""
    caplog.set_level("INFO")
    answer = await sign_up(signing_in_here, HERE, **headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
    assert answer.json()["details"] == {"origin": origin}
    (line,) = [record.getMessage() for record in caplog.records if "cross_site_request" in record.getMessage()]
    assert seen in line
    assert f"allowed: {HERE}, http://localhost:5173" in line


def warnings_of_host(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "cookies_on_other_host" in record.getMessage()]


@pytest.mark.parametrize(
    ("base_url", "headers"),
    [
        ("http://127.0.0.1:8000", {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}),
        ("http://inner:80", {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}),
        ("http://127.0.0.1:8000", {"sec-fetch-site": "none"}),
    ],
)
async def test_cookies_under_another_host_are_one_warning(
    signing_in_here: FastAPI, caplog: pytest.LogCaptureFixture, base_url: str, headers: dict[str, str]
):
    for more in ({}, {"x-other": "1"}):
        assert (await sign_up(signing_in_here, base_url, **headers, **more)).status_code == 200
    (line,) = warnings_of_host(caplog)
    assert "seen=http://127.0.0.1:8000" in line
    assert f"app_url={HERE}" in line
    assert "STACK_APP_URL" in line


@pytest.mark.parametrize(
    ("base_url", "headers"),
    [
        (HERE, {"origin": HERE}),
        ("http://behind-a-proxy", {"origin": HERE, "sec-fetch-site": "same-origin"}),
        (HERE, {"origin": "http://localhost:5173", "sec-fetch-site": "same-site"}),
    ],
)
async def test_cookies_under_the_apps_own_host_are_no_warning(
    signing_in_here: FastAPI, caplog: pytest.LogCaptureFixture, base_url: str, headers: dict[str, str]
):
    assert (await sign_up(signing_in_here, base_url, **headers)).status_code == 200
    assert warnings_of_host(caplog) == []
