"""Apps that write their own FastMCP server: who calls inside a tool, what is hidden, and what an outage is."""

import asyncio
import json
from typing import Any

import httpx
import httpx2
import pytest
from fastmcp import Client, FastMCP
from fastmcp.client.transports import StreamableHttpTransport

from fastapi_stackauth import ConfigurationError, Require
from fastapi_stackauth.mcp import StackAuthProvider, get_current_user, requires
from tests.mcp.desk import APP_URL, METADATA, Desk, call

READ = Require(permission="reports:read")
VERIFIED = Require(verified_email=True)
KEYS = Require(allow_api_key=True)


class Own:
    """A FastMCP server of an app, with a tool for each requirement, a resource and a prompt."""

    def __init__(self, desk: Desk, *, stateless: bool = True) -> None:
        self.desk = desk
        self.provider = StackAuthProvider(desk.stack, "/mcp", name="Own")
        server: FastMCP[Any] = FastMCP("Own", auth=self.provider)

        @server.tool(auth=requires(Require()))
        async def me() -> str:
            return (await get_current_user()).id

        @server.tool
        async def reports() -> str:
            return (await get_current_user(READ)).id

        @server.tool(auth=requires(KEYS))
        async def robots() -> str:
            return (await get_current_user(KEYS)).id

        @server.resource("note://mine", auth=requires(VERIFIED))
        async def mine() -> str:
            return (await get_current_user(VERIFIED)).id

        @server.prompt(auth=requires(VERIFIED))
        async def ask() -> str:
            return (await get_current_user(VERIFIED)).id

        self.app = server.http_app(path="/mcp", stateless_http=stateless, json_response=True)

    def agent(self, bearer: str) -> Client[Any]:
        """FastMCP's client with this bearer."""

        def connect(**options: Any) -> httpx2.AsyncClient:
            return httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), headers=options.get("headers"))

        factory: Any = connect
        headers = {"authorization": f"Bearer {bearer}"}
        return Client(StreamableHttpTransport(f"{APP_URL}/mcp", headers=headers, httpx_client_factory=factory))

    def http(self) -> httpx.AsyncClient:
        """A plain client."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=APP_URL)


async def outcome(own: Own, bearer: str, tool: str) -> Any:
    """The value of a call, or the code of its error."""
    async with own.agent(bearer) as client:
        result = await client.call_tool(tool, raise_on_error=False)
        text = result.content[0].text
        return json.loads(text)["code"] if result.is_error and text.startswith("{") else text


async def test_the_user_of_the_token_is_known_inside_a_tool():
    """`await get_current_user()` returns the caller, or ends the tool with the code of the requirement."""
    desk = Desk()
    own = Own(desk)
    bearers = desk.bearers()
    user = (await desk.stack.verifier.verify(bearers["user"] or "")).id
    async with own.app.router.lifespan_context(own.app):
        assert await outcome(own, bearers["user"] or "", "me") == user
        assert await outcome(own, bearers["user_key"] or "", "robots") == user
        assert await outcome(own, bearers["user"] or "", "reports") == "permission_missing"
        assert await outcome(own, bearers["anonymous"] or "", "reports") == "anonymous_not_allowed"
        assert await outcome(own, bearers["team_key"] or "", "reports") == "token_malformed"
        permitted = await desk.stack.verifier.verify(bearers["permitted"] or "")
        assert await outcome(own, bearers["permitted"] or "", "reports") == permitted.id


async def test_lists_leave_out_what_the_token_rules_out():
    """Tools, resources and prompts with `auth=requires(...)` are hidden from callers who cannot use them."""
    desk = Desk()
    own = Own(desk)
    bearers = desk.bearers()
    expected = {
        "user": ({"me", "reports", "robots"}, 1, 1),
        "anonymous": ({"reports"}, 0, 0),
        "user_key": ({"reports", "robots"}, 0, 0),
    }
    async with own.app.router.lifespan_context(own.app):
        for name, (tools, resources, prompts) in expected.items():
            async with own.agent(bearers[name] or "") as client:
                assert {tool.name for tool in await client.list_tools()} == tools, name
                assert len(await client.list_resources()) == resources, name
                assert len(await client.list_prompts()) == prompts, name


async def test_rejections_and_outages_of_an_own_server():
    """401 names the metadata, which the server has; an outage is 503; other origins are 403."""
    desk = Desk()
    own = Own(desk)
    token = desk.token()
    async with own.app.router.lifespan_context(own.app), own.http() as http:
        for headers in ({}, {"authorization": "Bearer junk"}, {"cookie": f"stack-access={token}"}):
            refused = await call(http, "me", headers)
            assert refused.status_code == 401
            assert METADATA in refused.headers["www-authenticate"]
        assert (await http.get(METADATA)).json()["resource"] == f"{APP_URL}/mcp"
        other = await call(http, "me", {"authorization": f"Bearer {token}", "origin": "https://evil.example"})
        assert other.status_code == 403
        desk.line.cut = True
        down = await call(http, "me", {"authorization": f"Bearer {desk.token()}"})
        assert (down.status_code, down.json()["code"]) == (503, "verification_unavailable")
        assert int(down.headers["retry-after"]) >= 1


async def test_a_stateful_server_mixes_no_callers():
    """FastMCP's sessions, which an own server may have: calls at once get the answers of their own users."""
    desk = Desk()
    own = Own(desk, stateless=False)
    users = [desk.add_user(f"user{number}") for number in range(5)]

    async def ask(user: str) -> None:
        async with own.agent(desk.token(user_id=user)) as client:
            answers = await asyncio.gather(*(client.call_tool("me") for _ in range(20)))
            assert {answer.content[0].text for answer in answers} == {user}

    async with own.app.router.lifespan_context(own.app):
        await asyncio.gather(*map(ask, users))


async def test_fastmcp_keeps_no_token():
    """The access token that FastMCP knows has no token, because its repr would show it."""
    desk = Desk()
    token = desk.token()
    described = await StackAuthProvider(desk.stack, "/mcp").verify_token(token)
    assert described is not None
    assert token not in repr(described)
    assert described.expires_at is not None
    assert await StackAuthProvider(desk.stack, "/mcp").verify_token("junk") is None
    assert await StackAuthProvider(desk.stack, "/mcp").verify_token("\ud800é") is None


@pytest.mark.parametrize("path", ["mcp", "/mcp/"])
def test_a_wrong_path_of_an_own_server_is_an_error(path: str):
    """A mistake is reported where it is written."""
    with pytest.raises(ConfigurationError, match="StackAuthProvider"):
        StackAuthProvider(Desk().stack, path)


def test_requires_takes_an_instance():
    """The class itself would let everything pass."""
    wrong: Any = Require
    with pytest.raises(ConfigurationError, match="instance"):
        requires(wrong)
