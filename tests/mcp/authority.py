"""A small OAuth authorization server: discovery, registration, PKCE, tokens bound to a resource (RFC 8707)."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx
import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from fastapi_stackauth.mcp import ResourceTokens
from tests.mcp.desk import APP_URL, Desk, Line
from tests.support.forge import ABSENT, Signer, b64, key_set

ORIGIN = "https://login.example.com"
ISSUER = f"{ORIGIN}/oidc"
RESOURCE = f"{APP_URL}/mcp"
ACCEPTED = ResourceTokens(ISSUER)


class Authority:
    """The server, its keys, and the user who is signed in there."""

    def __init__(self, now: Any, *, claim: str = "aud") -> None:
        self.signer = Signer("authority-1")
        self.now = now
        self.claim = claim
        self.user = ""
        self.cut = False
        self.fetches = 0
        self._codes: dict[str, Mapping[str, str]] = {}
        self.app = Starlette(
            routes=[
                Route("/.well-known/oauth-authorization-server/oidc", self._describe),
                Route("/oidc/.well-known/jwks.json", self._keys),
                Route("/oidc/reg", self._register, methods=["POST"]),
                Route("/oidc/auth", self._authorize),
                Route("/oidc/token", self._issue, methods=["POST"]),
            ]
        )

    def claims(self, user: str, **changes: Any) -> dict[str, Any]:
        """The claims of a good token, with changes."""
        now = int(self.now())
        good = {
            "iss": ISSUER,
            "sub": user,
            "iat": now,
            "exp": now + 300,
            "jti": secrets.token_hex(8),
            "scope": "openid profile",
            "client_id": "an-agent",
            self.claim: RESOURCE,
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not ABSENT}

    def token(self, user: str, **changes: Any) -> str:
        """A good token, with changes to its claims."""
        return self.signer.compact(self.signer.header(typ="at+jwt"), self.claims(user, **changes))

    async def _describe(self, _: Request) -> JSONResponse:
        return JSONResponse(
            {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/auth",
                "token_endpoint": f"{ISSUER}/token",
                "registration_endpoint": f"{ISSUER}/reg",
                "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _keys(self, request: Request) -> JSONResponse:
        self.fetches += 1
        assert not [name for name in request.headers if name.startswith(("x-stack-", "x-hexclave-", "authoriz"))]
        date = {"date": "Thu, 01 Jan 1970 00:00:00 GMT", "set-cookie": "a=b"}  # a wrong clock, and a cookie
        return JSONResponse(key_set(self.signer), headers=date)

    async def _register(self, request: Request) -> JSONResponse:
        return JSONResponse({**await request.json(), "client_id": "an-agent"}, status_code=201)

    async def _authorize(self, request: Request) -> RedirectResponse:
        query = request.query_params
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self._codes[code] = dict(query)
        answer = {"code": code, "state": query["state"], "iss": ISSUER}
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}")

    async def _issue(self, request: Request) -> JSONResponse:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self._codes.pop(form["code"])
        assert b64(hashlib.sha256(form["code_verifier"].encode()).digest()) == asked["code_challenge"]
        assert form["resource"] == asked["resource"]
        token = self.token(self.user, **{self.claim: form["resource"]})
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": 300})


class Lines(Line):
    """The ways to the auth server and to the authorization server."""

    def __init__(self, desk: Desk, authority: Authority) -> None:
        super().__init__(desk.server.app)
        self._authority = authority
        self._way = httpx.ASGITransport(authority.app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != "login.example.com":
            return await super().handle_async_request(request)
        if self._authority.cut:
            raise httpx.ConnectError("cut", request=request)
        return await self._way.handle_async_request(request)


class Web(httpx2.AsyncBaseTransport):
    """What an MCP client reaches: the app, and the authorization server."""

    def __init__(self, desk: Desk, authority: Authority) -> None:
        self._app = httpx2.ASGITransport(desk.app)
        self._authority = httpx2.ASGITransport(authority.app)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        way = self._authority if request.url.host == "login.example.com" else self._app
        return await way.handle_async_request(request)


def open_desk(*, claim: str = "aud", **options: Any) -> tuple[Desk, Authority]:
    """A desk that reaches an authorization server; nothing is mounted yet."""
    desk = Desk()
    authority = Authority(desk.server.clock.now, claim=claim)
    desk.line = Lines(desk, authority)
    desk.configure(**options)
    return desk, authority


def remove_signature(token: str, header: Mapping[str, Any]) -> str:
    """The same claims under another header, without a signature."""
    return f"{b64(json.dumps(header).encode())}.{token.split('.')[1]}."
