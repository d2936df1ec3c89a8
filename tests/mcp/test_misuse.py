"""What apps and agents get wrong, or try: each ends in an error that says so, and nothing hangs."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Cookie, Depends, Header, Query, Request, WebSocket
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.security import SecurityScopes
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Route

from fastapi_stackauth import AuthError, ConfigurationError, Require
from fastapi_stackauth.mcp.selection import RouteTable, Selection, choose_operations
from tests.mcp.desk import Desk, call, call_newest
from tests.support.world import until

NEVER_ENDS = 300_000  # parts: far more than the call has time for, and few enough that a hang ends


@pytest.mark.parametrize(("part", "code"), [(b"", "tool_timeout"), (b"x" * 1000, "tool_response_too_large")])
async def test_a_stream_that_never_waits_does_not_hang(part: bytes, code: str):
    """A generator that never gives up the event loop ends at the limits, as other streams do."""
    desk = Desk()
    parts: list[int] = []

    async def stream() -> AsyncIterator[bytes]:
        for number in range(NEVER_ENDS):
            parts[:] = [number]
            yield part

    @desk.app.get("/endless", operation_id="endless")
    async def endless() -> StreamingResponse:
        return StreamingResponse(stream(), media_type="text/plain")

    desk.mount(include_operations={"endless"}, call_timeout=0.1)
    async with desk.open():
        result = await desk.use(desk.token(), "endless")
    assert result.structured_content["code"] == code
    assert parts[0] < NEVER_ENDS - 1


UNFIT = {
    "utf16": '{"a": 1}'.encode("utf-16"),
    "nan": b'{"a": NaN}',
    "large": b'{"a": 1e999}',
    "surrogate": b'{"a": "\\ud800"}',
    "bytes": b'"\xff"',
    "deep": b'{"a":' * 300 + b"1" + b"}" * 300,
}


async def test_json_that_cannot_be_sent_on_has_a_code():
    """FastMCP cannot serialize such JSON; the tool error says what is wrong, or keeps the status of the route."""
    desk = Desk()

    @desk.app.get("/odd/{name}", operation_id="odd")
    async def odd(name: str, status: int) -> Response:
        return Response(UNFIT[name], status, media_type="application/json")

    desk.mount(include_operations={"odd"})
    token, seen = desk.token(), {}
    async with desk.open():
        for name in UNFIT:
            result = await desk.use(token, "odd", name=name, status=200)
            conflict = await desk.use(token, "odd", name=name, status=409)
            seen[name] = (result.structured_content or {}).get("code"), conflict.structured_content
    conflict = {"status": 409, "title": "Conflict"}
    assert seen == dict.fromkeys(UNFIT, ("tool_response_unsupported", conflict))


async def test_a_compressed_response_is_no_text():
    """A route that compresses by itself gives no unreadable text."""
    desk = Desk()

    @desk.app.get("/archive", operation_id="archive")
    async def archive() -> Response:
        return Response(b"\x1f\x8b", headers={"content-encoding": "gzip"}, media_type="text/plain")

    desk.mount(include_operations={"archive"})
    async with desk.open():
        result = await desk.use(desk.token(), "archive")
    assert result.structured_content["code"] == "tool_response_unsupported"


async def test_the_status_of_an_error_is_that_of_the_response():
    """An app's own errors may have a member `status` that means something else."""
    desk = Desk()

    @desk.app.get("/own", operation_id="own")
    async def own() -> JSONResponse:
        return JSONResponse({"status": "error", "message": "taken"}, 409)

    desk.mount(include_operations={"own"})
    async with desk.open():
        result = await desk.use(desk.token(), "own")
    assert result.structured_content == {"status": 409, "message": "taken"}


async def test_arguments_become_no_other_parameters():
    """No object sets a parameter that the schema hides, and no line break adds a header."""
    desk = Desk()

    @desk.app.get("/things/{name}", operation_id="things")
    async def things(
        name: str,
        word: str = "",
        hidden: Annotated[str, Query(include_in_schema=False)] = "unset",
        x_word: Annotated[str, Header()] = "",
    ) -> list[str]:
        return [name, word, hidden, x_word]

    desk.mount(include_operations={"things"})
    tried: list[dict[str, Any]] = [
        {"word": {"hidden": "set"}},
        {"name": {"a": "b"}},
        {"x-word": {"a": "b"}},
        {"x-word": "a\r\nx-other: b"},
        {"x-word": ["a", "b\n"]},
        {"x-word": "\x00"},
    ]
    async with desk.open():
        for arguments in tried:
            result = await desk.use(desk.token(), "things", **{"name": "a", **arguments})
            assert result.structured_content.get("code") == "request_invalid", arguments
        result = await desk.use(desk.token(), "things", **{"name": "a", "word": "b", "hidden": "set", "x-word": "c d"})
        assert result.structured_content == {"result": ["a", "b", "unset", "c d"]}


async def test_headers_that_proxies_set_are_no_arguments():
    """A route that trusts a header of its proxy gets it from no argument."""
    names = ["cf-connecting-ip", "true-client-ip", "remote-user", "x-auth-request-email", "x-amzn-oidc-identity",
             "x-goog-authenticated-user-email", "x-ms-client-principal-name", "x-forwarded-user"]  # fmt: skip
    desk = Desk()
    for number, name in enumerate(names):

        async def trusting(request: Request, value: Annotated[str | None, Header(alias=name)] = None) -> str | None:
            return value

        desk.app.get(f"/trusting/{number}", operation_id=f"trusting_{number}")(trusting)
    desk.mount(include_operations={f"trusting_{number}" for number in range(len(names))})
    token = desk.token()
    async with desk.open():
        for number, name in enumerate(names):
            result = await desk.use(token, f"trusting_{number}", **{name: "admin"})
            assert result.structured_content == {"result": None}, name


async def test_a_name_that_clients_reject_stops_the_start():
    """One such name makes a client reject the whole list of tools."""
    for name in ("list notes", "größe", "notes/list"):
        desk = Desk()
        desk.app.get("/named", operation_id=name)(lambda: None)
        desk.mount(include_operations={name})
        with pytest.raises(ConfigurationError, match=f"{name}.* cannot be the name of a tool"):
            async with desk.open():
                pass


async def test_a_websocket_of_the_same_path_does_not_matter():
    """An app may have a WebSocket and a GET route at one path."""
    desk = Desk()

    @desk.app.websocket("/both")
    async def feed(websocket: WebSocket) -> None: ...

    @desk.app.get("/both", operation_id="both")
    async def both() -> str:
        return "GET"

    desk.mount(include_operations={"both"})
    async with desk.open():
        assert (await desk.use(desk.token(), "both")).structured_content == {"result": "GET"}


async def test_a_route_that_another_one_shadows_stops_the_start():
    """A tool would be listed, and each of its calls rejected."""
    for earlier in ("/things/mine", "/things/{name}", "/{rest:path}"):
        desk = Desk()
        desk.app.get(earlier)(lambda: "earlier")
        desk.app.get("/things/mine", operation_id="mine")(lambda: "mine")
        desk.mount(include_operations={"mine"})
        with pytest.raises(ConfigurationError, match="declared before it"):
            async with desk.open():
                pass


async def test_a_tool_reaches_no_app_of_another_host():
    """If the host of app_url has routes of its own, a call that came by another host does not end there."""
    desk, reached = Desk(), []

    def other(request: Request) -> PlainTextResponse:
        reached.append(request.url.path)
        return PlainTextResponse("other app")

    desk.mount()
    desk.app.router.routes.insert(0, Host("app.example.com", Starlette(routes=[Route("/me", other)])))
    async with desk.open() as http:
        answer = await call(http, "me", {"authorization": f"Bearer {desk.token()}", "host": "internal"})
    assert answer.json()["result"]["structuredContent"]["code"] == "request_invalid"
    assert reached == []


def test_a_path_that_a_router_serves_is_an_error_at_once():
    """The routes of an included router count as those of the app."""
    desk, router = Desk(), APIRouter()
    router.get("/mcp")(lambda: "mine")
    desk.app.include_router(router)
    with pytest.raises(ConfigurationError, match="has a route"):
        desk.mount()


async def test_a_lifespan_within_another_one_leaves_it_the_server():
    """Tests may open a second client of the same app while the first is open."""
    desk = Desk()
    desk.mount()
    headers = {"authorization": f"Bearer {desk.token()}"}
    async with desk.open() as first:
        async with desk.open() as second:
            assert (await call(second, "me", headers)).status_code == 200
        assert (await call(first, "me", headers)).status_code == 200


async def test_parameters_of_openapi_extra_do_not_stop_the_start():
    """A reference instead of a parameter is left out."""
    desk = Desk()
    extra = {"parameters": [{"$ref": "#/components/parameters/Key"}, {"in": "header", "name": "Cookie", "schema": {}}]}

    @desk.app.get("/extra", operation_id="extra", openapi_extra=extra)
    async def route() -> str:
        return "extra"

    desk.mount(include_operations={"extra"})
    async with desk.open(), desk.agent(desk.token()) as agent:
        (tool,) = [tool for tool in await agent.list_tools() if tool.name == "extra"]
        assert tool.input_schema["properties"] == {}


async def test_a_route_that_requires_a_credential_stops_the_start():
    """Each call of such a tool would be rejected, because no argument sets a cookie or a header of a credential."""

    async def by_header(authorization: Annotated[str, Header()]) -> None: ...

    async def by_key(x_api_key: Annotated[str, Header()]) -> None: ...

    async def by_cookie(session: Annotated[str, Cookie()]) -> None: ...

    for endpoint, name in ((by_header, "authorization"), (by_key, "x-api-key"), (by_cookie, "session")):
        desk = Desk()
        desk.app.get("/own", operation_id="own")(endpoint)
        desk.mount(include_operations={"own"})
        with pytest.raises(ConfigurationError, match=f"'{name}', which no argument may set"):
            async with desk.open():
                pass


async def test_a_dependency_of_the_app_that_has_a_require_is_listed():
    """An object of the app may hold a `Require` and accept callers without it, so its tools are never hidden."""

    class Lenient:
        def __init__(self) -> None:
            self.require = Require()

        async def __call__(self, request: Request) -> str:
            try:
                return (await self.require(request, SecurityScopes())).id
            except AuthError:
                return "stranger"

    desk = Desk()

    @desk.app.get("/lenient", operation_id="lenient")
    async def lenient(name: Annotated[str, Depends(Lenient())]) -> str:
        return name

    desk.mount(include_operations={"lenient"}, allow_unauthenticated=True)
    async with desk.open(), desk.agent() as agent:
        assert "lenient" in {tool.name for tool in await agent.list_tools()}
        assert (await agent.call_tool("lenient")).structured_content == {"result": "stranger"}


async def test_an_agent_that_prefers_html_gets_no_page():
    """With prebuilt pages, browsers are sent to the sign-in page; a tool error keeps its code whatever is accepted."""
    desk = Desk()
    desk.app.include_router(desk.stack.pages_router(prefix="/handler"))
    desk.mount(allow_unauthenticated=True)
    headers = {"accept": "text/html, application/json, text/event-stream"}
    async with desk.open() as http:
        assert (await http.get("/me", headers=headers)).status_code == 303
        for use in (call, call_newest):
            content = (await use(http, "me", headers)).json()["result"]["structuredContent"]
            assert (content["status"], content.get("code")) == (401, "authentication_required")


async def test_a_tool_error_has_its_code_whatever_the_app_prefers():
    """With error_format="detail", HTTP errors have no code; agents need one."""
    desk = Desk(error_format="detail")
    desk.mount(allow_unauthenticated=True)
    async with desk.open() as http:
        assert (await http.get("/me")).json() == {"detail": "Sign in to use this."}
        content = (await call(http, "me", {})).json()["result"]["structuredContent"]
    assert (content["status"], content.get("code")) == (401, "authentication_required")


async def test_a_canceled_request_cancels_the_routes_it_called():
    """If the server cancels requests, as some do when their clients disconnect, no route goes on unseen."""
    desk, running, ended = Desk(), asyncio.Event(), []

    @desk.app.get("/slow", operation_id="slow")
    async def slow() -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("slow")

    desk.mount(include_operations={"slow"})
    async with desk.open() as http:
        request = asyncio.create_task(call(http, "slow", {"authorization": f"Bearer {desk.token()}"}))
        await running.wait()
        request.cancel()
        await until(lambda: ended == ["slow"])


def test_no_route_of_the_library_can_be_chosen():
    """Not one of them, by its operation id, whatever router it is in."""
    desk = Desk()
    app, stack = desk.app, desk.stack
    app.include_router(stack.router(delivery="body"), prefix="/auth")
    for router in (stack.teams_router(), stack.api_keys_router(), stack.cli_router(), stack.webhooks("/hooks")):
        app.include_router(router, prefix="/our")
    app.include_router(stack.pages_router(prefix="/handler"))
    app.include_router(stack.readiness("/ready"))
    schema, table = app.openapi(), RouteTable(app)
    own = {"hello", "me", "reports", "robots", "team"}
    names = {each["operationId"] for path in schema["paths"].values() for each in path.values()} - own
    assert len(names) > 80
    for name in names:
        with pytest.raises(ConfigurationError, match="never tools"):
            choose_operations(schema, table, Selection(operations=frozenset({name})))


def test_names_may_be_any_collection():
    """The keys of a table are a collection of texts, as sets and lists are."""
    names = {"me": 1}
    assert Selection.check((), names.keys()).operations == {"me"}
    with pytest.raises(ConfigurationError, match="set of strings"):
        Selection.check((), b"me")
