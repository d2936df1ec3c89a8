"""Apps that write their own FastMCP server: who calls inside a tool, what is hidden, and what an outage is."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import httpx2
import pytest
from fastapi.security import SecurityScopes
from fastmcp import Client, FastMCP
from fastmcp.client.transports import StreamableHttpTransport
from starlette.requests import HTTPConnection

from fastapi_stackauth import ConfigurationError, Require, User
from fastapi_stackauth.mcp import StackAuthProvider, get_current_user, requires
from tests.mcp.desk import APP_URL, METADATA, Desk, call

READ = Require(permission="reports:read")
VERIFIED = Require(verified_email=True)
KEYS = Require(allow_api_key=True)


class Own:
    """A FastMCP server of an app, with a tool for each requirement, resources, templates and prompts."""

    def __init__(self, desk: Desk, *, stateless: bool = True, server: FastMCP[Any] | None = None) -> None:
        if server is None:
            server = FastMCP("Own", auth=StackAuthProvider(desk.stack, "/mcp", name="Own"))
            add_tools(server)
            add_notes(server)
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


def add_tools(server: FastMCP[Any]) -> None:
    """A tool for each requirement."""

    @server.tool(auth=requires(Require()))
    async def me() -> str:
        return (await get_current_user()).id

    @server.tool
    async def reports() -> str:
        return (await get_current_user(READ)).id

    @server.tool(auth=requires(KEYS))
    async def robots() -> str:
        return (await get_current_user(KEYS)).id


def add_notes(server: FastMCP[Any]) -> None:
    """A resource, a template and a prompt for verified users, and one of each for all callers."""

    @server.resource("note://mine", auth=requires(VERIFIED))
    async def mine() -> str:
        return (await get_current_user(VERIFIED)).id

    @server.resource("note://open")
    async def open_note() -> str:
        return "open"

    @server.resource("note://mine/{name}", auth=requires(VERIFIED))
    async def mine_by_name(name: str) -> str:
        return f"{name} of {(await get_current_user(VERIFIED)).id}"

    @server.resource("note://open/{name}")
    async def open_by_name(name: str) -> str:
        return name

    @server.prompt(auth=requires(VERIFIED))
    async def ask() -> str:
        return (await get_current_user(VERIFIED)).id

    @server.prompt
    async def greet() -> str:
        return "hello"


def add_reports(server: FastMCP[Any]) -> None:
    """What needs a permission, as a resource, a template and a prompt."""

    @server.resource("report://all")
    async def report() -> str:
        return (await get_current_user(READ)).id

    @server.resource("report://all/{name}")
    async def report_by_name(name: str) -> str:
        return name + (await get_current_user(READ)).id

    @server.prompt
    async def summarize() -> str:
        return (await get_current_user(READ)).id


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
    """Tools, resources, templates and prompts with `auth=requires(...)` are hidden from callers who cannot use them."""
    desk = Desk()
    own = Own(desk)
    bearers = desk.bearers()
    own_notes = ({"note://open", "note://mine"}, {"note://open/{name}", "note://mine/{name}"}, {"greet", "ask"})
    notes_of_all = ({"note://open"}, {"note://open/{name}"}, {"greet"})
    expected = {
        "user": ({"me", "reports", "robots"}, *own_notes),
        "anonymous": ({"reports"}, *notes_of_all),
        "restricted": ({"reports"}, *notes_of_all),
        "user_key": ({"reports", "robots"}, *notes_of_all),
        "team_key": ({"reports"}, *notes_of_all),
    }
    async with own.app.router.lifespan_context(own.app):
        for name, lists in expected.items():
            async with own.agent(bearers[name] or "") as client:
                listed = (
                    {tool.name for tool in await client.list_tools()},
                    {str(resource.uri) for resource in await client.list_resources()},
                    {template.uri_template for template in await client.list_resource_templates()},
                    {prompt.name for prompt in await client.list_prompts()},
                )
                assert listed == lists, name


async def test_what_is_hidden_cannot_be_used_either():
    """A caller who guesses the name of a hidden tool, resource, template or prompt gets an error, and no content."""
    desk = Desk()
    own = Own(desk)
    bearers = desk.bearers()
    user = (await desk.stack.verifier.verify(bearers["user"] or "")).id
    async with own.app.router.lifespan_context(own.app):
        async with own.agent(bearers["user"] or "") as client:
            assert (await client.read_resource("note://mine"))[0].text == user
            assert (await client.read_resource("note://mine/a"))[0].text == f"a of {user}"
            assert (await client.get_prompt("ask")).messages[0].content.text == user
        async with own.agent(bearers["anonymous"] or "") as client:
            assert (await client.read_resource("note://open/a"))[0].text == "a"
            uses = (
                lambda: client.call_tool("me"),
                lambda: client.read_resource("note://mine"),
                lambda: client.read_resource("note://mine/a"),
                lambda: client.get_prompt("ask"),
            )
            for number, use in enumerate(uses):
                with pytest.raises(Exception) as caught:  # noqa: PT011 - FastMCP has an exception for each sort
                    await use()
                assert user not in str(caught.value), number


async def test_a_team_of_an_argument_is_checked():
    """A requirement for a team takes the id from the tool, and rejects other teams."""
    desk = Desk()
    server: FastMCP[Any] = FastMCP("Own", auth=StackAuthProvider(desk.stack, "/mcp"))
    member = Require(team_member="team_id")

    @server.tool
    async def enter(team_id: str) -> str:
        return (await get_current_user(member, team_id=team_id)).id

    own, user = Own(desk, server=server), desk.add_user("ada")
    team, other = desk.server.add_team("Red"), desk.server.add_team("Blue")
    desk.server.join(team, user)
    async with own.app.router.lifespan_context(own.app), own.agent(desk.token(user_id=user)) as client:
        assert (await client.call_tool("enter", {"team_id": team})).content[0].text == user
        for wrong, code in ((other, "permission_missing"), ("", "request_invalid"), ("x" * 101, "request_invalid")):
            result = await client.call_tool("enter", {"team_id": wrong}, raise_on_error=False)
            assert json.loads(result.content[0].text)["code"] == code, wrong


async def test_errors_keep_their_code_in_resources_and_prompts():
    """What `get_current_user` raises in a resource, a template or a prompt carries the problem document."""
    desk = Desk()
    server: FastMCP[Any] = FastMCP("Own", auth=StackAuthProvider(desk.stack, "/mcp"), mask_error_details=True)
    add_reports(server)
    own = Own(desk, server=server)
    bearers = desk.bearers()
    async with own.app.router.lifespan_context(own.app), own.agent(bearers["user"] or "") as client:
        for number, use in enumerate(
            (
                lambda: client.read_resource("report://all"),
                lambda: client.read_resource("report://all/a"),
                lambda: client.get_prompt("summarize"),
            )
        ):
            with pytest.raises(Exception) as caught:  # noqa: PT011 - FastMCP has an exception for each sort
                await use()
            assert json.loads(str(caught.value))["code"] == "permission_missing", number


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


async def test_the_metadata_of_an_own_server_is_public():
    """Pages of any origin may read it, also during an outage and with an invalid token."""
    desk = Desk()
    own = Own(desk)
    desk.line.cut = True
    async with own.app.router.lifespan_context(own.app), own.http() as http:
        for bearer in (desk.token(), "junk"):
            headers = {"origin": "https://inspector.example", "authorization": f"Bearer {bearer}"}
            answer = await http.get(METADATA, headers=headers)
            assert answer.status_code == 200, answer.text
            assert answer.headers["access-control-allow-origin"] == "*"


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


@pytest.mark.parametrize("path", ["mcp", "/mcp/", "/mcp?x", "", "/{x}"])
def test_a_wrong_path_of_an_own_server_is_an_error(path: str):
    """A mistake is reported where it is written."""
    with pytest.raises(ConfigurationError, match="StackAuthProvider"):
        StackAuthProvider(Desk().stack, path)


def test_requires_takes_an_instance():
    """The class itself would let everything pass."""
    wrong: Any = Require
    with pytest.raises(ConfigurationError, match="instance"):
        requires(wrong)


def test_requires_takes_what_it_can_check():
    """A permission in `requires(...)` would be checked by nothing, so it is an error where it is written."""

    class OwnRequire(Require):
        async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> User:
            return User(id="own")

    for unchecked in (
        READ,
        OwnRequire(),
        Require(live=True),
        Require(max_age=timedelta(minutes=5)),
        Require(team_member="selected"),
        Require(team_permission="posts:delete", team="selected"),
    ):
        with pytest.raises(ConfigurationError, match="get_current_user"):
            requires(unchecked)
