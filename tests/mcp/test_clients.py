"""The official client and FastMCP's, unchanged: list, call, be rejected, read the metadata."""

import subprocess
import sys

import httpx
import httpx2
import pytest
from mcp.shared.auth import ProtectedResourceMetadata

from fastapi_stackauth import ConfigurationError
from tests.mcp.desk import METADATA, Desk


async def test_the_official_client_lists_and_calls():
    """It lists the tools and calls them as the user of its token."""
    desk = Desk()
    desk.mount()
    user = desk.add_user("ada")
    async with desk.open(), desk.official_agent(desk.token(user_id=user)) as client:
        listed = await client.list_tools()
        assert {tool.name for tool in listed.tools} == {"hello", "me", "reports", "robots"}
        result = await client.call_tool("me", {})
        assert (result.is_error, result.structured_content) == (False, {"result": user})
        refused = await client.call_tool("reports", {})
        assert refused.is_error
        assert refused.structured_content is not None
        assert refused.structured_content["code"] == "permission_missing"


async def test_both_clients_are_rejected_without_a_token():
    """A client without a credential gets 401 before it can list anything."""
    desk = Desk()
    desk.mount()
    async with desk.open():
        with pytest.raises(Exception):  # noqa: B017, PT011 - each client has an exception of its own
            async with desk.agent() as agent:
                await agent.list_tools()
        assert desk.statuses
        with pytest.raises(Exception):  # noqa: B017, PT011 - as above
            async with desk.official_agent() as client:
                await client.list_tools()
    assert set(desk.statuses) == {401}


async def test_the_official_model_reads_the_metadata():
    """The document fits the model with which the official client discovers authorization servers."""
    desk = Desk(authorization_servers=["https://login.example.com"])
    desk.mount()
    async with desk.open() as http:
        assert isinstance(http, httpx.AsyncClient)
        refused = await http.post("/mcp", json={})
        address = refused.headers["www-authenticate"].split('resource_metadata="')[1].rstrip('"')
        assert address == METADATA
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(desk.app)) as client:
            document = ProtectedResourceMetadata.model_validate((await client.get(address)).json())
    assert str(document.resource) == "https://app.example.com/mcp"
    assert [str(each).rstrip("/") for each in document.authorization_servers] == ["https://login.example.com"]


def test_an_app_without_tools_never_imports_fastmcp():
    """The extra costs an app nothing that does not use it."""
    code = (
        "import sys, fastapi, fastapi_stackauth; app = fastapi.FastAPI(); fastapi_stackauth.StackAuth().install(app); "
        "app.openapi(); sys.exit(any(name in sys.modules for name in ('fastmcp', 'mcp', 'httpx2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch):
    """`mount_mcp` says what to install."""
    monkeypatch.setattr("fastapi_stackauth.mcp.mounting.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"fastapi-stackauth\[mcp\]"):
        Desk().mount()
