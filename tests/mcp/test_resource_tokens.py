"""Tokens that an authorization server has bound to an MCP server: good for its tools alone, with its user's rights."""

import asyncio
import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

import httpx
import httpx2
import pytest
from fastapi import Depends
from fastmcp import FastMCP
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.client import Client as OfficialClient
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from fastapi_stackauth import (
    AccessToken,
    AuthError,
    ConfigurationError,
    CurrentProfile,
    CurrentTeam,
    CurrentUser,
    Require,
    StackAuth,
    User,
)
from fastapi_stackauth.access.accounts import Accounts
from fastapi_stackauth.mcp import ResourceTokens, StackAuthProvider, get_current_user
from fastapi_stackauth.testing import override_user
from fastapi_stackauth.verification.resource_tokens import check_binding
from tests.client.fakes import FakeServer, json_response, make_client
from tests.mcp.authority import ACCEPTED, ISSUER, RESOURCE, Authority, Web, open_desk, remove_signature
from tests.mcp.desk import APP_URL, METADATA, ROUTES, Desk, call, to_outcome
from tests.support.forge import ABSENT, Signer, b64, segment

OTHER = f"{APP_URL}/other/mcp"


def bearer(token: str) -> dict[str, str]:
    """The header with a token."""
    return {"authorization": f"Bearer {token}"}


async def use(http: httpx.AsyncClient, tool: str, token: str, **arguments: Any) -> tuple[int, Any]:
    """The outcome of a call: of the server if it rejects the token, else of the route."""
    answer = await call(http, tool, bearer(token), **arguments)
    if answer.status_code != 200:
        return answer.status_code, answer.json()["code"]
    result = answer.json()["result"]
    content = result["structuredContent"]
    return to_outcome(content["status"] if result.get("isError") else 200, content)


def bad_tokens(desk: Desk, authority: Authority, user: str) -> dict[str, tuple[str, str]]:
    """Tokens that are not good for this server, and the code of each."""
    signer, good = authority.signer, authority.token(user)
    claims = authority.claims(user)
    stranger = Signer(signer.key_id)
    hs256 = f"{segment(signer.header(alg='HS256'))}.{segment(claims)}"
    mac = b64(hmac.new(signer.pem, hs256.encode(), "sha256").digest())
    bound = {"iss": ISSUER, "resource": RESOURCE}
    anchor = authority.claim
    return {
        "for another resource": (authority.token(user, **{anchor: OTHER}), "token_audience_not_allowed"),
        "for several": (authority.token(user, aud=[RESOURCE, OTHER]), "token_audience_not_allowed"),
        "for none": (authority.token(user, **{anchor: ABSENT}), "token_audience_not_allowed"),
        "aud and resource differ": (
            authority.token(user, aud=OTHER, resource=RESOURCE),
            "token_audience_not_allowed",
        ),
        "for the project": (
            authority.token(user, **{anchor: desk.server.project_id}),
            "token_audience_not_allowed",
        ),
        "an ID token": (authority.token(user, **{anchor: "an-agent"}), "token_audience_not_allowed"),
        "expired": (authority.token(user, exp=int(authority.now()) - 6), "token_expired"),
        "not yet valid": (authority.token(user, nbf=int(authority.now()) + 60), "token_not_yet_valid"),
        "without exp": (authority.token(user, exp=ABSENT), "token_claims_missing"),
        "exp no time": (authority.token(user, exp="9"), "token_malformed"),
        "exp beyond time": (authority.token(user, exp=2**60), "token_malformed"),
        "another issuer": (authority.token(user, iss="https://evil.example/oidc"), "token_key_unknown"),
        "issuer with a slash": (authority.token(user, iss=ISSUER + "/"), "token_key_unknown"),
        "without an issuer": (authority.token(user, iss=ABSENT), "token_key_unknown"),
        "a foreign key": (stranger.compact(signer.header(), claims), "token_signature_invalid"),
        "an unknown key": (Signer("authority-2").compact({"alg": "ES256", "kid": "x"}, claims), "token_key_unknown"),
        "the project's key": (desk.token(user_id=user, claims=bound), "token_key_unknown"),
        "the project's, bound": (
            desk.token(user_id=user, claims={"aud": RESOURCE}),
            "token_key_unknown",
        ),
        "HMAC with the public key": (f"{hs256}.{mac}", "token_algorithm_not_allowed"),
        "alg none": (remove_signature(good, {"alg": "none", "kid": signer.key_id}), "token_algorithm_not_allowed"),
        "a key in the header": (
            stranger.compact(signer.header(jwk=stranger.jwk, kid="own"), claims),
            "token_key_unknown",
        ),
        "critical": (signer.compact(signer.header(crit=["b64"], b64=True), claims), "token_malformed"),
        "a logout token": (signer.compact(signer.header(typ="logout+jwt"), claims), "token_malformed"),
        "typ no text": (signer.compact(signer.header(typ=["at+jwt"]), claims), "token_malformed"),
        "sub me": (authority.token("me"), "token_malformed"),
        "sub a path": (authority.token(f"{user}/../{user}"), "token_malformed"),
        "a stranger": (authority.token("00000000-0000-4000-8000-000000000000"), "user_deleted"),
    }


@pytest.mark.parametrize("claim", ["aud", "resource"])
async def test_a_bound_token_has_the_rights_of_its_user(claim: str):
    """Six kinds of users at five routes; at the HTTP routes the same token is no credential."""
    desk, authority = open_desk(claim=claim)
    desk.mount(resource_tokens=ACCEPTED, allow_unauthenticated=True)
    desk.server.seed({"permissions": [{"id": "reports:read", "scope": "project"}]})
    ada, may = desk.add_user("ada"), desk.add_user("may", permissions=["reports:read"])
    anonymous = desk.server.issue_token(kind="anonymous")["user_id"]
    restricted = desk.server.issue_token(kind="restricted")["user_id"]
    no_key = (401, "authentication_required")
    missing, strange = (403, "permission_missing"), (200, "stranger")
    expected = {
        ada: [(200, ada), (200, ada), missing, (200, ada), no_key],
        may: [(200, may), (200, may), (200, may), (200, may), no_key],
        anonymous: [strange, *[(403, "anonymous_not_allowed")] * 3, no_key],
        restricted: [strange, *[(403, "restricted_not_allowed")] * 3, no_key],
    }
    async with desk.open() as http:
        for user, outcomes in expected.items():
            token = authority.token(user)
            assert [await use(http, route, token) for route in ROUTES] == outcomes
            for route in ROUTES:
                answer = await http.get(f"/{route}", headers=bearer(token))
                wanted = strange if route == "hello" else (401,)
                got = to_outcome(answer.status_code, answer.json())
                assert got[: len(wanted)] == wanted, route
        ordinary = await http.get("/me", headers=bearer(desk.token(user_id=ada)))
        assert (ordinary.status_code, ordinary.json()) == (200, ada)
        assert await use(http, "me", desk.token(user_id=ada)) == (200, ada)
        assert await use(http, "robots", desk.server.add_api_key(ada)) == (200, ada)
    assert authority.fetches == 1


@pytest.mark.parametrize("claim", ["aud", "resource"])
async def test_what_is_not_bound_to_this_server_is_401(claim: str):
    """Every forged, foreign, expired and unbound token is rejected at every tool, with the metadata."""
    desk, authority = open_desk(claim=claim)
    desk.mount(resource_tokens=ACCEPTED, allow_unauthenticated=True)
    user = desk.add_user("ada")
    async with desk.open() as http:
        assert await use(http, "me", authority.token(user)) == (200, user)
        for name, (token, code) in bad_tokens(desk, authority, user).items():
            for route in ROUTES:
                answer = await call(http, route, bearer(token))
                assert (answer.status_code, answer.json()["code"]) == (401, code), (name, route)
                challenge = answer.headers["www-authenticate"]
                assert challenge == f'Bearer error="invalid_token", resource_metadata="{METADATA}"', name
            plain = await http.get("/me", headers=bearer(token))
            assert plain.status_code == 401, name
    assert authority.fetches == 2  # an unknown key id causes one fetch in 30 s


async def test_form_then_signature_then_binding_then_time():
    """The first check that fails decides, so that an unsigned token learns nothing of what this server accepts."""
    desk, authority = open_desk()
    desk.mount(resource_tokens=ACCEPTED)
    signer, stranger = authority.signer, Signer(authority.signer.key_id)
    claims = authority.claims("me", aud=OTHER, exp=1, iat=1)
    right_sub = {**claims, "sub": desk.add_user("ada")}
    rows = [
        (stranger.compact(signer.header(typ="x"), claims), "token_malformed"),
        (stranger.compact(signer.header(), claims), "token_signature_invalid"),
        (signer.compact(signer.header(), claims), "token_malformed"),
        (signer.compact(signer.header(), right_sub), "token_audience_not_allowed"),
        (signer.compact(signer.header(), {**right_sub, "aud": RESOURCE}), "token_expired"),
    ]
    async with desk.open() as http:
        assert [await use(http, "me", token) for token, _ in rows] == [(401, code) for _, code in rows]


async def test_access_tokens_may_have_any_type_that_says_so():
    """The type of RFC 9068, in both forms and any case, `JWT`, and none at all."""
    desk, authority = open_desk()
    desk.mount(resource_tokens=ACCEPTED)
    user = desk.add_user("ada")
    async with desk.open() as http:
        for name in ("at+jwt", "application/at+jwt", "AT+JWT", "JWT", "jwt", ABSENT):
            token = authority.signer.compact(authority.signer.header(typ=name), authority.claims(user))
            assert await use(http, "me", token) == (200, user), name


async def test_a_rotated_key_is_fetched():
    """A token of a key that is new at the authorization server is accepted."""
    desk, authority = open_desk()
    desk.mount(resource_tokens=ACCEPTED)
    user = desk.add_user("ada")
    async with desk.open() as http:
        old = authority.token(user)
        assert await use(http, "me", old) == (200, user)
        authority.signer = Signer("authority-2")
        assert await use(http, "me", authority.token(user)) == (200, user)
        assert await use(http, "me", old) == (401, "token_key_unknown")


async def test_a_route_of_another_stack_gets_no_bound_token():
    """At a route that another `StackAuth` guards, such a caller has not signed in, and its auth server is not asked."""
    desk, authority = open_desk()
    elsewhere = Desk()
    second = StackAuth(
        project_id=elsewhere.server.project_id, base_url=elsewhere.server.url, transport=elsewhere.line, cookie_name="b"
    )
    second.install(desk.app, default=False)
    elsewhere.line.cut = True
    strangers = Require(stack=second)

    @desk.app.get("/second", operation_id="second")
    async def read_second(user: Annotated[User, Depends(strangers)]) -> str:
        return user.id

    desk.mount(include_operations={"second"}, resource_tokens=ACCEPTED)
    async with desk.open() as http:
        assert await use(http, "second", authority.token(desk.add_user("ada"))) == (401, "authentication_required")


async def test_without_the_option_bound_tokens_are_401():
    """It is off by default, here and at another server of the same app."""
    desk, authority = open_desk(authorization_servers=[])
    desk.mount(resource_tokens=ACCEPTED)
    desk.stack.mount_mcp(desk.app, "/other/mcp", include_tags={"tools"})
    token = authority.token(desk.add_user("ada"), aud=OTHER)
    async with desk.open() as http:
        answer = await http.post("/other/mcp", json={}, headers=bearer(token))
        assert (answer.status_code, answer.json()["code"]) == (401, "token_key_unknown")
        assert "authorization_servers" not in (await http.get(METADATA.replace("/mcp", "/other/mcp"))).json()
    assert authority.fetches == 0


async def test_two_servers_take_their_own_tokens_alone():
    """A token for one MCP server is 401 at the other, also if both accept the same authorization server."""
    desk, authority = open_desk()
    desk.mount(resource_tokens=ACCEPTED)
    desk.stack.mount_mcp(desk.app, "/other/mcp", include_tags={"tools"}, resource_tokens=ACCEPTED)
    user = desk.add_user("ada")
    async with desk.open() as http:
        for path, other in (("/mcp", "/other/mcp"), ("/other/mcp", "/mcp")):
            token = authority.token(user, aud=APP_URL + path)
            accept = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
            statuses = [
                (await http.post(each, json=body, headers={**accept, **bearer(token)})).status_code
                for each in (path, other)
            ]
            assert statuses == [200, 401]
    assert authority.fetches == 1


async def test_resources_are_compared_as_addresses():
    """Case of scheme and host, a default port and a slash at the end make no difference; anything else does."""
    same = [RESOURCE, RESOURCE + "/", "HTTPS://APP.example.com/mcp", "https://app.example.com:443/mcp", [RESOURCE]]
    others: list[Any] = [
        "https://app.example.com/MCP", "https://app.example.com/mcp/x", "https://app.example.com", "/mcp", "mcp", "",
        "http://app.example.com/mcp", "https://app.example.com:8443/mcp", f"{RESOURCE}?x=1", f"{RESOURCE}#x",
        "https://u@app.example.com/mcp", "https://app.example.com.evil.example/mcp", f" {RESOURCE}", f"{RESOURCE}\n",
        "https://app.example.com/./mcp", "https://app.example.com//mcp", "https://app.example.com/%6dcp", 1, True,
        [], [RESOURCE, RESOURCE], [[RESOURCE]], {"a": RESOURCE}, "https://[/mcp", "https://app.example.com:x/mcp",
    ]  # fmt: skip
    failed = []
    for name in ("aud", "resource"):
        for values, accepted in ((same, True), (others, False)):
            for value in values:
                claims = {"sub": "0" * 8 + "-0000-4000-8000-" + "0" * 12, "iss": ISSUER, "exp": 1, "iat": 1}
                errors = [error for _, error in check_binding({**claims, name: value}, RESOURCE) if error]
                if bool(errors) is accepted or any(each.code != "token_audience_not_allowed" for each in errors):
                    failed.append((name, value))
    assert failed == []


async def test_what_a_bound_token_cannot_prove_is_rejected():
    """It has no session and is no access token of the project: such dependencies reject it and hide their tools."""
    desk, authority = open_desk()
    live, recent = Require(live=True), Require(max_age=timedelta(minutes=5))

    @desk.app.get("/live", operation_id="live")
    async def still_there(user: Annotated[User, Depends(live)]) -> str:
        return user.id

    @desk.app.get("/recent", operation_id="recent")
    async def just_signed_in(user: Annotated[User, Depends(recent)]) -> str:
        return user.id

    @desk.app.get("/token", operation_id="token")
    async def token_of_the_user(token: AccessToken) -> str:
        return token.get_secret_value()

    @desk.app.get("/profile", operation_id="profile")
    async def profile_of_the_user(profile: CurrentProfile) -> str:
        return profile.id

    @desk.app.get("/teams/{team_id}", operation_id="by_team")
    async def team_of_the_user(team: CurrentTeam) -> str:
        return team.id

    chosen = {"live", "recent", "token", "profile", "by_team"}
    desk.mount(include_operations=chosen, resource_tokens=ACCEPTED)
    user = desk.add_user("ada")
    team, foreign = desk.server.add_team("Red"), desk.server.add_team("Blue")
    await desk.stack.client.as_server().team_members.add(team, user)
    token = authority.token(user)
    async with desk.open() as http:
        outcomes = {tool: await use(http, tool, token) for tool in ("live", "recent", "token", "profile")}
        assert outcomes == {
            "live": (401, "session_revoked"),
            "recent": (401, "reauthentication_required"),
            "token": (401, "authentication_required"),
            "profile": (401, "authentication_required"),
        }
        assert await use(http, "by_team", token, team_id=team) == (200, team)
        assert await use(http, "by_team", token, team_id=foreign) == (403, "permission_missing")
        async with desk.agent(token) as agent:
            assert {tool.name for tool in await agent.list_tools()} == {"hello", "me", "reports", "robots", "by_team"}
        async with desk.agent(desk.token(user_id=user)) as agent:
            assert chosen <= {tool.name for tool in await agent.list_tools()}


async def test_every_requirement_is_checked_for_a_bound_token():
    """Verified email, two-factor authentication and permissions are those that the auth server has now."""
    desk, authority = open_desk(authorization_ttl=0)
    desk.server.seed({"permissions": [{"id": "posts:delete", "scope": "team"}]})
    for name, require in {
        "verified": Require(verified_email=True),
        "second": Require(mfa=True),
        "member": Require(team_member="query:team"),
        "deleter": Require(team_permission="posts:delete", team="query:team"),
    }.items():

        def route(user: Annotated[User, Depends(require)]) -> str:
            return user.id

        desk.app.get(f"/{name}", operation_id=name)(route)
    desk.mount(include_operations={"verified", "second", "member", "deleter"}, resource_tokens=ACCEPTED)
    user = desk.add_user("ada")
    plain = desk.server.add_user(primary_email="new@example.com")
    team = desk.server.add_team("Red")
    await desk.stack.client.as_server().team_members.add(team, user)
    async with desk.open() as http:
        token = authority.token(user)
        assert await use(http, "verified", token) == (200, user)
        assert (await use(http, "verified", authority.token(plain)))[0] == 403
        assert await use(http, "second", token) == (403, "mfa_enrollment_required")
        assert await use(http, "member", token, team=team) == (200, user)
        assert await use(http, "member", token, team=desk.server.add_team("Blue")) == (403, "permission_missing")
        assert await use(http, "deleter", token, team=team) == (403, "permission_missing")


async def test_revoked_users_are_rejected_with_bound_tokens():
    """A revoked user is 401; a deleted one, and one who is restricted now, are seen once the cache has expired."""
    desk, authority = open_desk(authorization_ttl=10)
    desk.mount(resource_tokens=ACCEPTED)
    ada, grace, may = desk.add_user("ada"), desk.add_user("grace"), desk.add_user("may")
    server = desk.stack.client.as_server()
    async with desk.open() as http:
        for user in (ada, grace, may):
            assert await use(http, "me", authority.token(user)) == (200, user)
        await desk.stack.revocations.revoke_user(ada)
        assert await use(http, "me", authority.token(ada)) == (401, "user_deleted")
        assert await use(http, "me", authority.token(ada.upper())) == (401, "user_deleted")
        await server.users.delete(grace)
        assert await use(http, "me", authority.token(grace)) == (200, grace)
        desk.server.clock.advance(10)
        assert await use(http, "me", authority.token(grace)) == (401, "user_deleted")
        assert await use(http, "me", authority.token(may)) == (200, may)  # in the cache from here on
        await server.users.delete(may)
        await desk.stack.revocations.forget(user_id=may.upper())
        assert await use(http, "me", authority.token(may)) == (401, "user_deleted")


async def test_the_auth_server_must_name_the_same_user():
    """If it returns another account for an id, the token is rejected."""
    user, other = ("03a496f3-cc6f-45e9-81f8-a453f01d20e6", "2ef7535a-ad34-4570-a115-4390e8446d37")
    server = FakeServer([json_response({"id": other})])
    client = make_client(server, secret_server_key="ssk_1")
    with pytest.raises(AuthError, match="no longer exists"):
        await Accounts(client.settings, client).get(user)
    assert server.last.path.endswith(user)


async def test_outages_are_503_with_bound_tokens():
    """If the keys or the user cannot be fetched, the answer says when to try again, and names no 401."""
    for cut in ("keys", "user"):
        desk, authority = open_desk()
        desk.mount(resource_tokens=ACCEPTED)
        token = authority.token(desk.add_user("ada"))
        authority.cut, desk.line.cut = cut == "keys", cut == "user"
        async with desk.open() as http:
            answer = await call(http, "me", bearer(token))
            assert (answer.status_code, answer.json()["code"]) == (503, "verification_unavailable"), cut
            assert int(answer.headers["retry-after"]) >= 1
            assert "www-authenticate" not in answer.headers


async def test_known_keys_outlast_an_outage():
    """While the authorization server is down, its known keys go on verifying tokens."""
    desk, authority = open_desk()
    desk.mount(resource_tokens=ACCEPTED)
    user = desk.add_user("ada")
    async with desk.open() as http:
        assert await use(http, "me", authority.token(user)) == (200, user)
        authority.cut = True
        assert await use(http, "me", authority.token(user)) == (200, user)
    assert authority.fetches == 1


async def test_the_clock_of_an_authorization_server_counts_not():
    """What it says of the time is not taken for the auth server's time, by which clock skew is reported."""
    desk, authority = open_desk()
    await desk.stack.client.keys.fetch(url=ACCEPTED.keys_address)
    assert authority.fetches == 1
    assert desk.stack.client.server_time is None


async def test_requests_at_once_share_one_fetch_of_keys():
    """Many first requests at once fetch the keys, and the user, once."""
    desk, authority = open_desk()
    desk.mount(resource_tokens=ACCEPTED)
    user = desk.add_user("ada")
    async with desk.open() as http:
        outcomes = await asyncio.gather(*(use(http, "me", authority.token(user)) for _ in range(20)))
    assert outcomes == [(200, user)] * 20
    assert authority.fetches == 1


async def test_fixed_keys_of_the_project_verify_no_bound_token():
    """With the setting `jwks`, the keys of the authorization server are still fetched from there."""
    project = Signer("authority-1")
    desk, authority = open_desk(jwks={"keys": [project.jwk]})
    desk.mount(resource_tokens=ACCEPTED)
    user = desk.add_user("ada")
    async with desk.open() as http:
        assert await use(http, "me", authority.token(user)) == (200, user)
        forged = project.compact(project.header(), authority.claims(user))
        assert await use(http, "me", forged) == (401, "token_signature_invalid")


async def test_an_unrelated_override_keeps_the_caller():
    """An override of another dependency keeps the caller of a bound token; one of `current_user` replaces them."""
    desk, authority = open_desk()

    def database() -> str:
        return "real"

    @desk.app.get("/rows", operation_id="rows")
    async def rows(user: CurrentUser, found: Annotated[str, Depends(database)]) -> str:
        return f"{user.id} {found}"

    desk.mount(include_operations={"rows"}, resource_tokens=ACCEPTED)
    user = desk.add_user("ada")
    desk.app.dependency_overrides[database] = lambda: "fake"
    async with desk.open() as http:
        assert await use(http, "rows", authority.token(user)) == (200, f"{user} fake")
        assert (await use(http, "reports", authority.token(user)))[0] == 403
        with override_user(desk.app, User(id="ada")):
            assert await use(http, "rows", authority.token(user)) == (200, "ada fake")


async def test_the_claims_of_a_bound_token_are_those_of_the_user():
    """Scopes grant nothing, and an app may read them; the state of the request holds no token."""
    desk, authority = open_desk()

    @desk.app.get("/claims", operation_id="claims")
    async def claims(user: CurrentUser) -> dict[str, Any]:
        expires = user.expires_at.timestamp() if user.expires_at else None
        return {"claims": dict(user.claims), "expires": expires, "session": user.session_id, "email": user.email}

    desk.mount(include_operations={"claims"}, resource_tokens=ACCEPTED)
    user = desk.add_user("ada")
    given = authority.claims(user, scope="")
    token = authority.signer.compact(authority.signer.header(), given)
    async with desk.open() as http:
        answer = (await call(http, "claims", bearer(token))).json()["result"]["structuredContent"]
    assert answer == {"claims": given, "expires": given["exp"], "session": None, "email": "ada@example.com"}


async def test_a_bound_token_reaches_no_route_and_no_log(caplog: pytest.LogCaptureFixture):
    """Neither the scope of the route nor a log line nor a call to the auth server has it."""
    caplog.set_level("DEBUG")
    desk, authority = open_desk()
    seen: list[Any] = []

    class Recording:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope.get("path") == "/me":
                seen.append(scope)
            await self.app(scope, receive, send)

    desk.app.add_middleware(Recording)
    desk.mount(resource_tokens=ACCEPTED)
    user = desk.add_user("ada")
    token = authority.token(user)
    async with desk.open() as http:
        assert await use(http, "me", token) == (200, user)
        bad = authority.token(user, aud=OTHER)
        assert (await use(http, "me", bad))[0] == 401
    assert seen
    assert not any(token in str(scope) or scope["state"]["credential"] for scope in seen)
    assert seen[0]["fastapi_stackauth"].caller.credential is None
    assert not any(each in caplog.text for each in (token, bad))


# --- clients -----------------------------------------------------------------------------------------------


async def test_both_clients_use_tools_with_a_bound_token():
    """FastMCP's client and the official one list the tools and call them as the user of the token."""
    desk, authority = open_desk()
    desk.mount(resource_tokens=ACCEPTED)
    user = desk.add_user("ada")
    token = authority.token(user)
    async with desk.open():
        async with desk.agent(token) as agent:
            assert {tool.name for tool in await agent.list_tools()} == {"hello", "me", "reports", "robots"}
            assert (await agent.call_tool("me")).structured_content == {"result": user}
        async with desk.official_agent(token) as official:
            assert len((await official.list_tools()).tools) == 4
            assert (await official.call_tool("me", {})).structured_content == {"result": user}


class Memory(TokenStorage):
    """Keeps what a client has got."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


async def test_the_official_client_signs_in_by_discovery():
    """From the 401 alone it finds the authorization server, registers, gets a bound token and calls a tool."""
    desk, authority = open_desk()
    desk.mount(resource_tokens=ACCEPTED)
    authority.user = desk.add_user("ada")
    web, back = Web(desk, authority), dict[str, str]()

    async def visit(address: str) -> None:
        async with httpx2.AsyncClient(transport=web) as browser:
            location = (await browser.get(address)).headers["location"]
            back.update(httpx.QueryParams(location.partition("?")[2]))

    async def come_back() -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code=back["code"], state=back["state"], iss=back["iss"])

    storage = Memory()
    redirect = AnyUrl("http://localhost:3030/callback")
    metadata = OAuthClientMetadata(redirect_uris=[redirect], token_endpoint_auth_method="none")
    oauth = OAuthClientProvider(RESOURCE, metadata, storage, visit, come_back)
    async with (
        desk.open(),
        httpx2.AsyncClient(transport=web, auth=oauth) as http,
        OfficialClient(streamable_http_client(RESOURCE, http_client=http)) as client,
    ):
        assert len((await client.list_tools()).tools) == 4
        assert (await client.call_tool("me", {})).structured_content == {"result": authority.user}
    assert storage.tokens is not None
    plain = httpx.AsyncClient(transport=httpx.ASGITransport(desk.app), base_url=APP_URL)
    assert (await plain.get("/me", headers=bearer(storage.tokens.access_token))).status_code == 401


async def test_the_metadata_names_the_authorization_server_first():
    """Clients take the first one; those of the setting follow, and none is named twice."""
    desk, _ = open_desk(authorization_servers=["https://a.example.com", ISSUER])
    desk.mount(resource_tokens=ACCEPTED)
    async with desk.open() as http:
        assert (await http.get(METADATA)).json()["authorization_servers"] == [ISSUER, "https://a.example.com"]


async def test_an_own_server_takes_bound_tokens():
    """`StackAuthProvider(resource_tokens=...)` has the same rules, and FastMCP gets the claims without the token."""
    desk, authority = open_desk()
    provider = StackAuthProvider(desk.stack, "/mcp", resource_tokens=ACCEPTED)
    server: FastMCP[Any] = FastMCP("Own", auth=provider)
    read = Require(permission="reports:read")

    @server.tool
    async def me() -> str:
        return (await get_current_user()).id

    @server.tool
    async def reports() -> str:
        return (await get_current_user(read)).id

    app = server.http_app(path="/mcp", stateless_http=True, json_response=True)
    user = desk.add_user("ada")
    token = authority.token(user)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=APP_URL) as http,
    ):
        result = (await call(http, "me", bearer(token))).json()["result"]
        assert result["content"][0]["text"] == user
        refused = (await call(http, "reports", bearer(token))).json()["result"]
        assert refused["isError"]
        assert "permission_missing" in refused["content"][0]["text"]
        assert (await call(http, "me", bearer(authority.token(user, aud=OTHER)))).status_code == 401
        assert (await http.get(METADATA)).json()["authorization_servers"] == [ISSUER]
    described = await provider.verify_token(token)
    assert described is not None
    assert (described.subject, described.claims["client_id"]) == (user, "an-agent")
    assert token not in repr(described)


# --- wrong use ---------------------------------------------------------------------------------------------


def test_a_wrong_authorization_server_is_an_error_at_once():
    """An address that no token could be trusted from is reported where it is written."""
    wrong: list[Callable[[], object]] = [
        lambda: ResourceTokens("http://login.example.com"),
        lambda: ResourceTokens("login.example.com"),
        lambda: ResourceTokens(""),
        lambda: ResourceTokens(f"{ISSUER}?x=1"),
        lambda: ResourceTokens("https://u:p@login.example.com"),
        lambda: ResourceTokens(ISSUER, jwks_url="http://login.example.com/keys"),
        lambda: ResourceTokens(ISSUER, jwks_url=""),
        lambda: ResourceTokens(None),  # type: ignore[arg-type]  # on purpose
        lambda: Desk().mount(resource_tokens=ISSUER),
        lambda: Desk().mount(resource_tokens=ResourceTokens),
        lambda: StackAuthProvider(Desk().stack, "/mcp", resource_tokens=ISSUER),  # type: ignore[arg-type]  # as above
    ]
    accepted, messages = [], []
    for number, make in enumerate(wrong):
        try:
            make()
        except ConfigurationError as error:
            messages.append(str(error))
        else:
            accepted.append(number)
    assert accepted == []
    assert all("resource_tokens" in each or "ResourceTokens(" in each for each in messages)
    assert not any("u:p" in each for each in messages)
    assert ResourceTokens("http://localhost:9000/oidc").keys_address.startswith(
        "http://localhost:9000/oidc/.well-known"
    )


def test_the_projects_own_issuer_is_no_authorization_server():
    """Its access tokens count without the option, and would all be rejected with it."""
    desk = Desk()
    own = ResourceTokens(next(iter(desk.stack.settings.issuer_kinds)))
    with pytest.raises(ConfigurationError, match="own access tokens"):
        desk.mount(resource_tokens=own)


async def test_a_missing_setting_of_bound_tokens_is_reported(caplog: pytest.LogCaptureFixture):
    """Without secret_server_key the log names it, and bound tokens alone are 500; without app_url all callers are."""
    for setting, statuses in (("secret_server_key", [500, 200]), ("app_url", [500, 500])):
        caplog.clear()
        options: dict[str, Any] = {setting: None}
        desk, authority = open_desk(**options)
        desk.mount(resource_tokens=ACCEPTED)
        user = desk.add_user("ada")
        async with desk.open() as http:
            assert f"setting={setting}" in caplog.text
            assert "/mcp" in caplog.text
            answers = [await call(http, "me", bearer(each)) for each in (authority.token(user), desk.token())]
            assert [answer.status_code for answer in answers] == statuses


# --- hostile forms -----------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=30),
    st.sampled_from([RESOURCE, ISSUER, OTHER, "me", ".", "..", [RESOURCE], [RESOURCE, OTHER], {}, [[]]]),
)  # fmt: skip
NAMES = st.sampled_from(["sub", "iss", "aud", "resource", "exp", "iat", "nbf", "scope", "client_id", "role"])
CHANGES = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)


async def test_no_claims_make_a_500_or_another_user():
    """Truly signed tokens with any claims end in 401, or name their own user if they are bound to this server."""
    desk, authority = open_desk()
    desk.mount(resource_tokens=ACCEPTED)
    user = desk.add_user("ada")
    tokens: list[tuple[dict[str, Any], str]] = []

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(CHANGES)
    def collect(changes: dict[str, Any]) -> None:
        claims = authority.claims(user, **changes)
        tokens.append((claims, authority.signer.compact(authority.signer.header(), claims)))

    collect()
    async with desk.open() as http:
        for claims, token in tokens:
            status, outcome = await use(http, "me", token)
            assert status in (200, 401), claims
            if status == 200:
                assert outcome == user == claims["sub"]
                named = [claims[name] for name in ("aud", "resource") if claims.get(name) is not None]
                assert named
                assert all(each in (RESOURCE, [RESOURCE]) for each in named), claims


async def test_no_broken_token_makes_a_500():
    """A good token with bytes changed, cut or added is 401."""
    desk, authority = open_desk()
    desk.mount(resource_tokens=ACCEPTED)
    good = authority.token(desk.add_user("ada"))
    alphabet = "AZaz09-_=.+/ %"
    tokens: set[str] = set()

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.integers(0, len(good) - 1), st.sampled_from(alphabet), st.sampled_from(["put", "cut", "add", "end"]))
    def collect(place: int, sign: str, how: str) -> None:
        forms = {
            "put": good[:place] + sign + good[place + 1 :],
            "cut": good[:place],
            "add": good[:place] + sign + good[place:],
            "end": good + sign * (place % 5 + 1),
        }
        tokens.add(forms[how].strip())

    collect()
    tokens -= {good}
    async with desk.open() as http:
        for token in tokens:
            answer = await call(http, "me", bearer(token))
            assert answer.status_code == 401, token
