"""The example app on the emulator, over real HTTP: both clients list its notes, write, are rejected, read metadata."""

from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport
from mcp.client.client import Client as OfficialClient
from mcp.client.streamable_http import streamable_http_client

from tests.example.visitors import Demo, new_address, running_demo


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with running_demo() as running:
        yield running


def sign_up(demo: Demo) -> str:
    """A new user's access token, from the app's own router."""
    body = {"email": new_address(), "password": "correct horse battery"}
    answer = httpx.post(f"{demo.app}/api/auth/password/sign-up", json=body)
    return str(answer.json()["access_token"])


async def test_both_clients_use_the_notes_of_the_example(demo: Demo):
    """FastMCP's client writes a note, the official one lists it, and another user does not see it."""
    address, token, other = f"{demo.app}/mcp", sign_up(demo), sign_up(demo)
    headers = {"authorization": f"Bearer {token}"}
    async with Client(StreamableHttpTransport(address, headers=headers)) as client:
        assert {tool.name for tool in await client.list_tools()} == {"list_notes", "write_note"}
        written = await client.call_tool("write_note", {"text": "Buy milk"})
        assert not written.is_error
        empty = await client.call_tool("write_note", {"text": " "}, raise_on_error=False)
        assert empty.is_error
        assert empty.structured_content is not None
        assert empty.structured_content["status"] == 422
    for bearer, texts in ((token, ["Buy milk"]), (other, [])):
        async with (
            httpx2.AsyncClient(headers={"authorization": f"Bearer {bearer}"}) as http,
            OfficialClient(streamable_http_client(address, http_client=http)) as official,
        ):
            listed = await official.call_tool("list_notes", {})
            assert listed.structured_content is not None
            assert [note["text"] for note in listed.structured_content["result"]] == texts


async def test_both_clients_are_rejected_at_the_example(demo: Demo):
    """Without a token and with an invalid one, neither client can list the tools."""
    address = f"{demo.app}/mcp"
    for headers in ({}, {"authorization": "Bearer junk"}):
        statuses: list[int] = []

        async def note(response: httpx2.Response, statuses: list[int] = statuses) -> None:
            statuses.append(response.status_code)

        def connect(note: Any = note, **options: Any) -> httpx2.AsyncClient:
            return httpx2.AsyncClient(headers=options.get("headers"), event_hooks={"response": [note]})

        factory: Any = connect
        with pytest.raises(Exception):  # noqa: B017, PT011 - each client has an exception of its own
            async with Client(
                StreamableHttpTransport(address, headers=headers, httpx_client_factory=factory)
            ) as client:
                await client.list_tools()
        assert statuses
        with pytest.raises(Exception):  # noqa: B017, PT011 - as above
            async with (
                connect(headers=headers) as http,
                OfficialClient(streamable_http_client(address, http_client=http)) as official,
            ):
                await official.list_tools()
        assert set(statuses) == {401}


async def test_the_example_rejects_agents_without_a_token(demo: Demo):
    """A 401 leads to metadata whose resource is app_url and the path."""
    async with httpx.AsyncClient() as http:
        refused = await http.post(f"{demo.app}/mcp", json={}, headers={"accept": "text/html"})
        assert refused.status_code == 401
        assert refused.headers["content-type"] == "application/problem+json"
        address = refused.headers["www-authenticate"].split('resource_metadata="')[1].rstrip('"')
        assert (await http.get(address)).json()["resource"] == f"{demo.app}/mcp"
