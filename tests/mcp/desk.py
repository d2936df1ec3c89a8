"""An app whose routes are tools, on an emulator in the same process, and every kind of caller."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import httpx2
from fastapi import Depends, FastAPI
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from mcp.client.client import Client as OfficialClient
from mcp.client.streamable_http import streamable_http_client

from fastapi_stackauth import ApiKeyTeam, CurrentUser, OptionalUser, Require, StackAuth, User
from fastapi_stackauth.emulator import Emulator

APP_URL = "https://app.example.com"
METADATA = f"{APP_URL}/.well-known/oauth-protected-resource/mcp"
NEWEST = "2026-07-28"
MayRead = Require(permission="reports:read")
MaybeKey = Require(allow_api_key=True)
CALLERS = (
    "none", "malformed", "expired", "anonymous", "restricted", "user", "permitted", "user_key", "team_key"
)  # fmt: skip
ROUTES = ("hello", "me", "reports", "robots", "team")


class Line(httpx.ASGITransport):
    """The way to the auth server, which can be cut."""

    cut = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.cut:
            raise httpx.ConnectError("cut", request=request)
        return await super().handle_async_request(request)


class Desk:
    """The app and its callers."""

    def __init__(self, **options: Any) -> None:
        self.server = Emulator()
        self.statuses: list[int] = []
        self.line = Line(self.server.app)
        self.configure(**options)

    def configure(self, **options: Any) -> None:
        """Make the stack and the app, with these settings."""
        settings = {
            "project_id": self.server.project_id,
            "base_url": self.server.url,
            "app_url": APP_URL,
            "publishable_client_key": self.server.publishable_client_key,
            "secret_server_key": self.server.secret_server_key,
            "transport": self.line,
            "clock": self.server.clock.now,
            "authorization_servers": ["https://login.example.com/oidc"],
        }
        self.stack = StackAuth(**{**settings, **options})
        self.app = FastAPI(title="Desk")
        self.stack.install(self.app)
        add_routes(self.app)

    def add_user(self, name: str, **fields: Any) -> str:
        """A new user's id."""
        return self.server.add_user(primary_email=f"{name}@example.com", primary_email_verified=True, **fields)

    def token(self, **options: Any) -> str:
        """An access token."""
        return self.server.issue_token(**options)["access_token"]

    def bearers(self) -> Mapping[str, str | None]:
        """The bearer of each kind of caller."""
        self.server.seed({"permissions": [{"id": "reports:read", "scope": "project"}]})
        ada, permitted = self.add_user("ada"), self.add_user("permitted", permissions=["reports:read"])
        team = self.server.add_team("Red")
        return {
            "none": None,
            "malformed": "not-a-token",
            "expired": self.token(user_id=ada, expires_in=-60),
            "anonymous": self.token(kind="anonymous"),
            "restricted": self.token(kind="restricted"),
            "user": self.token(user_id=ada),
            "permitted": self.token(user_id=permitted),
            "user_key": self.server.add_api_key(ada),
            "team_key": self.server.add_api_key(team, kind="team"),
        }

    def mount(self, **options: Any) -> None:
        """Mount the tools."""
        self.stack.mount_mcp(self.app, "/mcp", **{"include_tags": {"tools"}, **options})

    @asynccontextmanager
    async def open(self) -> AsyncIterator[httpx.AsyncClient]:
        """An HTTP client of the app, whose lifespan runs."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with (
            self.app.router.lifespan_context(self.app),
            httpx.AsyncClient(transport=transport, base_url=APP_URL) as client,
        ):
            yield client

    def agent(self, bearer: str | None = None, **headers: str) -> Client[Any]:
        """FastMCP's client with this bearer."""
        if bearer is not None:
            headers["authorization"] = f"Bearer {bearer}"
        connect: Any = self._connect  # the client calls it with keywords alone
        return Client(StreamableHttpTransport(f"{APP_URL}/mcp", headers=headers, httpx_client_factory=connect))

    def _connect(self, **options: Any) -> httpx2.AsyncClient:
        async def note(response: httpx2.Response) -> None:
            self.statuses.append(response.status_code)

        options = {name: value for name, value in options.items() if name in ("headers", "timeout", "auth")}
        hooks: Any = {"response": [note]}
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), event_hooks=hooks, **options)

    @asynccontextmanager
    async def official_agent(self, bearer: str | None = None) -> AsyncIterator[OfficialClient]:
        """The official client with this bearer."""
        headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
        async with (
            self._connect(headers=headers) as http,
            OfficialClient(streamable_http_client(f"{APP_URL}/mcp", http_client=http)) as client,
        ):
            yield client

    async def use(self, bearer: str | None, tool: str, **arguments: Any) -> Any:
        """The result of one call of a tool."""
        async with self.agent(bearer) as agent:
            return await agent.call_tool(tool, arguments, raise_on_error=False)


def add_routes(app: FastAPI) -> None:
    """Five routes with five requirements, all of them tools."""

    @app.get("/hello", tags=["tools"], operation_id="hello")
    async def hello(user: OptionalUser) -> str:
        return user.id if user else "stranger"

    @app.get("/me", tags=["tools"], operation_id="me")
    async def me(user: CurrentUser) -> str:
        return user.id

    @app.get("/reports", tags=["tools"], operation_id="reports")
    async def reports(user: Annotated[User, Depends(MayRead)]) -> str:
        return user.id

    @app.get("/robots", tags=["tools"], operation_id="robots")
    async def robots(user: Annotated[User, Depends(MaybeKey)]) -> str:
        return user.id

    @app.get("/team", tags=["tools"], operation_id="team")
    async def team(team: ApiKeyTeam) -> str:
        return team.id


def rpc(method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A request of the protocol."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params or {})}


async def call(client: httpx.AsyncClient, tool: str, headers: Mapping[str, str], **arguments: Any) -> httpx.Response:
    """Call a tool without a client of the protocol."""
    accept = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
    body = rpc("tools/call", {"name": tool, "arguments": arguments})
    return await client.post("/mcp", json=body, headers={**accept, **headers})


async def call_newest(
    client: httpx.AsyncClient, tool: str, headers: Mapping[str, str], **arguments: Any
) -> httpx.Response:
    """Call a tool as the revision 2026-07-28 does: each request describes itself, and there is no initialization."""
    about = {
        "io.modelcontextprotocol/protocolVersion": NEWEST,
        "io.modelcontextprotocol/clientInfo": {"name": "desk", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    own = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": NEWEST,
        "mcp-method": "tools/call",
        "mcp-name": tool,
    }
    body = rpc("tools/call", {"name": tool, "arguments": arguments, "_meta": about})
    return await client.post("/mcp", json=body, headers={**own, **headers})


def to_outcome(status: int, body: Any) -> tuple[int, Any]:
    """What is compared: the status, and the code of an error or the value of a result."""
    if status >= 400:
        return status, body.get("code")
    return status, body["result"] if isinstance(body, dict) else body
