"""Discovery and the checks before FastMCP: RFC 9728, and what the MCP specification demands of a resource server."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastapi_stackauth import ConfigurationError, StackAuth
from tests.mcp.desk import APP_URL, METADATA, Desk, call, rpc

WELL_KNOWN = "/.well-known/oauth-protected-resource/mcp"


async def test_the_metadata_names_the_resource():
    """The document stands at the well-known path of the host, and `resource` is app_url and the path."""
    desk = Desk()
    desk.mount()
    async with desk.open() as http:
        answer = await http.get(WELL_KNOWN, headers={"host": "evil.example", "x-forwarded-host": "evil.example"})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.json() == {
            "resource": f"{APP_URL}/mcp",
            "authorization_servers": ["https://login.example.com/oidc"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Desk",
        }
        assert (await http.post(WELL_KNOWN)).status_code == 405
        assert (await http.head(WELL_KNOWN)).status_code == 200


async def test_clients_in_browsers_can_read_the_metadata():
    """They send the revision of the protocol, so the browser asks first."""
    desk = Desk()
    desk.mount()
    asked = {
        "origin": "https://inspector.example",
        "access-control-request-method": "GET",
        "access-control-request-headers": "mcp-protocol-version",
    }
    async with desk.open() as http:
        answer = await http.options(WELL_KNOWN, headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "mcp-protocol-version"


async def test_without_authorization_servers_the_member_is_absent():
    """RFC 9728 §3.2: members without a value are left out."""
    desk = Desk(authorization_servers=[])
    desk.mount()
    async with desk.open() as http:
        assert "authorization_servers" not in (await http.get(WELL_KNOWN)).json()


async def test_a_second_server_has_metadata_of_its_own():
    """Each MCP server has its own identifier."""
    desk = Desk()
    desk.mount()
    desk.stack.mount_mcp(desk.app, "/agents/mcp", include_operations={"hello"})
    async with desk.open() as http:
        other = await http.get("/.well-known/oauth-protected-resource/agents/mcp")
        assert other.json()["resource"] == f"{APP_URL}/agents/mcp"
        refused = await http.post("/agents/mcp", json={})
        assert f'"{APP_URL}/.well-known/oauth-protected-resource/agents/mcp"' in refused.headers["www-authenticate"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
async def test_a_401_names_the_metadata(method: str):
    """RFC 9728 §5.1, for every method."""
    desk = Desk()
    desk.mount()
    async with desk.open() as http:
        none = await http.request(method, "/mcp")
        wrong = await http.request(method, "/mcp", headers={"authorization": "Bearer junk"})
    assert (none.status_code, none.headers["www-authenticate"]) == (401, f'Bearer resource_metadata="{METADATA}"')
    expected = f'Bearer error="invalid_token", resource_metadata="{METADATA}"'
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, expected)


async def test_a_token_in_the_query_is_not_read():
    """The MCP specification forbids access tokens in the query string."""
    desk = Desk()
    desk.mount()
    async with desk.open() as http:
        answer = await http.post(f"/mcp?access_token={desk.token()}", json=rpc("tools/list"))
    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_required")


async def test_each_request_needs_the_token():
    """There are no sessions: what one request may do says nothing of the next."""
    desk = Desk()
    desk.mount()
    async with desk.open() as http:
        first = await call(http, "me", {"authorization": f"Bearer {desk.token()}"})
        assert first.status_code == 200
        assert "mcp-session-id" not in first.headers
        again = await call(http, "me", {"mcp-session-id": "x"})
        assert again.status_code == 401


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        (APP_URL, 200),
        ("https://trusted.example", 200),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://app.example.com", 403),
    ],
)
async def test_pages_of_other_origins_are_rejected(origin: str | None, status: int):
    """DNS rebinding: the Origin decides, whatever the Host header is."""
    desk = Desk(trusted_origins=["https://trusted.example"])
    desk.mount()
    headers = {"authorization": f"Bearer {desk.token()}", **({"origin": origin} if origin else {})}
    async with desk.open() as http:
        answer = await call(http, "me", {**headers, "host": "evil.example"})
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "cross_site_request"


async def test_a_token_of_another_project_is_401():
    """A token that another project's server has signed is not accepted."""
    desk, other = Desk(), Desk()
    desk.mount()
    async with desk.open() as http:
        answer = await call(http, "me", {"authorization": f"Bearer {other.token()}"})
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_the_token_reaches_no_log_and_no_answer(caplog: pytest.LogCaptureFixture):
    """Tokens and keys stay inside, for accepted and rejected callers."""
    caplog.set_level("DEBUG")
    desk = Desk()
    desk.mount()
    bearers = [each for each in desk.bearers().values() if each and each != "not-a-token"]
    async with desk.open() as http:
        for bearer in bearers:
            answer = await call(http, "reports", {"authorization": f"Bearer {bearer}"})
            assert bearer not in answer.text + str(answer.headers)
    assert not any(bearer in caplog.text for bearer in bearers)


async def test_a_body_that_is_too_large_is_413():
    """The size of a request is bounded, with and without a Content-Length."""
    desk = Desk()
    desk.mount()
    headers = {"authorization": f"Bearer {desk.token()}", "content-type": "application/json"}

    async def chunks() -> Any:
        for _ in range(11):
            yield b" " * 100_000

    async with desk.open() as http:
        for content in (b" " * 1_000_001, chunks()):
            answer = await http.post("/mcp", content=content, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    "value",
    ["http://login.example.com", "login.example.com", "https://a.example/?x=1", "https://a.example/#x",
     "https://user:pw@a.example", "ftp://a.example"],
)  # fmt: skip
def test_an_issuer_must_be_an_https_address(value: str):
    """RFC 8414 §2: an issuer has no query and no fragment, and http is only allowed on loopback."""
    with pytest.raises(ConfigurationError, match="authorization_servers"):
        StackAuth(authorization_servers=[value])


def test_an_issuer_on_loopback_may_be_http():
    """For development."""
    stack = StackAuth(authorization_servers=["http://localhost:9000/oidc"])
    assert stack.settings.authorization_servers == ("http://localhost:9000/oidc",)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.one_of(
    st.binary(max_size=60),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.builds(
        lambda method, params: json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode(),
        st.sampled_from(["tools/call", "tools/list", "initialize", "ping", "resources/list", "prompts/get"]),
        JSON,
    ),
    st.builds(
        lambda arguments: json.dumps(rpc("tools/call", {"name": "greet", "arguments": arguments})).encode(),
        st.dictionaries(st.sampled_from(["name", "count", "x-word", "other"]), JSON),
    ),
    st.just(b"[" * 100_000),
    st.just(b'{"a":' * 50_000),
)


async def test_no_message_makes_a_500():
    """Any bytes, any JSON and any arguments end in an error of the protocol, or in a tool error below 500."""
    desk = Desk()

    @desk.app.get("/greet/{name}", operation_id="greet")
    async def greet(name: str, count: int = 1) -> str:
        return name * min(max(count, 0), 3)

    desk.mount(include_operations={"greet"})
    headers = {
        "authorization": f"Bearer {desk.token()}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
    }
    messages: list[bytes] = []

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(MESSAGES)
    def collect(message: bytes) -> None:
        messages.append(message)

    collect()
    async with desk.open() as http:
        for message in messages:
            answer = await http.post("/mcp", content=message, headers=headers)
            assert answer.status_code < 500, message[:200]
            result = answer.json().get("result", {}) if answer.content else {}
            status = (result.get("structuredContent") or {}).get("status", 200)
            assert status < 500, message[:200]


@settings(max_examples=80, deadline=None, database=None)
@given(st.binary(max_size=80))
def test_any_bearer_is_a_401(value: bytes):
    """Whatever stands in the Authorization header, it is rejected with a challenge, and nothing raises."""
    import asyncio

    from fastapi_stackauth.errors import AuthError
    from fastapi_stackauth.mcp.caller import identify

    scope = {"headers": [(b"authorization", b"Bearer " + value)]}
    with pytest.raises(AuthError) as raised:
        asyncio.run(identify(scope, PLAIN.services))
    assert raised.value.status_code == 401


PLAIN = StackAuth(project_id="11111111-1111-4111-8111-111111111111", app_url=APP_URL)
