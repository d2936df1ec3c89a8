"""What the guides promise, done with the very apps that stand in them."""

import asyncio
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any, cast

import httpx
import httpx2
import pytest
from fastapi import FastAPI
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from standardwebhooks import Webhook

from fastapi_stackauth.emulator import Emulator
from fastapi_stackauth.models import ServerUserCreate
from tests.apps import ADA, PASSWORD, serving
from tests.docs.blocks import ROOT, run

FORM = {"content-type": "application/x-www-form-urlencoded"}
Guide = Callable[[str], Awaitable[dict[str, Any]]]


@pytest.fixture
async def guide(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> Guide:
    """Runs a page of the docs against the emulator; gives what it defined."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return lambda page: run(ROOT / "docs" / page)


async def sign_up(server: Emulator) -> dict[str, str]:
    """Ada's tokens, straight from the auth server, as the vendor's SDK would get them."""
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=_client_headers(server)) as http:
        answer = await http.post("/auth/password/sign-up", json=ADA | {"verification_callback_url": "http://localhost"})
        answer.raise_for_status()
        tokens: dict[str, str] = answer.json()
        return tokens


def _client_headers(server: Emulator) -> dict[str, str]:
    return {
        "x-stack-access-type": "client",
        "x-stack-project-id": server.project_id,
        "x-stack-publishable-client-key": server.publishable_client_key,
    }


async def test_other_origins_call_the_api_with_a_bearer_token(guide: Guide, server: Emulator):
    """A page of another origin may call the api with a bearer token and read its errors."""
    app = (await guide("guides/spa.md"))["app"]
    tokens, origin = await sign_up(server), {"origin": "https://www.example.com"}
    async with serving(app) as client:
        asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
        assert (await client.options("/notes", headers=origin | asked)).status_code == 200
        called = await client.get("/notes", headers=origin | {"authorization": f"Bearer {tokens['access_token']}"})
        assert called.json() == [f"A note of {tokens['user_id']}"]
        refused = await client.get("/notes", headers=origin)
        assert refused.json()["code"] == "authentication_required"
        assert refused.headers["access-control-allow-origin"] == "https://www.example.com"


async def test_the_server_rendered_app_signs_in_by_a_form(guide: Guide, server: Emulator):
    """The server rendered app signs in by a form and sends strangers to it."""
    app = (await guide("guides/server-rendered.md"))["app"]
    user_id = (await sign_up(server))["user_id"]
    own, page = {"sec-fetch-site": "same-origin"}, {"accept": "text/html"}
    async with serving(app) as client:
        stranger = await client.get("/notes", headers=page)
        assert (stranger.status_code, stranger.headers["location"]) == (303, "/sign-in?return_to=%2Fnotes")
        assert (await client.get("/notes", headers={"accept": "application/json"})).status_code == 401
        assert "<form" in (await client.get("/sign-in")).text
        (form,) = re.findall(r'action="(.*?)"', (await client.get("/sign-in")).text)
        wrong = await client.post(unescape(form), data=ADA | {"password": "wrong"}, headers=own)
        assert wrong.headers["location"] == "/sign-in?error=EMAIL_PASSWORD_MISMATCH"
        assert "That did not work." in (await client.get(wrong.headers["location"])).text
        forged = await client.post(unescape(form), data=ADA, headers={"sec-fetch-site": "cross-site"})
        assert forged.headers["location"] == "/sign-in?error=cross_site_request"
        assert (await client.get("/")).text == "Hello, stranger"
        assert (await client.post(unescape(form), data=ADA, headers=own)).headers["location"] == "/notes"
        assert (await client.get("/sign-in")).headers["location"] == "/notes"
        shown = (await client.get("/notes", headers=page)).text
        assert user_id in shown
        await client.post(unescape(re.findall(r'action="(.*?)"', shown)[0]), headers={**own, **FORM})
        assert (await client.get("/")).text == "Hello, stranger"
        assert "/auth/mfa/sign-in?" in (await client.get("/sign-in?mfa=required")).text


async def test_the_mobile_session_refreshes_a_token_and_signs_out(guide: Guide, server: Emulator):
    made = await guide("guides/mobile.md")
    async with serving(made["app"]) as client:
        session = made["Session"](client, (await client.post("/auth/password/sign-up", json=ADA)).json())
        assert (await session.get("/me")).json()["email"] == ADA["email"]
        first = session.tokens["access_token"]
        expired = server.issue_token(user_id=session.tokens["user_id"], expires_in=-60)
        session.tokens["access_token"] = expired["access_token"]
        assert (await session.get("/me")).status_code == 200
        assert session.tokens["access_token"] != first
        await session.sign_out()
        assert (await session.get("/me")).json()["code"] == "session_revoked"


async def test_a_hand_written_check_differs_as_described(guide: Guide, server: Emulator):
    """What differs between a hand rolled check and this library is so."""
    text = (ROOT / "docs/guides/from-jwks-check.md").read_text("utf-8")
    assert "PROJECT_ID" in text
    made = await guide("guides/from-jwks-check.md")
    user = made["CurrentUser"].__args__[0](id="u", claims={"sub": "u"})
    assert made["claims_of"](user) == {"sub": "u"}
    guest = server.issue_token(kind="anonymous")["access_token"]
    app = FastAPI()
    from fastapi_stackauth import CurrentUser, StackAuth

    StackAuth().install(app)

    @app.get("/me")
    async def me(user: CurrentUser) -> str:
        return user.id

    async with serving(app) as client:
        answer = await client.get("/me", headers={"authorization": f"Bearer {guest}"})
        assert (answer.status_code, answer.json()["code"]) == (403, "anonymous_not_allowed")


async def test_bcrypt_accounts_sign_in_with_their_old_password(guide: Guide, server: Emulator):
    """Accounts with bcrypt hashes move and sign in with their old password."""
    import bcrypt

    made = await guide("guides/from-fastapi-users.md")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    row = {"id": "7", "email": ADA["email"], "is_verified": "true", "hashed_password": hashed}
    async with serving(made["app"]) as client:
        moved = await made["move"]([row])
        tokens = (await client.post("/auth/password/sign-in", json=ADA)).json()
        assert moved == {"7": tokens["user_id"]}
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}
        assert (await client.get("/letters", headers=bearer)).status_code == 200
        assert (await client.get("/reports", headers=bearer)).json()["code"] == "permission_missing"


async def test_from_auth0_permissions_take_the_place_of_scopes(guide: Guide, server: Emulator):
    app = (await guide("guides/from-auth0.md"))["app"]
    server.seed({
        "permissions": [{"id": "reports:read", "scope": "project"}],
        "users": [{"primary_email": ADA["email"], "password": PASSWORD, "permissions": ["reports:read"]}],
    })  # fmt: skip
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=_client_headers(server)) as http:
        tokens = (await http.post("/auth/password/sign-in", json=ADA)).json()
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    async with serving(app) as client:
        assert (await client.get("/reports", headers=bearer)).json() == []
        assert (await client.post("/payout", headers=bearer)).status_code == 200


async def test_a_token_of_one_project_never_passes_for_another(
    guide: Guide, server: Emulator, monkeypatch: pytest.MonkeyPatch
):
    made = await guide("guides/several-projects.md")
    assert made["app"].openapi()["paths"]["/admin"]
    assert made["customers"].settings.project_id != made["staff"].settings.project_id
    async with serving(made["app"]) as client:
        bearer = {"authorization": f"Bearer {server.issue_token(kind='normal')['access_token']}"}
        answer = await client.get("/me", headers=bearer)
        assert answer.status_code in (401, 503)


async def test_a_cart_knows_guests_from_unverified_people(guide: Guide, server: Emulator):
    app = (await guide("explanation/token-kinds.md"))["app"]
    said = {
        "anonymous": "Sign up to keep your cart.",
        "restricted": "Your address is not verified yet.",
        "normal": "Welcome back.",
    }
    async with serving(app) as client:
        for kind, text in said.items():
            bearer = {"authorization": f"Bearer {server.issue_token(kind=kind)['access_token']}"}
            assert (await client.get("/cart", headers=bearer)).json() == text


@pytest.mark.parametrize("page", ["guides/proxy.md", "guides/workers.md"])
async def test_readiness_is_told(guide: Guide, page: str):
    app = (await guide(page))["app"]
    async with serving(app) as client:
        answer = await client.get("/ready")
        assert answer.json()["status"] in ("ok", "degraded")


async def test_the_guide_for_env_files_reads_the_settings(
    guide: Guide, server: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """`load_dotenv` in the app's module sets what `StackAuth()` reads."""
    for name in server.environment():
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in server.environment().items()))
    made = await guide("guides/running.md")
    assert made["stack"].settings.project_id == server.project_id
    async with serving(made["app"]) as client:
        tokens = (await client.post("/auth/password/sign-up", json=ADA)).json()
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}
        assert (await client.get("/me", headers=bearer)).json()["email"] == ADA["email"]


async def test_a_local_row_follows_the_account(
    guide: Guide, server: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """The first request or a webhook creates the row, webhooks change and delete it, and repeats change nothing."""
    monkeypatch.chdir(tmp_path)
    made = await guide("guides/local-users.md")
    session, row_type = made["Session"], made["LocalUser"]

    async def find_email(user_id: str) -> str | None:
        async with session() as opened:
            email: str | None = getattr(await opened.get(row_type, user_id), "email", None)
            return email

    async with serving(made["app"]) as client:

        async def deliver(kind: str, **data: Any) -> None:
            body = json.dumps({"type": kind, "data": data})
            message_id = f"msg_{secrets.token_hex(8)}"
            now = datetime.now(UTC)
            signature = Webhook(server.webhook_secret).sign(message_id, now, body)
            headers = {"id": message_id, "timestamp": str(int(now.timestamp())), "signature": signature}
            for _ in range(2):
                answer = await client.post(
                    "/webhooks/stack-auth", content=body, headers={f"svix-{k}": v for k, v in headers.items()}
                )
                assert answer.status_code == 204

        tokens = await sign_up(server)
        user_id, bearer = tokens["user_id"], {"authorization": f"Bearer {tokens['access_token']}"}
        assert (await client.get("/credits")).status_code == 401
        assert await find_email(user_id) is None
        both = await asyncio.gather(*(client.get("/credits", headers=bearer) for _ in range(2)))
        assert [answer.json() for answer in both] == [10, 10]
        assert await find_email(user_id) == ADA["email"]

        eve = ServerUserCreate(primary_email="eve@example.com")
        user = (await made["stack"].client.as_server().users.create(eve)).to_json()
        await deliver("user.created", **user)
        assert await find_email(user["id"]) == "eve@example.com"
        await deliver("user.updated", **{**user, "primary_email": "eve@new.example.com"})
        assert await find_email(user["id"]) == "eve@new.example.com"
        await deliver("user.deleted", id=user["id"], teams=[])
        assert await find_email(user["id"]) is None


async def test_a_script_calls_with_the_api_key_that_the_guide_creates(guide: Guide, server: Emulator):
    """A user or the app creates a key, and a script uses it in either header until it is revoked."""
    made = await guide("guides/api-keys.md")
    tokens = await sign_up(server)
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    page = {**bearer, "origin": "http://localhost:8000"}
    async with serving(made["app"]) as client:
        created = await client.post("/auth/api-keys", json={"description": "backup script"}, headers=page)
        assert created.status_code == 201, created.text
        for key in (created.json()["value"], await made["create_user_key"](tokens["user_id"])):
            for headers in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}):
                assert (await client.get("/reports", headers=headers)).json() == []
        team_id = server.add_team("Red")
        key = {"x-api-key": server.add_api_key(team_id, kind="team")}
        assert (await client.post("/teams/imports", headers=key)).status_code == 200
        (listed,) = await made["stack"].client.as_server().team_api_keys.list(team_id)
        await made["revoke_team_key"](team_id, listed.id)
        assert (await client.post("/teams/imports", headers=key)).status_code == 401
        assert (await client.post("/imports", headers=bearer)).status_code == 401


async def test_an_agent_uses_the_notes_app(guide: Guide, server: Emulator):
    """The guide for AI agents: a client with an API key writes and lists its owner's notes, and no others."""
    app = (await guide("guides/mcp.md"))["app"]
    keys = [
        server.add_api_key(server.add_user(primary_email=f"{name}@example.com", primary_email_verified=True))
        for name in ("ada", "grace")
    ]

    def connect(**options: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), headers=options.get("headers"))

    def agent(key: str) -> Client[Any]:
        headers, factory = {"authorization": f"Bearer {key}"}, cast("Any", connect)
        url = "http://localhost:8000/mcp"
        return Client(StreamableHttpTransport(url, headers=headers, httpx_client_factory=factory))

    async with app.router.lifespan_context(app):
        async with agent(keys[0]) as client:
            tools = {tool.name: tool.description for tool in await client.list_tools()}
            assert tools["list_notes"] == "List the user's notes, oldest first."
            assert set(tools) == {"list_notes", "write_note"}
            await client.call_tool("write_note", {"text": "Buy milk"})
            assert (await client.call_tool("list_notes")).structured_content == {"result": ["Buy milk"]}
        async with agent(keys[1]) as client:
            assert (await client.call_tool("list_notes")).structured_content == {"result": []}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8000") as http:
            assert (await http.post("/mcp", json={})).status_code == 401
            metadata = await http.get("/.well-known/oauth-protected-resource/mcp")
            assert metadata.json()["resource"] == "http://localhost:8000/mcp"
            bound = await http.get("/.well-known/oauth-protected-resource/agents/mcp")
            assert bound.json()["authorization_servers"] == ["https://login.example.com/oidc"]
            assert (await http.post("/agents/mcp", json={})).status_code == 401
