"""Which routes are tools, what a tool does, and what ends in a tool error."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import BackgroundTasks, Body, Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection

from fastapi_stackauth import ConfigurationError, CurrentTeam, CurrentUser, Require, StackAuth, User
from fastapi_stackauth.testing import override_user
from tests.mcp.desk import APP_URL, Desk, call
from tests.support.world import until


async def names(desk: Desk, bearer: str | None) -> set[str]:
    """The tools that a caller sees."""
    async with desk.agent(bearer) as agent:
        return {tool.name for tool in await agent.list_tools()}


async def test_only_chosen_routes_are_tools():
    """A tag chooses GET routes; other methods need their operation id; routes of the library are never tools."""
    desk = Desk()
    desk.app.include_router(desk.stack.router(delivery="body"), prefix="/auth", tags=["tools"])
    desk.app.include_router(desk.stack.teams_router(), prefix="/our", tags=["tools"])
    desk.app.include_router(desk.stack.api_keys_router(), prefix="/our", tags=["tools"])
    desk.app.include_router(desk.stack.cli_router(), prefix="/cli", tags=["tools"])
    desk.app.include_router(desk.stack.pages_router(prefix="/handler"), tags=["tools"])
    desk.app.include_router(desk.stack.readiness("/ready"), tags=["tools"])
    desk.app.include_router(desk.stack.webhooks("/hooks"), tags=["tools"])

    @desk.app.post("/notes", tags=["tools"], operation_id="write_note")
    async def write(text: Annotated[str, Body(embed=True)], user: CurrentUser) -> str:
        return text

    @desk.app.delete("/notes", tags=["tools"], operation_id="delete_notes")
    async def delete() -> None: ...

    @desk.app.get("/hidden", tags=["tools"], include_in_schema=False)
    async def hidden() -> None: ...

    @desk.app.get("/other", operation_id="other")
    async def other() -> None: ...

    desk.mount(include_operations={"write_note", "other"})
    async with desk.open():
        assert await names(desk, desk.token()) == {"hello", "me", "reports", "robots", "write_note", "other"}
        result = await desk.use(desk.token(), "write_note", text="hi")
        assert result.structured_content == {"result": "hi"}
        unknown = await desk.use(desk.token(), "delete_notes")
        assert unknown.is_error


async def test_routes_of_the_start_count_and_openapi_stays():
    """The lifespan may add routes that are tools, its state reaches them, and `app.openapi()` is as without tools."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        @app.get("/late", operation_id="late")
        async def late(request: Request) -> str:
            return str(request.state.word)

        yield {"word": "from the start"}

    desk = Desk()
    desk.app.router.lifespan_context = lifespan
    desk.mount(include_operations={"late"})
    async with desk.open():
        assert desk.app.openapi_schema is None
        assert (await desk.use(desk.token(), "late")).structured_content == {"result": "from the start"}
        assert not any("mcp" in path or "well-known" in path for path in desk.app.openapi()["paths"])


async def test_annotations_follow_the_method():
    """Clients learn which tools only read and which may destroy."""
    desk = Desk()
    for method in ("post", "put", "patch", "delete"):
        getattr(desk.app, method)(f"/{method}", operation_id=method)(lambda: None)
    desk.mount(include_operations={"post", "put", "patch", "delete"})
    async with desk.open(), desk.agent(desk.token()) as agent:
        hints = {tool.name: tool.annotations for tool in await agent.list_tools()}
    assert (hints["hello"].read_only_hint, hints["hello"].destructive_hint) == (True, False)
    assert (hints["post"].read_only_hint, hints["post"].destructive_hint) == (False, False)
    for method in ("put", "patch", "delete"):
        assert (hints[method].read_only_hint, hints[method].destructive_hint) == (False, True)


async def test_the_list_has_what_the_token_does_not_rule_out():
    """Anonymous users do not see tools for users, and a hidden tool still answers as its route does."""
    desk = Desk()
    desk.mount(allow_unauthenticated=True)
    bearers = desk.bearers()
    async with desk.open():
        assert await names(desk, None) == {"hello"}
        assert await names(desk, bearers["anonymous"]) == {"hello"}
        assert await names(desk, bearers["restricted"]) == {"hello"}
        assert await names(desk, bearers["user"]) == {"hello", "me", "reports", "robots"}  # permissions are not asked
        assert await names(desk, bearers["user_key"]) == {"hello", "robots"}
        assert await names(desk, bearers["team_key"]) == {"hello", "team"}
        assert (await desk.use(None, "me")).structured_content["code"] == "authentication_required"
        with override_user(desk.app, User(id="ada")):
            assert len(await names(desk, None)) == 5
            assert not (await desk.use(bearers["anonymous"], "me")).is_error


async def test_an_override_decides_who_calls():
    """In tests of an app, the override of `current_user` wins over the token, as it does over HTTP."""
    desk = Desk()
    desk.mount()
    token = desk.token()
    async with desk.open():
        with override_user(desk.app, User(id="ada")):
            for tool in ("me", "hello", "robots"):
                assert (await desk.use(token, tool)).structured_content == {"result": "ada"}


async def test_a_require_of_an_apps_own_is_listed():
    """A subclass with its own check may accept any caller, so its tools are never hidden."""

    class Anybody(Require):
        async def __call__(self, connection: HTTPConnection, scopes: SecurityScopes) -> User:
            return User(id="anybody")

    desk = Desk()

    @desk.app.get("/open", operation_id="open")
    async def open_to_all(user: Annotated[User, Depends(Anybody())]) -> str:
        return user.id

    desk.mount(include_operations={"open"}, allow_unauthenticated=True)
    async with desk.open():
        assert "open" in await names(desk, None)
        assert (await desk.use(None, "open")).structured_content == {"result": "anybody"}


@pytest.mark.parametrize("root_path", ["", "/api"])
async def test_tools_work_behind_a_root_path(root_path: str):
    """A proxy that strips a prefix changes nothing, whether the app or the server knows the prefix."""
    desk = Desk()
    desk.app.root_path = root_path

    @desk.app.get("/paths", operation_id="paths")
    async def paths(request: Request) -> list[str]:
        return [request.scope["root_path"], request.url.path]

    desk.mount(include_operations={"paths"})
    headers = {"authorization": f"Bearer {desk.token()}"}
    async with desk.open() as http:
        answer = (await call(http, "paths", headers)).json()["result"]["structuredContent"]
        assert answer == {"result": [root_path, f"{root_path}/paths"]}


async def test_tools_work_under_a_root_path_of_the_server():
    """A server may have the prefix itself, as `uvicorn --root-path` does; the path then contains it."""
    desk = Desk()
    desk.mount()
    async with desk.open():
        served = httpx.ASGITransport(desk.app, root_path="/v1")
        async with httpx.AsyncClient(transport=served, base_url=f"{APP_URL}/v1") as client:
            answer = await call(client, "me", {"authorization": f"Bearer {desk.token()}"})
            assert not answer.json()["result"].get("isError"), answer.text


async def test_a_route_that_takes_too_long_is_canceled():
    """A slow route does not go on after its tool error, nor an endless response."""
    desk = Desk()
    ended: list[str] = []

    @desk.app.get("/slow", operation_id="slow")
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("slow")

    async def forever() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 100_000
                await asyncio.sleep(0)
        finally:
            ended.append("endless")

    @desk.app.get("/endless", operation_id="endless")
    async def endless() -> StreamingResponse:
        return StreamingResponse(forever(), media_type="text/plain")

    desk.mount(include_operations={"slow", "endless"}, call_timeout=0.5)
    async with desk.open():
        assert (await desk.use(desk.token(), "slow")).is_error
        assert (await desk.use(desk.token(), "endless")).is_error
        async with asyncio.timeout(0.4):
            await until(lambda: ended == ["slow", "endless"])


async def test_rate_limits_count_tools_and_http_together():
    """An app's own limit by address counts the caller's address, however the route is called."""
    desk = Desk(rate_limit_address="3/minute")

    @desk.app.get("/guess", operation_id="guess", responses={429: {"description": "Too many."}})
    async def guess(request: Request) -> str:
        assert request.client is not None
        await desk.stack.limiter.count("guess", address=request.client.host)
        return "counted"

    desk.mount(include_operations={"guess"})
    token = desk.token()
    async with desk.open() as http:
        assert (await http.get("/guess")).status_code == 200
        assert not (await desk.use(token, "guess")).is_error
        assert not (await desk.use(token, "guess")).is_error
        limited = await desk.use(token, "guess")
        assert limited.structured_content["code"] == "rate_limit_exceeded"
        assert limited.structured_content["retryable"] is True
        assert limited.structured_content["retry_after"] >= 1
        assert (await http.get("/guess")).status_code == 429


async def test_a_team_in_path_query_or_header_is_an_argument():
    """What `Require` and `CurrentTeam` read from the request is an argument of the tool."""
    desk = Desk()
    in_query = Require(team_member="query:team")
    in_header = Require(team_member="header:x-team")

    @desk.app.get("/teams/{team_id}", operation_id="by_path")
    async def by_path(team: CurrentTeam) -> str:
        return team.display_name

    @desk.app.get("/query", operation_id="by_query", dependencies=[Depends(in_query)])
    async def by_query() -> str:
        return "in"

    @desk.app.get("/header", operation_id="by_header", dependencies=[Depends(in_header)])
    async def by_header() -> str:
        return "in"

    desk.mount(include_operations={"by_path", "by_query", "by_header"})
    user = desk.add_user("ada")
    team, other = desk.server.add_team("Red"), desk.server.add_team("Blue")
    desk.server.join(team, user)
    token = desk.token(user_id=user)
    async with desk.open() as http:
        assert (await desk.use(token, "by_path", team_id=team)).structured_content == {"result": "Red"}
        assert (await desk.use(token, "by_query", team=team)).structured_content == {"result": "in"}
        assert (await desk.use(token, "by_header", **{"x-team": team})).structured_content == {"result": "in"}
        for tool, name in (("by_path", "team_id"), ("by_query", "team"), ("by_header", "x-team")):
            refused = await desk.use(token, tool, **{name: other})
            assert refused.structured_content["code"] == "permission_missing", tool
        # A header of the MCP request is no argument.
        headers = {"authorization": f"Bearer {token}", "x-team": team}
        answer = (await call(http, "by_header", headers)).json()["result"]["structuredContent"]
        assert answer["status"] == 400


async def test_a_tool_reaches_its_own_route_alone():
    """No argument leads to another route: not a slash, not dots, not the name of a route beside it."""
    desk = Desk()
    reached = []

    def reach(path: str, **options: Any) -> None:
        async def endpoint(request: Request) -> str:
            reached.append(path)
            return path

        async def file(request: Request, name: str) -> str:
            return await endpoint(request)

        async def tree(request: Request, rest: str) -> str:
            return await endpoint(request)

        handler = file if "{name}" in path else tree if "{rest" in path else endpoint
        desk.app.get(path, **options)(handler)

    reach("/files/secret")
    reach("/files/{name}", operation_id="file")
    reach("/files/{name}/owner")
    reach("/tree/secret/{rest:path}")
    reach("/tree/{rest:path}", operation_id="tree")
    reach("/admin")
    desk.mount(include_operations={"file", "tree"})
    values = [
        "secret",
        "a/owner",
        "a%2Fowner",
        "../admin",
        "..",
        "",
        ".",
        "a?b=/c",
        "a#b",
        "secret/x",
        "\x00",
        "é",
        "%",
    ]
    async with desk.open():
        for value in values:
            await desk.use(desk.token(), "file", name=value)
            await desk.use(desk.token(), "tree", rest=value)
    assert set(reached) <= {"/files/{name}", "/tree/{rest:path}"}
    assert set(reached) == {"/files/{name}", "/tree/{rest:path}"}


async def test_headers_for_credentials_are_no_arguments():
    """A route that declares a header of a credential gets it from no argument."""
    desk = Desk()

    @desk.app.get("/raw", operation_id="raw")
    async def raw(request: Request, key: Annotated[str | None, Header(alias="x-api-key")] = None) -> Any:
        return {"key": key, "cookie": request.headers.get("cookie")}

    desk.mount(include_operations={"raw"})
    async with desk.open(), desk.agent(desk.token()) as agent:
        (tool,) = [tool for tool in await agent.list_tools() if tool.name == "raw"]
        assert tool.input_schema["properties"] == {}
        result = await agent.call_tool("raw", {"x-api-key": "sk_1", "x_api_key": "sk_1"}, raise_on_error=False)
        assert result.structured_content == {"key": None, "cookie": None}


@pytest.fixture
def odd() -> Desk:
    """An app whose routes have every kind of response."""
    desk = Desk()
    big, events = b"x" * 1_000_001, b"data: 1\n\n" * 2000

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield events
            await asyncio.sleep(0)

    async def wait() -> None:
        await asyncio.sleep(60)

    def fail() -> None:
        raise HTTPException(409, "taken")

    def crash() -> None:
        raise RuntimeError("secret text")

    routes: dict[str, Any] = {
        "big": lambda: Response(big, media_type="text/plain"),
        "just": lambda: Response(big[:-1], media_type="text/plain"),
        "endless": lambda: StreamingResponse(endless(), media_type="application/octet-stream"),
        "events": lambda: StreamingResponse(endless(), media_type="text/event-stream; charset=utf-8"),
        "slow": wait,
        "conflict": fail,
        "crash": crash,
        "picture": lambda: Response(b"\x89PNG", media_type="image/png"),
        "page": lambda: HTMLResponse("<b>hi</b>"),
        "latin": lambda: Response("größe".encode("latin-1"), media_type="text/csv; charset=ISO-8859-1"),
        "codec": lambda: Response("größe".encode(), media_type="text/csv; charset=rot13"),
        "elsewhere": lambda: RedirectResponse("/me"),
        "empty": lambda: Response(status_code=204),
        "junk": lambda: Response(b"{", media_type="application/json"),
        "list": lambda: [1, 2],
    }
    for name, endpoint in routes.items():
        desk.app.get(f"/odd/{name}", operation_id=name, response_model=None)(endpoint)
    desk.mount(include_operations=set(routes), call_timeout=0.5)
    return desk


@pytest.mark.parametrize(
    ("tool", "status", "code"),
    [
        ("big", 502, "tool_response_too_large"),
        ("endless", 502, "tool_response_too_large"),
        ("events", 502, "tool_response_unsupported"),
        ("slow", 504, "tool_timeout"),
        ("picture", 502, "tool_response_unsupported"),
        ("junk", 502, "tool_response_unsupported"),
        ("conflict", 409, None),
        ("crash", 500, None),
        ("elsewhere", 307, None),
    ],
)
async def test_what_cannot_be_a_result_is_a_tool_error(odd: Desk, tool: str, status: int, code: str | None):
    """Large, endless, slow, failing and foreign responses end in an error with the status and our code."""
    token = odd.token()
    async with odd.open():
        result = await odd.use(token, tool)
    assert result.is_error
    assert (result.structured_content["status"], result.structured_content.get("code")) == (status, code)
    assert "secret text" not in str(result.structured_content)
    if tool == "conflict":
        assert result.structured_content["detail"] == "taken"


@pytest.mark.parametrize(
    ("tool", "content", "text"),
    [
        ("just", None, "x" * 1_000_000),
        ("page", None, "<b>hi</b>"),
        ("latin", None, "größe"),
        ("codec", None, "größe"),
        ("list", {"result": [1, 2]}, "[1,2]"),
        ("empty", None, None),
    ],
)
async def test_json_and_text_are_results(odd: Desk, tool: str, content: Any, text: str | None):
    """A JSON object is the structured result, other JSON is its member `result`, and text is text."""
    token = odd.token()
    async with odd.open():
        result = await odd.use(token, tool)
    assert not result.is_error
    assert result.structured_content == content
    assert [block.text for block in result.content] == ([] if text is None else [text])


async def test_a_crash_is_logged_with_its_traceback(odd: Desk, caplog: pytest.LogCaptureFixture):
    """The operator learns why a route failed, as under a server."""
    token = odd.token()
    async with odd.open():
        with caplog.at_level(logging.ERROR, "fastapi_stackauth.mcp"):
            await odd.use(token, "crash")
    (record,) = [each for each in caplog.records if each.name == "fastapi_stackauth.mcp"]
    assert record.exc_info is not None


async def test_background_tasks_finish_after_the_result():
    """A response's background tasks go on after the tool has answered, and end before the app does."""
    desk = Desk()
    done = []

    @desk.app.get("/job", operation_id="job")
    async def job(tasks: BackgroundTasks) -> str:
        async def work() -> None:
            await asyncio.sleep(0.2)
            done.append(1)

        tasks.add_task(work)
        return "started"

    desk.mount(include_operations={"job"})
    async with desk.open():
        assert not (await desk.use(desk.token(), "job")).is_error
        assert done == []
    assert done == [1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"include_tags": set()}, "No route is a tool unless you choose it"),
        ({"include_tags": "tools"}, "must be a set of strings"),
        ({"include_operations": [1]}, "must be a set of strings"),
        ({"call_timeout": 0}, "call_timeout"),
        ({"call_timeout": float("nan")}, "call_timeout"),
        ({"call_timeout": True}, "call_timeout"),
        ({"allow_unauthenticated": "false"}, "allow_unauthenticated"),
    ],
)
def test_wrong_arguments_are_errors_at_once(options: dict[str, Any], message: str):
    """A mistake in the call of mount_mcp is reported there."""
    with pytest.raises(ConfigurationError, match=message):
        Desk().mount(**options)


@pytest.mark.parametrize("path", ["mcp", "/mcp/", "/{x}", "", "/hello", "/mcp?x", "/mcp#x", "//mcp", "/m cp", "/m%63p"])
def test_a_wrong_path_is_an_error_at_once(path: str):
    """A path that no client could use is reported where it is written."""
    desk = Desk()
    with pytest.raises(ConfigurationError):
        desk.stack.mount_mcp(desk.app, path, include_tags={"tools"})


def test_the_stack_must_be_installed_first():
    """Without `install` there are no error handlers and no stack to verify with."""
    with pytest.raises(ConfigurationError, match=r"stack\.install"):
        StackAuth().mount_mcp(FastAPI(), "/mcp", include_tags={"tools"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"include_operations": {"undeclared"}}, "path parameter 'x'"),
        ({"include_tags": {"notes"}}, "tag 'notes'"),
        ({"include_operations": {"nothing"}}, "operation 'nothing'"),
        ({"include_operations": {"sign_in_by_password"}}, "never tools"),
        ({"include_operations": {"x" * 65}}, "too long"),
    ],
)
async def test_a_selection_without_routes_stops_the_start(options: dict[str, Any], message: str):
    """A tag or operation that no route has, a route of the library and a name that clients reject stop the app."""
    desk = Desk()
    desk.app.include_router(desk.stack.router(delivery="body"), prefix="/auth")
    desk.app.get("/undeclared/{x}", operation_id="undeclared")(lambda: None)
    desk.app.get("/long", operation_id="x" * 65)(lambda: None)
    if message == "never tools":
        schema = desk.app.openapi()["paths"]["/auth/password/sign-in"]["post"]["operationId"]
        options = {"include_operations": {schema}}
    desk.mount(**options)
    with pytest.raises(ConfigurationError, match=message):
        async with desk.open():
            pass


async def test_a_missing_app_url_is_reported_at_the_start(caplog: pytest.LogCaptureFixture):
    """It is no error at import: the log names the setting, and the MCP server and its metadata are closed."""
    desk = Desk(app_url=None)
    desk.mount()
    async with desk.open() as http:
        assert "setting=app_url" in caplog.text
        assert "/mcp" in caplog.text
        for answer in (await call(http, "me", {}), await http.get("/.well-known/oauth-protected-resource/mcp")):
            assert (answer.status_code, answer.json()["code"]) == (500, "configuration_error")
        assert (await http.get("/me")).status_code == 401


async def test_without_a_lifespan_the_error_says_what_to_do():
    """A test client that runs no lifespan gets an error with the reason, and no tool."""
    desk = Desk()
    desk.mount()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(desk.app), base_url=APP_URL) as http:
        with pytest.raises(ConfigurationError, match="lifespan_context"):
            await call(http, "me", {"authorization": f"Bearer {desk.token()}"})
