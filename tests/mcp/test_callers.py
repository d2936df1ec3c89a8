"""Nine kinds of caller at five routes: a tool answers as its route does, and no header changes who calls."""

from typing import Any

import httpx
import pytest
from fastapi import Request

from tests.mcp.desk import APP_URL, CALLERS, METADATA, ROUTES, Desk, call, call_newest, to_outcome
from tests.mcp.mixing import mix


async def test_each_tool_answers_each_caller_as_its_route():
    """With allow_unauthenticated, a tool's outcome has the code of the HTTP route's, in each revision."""
    desk = Desk()
    desk.mount(allow_unauthenticated=True)
    bearers = desk.bearers()
    assert tuple(bearers) == CALLERS
    seen = set()
    async with desk.open() as http:
        for name, bearer in bearers.items():
            headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
            for route in ROUTES:
                answer = await http.get(f"/{route}", headers=headers)
                expected = to_outcome(answer.status_code, answer.json())
                for use in (call, call_newest):
                    used = await use(http, route, headers)
                    if name in ("malformed", "expired"):
                        assert used.status_code == 401, (name, route)
                        assert used.json()["code"] == ("token_malformed" if name == "malformed" else "token_expired")
                        continue
                    assert used.status_code == 200, (name, route, used.text)
                    result = used.json()["result"]
                    content = result["structuredContent"]
                    status = content["status"] if result.get("isError") else 200
                    assert to_outcome(status, content) == expected, (name, route)
                    seen.add(expected[:1] + ((expected[1],) if expected[0] >= 400 else ()))
    assert seen == {
        (200,), (401, "authentication_required"), (401, "token_malformed"), (401, "api_key_invalid"),
        (403, "anonymous_not_allowed"), (403, "restricted_not_allowed"), (403, "permission_missing"),
    }  # fmt: skip


async def test_a_caller_is_verified_once():
    """One call of a tool verifies the token or the API key once: the route takes over who calls."""
    desk = Desk()
    seen: list[str] = []
    desk.mount()
    bearers = desk.bearers()
    kinds = ("token_verified", "api_key_verified")
    desk.stack.events.on(*kinds)(lambda event: seen.append(event.name))
    async with desk.open() as http:
        for name, event in (("permitted", "token_verified"), ("user_key", "api_key_verified")):
            seen.clear()
            tool = "robots" if name == "user_key" else "reports"
            answer = await call(http, tool, {"authorization": f"Bearer {bearers[name]}"})
            assert not answer.json()["result"].get("isError"), answer.text
            assert seen == [event], name


async def test_a_bearer_alone_is_read():
    """Cookies, API key headers and the headers of the vendor's SDKs are no credentials at an MCP server."""
    desk = Desk(sdk_cookies=True)
    desk.mount()
    token, key = desk.token(), desk.server.add_api_key(desk.add_user("ada"))
    others = [
        {"x-stack-access-token": token},
        {"x-hexclave-access-token": token},
        {"x-stack-auth": f'{{"accessToken": "{token}"}}'},
        {"x-api-key": key},
        {"cookie": f"__Host-stackauth-access={token}; __Host-stackauth-refresh=x; stack-access={token}"},
        {"authorization": f"Basic {token}"},
    ]
    async with desk.open() as http:
        for headers in others:
            answer = await call(http, "me", {**headers, "origin": APP_URL})
            assert (answer.status_code, answer.json()["code"]) == (401, "authentication_required"), headers
            assert answer.headers["www-authenticate"] == f'Bearer resource_metadata="{METADATA}"'
        twice = [("authorization", f"Bearer {desk.token()}"), ("authorization", f"Bearer {token}")]
        answer = await http.post("/mcp", json={}, headers=httpx.Headers(twice))
        assert (answer.status_code, answer.json()["code"]) == (401, "credentials_conflict")


async def test_headers_of_the_caller_change_nothing():
    """A route sees the caller's address, the host of app_url, and four headers of the MCP request."""
    desk = Desk()

    @desk.app.get("/seen", tags=["tools"], operation_id="seen")
    async def seen(request: Request) -> dict[str, Any]:
        return {"headers": dict(request.headers), "client": request.client, "url": str(request.url)}

    desk.mount(allow_unauthenticated=True)
    other = desk.token()
    spoofed = {
        "x-forwarded-for": "203.0.113.9",
        "x-forwarded-host": "evil.example",
        "forwarded": "for=203.0.113.9",
        "x-real-ip": "203.0.113.9",
        "x-api-key": desk.server.add_api_key(desk.add_user("grace")),
        "x-stack-access-token": other,
        "x-hexclave-access-token": other,
        "cookie": f"stack-access={other}",
        "host": "evil.example",
        "user-agent": "agent",
        "accept-language": "de",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    async with desk.open() as http:
        result = (await call(http, "seen", spoofed)).json()["result"]["structuredContent"]
        assert result["client"][0] == "127.0.0.1"
        assert result["url"] == f"{APP_URL}/seen"
        assert result["headers"] == {
            "host": "app.example.com",
            "accept": "application/json, text/event-stream",
            "user-agent": "agent",
            "accept-language": "de",
            "traceparent": spoofed["traceparent"],
        }
        ada = desk.token()
        mine = await call(http, "me", {**spoofed, "authorization": f"Bearer {ada}"})
        plain = await call(http, "me", {"authorization": f"Bearer {ada}"})
        assert mine.json() == plain.json()
        assert not mine.json()["result"].get("isError")


async def test_the_address_behind_trusted_proxies_travels():
    """With trusted_proxies, the route sees the end user's address, as rate limits do over HTTP."""
    desk = Desk(trusted_proxies=["127.0.0.1"])

    @desk.app.get("/address", tags=["tools"], operation_id="address")
    async def address(request: Request) -> str:
        return request.client.host if request.client else ""

    desk.mount(allow_unauthenticated=True)
    async with desk.open() as http:
        answer = await call(http, "address", {"x-forwarded-for": "198.51.100.7, 203.0.113.9"})
        assert answer.json()["result"]["structuredContent"] == {"result": "203.0.113.9"}


async def test_mixed_calls_get_no_answer_of_another_user():
    """20 users call at once; `make mcp-mix` makes 10,000 calls."""
    desk = Desk()
    desk.mount()
    await mix(desk, 1000)


@pytest.mark.parametrize("code", ["user", "user_key"])
async def test_an_outage_is_never_unauthenticated(code: str):
    """If the auth server is down, /mcp answers 503 with Retry-After, as the route does."""
    desk = Desk()
    desk.mount()
    bearer = desk.bearers()[code]
    desk.line.cut = True
    async with desk.open() as http:
        answer = await call(http, "robots", {"authorization": f"Bearer {bearer}"})
    assert (answer.status_code, answer.json()["code"]) == (503, "verification_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert "www-authenticate" not in answer.headers


async def test_an_outage_within_a_call_is_a_retryable_error():
    """A requirement that cannot be checked is a tool error 503 that says when to try again."""
    desk = Desk()
    desk.mount()
    token = desk.bearers()["permitted"]
    async with desk.open():
        assert not (await desk.use(token, "me")).is_error  # the keys are known now
        desk.line.cut = True
        result = await desk.use(token, "reports")
    assert result.is_error
    assert (result.structured_content["status"], result.structured_content["retryable"]) == (503, True)
    assert result.structured_content["code"] in ("verification_unavailable", "auth_server_unavailable")
    assert result.structured_content["retry_after"] >= 1


async def test_revoked_users_are_rejected():
    """A user whose tokens are revoked is 401 at /mcp, with a token and with an API key."""
    desk = Desk()
    desk.mount()
    user = desk.add_user("ada")
    bearers = [desk.token(user_id=user), desk.server.add_api_key(user)]
    async with desk.open() as http:
        for bearer in bearers:
            assert (await call(http, "robots", {"authorization": f"Bearer {bearer}"})).status_code == 200
        await desk.stack.revocations.revoke_user(user)
        for bearer in bearers:
            answer = await call(http, "robots", {"authorization": f"Bearer {bearer}"})
            assert (answer.status_code, answer.json()["code"]) == (401, "user_deleted")


async def test_without_a_secret_key_an_api_key_is_401():
    """A caller's key makes no 500 of an app that accepts no keys."""
    desk = Desk(secret_server_key=None)
    desk.mount()
    async with desk.open() as http:
        answer = await call(http, "me", {"authorization": f"Bearer {desk.server.add_api_key(desk.add_user('ada'))}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "api_key_invalid")
